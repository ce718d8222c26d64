"""Dropouts: stretches of a line without signal, white, black or noisy, in one frame only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F

from vrestore.media import Frame
from vrestore.ops.infill import luma_of
from vrestore.ops.regions import connected
from vrestore.ops.tape.stage import ShotStage, box, with_planes

__all__ = ["Dropout"]

_RUN = 6
"""Half the length along the line over which the evidence is averaged."""

_SHORTEST = 12
"""Least length of a dropout, in samples."""

_TALLEST = 4
"""Most rows of a dropout."""


class Dropout(ShotStage):
    """Op: finds dropouts against the lines around and the frames around, and fills them from both.

    A dropout stands out from the lines two above and two below it and, at the same place give or
    take two lines, from the frame before and the frame after.  The value sets how faint it may be.
    """

    key = "tape.dropout"
    behind = 1
    ahead = 1

    def __init__(self, value: float) -> None:
        super().__init__(value)
        self._shares: list[float] = []

    def open(self, frames: Sequence[Frame]) -> None:
        self._shares = []

    def repair(self, frames: Sequence[Frame], at: int) -> Frame:
        frame = frames[at]
        others = [
            luma_of(frames[i].planes, frame.format)
            for i in (at - 1, at + 1)
            if 0 <= i < len(frames) and frames[i].planes[0].shape == frame.planes[0].shape
        ]
        luma = luma_of(frame.planes, frame.format)
        if not others or min(luma.shape) < 2 * _SHORTEST:
            self._shares.append(0.0)
            return frame
        mask = _found(luma, others, 0.16 - 0.11 * self.value)
        self._shares.append(float(mask.float().mean()))
        if not bool(mask.any()):
            return frame
        planes = []
        for number, plane in enumerate(frame.planes[: frame.format.color_planes]):
            form = frame.format
            step = (
                (1 << form.log2_chroma_h, 1 << form.log2_chroma_w)
                if form.is_chroma(number)
                else (1, 1)
            )
            small = F.max_pool2d(mask[None, None].float(), step, ceil_mode=True)[0, 0] > 0
            planes.append(_filled(plane, small))
        whole = mask if frame.mask is None else mask | frame.mask
        return replace(with_planes(frame, planes), mask=whole)

    def account(self) -> tuple[Mapping[str, float], Mapping[str, tuple[float, ...]]]:
        mean = sum(self._shares) / max(1, len(self._shares))
        return {"share_changed": mean}, {"share_changed": tuple(self._shares)}


def _found(luma: torch.Tensor, others: Sequence[torch.Tensor], least: float) -> torch.Tensor:
    """(H, W) bool."""
    wide = F.pad(luma[None], (0, 0, 3, 3), mode="replicate")[0]
    height = luma.shape[0]
    up, down = wide[:height], wide[6:]
    high, low = torch.maximum(up, down), torch.minimum(up, down)
    top, bottom = high, low
    for other in others:
        rows = F.pad(other[None], (0, 0, 2, 2), mode="replicate")[0]
        for k in range(5):
            top = torch.maximum(top, rows[k : k + height])
            bottom = torch.minimum(bottom, rows[k : k + height])
    above, below = luma - top, bottom - luma
    noise = (luma - 0.5 * (high + low)).abs()[::4, ::4].median()
    level = least + 3 * float(noise)
    seeds = (box(above, 0, _RUN) > level) | (box(below, 0, _RUN) > level)
    if not bool(seeds.any()):
        return seeds
    # A streak's end fades: from a seed on, half the height will do.
    grown = (box(above, 0, 2) > 0.4 * level) | (box(below, 0, 2) > 0.4 * level)
    regions = connected(grown | seeds)
    rows, columns = regions.rows.float(), regions.columns.float()
    tall = regions.peak(rows) + regions.peak(-rows) + 1
    long = regions.peak(columns) + regions.peak(-columns) + 1
    seeded = regions.peak(seeds[regions.rows, regions.columns].float()) > 0
    kept = regions.keep(seeded & (tall <= _TALLEST) & (long >= _SHORTEST) & (long >= 3 * tall))
    mask = torch.zeros_like(seeds)
    mask[kept.rows, kept.columns] = True
    # Its ends are soft.
    return F.max_pool2d(mask[None, None].float(), (1, 5), 1, (0, 2))[0, 0] > 0


def _filled(plane: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Masked samples drawn between the nearest whole samples above and below, along the better of
    three directions."""
    rows, columns = mask.nonzero(as_tuple=True)
    height, width = plane.shape
    index = torch.arange(height, device=plane.device)[:, None].expand(-1, width)
    up = torch.where(mask, -1, index).cummax(0).values[rows, columns]
    down = torch.where(mask, height, index).flip(0).cummin(0).values.flip(0)[rows, columns]
    up, down = torch.where(up < 0, down, up), torch.where(down >= height, up, down)
    up, down = up.clamp(0, height - 1), down.clamp(0, height - 1)
    share = (rows - up).float() / (down - up).clamp(min=1)
    best, value = None, torch.zeros_like(share)
    for slope in (0, -2, 2, -1, 1):
        one = plane[up, (columns + slope).clamp(0, width - 1)].float()
        two = plane[down, (columns - slope).clamp(0, width - 1)].float()
        cost = (one - two).abs() + 0.01 * abs(slope)
        mixed = torch.lerp(one, two, share)
        if best is None:
            best, value = cost, mixed
        else:
            value = torch.where(cost < 0.5 * best, mixed, value)
            best = torch.minimum(best, cost)
    out = plane.clone()
    out[rows, columns] = value.to(out.dtype)
    return out
