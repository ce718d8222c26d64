"""The aligner: coarse motion between two frames, from luma alone.

    level     works on                            finds
    1/32      81 shifts of the whole picture      one global translation, +-128 luma samples
    1/8       correlation over 9x9 cells          +-32 around it
    1/4       features of both, convolutions      a few samples around that
    1/2       2x2 luma blocks, convolutions       the rest, to about a sample
    1/2       one Gauss-Newton step               the fraction of a sample

Each level corrects the one before; coordinates are fp32.  Feature maps are made once per frame
and serve both of its pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vrestore.models.nets.grid import box_mean, constant, halved, to_cells
from vrestore.models.nets.warp import along


class Pyramid(NamedTuple):
    """What the aligner keeps of one frame; sizes are those of the padded luma."""

    luma: Tensor
    """(N, 1, H, W), contrast-normalised."""
    quarter: Tensor
    """(N, 16, H/4, W/4)"""
    eighth: Tensor
    """(N, 24, H/8, W/8), unit length per cell"""
    coarse: Tensor
    """(N, 1, H/32, W/32)"""


def _normalised(luma: Tensor) -> Tensor:
    """Luma without local mean and contrast, so that flicker and fades do not look like motion."""
    small = F.avg_pool2d(luma, 8)
    mean = F.avg_pool2d(small, 5, 1, 2, count_include_pad=False)
    power = F.avg_pool2d(F.avg_pool2d(luma.square(), 8), 5, 1, 2, count_include_pad=False)
    spread = (power - mean.square()).clamp_min(0).sqrt() + 0.03
    both = F.interpolate(torch.cat((mean, spread), 1), scale_factor=8, mode="bilinear")
    return (luma - both[:, :1]) / both[:, 1:]


def correlation(a: Tensor, b: Tensor, radius: int) -> Tensor:
    """Products of each cell of `a` with the cells of `b` around it, (N, (2*radius+1)**2, h, w)."""
    h, w = a.shape[-2:]
    padded = F.pad(b, (radius,) * 4)
    size = 2 * radius + 1
    return torch.cat(
        [
            (a * padded[..., dy : dy + h, dx : dx + w]).sum(1, keepdim=True)
            for dy in range(size)
            for dx in range(size)
        ],
        1,
    )


def gauss_newton(a: Tensor, moved: Tensor, damping: Tensor, radius: int = 2) -> Tensor:
    """One step of Lucas and Kanade, (N, 2, H/2, W/2) in samples, at most one sample long.

    A division is what a few convolutions are worst at, and what the fraction of a sample needs.
    `a` and `moved` are (N, 1, H, W); the window has `2 * radius + 1` cells of the grid a side.
    """
    mean = F.pad(0.5 * (a + moved), (1, 1, 1, 1), mode="replicate")
    x = 0.5 * (mean[..., 1:-1, 2:] - mean[..., 1:-1, :-2])
    y = 0.5 * (mean[..., 2:, 1:-1] - mean[..., :-2, 1:-1])
    difference = a - moved
    # Halved one by one: all five at full size would be the largest thing a step ever holds.
    pairs = ((x, x), (x, y), (y, y), (x, difference), (y, difference))
    products = box_mean(torch.cat([halved(p * q) for p, q in pairs], 1), radius)
    xx, xy, yy, xd, yd = products.unbind(1)
    xx, yy = xx + damping, yy + damping
    step = torch.stack((yy * xd - xy * yd, xx * yd - xy * xd), 1)
    return (step / (xx * yy - xy * xy).unsqueeze(1)).clamp(-1.0, 1.0)


def _offsets(radius: int, like: Tensor) -> Tensor:
    """(2, (2*radius+1)**2): x and y of each correlation channel."""
    axis = torch.arange(-radius, radius + 1, dtype=torch.float32, device=like.device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack((x.reshape(-1), y.reshape(-1)))


def global_shift(a: Tensor, b: Tensor) -> Tensor:
    """Translation of the whole picture in cells of the coarse level, (N, 2, 1, 1), -4..4.

    Zero unless another shift matches clearly better, since a wrong one cannot be undone by the
    finer levels.
    """
    n, _, h, w = a.shape
    ry, rx = min(4, h // 3), min(4, w // 3)
    padded = F.pad(b, (rx, rx, ry, ry))
    there = F.pad(torch.ones_like(b[:1]), (rx, rx, ry, ry))
    shifts = [(dx, dy) for dy in range(-ry, ry + 1) for dx in range(-rx, rx + 1)]
    moved, inside = (
        torch.cat([t[..., ry + dy : ry + dy + h, rx + dx : rx + dx + w] for dx, dy in shifts], 1)
        for t in (padded, there)
    )
    cost = ((a - moved).abs() * inside).sum((2, 3)) / inside.sum((2, 3))
    zero = shifts.index((0, 0))
    best = cost.argmin(1)
    worth = cost.gather(1, best[:, None])[:, 0] < 0.6 * cost[:, zero]
    best = torch.where(worth, best, torch.full_like(best, zero))
    return constant(tuple(shifts), a.device)[best].view(n, 2, 1, 1)


class Search(NamedTuple):
    """What does the parts of a search that are no convolution: torch, or anything that gives the
    same."""

    read: Callable[..., Tensor] = along
    correlate: Callable[[Tensor, Tensor, int], Tensor] = correlation
    refine: Callable[[Tensor, Tensor, Tensor], Tensor] = gauss_newton


class Aligner(nn.Module):
    """Displacement fields between neighbouring frames."""

    def __init__(self) -> None:
        super().__init__()
        self.search = Search()
        self.quarter = nn.Conv2d(1, 16, 3, padding=1)
        self.eighth = nn.ModuleList((nn.Conv2d(16, 24, 3, 2, 1), nn.Conv2d(24, 24, 3, padding=1)))
        self.sharpness = nn.Parameter(torch.tensor(8.0))
        self.at_eighth = self._decoder(81 + 24, 32)
        self.at_quarter = self._decoder(16 + 16 + 2, 24)
        self.at_half = self._decoder(4 + 4 + 2, 16)
        self.damping = nn.Parameter(torch.tensor(-5.5))

    @staticmethod
    def _decoder(inputs: int, width: int) -> nn.Sequential:
        last = nn.Conv2d(width, 2, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        return nn.Sequential(
            nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True), last,
        )  # fmt: skip

    def pyramid(self, luma: Tensor) -> Pyramid:
        """Feature maps of luma (N, 1, H, W) of any size, fp32."""
        height, width = luma.shape[-2:]
        padded = F.pad(luma, (0, -width % 32, 0, -height % 32), mode="replicate")
        even = _normalised(padded)
        small = F.avg_pool2d(even, 4)
        quarter = self.quarter(small).relu_()
        eighth = self.eighth[1](self.eighth[0](quarter).relu_())
        eighth = eighth / (eighth.square().sum(1, keepdim=True) + 1e-4).sqrt()
        return Pyramid(even, quarter, eighth, F.avg_pool2d(small, 8))

    def forward(self, a: Pyramid, b: Pyramid) -> list[Tensor]:
        """Flows from `a` to `b` in luma samples at 1/8, 1/4 and 1/2, the last on the grid.

        They cover the padded size; `crop` them to the picture's grid.
        """
        coarse = global_shift(a.coarse, b.coarse) * 32.0
        h8, w8 = a.eighth.shape[-2:]
        flow8 = coarse.expand(-1, 2, h8, w8)
        moved = self.search.read(b.eighth, flow8, 8)
        match = self.search.correlate(a.eighth, moved, 4)
        found = torch.einsum(
            "nkhw,ck->nchw", (match * self.sharpness).softmax(1), _offsets(4, match)
        )
        told = torch.cat((match, a.eighth), 1).contiguous(memory_format=torch.channels_last)
        flow8 = flow8 + 8.0 * (found + self.at_eighth(told))

        flow4 = doubled(flow8)
        moved = self.search.read(b.quarter, flow4, 4)
        pair = torch.cat((a.quarter, a.quarter - moved, flow4 / 8), 1)
        flow4 = flow4 + 4.0 * self.at_quarter(pair.contiguous(memory_format=torch.channels_last))

        flow2 = doubled(flow4)
        moved = self.search.read(b.luma, flow2)
        blocks = torch.cat((to_cells(a.luma, 2, 2), to_cells(a.luma - moved, 2, 2), flow2 / 8), 1)
        residual = self.at_half(blocks.contiguous(memory_format=torch.channels_last))
        flow2 = flow2 + residual
        moved = self.search.read(b.luma, flow2)
        step = self.search.refine(a.luma, moved, F.softplus(self.damping))
        return [flow8, flow4, flow2 + step]


def doubled(flow: Tensor) -> Tensor:
    """A flow for a grid with twice the cells a side, in the same unit."""
    # With neighbouring channels side by side, as convolutions leave them, this takes four times as
    # long.
    return F.interpolate(flow.contiguous(), scale_factor=2, mode="bilinear")


def crop(flow: Tensor, h: int, w: int) -> Tensor:
    """A flow without the aligner's padding, on a grid of h x w."""
    return flow[..., :h, :w]
