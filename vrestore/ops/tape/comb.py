"""Dot crawl and rainbows: what a simple decoder left of the colour subcarrier in the luma, and of
fine luma in the chroma."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from vrestore.media import Frame
from vrestore.ops.tape.stage import ShotStage, box, with_planes

__all__ = ["Comb"]

_STILL = 0.02
"""Change of the smoothed picture, on the unit scale, above which a place moves."""

_NOISY = 0.2
"""Share of what two frames have apart in what a third differs from both by; noise has 0.33."""

_WORTH = 0.002
"""Share of a plane below which it is left alone."""

_LEAST = 0.002
"""Alternation, rms on the unit scale, below which there is nothing to see."""


class Comb(ShotStage):
    """Op: averages frames in which the subcarrier lies the other way round, where nothing moves.

    From frame to frame (NTSC) or from frame to the next but one (PAL) the subcarrier turns over.
    Only places that alternate so, and where the smoothed picture stands still, are changed.
    """

    key = "tape.comb"
    behind = 2
    ahead = 2
    colour_only = True

    def __init__(self, value: float) -> None:
        super().__init__(value)
        self._shares: list[float] = []

    def open(self, frames: Sequence[Frame]) -> None:
        self._shares = []

    def repair(self, frames: Sequence[Frame], at: int) -> Frame:
        frame = frames[at]
        planes, shares = [], []
        for number in range(3):
            plane, share = self._combed(frames, at, number)
            planes.append(plane)
            shares.append(share)
        self._shares.append(max(shares))
        return with_planes(frame, planes) if max(shares) > 0 else frame

    def _combed(self, frames: Sequence[Frame], at: int, number: int) -> tuple[torch.Tensor, float]:
        plane = frames[at].planes[number]
        best, best_share = plane, _WORTH
        for distance in (1, 2):
            if at < distance or at + distance >= len(frames):
                continue
            around = [frames[at + way * distance].planes[number].float() for way in (-1, 1)]
            here = plane.float()
            before, after = here - around[0], here - around[1]
            share = _turned(before, after) * _still(here, *around)
            if number == 0:
                share = share * _fine(before + after)
            mean = float(share.mean())
            if mean > best_share:
                best = here - self.value * share * 0.25 * (before + after)
                best_share = mean
        return best, best_share if best is not plane else 0.0

    def account(self) -> tuple[Mapping[str, float], Mapping[str, tuple[float, ...]]]:
        mean = sum(self._shares) / max(1, len(self._shares))
        return {"share_changed": mean}, {"share_changed": tuple(self._shares)}


def _turned(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """0..1, where a frame differs from both others in the same way, far more than they do.

    For noise, the square of what they share is three times that of their difference.
    """
    shared = box((before + after).square(), 2, 6)
    own = box((before - after).square(), 2, 6)
    ratio = own / (shared + 1e-9)
    return ((_NOISY - ratio) / (_NOISY - 0.06)).clamp_(0, 1) * (shared > 4 * _LEAST**2)


def _fine(change: torch.Tensor) -> torch.Tensor:
    """0..1, where a change turns over within two samples, as a subcarrier at 13.5 MHz does."""
    lag = F.pad(change[..., 2:] * change[..., :-2], (1, 1))
    correlation = box(lag, 2, 6) / (box(change.square(), 2, 6) + 1e-9)
    return ((-0.2 - correlation) / 0.3).clamp_(0, 1)


def _still(here: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """0..1, where the picture without its finest detail does not move."""
    middle = _calm(here)
    apart = torch.maximum((middle - _calm(before)).abs(), (middle - _calm(after)).abs())
    return torch.exp(-(box(apart, 1, 2) / _STILL).square())


def _calm(plane: torch.Tensor) -> torch.Tensor:
    """Without subcarriers: zero at 3, 4 and 2 samples of width, and at 2 and 4 rows of height."""
    across = _taps(box(plane, 0, 1), -1, (0.125, 0.25, 0.25, 0.25, 0.125))
    return _taps(across, -2, (0.125, 0.25, 0.25, 0.25, 0.125))


def _taps(plane: torch.Tensor, dim: int, weights: Sequence[float]) -> torch.Tensor:
    """Filtered along a dimension with an odd number of taps, edges repeated."""
    reach = len(weights) // 2
    pads = (reach, reach, 0, 0) if dim == -1 else (0, 0, reach, reach)
    wide = F.pad(plane[None, None], pads, mode="replicate")[0, 0]
    size = plane.shape[dim]
    parts = [wide.narrow(dim, k, size) * weight for k, weight in enumerate(weights)]
    return torch.stack(parts).sum(0)
