"""Memory that our networks take, and the bands in which they stay within a budget.

What a step holds is proportional to the picture, and the layers of the trunk to a band.  The
coefficients below were counted by `bench.ledger`, which follows every tensor of a real run; a test
counts them again.  What the libraries below torch take for themselves comes on top.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from vrestore.media import ColorModel, SampleFormat
from vrestore.models.registry import ModelSpec
from vrestore.models.temporal import BAND_BYTES, NARROWEST, TOGETHER

__all__ = ["Footprint"]

Held = tuple[float, float]

_PER_SAMPLE: Mapping[int, Held] = {1: (167.0, 48.2), 2: (256.0, 68.5), 4: (738.0, 165.0)}
"""By magnification: bytes for each luma sample of the source that a step holds at most with the
trunk in narrow bands, gray, and for each sample of chroma beside it."""

_BESIDE_TRUNK: Mapping[int, Held] = {1: (100.0, 52.2), 2: (132.0, 58.5), 4: (228.0, 84.0)}
"""The same of what is held while the trunk works."""

_TOGETHER: Held = (238.0, 24.5)
"""The same while both ways to a neighbour are found in one pass."""

_MATRICES = 64
"""Numbers of a 3x3 kernel for Winograd's algorithm."""

_LAYERS_HELD = 3
"""What a layer of the trunk is made from, its sum, and that rectified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What one of our networks takes for frames of one kind."""

    spec: ModelSpec
    scale: int
    format: SampleFormat
    height: int
    width: int
    dtype: torch.dtype
    """Of the trunk."""
    compiled: bool = False
    """Whether it runs with what numba compiles, which holds the trunk in matrices besides."""

    @property
    def own_rows(self) -> int | None:
        """Luma rows of a band that the network chooses by itself; None for whole frames."""
        rows = BAND_BYTES // self._row
        return None if self.height // 2 <= rows else 2 * max(32, rows)

    def bytes(self, rows: int | None) -> int:
        """The most that is held at once, with bands of that many luma rows; None for whole."""
        grid = self.height // 2
        band = grid if rows is None else min(grid, rows // 2 + 2 * self._layers)
        trunk = self._held(_BESIDE_TRUNK[self.scale]) + _LAYERS_HELD * band * self._row
        small = self.height * self.width <= TOGETHER
        align = self._held(_TOGETHER) if small else 0
        return max(self._held(_PER_SAMPLE[self.scale]), align, trunk) + self._weights

    def rows_within(self, budget: int) -> int | None:
        """Luma rows of a band with which the network stays within a budget, the narrowest that
        makes sense where none does; None where the network's own choice is within it."""
        if self.bytes(self.own_rows) <= budget:
            return None
        rows = self.own_rows or self.height
        while rows > 2 * NARROWEST and self.bytes(rows) > budget:
            rows //= 2
        return max(2 * NARROWEST, rows // 2 * 2)

    def _held(self, each: Held) -> int:
        gray, chroma = each
        beside = 0.0
        if self.format.model is not ColorModel.GRAY:
            # What is subsampled by four is worked on as if by two.
            beside = 2.0
            beside /= 2.0 if self.format.log2_chroma_h else 1.0
            beside /= 2.0 if self.format.log2_chroma_w else 1.0
        return round((gray + chroma * beside) * self.height * self.width)

    @property
    def _layers(self) -> int:
        """Of convolutions, each of which needs a row around a band."""
        return int(self.spec.arch_args.get("depth", 6)) + 2

    @property
    def _row(self) -> int:
        """Bytes of one row of the grid after one layer."""
        channels = int(self.spec.arch_args.get("width", 32))
        return self.width // 2 * channels * self.dtype.itemsize

    @property
    def _weights(self) -> int:
        """The trunk's, and the same arranged for a run; what is around it is small."""
        channels = int(self.spec.arch_args.get("width", 32))
        each = 2 * 9 + (_MATRICES if self.compiled else 0)
        return 4 * each * channels * channels * self._layers
