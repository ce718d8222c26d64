"""Reading planes along a flow, as `nets/warp.py` does, in one pass over memory."""

from __future__ import annotations

from functools import partial

import numpy as np
from torch import Tensor

from vrestore.models.compiled import Together, in_parts, one_by_one
from vrestore.models.compiled.jit import inlined, jit

__all__ = ["CompiledWarps"]

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_A = np.float32(-0.75)
"""Of the cubic that `grid_sample` reads with (Keys 1981)."""

_PIECE = 64
"""Samples of a row at a time."""

_ROUNDING = np.float32(3 * 2**22)
"""Numbers of this size have no room for fractions."""


@inlined
def _whole(n):
    """An index without a sign: numba asks of others at each use whether they count from the end."""
    return np.uint64(n)


@jit
def _places(flow, height, width, y, unit_y, unit_x, down_x, down_y, at_y, at_x):
    """Where row `y` of a plane of that size is read, in its own samples, into (W,) and (W,)."""
    h, w = flow.shape[1:]
    fy = (np.float32(y) + _HALF) * np.float32(h / height) - _HALF
    fy = min(max(fy, _ZERO), np.float32(h - 1))
    top = int(fy)
    share = fy - np.float32(top)
    under = min(top + 1, h - 1)
    for x in range(w):
        down_x[x] = flow[0, top, x] + share * (flow[0, under, x] - flow[0, top, x])
        down_y[x] = flow[1, top, x] + share * (flow[1, under, x] - flow[1, top, x])
    step = np.float32(w / width)
    most = np.float32(w - 1)
    for x in range(width):
        fx = min(max((np.float32(x) + _HALF) * step - _HALF, _ZERO), most)
        left = np.int64(fx)
        share = fx - np.float32(left)
        one, two = _whole(left), _whole(min(left + 1, w - 1))
        at_y[x] = np.float32(y) + unit_y * (down_y[one] + share * (down_y[two] - down_y[one]))
        at_x[x] = np.float32(x) + unit_x * (down_x[one] + share * (down_x[two] - down_x[one]))


@inlined
def _outer(t):
    """The weight of a sample `t` away, 1 to 2."""
    return ((_A * t - np.float32(5) * _A) * t + np.float32(8) * _A) * t - np.float32(4) * _A


@inlined
def _inner(t):
    """The weight of a sample `t` away, 0 to 1."""
    return ((_A + np.float32(2)) * t - (_A + np.float32(3))) * t * t + _ONE


@inlined
def _kept(place, size):
    """The place, or that of the last sample if all of the four around it are that one."""
    if place >= np.float32(size):
        return np.float32(size - 1)
    return _ZERO if place < -_ONE else place


@inlined
def _rounded(place):
    """The nearest whole number, halves to even, of places below 2^22."""
    return (place + _ROUNDING) - _ROUNDING


@inlined
def _weigh(places, size, told):
    """Of each place: the sample before it, the weights of that one, of the one before it and of the
    two behind, and whether it is nearer than the next one; as rows of `told`."""
    most = np.float32(size - 1)
    for x in range(len(places)):
        place = _kept(places[x], size)
        before = np.float32(np.int32(place + _ONE)) - _ONE
        t = place - before
        told[0, x] = before
        told[1, x] = _outer(t + _ONE)
        told[2, x] = _inner(t)
        told[3, x] = _inner(_ONE - t)
        told[4, x] = _outer(np.float32(2) - t)
        told[5, x] = before + _HALF - _rounded(min(max(place, _ZERO), most))


@inlined
def _sixteen(plane, height, width, down, across, taken):
    """The 4x4 samples around each place as columns of `taken`; the edge goes on outside."""
    for x in range(taken.shape[1]):
        top = np.int64(down[0, x]) - 1
        left = np.int64(across[0, x]) - 1
        if top >= 0 and left >= 0 and top + 3 < height and left + 3 < width:
            at = top * width + left
            for i in range(4):
                for j in range(4):
                    taken[4 * i + j, x] = plane[_whole(at + i * width + j)]
        else:
            for i in range(4):
                row = min(max(top + i, 0), height - 1) * width
                for j in range(4):
                    column = min(max(left + j, 0), width - 1)
                    taken[4 * i + j, x] = plane[_whole(row + column)]


@inlined
def _least(a, b, c, d, upper):
    return min(min(b, c), a if upper else d)


@inlined
def _greatest(a, b, c, d, upper):
    return max(max(b, c), a if upper else d)


@inlined
def _combine(taken, down, across, out):
    """The weighted sums, within the nine samples around the nearest of the sixteen."""
    for x in range(len(out)):
        value = _ZERO
        for i in range(4):
            value += down[1 + i, x] * (
                across[1, x] * taken[4 * i, x]
                + across[2, x] * taken[4 * i + 1, x]
                + across[3, x] * taken[4 * i + 2, x]
                + across[4, x] * taken[4 * i + 3, x]
            )
        left, upper = across[5, x] > _ZERO, down[5, x] > _ZERO
        low = _least(
            _least(taken[0, x], taken[1, x], taken[2, x], taken[3, x], left),
            _least(taken[4, x], taken[5, x], taken[6, x], taken[7, x], left),
            _least(taken[8, x], taken[9, x], taken[10, x], taken[11, x], left),
            _least(taken[12, x], taken[13, x], taken[14, x], taken[15, x], left),
            upper,
        )
        high = _greatest(
            _greatest(taken[0, x], taken[1, x], taken[2, x], taken[3, x], left),
            _greatest(taken[4, x], taken[5, x], taken[6, x], taken[7, x], left),
            _greatest(taken[8, x], taken[9, x], taken[10, x], taken[11, x], left),
            _greatest(taken[12, x], taken[13, x], taken[14, x], taken[15, x], left),
            upper,
        )
        out[x] = min(max(value, low), high)


@jit
def _sharp(planes, flow, unit_y, unit_x, out, first, last):
    """Rows `first` to `last` of (C, H, W) along (2, h, w): bicubic, within what surrounds the
    nearest sample.  In short pieces, so that all but the reading is done for eight at a time."""
    count, height, width = planes.shape
    at_y = np.empty(width, np.float32)
    at_x = np.empty(width, np.float32)
    down_x = np.empty(flow.shape[2], np.float32)
    down_y = np.empty(flow.shape[2], np.float32)
    # What lies behind the end of a row is read and thrown away.
    down = np.zeros((6, _PIECE), np.float32)
    across = np.zeros((6, _PIECE), np.float32)
    taken = np.empty((16, _PIECE), np.float32)
    made = np.empty(_PIECE, np.float32)
    flat = planes.reshape(count, height * width)
    for y in range(first, last):
        _places(flow, height, width, y, unit_y, unit_x, down_x, down_y, at_y, at_x)
        for start in range(0, width, _PIECE):
            size = min(_PIECE, width - start)
            _weigh(at_y[start : start + size], height, down)
            _weigh(at_x[start : start + size], width, across)
            for c in range(count):
                _sixteen(flat[c], height, width, down, across, taken)
                _combine(taken, down, across, made)
                out[c, y, start : start + size] = made[:size]


@jit
def _plain(planes, flow, unit_y, unit_x, out, first, last):
    """Rows `first` to `last` of (C, H, W) along (2, h, w): bilinear."""
    count, height, width = planes.shape
    at_y = np.empty(width, np.float32)
    at_x = np.empty(width, np.float32)
    down_x = np.empty(flow.shape[2], np.float32)
    down_y = np.empty(flow.shape[2], np.float32)
    flat = planes.reshape(count, height * width)
    for y in range(first, last):
        _places(flow, height, width, y, unit_y, unit_x, down_x, down_y, at_y, at_x)
        for c in range(count):
            plane = flat[c]
            for x in range(width):
                py = min(max(at_y[x], _ZERO), np.float32(height - 1))
                px = min(max(at_x[x], _ZERO), np.float32(width - 1))
                top = np.int64(py)
                left = np.int64(px)
                tx = px - np.float32(left)
                right = min(left + 1, width - 1)
                r0 = top * width
                r1 = min(top + 1, height - 1) * width
                a, b = plane[_whole(r0 + left)], plane[_whole(r0 + right)]
                c_, d = plane[_whole(r1 + left)], plane[_whole(r1 + right)]
                upper = a + tx * (b - a)
                lower = c_ + tx * (d - c_)
                out[c, y, x] = upper + (py - np.float32(top)) * (lower - upper)


class CompiledWarps:
    """`nets.warp.Warps` for the CPU."""

    def __init__(self, together: Together = one_by_one) -> None:
        self._together = together

    def sharp(self, plane: Tensor, flow: Tensor) -> Tensor:
        return self._read(_sharp, plane, flow, 2)

    def plain(self, plane: Tensor, flow: Tensor, cell: int = 2) -> Tensor:
        return self._read(_plain, plane, flow, cell)

    def _read(self, kernel, plane: Tensor, flow: Tensor, cell: int) -> Tensor:
        plane, flow = plane.contiguous(), flow.contiguous()
        out = plane.new_empty(plane.shape)
        (h, w), (height, width) = flow.shape[-2:], plane.shape[-2:]
        unit_y, unit_x = np.float32(height / (cell * h)), np.float32(width / (cell * w))
        for planes, ways, made in zip(plane, flow, out, strict=True):
            given = planes.numpy(), ways.numpy(), unit_y, unit_x, made.numpy()
            in_parts(self._together, height, partial(kernel, *given))
        return out
