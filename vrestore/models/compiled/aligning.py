"""The two parts of the aligner that are no convolution, `nets/align.py`, in a few passes."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from vrestore.models.compiled import Together, in_parts
from vrestore.models.compiled.jit import jit

__all__ = ["CompiledSearch"]

_ZERO, _HALF, _ONE, _QUARTER = (np.float32(n) for n in (0, 0.5, 1, 0.25))


@jit
def _correlate(a, b, radius, out, first, last):
    """Rows of (side ** 2, h, w): products of (C, h, w) with the cells around; zeros lie outside."""
    channels, height, width = a.shape
    side = 2 * radius + 1
    total = np.empty(width, np.float32)
    for y in range(first, last):
        for dy in range(side):
            there = y + dy - radius
            for dx in range(side):
                shift = dx - radius
                begin, end = max(0, -shift), min(width, width - shift)
                total[:] = _ZERO
                if 0 <= there < height and begin < end:
                    part = total[begin:end]
                    for c in range(channels):
                        here, other = a[c, y, begin:end], b[c, there, begin + shift : end + shift]
                        for x in range(len(part)):
                            part[x] += here[x] * other[x]
                out[dy * side + dx, y, :] = total


@jit
def _products(a, moved, out, first, last):
    """Rows of (5, H / 2, W / 2): means over 2x2 samples of xx, xy, yy, xd and yd."""
    height, width = a.shape
    sums = np.empty((5, width), np.float32)
    for row in range(first, last):
        sums[:] = _ZERO
        for y in (2 * row, 2 * row + 1):
            above, below = max(y - 1, 0), min(y + 1, height - 1)
            for x in range(width):
                before, behind = max(x - 1, 0), min(x + 1, width - 1)
                gx = _QUARTER * (a[y, behind] + moved[y, behind] - a[y, before] - moved[y, before])
                gy = _QUARTER * (a[below, x] + moved[below, x] - a[above, x] - moved[above, x])
                d = a[y, x] - moved[y, x]
                sums[0, x] += gx * gx
                sums[1, x] += gx * gy
                sums[2, x] += gy * gy
                sums[3, x] += gx * d
                sums[4, x] += gy * d
        for k in range(5):
            for x in range(width // 2):
                out[k, row, x] = _QUARTER * (sums[k, 2 * x] + sums[k, 2 * x + 1])


@jit
def _solve(products, damping, radius, out, first, last):
    """Rows of (2, h, w): the step that the products around each cell ask for."""
    height, width = products.shape[1:]
    down = np.empty((5, width), np.float32)
    mean = np.empty((5, width), np.float32)
    for y in range(first, last):
        top, bottom = max(0, y - radius), min(height, y + radius + 1)
        for k in range(5):
            for x in range(width):
                down[k, x] = products[k, top, x]
            for row in range(top + 1, bottom):
                for x in range(width):
                    down[k, x] += products[k, row, x]
            for x in range(width):
                left, right = max(0, x - radius), min(width, x + radius + 1)
                total = _ZERO
                for at in range(left, right):
                    total += down[k, at]
                mean[k, x] = total / np.float32((right - left) * (bottom - top))
        for x in range(width):
            xx, xy, yy = mean[0, x] + damping, mean[1, x], mean[2, x] + damping
            xd, yd = mean[3, x], mean[4, x]
            unit = _ONE / (xx * yy - xy * xy)
            out[0, y, x] = min(max((yy * xd - xy * yd) * unit, -_ONE), _ONE)
            out[1, y, x] = min(max((xx * yd - xy * xd) * unit, -_ONE), _ONE)


class CompiledSearch:
    """`correlation` and `gauss_newton` for the CPU."""

    def __init__(self, together: Together) -> None:
        self._together = together

    def correlate(self, a: Tensor, b: Tensor, radius: int) -> Tensor:
        n, _, h, w = a.shape
        out = torch.empty(n, (2 * radius + 1) ** 2, h, w)
        for one, other, made in zip(a.contiguous(), b.contiguous(), out, strict=True):
            given = one.numpy(), other.numpy(), radius, made.numpy()
            in_parts(self._together, h, partial(_correlate, *given))
        return out

    def refine(self, a: Tensor, moved: Tensor, damping: Tensor, radius: int = 2) -> Tensor:
        n, _, height, width = a.shape
        h, w = height // 2, width // 2
        out, damped = torch.empty(n, 2, h, w), np.float32(damping)
        products = torch.empty(5, h, w).numpy()
        for one, other, made in zip(a[:, 0], moved[:, 0], out, strict=True):
            given = one.contiguous().numpy(), other.contiguous().numpy(), products
            in_parts(self._together, h, partial(_products, *given))
            in_parts(self._together, h, partial(_solve, products, damped, radius, made.numpy()))
        return out
