"""Noise that turns the steps of a reduced depth into grain too fine to see.

Blue noise: a tile whose values are all different and evenly spread over one step, with hardly any
energy at low frequencies.  Every frame and plane shows the tile at another place, so the noise
neither stands still nor repeats visibly.
"""

from __future__ import annotations

from functools import lru_cache

import torch

__all__ = ["Dither"]

_SIDE = 128
"""Rows and columns of the tile; a power of two."""

_AMPLITUDE = 0.5 - 1 / 256
"""A little under half a step, so that values which the lower depth can hold stay exact."""


@lru_cache(maxsize=1)
def _tile() -> torch.Tensor:
    """(_SIDE, _SIDE) float32 in -_AMPLITUDE.._AMPLITUDE, mean 0, the same on every machine."""
    count = _SIDE * _SIDE
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    levels = (torch.arange(count, dtype=torch.float64) + 0.5) / count - 0.5
    frequency = torch.fft.fftfreq(_SIDE, dtype=torch.float64)
    radius = torch.hypot(frequency[:, None], frequency[None, :])
    # Alternate between the spectrum and the even histogram that dither needs: each spoils the
    # other a little less every time.
    high_pass = 1 - torch.exp(-((radius / 0.25) ** 4))
    noise = levels[order].view(_SIDE, _SIDE)
    for _ in range(24):
        filtered = torch.fft.ifft2(torch.fft.fft2(noise) * high_pass).real.flatten()
        noise = torch.empty_like(levels).scatter_(0, filtered.argsort(), levels)
        noise = noise.view(_SIDE, _SIDE)
    return (noise * (2 * _AMPLITUDE)).float()


def _mix(value: int) -> int:
    """A 64-bit integer to another with every bit stirred (SplitMix64's finaliser)."""
    value = (value + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return value ^ (value >> 31)


class Dither:
    """The noise of one run: a pure function of seed, pts, plane, row and column."""

    rows = _SIDE
    """The most rows that one call of `noise` gives."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._wide: dict[tuple[int, torch.device], torch.Tensor] = {}

    def noise(
        self, pts: int, plane: int, top: int, shape: tuple[int, int], device: torch.device
    ) -> torch.Tensor:
        """Noise for rows top..top+shape[0] of a plane, (rows <= `Dither.rows`, W) float32.

        In units of one output code value, within -0.5..0.5.  A view: not to be written.
        """
        height, width = shape
        y, x = self.place(pts, plane)
        y = (top + y) % _SIDE
        return self._tiles(width, device)[y : y + height, x : x + width]

    def place(self, pts: int, plane: int) -> tuple[int, int]:
        """Row and column of the tile at the top left of a plane."""
        place = _mix(_mix(_mix(self._seed) ^ (pts & 0xFFFFFFFFFFFFFFFF)) ^ plane)
        return place % _SIDE, (place >> 32) % _SIDE

    @staticmethod
    def tile() -> torch.Tensor:
        """The tile that is repeated, (128, 128) float32.  Not to be written."""
        return _tile()

    def _tiles(self, width: int, device: torch.device) -> torch.Tensor:
        """The tile repeated so that a window of (_SIDE, width) may start anywhere in it."""
        key = width, device
        if key not in self._wide:
            repeats = -(-(width + _SIDE) // _SIDE)
            self._wide[key] = _tile().repeat(2, repeats).to(device)
        return self._wide[key]
