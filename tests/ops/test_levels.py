"""Code values to the unit scale and back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vrestore.media import Coding, ColorModel, ColorSpec, Range, SampleFormat
from vrestore.ops.dither import Dither
from vrestore.ops.levels import Normalise, Quantise, plane_levels

RANGES = [Range.LIMITED, Range.FULL]
RGBA8 = SampleFormat(model=ColorModel.RGB, depth=8, alpha=True)
GRAY8 = SampleFormat(model=ColorModel.GRAY, depth=8)


@pytest.mark.parametrize("color_range", RANGES)
@pytest.mark.parametrize("depth", range(8, 17))
@pytest.mark.parametrize("layout", ["420", "422", "444"])
def test_every_code_value_survives(layout, depth, color_range, yuv, make_frame, run_op):
    form = yuv(layout, depth, alpha=True)
    every = torch.arange(1 << depth, dtype=torch.int32)
    codes = [every.to(form.code_dtype).view(1 << (depth - 4), 16) for _ in range(4)]
    color = ColorSpec(range=color_range)
    frame = make_frame(codes, form, coding=Coding.CODE, color=color)
    (unit,) = run_op(Normalise(), [frame])
    assert {plane.dtype for plane in unit.planes} == {torch.float32}
    (back,) = run_op(Quantise(form, color, source_depth=depth, dither=Dither(0)), [unit])
    assert back.coding is Coding.CODE
    for before, after in zip(frame.planes, back.planes, strict=True):
        assert after.dtype == form.code_dtype
        assert torch.equal(after, before)


@pytest.mark.parametrize(
    ("color_range", "plane", "code", "unit"),
    [
        (Range.LIMITED, 0, 16, 0.0),
        (Range.LIMITED, 0, 235, 1.0),
        (Range.LIMITED, 0, 0, -16 / 219),
        (Range.LIMITED, 1, 128, 0.5),
        (Range.LIMITED, 1, 16, 0.0),
        (Range.LIMITED, 2, 240, 1.0),
        (Range.FULL, 0, 0, 0.0),
        (Range.FULL, 0, 255, 1.0),
        (Range.FULL, 1, 128, 0.5),
        (Range.FULL, 2, 255, 0.5 + 127 / 255),
        (Range.LIMITED, 3, 255, 1.0),
        (Range.LIMITED, 3, 0, 0.0),
    ],
)
@pytest.mark.parametrize("depth", [8, 10, 16])
def test_code_values_mean_what_h273_says(color_range, plane, code, unit, depth, yuv):
    form = yuv("420", depth, alpha=True)
    if color_range is Range.FULL or plane == 3:
        top = (1 << depth) - 1
        code = {0: 0, 255: top, 128: 1 << (depth - 1)}[code]
        if plane == 2:
            unit = 0.5 + (top - (1 << (depth - 1))) / top
    else:
        code <<= depth - 8
    levels = plane_levels(form, color_range, plane)
    assert (code - levels.zero) / levels.gain == pytest.approx(unit, abs=1e-12)


def test_an_unresolved_range_is_refused(yuv):
    with pytest.raises(ValueError, match="range must be resolved"):
        plane_levels(yuv("420"), Range.UNSPECIFIED, 0)


@pytest.mark.parametrize("color_range", RANGES)
def test_ten_passes_at_eight_bits_do_not_drift(color_range, yuv, make_frame, run_op, random_codes):
    form, color = yuv("420"), ColorSpec(range=color_range)
    first = make_frame(random_codes(form, 33, 17), form, coding=Coding.CODE, color=color)
    frame = first
    for _ in range(10):
        (unit,) = run_op(Normalise(), [frame])
        (frame,) = run_op(Quantise(form, color, source_depth=8), [unit])
    assert all(torch.equal(a, b) for a, b in zip(first.planes, frame.planes, strict=True))


def test_values_outside_the_code_range_are_clamped(make_frame, run_op):
    frame = make_frame([torch.tensor([[-3.0, 0.5, 7.0]])], GRAY8)
    (out,) = run_op(Quantise(GRAY8, ColorSpec(range=Range.FULL), source_depth=8), [frame])
    assert out.planes[0].tolist() == [[0, 128, 255]]


def test_range_is_converted_by_the_target(yuv, make_frame, run_op):
    form = yuv("444", 10)
    codes = torch.tensor([[64, 940]], dtype=torch.int32).to(torch.uint16)
    middle = torch.tensor([[64, 960]], dtype=torch.int32).to(torch.uint16)
    frame = make_frame(
        [codes, middle, middle], form, coding=Coding.CODE, color=ColorSpec(range=Range.LIMITED)
    )
    (unit,) = run_op(Normalise(), [frame])
    (full,) = run_op(Quantise(form, ColorSpec(range=Range.FULL), source_depth=10), [unit])
    assert full.color.range is Range.FULL
    assert full.planes[0].tolist() == [[0, 1023]]
    # Full range reaches half a code less on the high side of chroma: 512 +- 511.5.
    assert full.planes[1].tolist() == [[0, 1023]]


def test_padded_rows_are_read_by_their_stride(make_frame, run_op):
    stored = torch.arange(64, dtype=torch.uint8).view(4, 16)
    frame = make_frame([stored[:, :5]], GRAY8, coding=Coding.CODE)
    (unit,) = run_op(Normalise(), [frame])
    assert torch.equal((unit.planes[0] * 255).round().to(torch.uint8), stored[:, :5])


def test_ops_do_not_write_what_they_were_given(yuv, make_frame, run_op, random_codes):
    form, color = yuv("420", 10), ColorSpec(range=Range.LIMITED)
    frame = make_frame(random_codes(form, 20, 10), form, coding=Coding.CODE, color=color)
    kept = [plane.clone() for plane in frame.planes]
    (unit,) = run_op(Normalise(), [frame])
    unit_kept = [plane.clone() for plane in unit.planes]
    run_op(Quantise(yuv("420", 8), color, source_depth=10, dither=Dither(1)), [unit])
    assert all(torch.equal(a, b) for a, b in zip(frame.planes, kept, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(unit.planes, unit_kept, strict=True))


def test_float_files_pass_unrounded(make_frame, run_op):
    form = SampleFormat(model=ColorModel.RGB, depth=32, is_float=True)
    planes = [torch.randn(3, 4) for _ in range(3)]
    color = ColorSpec(range=Range.FULL)
    (unit,) = run_op(Normalise(), [make_frame(planes, form, coding=Coding.CODE, color=color)])
    (back,) = run_op(Quantise(form, color, source_depth=32), [unit])
    assert all(torch.equal(a, b) for a, b in zip(planes, back.planes, strict=True))


def test_output_memory_comes_from_the_pool(make_frame, run_op):
    taken = []

    def alloc(shape, dtype):
        taken.append((shape, dtype))
        return torch.empty(shape, dtype=dtype)

    frame = make_frame([torch.zeros(4, 6, dtype=torch.uint8)] * 4, RGBA8, coding=Coding.CODE)
    (unit,) = run_op(Normalise(alloc=alloc), [frame])
    run_op(Quantise(RGBA8, frame.color, source_depth=8, alloc=alloc), [unit])
    assert taken == [((4, 6), torch.float32)] * 4 + [((4, 6), torch.uint8)] * 4


def test_another_layout_is_refused(yuv, make_frame):
    frame = make_frame([torch.zeros(2, 2)] * 3, yuv("444"))
    with pytest.raises(ValueError, match="put Convert before it"):
        next(iter(Quantise(yuv("420"), frame.color, source_depth=8).push(frame)))


# -------------------------------------------------------------------------------------- dither


def quantised_ramp(run_op, make_frame, index=0, seed=0, value=None, height=128):
    form = SampleFormat(model=ColorModel.GRAY, depth=8)
    plane = (
        torch.full((height, 256), value)
        if value is not None
        else torch.linspace(0.2, 0.3, 256).expand(height, 256)
    )
    quantise = Quantise(form, ColorSpec(range=Range.FULL), source_depth=10, dither=Dither(seed))
    (out,) = run_op(quantise, [make_frame([plane], form, index=index)])
    return plane, out.planes[0]


def test_dither_keeps_the_mean_between_code_values(make_frame, run_op):
    plane, codes = quantised_ramp(run_op, make_frame)
    assert set((codes.float() - plane * 255).abs().lt(1).flatten().tolist()) == {True}
    error = codes.float() - plane * 255
    assert error.mean().abs() < 0.005
    assert error.view(4, 32, 8, 32).mean(dim=(1, 3)).abs().max() < 0.03


def test_dither_leaves_representable_values_alone(make_frame, run_op):
    _, codes = quantised_ramp(run_op, make_frame, value=77 / 255)
    assert set(codes.flatten().tolist()) == {77}


def test_dither_is_a_function_of_seed_pts_and_plane(make_frame, run_op):
    _, first = quantised_ramp(run_op, make_frame, index=5, seed=1)
    _, again = quantised_ramp(run_op, make_frame, index=5, seed=1)
    _, later = quantised_ramp(run_op, make_frame, index=6, seed=1)
    _, other = quantised_ramp(run_op, make_frame, index=5, seed=2)
    assert torch.equal(first, again)
    assert not torch.equal(first, later)
    assert not torch.equal(first, other)
    device = torch.device("cpu")
    noise = [Dither(0).noise(3, plane, 0, (64, 64), device) for plane in (0, 1)]
    assert not torch.equal(*noise)


def test_dither_does_not_depend_on_how_a_plane_is_cut_up():
    dither, device = Dither(9), torch.device("cpu")
    whole = dither.noise(7, 0, 0, (128, 50), device)
    parts = [dither.noise(7, 0, top, (32, 50), device) for top in (0, 32, 64, 96)]
    assert torch.equal(whole, torch.cat(parts))


def test_dither_noise_is_blue():
    noise = Dither(0).noise(0, 0, 0, (128, 128), torch.device("cpu")).double()
    power = torch.fft.fft2(noise).abs() ** 2
    frequency = torch.fft.fftfreq(128, dtype=torch.float64)
    radius = torch.hypot(frequency[:, None], frequency[None, :])
    assert power[radius < 0.15].mean() < 0.001 * power[radius > 0.4].mean()


def test_depth_that_is_not_reduced_is_not_dithered(make_frame, run_op):
    plane = torch.linspace(0.2, 0.3, 256).expand(16, 256)
    frame = make_frame([plane], GRAY8)
    color = ColorSpec(range=Range.FULL)
    (plain,) = run_op(Quantise(GRAY8, color, source_depth=8), [frame])
    (given,) = run_op(Quantise(GRAY8, color, source_depth=8, dither=Dither(0)), [frame])
    assert torch.equal(plain.planes[0], given.planes[0])


@given(pts=st.integers(-(2**62), 2**62), top=st.integers(0, 4320), seed=st.integers(0, 2**40))
def test_dither_noise_is_always_less_than_half_a_step(pts, top, seed):
    noise = Dither(seed).noise(pts, 2, top, (16, 100), torch.device("cpu"))
    assert noise.shape == (16, 100)
    assert noise.abs().max() < 0.5
