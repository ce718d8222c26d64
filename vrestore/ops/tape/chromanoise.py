"""Noise and bleeding of chroma, both repaired with the luma, which tape keeps far better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F

from vrestore.media import Frame
from vrestore.ops.tape.stage import ShotStage, box, with_planes

__all__ = ["ChromaBleed", "ChromaNoise"]

_QUIET = 0.0025
"""Standard deviation of chroma noise, on the unit scale, that is left alone."""

_SPREADS = (0, 1, 2, 3, 4, 6)
"""Half widths, in chroma samples, tried for the smear of chroma."""

_COMMON = 0.6
"""Share of the chroma's variance that the luma must explain for anything to be added."""

_NARROWER = 0.02
"""By how much of the error a smear must explain more than none, to be believed."""


def _guide(frame: Frame) -> torch.Tensor:
    """(h, w) luma at the size of the chroma."""
    luma, size = frame.planes[0].float(), frame.planes[1].shape
    if luma.shape == size:
        return luma
    step = (1 << frame.format.log2_chroma_h, 1 << frame.format.log2_chroma_w)
    return F.avg_pool2d(luma[None], step, ceil_mode=True, count_include_pad=False)[0]


def _chroma(frame: Frame) -> torch.Tensor:
    return torch.stack([plane.float() for plane in frame.planes[1:3]])


class ChromaNoise(ShotStage):
    """Op: averages chroma in time where nothing moves, and in space along the luma's edges.

    In space a guided filter (He, Sun and Tang, 2013) with the frame's luma as guide.  How far it
    goes follows the noise measured from frame to frame; where there is none, nothing changes.
    """

    key = "tape.chroma_noise"
    behind = 1
    opening = 3
    colour_only = True

    def __init__(self, value: float) -> None:
        super().__init__(value)
        self._state: torch.Tensor | None = None
        self._guide: torch.Tensor | None = None
        self._noise: list[float] = []

    def open(self, frames: Sequence[Frame]) -> None:
        self._state = self._guide = None
        first = [_chroma(frame) for frame in frames[: self.opening]]
        self._noise = [min((_noise(one, two) for one, two in pairwise(first)), default=0.0)]

    def repair(self, frames: Sequence[Frame], at: int) -> Frame:
        frame = frames[at]
        chroma, guide = _chroma(frame), _guide(frame)
        sigma = self._measure(frames[at - 1] if at else None, chroma)
        # Quiet chroma is faded out, not switched off: shots must not pump.
        share = self.value * min(1.0, max(0.0, sigma / _QUIET - 1.0))
        out = chroma
        if share > 0:
            out = self._steadied(out, guide, sigma)
            out = torch.lerp(chroma, _guided(out, guide, sigma), share)
        self._state, self._guide = out, guide
        return with_planes(frame, (frame.planes[0], *out.unbind(0))) if share > 0 else frame

    def _measure(self, before: Frame | None, chroma: torch.Tensor) -> float:
        """The noise, smoothed over the shot."""
        known = self._noise[-1]
        now = known if before is None else _noise(chroma, _chroma(before))
        self._noise.append(0.8 * known + 0.2 * min(now, 2 * known + 1e-4))
        return self._noise[-1]

    def _steadied(self, chroma: torch.Tensor, guide: torch.Tensor, sigma: float) -> torch.Tensor:
        """Blended with what was given out before, where neither luma nor chroma moved."""
        if self._state is None or self._guide is None:
            return chroma
        apart = box(chroma - self._state, 2, 2).square().sum(0)
        moved = box((guide - self._guide).abs(), 2, 2)
        still = torch.exp(-apart / (2 * (1.5 * sigma) ** 2) - (moved / 0.03).square())
        return torch.lerp(chroma, self._state, 0.75 * still)

    def account(self) -> tuple[Mapping[str, float], Mapping[str, tuple[float, ...]]]:
        mean = sum(self._noise) / max(1, len(self._noise))
        return {"chroma_noise_sigma": mean}, {"chroma_noise_sigma": tuple(self._noise[1:])}


def _noise(one: torch.Tensor, two: torch.Tensor) -> float:
    """Standard deviation of the noise of two frames' chroma: what changes, where little does."""
    apart = one - two
    detail = apart - box(apart, 4, 4)
    steady = float(apart[..., ::2, ::2].abs().median())
    return min(steady, 1.2 * float(detail[..., ::2, ::2].abs().median())) / (0.6745 * 2**0.5)


def _guided(chroma: torch.Tensor, guide: torch.Tensor, sigma: float) -> torch.Tensor:
    """(2, h, w) chroma as a local linear function of the guide, windows of 7x9."""
    rows, columns = 3, 4
    mean_g, mean_c = box(guide, rows, columns), box(chroma, rows, columns)
    variance = box(guide * guide, rows, columns) - mean_g * mean_g
    both = box(chroma * guide, rows, columns) - mean_c * mean_g
    # What the luma does not explain is kept where it is larger than noise.
    slope = both / (variance.clamp_min(0) + 1e-4)
    unexplained = (box(chroma * chroma, rows, columns) - mean_c * mean_c - slope * both).clamp_min_(
        0
    )
    model = box(slope, rows, columns) * guide + box(mean_c - slope * mean_g, rows, columns)
    off = box(chroma - model, 1, 1).square()
    noise = sigma**2 + 1e-9
    keep = torch.maximum(
        (unexplained - 1.5 * noise) / (unexplained + 1.5 * noise), off / (off + 0.5 * noise)
    ).clamp_(min=0)
    return torch.lerp(model, chroma, keep)


class ChromaBleed(ShotStage):
    """Op: takes back the sideways smear of chroma at edges that the luma shows.

    Chroma is explained, in small windows, as a linear function of luma that was smeared as widely
    as the chroma is; what the sharp luma has more than the smeared one is then added.  The width of
    the smear is found on the opening of the shot; unsmeared chroma stays as it is.
    """

    key = "tape.bleed"
    opening = 4
    colour_only = True

    def __init__(self, value: float) -> None:
        super().__init__(value)
        self._spread = 0

    def open(self, frames: Sequence[Frame]) -> None:
        errors = torch.zeros(len(_SPREADS))
        for frame in frames[: self.opening]:
            chroma, guide = _chroma(frame), _guide(frame)
            edge = box((guide[:, 1:] - guide[:, :-1]).abs(), 0, 2)
            edge = F.pad(edge[None], (0, 1), mode="replicate")[0]
            strong = edge > edge.mean() + edge.std()
            for number, spread in enumerate(_SPREADS):
                _, error = _explained(chroma, _smeared(guide, spread))
                errors[number] += float((error.sum(0) * strong).sum())
        least = int(errors.argmin())
        believed = float(errors[0] - errors[least]) > _NARROWER * float(errors[0])
        self._spread = _SPREADS[least] if believed else 0

    def repair(self, frames: Sequence[Frame], at: int) -> Frame:
        frame = frames[at]
        if not self._spread:
            return frame
        chroma, guide = _chroma(frame), _guide(frame)
        smeared = _smeared(guide, self._spread)
        slope, error = _explained(chroma, smeared)
        explained = slope * slope * (box(smeared * smeared, 2, 6) - box(smeared, 2, 6).square())
        share = explained / (explained + error + 1e-6)
        sure = ((share - _COMMON) / (1 - _COMMON)).clamp_(min=0)
        add = self.value * sure * slope * (guide - smeared)
        # Never beyond the colours that are there on both sides of the edge.
        reach = 2 * self._spread + 1
        top = F.max_pool2d(chroma[None], (1, 2 * reach + 1), 1, (0, reach))[0]
        bottom = -F.max_pool2d(-chroma[None], (1, 2 * reach + 1), 1, (0, reach))[0]
        out = torch.minimum(torch.maximum(chroma + add, bottom), top)
        return with_planes(frame, (frame.planes[0], *out.unbind(0)))

    def account(self) -> tuple[Mapping[str, float], Mapping[str, tuple[float, ...]]]:
        return {"chroma_smear_samples": float(2 * self._spread)}, {}


def _smeared(guide: torch.Tensor, spread: int) -> torch.Tensor:
    """Two running means make a triangle, near enough to the low-pass of a tape deck."""
    return box(box(guide, 0, (spread + 1) // 2), 0, spread // 2) if spread else guide


def _explained(chroma: torch.Tensor, guide: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(slope, mean square error), each (2, h, w), of chroma as a linear function of the guide."""
    rows, columns = 2, 6
    mean_g, mean_c = box(guide, rows, columns), box(chroma, rows, columns)
    variance = (box(guide * guide, rows, columns) - mean_g * mean_g).clamp_min(0) + 2e-5
    both = box(chroma * guide, rows, columns) - mean_c * mean_g
    slope = both / variance
    error = (box(chroma * chroma, rows, columns) - mean_c * mean_c - slope * both).clamp_min(0)
    return slope, error
