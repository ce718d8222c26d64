"""Colour conversion against a reference in double precision, and against zscale.

The reference shares nothing with the code under test: its constants are those printed in the
standards, its filters are written out sample by sample.
"""

from __future__ import annotations

import itertools
import math
import subprocess
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from vrestore.errors import PlanError
from vrestore.media import (
    ChromaLocation,
    Coding,
    ColorModel,
    ColorSpec,
    Matrix,
    Primaries,
    Range,
    SampleFormat,
    Transfer,
)
from vrestore.ops.color import rgb_adapter, ycbcr_adapter
from vrestore.ops.convert import Convert
from vrestore.ops.levels import Normalise, Quantise

WIDTH, HEIGHT = 64, 24

COLORS = {
    "601-525": ColorSpec(
        matrix=Matrix.SMPTE170M, primaries=Primaries.SMPTE170M, transfer=Transfer.SMPTE170M
    ),
    "601-625": ColorSpec(
        matrix=Matrix.BT470BG, primaries=Primaries.BT470BG, transfer=Transfer.SMPTE170M
    ),
    "709": ColorSpec(matrix=Matrix.BT709, primaries=Primaries.BT709, transfer=Transfer.BT709),
    "2020": ColorSpec(
        matrix=Matrix.BT2020_NCL, primaries=Primaries.BT2020, transfer=Transfer.BT2020_10
    ),
}
SITINGS = {
    "left": ChromaLocation.LEFT,
    "center": ChromaLocation.CENTER,
    "topleft": ChromaLocation.TOPLEFT,
}
RANGES = {"limited": Range.LIMITED, "full": Range.FULL}


def spec(name, color_range="limited", siting="left", **changes):
    base = COLORS[name]
    fields = {
        "matrix": base.matrix,
        "primaries": base.primaries,
        "transfer": base.transfer,
        "range": RANGES[color_range],
        "chroma_location": SITINGS[siting],
    }
    return ColorSpec(**(fields | changes))


# ------------------------------------------------------------------------------- the reference

WEIGHTS = {
    "601-525": (0.299, 0.587, 0.114),
    "601-625": (0.299, 0.587, 0.114),
    "709": (0.2126, 0.7152, 0.0722),
    "2020": (0.2627, 0.6780, 0.0593),
}
CHROMATICITIES = {
    "601-525": ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    "601-625": ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060)),
    "709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    "2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
}


def to_ycbcr(rgb, name):
    kr, kg, kb = WEIGHTS[name]
    r, g, b = rgb
    y = kr * r + kg * g + kb * b
    return [y, (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)]


def to_rgb(ycc, name):
    kr, kg, kb = WEIGHTS[name]
    y, cb, cr = ycc
    r, b = y + (2 - 2 * kr) * cr, y + (2 - 2 * kb) * cb
    return [r, (y - kr * r - kb * b) / kg, b]


def xyz_matrix(name):
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in CHROMATICITIES[name]]).T
    white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    return columns * np.linalg.solve(columns, white)


def other_primaries(rgb, a, b):
    floor = np.minimum(0, np.minimum.reduce(rgb))
    light = np.stack([np.sign(c) * np.abs(c) ** 2.4 for c in rgb])
    light = np.tensordot(np.linalg.inv(xyz_matrix(b)) @ xyz_matrix(a), light, 1)
    return list(np.maximum(np.sign(light) * np.abs(light) ** (1 / 2.4), floor))


def cubic(x):
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def resampler(n_in, n_out, positions_in, positions_out):
    """Dense matrix from samples at one set of positions to another, in luma units from the edge."""
    step_in = positions_in[1] - positions_in[0]
    step_out = positions_out[1] - positions_out[0]
    width = max(1.0, step_out / step_in)
    matrix = np.zeros((n_out, n_in))
    for row, position in enumerate(positions_out):
        center = (position - positions_in[0]) / step_in
        for tap in range(math.floor(center - 2 * width) - 1, math.ceil(center + 2 * width) + 2):
            inside = tap % (2 * n_in)
            inside = inside if inside < n_in else 2 * n_in - 1 - inside
            matrix[row, inside] += cubic((center - tap) / width)
    return matrix / matrix.sum(axis=1, keepdims=True)


def sites(n_luma, log2, co_sited):
    step = 1 << log2
    first = 0.5 if co_sited or not log2 else step / 2
    return first + step * np.arange(-(-n_luma // step))


@dataclass
class Siting:
    """Resamples chroma planes between a siting at 4:2:0 and full size."""

    name: str

    def matrices(self, down):
        out = []
        for n, co_sited in ((HEIGHT, self.name == "topleft"), (WIDTH, self.name != "center")):
            small, full = sites(n, 1, co_sited), sites(n, 0, False)
            source, target = (full, small) if down else (small, full)
            out.append(resampler(len(source), len(target), source, target))
        return out

    def up(self, plane):
        vertical, horizontal = self.matrices(down=False)
        return vertical @ plane @ horizontal.T

    def down(self, plane):
        vertical, horizontal = self.matrices(down=True)
        return vertical @ plane @ horizontal.T


def encode(ycc, depth, color_range):
    step, top = 1 << (depth - 8), (1 << depth) - 1
    out = []
    for number, plane in enumerate(ycc):
        if color_range == "full":
            code = top * plane + (128 * step if number else 0)
        else:
            code = (224 * plane + 128) * step if number else (219 * plane + 16) * step
        out.append(np.clip(np.rint(code), 0, top))
    return out


def decode(codes, depth, color_range):
    step, top = 1 << (depth - 8), (1 << depth) - 1
    if color_range == "full":
        return [codes[0] / top, *((c - 128 * step) / top for c in codes[1:])]
    return [(codes[0] / step - 16) / 219, *((c / step - 128) / 224 for c in codes[1:])]


def bars():
    """75 % bars over 100 % bars over a ramp of each colour, R'G'B'."""
    column = np.arange(WIDTH) * 8 // WIDTH
    colors = np.array(
        [(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0)],
        float,
    ).T
    rows = np.concatenate((np.full(8, 0.75), np.full(8, 1.0), np.linspace(0, 1, HEIGHT - 16)))
    return [colors[c][column][None, :] * rows[:, None] for c in range(3)]


def source_codes(name, color_range, depth, siting):
    y, cb, cr = to_ycbcr(bars(), name)
    place = Siting(siting)
    return encode([y, place.down(cb), place.down(cr)], depth, color_range)


def reference(codes, a, b, ranges, depth, siting):
    y, cb, cr = decode(codes, depth, ranges[0])
    place = Siting(siting)
    if CHROMATICITIES[a] == CHROMATICITIES[b]:
        raise AssertionError("this reference always goes through light")
    full = [y, place.up(cb), place.up(cr)]
    other = to_ycbcr(other_primaries(to_rgb(full, a), a, b), b)
    chroma = [
        low + place.down(new - old)
        for low, new, old in zip((cb, cr), other[1:], full[1:], strict=True)
    ]
    return encode([other[0], *chroma], depth, ranges[1])


def convert(codes, form, before, after, make_frame, run_op, to_form=None):
    planes = [torch.from_numpy(c.astype(np.uint8 if form.depth == 8 else np.uint16)) for c in codes]
    to_form = to_form or form
    frame = make_frame(planes, form, coding=Coding.CODE, color=before)
    (unit,) = run_op(Normalise(), [frame])
    (unit,) = run_op(Convert(form, before, to_form=to_form, to_color=after), [unit])
    (frame,) = run_op(Quantise(to_form, after, source_depth=form.depth), [unit])
    return [plane.numpy().astype(np.int64) for plane in frame.planes]


def worst(a, b):
    return max(
        int(np.abs(x.astype(np.int64) - y.astype(np.int64)).max())
        for x, y in zip(a, b, strict=True)
    )


# --------------------------------------------------------------------- bars in every combination

PAIRS = [(a, b) for a in COLORS for b in COLORS if a != b]


@pytest.mark.parametrize("depth", [8, 10, 12, 16])
@pytest.mark.parametrize(("a", "b"), PAIRS, ids=lambda name: name)
def test_bars_are_within_one_code_value_of_the_reference(a, b, depth, yuv, make_frame, run_op):
    form = yuv("420", depth)
    for siting, *ranges in itertools.product(SITINGS, RANGES, RANGES):
        codes = source_codes(a, ranges[0], depth, siting)
        expected = reference(codes, a, b, ranges, depth, siting)
        got = convert(
            codes, form, spec(a, ranges[0], siting), spec(b, ranges[1], siting), make_frame, run_op
        )
        assert worst(got, expected) <= 1, (siting, ranges)


@pytest.mark.parametrize("depth", [8, 10, 12, 16])
@pytest.mark.parametrize("name", COLORS)
def test_bars_of_one_standard_change_range_within_one_code_value(
    name, depth, yuv, make_frame, run_op
):
    form = yuv("420", depth)
    for siting, *ranges in itertools.product(SITINGS, RANGES, RANGES):
        codes = source_codes(name, ranges[0], depth, siting)
        expected = encode(decode(codes, depth, ranges[0]), depth, ranges[1])
        got = convert(
            codes,
            form,
            spec(name, ranges[0], siting),
            spec(name, ranges[1], siting),
            make_frame,
            run_op,
        )
        assert worst(got, expected) <= (0 if ranges[0] == ranges[1] else 1)


@pytest.mark.parametrize("layout", ["420", "422", "444"])
def test_another_matrix_alone_leaves_flat_colours_exact(layout, yuv, make_frame, run_op):
    """601 to 709 with the same primaries: each bar's middle against the formula."""
    form = yuv(layout, 10)
    column = np.arange(WIDTH) * 8 // WIDTH
    ycc = to_ycbcr(bars(), "601-525")
    height, width = form.plane_size(1, WIDTH, HEIGHT)
    shrink = np.s_[:: HEIGHT // height, :: WIDTH // width]
    codes = encode([ycc[0][:16], *(c[:16][shrink] for c in ycc[1:])], 10, "limited")
    before = spec("601-525")
    got = convert(codes, form, before, spec("601-525", matrix=Matrix.BT709), make_frame, run_op)
    expected = encode(to_ycbcr([c[:16] for c in bars()], "709"), 10, "limited")
    middle = np.flatnonzero((np.roll(column, 3) == column) & (np.roll(column, -3) == column))
    for number, plane in enumerate(got):
        full = (
            plane
            if not number
            else plane.repeat(16 // plane.shape[0], 0).repeat(WIDTH // plane.shape[1], 1)
        )
        error = np.abs(full - expected[number])[np.ix_([2, 3, 4, 11, 12, 13], middle)]
        assert error.max() <= 1


@pytest.mark.parametrize(("layout", "most"), [("444", 0.05), ("420", 0.5)])
def test_ten_trips_between_sd_and_hd_do_not_drift(layout, most, yuv, make_frame, run_op):
    """Without rounding in between, in 10 bit code values; colours that exist on both sides."""
    form, sd, hd = yuv(layout, 10), spec("601-625"), spec("709")
    codes = (
        smooth(form)
        if layout == "420"
        else encode(to_ycbcr([0.4 + 0.4 * c for c in bars()], "601-625"), 10, "limited")
    )
    planes = [torch.from_numpy(c.astype(np.uint16)) for c in codes]
    (first,) = run_op(Normalise(), [make_frame(planes, form, coding=Coding.CODE, color=sd)])
    frame = first
    for _ in range(10):
        (frame,) = run_op(Convert(form, sd, to_form=form, to_color=hd), [frame])
        (frame,) = run_op(Convert(form, hd, to_form=form, to_color=sd), [frame])
    for after, before in zip(frame.planes, first.planes, strict=True):
        assert (after - before).abs().max() * 896 < most


@pytest.mark.parametrize("depth", [8, 10, 16])
def test_one_trip_between_sd_and_hd_is_within_one_code_value(depth, yuv, make_frame, run_op):
    first = encode(to_ycbcr([0.4 + 0.4 * c for c in bars()], "601-625"), depth, "limited")
    form, sd, hd = yuv("444", depth), spec("601-625"), spec("709")
    codes = convert(first, form, sd, hd, make_frame, run_op)
    assert worst(convert(codes, form, hd, sd, make_frame, run_op), first) <= 1


def test_nothing_changes_where_nothing_is_asked(yuv, make_frame, random_codes, run_op):
    for layout in ("420", "422", "444", "411"):
        form = yuv(layout, 8)
        planes = [plane.float() for plane in random_codes(form, 37, 23)]
        color = spec("709", siting="topleft")
        frame = make_frame(planes, form, color=color)
        (out,) = run_op(Convert(form, color, to_form=form, to_color=color), [frame])
        assert all(a is b for a, b in zip(out.planes, planes, strict=True))


# --------------------------------------------------------------------------- layouts and siting


def ramp(form, width, height, location):
    """Every plane shows the same linear function of place, sampled where its samples are."""
    planes = []
    for number in range(3):
        rows, columns = form.plane_size(number, width, height)
        log2 = (form.log2_chroma_w, form.log2_chroma_h) if form.is_chroma(number) else (0, 0)
        left = location is not ChromaLocation.CENTER
        top = location is ChromaLocation.TOPLEFT
        x = sites(width, log2[0], left)[:columns]
        y = sites(height, log2[1], top)[:rows]
        planes.append(torch.from_numpy(0.3 + 0.004 * x[None, :] + 0.003 * y[:, None]).float())
    return planes


LAYOUTS = ["444", "422", "420", "411", "440"]


@pytest.mark.parametrize("siting", SITINGS)
@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(LAYOUTS, 2)))
def test_chroma_keeps_its_place_between_layouts(before, after, siting, yuv, make_frame, run_op):
    """A linear ramp sampled at the right places is the same ramp in every layout."""
    form, to_form = yuv(before), yuv(after)
    color = spec("709", siting=siting)
    frame = make_frame(ramp(form, 128, 96, color.chroma_location), form, color=color)
    (out,) = run_op(Convert(form, color, to_form=to_form, to_color=color), [frame])
    expected = ramp(to_form, 128, 96, color.chroma_location)
    for plane, wanted in zip(out.planes[1:], expected[1:], strict=True):
        assert plane.shape == wanted.shape
        inner = np.s_[12:-12, 12:-12]
        assert (plane - wanted)[inner].abs().max() < 1e-5


@pytest.mark.parametrize(("a", "b"), list(itertools.permutations(SITINGS, 2)))
def test_chroma_moves_between_sitings(a, b, yuv, make_frame, run_op):
    form = yuv("420")
    frame = make_frame(ramp(form, 64, 48, SITINGS[a]), form, color=spec("709", siting=a))
    (out,) = run_op(
        Convert(form, frame.color, to_form=form, to_color=spec("709", siting=b)), [frame]
    )
    expected = ramp(form, 64, 48, SITINGS[b])
    for plane, wanted in zip(out.planes, expected, strict=True):
        assert (plane - wanted)[3:-3, 3:-3].abs().max() < 1e-5


@pytest.mark.parametrize("layout", ["420", "422", "444"])
@pytest.mark.parametrize("size", [(177, 143), (1, 1), (2, 3), (64, 48)])
def test_odd_sizes_have_the_planes_of_their_layout(layout, size, yuv, make_frame, run_op):
    form = yuv(layout)
    color = spec("601-625")
    planes = [torch.rand(form.plane_size(n, *size)) for n in range(3)]
    to_rgb_op, back = rgb_adapter(form, color)
    (rgb,) = run_op(to_rgb_op, [make_frame(planes, form, color=color)])
    assert {tuple(p.shape) for p in rgb.planes} == {(size[1], size[0])}
    (again,) = run_op(back, [rgb])
    assert [p.shape for p in again.planes] == [p.shape for p in planes]
    assert again.format == form
    assert again.color == color


def test_rgb_round_trip_of_444_is_exact_to_rounding(yuv, make_frame, run_op):
    form, color = yuv("444", 16), spec("2020")
    planes = [torch.rand(20, 30) for _ in range(3)]
    there, back = rgb_adapter(form, color)
    (rgb,) = run_op(there, [make_frame(planes, form, color=color)])
    assert rgb.format.model is ColorModel.RGB
    (again,) = run_op(back, [rgb])
    assert max((a - b).abs().max() for a, b in zip(again.planes, planes, strict=True)) < 2e-6


def test_primary_colours_have_the_ycbcr_of_their_standard(yuv, make_frame, run_op):
    rgb = SampleFormat(model=ColorModel.RGB, depth=8)
    color = ColorSpec(
        matrix=Matrix.RGB, primaries=Primaries.BT709, transfer=Transfer.SRGB, range=Range.FULL
    )
    there, back = ycbcr_adapter(rgb, color)
    red = make_frame([torch.ones(1, 1), torch.zeros(1, 1), torch.zeros(1, 1)], rgb, color=color)
    (out,) = run_op(there, [red])
    assert [float(p) for p in out.planes] == pytest.approx([0.2126, 0.5 - 0.2126 / 1.8556, 1.0])
    (again,) = run_op(back, [out])
    assert [float(p) for p in again.planes] == pytest.approx([1, 0, 0], abs=1e-6)


def test_gray_becomes_neutral_and_comes_back(yuv, make_frame, run_op):
    gray = SampleFormat(model=ColorModel.GRAY, depth=8)
    color = spec("709")
    frame = make_frame([torch.rand(9, 7)], gray, color=color)
    for target in (yuv("420"), SampleFormat(model=ColorModel.RGB, depth=8)):
        to_color = (
            color
            if target.model is ColorModel.YCBCR
            else ColorSpec(
                matrix=Matrix.RGB,
                range=Range.FULL,
                primaries=color.primaries,
                transfer=color.transfer,
            )
        )
        (out,) = run_op(Convert(gray, color, to_form=target, to_color=to_color), [frame])
        if target.model is ColorModel.YCBCR:
            assert {float(v) for p in out.planes[1:] for v in p.flatten()} == {0.5}
            assert out.planes[1].shape == (5, 4)
        (back,) = run_op(Convert(target, to_color, to_form=gray, to_color=color), [out])
        assert torch.allclose(back.planes[0], frame.planes[0], atol=1e-6)


def test_alpha_is_passed_on_dropped_or_made_opaque(yuv, make_frame, run_op):
    color = spec("709")
    plain, with_alpha = yuv("444"), yuv("444", alpha=True)
    planes = [torch.rand(4, 4) for _ in range(4)]
    frame = make_frame(planes, with_alpha, color=color)
    (kept,) = run_op(Convert(with_alpha, color, to_form=with_alpha, to_color=color), [frame])
    (dropped,) = run_op(Convert(with_alpha, color, to_form=plain, to_color=color), [frame])
    (opaque,) = run_op(Convert(plain, color, to_form=with_alpha, to_color=color), [dropped])
    assert kept.planes[3] is planes[3]
    assert len(dropped.planes) == 3
    assert torch.equal(opaque.planes[3], torch.ones(4, 4))


def test_footroom_of_neutral_colours_passes_a_change_of_primaries(yuv, make_frame, run_op):
    form = yuv("444")
    luma = torch.tensor([[-0.05, -0.01, 0.0, 0.5, 1.0, 1.08]])
    frame = make_frame([luma, *[torch.full((1, 6), 0.5)] * 2], form, color=spec("601-525"))
    (out,) = run_op(Convert(form, frame.color, to_form=form, to_color=spec("709")), [frame])
    assert torch.allclose(out.planes[0], luma, atol=1e-5)
    assert torch.allclose(out.planes[1], torch.tensor(0.5), atol=1e-5)


# ------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "before",
    [
        spec("2020", transfer=Transfer.PQ),
        spec("2020", transfer=Transfer.HLG),
        spec("709", matrix=Matrix.ICTCP),
        spec("709", matrix=Matrix.YCGCO),
        spec("709", transfer=Transfer.LOG),
    ],
)
def test_what_has_no_conversion_is_a_plan_error(before, yuv):
    form = yuv("420")
    with pytest.raises(PlanError, match="no conversion from"):
        Convert(form, before, to_form=form, to_color=spec("601-525"))


def test_pq_keeps_its_signal_through_another_layout(yuv, make_frame, run_op):
    form, color = yuv("422", 10), spec("2020", transfer=Transfer.PQ)
    planes = [torch.rand(form.plane_size(n, 16, 16)) for n in range(3)]
    frame = make_frame(planes, form, color=color)
    (out,) = run_op(Convert(form, color, to_form=yuv("420", 10), to_color=color), [frame])
    assert out.planes[0] is planes[0]
    there, back = rgb_adapter(form, color)
    (rgb,) = run_op(there, [frame])
    (again,) = run_op(back, [rgb])
    assert torch.allclose(again.planes[0], planes[0], atol=1e-4)


def test_code_frames_and_other_layouts_are_refused(yuv, make_frame):
    form, color = yuv("420"), spec("709")
    convert_op = Convert(form, color, to_form=form, to_color=color)
    planes = [torch.zeros(2, 2), torch.zeros(1, 1), torch.zeros(1, 1)]
    with pytest.raises(ValueError, match="Normalise"):
        list(convert_op.push(make_frame(planes, form, color=color, coding=Coding.CODE)))
    with pytest.raises(ValueError, match="was made for"):
        list(convert_op.push(make_frame([torch.zeros(2, 2)] * 3, yuv("444"), color=color)))


# ---------------------------------------------------------------------------------------- zscale

ZSCALE_MATRIX = {"601-525": "170m", "601-625": "470bg", "709": "709", "2020": "2020_ncl"}
ZSCALE_PRIMARIES = {"601-525": "170m", "601-625": "bt470bg", "709": "709", "2020": "2020"}
ZSCALE_TRANSFER = {"601-525": "601", "601-625": "601", "709": "709", "2020": "2020_10"}
OW, OH = 128, 96


@pytest.fixture(scope="module")
def ffmpeg():
    """The external ffmpeg's path."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        pytest.skip(str(error))


def zscale(ffmpeg, codes, layouts, depth, names, ranges, sitings):
    suffix = "" if depth == 8 else f"{depth}le"
    words = {"limited": "tv", "full": "pc"}
    filters = (
        f"zscale=matrixin={ZSCALE_MATRIX[names[0]]}:matrix={ZSCALE_MATRIX[names[1]]}"
        f":primariesin={ZSCALE_PRIMARIES[names[0]]}:primaries={ZSCALE_PRIMARIES[names[1]]}"
        f":transferin={ZSCALE_TRANSFER[names[0]]}:transfer={ZSCALE_TRANSFER[names[1]]}"
        f":rangein={words[ranges[0]]}:range={words[ranges[1]]}"
        f":chromalin={sitings[0]}:chromal={sitings[1]}"
        ":filter=bicubic:param_a=0:param_b=0.5:dither=none:agamma=0"
        f",format=yuv{layouts[1]}p{suffix}"
    )
    dtype = "u1" if depth == 8 else "<u2"
    done = subprocess.run(
        [
            ffmpeg,
            "-v",
            "error",
            "-f",
            "rawvideo",
            "-pix_fmt",
            f"yuv{layouts[0]}p{suffix}",
            "-s",
            f"{OW}x{OH}",
            "-i",
            "-",
            "-vf",
            filters,
            "-f",
            "rawvideo",
            "-",
        ],
        input=b"".join(c.astype(dtype).tobytes() for c in codes),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return np.frombuffer(done.stdout, dtype).astype(np.int64)


def smooth(form):
    """Slowly changing colours inside every gamut, as code values."""
    out = []
    for number in range(3):
        rows, columns = form.plane_size(number, OW, OH)
        y, x = np.mgrid[:rows, :columns]
        y, x = (y + 0.5) / rows, (x + 0.5) / columns
        plane = (
            80 + 60 * x + 30 * y + 10 * np.sin(6 * x),
            128 + 15 * np.sin(5 * x + 2 * y),
            128 + 15 * np.cos(4 * y - 3 * x),
        )[number]
        out.append(np.rint(plane * (1 << (form.depth - 8))))
    return out


ZSCALE_CASES = (
    [
        (("420", "420"), (a, b), ("limited", "limited"), ("left", "left"))
        for a in COLORS
        for b in COLORS
        if a != b
    ]
    + [
        (("420", "420"), ("709", "709"), ranges, ("left", "left"))
        for ranges in (("limited", "full"), ("full", "limited"))
    ]
    + [
        (("420", "420"), ("709", "709"), ("limited", "limited"), pair)
        for pair in itertools.permutations(SITINGS, 2)
    ]
    + [
        (layouts, ("709", "709"), ("limited", "limited"), (siting, siting))
        for layouts in (("420", "444"), ("444", "420"), ("422", "420"), ("420", "422"))
        for siting in SITINGS
    ]
    + [
        (("420", "420"), ("601-625", "709"), ("limited", "full"), (siting, siting))
        for siting in SITINGS
    ]
)


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize(("layouts", "names", "ranges", "sitings"), ZSCALE_CASES)
def test_zscale_agrees_within_one_code_value(
    layouts, names, ranges, sitings, depth, ffmpeg, yuv, make_frame, run_op
):
    form, to_form = yuv(layouts[0], depth), yuv(layouts[1], depth)
    codes = smooth(form)
    before, after = (spec(n, r, s) for n, r, s in zip(names, ranges, sitings, strict=True))
    got = convert(codes, form, before, after, make_frame, run_op, to_form=to_form)
    expected = zscale(ffmpeg, codes, layouts, depth, names, ranges, sitings)
    flat = np.concatenate([plane.ravel() for plane in got])
    assert flat.shape == expected.shape
    assert np.abs(flat - expected).max() <= 1
