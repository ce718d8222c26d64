"""The promises of the Restorer protocol, for every model that ships and for a lively net."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch

from vrestore.errors import ModelError
from vrestore.media import ChromaLocation, Coding, ColorModel, ColorSpec, Frame, SampleFormat
from vrestore.models import registry
from vrestore.models.registry import ModelSpec
from vrestore.models.restorer import (
    RestoreConfig,
    Restorer,
    build,
    multiplies_in_bf16,
    working_dtype,
)
from vrestore.models.temporal import TemporalRestorer

MakeFrames = Callable[..., list[Frame]]
MakeRestorer = Callable[..., TemporalRestorer]

CASES = [
    (spec, scale)
    for spec in registry.registered().values()
    if not spec.is_single_image
    for scale in spec.scales
]


def repeat(frame: Frame, scale: int) -> Frame:
    """A resampler that tests can foresee."""
    planes = tuple(p.repeat_interleave(scale, 0).repeat_interleave(scale, 1) for p in frame.planes)
    return replace(frame, planes=planes)


def run(restorer: Restorer, frames: Sequence[Frame]) -> list[Frame]:
    return [out for f in frames for out in restorer.push(f)] + list(restorer.flush())


def same(a: Sequence[Frame], b: Sequence[Frame]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(p, q) for x, y in zip(a, b, strict=True)
        for p, q in zip(x.planes, y.planes, strict=True)
    )  # fmt: skip


@pytest.fixture(params=CASES, ids=lambda c: f"{c[0].name}-x{c[1]}")
def shipped(request: pytest.FixtureRequest) -> Restorer:
    spec, scale = request.param
    return build(spec, scale, RestoreConfig(), resample=repeat)


def test_each_frame_comes_out_once_in_order_and_larger(shipped: Restorer, make_frames: MakeFrames):
    frames = make_frames(5, cuts=(0, 3))
    held, out = 0, []
    for i, frame in enumerate(frames, 1):
        out += list(shipped.push(frame))
        held = max(held, i - len(out))
    out += list(shipped.flush())
    assert held <= shipped.latency
    assert [f.index for f in out] == [f.index for f in frames]
    for before, after in zip(frames, out, strict=True):
        assert (after.timestamp, after.duration, after.shot_start) == (
            before.timestamp, before.duration, before.shot_start)  # fmt: skip
        assert (after.width, after.height) == (
            before.width * shipped.scale, before.height * shipped.scale)  # fmt: skip
        assert all(p.dtype is torch.float32 and p.stride(1) == 1 for p in after.planes)


def test_flushing_twice_gives_nothing_more(shipped: Restorer, make_frames: MakeFrames):
    run(shipped, make_frames(2))
    assert list(shipped.flush()) == []


def test_code_values_are_refused(shipped: Restorer, make_frames: MakeFrames):
    frame = replace(make_frames(1)[0], coding=Coding.CODE)
    with pytest.raises(ModelError, match="normalised"):
        list(shipped.push(frame))


def test_the_inputs_are_not_written(shipped: Restorer, make_frames: MakeFrames):
    frames = make_frames(3)
    copies = [tuple(p.clone() for p in f.planes) for f in frames]
    run(shipped, frames)
    assert all(
        torch.equal(p, q)
        for f, c in zip(frames, copies, strict=True)
        for p, q in zip(f.planes, c, strict=True)
    )


@pytest.mark.parametrize("name", ["lite", "base"])
def test_pictures_that_alternate_stay_themselves(name: str, make_frames: MakeFrames):
    """A, C, A, C: before and after agree with each other, and still the frame is no dirt."""
    a, c = make_frames(6, 192, 128, speed=0), make_frames(6, 192, 128, speed=0, seed=5)
    dark = [replace(f, planes=tuple(0.1 + 0.3 * p for p in f.planes)) for f in a]
    light = [replace(f, planes=tuple(0.6 + 0.3 * p for p in f.planes)) for f in c]
    frames = [(dark, light)[t % 2][t] for t in range(6)]
    model = build(registry.find(name), 1, RestoreConfig(strength=1.0))
    for before, after in list(zip(frames, run(model, frames), strict=True))[1:-1]:
        alone = run(model, [replace(before, shot_start=True)])[0]
        for p, q in zip(after.planes, alone.planes, strict=True):
            assert float((p - q).abs().max()) < 1e-5


# --------------------------------------------------------------------------- the temporal net


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_still_is_bit_identical_to_a_shot_of_one_frame(
    make_restorer: MakeRestorer, make_frames: MakeFrames, scale: int
):
    frames = make_frames(3, cuts=(0, 1, 2))
    alone = run(make_restorer(scale), [frames[1]])
    assert same(alone, run(make_restorer(scale), frames)[1:2])


def test_no_bit_of_a_shot_depends_on_another_shot(
    make_restorer: MakeRestorer, make_frames: MakeFrames
):
    frames = make_frames(7, cuts=(0, 3, 5))
    others = make_frames(7, cuts=(0, 3, 5), seed=9)
    mixed = others[:3] + frames[3:5] + others[5:]
    assert same(run(make_restorer(2), frames)[3:5], run(make_restorer(2), mixed)[3:5])


def test_a_frame_depends_on_its_neighbours_within_the_shot(
    make_restorer: MakeRestorer, make_frames: MakeFrames
):
    frames, others = make_frames(4), make_frames(4, seed=9)
    before = run(make_restorer(1), frames)
    assert not same(before[:1], run(make_restorer(1), [frames[0], *others[1:]])[:1])
    assert not same(before[3:], run(make_restorer(1), [*others[:3], frames[3]])[3:])


def test_a_frame_further_ahead_changes_nothing(
    make_restorer: MakeRestorer, make_frames: MakeFrames
):
    frames, others = make_frames(5), make_frames(5, seed=9)
    assert same(
        run(make_restorer(1), frames)[:2], run(make_restorer(1), [*frames[:3], *others[3:]])[:2]
    )


def test_a_restorer_starts_afresh_after_flush(make_restorer: MakeRestorer, make_frames: MakeFrames):
    frames, restorer = make_frames(3), make_restorer(2)
    assert same(run(restorer, frames), run(restorer, frames))


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1, 2])
def test_bands_give_what_whole_frames_give_over_thirty_moving_frames(
    make_restorer: MakeRestorer, make_frames: MakeFrames, scale: int
):
    frames = make_frames(30, 64, 100, speed=3)
    whole = run(make_restorer(scale, tile=0), frames)
    banded = run(make_restorer(scale, tile=24), frames)
    worst = max(
        float((p - q).abs().max())
        for a, b in zip(whole, banded, strict=True)
        for p, q in zip(a.planes, b.planes, strict=True)
    )
    assert worst <= 1e-5


def test_half_precision_stays_near(make_restorer: MakeRestorer, make_frames: MakeFrames):
    frames = make_frames(12)
    full = run(make_restorer(2), frames)[-1].planes[0]
    half = run(make_restorer(2, dtype=torch.bfloat16), frames)[-1].planes[0]
    error = (full - half).square().mean()
    assert float(-10 * torch.log10(error)) > 45


def test_the_strength_of_a_shot_can_be_told_by_its_frames(
    make_restorer: MakeRestorer, make_frames: MakeFrames
):
    frames = make_frames(4)
    told = [replace(f, tuning={"restore.strength": 0.9}) for f in frames]
    weak, strong = make_restorer(2, strength=0.1), make_restorer(2, strength=0.9)
    assert same(run(weak, told), run(strong, frames))
    assert not same(run(weak, frames), run(strong, frames))


@pytest.mark.parametrize("size", [(177, 143), (1, 1), (33, 17), (16, 16), (2, 50)])
@pytest.mark.parametrize(("wide", "high"), [(1, 1), (1, 0), (0, 0), (0, 1), (2, 0), (2, 2)])
def test_any_size_and_subsampling(
    make_restorer: MakeRestorer, make_frames: MakeFrames, size: tuple[int, int], wide: int,
    high: int,
):  # fmt: skip
    form = SampleFormat(model=ColorModel.YCBCR, depth=10, log2_chroma_w=wide, log2_chroma_h=high)
    width, height = size
    for frame in run(make_restorer(2), make_frames(3, width, height, form)):
        for plane in range(3):
            wanted = form.plane_size(plane, 2 * width, 2 * height)
            assert tuple(frame.planes[plane].shape) == wanted
            assert torch.isfinite(frame.planes[plane]).all()


@pytest.mark.parametrize("alpha", [False, True])
def test_gray_and_alpha(make_restorer: MakeRestorer, make_frames: MakeFrames, alpha: bool):
    form = SampleFormat(model=ColorModel.GRAY, depth=16, alpha=alpha)
    for frame in run(make_restorer(2), make_frames(3, 20, 18, form)):
        assert [tuple(p.shape) for p in frame.planes] == [(36, 40)] * (1 + alpha)


def test_rgb_is_refused(make_restorer: MakeRestorer, make_frames: MakeFrames):
    form = SampleFormat(model=ColorModel.RGB, depth=8)
    with pytest.raises(ModelError, match="YCbCr"):
        run(make_restorer(1), make_frames(1, 20, 18, form))


def test_a_new_size_starts_a_shot(make_restorer: MakeRestorer, make_frames: MakeFrames):
    small, large = make_frames(2, 32, 24), make_frames(3, 48, 36)
    later = [replace(f, shot_start=False) for f in large]
    out = run(make_restorer(1), [*small, *later])
    assert [f.width for f in out] == [32, 32, 48, 48, 48]
    assert same(out[2:], run(make_restorer(1), large))


@pytest.mark.parametrize(
    "location", [ChromaLocation.LEFT, ChromaLocation.CENTER, ChromaLocation.TOPLEFT]
)
def test_chroma_keeps_its_place(make_frames: MakeFrames, location: ChromaLocation):
    """A chroma ramp stays where it is in the picture, whatever its siting, through a bare net."""
    from vrestore.models.nets.cell import Cell

    spec = ModelSpec(
        name="bare", arch="cell", license="x", purpose="x", scales=(1, 2), multiple_of=2
    )
    bare = TemporalRestorer(
        spec,
        Cell(8, 1, (1, 2)),
        2,
        strength=0.0,
        tile=0,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )
    frame = replace(make_frames(1, 48, 40)[0], color=ColorSpec(chroma_location=location))
    x0 = 0.5 if location is ChromaLocation.CENTER else 0.0
    y0 = 0.0 if location is ChromaLocation.TOPLEFT else 0.5
    column, row = 2 * torch.arange(24.0) + x0, 2 * torch.arange(20.0) + y0
    planes = (frame.planes[0], column.expand(20, 24) / 100, row[:, None].expand(20, 24) / 100)
    (out,) = run(bare, [replace(frame, planes=planes)])
    # The centre of luma sample i is i; after doubling, that of sample j is (j + 0.5) / 2 - 0.5.
    column, row = 2 * torch.arange(48.0) + x0, 2 * torch.arange(40.0) + y0
    assert torch.allclose(
        out.planes[1][20, 8:-8], ((column + 0.5) / 2 - 0.5)[8:-8] / 100, atol=1e-5
    )
    assert torch.allclose(out.planes[2][8:-8, 20], ((row + 0.5) / 2 - 0.5)[8:-8] / 100, atol=1e-5)


# ------------------------------------------------------------------------------ settings


@pytest.mark.parametrize("bad", [
    {"model": ""}, {"strength": 1.5}, {"strength": -0.1}, {"tile": -1}, {"tile": "some"},
    {"precision": "fp8"},
])  # fmt: skip
def test_a_bad_setting_is_named(bad: dict[str, object]):
    with pytest.raises(ValueError, match=next(iter(bad))):
        RestoreConfig(**bad)  # type: ignore[arg-type]


def test_bf16_is_chosen_only_where_the_processor_multiplies_in_it():
    lite, cpu = registry.find("lite"), torch.device("cpu")
    fast = multiplies_in_bf16(cpu)
    assert working_dtype(lite, "auto", cpu) is (torch.bfloat16 if fast else torch.float32)
    assert working_dtype(lite, "auto", torch.device("mps")) is torch.float32
    assert working_dtype(registry.find("resize"), "auto", cpu) is torch.float32


@pytest.mark.parametrize("name", ["lite", "base"])
def test_on_cuda_a_model_runs_in_the_half_precision_that_is_nearer_to_fp32(
    name: str, make_frames: MakeFrames
):
    spec, frames = registry.find(name), make_frames(3, 64, 48)

    def last(precision: str) -> torch.Tensor:
        config = RestoreConfig(precision=precision)  # type: ignore[arg-type]
        return run(build(spec, 2, config), frames)[-1].planes[0]

    full = last("fp32")
    errors = {half: float((last(half) - full).square().mean()) for half in ("fp16", "bf16")}
    assert spec.half == min(errors, key=errors.__getitem__)
    assert errors[spec.half] < 1e-7
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}[spec.half]
    assert working_dtype(spec, "auto", torch.device("cuda:0")) is dtype


def test_what_a_model_cannot_do_is_refused():
    identity = registry.find("identity")
    with pytest.raises(ModelError, match="x2"):
        build(identity, 2, RestoreConfig())
    with pytest.raises(ModelError, match="fp16"):
        working_dtype(identity, "fp16", torch.device("cpu"))
    with pytest.raises(ModelError, match="resampler"):
        build(registry.find("resize"), 2, RestoreConfig())
    strange = ModelSpec(name="a", arch="unheard", license="x", purpose="x", scales=(1,))
    with pytest.raises(ModelError, match="unheard"):
        build(strange, 1, RestoreConfig())
