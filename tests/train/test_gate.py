"""The gate for checkpoints."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vrestore.models.nets.cell import Cell
from vrestore.train.gate import PERIOD, REFERENCE, RollOut, roll_outs


def test_a_fall_of_more_than_a_tenth_of_a_decibel_does_not_pass():
    flat = [3.0] * 120
    assert RollOut(name="x", gains=tuple(flat)).passed
    assert not RollOut(name="x", gains=(*flat[:-PERIOD], *[2.8] * PERIOD)).passed
    assert RollOut(name="x", gains=(*[0.0] * REFERENCE, *flat)).passed


def test_a_cell_that_finds_no_motion_gains_from_time_on_a_static_shot_and_keeps_it():
    torch.manual_seed(0)
    still = F.interpolate(torch.rand(1, 1, 12, 20), size=(64, 128), mode="bilinear")
    cell = Cell(8, 1)
    with torch.no_grad():
        # Sharpness 0 makes the correlation's mean offset, nothing, out of every match.
        cell.align.sharpness.zero_()
        cell.align.damping.fill_(20.0)
    static, slow = roll_outs(cell, still, scale=1, frames=110)
    assert (static.name, slow.name) == ("static", "slow")
    assert len(static.gains) == 109
    assert static.passed
    assert static.gains[20] > 2.0


def test_a_still_too_small_to_pan_over_is_refused():
    with pytest.raises(ValueError, match="small"):
        roll_outs(Cell(8, 1), torch.rand(1, 1, 40, 40), scale=1, frames=120)
