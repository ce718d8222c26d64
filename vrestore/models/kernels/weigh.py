"""Weights of the candidates, the fused picture, and the trunk's input."""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from vrestore.models.kernels.sampling import BLOCK
from vrestore.models.nets.cell import STEM_MAPS
from vrestore.models.nets.fusion import (
    FARTHEST,
    LEARNED_AT_MOST,
    PREVIOUS_AT_MOST,
    InputFusion,
)
from vrestore.models.nets.grid import Picture

__all__ = ["STEM", "Weighed", "weigh"]

STEM = 12 + STEM_MAPS
"""Inputs of the trunk in 4:2:0: cells of the fused picture, of the rest, and the maps."""

_STEM = tl.constexpr(STEM)
_ABSENT = tl.constexpr(-1e4)
_BOUND = tl.constexpr(LEARNED_AT_MOST)
_FARTHEST = tl.constexpr(FARTHEST)
_ODDS = tl.constexpr(PREVIOUS_AT_MOST / (1 - PREVIOUS_AT_MOST))


class Weighed(NamedTuple):
    picture: Picture
    """The fused one."""
    noise: Tensor
    """Remaining noise power relative to one frame, (1, 1, h, w)."""
    stem: Tensor
    """(1, 16, h, w), channels last, in the trunk's dtype."""


@triton.jit
def _weigh_kernel(
    luma, chroma, gathered, distances, learned, region, trust_before, trust_after, knobs,
    bias, steepness, doubt, faith, fused_luma, fused_chroma, noise, stem, h, w,
    HAS_BEFORE: tl.constexpr, HAS_AFTER: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    size = h * w
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < size
    here = tl.minimum(n, size - 1)
    y = here // w
    x = here % w
    cell = gathered + here
    deep = stem + here * _STEM
    kind = stem.dtype.element_ty
    zero = x.to(tl.float32) * 0.0

    p0, p1, p2, p3 = zero, zero, zero, zero
    apart = zero
    old_noise = zero + 1.0
    nearest = zero
    if HAS_BEFORE or HAS_AFTER:
        believed_before = zero
        believed_after = zero
        if HAS_BEFORE:
            believed_before = tl.load(trust_before + here)
        if HAS_AFTER:
            believed_after = tl.load(trust_after + here)
        no_state = (1.0 - believed_before) * (1.0 - believed_before)
        no_after = (1.0 - believed_after) * (1.0 - believed_after)
        trouble = tl.load(doubt)
        d0 = tl.load(distances + here)
        d1 = tl.load(distances + size + here)
        d2 = tl.load(distances + 2 * size + here)
        d3 = tl.load(distances + 3 * size + here)
        nearest = tl.minimum(d0, 0.5)
        steep = 1.0 / 0.03
        p0 = tl.load(bias) - tl.load(steepness) * tl.minimum(d0, _FARTHEST) * steep
        p1 = tl.load(bias + 1) - tl.load(steepness + 1) * tl.minimum(d1, _FARTHEST) * steep
        p2 = tl.load(bias + 2) - tl.load(steepness + 2) * tl.minimum(d2, _FARTHEST) * steep
        p3 = tl.load(bias + 3) - tl.load(steepness + 3) * tl.minimum(d3, _FARTHEST) * steep
        p0 += tl.load(faith) * tl.exp(-10.0 * tl.load(knobs + 1))
        p1 -= trouble * no_state
        p2 -= trouble * no_after
        p3 -= trouble * tl.maximum(no_state, no_after)
        old_noise = tl.load(cell + 18 * size)
        if HAS_BEFORE and HAS_AFTER:
            apart = tl.load(region + here)
            p1 += _ABSENT * apart
            p2 += _ABSENT * apart
            p3 += _ABSENT * apart
            nearest = nearest * (1.0 - apart)
        else:
            p3 += _ABSENT
        if not HAS_BEFORE:
            p1 += _ABSENT
        if not HAS_AFTER:
            p2 += _ABSENT

    s0, s1, s2, s3 = zero, zero, zero, zero
    for j in tl.static_range(4):
        place = (2 * y + j // 2) * (2 * w) + 2 * x + j % 2
        now = tl.load(luma + place)
        fused = now
        if HAS_BEFORE or HAS_AFTER:
            logits = learned + here * 16 + j
            l0 = p0 + 2 * _BOUND * tl.sigmoid(tl.load(logits) * (2.0 / _BOUND)) - _BOUND
            l1 = p1 + 2 * _BOUND * tl.sigmoid(tl.load(logits + 4) * (2.0 / _BOUND)) - _BOUND
            l2 = p2 + 2 * _BOUND * tl.sigmoid(tl.load(logits + 8) * (2.0 / _BOUND)) - _BOUND
            l3 = p3 + 2 * _BOUND * tl.sigmoid(tl.load(logits + 12) * (2.0 / _BOUND)) - _BOUND
            top = tl.maximum(l0, tl.maximum(l2, l3))
            e0 = tl.exp(l0 - top)
            e2 = tl.exp(l2 - top)
            e3 = tl.exp(l3 - top)
            others = e0 + e2 + e3
            # The past's share is capped in the exponent: at most so many times all others.
            e1 = tl.minimum(tl.exp(tl.minimum(l1 - top, 80.0)), _ODDS * others)
            total = others + e1
            w0, w1, w2, w3 = e0 / total, e1 / total, e2 / total, e3 / total
            fused = (
                w0 * now
                + w1 * tl.load(cell + j * size)
                + w2 * tl.load(cell + (6 + j) * size)
                + w3 * tl.load(cell + (12 + j) * size)
            )
            s0 += 0.25 * w0
            s1 += 0.25 * w1
            s2 += 0.25 * w2
            s3 += 0.25 * w3
        tl.store(fused_luma + place, fused, mask=inside)
        tl.store(deep + j, fused.to(kind), mask=inside)
        tl.store(deep + 6 + j, (now - fused).to(kind), mask=inside)
    for c in tl.static_range(2):
        now = tl.load(chroma + c * size + here)
        fused = now
        if HAS_BEFORE or HAS_AFTER:
            fused = (
                s0 * now
                + s1 * tl.load(cell + (4 + c) * size)
                + s2 * tl.load(cell + (10 + c) * size)
                + s3 * tl.load(cell + (16 + c) * size)
            )
        tl.store(fused_chroma + c * size + here, fused, mask=inside)
        tl.store(deep + 4 + c, fused.to(kind), mask=inside)
        tl.store(deep + 10 + c, (now - fused).to(kind), mask=inside)

    left = zero + 1.0
    if HAS_BEFORE or HAS_AFTER:
        left = s0 * s0 + s1 * s1 * old_noise + s2 * s2 + 0.5 * s3 * s3
    tl.store(noise + here, left, mask=inside)
    tl.store(deep + 12, (left - 1.0).to(kind), mask=inside)
    tl.store(deep + 13, nearest.to(kind), mask=inside)
    tl.store(deep + 14, (zero + tl.load(knobs)).to(kind), mask=inside)
    tl.store(deep + 15, (zero + tl.load(knobs + 1)).to(kind), mask=inside)


def weigh(
    fusion: InputFusion,
    now: Picture,
    gathered: Tensor | None,
    distances: Tensor | None,
    learned: Tensor | None,
    region: Tensor | None,
    trusts: tuple[Tensor | None, Tensor | None],
    knobs: Tensor,
    dtype: torch.dtype,
) -> Weighed:
    """The candidates of `gather` weighed; without candidates the frame itself.

    `learned` (1, 16, h, w) is what the fusion's net says, channels last; `region` (1, 1, h, w) is
    where the frame stands apart, None where a neighbour is absent; `trusts` are those of the flows,
    None for absent ones; `dtype` is that of the trunk.
    """
    assert now.chroma is not None
    h, w = now.chroma.shape[-2:]
    before, after = trusts
    noise = now.luma.new_empty((1, 1, h, w))
    stem = now.luma.new_empty((1, h, w, STEM), dtype=dtype).permute(0, 3, 1, 2)
    picture = Picture(torch.empty_like(now.luma), torch.empty_like(now.chroma))
    nothing = now.luma
    _weigh_kernel[(triton.cdiv(h * w, BLOCK),)](
        now.luma, now.chroma,
        nothing if gathered is None else gathered,
        nothing if distances is None else distances,
        nothing if learned is None else learned.contiguous(memory_format=torch.channels_last),
        nothing if region is None else region.contiguous(),
        nothing if before is None else before.contiguous(),
        nothing if after is None else after.contiguous(),
        knobs, fusion.bias, fusion.steepness, fusion.doubt, fusion.faith,
        picture.luma, picture.chroma, noise, stem, h, w,
        HAS_BEFORE=before is not None, HAS_AFTER=after is not None,
        BLOCK=BLOCK, enable_fp_fusion=False,
    )  # fmt: skip
    return Weighed(picture, noise, stem)
