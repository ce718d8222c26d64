"""Reading planes at places between their samples, as `nets/warp.py` and `nets/grid.py` do."""

from __future__ import annotations

import os

import triton
import triton.language as tl

__all__ = ["BLOCK", "bilinear", "flow_at", "magnified", "rounded", "sharp", "taps"]

BLOCK = 4096 if os.environ.get("TRITON_INTERPRET") == "1" else 128
"""Cells or samples that one program works on: one for each thread of four warps.  The interpreter
pays for operations and not for samples."""


@triton.jit
def rounded(x):
    """The nearest whole number, halves to even, of |x| < 2^22."""
    return (x + 12582912.0) - 12582912.0


@triton.jit
def taps(t, a):
    """Keys' weights of the four samples around a place, `t` behind the second."""
    u = 1.0 - t
    return (
        ((a * (t + 1.0) - 5.0 * a) * (t + 1.0) + 8.0 * a) * (t + 1.0) - 4.0 * a,
        ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0,
        ((a + 2.0) * u - (a + 3.0)) * u * u + 1.0,
        ((a * (u + 1.0) - 5.0 * a) * (u + 1.0) + 8.0 * a) * (u + 1.0) - 4.0 * a,
    )


@triton.jit
def bilinear(plane, height, width, py, px):
    """A plane (height, width) at (py, px); outside it is its edge."""
    py = tl.minimum(tl.maximum(py, 0.0), (height - 1).to(tl.float32))
    px = tl.minimum(tl.maximum(px, 0.0), (width - 1).to(tl.float32))
    top = py.to(tl.int32)
    left = px.to(tl.int32)
    ty = py - top.to(tl.float32)
    tx = px - left.to(tl.float32)
    upper = plane + top * width
    lower = plane + tl.minimum(top + 1, height - 1) * width
    right = tl.minimum(left + 1, width - 1)
    return (1.0 - ty) * ((1.0 - tx) * tl.load(upper + left) + tx * tl.load(upper + right)) + ty * (
        (1.0 - tx) * tl.load(lower + left) + tx * tl.load(lower + right)
    )


@triton.jit
def flow_at(flow, h, w, y, x, step):
    """(x, y) of a flow (2, h, w) at sample (y, x) of a plane whose samples lie `step` cells apart,
    in luma samples."""
    fy = (y.to(tl.float32) + 0.5) * step - 0.5
    fx = (x.to(tl.float32) + 0.5) * step - 0.5
    return bilinear(flow, h, w, fy, fx), bilinear(flow + h * w, h, w, fy, fx)


@triton.jit
def sharp(plane, height, width, py, px):
    """Bicubic (a = -0.75) at (py, px), within the range of the 3x3 samples around the nearest."""
    # Beyond the edge everything is the edge; without this, far places would leave 32 bits.
    py = tl.minimum(tl.maximum(py, -4.0), (height + 4).to(tl.float32))
    px = tl.minimum(tl.maximum(px, -4.0), (width + 4).to(tl.float32))
    floor_y = tl.floor(py)
    floor_x = tl.floor(px)
    ty = py - floor_y
    tx = px - floor_x
    top = floor_y.to(tl.int32) - 1
    left = floor_x.to(tl.int32) - 1
    down = taps(ty, -0.75)
    across = taps(tx, -0.75)
    value = tx * 0.0
    for i in tl.static_range(4):
        row = plane + tl.minimum(tl.maximum(top + i, 0), height - 1) * width
        line = tx * 0.0
        for j in tl.static_range(4):
            column = tl.minimum(tl.maximum(left + j, 0), width - 1)
            line += across[j] * tl.load(row + column)
        value += down[i] * line
    near_y = rounded(tl.minimum(tl.maximum(py, 0.0), (height - 1).to(tl.float32))).to(tl.int32)
    near_x = rounded(tl.minimum(tl.maximum(px, 0.0), (width - 1).to(tl.float32))).to(tl.int32)
    low = value * 0.0 + 1e30
    high = value * 0.0 - 1e30
    for i in tl.static_range(3):
        row = plane + tl.minimum(tl.maximum(near_y + (i - 1), 0), height - 1) * width
        for j in tl.static_range(3):
            sample = tl.load(row + tl.minimum(tl.maximum(near_x + (j - 1), 0), width - 1))
            low = tl.minimum(low, sample)
            high = tl.maximum(high, sample)
    return tl.minimum(tl.maximum(value, low), high)


@triton.jit
def magnified(
    plane, height, width, y, x, scale: tl.constexpr, shift_y, shift_x, REPEAT: tl.constexpr
):
    """Sample (y, x) of a plane magnified by bicubic (a = -0.5).

    With `REPEAT` edges are repeated; without, what lies outside has no weight.  The two ways of
    `nets.grid.upsample`.
    """
    if scale == 1:
        return tl.load(plane + y * width + x)
    py = (y.to(tl.float32) + 0.5) / scale - 0.5 + shift_y
    px = (x.to(tl.float32) + 0.5) / scale - 0.5 + shift_x
    floor_y = tl.floor(py)
    floor_x = tl.floor(px)
    top = floor_y.to(tl.int32) - 1
    left = floor_x.to(tl.int32) - 1
    down = taps(py - floor_y, -0.5)
    across = taps(px - floor_x, -0.5)
    value = px * 0.0
    total = px * 0.0
    for i in tl.static_range(4):
        row = top + i
        wy = down[i]
        if not REPEAT:
            wy = tl.where((row >= 0) & (row < height), wy, 0.0)
        line = plane + tl.minimum(tl.maximum(row, 0), height - 1) * width
        for j in tl.static_range(4):
            column = left + j
            weight = across[j] * wy
            if not REPEAT:
                weight = tl.where((column >= 0) & (column < width), weight, 0.0)
            value += weight * tl.load(line + tl.minimum(tl.maximum(column, 0), width - 1))
            total += weight
    return value / total
