"""The resampler: kernels, phase, edges, and the published numbers for bicubic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vrestore.media import ChromaLocation, Coding, ColorModel, ColorSpec, Range, SampleFormat
from vrestore.ops.resample import Axis, Kernel, Resample, resample_plane

RATIOS = st.sampled_from([Fraction(n, d) for n in range(1, 9) for d in range(1, 9)])
SIZES = st.integers(1, 70)


def axis(size, to_size, kernel=Kernel.BICUBIC, **fields):
    return Axis(
        in_size=size, out_size=to_size, ratio=Fraction(to_size, size), kernel=kernel, **fields
    )


@given(
    size=SIZES,
    to_size=SIZES,
    kernel=st.sampled_from(Kernel),
    offset=st.sampled_from([0.125, 0.25, 0.5, 0.75]),
)
def test_weights_of_every_output_sum_to_one(size, to_size, kernel, offset):
    matrix = axis(size, to_size, kernel, in_offset=offset, out_offset=offset).matrix()
    assert torch.allclose(matrix.sum(dim=1), torch.ones(to_size, dtype=torch.float64))


@given(height=SIZES, width=SIZES, to_height=SIZES, to_width=SIZES, kernel=st.sampled_from(Kernel))
def test_blocks_are_the_dense_matrix(height, width, to_height, to_width, kernel):
    plane = torch.rand(height, width)
    vertical, horizontal = axis(height, to_height, kernel), axis(width, to_width, kernel)
    expected = vertical.matrix() @ plane.double() @ horizontal.matrix().T
    got = resample_plane(plane, vertical, horizontal)
    assert got.shape == (to_height, to_width)
    assert torch.allclose(got.double(), expected, atol=1e-5)


@given(size=SIZES, kernel=st.sampled_from(Kernel))
def test_the_same_size_is_the_same_plane(size, kernel):
    plane = torch.rand(size, size)
    assert resample_plane(plane, axis(size, size, kernel), axis(size, size, kernel)) is plane


@given(size=st.integers(1, 40), scale=st.integers(1, 4), kernel=st.sampled_from(Kernel))
def test_a_mirrored_picture_gives_the_mirrored_result(size, scale, kernel):
    plane = torch.rand(1, size)
    one, wide = axis(1, 1), axis(size, size * scale, kernel)
    assert torch.allclose(
        resample_plane(plane.flip(1), one, wide),
        resample_plane(plane, one, wide).flip(1),
        atol=1e-6,
    )


def test_cubic_weights_of_doubling_are_keys_own():
    row = axis(16, 32).matrix()[16]
    assert row[6:10].tolist() == pytest.approx([-0.0234375, 0.2265625, 0.8671875, -0.0703125])
    assert int((row != 0).sum()) == 4


def test_halving_reads_twice_as_far():
    assert int((axis(32, 16).matrix()[8] != 0).sum()) == 8
    assert int((axis(32, 16, Kernel.LANCZOS3).matrix()[8] != 0).sum()) == 12


@pytest.mark.parametrize("kernel", Kernel)
@pytest.mark.parametrize("to_size", [(160, 96), (96, 61), (37, 23), (640, 384)])
def test_a_ramp_stays_where_it_was(to_size, kernel, make_frame, run_op):
    """Luma and chroma of each siting show the same function of place after scaling."""
    form = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)
    width, height = 160, 96
    for location in (ChromaLocation.LEFT, ChromaLocation.CENTER, ChromaLocation.TOPLEFT):

        def planes(w, h, location=location):
            out = []
            for number in range(3):
                rows, columns = form.plane_size(number, w, h)
                step = 2 if number else 1
                first_x = 1.0 if number and location is ChromaLocation.CENTER else 0.5
                first_y = 1.0 if number and location is not ChromaLocation.TOPLEFT else 0.5
                x = (first_x + step * torch.arange(columns, dtype=torch.float64)) / w
                y = (first_y + step * torch.arange(rows, dtype=torch.float64)) / h
                out.append((0.2 + 0.3 * x[None, :] + 0.4 * y[:, None]).float())
            return out

        color = ColorSpec(range=Range.LIMITED, chroma_location=location)
        frame = make_frame(planes(width, height), form, color=color)
        (out,) = run_op(Resample(*to_size, kernel=kernel), [frame])
        for got, wanted in zip(out.planes, planes(*to_size), strict=True):
            assert got.shape == wanted.shape
            rows, columns = got.shape
            inner = np.s_[rows // 4 : -(rows // 4), columns // 4 : -(columns // 4)]
            # Stretched Lanczos is not quite linear; a phase error of a tenth of a sample is 4e-4.
            assert (got - wanted)[inner].abs().max() < 3e-4


@pytest.mark.parametrize("size", [(177, 143), (3, 5), (1, 1)])
def test_odd_sizes_scale_like_even_ones(size, yuv, make_frame, run_op):
    form = yuv("420")
    color = ColorSpec(range=Range.LIMITED, chroma_location=ChromaLocation.LEFT)
    frame = make_frame(
        [torch.full(form.plane_size(n, *size), 0.3) for n in range(3)], form, color=color
    )
    (out,) = run_op(Resample(size[0] * 2, size[1] * 2), [frame])
    for number, plane in enumerate(out.planes):
        assert tuple(plane.shape) == form.plane_size(number, size[0] * 2, size[1] * 2)
        assert torch.allclose(plane, torch.tensor(0.3), atol=1e-6)


def test_frames_of_the_right_size_pass_unchanged(make_frame, run_op):
    frame = make_frame([torch.rand(4, 4)], SampleFormat(model=ColorModel.GRAY, depth=8))
    (out,) = run_op(Resample(4, 4), [frame])
    assert out is frame


def test_code_frames_and_unresolved_siting_are_refused(yuv, make_frame):
    form = yuv("420")
    planes = [torch.zeros(form.plane_size(n, 4, 4)) for n in range(3)]
    with pytest.raises(ValueError, match="chroma location must be resolved"):
        list(Resample(8, 8).push(make_frame(planes, form)))
    with pytest.raises(ValueError, match="UNIT"):
        list(Resample(8, 8).push(make_frame(planes, form, coding=Coding.CODE)))


# -------------------------------------------------------------------------- the published value


def luma(rgb):
    return 16 + (65.481 * rgb[..., 0] + 128.553 * rgb[..., 1] + 24.966 * rgb[..., 2]) / 255


def scaled(plane, to_height, to_width):
    height, width = plane.shape
    return (
        resample_plane(
            torch.from_numpy(plane).float(), axis(height, to_height), axis(width, to_width)
        )
        .round()
        .clamp(0, 255)
        .numpy()
    )


@pytest.mark.parametrize(("scale", "published"), [(2, 33.66), (3, 30.39), (4, 28.42)])
def test_bicubic_reaches_the_published_psnr_on_set5(scale, published, shared):
    """Luma, borders of `scale` samples left out, as in the papers: MATLAB's imresize."""
    values = []
    for path in sorted((shared / "data/benchmark/Set5").glob("*.png")):
        rgb = np.asarray(Image.open(path).convert("RGB"), np.float64)
        height, width = (n - n % scale for n in rgb.shape[:2])
        truth = np.rint(luma(rgb[:height, :width]))
        small = scaled(truth, height // scale, width // scale)
        error = (scaled(small, height, width) - truth)[scale:-scale, scale:-scale]
        values.append(10 * np.log10(255**2 / np.mean(error**2)))
    assert len(values) == 5
    assert np.mean(values) == pytest.approx(published, abs=0.02)
