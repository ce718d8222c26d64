"""What is known of the code values at both ends, for kernels that read and write them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from vrestore.media import ColorSpec, SampleFormat

__all__ = ["Codes", "Packing", "Scale"]


class Scale(NamedTuple):
    """code = unit * gain + zero."""

    gain: float
    zero: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """Code values of 4:2:0 in and out of a network, where nothing else stands between."""

    source: tuple[Scale, Scale]
    """Of luma and of chroma."""

    format: SampleFormat
    """Of the output."""

    color: ColorSpec
    """Of the output."""

    target: tuple[Scale, Scale]

    dither: Tensor | None = None
    """A square tile of noise in units of an output code value, its side a power of two; None to
    round alone."""

    place: Callable[[int, int], tuple[int, int]] | None = None
    """(pts, plane) to the tile's (row, column) at the picture's top left; present with `dither`."""

    def on(self, device: torch.device) -> Codes:
        """The same with the tile on a device."""
        return self if self.dither is None else replace(self, dither=self.dither.to(device))

    def packing(self, pts: int) -> Packing:
        """For one frame; its tensors are where the tile is."""
        if self.dither is None or self.place is None:
            return Packing(self, None, None)
        rows = [self.place(pts, plane) for plane in range(3)]
        places = torch.tensor(rows, dtype=torch.int32)
        if self.dither.is_cuda:
            places = places.pin_memory().to(self.dither.device, non_blocking=True)
        return Packing(self, self.dither, places)


class Packing(NamedTuple):
    """How one frame's samples become code values."""

    codes: Codes
    tile: Tensor | None
    places: Tensor | None
    """(3, 2) int32, row and column of the tile at the top left of Y, Cb and Cr."""
