"""Motion between two pictures, fast and undisturbed by what only one of them shows.

A pyramid of luma is searched from coarse to fine: clipped absolute differences of overlapping
blocks, so that a speck of dirt cannot outvote its surroundings, then robust Gauss-Newton steps
(Lucas and Kanade, 1981; Baker and Matthews, 2004) for the fraction.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

__all__ = ["CELL", "Pyramid", "displace", "estimate", "pyramid", "read_at"]

CELL = 8
"""Side of the square of luma samples that shares one vector."""

_BLOCK = 4
"""The same in samples of the level that is searched; vectors come from the half-size level."""

_REACH = 3
"""Search range at the coarsest level, in its samples; 1 at the others."""

_COARSEST = 24
"""Smallest side of a level that is still halved is twice this."""

_CLIP = 0.3
"""Differences above this say "not the same thing" and no more."""

_STAY = 0.0015
"""By how much another vector must be better than the present one."""

_TOGETHER = 40000
"""Samples that are worked on at once."""

Pyramid = Sequence[torch.Tensor]
"""(1, 1, h, w) luma without the mean, half size first, each level half of the one before."""


def pyramid(luma: torch.Tensor) -> Pyramid:
    """The levels of a (H, W) float plane on the unit scale; at least one."""
    level = _halved(luma[None, None].float())
    levels = [level - level.mean()]
    while min(levels[-1].shape[-2:]) >= 2 * _COARSEST:
        levels.append(_halved(levels[-1]))
    return levels


def _halved(plane: torch.Tensor) -> torch.Tensor:
    """Means of 2x2; an odd last row or column is repeated."""
    plane = F.pad(plane, (0, plane.shape[-1] % 2, 0, plane.shape[-2] % 2), mode="replicate")
    rows = plane[..., ::2, :] + plane[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]).mul_(0.25)


def estimate(here: Pyramid, there: Pyramid) -> torch.Tensor:
    """Where each cell of one picture is found in the other.

    Returns (1, 2, ceil(H/8), ceil(W/8)): x and y in luma samples; what is at p here is at
    p + vector there.
    """
    flow = _zeros(here[-1])
    for number in range(len(here) - 1, -1, -1):
        coarsest = number == len(here) - 1
        if not coarsest:
            flow = _finer(flow, here[number])
        flow = _search(here[number], there[number], flow, _REACH if coarsest else 1)
        flow = _refine(here[number], there[number], _vector_median(flow))
    return _vector_median(flow) * 2


def _zeros(level: torch.Tensor) -> torch.Tensor:
    height, width = level.shape[-2:]
    return level.new_zeros(1, 2, -(-height // _BLOCK), -(-width // _BLOCK))


def _finer(flow: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """The vectors of a level as those of the next finer one."""
    rows, columns = (-(-size // _BLOCK) for size in level.shape[-2:])
    doubled = flow.repeat_interleave(2, 2).repeat_interleave(2, 3)[..., :rows, :columns]
    missing = (0, columns - doubled.shape[-1], 0, rows - doubled.shape[-2])
    return F.pad(doubled, missing, mode="replicate") * 2


def _pooled(plane: torch.Tensor) -> torch.Tensor:
    """Means over windows of three blocks around each block."""
    blocks = F.avg_pool2d(plane, _BLOCK, ceil_mode=True, count_include_pad=False)
    return F.avg_pool2d(blocks, 3, 1, 1, count_include_pad=False)


def _search(
    here: torch.Tensor, there: torch.Tensor, flow: torch.Tensor, reach: int
) -> torch.Tensor:
    """The best whole-sample correction of each vector."""
    height, width = here.shape[-2:]
    warped = displace(there, flow, _BLOCK)
    wide = F.pad(warped, (reach, reach, reach, reach), mode="replicate")
    places = [(y, x) for y in range(2 * reach + 1) for x in range(2 * reach + 1)]
    costs = []
    # Small levels are many small calls, large ones leave the cache.
    together = max(1, _TOGETHER // (height * width))
    for first in range(0, len(places), together):
        moved = torch.cat(
            [wide[..., y : y + height, x : x + width] for y, x in places[first : first + together]]
        )
        costs.append(_pooled(moved.sub_(here).abs_().clamp_(max=_CLIP)))
    cost = torch.cat(costs)[:, 0]
    cost[len(places) // 2] -= _STAY
    best = cost.argmin(0)
    return flow + torch.stack((best % (2 * reach + 1) - reach, best // (2 * reach + 1) - reach))


def _refine(here: torch.Tensor, there: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """One weighted Gauss-Newton step, at most one sample long."""
    warped = displace(there, flow, _BLOCK)
    error = here - warped
    across = torch.zeros_like(warped)
    across[..., 1:-1] = (warped[..., 2:] - warped[..., :-2]).mul_(0.5)
    down = torch.zeros_like(warped)
    down[..., 1:-1, :] = (warped[..., 2:, :] - warped[..., :-2, :]).mul_(0.5)
    weight = 1 / (1 + (error / (0.5 * _CLIP)).square_()).square_()
    wx, wy = weight * across, weight * down
    xx, xy, yy, xe, ye = _pooled(
        torch.cat((wx * across, wx * down, wy * down, wx * error, wy * error), 0)
    ).unbind(0)
    # The ridge keeps blank cells where their neighbours' coarser vectors put them.
    xx, yy = xx + 2e-5, yy + 2e-5
    determinant = xx * yy - xy * xy
    step = torch.stack((yy * xe - xy * ye, xx * ye - xy * xe), 1) / determinant
    return flow + step.clamp_(-1, 1)


def _vector_median(flow: torch.Tensor) -> torch.Tensor:
    """Component-wise median of five: the cell and its four neighbours."""
    wide = F.pad(flow, (1, 1, 1, 1), mode="replicate")
    above, below = wide[..., :-2, 1:-1], wide[..., 2:, 1:-1]
    left, right = wide[..., 1:-1, :-2], wide[..., 1:-1, 2:]
    # The middle of five: what is left of two pairs without the least and the greatest, and itself.
    low = torch.maximum(torch.minimum(above, below), torch.minimum(left, right))
    high = torch.minimum(torch.maximum(above, below), torch.maximum(left, right))
    low, high = torch.minimum(low, high), torch.maximum(low, high)
    return torch.minimum(torch.maximum(flow, low), high)


def displace(
    plane: torch.Tensor, flow: torch.Tensor, cell: int = CELL, nearest: bool = False
) -> torch.Tensor:
    """A (1, C, h, w) plane read where the vectors (in its own samples, one per `cell`) point.

    Bilinear; outside, the edge is repeated.
    """
    height, width = plane.shape[-2:]
    rows, columns = flow.shape[-2:]
    dense = F.interpolate(
        flow, size=(rows * cell, columns * cell), mode="bilinear"
    )[..., :height, :width]  # fmt: skip
    x = torch.arange(width, device=plane.device, dtype=torch.float32)
    y = torch.arange(height, device=plane.device, dtype=torch.float32)
    grid = torch.empty(1, height, width, 2, device=plane.device)
    torch.add(dense[:, 0], x, out=grid[..., 0])
    torch.add(dense[:, 1], y[:, None], out=grid[..., 1])
    grid[..., 0].mul_(2 / width).add_(1 / width - 1)
    grid[..., 1].mul_(2 / height).add_(1 / height - 1)
    return F.grid_sample(
        plane,
        grid,
        mode="nearest" if nearest else "bilinear",
        padding_mode="border",
        align_corners=False,
    )


def read_at(plane: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Values of a (H, W) plane at positions (N,), Catmull-Rom, never beyond the samples around.

    Outside, the edge is repeated.
    """
    height, width = plane.shape
    left, top = x.floor(), y.floor()
    weights_x, weights_y = _catmull_rom(x - left), _catmull_rom(y - top)
    steps = torch.arange(-1, 3, device=plane.device)
    columns = (left.long()[:, None] + steps).clamp_(0, width - 1)
    rows = (top.long()[:, None] + steps).clamp_(0, height - 1)
    around = plane[rows[:, :, None], columns[:, None, :]].float()
    value = torch.einsum("nij,ni,nj->n", around, weights_y, weights_x)
    near = around[:, 1:3, 1:3]
    return torch.minimum(torch.maximum(value, near.amin((1, 2))), near.amax((1, 2)))


def _catmull_rom(t: torch.Tensor) -> torch.Tensor:
    """(N, 4) weights of the samples at -1, 0, 1, 2 for fractions in [0, 1)."""
    square, cube = t * t, t * t * t
    return torch.stack(
        (
            -0.5 * t + square - 0.5 * cube,
            1 - 2.5 * square + 1.5 * cube,
            0.5 * t + 2 * square - 1.5 * cube,
            -0.5 * square + 0.5 * cube,
        ),
        1,
    )
