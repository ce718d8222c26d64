"""The previous result, along the flow, in the present one."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from vrestore.models.kernels.codes import Packing
from vrestore.models.kernels.enlarge import coded, coding
from vrestore.models.kernels.gather import box
from vrestore.models.kernels.sampling import BLOCK, flow_at, sharp
from vrestore.models.nets.fusion import LEARNED_AT_MOST, PREVIOUS_AT_MOST, OutputBlend

__all__ = ["FEATURES", "blend", "difference", "features"]

FEATURES = 16
"""Inputs of the blend's net, of which it has 10; cuDNN wants a multiple of 8."""

_FEATURES = tl.constexpr(FEATURES)
_BOUND = tl.constexpr(LEARNED_AT_MOST)
_AT_MOST = tl.constexpr(PREVIOUS_AT_MOST)


@triton.jit
def _difference_kernel(new, old, flow, out, h, w, s: tl.constexpr, BLOCK: tl.constexpr):
    height = 2 * h * s
    width = 2 * w * s
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < height * width
    place = tl.minimum(n, height * width - 1)
    y = place // width
    x = place % width
    dx, dy = flow_at(flow, h, w, y, x, 0.5 / s)
    moved = sharp(old, height, width, y.to(tl.float32) + s * dy, x.to(tl.float32) + s * dx)
    tl.store(out + place, moved - tl.load(new + place), mask=inside)


def difference(new: Tensor, old: Tensor, flow: Tensor, scale: int) -> Tensor:
    """The old result (1, 1, 2h*s, 2w*s), moved along the flow (1, 2, h, w), less the new one."""
    h, w = flow.shape[-2:]
    out = torch.empty_like(new)
    _difference_kernel[(triton.cdiv(4 * h * w * scale * scale, BLOCK),)](
        new, old, flow.contiguous(), out, h, w, s=scale, BLOCK=BLOCK, enable_fp_fusion=False
    )
    return out


@triton.jit
def _features_kernel(
    change, trust, apart, noise, out, size, h, w,
    s: tl.constexpr, APART: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < h * w
    here = tl.minimum(n, h * w - 1)
    y = here // w
    x = here % w
    row = out + here * _FEATURES
    zero = x.to(tl.float32) * 0.0
    total = zero
    for j in tl.static_range(4):
        corner = change + ((2 * y + j // 2) * s) * (2 * w * s) + (2 * x + j % 2) * s
        mean = zero
        for i in tl.static_range(s * s):
            mean += tl.load(corner + (i // s) * (2 * w * s) + i % s)
        mean = mean * (1.0 / (s * s))
        tl.store(row + j, 8.0 * mean, mask=inside)
        tl.store(row + 4 + j, 8.0 * tl.abs(mean), mask=inside)
        total += tl.abs(mean)
    believed = tl.load(trust + here)
    if APART:
        believed = believed * (1.0 - tl.load(apart + here))
    tl.store(row + 8, believed, mask=inside)
    tl.store(row + 9, tl.load(noise + here), mask=inside)
    for k in tl.static_range(10, _FEATURES):
        tl.store(row + k, zero, mask=inside)
    tl.store(size + here, total * 0.25, mask=inside)


def features(
    change: Tensor, trust: Tensor, apart: Tensor | None, noise: Tensor, scale: int
) -> tuple[Tensor, Tensor]:
    """(1, 16, h, w) for the blend's net, channels last, the last six zero; and the mean size of the
    differences in each cell (h, w).  `apart` is where nothing of the past is believed."""
    h, w = trust.shape[-2:]
    out = change.new_empty((1, h, w, FEATURES)).permute(0, 3, 1, 2)
    size = change.new_empty((h, w))
    _features_kernel[(triton.cdiv(h * w, BLOCK),)](
        change, trust.contiguous(), noise if apart is None else apart.contiguous(), noise, out,
        size, h, w, s=scale, APART=apart is not None, BLOCK=BLOCK, enable_fp_fusion=False,
    )  # fmt: skip
    return out, size


@triton.jit
def _blend_kernel(
    new, change, logits, head, features, size, bias, steepness, out, codes, channels, first, gain,
    zero, most, tile, places, h, w,
    s: tl.constexpr, CODES: tl.constexpr, DITHER: tl.constexpr, SIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    block: tl.constexpr = 2 * s
    height = h * block
    width = w * block
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < height * width
    place = tl.minimum(n, height * width - 1)
    y = place // width
    x = place % width
    row = y // block
    column = x // block
    cell = row * w + column
    channel = (y % block) * block + x % block
    learned = tl.load(logits + cell * (block * block) + channel)
    learned += tl.load(head + cell * channels + first + channel).to(tl.float32)
    learned = 2 * _BOUND * tl.sigmoid(learned * (2.0 / _BOUND)) - _BOUND
    distance = box(size, h, w, row, column)
    learned += tl.load(bias) - tl.load(steepness) * distance / 0.03
    # The sixteenth power of what is believed of the flow.
    believed = tl.load(features + cell * _FEATURES + 8)
    believed = believed * believed
    believed = believed * believed
    believed = believed * believed
    believed = believed * believed
    kept = _AT_MOST * believed * tl.sigmoid(learned)
    value = tl.load(new + place) + kept * tl.load(change + place)
    tl.store(out + place, value, mask=inside)
    if CODES:
        code = coded(value, gain, zero, most, tile, places, 0, y, x, DITHER, SIDE)
        tl.store(codes + place, code.to(codes.dtype.element_ty), mask=inside)


def blend(
    net: OutputBlend,
    new: Tensor,
    change: Tensor,
    logits: Tensor,
    head: Tensor,
    known: tuple[Tensor, Tensor],
    scale: int,
    packing: Packing | None,
    codes: Tensor | None,
) -> Tensor:
    """Luma with what stays of the past, fp32.  With `packing` its codes are written to `codes`
    (2h*s, 2w*s).

    `new` and `change` are (1, 1, 2h*s, 2w*s); `logits` the net's, `head` the trunk's output, whose
    last (2s)^2 channels are its share, both channels last; `known` is what `features` gave.
    """
    features_, size = known
    h, w = size.shape
    height, width = 2 * h * scale, 2 * w * scale
    out = torch.empty_like(new)
    numbers, constants = coding(packing, 0, size)
    _blend_kernel[(triton.cdiv(height * width, BLOCK),)](
        new, change, logits, head, features_, size, net.bias, net.steepness, out,
        out if codes is None else codes, head.shape[1], head.shape[1] - (2 * scale) ** 2,
        *numbers, h, w, s=scale, CODES=codes is not None, **constants,
        BLOCK=BLOCK, enable_fp_fusion=False,
    )  # fmt: skip
    return out
