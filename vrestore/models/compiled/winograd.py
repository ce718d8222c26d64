"""3x3 convolutions in a quarter of the multiplications, on the CPU.

F(4x4, 3x3) of Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks"
(arXiv:1509.09308).  A tile of 4x4 results comes of 6x6 samples, which two small transforms turn
into 36 products of a matrix each with tiles down and channels across.  torch multiplies the
matrices; what lies before and behind them is one pass over memory each, the rectifier included.
In fp32 results differ from a direct convolution by some 1e-5 of their size.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
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

__all__ = ["Winograd", "suits"]

_LEAST_CHANNELS = 24
"""In and out, below which a direct convolution is as fast."""

_BLOCK_FLOATS = 2**18
"""Of the transformed samples at a time: what a core's cache holds."""

_LEAST_TILES, _MOST_TILES = 32, 128

_KERNEL = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)

_ZERO, _TWO, _FOUR, _FIVE, _EIGHT = (np.float32(n) for n in (0, 2, 4, 5, 8))


@inlined
def _six_in(d0, d1, d2, d3, d4, d5):
    """Six samples of a line, transformed."""
    p = d4 - _FOUR * d2
    q = d3 - _FOUR * d1
    u = d4 - d2
    v = _TWO * (d3 - d1)
    return (
        _FOUR * d0 - _FIVE * d2 + d4, p + q, p - q, u + v, u - v, _FOUR * d1 - _FIVE * d3 + d5
    )  # fmt: skip


@inlined
def _four_out(m0, m1, m2, m3, m4, m5):
    """The four results of a line, of six transformed ones."""
    p = m1 + m2
    q = m3 + m4
    u = m1 - m2
    v = m3 - m4
    return m0 + p + q, u + _TWO * v, p + _FOUR * q, u + _EIGHT * v + m5


@inlined
def _store_four(x, start, step, z0, z1, z2, z3):
    """Lanes into `x`, from one `step` to the next."""
    store(x, start, z0)
    store(x, start + step, z1)
    store(x, start + 2 * step, z2)
    store(x, start + 3 * step, z3)


@inlined
def _store_six(x, start, step, r0, r1, r2, r3, r4, r5):
    _store_four(x, start, step, r0, r1, r2, r3)
    store(x, start + 4 * step, r4)
    store(x, start + 5 * step, r5)


@inlined
def _load_six(x, start, step):
    """Lanes of `x`, from one `step` to the next."""
    return (
        load(x, start), load(x, start + step), load(x, start + 2 * step),
        load(x, start + 3 * step), load(x, start + 4 * step), load(x, start + 5 * step),
    )  # fmt: skip


@inlined
def _fetch_next(fetch, x, start, row, channels, rows):
    """The `rows` of four samples from number `start` on, of one cache line of channels each."""
    for i in range(rows):
        for j in range(4):
            fetch(x, start + i * row + j * channels)


@jit
def _tile_in(x, y0, x0, made, k, lines):
    """Tile `k` of (36, tiles, C) of the 6x6 samples of (H, W, C) from there on."""
    width, channels = x.shape[1:]
    row, product = width * channels, made.shape[1] * channels
    for c in range(0, channels, LANES):
        start = (y0 * width + x0) * channels + c
        if c % LINE == 0:
            _fetch_next(fetch_to_read, x, start + 6 * channels, row, channels, 6)
        for j in range(6):
            r0, r1, r2, r3, r4, r5 = _six_in(*_load_six(x, start + j * channels, row))
            _store_six(lines, j * LANES, 6 * LANES, r0, r1, r2, r3, r4, r5)
        start = k * channels + c
        for i in range(6):
            r0, r1, r2, r3, r4, r5 = _six_in(*_load_six(lines, 6 * i * LANES, LANES))
            _store_six(made, start + 6 * i * product, product, r0, r1, r2, r3, r4, r5)


@jit
def _tiles_in(x, made, lines, edge, first, count, across, pad):
    """`count` tiles from number `first` on, `across` in a row; zeros lie around the samples."""
    height, width, channels = x.shape
    for k in range(count):
        y0 = (first + k) // across * 4 - pad
        x0 = (first + k) % across * 4 - pad
        if y0 >= 0 and x0 >= 0 and y0 + 6 <= height and x0 + 6 <= width:
            _tile_in(x, y0, x0, made, k, lines)
        else:
            edge[:] = _ZERO
            for i in range(max(0, -y0), min(6, height - y0)):
                for j in range(max(0, -x0), min(6, width - x0)):
                    for c in range(channels):
                        edge[i, j, c] = x[y0 + i, x0 + j, c]
            _tile_in(edge, 0, 0, made, k, lines)


@inlined
def _rectified(z, bias, slope):
    z = z + bias
    return larger(z, same(_ZERO)) + slope * smaller(z, same(_ZERO))


@jit
def _tile_out(products, k, out, y0, x0, lines, bias, slope):
    """The 4x4 results of tile `k`, rectified, into (H, W, C) from there on."""
    width, channels = out.shape[1:]
    row, product = width * channels, products.shape[1] * channels
    for c in range(0, channels, LANES):
        start = (y0 * width + x0) * channels + c
        if c % LINE == 0:
            _fetch_next(fetch_to_write, out, start + 4 * channels, row, channels, 4)
        for j in range(6):
            z0, z1, z2, z3 = _four_out(
                *_load_six(products, k * channels + c + j * product, 6 * product)
            )
            _store_four(lines, j * LANES, 6 * LANES, z0, z1, z2, z3)
        b, s = load(bias, c), load(slope, c)
        for i in range(4):
            z0, z1, z2, z3 = _four_out(*_load_six(lines, 6 * i * LANES, LANES))
            _store_four(
                out, start + i * row, channels,
                _rectified(z0, b, s), _rectified(z1, b, s),
                _rectified(z2, b, s), _rectified(z3, b, s),
            )  # fmt: skip


@jit
def _tiles_out(products, out, lines, edge, bias, slope, first, count, across):
    """What `_tiles_in` began, into `out`, of which the last tiles may show a part only."""
    height, width, channels = out.shape
    for k in range(count):
        y0 = (first + k) // across * 4
        x0 = (first + k) % across * 4
        if y0 + 4 <= height and x0 + 4 <= width:
            _tile_out(products, k, out, y0, x0, lines, bias, slope)
        else:
            _tile_out(products, k, edge, 0, 0, lines, bias, slope)
            for i in range(min(4, height - y0)):
                for j in range(min(4, width - x0)):
                    for c in range(channels):
                        out[y0 + i, x0 + j, c] = edge[i, j, c]


def suits(weight: Tensor) -> bool:
    """Whether a convolution with (outputs, inputs, 3, 3) is faster so: in fp32, with channels
    enough, and none of them left over by what the CPU does at once."""
    fewest = min(weight.shape[:2])
    whole = all(count % LANES == 0 for count in weight.shape[:2])
    return weight.dtype == torch.float32 and fewest >= _LEAST_CHANNELS and whole


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
        self._outputs, self._inputs = weight.shape[:2]
        self._pad = pad
        made = torch.einsum("ik,jl,ockl->ijco", _KERNEL, _KERNEL, weight.double())
        self._matrices = made.reshape(36, self._inputs, self._outputs).float().contiguous()
        self._bias = bias.float().numpy()
        self._slope = slope.float().expand(self._outputs).contiguous().numpy()

    def __call__(self, x: Tensor) -> Tensor:
        """(1, inputs, H, W) to (1, outputs, H', W'), fp32, channels last."""
        height, width = (size - 2 + 2 * self._pad for size in x.shape[-2:])
        out = x.new_empty((1, height, width, self._outputs))
        samples, made = x.permute(0, 2, 3, 1).contiguous()[0].numpy(), out[0].numpy()
        tiles = -(-height // 4) * -(-width // 4)
        in_parts(self._together, tiles, partial(self._tiles, samples, made))
        return out.permute(0, 3, 1, 2)

    def _tiles(self, x: np.ndarray, out: np.ndarray, start: int, end: int) -> None:
        """The tiles from number `start` to `end`, row by row."""
        inputs, outputs = self._inputs, self._outputs
        across = -(-out.shape[1] // 4)
        block = _BLOCK_FLOATS // (36 * max(inputs, outputs))
        block = min(max(_LEAST_TILES, block), _MOST_TILES, end - start)
        made, products = (torch.empty(36 * block * n) for n in (inputs, outputs))
        lines = np.empty((6, 6, LANES), np.float32)
        edge_in, edge_out = (np.empty((6, 6, n), np.float32) for n in (inputs, outputs))
        for first in range(start, end, block):
            count = min(block, end - first)
            a = made[: 36 * count * inputs].view(36, count, inputs)
            b = products[: 36 * count * outputs].view(36, count, outputs)
            _tiles_in(x, a.numpy(), lines, edge_in, first, count, across, self._pad)
            torch.bmm(a, self._matrices, out=b)
            _tiles_out(
                b.numpy(), out, lines, edge_out, self._bias, self._slope, first, count, across
            )
