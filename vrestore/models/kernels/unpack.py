"""Code values as they come from a decoder, to the planes that the network works on."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from vrestore.models.kernels.sampling import BLOCK
from vrestore.models.nets.grid import Picture

__all__ = ["unpack"]


@triton.jit
def _unpack_kernel(
    y_codes, u_codes, v_codes, luma, chroma, height, width, rows, columns, y_stride, u_stride,
    v_stride, u_step, v_step, h, w, y_zero, y_unit, c_zero, c_unit, BLOCK: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < h * w
    here = tl.minimum(n, h * w - 1)
    y = here // w
    x = here % w
    for i in tl.static_range(2):
        source = y_codes + tl.minimum(2 * y + i, height - 1) * y_stride
        for j in tl.static_range(2):
            code = tl.load(source + tl.minimum(2 * x + j, width - 1)).to(tl.float32)
            place = luma + (2 * y + i) * (2 * w) + 2 * x + j
            tl.store(place, (code - y_zero) * y_unit - 0.5, mask=inside)
    row = tl.minimum(y, rows - 1)
    column = tl.minimum(x, columns - 1)
    u = tl.load(u_codes + row * u_stride + column * u_step).to(tl.float32)
    v = tl.load(v_codes + row * v_stride + column * v_step).to(tl.float32)
    tl.store(chroma + here, (u - c_zero) * c_unit - 0.5, mask=inside)
    tl.store(chroma + h * w + here, (v - c_zero) * c_unit - 0.5, mask=inside)


def unpack(
    planes: tuple[Tensor, ...],
    levels: tuple[tuple[float, float], tuple[float, float]],
    height: int,
    width: int,
) -> Picture:
    """Zero-centred luma (1, 1, height, width) and chroma (1, 2, height/2, width/2), fp32.

    `planes` are Y, Cb and Cr of 4:2:0, uint8 or uint16 code values; rows may be padded, and chroma
    samples may lie two apart (NV12).  `levels` are (gain, zero) of luma and of chroma.  What the
    even size has beyond the planes' own repeats their edges.
    """
    y, u, v = planes
    if y.stride(1) != 1:
        raise ValueError("luma samples must lie side by side")
    h, w = height // 2, width // 2
    luma = torch.empty((1, 1, height, width), device=y.device)
    chroma = torch.empty((1, 2, h, w), device=y.device)
    (y_gain, y_zero), (c_gain, c_zero) = levels
    _unpack_kernel[(triton.cdiv(h * w, BLOCK),)](
        y, u, v, luma, chroma, y.shape[0], y.shape[1], u.shape[0], u.shape[1],
        y.stride(0), u.stride(0), v.stride(0), u.stride(1), v.stride(1), h, w,
        y_zero, 1.0 / y_gain, c_zero, 1.0 / c_gain, BLOCK=BLOCK, enable_fp_fusion=False,
    )  # fmt: skip
    return Picture(luma, chroma)
