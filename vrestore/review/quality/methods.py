"""What everything that is compared has in common, and the simplest of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vrestore.ops.resample import Kernel
from vrestore.review.quality.cases import Case, chroma_resized, resized

__all__ = ["Made", "Method", "interpolation", "magnified", "median_of_three"]

EVERY_SCALE = (1, 2, 3, 4)


class Made(NamedTuple):
    """A case restored, in rounded 8-bit code values."""

    luma: Tensor
    """(T, H, W)"""
    chroma: Tensor
    """(T, 2, ...), of the layout of the case."""


@dataclass(frozen=True, slots=True)
class Method:
    """Makes of a case what it holds to be the truth."""

    name: str
    restore: Callable[[Case], Made]
    scales: tuple[int, ...] = EVERY_SCALE
    """Magnifications that it can be asked for."""

    def __call__(self, case: Case) -> Made:
        luma, chroma = (plane.round().clamp(0, 255) for plane in self.restore(case))
        assert luma.shape == case.truth.shape, f"{self.name} changed the size"
        assert chroma.shape == case.truth_chroma.shape, f"{self.name} changed the chroma's size"
        return Made(luma, chroma)


def magnified(case: Case, luma: Tensor, chroma: Tensor, kernel: Kernel) -> Made:
    """Every frame at the size of the truth."""
    height, width = case.truth.shape[-2:]
    large = torch.stack([resized(plane, height, width, kernel) for plane in luma])
    return Made(large, chroma_resized(case, chroma, kernel))


def interpolation(name: str, kernel: Kernel) -> Method:
    """Nothing but magnification; at x1 nothing at all."""
    return Method(name, lambda case: magnified(case, case.luma, case.chroma, kernel))


def _median(clip: Tensor) -> Tensor:
    padded = torch.cat((clip[:1], clip, clip[-1:]))
    return torch.stack((padded[:-2], padded[1:-1], padded[2:])).median(0).values


def median_of_three() -> Method:
    """Each sample the median of the frame before, its own and the next, without any alignment."""
    return Method(
        "median of 3 frames, unaligned",
        lambda case: magnified(case, _median(case.luma), _median(case.chroma), Kernel.LANCZOS3),
    )
