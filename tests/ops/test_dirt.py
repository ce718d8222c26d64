"""Dirt: found, filled, and told from objects."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.media import ColorModel, SampleFormat
from vrestore.ops.dirt import Dirt, DirtConfig, dirt_density
from vrestore.train import dirt as film

GRAY = SampleFormat(model=ColorModel.GRAY, depth=8)


def scene(count, height=96, width=128, speed=2, grain=0.01, seed=0):
    """(T, 3, H, W): a textured pan with grain."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 1, height // 8, (width + count * speed) // 8 + 1, generator=generator)
    wide = F.interpolate(coarse, size=(height, width + count * speed), mode="bicubic")[0, 0]
    wide = 0.25 + 0.5 * wide
    frames = torch.stack([wide[:, t * speed : t * speed + width] for t in range(count)])
    noise = grain * torch.randn(frames.shape, generator=generator)
    return (frames + noise)[:, None].expand(-1, 3, -1, -1)


@pytest.fixture
def gray_frames(make_frame):
    def make(clip, starts=(0,)):
        return [
            make_frame([picture[0].contiguous()], GRAY, index=t, shot_start=t in starts)
            for t, picture in enumerate(clip)
        ]

    return make


def painted(count=6, **kind):
    clean = scene(count)
    drawn = film.specks(clean, np.random.default_rng(3), 500, opacity=(0.5, 1.0), **kind)
    return clean, drawn


def test_specks_are_found_and_filled_on_a_moving_picture(gray_frames, run_op):
    clean, drawn = painted()
    out = run_op(Dirt(DirtConfig(strength=0.5)), gray_frames(drawn.frames))
    core = drawn.matte[:, 0] > 0.3
    masks = torch.stack([f.mask for f in out])
    assert (masks & core).sum() / core.sum() > 0.9
    far = F.max_pool2d(drawn.matte, 7, 1, 3)[:, 0] < 0.02
    assert (masks & far).float().mean() < 0.006
    truth, result = clean[:, 0], torch.stack([f.planes[0] for f in out])
    before = (drawn.frames[:, 0] - truth)[core].square().mean()
    assert (result - truth)[core].square().mean() < 0.05 * before


def test_a_clean_picture_passes_nearly_unchanged(gray_frames, run_op):
    frames = gray_frames(scene(6))
    out = run_op(Dirt(DirtConfig(strength=0.5)), frames)
    assert (
        sum((a.planes[0] - b.planes[0]).abs().mean() for a, b in zip(out, frames, strict=True)) / 6
        < 0.1 / 255
    )


def test_a_ball_on_its_way_is_kept_and_a_speck_is_not(gray_frames, run_op):
    clip = scene(6).clone()
    rows, columns = torch.arange(96).view(-1, 1), torch.arange(128).view(1, -1)
    places = [(30 + 3 * t, 12 + 20 * t) for t in range(6)]
    balls = [((rows - y) ** 2 + (columns - x) ** 2).float().sqrt() < 5 for y, x in places]
    for t, ball in enumerate(balls):
        clip[t, :, ball] = 0.95
    clip[2, :, 80:85, 100:106] = 0.95
    out = run_op(Dirt(DirtConfig(strength=0.5)), gray_frames(clip))
    for t in (1, 2, 3, 4):
        mask = torch.zeros(96, 128, dtype=torch.bool) if out[t].mask is None else out[t].mask
        assert (mask & balls[t]).sum() < 0.2 * balls[t].sum(), t
    assert out[2].mask[80:85, 100:106].float().mean() > 0.8


def test_a_flash_is_not_dirt(gray_frames, run_op):
    clip = scene(6).clone()
    clip[3] = clip[3] + 0.3
    out = run_op(Dirt(DirtConfig(strength=0.5)), gray_frames(clip))
    assert out[3].mask is None or dirt_density(out[3].mask) < 0.002


def test_a_splice_mark_is_found_at_the_end_of_a_shot(gray_frames, run_op):
    clean = scene(6)
    drawn = film.splice(clean, np.random.default_rng(0), at_end=True)
    out = run_op(Dirt(DirtConfig(strength=0.5)), gray_frames(drawn.frames))
    bar = drawn.labels[5] > 0
    assert out[5].mask[bar].float().mean() > 0.9
    assert (out[5].planes[0] - clean[5, 0])[bar].abs().mean() < 0.05


def test_nothing_crosses_a_cut(gray_frames, run_op):
    first, second = scene(4, seed=1), scene(4, seed=2)
    other = film.specks(second, np.random.default_rng(1), 3000).frames
    alone = run_op(Dirt(DirtConfig(strength=0.5)), gray_frames(first))
    for rest in (second, other):
        both = run_op(
            Dirt(DirtConfig(strength=0.5)), gray_frames(torch.cat((first, rest)), starts=(0, 4))
        )
        assert [f.index for f in both] == list(range(8))
        for a, b in zip(alone, both[:4], strict=True):
            assert torch.equal(a.planes[0], b.planes[0])


@settings(max_examples=8)
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=3), size=st.integers(16, 40))
def test_every_frame_comes_out_once_in_order(make_frame, run_op, lengths, size):
    starts = np.cumsum([0, *lengths])[:-1]
    generator = torch.Generator().manual_seed(size)
    frames = [
        make_frame([torch.rand(size, size + 3, generator=generator)], GRAY, index=t,
                   shot_start=t in starts)
        for t in range(sum(lengths))
    ]  # fmt: skip
    op = Dirt(DirtConfig(strength=0.5))
    held = 0
    out = []
    for frame in frames:
        out.extend(op.push(frame))
        held = max(held, frame.index + 1 - len(out))
    out.extend(op.flush())
    assert [f.index for f in out] == list(range(len(frames)))
    assert held <= op.latency
    assert [note.frames for note in op.notes] == lengths


def test_the_network_gets_a_mask_and_the_picture_as_it_was(gray_frames, run_op):
    _, drawn = painted()
    frames = gray_frames(drawn.frames)
    out = run_op(Dirt(DirtConfig(strength=0.5, fill="network")), frames)
    assert any(f.mask is not None for f in out)
    assert all(torch.equal(a.planes[0], b.planes[0]) for a, b in zip(out, frames, strict=True))


def test_the_mask_is_shown_on_the_picture_as_it_was(gray_frames, run_op):
    _, drawn = painted()
    frames = gray_frames(drawn.frames)
    shown = run_op(Dirt(DirtConfig(strength=0.5, show_mask=True)), frames)
    repaired = run_op(Dirt(DirtConfig(strength=0.5)), frames)
    for source, one, other in zip(frames, shown, repaired, strict=True):
        assert torch.equal(one.planes[0], source.planes[0])
        assert torch.equal(one.mask, other.mask)


def test_apicture_in_colour_is_judged_too(make_frame, run_op, yuv):
    _, drawn = painted(4)
    core = drawn.matte[:, 0] > 0.3
    for colour in (0.5, 0.6):
        frames = [
            make_frame([p[0].contiguous(), *[torch.full((48, 64), colour)] * 2], yuv("420"),
                       index=t, shot_start=t == 0)
            for t, p in enumerate(drawn.frames)
        ]  # fmt: skip
        masks = torch.stack([f.mask for f in run_op(Dirt(DirtConfig(strength=0.5)), frames)])
        assert (masks & core).sum() / core.sum() > 0.7


def test_more_strength_finds_more(gray_frames, run_op):
    clean = scene(5, grain=0.02)
    drawn = film.specks(clean, np.random.default_rng(9), 800, opacity=(0.1, 0.5))
    found = [
        sum(
            0.0 if f.mask is None else dirt_density(f.mask)
            for f in run_op(Dirt(DirtConfig(strength=strength)), gray_frames(drawn.frames))
        )
        for strength in (0.05, 0.5, 1.0)
    ]
    assert found[0] < found[1] < found[2]


def test_chroma_is_filled_with_its_luma(make_frame, run_op, yuv):
    clip = scene(3)
    frames = []
    for t in range(3):
        chroma = torch.full((48, 64), 0.6)
        luma = clip[t, 0].clone()
        if t == 1:
            luma[40:46, 60:66], chroma[20:23, 30:33] = 1.0, 0.5
        frames.append(make_frame([luma, chroma, chroma.clone()], yuv("420"), index=t,
                                 shot_start=t == 0))  # fmt: skip
    out = run_op(Dirt(DirtConfig(strength=0.5)), frames)
    assert (out[1].planes[1] - 0.6).abs().max() < 0.02


def test_a_shot_may_have_its_own_strength(make_frame, run_op):
    _, drawn = painted(3)
    frames = [
        make_frame([p[0].contiguous()], GRAY, index=t, shot_start=t == 0,
                   tuning={"dirt.strength": 0.0})
        for t, p in enumerate(drawn.frames)
    ]  # fmt: skip
    assert all(
        a is b for a, b in zip(run_op(Dirt(DirtConfig(strength=0.5)), frames), frames, strict=True)
    )


def test_a_wrong_strength_is_named():
    with pytest.raises(ValueError, match="strength must be 0 to 1"):
        DirtConfig(strength=1.5)
