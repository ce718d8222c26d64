"""3x3 convolutions one after another, each band of the picture's rows in a thread of its own.

Results are written over what they are made of, so that however many convolutions follow each other
hold the features once.  A tile looks at rows that its results do not cover; so results go some rows
higher than their samples lie, from above, and with the next convolution as much lower, from below.
After each one every band takes the row beyond its ends from its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from vrestore.models.compiled import Together, one_by_one
from vrestore.models.compiled.winograd import TILE, Winograd

__all__ = ["Bands"]

_ROOM = 8
"""Rows between samples and the results that are written over them: a tile looks as far."""


class Bands:
    """Convolutions with a row and a column of zeros around, as one.

    Args:
        layers: two or more; all but the last have as many outputs as each other, and only the first
            may have other inputs.
        together: for the bands.

    Raises ValueError for others.
    """

    def __init__(self, layers: Sequence[Winograd], together: Together = one_by_one) -> None:
        self._first, *self._inner, self._last = layers
        self._channels = self._first.outputs
        inner = {n for layer in self._inner for n in (layer.inputs, layer.outputs)}
        alike = inner <= {self._channels} and self._last.inputs == self._channels
        if not alike or any(layer.pad != 1 for layer in layers):
            raise ValueError("only what is as wide and high can be written over each other")
        self._together = together

    def __call__(self, x: Tensor) -> Tensor:
        """(1, inputs, H, W) to (1, outputs, H, W), fp32, channels last."""
        samples = self._first.samples(x)
        height, width = samples.shape[:2]
        out = self._last.room(height, width)
        rows = -(-height // TILE)
        count = max(1, min(self._together.threads, rows))
        ends = [min(height, rows * k // count * TILE) for k in range(count + 1)]
        bands = [_Band(start, end, width, self._channels) for start, end in pairwise(ends)]
        self._together.in_step([
            self._band(samples.numpy(), out.numpy(), bands, k) for k in range(count)
        ])  # fmt: skip
        return self._last.shown(out)

    def _band(
        self, x: np.ndarray, out: np.ndarray, bands: Sequence[_Band], number: int
    ) -> Iterator[None]:
        """All layers of one band."""
        band = bands[number]
        tiles = -(-band.height // TILE) * -(-x.shape[1] // TILE)
        above = bands[number - 1] if number else None
        below = bands[number + 1] if number + 1 < len(bands) else None
        low = True
        self._first.tiles(x, band.inner(low=low), 0, tiles, tops=(band.start - 1, 0))
        for layer in (*self._inner, self._last):
            yield
            band.take_ends(above, below, low=low)
            # Nobody writes over what the others have not taken yet.
            yield
            if layer is self._last:
                result = out[band.start : band.start + band.height]
            else:
                result = band.inner(low=not low)
            layer.tiles(band.whole(low=low), result, 0, tiles, tops=(0, 0), upwards=not low)
            low = not low


class _Band:
    """The features of some rows, in memory of their own, where they can lie high or low."""

    def __init__(self, start: int, end: int, width: int, channels: int) -> None:
        self.start, self.height = start, end - start
        shape = (self.height + 2 + _ROOM, width, channels)
        self._rows = torch.empty(shape).numpy()

    def whole(self, *, low: bool) -> np.ndarray:
        """With the row above and the one below, (height + 2, width, channels)."""
        top = _ROOM if low else 0
        return self._rows[top : top + self.height + 2]

    def inner(self, *, low: bool) -> np.ndarray:
        return self.whole(low=low)[1:-1]

    def take_ends(self, above: _Band | None, below: _Band | None, *, low: bool) -> None:
        """The rows beyond this band, of those that lie as it does; zeros outside the picture."""
        whole = self.whole(low=low)
        whole[0] = 0 if above is None else above.inner(low=low)[-1]
        whole[-1] = 0 if below is None else below.inner(low=low)[0]
