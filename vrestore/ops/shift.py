"""Planes moved by parts of a sample, as a whole or turned a little."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from vrestore.ops.buffers import Alloc, strips, take

__all__ = ["Displacement", "displaced"]

_LOBES = 4
"""Of the windowed sinc: flat to 0.7 of the highest frequency at half a sample, where cubics have
lost a fifth of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Displacement:
    """Where the picture is read: each luma sample at its own place plus this."""

    x: float
    """To the right, in luma samples."""

    y: float
    """Downwards, in luma samples."""

    angle: float = 0.0
    """About the picture's centre in radians, x towards y; below 0.02, since it is made of shears
    whose error is its square."""


def displaced(
    plane: torch.Tensor,
    by: Displacement,
    *,
    log2_w: int = 0,
    log2_h: int = 0,
    alloc: Alloc | None = None,
) -> torch.Tensor:
    """(H, W) float32: the plane read at displaced places, edges repeated.

    A plane subsampled by 2 to the `log2_w` and `log2_h` moves by as much less; how its samples are
    sited changes nothing for a shift, and for a turn no more than the angle itself, in samples.
    """
    height, width = plane.shape
    rows = torch.arange(height, device=plane.device) + 0.5 - height / 2
    columns = torch.arange(width, device=plane.device) + 0.5 - width / 2
    ratio = 2.0 ** (log2_h - log2_w)
    if by.angle == 0:
        rows, columns = rows[:1] * 0, columns[:1] * 0
    # The second shear reads what the first made `y` rows farther down.
    x = (by.x + by.angle * by.y) / (1 << log2_w) - by.angle * ratio * rows
    y = by.y / (1 << log2_h) + by.angle / ratio * columns
    out = take(alloc, (height, width), torch.float32, plane.device)
    reach_up = math.floor(float(y.min())) - _LOBES + 1
    reach_down = math.floor(float(y.max())) + _LOBES
    for strip in strips(plane):
        first, last = strip.start + reach_up, strip.stop + reach_down
        lines = torch.arange(first, last, device=plane.device).clamp_(0, height - 1)
        inside = first >= 0 and last <= height
        source = (plane[first:last] if inside else plane[lines]).float()
        across = _along(source, x if by.angle == 0 else x[lines])
        down = y - reach_up - _LOBES + 1
        _down(across, down, out[strip])
    return out


def _along(lines: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Each row of (H, W) read `shift[row]` samples to the right; one shift is every row's."""
    width = lines.shape[1]
    whole = shift.floor()
    least, most = int(whole.min()), int(whole.max())
    wide = _widened(lines, least - _LOBES + 1, width + most + _LOBES)
    if least != most:
        offset = (whole - least).long()[:, None]
        wide = wide.gather(1, offset + torch.arange(width + 2 * _LOBES - 1, device=lines.device))
    out = torch.empty_like(lines)
    _weigh([wide[:, k : k + width] for k in range(2 * _LOBES)], _taps(shift - whole), out)
    return out


def _widened(lines: torch.Tensor, first: int, last: int) -> torch.Tensor:
    """Columns `first` to `last` (half-open) of (H, W), edges repeated where there are none."""
    width = lines.shape[1]
    inside = lines[:, max(0, min(first, width)) : max(0, min(last, width))]
    before, after = max(0, min(last, 0) - first), max(0, last - max(first, width))
    return torch.cat(
        (lines[:, :1].expand(-1, before), inside, lines[:, -1:].expand(-1, after)), dim=1
    )


def _down(lines: torch.Tensor, shift: torch.Tensor, out: torch.Tensor) -> None:
    """Each column of (H + more, W) read `shift[column]` rows farther down than the kernel's reach,
    shifts of 0 or more, to (H, W); one shift is every column's."""
    height = out.shape[0]
    whole = shift.floor()
    least, most = int(whole.min()), int(whole.max())
    tall = lines[least:]
    if least != most:
        offset = (whole - least).long()[None, :]
        rows = torch.arange(height + 2 * _LOBES - 1, device=lines.device)[:, None]
        tall = tall.gather(0, offset + rows)
    taps = _taps(shift - whole).transpose(1, 2)
    _weigh([tall[k : k + height] for k in range(2 * _LOBES)], taps, out)


def _weigh(sources: list[torch.Tensor], taps: torch.Tensor, out: torch.Tensor) -> None:
    """The sum of each source times its tap, (1, 1) or one for each line."""
    if taps[0].numel() > 1:
        torch.mul(sources[0], taps[0], out=out)
        for source, tap in zip(sources[1:], taps[1:], strict=True):
            out.addcmul_(source, tap)
        return
    # Numbers are four times as fast as tensors of one element, and a whole shift has one tap.
    used = [(s, t) for s, t in zip(sources, taps.flatten().tolist(), strict=True) if abs(t) > 1e-7]
    torch.mul(used[0][0], used[0][1], out=out)
    for source, weight in used[1:]:
        out.add_(source, alpha=weight)


def _taps(part: torch.Tensor) -> torch.Tensor:
    """(taps, n, 1) weights of the samples around a point `part` (0..1) past the middle left one."""
    at = torch.arange(-_LOBES + 1, _LOBES + 1, device=part.device)[:, None] - part.double()
    taps = torch.sinc(at) * torch.sinc(at / _LOBES)
    return (taps / taps.sum(0)).float()[..., None]
