"""What a run sees pass by: the masks of what was repaired, kept for its record."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from vrestore.media import Frame
from vrestore.notes import ShotNote

__all__ = ["MASK_EDGE", "Sighting", "Witness", "largest"]

MASK_EDGE = 480
"""Longest side in samples of a mask that is kept."""

_KEPT = 12
"""Sightings that a run keeps: those with the largest masks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """The frame of a shot in which most was repaired."""

    seconds: float
    """Since the first frame of the run."""

    index: int
    """`Frame.index`."""

    share: float
    """Samples under the mask, 0..1 of the picture."""

    mask: torch.Tensor
    """bool (H, W), at most `MASK_EDGE` long: true where any sample beneath was damaged."""


class Witness:
    """Op: passes frames on and remembers their masks; belongs after all repairs.

    Its `notes` have, for each shot, the share of the picture that was repaired, as the stage
    "repair"; `sightings` are the moments most worth a picture.
    """

    latency = 0

    def __init__(self, zero: float | None = None) -> None:
        """`zero` is the time of the run's first frame, None where that is the first to come."""
        self.notes: list[ShotNote] = []
        self.sightings: list[Sighting] = []
        self._zero = zero
        self._first = 0
        self._shares: list[float] = []
        self._best: Sighting | None = None

    def push(self, frame: Frame) -> Iterable[Frame]:
        now = float(frame.timestamp.seconds)
        self._zero = now if self._zero is None else self._zero
        if frame.shot_start or not self._shares:
            self._end_shot()
            self._first = frame.index
        share = 0.0 if frame.mask is None else float(frame.mask.float().mean())
        self._shares.append(share)
        if frame.mask is not None and share > (0.0 if self._best is None else self._best.share):
            self._best = Sighting(
                seconds=now - self._zero, index=frame.index, share=share, mask=_small(frame.mask)
            )
        return (frame,)

    def flush(self) -> Iterable[Frame]:
        self._end_shot()
        return ()

    def _end_shot(self) -> None:
        shares, best = self._shares, self._best
        self._shares, self._best = [], None
        if best is None:
            return
        self.notes.append(
            ShotNote(
                stage="repair",
                first=self._first,
                frames=len(shares),
                values={
                    "repaired_share": math.fsum(shares) / len(shares),
                    "largest_repaired_share": max(shares),
                },
                curves={"repaired_share": tuple(shares)},
            )
        )
        self.sightings[:] = largest([*self.sightings, best])


def largest(sightings: Iterable[Sighting]) -> list[Sighting]:
    """Those that a run keeps, the largest masks first."""
    return sorted(sightings, key=lambda sighting: -sighting.share)[:_KEPT]


def _small(mask: torch.Tensor) -> torch.Tensor:
    factor = -(-max(mask.shape) // MASK_EDGE)
    if factor <= 1:
        return mask.cpu().clone()
    pooled = F.max_pool2d(mask[None].float(), factor, ceil_mode=True)[0]
    return pooled.bool().cpu()
