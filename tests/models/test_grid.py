"""The half-resolution grid: cells, folding, magnification."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from vrestore.models.nets.grid import (
    YUV420,
    YUV422,
    YUV444,
    Layout,
    Picture,
    box_mean,
    cells_to_picture,
    fold_inputs,
    fold_outputs,
    from_cells,
    halved,
    picture_to_cells,
    samples_of_luma,
    to_cells,
    upsample,
)

LAYOUTS = (YUV420, YUV422, YUV444, Layout(1, 2))


@given(rows=st.integers(1, 3), columns=st.integers(1, 3), h=st.integers(1, 4), w=st.integers(1, 4))
def test_cells_and_planes_are_inverse(rows: int, columns: int, h: int, w: int):
    plane = torch.arange(2 * h * rows * w * columns).float().view(1, 2, h * rows, w * columns)
    assert torch.equal(from_cells(to_cells(plane, rows, columns), rows, columns), plane)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_picture_survives_the_trip_through_cells(layout: Layout):
    picture = Picture(torch.rand(2, 1, 6, 8), torch.rand(2, 2, 3 * layout.rows, 4 * layout.columns))
    luma, chroma = cells_to_picture(picture_to_cells(picture, layout), layout)
    assert torch.equal(luma, picture.luma)
    assert chroma is not None and picture.chroma is not None
    assert torch.equal(chroma, picture.chroma)


def repeated(chroma: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Chroma of a layout as that of 4:4:4, by repetition."""
    return chroma.repeat_interleave(2 // layout.rows, 2).repeat_interleave(2 // layout.columns, 3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folded_stem_sees_what_the_full_one_sees_of_repeated_chroma(layout: Layout):
    kernel = torch.randn(5, 8, 3, 3, dtype=torch.float64)
    chroma = torch.randn(1, 2, 4 * layout.rows, 5 * layout.columns, dtype=torch.float64)
    full = F.conv2d(to_cells(repeated(chroma, layout), 2, 2), kernel, padding=1)
    folded = F.conv2d(
        to_cells(chroma, layout.rows, layout.columns), fold_inputs(kernel, layout), padding=1
    )
    assert torch.allclose(full, folded, atol=1e-12)


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folded_head_gives_the_mean_of_what_the_full_one_gives(layout: Layout, scale: int):
    kernel = torch.randn(2 * (2 * scale) ** 2, 3, 3, 3, dtype=torch.float64)
    features = torch.randn(1, 3, 4, 5, dtype=torch.float64)
    full = from_cells(F.conv2d(features, kernel, padding=1), 2 * scale, 2 * scale)
    folded = F.conv2d(features, fold_outputs(kernel, layout, scale), padding=1)
    plane = from_cells(folded, layout.rows * scale, layout.columns * scale)
    assert torch.allclose(F.avg_pool2d(full, (2 // layout.rows, 2 // layout.columns)), plane)


def test_what_belongs_to_luma_is_averaged_over_each_chroma_sample():
    weights = torch.arange(4.0).view(1, 4, 1, 1)
    assert samples_of_luma(weights, YUV420).flatten().tolist() == [1.5]
    assert samples_of_luma(weights, YUV422).flatten().tolist() == [0.5, 2.5]
    assert samples_of_luma(weights, YUV444).flatten().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("scale", [2, 4])
def test_a_shifted_magnification_of_a_ramp_is_the_shifted_ramp(scale: int):
    ramp = torch.arange(24.0).view(1, 1, 1, 24).expand(1, 1, 24, 24)
    plane = upsample(ramp, scale, (0.0, 0.125))[0, 0]
    wanted = (torch.arange(24 * scale) + 0.5) / scale - 0.5 + 0.125
    assert torch.allclose(
        plane[12 * scale, 3 * scale : -3 * scale], wanted[3 * scale : -3 * scale], atol=1e-4
    )


@pytest.mark.parametrize("scale", [2, 4])
def test_both_ways_of_magnifying_agree_inside(scale: int):
    plane = torch.rand(1, 2, 12, 14)
    fixed, general = upsample(plane, scale), upsample(plane, scale, (0.0, 1e-9))
    inside = (..., slice(3 * scale, -3 * scale), slice(3 * scale, -3 * scale))
    assert torch.allclose(fixed[inside], general[inside], atol=1e-5)


def test_magnifying_by_one_changes_nothing():
    plane = torch.rand(1, 1, 4, 4)
    assert upsample(plane, 1, (0.0, 0.2)) is plane


@pytest.mark.parametrize("radius", [1, 2, 5])
@pytest.mark.parametrize("size", [(3, 4), (9, 16)])
def test_a_box_mean_is_the_mean_of_what_lies_inside(radius: int, size: tuple[int, int]):
    plane = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(radius))
    made = box_mean(plane, radius)
    for y in range(size[0]):
        for x in range(size[1]):
            rows, columns = (
                slice(max(0, y - radius), y + radius + 1),
                slice(max(0, x - radius), x + radius + 1),
            )
            assert torch.allclose(made[..., y, x], plane[..., rows, columns].mean((2, 3)))


def test_halving_is_the_mean_of_four():
    plane = torch.rand(1, 2, 6, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(halved(plane), F.avg_pool2d(plane, 2))
