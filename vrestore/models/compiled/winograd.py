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

__all__ = ["LEAST_CHANNELS", "Winograd"]

LEAST_CHANNELS = 24
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
def _rectified(z, slope):
    return max(z, _ZERO) + slope * min(z, _ZERO)


@jit
def _tile_in(x, y0, x0, made, k, rows):
    """Tile `k` of (36, tiles, C) of the 6x6 samples of (H, W, C) from there on."""
    channels = x.shape[2]
    for j in range(6):
        at = x0 + j
        for c in range(channels):
            r0, r1, r2, r3, r4, r5 = _six_in(
                x[y0, at, c], x[y0 + 1, at, c], x[y0 + 2, at, c],
                x[y0 + 3, at, c], x[y0 + 4, at, c], x[y0 + 5, at, c],
            )  # fmt: skip
            rows[0, j, c] = r0
            rows[1, j, c] = r1
            rows[2, j, c] = r2
            rows[3, j, c] = r3
            rows[4, j, c] = r4
            rows[5, j, c] = r5
    for i in range(6):
        for c in range(channels):
            r0, r1, r2, r3, r4, r5 = _six_in(
                rows[i, 0, c], rows[i, 1, c], rows[i, 2, c],
                rows[i, 3, c], rows[i, 4, c], rows[i, 5, c],
            )  # fmt: skip
            made[6 * i, k, c] = r0
            made[6 * i + 1, k, c] = r1
            made[6 * i + 2, k, c] = r2
            made[6 * i + 3, k, c] = r3
            made[6 * i + 4, k, c] = r4
            made[6 * i + 5, k, c] = r5


@jit
def _tiles_in(x, made, rows, edge, first, count, across, pad):
    """`count` tiles from number `first` on, `across` in a row; zeros lie around the samples."""
    height, width, channels = x.shape
    for k in range(count):
        y0 = (first + k) // across * 4 - pad
        x0 = (first + k) % across * 4 - pad
        if y0 >= 0 and x0 >= 0 and y0 + 6 <= height and x0 + 6 <= width:
            _tile_in(x, y0, x0, made, k, rows)
        else:
            edge[:] = _ZERO
            for i in range(max(0, -y0), min(6, height - y0)):
                for j in range(max(0, -x0), min(6, width - x0)):
                    for c in range(channels):
                        edge[i, j, c] = x[y0 + i, x0 + j, c]
            _tile_in(edge, 0, 0, made, k, rows)


@jit
def _tile_out(products, k, out, y0, x0, rows, bias, slope):
    """The 4x4 results of tile `k`, rectified, into (H, W, C) from there on."""
    channels = out.shape[2]
    for j in range(6):
        for c in range(channels):
            z0, z1, z2, z3 = _four_out(
                products[j, k, c], products[6 + j, k, c], products[12 + j, k, c],
                products[18 + j, k, c], products[24 + j, k, c], products[30 + j, k, c],
            )  # fmt: skip
            rows[0, j, c] = z0
            rows[1, j, c] = z1
            rows[2, j, c] = z2
            rows[3, j, c] = z3
    for i in range(4):
        for c in range(channels):
            b, s = bias[c], slope[c]
            z0, z1, z2, z3 = _four_out(
                rows[i, 0, c], rows[i, 1, c], rows[i, 2, c],
                rows[i, 3, c], rows[i, 4, c], rows[i, 5, c],
            )  # fmt: skip
            out[y0 + i, x0, c] = _rectified(z0 + b, s)
            out[y0 + i, x0 + 1, c] = _rectified(z1 + b, s)
            out[y0 + i, x0 + 2, c] = _rectified(z2 + b, s)
            out[y0 + i, x0 + 3, c] = _rectified(z3 + b, s)


@jit
def _tiles_out(products, out, rows, edge, bias, slope, first, count, across):
    """What `_tiles_in` began, into `out`, of which the last tiles may show a part only."""
    height, width, channels = out.shape
    for k in range(count):
        y0 = (first + k) // across * 4
        x0 = (first + k) % across * 4
        if y0 + 4 <= height and x0 + 4 <= width:
            _tile_out(products, k, out, y0, x0, rows, bias, slope)
        else:
            _tile_out(products, k, edge, 0, 0, rows, bias, slope)
            for i in range(min(4, height - y0)):
                for j in range(min(4, width - x0)):
                    for c in range(channels):
                        out[y0 + i, x0 + j, c] = edge[i, j, c]


class Winograd:
    """A 3x3 convolution of step 1 and what rectifies its result.

    Args:
        weight: (outputs, inputs, 3, 3) fp32.
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
        rows_in, edge_in = np.empty((2, 6, 6, inputs), np.float32)
        rows_out, edge_out = np.empty((2, 6, 6, outputs), np.float32)
        for first in range(start, end, block):
            count = min(block, end - first)
            a = made[: 36 * count * inputs].view(36, count, inputs)
            b = products[: 36 * count * outputs].view(36, count, outputs)
            _tiles_in(x, a.numpy(), rows_in, edge_in, first, count, across, self._pad)
            torch.bmm(a, self._matrices, out=b)
            _tiles_out(
                b.numpy(), out, rows_out, edge_out, self._bias, self._slope, first, count, across
            )
