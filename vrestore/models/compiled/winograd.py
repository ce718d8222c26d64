"""3x3 convolutions in a fifth of the multiplications, on the CPU.

F(6x6, 3x3) of Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks"
(arXiv:1509.09308).  A tile of 6x6 results comes of 8x8 samples, which two small transforms turn
into 64 products of a matrix each with tiles down and channels across.  torch multiplies the
matrices; what lies before and behind them is one pass over memory each, the rectifier included.
In fp32 results differ from a direct convolution by some 1e-5 of their size.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.models.compiled import Together, in_parts, one_by_one
from vrestore.models.compiled.jit import inlined, jit
from vrestore.models.compiled.lanes import (
    LANES,
    LINE,
    fetch_to_read,
    fetch_to_write,
    larger,
    load,
    same,
    smaller,
    store,
)

__all__ = ["TILE", "Winograd", "suits"]

_FEW_CHANNELS, _MANY_CHANNELS = 24, 48
"""With fewer than few on either side, and many on none, a direct convolution is as fast."""

_BLOCK_FLOATS = 2**18
"""Of the transformed samples at a time: what a core's cache holds."""

_LEAST_TILES, _MOST_TILES = 48, 128

TILE = 6
"""Results a side that come of one tile."""

_KERNEL = torch.tensor(
    [
        [1, 0, 0],
        [-2 / 9, -2 / 9, -2 / 9],
        [-2 / 9, 2 / 9, -2 / 9],
        [1 / 90, 1 / 45, 2 / 45],
        [1 / 90, -1 / 45, 2 / 45],
        [32 / 45, 16 / 45, 8 / 45],
        [32 / 45, -16 / 45, 8 / 45],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)

_ZERO = np.float32(0)
_HALF, _QUARTER, _EIGHTH, _16TH, _32ND = (np.float32(0.5**n) for n in range(1, 6))
_TWO, _FOUR, _EIGHT, _16, _32 = (np.float32(2**n) for n in range(1, 6))
_5_4, _5_2, _17_4, _FIVE, _21_4 = (np.float32(n / 4) for n in (5, 10, 17, 20, 21))


@inlined
def _eight_in(d0, d1, d2, d3, d4, d5, d6, d7):
    """Eight samples of a line, transformed."""
    a = d2 - _17_4 * d4 + d6
    b = d1 - _17_4 * d3 + d5
    c = _QUARTER * d2 - _5_4 * d4 + d6
    d = _HALF * d1 - _5_2 * d3 + _TWO * d5
    e = _FOUR * d2 - _FIVE * d4 + d6
    f = _TWO * d1 - _5_2 * d3 + _HALF * d5
    return (
        d0 - d6 + _21_4 * (d4 - d2), a + b, a - b, c + d, c - d, e + f, e - f,
        d7 - d1 + _21_4 * (d3 - d5),
    )  # fmt: skip


@inlined
def _six_out(m0, m1, m2, m3, m4, m5, m6, m7):
    """The six results of a line, of eight transformed ones."""
    p, q = m1 + m2, m1 - m2
    r, s = m3 + m4, m3 - m4
    t, u = m5 + m6, m5 - m6
    return (
        m0 + p + r + t, q + _TWO * s + _HALF * u, p + _FOUR * r + _QUARTER * t,
        q + _EIGHT * s + _EIGHTH * u, p + _16 * r + _16TH * t, q + _32 * s + _32ND * u + m7,
    )  # fmt: skip


@inlined
def _store_six(x, start, step, z0, z1, z2, z3, z4, z5):
    """Lanes into `x`, from one `step` to the next."""
    store(x, start, z0)
    store(x, start + step, z1)
    store(x, start + 2 * step, z2)
    store(x, start + 3 * step, z3)
    store(x, start + 4 * step, z4)
    store(x, start + 5 * step, z5)


@inlined
def _store_eight(x, start, step, r0, r1, r2, r3, r4, r5, r6, r7):
    _store_six(x, start, step, r0, r1, r2, r3, r4, r5)
    store(x, start + 6 * step, r6)
    store(x, start + 7 * step, r7)


@inlined
def _load_eight(x, start, step):
    """Lanes of `x`, from one `step` to the next."""
    return (
        load(x, start), load(x, start + step), load(x, start + 2 * step),
        load(x, start + 3 * step), load(x, start + 4 * step), load(x, start + 5 * step),
        load(x, start + 6 * step), load(x, start + 7 * step),
    )  # fmt: skip


@inlined
def _fetch_next(fetch, x, start, row, channels, rows):
    """The `rows` of six samples from number `start` on, of one cache line of channels each."""
    for i in range(rows):
        for j in range(6):
            fetch(x, start + i * row + j * channels)


@jit
def _tile_in(x, y0, x0, made, k, lines):
    """Tile `k` of (64, tiles, C) of the 8x8 samples of (H, W, C) from there on."""
    width, channels = x.shape[1:]
    row, product = width * channels, made.shape[1] * channels
    for c in range(0, channels, LANES):
        start = (y0 * width + x0) * channels + c
        if c % LINE == 0:
            _fetch_next(fetch_to_read, x, start + 8 * channels, row, channels, 8)
        for j in range(8):
            r0, r1, r2, r3, r4, r5, r6, r7 = _eight_in(*_load_eight(x, start + j * channels, row))
            _store_eight(lines, j * LANES, 8 * LANES, r0, r1, r2, r3, r4, r5, r6, r7)
        start = k * channels + c
        for i in range(8):
            r0, r1, r2, r3, r4, r5, r6, r7 = _eight_in(*_load_eight(lines, 8 * i * LANES, LANES))
            _store_eight(made, start + 8 * i * product, product, r0, r1, r2, r3, r4, r5, r6, r7)


@jit
def _tiles_in(x, made, lines, edge, first, count, across, top, left):
    """`count` tiles from number `first` on, `across` in a row, of which number 0 begins at row
    `top` and column `left` of the samples; zeros lie around them."""
    height, width, channels = x.shape
    for k in range(count):
        y0 = (first + k) // across * 6 + top
        x0 = (first + k) % across * 6 + left
        if y0 >= 0 and x0 >= 0 and y0 + 8 <= height and x0 + 8 <= width:
            _tile_in(x, y0, x0, made, k, lines)
        else:
            edge[:] = _ZERO
            for i in range(max(0, -y0), min(8, height - y0)):
                for j in range(max(0, -x0), min(8, width - x0)):
                    for c in range(channels):
                        edge[i, j, c] = x[y0 + i, x0 + j, c]
            _tile_in(edge, 0, 0, made, k, lines)


@inlined
def _rectified(z, bias, slope):
    z = z + bias
    return larger(z, same(_ZERO)) + slope * smaller(z, same(_ZERO))


@jit
def _tile_out(products, k, out, y0, x0, lines, bias, slope):
    """The 6x6 results of tile `k`, rectified, into (H, W, C) from there on."""
    width, channels = out.shape[1:]
    row, product = width * channels, products.shape[1] * channels
    for c in range(0, channels, LANES):
        start = (y0 * width + x0) * channels + c
        if c % LINE == 0:
            _fetch_next(fetch_to_write, out, start + 6 * channels, row, channels, 6)
        for j in range(8):
            z0, z1, z2, z3, z4, z5 = _six_out(
                *_load_eight(products, k * channels + c + j * product, 8 * product)
            )
            _store_six(lines, j * LANES, 8 * LANES, z0, z1, z2, z3, z4, z5)
        b, s = load(bias, c), load(slope, c)
        for i in range(6):
            z0, z1, z2, z3, z4, z5 = _six_out(*_load_eight(lines, 8 * i * LANES, LANES))
            _store_six(
                out, start + i * row, channels,
                _rectified(z0, b, s), _rectified(z1, b, s), _rectified(z2, b, s),
                _rectified(z3, b, s), _rectified(z4, b, s), _rectified(z5, b, s),
            )  # fmt: skip


@jit
def _tiles_out(products, out, lines, edge, bias, slope, first, count, across, top):
    """What `_tiles_in` began, into `out`, at whose row `top` tile 0 begins and of which the last
    tiles may show a part only."""
    height, width, channels = out.shape
    for k in range(count):
        y0 = (first + k) // across * 6 + top
        x0 = (first + k) % across * 6
        if y0 + 6 <= height and x0 + 6 <= width:
            _tile_out(products, k, out, y0, x0, lines, bias, slope)
        else:
            _tile_out(products, k, edge, 0, 0, lines, bias, slope)
            for i in range(min(6, height - y0)):
                for j in range(min(6, width - x0)):
                    for c in range(channels):
                        out[y0 + i, x0 + j, c] = edge[i, j, c]


def suits(weight: Tensor) -> bool:
    """Whether a convolution with (outputs, inputs, 3, 3) is faster so."""
    outputs, inputs = weight.shape[:2]
    wide = min(outputs, inputs) >= _FEW_CHANNELS or max(outputs, inputs) >= _MANY_CHANNELS
    return weight.dtype == torch.float32 and wide and outputs >= LANES


class Winograd:
    """A 3x3 convolution of step 1 and what rectifies its result.

    Args:
        weight: (outputs, inputs, 3, 3) fp32 that `suits`.
        bias: (outputs,).
        slope: of the negative side, per channel or one for all; 1 leaves the result alone.
        pad: rows and columns of zeros around the samples, 0 or 1.
        together: for the parts of a picture, of which there are as many as torch has threads.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, slope: Tensor, *, pad: int,
        together: Together = one_by_one,
    ) -> None:  # fmt: skip
        self._together = together
        self.outputs, self.inputs = weight.shape[:2]
        self.pad = pad
        self._added = -self.inputs % LANES
        empty = -self.outputs % LANES
        weight = F.pad(weight.double(), (0, 0, 0, 0, 0, self._added, 0, empty))
        made = torch.einsum("ik,jl,ockl->ijco", _KERNEL, _KERNEL, weight)
        self._matrices = made.flatten(0, 1).float().contiguous()
        self._bias = F.pad(bias.float(), (0, empty)).numpy()
        self._slope = F.pad(slope.float().expand(self.outputs), (0, empty)).numpy()

    def __call__(self, x: Tensor) -> Tensor:
        """(1, inputs, H, W) to (1, outputs, H', W'), fp32, channels last."""
        samples = self.samples(x)
        height, width = (size - 2 + 2 * self.pad for size in samples.shape[:2])
        out = self.room(height, width)
        tiles = -(-height // TILE) * -(-width // TILE)
        work = partial(self.tiles, samples.numpy(), out.numpy(), tops=(-self.pad, 0))
        in_parts(self._together, tiles, work)
        return self.shown(out)

    def room(self, height: int, width: int) -> Tensor:
        """For results: (height, width, channels), a few of which may be nobody's."""
        return torch.empty(height, width, self._matrices.shape[2])

    def shown(self, out: Tensor) -> Tensor:
        """What `tiles` made in there, (1, outputs, height, width)."""
        return out[None, ..., : self.outputs].permute(0, 3, 1, 2)

    def samples(self, x: Tensor) -> Tensor:
        """(1, inputs, H, W) as what `tiles` takes, (H, W, channels)."""
        if self._added:
            x = F.pad(x, (0, 0, 0, 0, 0, self._added))
        return x.permute(0, 2, 3, 1).contiguous()[0]

    def tiles(
        self, x: np.ndarray, out: np.ndarray, start: int, end: int, *, tops: tuple[int, int],
        upwards: bool = False,
    ) -> None:  # fmt: skip
        """The tiles from number `start` to `end`, row by row, the last first if `upwards`.

        Args:
            tops: where the rows of tile 0 begin in `x`, (H, W, channels), and in `out`.
        """
        inputs, outputs = self._matrices.shape[1:]
        across = -(-out.shape[1] // TILE)
        block = _BLOCK_FLOATS // (64 * max(inputs, outputs))
        # An odd number: at powers of two all matrices would fall into the same part of a cache.
        block = min(max(_LEAST_TILES, block) - 1 | 1, _MOST_TILES - 1, end - start)
        scratch = torch.empty(64 * block * (inputs + outputs))
        made, products = scratch.split([64 * block * n for n in (inputs, outputs)])
        lines = np.empty((8, 8, LANES), np.float32)
        edge_in, edge_out = (np.empty((8, 8, n), np.float32) for n in (inputs, outputs))
        top_in, top_out = tops
        firsts = range(start, end, block)
        for first in reversed(firsts) if upwards else firsts:
            count = min(block, end - first)
            a = made[: 64 * count * inputs].view(64, count, inputs)
            b = products[: 64 * count * outputs].view(64, count, outputs)
            _tiles_in(x, a.numpy(), lines, edge_in, first, count, across, top_in, -self.pad)
            torch.bmm(a, self._matrices, out=b)
            _tiles_out(
                b.numpy(), out, lines, edge_out, self._bias, self._slope, first, count, across,
                top_out,
            )  # fmt: skip
