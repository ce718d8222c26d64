"""Warping along a displacement field, and how far a field can be believed.

A flow is (N, 2, h, w), fp32, (x, y) in luma samples on the half-resolution grid: the point p of
the current frame is found at p + flow(p) in the other one.  Coordinates stay fp32 whatever the
pictures are: half precision cannot even name the columns of a 4K frame.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.models.nets.grid import constant


def sampling_grid(flow: Tensor, height: int, width: int, cell: int = 2) -> Tensor:
    """Where a plane of that size is read, (N, height, width, 2), normalised as grid_sample.

    `cell` is the side of one cell of the flow in luma samples.
    """
    h, w = flow.shape[-2:]
    if (h, w) != (height, width):
        flow = F.interpolate(flow.contiguous(), size=(height, width), mode="bilinear")
    # Flows are in luma samples, of which there are `cell` times w.
    grid = flow.permute(0, 2, 3, 1) * constant((2.0 / (cell * w), 2.0 / (cell * h)), flow.device)
    grid[..., 0] += _centres(width, flow.device)
    grid[..., 1] += _centres(height, flow.device)[:, None]
    return grid


@lru_cache(maxsize=32)
def _centres(size: int, device: torch.device) -> Tensor:
    """Of samples, which lie at (i + 0.5) / size of the unit square, as -1..1; (size,)."""
    with torch.inference_mode(False):
        return (torch.arange(size, device=device, dtype=torch.float32) * 2 + 1) / size - 1


def sample(
    plane: Tensor, grid: Tensor, mode: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
) -> Tensor:
    """The plane (N, C, H, W) read at a grid; what lies outside repeats the edge."""
    return F.grid_sample(plane, grid, mode=mode, padding_mode="border", align_corners=False)


def local_range(plane: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of each 3x3 neighbourhood, edges repeated."""
    padded = F.pad(plane, (1, 1, 1, 1), mode="replicate")
    left, middle, right = padded[..., :-2], padded[..., 1:-1], padded[..., 2:]
    low = torch.minimum(torch.minimum(left, right), middle)
    high = torch.maximum(torch.maximum(left, right), middle)
    return (
        torch.minimum(torch.minimum(low[..., :-2, :], low[..., 2:, :]), low[..., 1:-1, :]),
        torch.maximum(torch.maximum(high[..., :-2, :], high[..., 2:, :]), high[..., 1:-1, :]),
    )


def sample_sharp(plane: Tensor, grid: Tensor) -> Tensor:
    """Bicubic reading that cannot overshoot what surrounds the nearest sample.

    The clamp is what keeps a state that is warped again and again from ringing up.
    """
    low, high = local_range(plane)
    limits = sample(torch.cat((low, high), 1), grid, "nearest")
    low, high = limits.chunk(2, 1)
    return torch.minimum(torch.maximum(sample(plane, grid, "bicubic"), low), high)


def along(plane: Tensor, flow: Tensor, cell: int = 2) -> Tensor:
    """The plane (N, C, H, W) read bilinearly where a flow with such cells points to."""
    height, width = plane.shape[-2:]
    return sample(plane, sampling_grid(flow, height, width, cell))


def sharp_along(plane: Tensor, flow: Tensor) -> Tensor:
    """The same by `sample_sharp`; a cell is two luma samples wide."""
    return sample_sharp(plane, sampling_grid(flow, *plane.shape[-2:]))


class Warps(NamedTuple):
    """What reads planes along a flow, by torch or by anything that gives the same."""

    plain: Callable[..., Tensor] = along
    sharp: Callable[[Tensor, Tensor], Tensor] = sharp_along


def validity(flow: Tensor, back: Tensor) -> Tensor:
    """How far a flow can be believed, (N, 1, h, w) in 0..1.

    1 where going there and back returns to the start and the target lies inside the frame.
    Photometric agreement plays no part: it would close exactly where a neighbour is needed, at
    dust.
    """
    h, w = flow.shape[-2:]
    grid = sampling_grid(flow, h, w)
    returned = flow + sample(back, grid)
    error = returned.square().sum(1, keepdim=True)
    tolerance = 2.0 + 0.05 * flow.square().sum(1, keepdim=True).sqrt()
    inside = (grid.abs() <= 1.0).all(-1).unsqueeze(1)
    return torch.exp(-0.5 * error / tolerance.square()) * inside
