"""Grain made anew from its measurement, at any size.

Gaussian noise is shaped in the frequency domain, tile by tile: random coefficients from a
counter-based generator (Philox 4x64; Salmon et al., SC'11), the measured spectrum's square root,
one inverse FFT.  Tiles overlap by ramps whose squares sum to one, so strength is the same across
them, and every tile of every plane of every frame has numbers of its own: nothing repeats, and any
worker makes the same frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

from vrestore.media import Frame
from vrestore.ops.buffers import Alloc, take
from vrestore.ops.grainmodel import (
    BAND_CENTRES,
    BANDS,
    INTENSITIES,
    SIDE,
    ChannelGrain,
    Grain,
)

__all__ = ["GrainSynthesiser"]

_TILE = 256
_RAMP = 32
"""Rows and columns that a tile shares with the next."""

_LEVELS = 1024
"""Steps of the table from intensity to strength."""

_ROOM = 2.0
"""Grain is held so low near black and white that this many standard deviations still fit: cut off
on one side, it would shift the mean.  What is cut at 2 shifts it by 0.008 of one."""

_FINEST = 128
"""Frequencies, evenly spaced round the circle, on which spectra are compared."""

_SEEN = 1e-5
"""Strength on the unit scale that no depth can show."""


class GrainSynthesiser:
    """Adds the grain of one shot to frames of one size.

    A pure function of (seed, pts, plane): the same bits whatever was asked before.
    """

    def __init__(
        self, grain: Grain, magnification: tuple[float, float], *, keep: float, seed: int
    ) -> None:
        """`magnification` (vertical, horizontal) is how many times larger the grain is to be than
        it was measured; `keep` is its share in amplitude."""
        self._seed = seed & 0xFFFFFFFFFFFFFFFF
        self._tables = [_table(channel, keep) for channel in grain.channels]
        self._shapes = [_shape(channel, magnification) for channel in grain.channels]
        self._mix = _mixing(grain.correlation)

    def add(self, frame: Frame, alloc: Alloc | None = None) -> tuple[torch.Tensor, ...]:
        """New float32 planes of a UNIT frame; planes without grain are passed on as they are."""
        planes = list(frame.planes)
        luma = frame.planes[0]
        alike = frame.format.color_planes == 3 and not (
            frame.format.log2_chroma_w or frame.format.log2_chroma_h
        )
        mixing = self._mix if alike else None
        for number, table in enumerate(self._tables):
            if float(table.max()) < _SEEN:
                continue
            plane = frame.planes[number]
            intensity = plane
            if frame.format.is_chroma(number):
                intensity = _reduced(luma, frame.format.log2_chroma_h, frame.format.log2_chroma_w)
            planes[number] = self._plane(
                plane, intensity, number, frame.timestamp.pts, mixing, alloc
            )
        return tuple(planes)

    def _plane(
        self,
        plane: torch.Tensor,
        intensity: torch.Tensor,
        number: int,
        pts: int,
        mixing: torch.Tensor | None,
        alloc: Alloc | None,
    ) -> torch.Tensor:
        height, width = plane.shape
        device = plane.device
        out = take(alloc, (height, width), torch.float32, device)
        out.copy_(plane)
        table = self._tables[number].to(device)
        shape = self._shapes[number].to(device)
        # Every plane of one mixture is a weighted sum of the same independent noises.
        sources = [(number, 1.0)]
        if mixing is not None:
            sources = [(k, w) for k, w in enumerate(mixing[number].tolist()) if w]
        stride = _TILE - _RAMP
        columns = _tile_count(width)
        for row in range(_tile_count(height)):
            top = row * stride - _RAMP
            here = slice(max(top, 0), min(top + _TILE, height))
            drawn = sum(
                weight * _coefficients((self._seed, pts, source), row, columns).to(device)
                for source, weight in sources
            )
            tiles = torch.fft.irfft2(
                torch.view_as_complex(drawn * shape[..., None]), s=(_TILE, _TILE)
            )
            band = _laid_out(tiles, here.start - top, here.stop - top, width)
            steps = intensity[here].mul(_LEVELS).clamp_(0, _LEVELS).int()
            strength = table.index_select(0, steps.view(-1)).view(band.shape)
            out[here].addcmul_(band, strength)
        return out


# --------------------------------------------------------------------------------------- tiles


def _tile_count(size: int) -> int:
    """Tiles along an axis; the first starts a ramp before the picture, the last ends one after."""
    return max(1, -(-(size + _RAMP) // (_TILE - _RAMP)))


def _coefficients(key: tuple[int, int, int], row: int, columns: int) -> torch.Tensor:
    """(columns, _TILE, _TILE / 2 + 1, 2) float32: real and imaginary parts of white noise, as
    whole numbers of 16 bits evenly distributed.

    The inverse FFT adds up thousands of them, so its samples are normally distributed.
    """
    seed, pts, plane = key
    shape = (_TILE, _TILE // 2 + 1, 2)
    words = math.prod(shape) // 4
    drawn = np.empty((columns, *shape), dtype=np.float32)
    # The key names seed and time, the counter's upper words the place; the lower ones count.
    philox_key = np.array([seed, pts & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)
    for column in range(columns):
        counter = np.array([0, column, row, plane], dtype=np.uint64)
        raw = np.random.Philox(key=philox_key, counter=counter).random_raw(words)
        np.copyto(drawn[column], raw.view("<i2").reshape(shape), casting="unsafe")
    return torch.from_numpy(drawn)


def _laid_out(tiles: torch.Tensor, first: int, end: int, width: int) -> torch.Tensor:
    """(end - first, width): rows first..end of a row of tiles, cross-faded sideways."""
    ramp = _window(tiles.device)
    tiles = tiles[:, first:end].mul_(ramp[first:end, None]).mul_(ramp)
    stride = _TILE - _RAMP
    band = torch.zeros((end - first, len(tiles) * stride + _RAMP), device=tiles.device)
    for column, tile in enumerate(tiles):
        band[:, column * stride : column * stride + _TILE] += tile
    return band[:, _RAMP : _RAMP + width]


@lru_cache(maxsize=2)
def _window(device: torch.device) -> torch.Tensor:
    """(_TILE,) ramps at both ends that keep the variance: squares of neighbours sum to one."""
    rise = torch.sin((torch.arange(_RAMP, dtype=torch.float64) + 0.5) / _RAMP * math.pi / 2)
    window = torch.ones(_TILE, dtype=torch.float64)
    window[:_RAMP], window[-_RAMP:] = rise, rise.flip(0)
    return window.float().to(device)


def _reduced(luma: torch.Tensor, log2_h: int, log2_w: int) -> torch.Tensor:
    """Luma at the size of a subsampled plane."""
    if not (log2_h or log2_w):
        return luma
    kernel = (1 << log2_h, 1 << log2_w)
    return F.avg_pool2d(luma.float()[None, None], kernel, ceil_mode=True)[0, 0]


# ---------------------------------------------------------------------------------- from numbers


def _table(channel: ChannelGrain, keep: float) -> torch.Tensor:
    """(_LEVELS + 1,) float32 strength over intensity 0..1."""
    at = np.linspace(0, 1, _LEVELS + 1)
    strength = keep * np.interp(at, INTENSITIES, channel.strength)
    return torch.from_numpy(np.minimum(strength, np.minimum(at, 1 - at) / _ROOM)).float()


def _mixing(correlation: Sequence[float]) -> torch.Tensor | None:
    """(3, 3): the symmetric root of the correlation matrix; None for independent planes."""
    if not any(correlation):
        return None
    first, second, third = correlation
    matrix = torch.tensor(
        [[1.0, first, second], [first, 1.0, third], [second, third, 1.0]], dtype=torch.float64
    )
    values, vectors = torch.linalg.eigh(matrix)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.t()
    # Measured one pair at a time, they need not be the correlations of anything.
    scaled: torch.Tensor = root / root.square().sum(1, keepdim=True).sqrt()
    return scaled


def _shape(channel: ChannelGrain, magnification: tuple[float, float]) -> torch.Tensor:
    """(_TILE, _TILE / 2 + 1) float32: what a tile's raw coefficients are multiplied by for grain
    of standard deviation 1, were it measured at the source's size."""
    knots, level = _calibrated(channel.power)
    rows = torch.fft.fftfreq(_TILE, dtype=torch.float64).abs() * magnification[0]
    columns = torch.fft.rfftfreq(_TILE, dtype=torch.float64) * magnification[1]
    power = _between(knots, rows, columns) * level * magnification[0] * magnification[1]
    # The source holds nothing finer than this.
    power[rows > 0.5] = 0
    power[:, columns > 0.5] = 0
    # No mean; and the two columns that have no mirror image carry the power of one.
    power[0, 0] = 0
    power[:, 0] *= 2
    power[:, -1] *= 2
    # |coefficient|^2 of raw numbers is 2 * 65536^2 / 12; the inverse FFT divides by _TILE^2.
    return (power.sqrt() * (_TILE / (65536 / math.sqrt(6)))).float()


@lru_cache(maxsize=16)
def _calibrated(power: tuple[float, ...]) -> tuple[torch.Tensor, float]:
    """Power at the bands' centres that, measured with blocks, comes out as `power`; and the factor
    that makes its measured variance 1.

    A block's DCT sees each frequency blurred, and a band is wide: both are undone here, else steep
    spectra would come out flatter than they were.
    """
    count = len(BANDS)
    wanted = torch.tensor(power, dtype=torch.float64).view(count, count).clamp_(min=1e-6)
    response = _response()
    banded = torch.stack([response[list(band)].mean(0) for band in BANDS])
    frequency = (torch.arange(_FINEST, dtype=torch.float64) / _FINEST + 0.5) % 1 - 0.5
    knots = wanted.clone()
    for _ in range(30):
        density = _between(knots, frequency.abs(), frequency.abs())
        seen = banded @ density @ banded.t()
        # The lowest band was measured without the block's mean.
        mean = float(response[0] @ density @ response[0])
        members = len(BANDS[0]) ** 2
        seen[0, 0] = (seen[0, 0] * members - mean) / (members - 1)
        knots = (knots * (wanted / seen)).clamp_(1e-9, 1e9)
    density = _between(knots, frequency.abs(), frequency.abs())
    total = float((response @ density @ response.t()).sum() - response[0] @ density @ response[0])
    return knots, (SIDE * SIDE - 1) / total


@lru_cache(maxsize=1)
def _response() -> torch.Tensor:
    """(SIDE, _FINEST): how much of the power at a frequency each order of the DCT sees."""
    order = torch.arange(SIDE, dtype=torch.float64)
    basis = torch.cos(math.pi / SIDE * (order[None] + 0.5) * order[:, None]) * math.sqrt(2 / SIDE)
    basis[0] /= math.sqrt(2)
    spectrum: torch.Tensor = torch.fft.fft(basis, _FINEST, dim=1)
    return spectrum.abs().square() / _FINEST


def _between(knots: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Power at any frequencies: linear between the bands' centres in its logarithm, constant
    outside."""
    weights = [_lerp(axis) for axis in (rows, columns)]
    return (weights[0] @ knots.log() @ weights[1].t()).exp()


def _lerp(frequency: torch.Tensor) -> torch.Tensor:
    """(n, bands) weights of the bands' centres at each frequency."""
    identity = np.eye(len(BANDS))
    return torch.from_numpy(
        np.stack([np.interp(frequency.numpy(), BAND_CENTRES, one) for one in identity], axis=1)
    )
