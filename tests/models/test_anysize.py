"""What stands in for parts of our networks in a trace does what they do, at every size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vrestore.models.anysize import regions_of_any_size, shift_of_any_size
from vrestore.models.nets.align import global_shift
from vrestore.models.nets.fusion import over_regions


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 2), (2, 3), (3, 5), (4, 4), (7, 13), (12, 12), (13, 20)]
)
def test_the_shift_found_is_the_same(size: tuple[int, int]):
    h, w = size
    generator = torch.Generator().manual_seed(h * 31 + w)
    found = set()
    for dy, dx in [(0, 0), (1, -1), (-3, 2), (4, 4), (0, -4), (2, 0)]:
        wide = torch.rand(2, 1, h + 10, w + 10, generator=generator)
        a, b = wide[..., 5 : 5 + h, 5 : 5 + w], wide[..., 5 - dy : 5 - dy + h, 5 - dx : 5 - dx + w]
        wanted = global_shift(a, b)
        assert torch.equal(shift_of_any_size(a, b), wanted)
        found |= {tuple(shift) for shift in wanted[..., 0, 0].tolist()}
    # And it does find some, where there is room to.
    assert len(found) > 3 or min(size) < 7


@pytest.mark.parametrize(
    "size", [(8, 8), (8, 13), (60, 81), (239, 300), (240, 400), (271, 300), (541, 700)]
)
def test_the_regions_found_are_the_same(size: tuple[int, int]):
    coarse = torch.rand(1, 1, 6, 7, generator=torch.Generator().manual_seed(sum(size)))
    spot = (F.interpolate(coarse, size=size) > 0.5).float()
    spot = spot * torch.rand(spot.shape, generator=torch.Generator().manual_seed(1)).sqrt()
    wanted = over_regions(spot)
    assert (regions_of_any_size(spot) - wanted).abs().max() < 1e-5
    assert wanted.max() > 0.5 or min(size) < 60
