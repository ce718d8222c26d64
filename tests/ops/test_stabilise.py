from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from tests.ops.shots import GRAY, RGB, YUV420, band, frames_of, given, second_shot_alone, texture
from vrestore.media import Coding, SampleFormat
from vrestore.ops.shift import Displacement, displaced
from vrestore.ops.stabilise import Stabilise, StabiliseConfig
from vrestore.train.film import MARGIN, lit, moved, splice_jumps, weave

COUNT = 26


def woven(path: torch.Tensor, pan: torch.Tensor | None = None, seed: int = 0) -> list[torch.Tensor]:
    """Frames of 96x160 that lie where `path` says, (T, 2), the camera moving by `pan`."""
    wide = texture(96 + 2 * MARGIN, 160 + 2 * MARGIN + 80, seed)
    places = torch.zeros_like(path) if pan is None else pan
    crops = []
    for (x, _), shake in zip(places.tolist(), path, strict=True):
        whole = round(x)
        crop = wide[:, 40 + whole : 40 + whole + 160 + 2 * MARGIN]
        left = torch.tensor([whole - x, 0.0])
        crops.append(moved(crop[None, None], (shake + left)[None])[0, 0])
    return crops


def taken_out(op: Stabilise) -> np.ndarray:
    (note,) = op.notes
    return np.array(
        [
            np.subtract(note.curves[f"weave_{axis}_before"], note.curves[f"weave_{axis}_after"])
            for axis in "xy"
        ]
    ).T


@pytest.mark.parametrize("sigma", [0.25, 1.2])
def test_weave_is_gone_under_flicker_and_grain(sigma):
    rng = np.random.default_rng(5)
    path = weave(rng, COUNT, sigma)
    gain = 1 + 0.06 * torch.randn(COUNT, generator=torch.Generator().manual_seed(1))
    noise = torch.Generator().manual_seed(2)
    lumas = [
        lit(luma[None, None], g[None])[0, 0] + 0.01 * torch.randn(luma.shape, generator=noise)
        for luma, g in zip(woven(path), gain, strict=True)
    ]
    op = Stabilise(StabiliseConfig(strength=1, max_shift=5))
    given(op, frames_of(lumas))
    assert band(path.numpy()) > 0.8 * sigma
    assert band(path.numpy() - taken_out(op)) < 0.1


def test_the_picture_itself_stands_still():
    path = weave(np.random.default_rng(3), COUNT, 0.8)
    out = given(Stabilise(StabiliseConfig(strength=1, max_shift=5)), frames_of(woven(path)))
    still = torch.stack([frame.planes[0] for frame in out])[:, 8:-8, 8:-8]
    shaken = torch.stack(woven(path))[:, 8:-8, 8:-8]
    assert still.std(0).mean() < 0.15 * shaken.std(0).mean()


def test_a_splice_throws_one_frame_and_only_that_one_is_moved():
    path = splice_jumps(np.random.default_rng(3), COUNT, 0.15, 5.0)
    assert 0 < int((path[:, 1] != 0).sum()) <= 5
    frames = frames_of(woven(path))
    op = Stabilise(StabiliseConfig(strength=1, max_shift=5))
    out = given(op, frames)
    assert np.abs(path.numpy() - taken_out(op)).max() < 0.2
    for frame, result, shift in zip(frames, out, path.tolist(), strict=True):
        assert (result is frame) == (shift == [0, 0])


@pytest.mark.parametrize("jump", [(0.0, 6.0), (0.0, -6.0), (5.0, 0.0), (-5.0, 3.5)])
def test_what_a_moved_frame_leaves_bare_is_shown_as_the_frame_before_showed_it(jump):
    path = torch.zeros(COUNT, 2)
    path[12] = torch.tensor(jump)
    lumas = woven(path)
    lumas[12] = 0.9 * lumas[12]
    out = given(Stabilise(StabiliseConfig(strength=1, max_shift=5)), frames_of(lumas))
    repeated = displaced(lumas[12], Displacement(x=jump[0], y=jump[1]))
    filled, smeared = ((p / 0.9 - lumas[11]).abs() for p in (out[12].planes[0], repeated))
    bare = smeared > 0.03
    assert bare.sum() > 100
    assert filled[bare].mean() < 0.15 * smeared[bare].mean()


@pytest.mark.parametrize("kind", ["still", "pan", "eased"])
def test_without_weave_nothing_is_touched_whatever_the_camera_does(kind):
    t = torch.arange(COUNT).float()
    x = {"still": 0 * t, "pan": 1.3 * t, "eased": 15 - 15 * torch.cos(t / COUNT * 3.1)}[kind]
    pan = torch.stack((x, 0 * t), 1)
    frames = frames_of(woven(torch.zeros(COUNT, 2), pan), YUV420)
    out = given(Stabilise(StabiliseConfig(strength=1)), frames)
    assert all(a is b for a, b in zip(out, frames, strict=True))


def test_a_pan_with_weave_keeps_the_pan():
    t = torch.arange(COUNT).float()
    pan = torch.stack((1.3 * t, 0 * t), 1)
    path = weave(np.random.default_rng(4), COUNT, 0.5, memory=0.0)
    op = Stabilise(StabiliseConfig(strength=1, max_shift=5))
    given(op, frames_of(woven(path, pan)))
    left = path.numpy() - taken_out(op)
    assert band(left) < 0.1
    assert (left - left.mean(0)).std() < 0.35


@pytest.mark.parametrize("form", [GRAY, RGB, YUV420])
def test_planes_move_together(form):
    path = weave(np.random.default_rng(6), COUNT, 1.0)
    out = given(Stabilise(StabiliseConfig(strength=1, max_shift=5)), frames_of(woven(path), form))
    for number in range(form.plane_count):
        planes = torch.stack([frame.planes[number] for frame in out])[:, 6:-6, 6:-6]
        assert planes.std(0).mean() < 0.1 * planes.std((1, 2)).mean()


def test_crop_leaves_no_repeated_edge_and_keeps_the_size():
    path = weave(np.random.default_rng(7), COUNT, 1.0)
    frames = frames_of(woven(path), YUV420)
    out = given(Stabilise(StabiliseConfig(strength=1, max_shift=5, edges="crop")), frames)
    assert [p.shape for p in out[0].planes] == [p.shape for p in frames[0].planes]
    steady = torch.stack([frame.planes[0] for frame in out])
    assert steady.std(0).mean() < 0.02


def test_strength_and_tuning_set_how_much():
    path = weave(np.random.default_rng(9), COUNT, 1.0)
    half = Stabilise(StabiliseConfig(strength=0.5, max_shift=5))
    given(half, frames_of(woven(path)))
    full = Stabilise(StabiliseConfig(max_shift=5))
    given(full, frames_of(woven(path), tuning={"stabilise.strength": 1.0}))
    assert np.abs(2 * taken_out(half) - taken_out(full)).max() < 0.05
    frames = frames_of(woven(path))
    off = given(Stabilise(StabiliseConfig()), frames)
    assert all(a is b for a, b in zip(off, frames, strict=True))


def test_a_shot_knows_nothing_of_the_one_before():
    rng = np.random.default_rng(10)
    first, second = (frames_of(woven(weave(rng, 18, 1.0), seed=s)) for s in (1, 2))
    assert second_shot_alone(lambda: Stabilise(StabiliseConfig(strength=1)), first, second)


@settings(max_examples=8)
@examples(
    width=st.integers(16, 40), height=st.integers(16, 40), count=st.integers(1, 8),
    depth=st.sampled_from([0, 1]), seed=st.integers(0, 99),
)  # fmt: skip
def test_any_size_and_length_goes_through(width, height, count, depth, seed):
    lumas = torch.rand(count, height, width, generator=torch.Generator().manual_seed(seed))
    form = SampleFormat(model=YUV420.model, depth=8, log2_chroma_w=1, log2_chroma_h=depth)
    out = given(
        Stabilise(StabiliseConfig(strength=1, rotation=True, edges="crop")),
        frames_of(list(lumas), form),
    )
    for frame in out:
        assert [tuple(p.shape) for p in frame.planes] == [
            form.plane_size(n, width, height) for n in range(3)
        ]
        assert all(bool(p.isfinite().all()) for p in frame.planes)


@settings(max_examples=6)
@examples(x=st.floats(-3, 3), y=st.floats(-3, 3), angle=st.floats(-0.01, 0.01))
def test_displaced_reads_a_smooth_picture_where_it_should(x, y, angle):
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(80.0), indexing="ij")

    def wave(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.sin(0.5 * x + 0.3 * y) + torch.cos(0.7 * y - 0.2 * x)

    out = displaced(wave(columns, rows), Displacement(x=x, y=y, angle=angle))
    at_x = columns + x - angle * (rows + 0.5 - 32)
    at_y = rows + y + angle * (columns + 0.5 - 40)
    assert (out - wave(at_x, at_y))[8:-8, 8:-8].abs().max() < 0.02


def test_wrong_settings_and_code_values_are_refused():
    with pytest.raises(ValueError, match="strength must be 0 to 1, got 2"):
        StabiliseConfig(strength=2)
    with pytest.raises(ValueError, match="max_shift"):
        StabiliseConfig(max_shift=0)
    with pytest.raises(ValueError, match="edges must be fill or crop"):
        StabiliseConfig(edges="mirror")
    (frame,) = frames_of([texture(16, 16)])
    with pytest.raises(ValueError, match="UNIT"):
        list(Stabilise(StabiliseConfig(strength=1)).push(replace(frame, coding=Coding.CODE)))
