"""The head's output upon the bicubic base, shuffled: luma as floats or codes, chroma likewise."""

from __future__ import annotations

from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from vrestore.models.kernels.codes import Packing
from vrestore.models.kernels.sampling import BLOCK, magnified, rounded
from vrestore.models.nets.grid import Picture

__all__ = ["Surface", "coded", "coding", "enlarge_chroma", "enlarge_luma", "surface_in"]


@triton.jit
def coded(
    value, gain, zero, most, tile, places, plane, y, x, DITHER: tl.constexpr, SIDE: tl.constexpr
):
    """The code value of a zero-centred sample at (y, x) of its plane."""
    code = (value + 0.5) * gain + zero
    if DITHER:
        row = (tl.load(places + 2 * plane) + y) & (SIDE - 1)
        column = (tl.load(places + 2 * plane + 1) + x) & (SIDE - 1)
        code += tl.load(tile + row * SIDE + column)
    return rounded(tl.minimum(tl.maximum(code, 0.0), most)).to(tl.int32)


@triton.jit
def _luma_kernel(
    luma, head, out, codes, channels, gain, zero, most, tile, places, h, w,
    s: tl.constexpr, FLOATS: tl.constexpr, CODES: tl.constexpr, DITHER: tl.constexpr,
    SIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    height = 2 * h * s
    width = 2 * w * s
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < height * width
    place = tl.minimum(n, height * width - 1)
    y = place // width
    x = place % width
    block: tl.constexpr = 2 * s
    channel = (y % block) * block + x % block
    learned = tl.load(head + ((y // block) * w + x // block) * channels + channel).to(tl.float32)
    value = magnified(luma, 2 * h, 2 * w, y, x, s, 0.0, 0.0, False) + learned
    if FLOATS:
        tl.store(out + place, value, mask=inside)
    if CODES:
        code = coded(value, gain, zero, most, tile, places, 0, y, x, DITHER, SIDE)
        tl.store(codes + place, code.to(codes.dtype.element_ty), mask=inside)


@triton.jit
def _chroma_kernel(
    chroma, head, out, channels, first, gain, zero, most, tile, places, shift_y, shift_x, h, w,
    s: tl.constexpr, SHIFTED: tl.constexpr, CODES: tl.constexpr, DITHER: tl.constexpr,
    SIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    width = w * s
    height = h * s
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < height * width
    place = tl.minimum(n, height * width - 1)
    y = place // width
    x = place % width
    cell = head + ((y // s) * w + x // s) * channels + first + (y % s) * s + x % s
    for c in tl.static_range(2):
        learned = tl.load(cell + c * s * s).to(tl.float32)
        value = magnified(chroma + c * h * w, h, w, y, x, s, shift_y, shift_x, SHIFTED) + learned
        if CODES:
            code = coded(value, gain, zero, most, tile, places, 1 + c, y, x, DITHER, SIDE)
            tl.store(out + 2 * place + c, code.to(out.dtype.element_ty), mask=inside)
        else:
            tl.store(out + c * height * width + place, value, mask=inside)


class Surface(NamedTuple):
    """Code values as NV12 or P010 has them, chroma right behind luma: what a hardware encoder
    takes for one thing."""

    luma: Tensor
    """(height, width)"""
    chroma: Tensor
    """(height / 2, width / 2, 2), Cb and Cr."""


def surface_in(rows: Tensor) -> Surface:
    """The surface that lies in rows of (1.5 * height, width)."""
    height = rows.shape[0] * 2 // 3
    return Surface(rows[:height], rows[height:].view(height // 2, rows.shape[1] // 2, 2))


class Coding(NamedTuple):
    """What a kernel that calls `coded` is given for it."""

    numbers: tuple[float | Tensor, ...]
    """gain, zero, the largest code value, tile and places."""
    constants: dict[str, bool | int]
    """DITHER and SIDE."""


def coding(packing: Packing | None, kind: int, nothing: Tensor) -> Coding:
    """Of luma, `kind` 0, or chroma, 1.  `nothing` stands for tensors that are never read."""
    if packing is None:
        return Coding((1.0, 0.0, 0.0, nothing, nothing), {"DITHER": False, "SIDE": 1})
    codes, tile, places = packing
    return Coding(
        (
            *codes.target[kind],
            float((1 << codes.format.depth) - 1),
            nothing if tile is None else tile,
            nothing if places is None else places,
        ),
        {"DITHER": tile is not None, "SIDE": 1 if tile is None else int(tile.shape[0])},
    )


def enlarge_luma(
    picture: Picture,
    head: Tensor,
    scale: int,
    packing: Packing | None = None,
    codes: Tensor | None = None,
    *,
    keep: bool,
) -> Tensor | None:
    """Luma (1, 1, 2h*s, 2w*s) in fp32 where it is to be kept.  With `packing` its codes are written
    to `codes` (2h*s, 2w*s).  `head` is channels last, any float dtype."""
    assert picture.chroma is not None
    h, w = picture.chroma.shape[-2:]
    height, width = 2 * h * scale, 2 * w * scale
    out = picture.luma.new_empty((1, 1, height, width)) if keep else None
    nothing = picture.luma
    numbers, constants = coding(packing, 0, nothing)
    _luma_kernel[(triton.cdiv(height * width, BLOCK),)](
        picture.luma, head, nothing if out is None else out, nothing if codes is None else codes,
        head.shape[1], *numbers, h, w,
        s=scale, FLOATS=keep, CODES=codes is not None, **constants,
        BLOCK=BLOCK, enable_fp_fusion=False,
    )  # fmt: skip
    return out


def enlarge_chroma(
    picture: Picture,
    head: Tensor,
    scale: int,
    shift: tuple[float, float],
    packing: Packing | None = None,
    codes: Tensor | None = None,
) -> Tensor | None:
    """Chroma (1, 2, h*s, w*s) in fp32; with `packing` its codes are written to `codes` (h*s, w*s,
    2) instead."""
    assert picture.chroma is not None
    h, w = picture.chroma.shape[-2:]
    height, width = h * scale, w * scale
    out = picture.chroma.new_empty((1, 2, height, width)) if packing is None else None
    numbers, constants = coding(packing, 1, picture.luma)
    _chroma_kernel[(triton.cdiv(height * width, BLOCK),)](
        picture.chroma, head, codes if out is None else out, head.shape[1], (2 * scale) ** 2,
        *numbers, shift[0], shift[1], h, w,
        s=scale, SHIFTED=shift != (0.0, 0.0), CODES=out is None, **constants,
        BLOCK=BLOCK, enable_fp_fusion=False,
    )  # fmt: skip
    return out
