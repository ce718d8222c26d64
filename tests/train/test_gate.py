"""The gate for checkpoints."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vrestore.models.nets.cell import Cell
from vrestore.train.gate import REFERENCE, RollOut, roll_outs


def test_a_fall_of_more_than_a_tenth_of_a_decibel_does_not_pass():
    flat = [30.0] * 60
    assert RollOut(name="x", decibels=tuple(flat)).passed
    assert not RollOut(name="x", decibels=(*flat[:-20], *[29.8] * 20)).passed
    assert RollOut(name="x", decibels=(*[20.0] * REFERENCE, *flat)).passed


def test_a_cell_that_finds_no_motion_gains_from_time_on_a_static_shot_and_keeps_it():
    torch.manual_seed(0)
    still = F.interpolate(torch.rand(1, 1, 12, 20), size=(64, 128), mode="bilinear")
    cell = Cell(8, 1)
    with torch.no_grad():
        # Sharpness 0 makes the correlation's mean offset, nothing, out of every match.
        cell.align.sharpness.zero_()
        cell.align.damping.fill_(20.0)
    static, slow = roll_outs(cell, still, scale=1, frames=40)
    assert (static.name, slow.name) == ("static", "slow")
    assert len(static.decibels) == 39
    assert static.passed
    assert static.decibels[20] > 28.0 + 2.0, "noise of 0.04 alone gives 28 dB"


def test_a_still_too_small_to_pan_over_is_refused():
    with pytest.raises(ValueError, match="small"):
        roll_outs(Cell(8, 1), torch.rand(1, 1, 40, 40), scale=1, frames=300)
