"""How a picture at rest changes: its grain, and what trembling leaves at its edges."""

import pytest
import torch

from tests.ops.shots import texture
from vrestore.ops.shift import Displacement, displaced
from vrestore.ops.unrest import unrest_of


@pytest.mark.parametrize("aside", [0.1, 0.25])
def test_edges_change_by_the_square_of_how_far_a_picture_moved(aside):
    still = texture(192, 256, 1)
    moved = displaced(still, Displacement(x=aside, y=0.0))
    found = unrest_of(still, moved)
    assert found.steep == pytest.approx(aside**2, rel=0.35)
    assert found.calm < 1e-5


def test_grain_is_the_same_everywhere_and_no_matter_of_edges():
    still = texture(192, 256, 2)
    generator = torch.Generator().manual_seed(0)
    one, other = (still + 0.01 * torch.randn(still.shape, generator=generator) for _ in range(2))
    found = unrest_of(one, other)
    assert found.calm == pytest.approx(2e-4, rel=0.1)
    assert found.steep < 0.02


def test_what_moves_by_itself_in_a_part_of_the_picture_does_not_count():
    still = texture(192, 256, 3)
    other = still.clone()
    other[:, :96] = texture(192, 96, 4)
    assert unrest_of(still, other).steep < 0.01


@pytest.mark.parametrize("size", [(1, 40), (3, 200), (9, 2)])
def test_a_picture_of_any_size_has_one(size):
    unrest_of(torch.rand(size), torch.rand(size))
