"""Connected regions against a flood fill."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.ops.regions import connected


def flood(mask):
    """Sets of places, one a region."""
    left = {tuple(place) for place in mask.nonzero().tolist()}
    regions = []
    while left:
        stack, region = [left.pop()], set()
        while stack:
            y, x = stack.pop()
            region.add((y, x))
            for place in [(y + a, x + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]:
                if place in left:
                    left.remove(place)
                    stack.append(place)
        regions.append(frozenset(region))
    return set(regions)


@settings(max_examples=25)
@given(st.integers(1, 14), st.integers(1, 14), st.floats(0, 1), st.integers(0, 999))
def test_regions_are_those_of_a_flood_fill(height, width, share, seed):
    mask = torch.rand(height, width, generator=torch.Generator().manual_seed(seed)) < share
    found = connected(mask)
    groups = {}
    for y, x, label in zip(
        found.rows.tolist(), found.columns.tolist(), found.labels.tolist(), strict=True
    ):
        groups.setdefault(label, set()).add((y, x))
    assert {frozenset(group) for group in groups.values()} == flood(mask)
    assert found.count == len(groups)
    assert int(found.areas.sum()) == int(mask.sum())


def test_keeping_renumbers_and_means_follow():
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[0, :3] = mask[4, 2:4] = mask[7, 7] = True
    found = connected(mask)
    kept = found.keep(found.areas >= 2)
    assert kept.count == 2
    assert kept.areas.tolist() == [3, 2]
    assert kept.mean(kept.columns).tolist() == [1.0, 2.5]


def test_samples_of_another_kind_keep_apart():
    mask = torch.zeros(6, 6, dtype=torch.bool)
    mask[2, 1:5] = True
    bright = torch.zeros(6, 6, dtype=torch.bool)
    bright[2, 3:] = True
    found = connected(mask, bright)
    assert found.areas.tolist() == [2, 2]
    left = found.only(found.columns != 3)
    assert left.count == 2
    assert left.areas.tolist() == [2, 1]
