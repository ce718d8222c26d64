"""Parts of our networks written so that a trace of them keeps no size of its example.

Each does what its namesake in `nets` does, for every size; those are shorter and faster, but choose
slices, blocks and grids by Python's numbers, which a trace would write down once and for all.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.models.nets.fusion import (
    APART_AROUND,
    APART_BLOCK,
    APART_BLOCKS_HIGH,
    APART_SHARE,
    ramp,
)
from vrestore.models.nets.grid import box_mean

__all__ = ["grid_of_any_size", "regions_of_any_size", "shift_of_any_size"]

_FURTHEST = 4
"""Cells of the coarse level that `align.global_shift` looks."""

_NEVER = 1e9
"""Cost of a shift that is not allowed."""


def grid_of_any_size(flow: Tensor, height: int, width: int, cell: int = 2) -> Tensor:
    """`warp.sampling_grid`."""
    h, w = flow.shape[-2:]
    flow = F.interpolate(flow, size=(height, width), mode="bilinear")
    x = (torch.arange(width, device=flow.device) * 2.0 + 1.0) / width - 1.0
    y = (torch.arange(height, device=flow.device) * 2.0 + 1.0) / height - 1.0
    return torch.stack(
        (flow[:, 0] * (2.0 / (cell * w)) + x, flow[:, 1] * (2.0 / (cell * h)) + y[:, None]), -1
    )


def shift_of_any_size(a: Tensor, b: Tensor) -> Tensor:
    """`align.global_shift`: what lies beyond the other picture does not count."""
    h, w = a.shape[-2:]
    axis = range(-_FURTHEST, _FURTHEST + 1)
    shifts = [(dx, dy) for dy in axis for dx in axis]

    def shifted(plane: Tensor) -> Tensor:
        padded = F.pad(plane, (_FURTHEST,) * 4)
        return torch.cat(
            [
                padded[
                    ..., _FURTHEST + dy : _FURTHEST + dy + h, _FURTHEST + dx : _FURTHEST + dx + w
                ]
                for dx, dy in shifts
            ],
            1,
        )

    here = shifted(torch.ones_like(a[:1]))
    cost = ((a - shifted(b)).abs() * here).sum((2, 3)) / here.sum((2, 3)).clamp_min(1.0)
    # No further than a third of the picture: two thirds of its rows and columns overlap.
    overlap = torch.minimum(here.amax(3).mean(2), here.amax(2).mean(2))
    cost = torch.where(overlap > 2 / 3 - 1e-3, cost, _NEVER)
    zero = shifts.index((0, 0))
    best = cost.argmin(1)
    worth = cost.gather(1, best[:, None])[:, 0] < 0.6 * cost[:, zero]
    best = torch.where(worth, best, torch.full_like(best, zero))
    return torch.tensor(shifts, dtype=torch.float32)[best][..., None, None]


def regions_of_any_size(spot: Tensor) -> Tensor:
    """`fusion.over_regions`: means over blocks as products with the blocks' membership."""
    size = torch._shape_as_tensor(spot)[-2:]
    block = torch.clamp_min(size.min() // APART_BLOCKS_HIGH, APART_BLOCK)
    rows, columns = _membership(size[0], block), _membership(size[1], block)
    count = rows.sum(1, keepdim=True) * columns.sum(1)
    share = rows @ spot @ columns.T / count
    share = box_mean(share, APART_AROUND // 2)
    share = F.max_pool2d(share, APART_AROUND, 1, APART_AROUND // 2)
    return rows.T @ ramp(share, APART_SHARE) @ columns


def _membership(length: Tensor, block: Tensor) -> Tensor:
    """(blocks, length): 1 where a place lies in a block."""
    blocks = (length + block - 1) // block
    # Ends that are tensors are computed by a trace; torch's types know only numbers.
    number: Any = torch.arange
    member: Tensor = number(length) // block == number(blocks)[:, None]
    return member.float()
