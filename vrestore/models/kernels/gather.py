"""The candidates of the fusion, and what the fusion's net is told of them.

Channels that `gather` gives, (26, h, w) in fp32: 0 to 5 the state, 6 to 11 the next frame, 12 to 17
the median, each four luma samples, Cb, Cr; 18 the state's noise; 19 to 24 the six differences; 25
where the frame stands apart from both neighbours, before it is counted over regions.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from vrestore.models.kernels.sampling import BLOCK, bilinear, flow_at, sharp
from vrestore.models.nets.cell import Memory, Neighbour
from vrestore.models.nets.fusion import APART_DIFFERENCE, MISTRUST
from vrestore.models.nets.grid import Picture

__all__ = ["CHANNELS", "FEATURES", "box", "features", "gather"]

CHANNELS = 26

FEATURES = 24
"""Inputs of the fusion's net, of which it has 21; cuDNN wants a multiple of 8."""

_MISTRUST = tl.constexpr(MISTRUST)
_FEATURES = tl.constexpr(FEATURES)
_APART = tl.constexpr(APART_DIFFERENCE[0])
_APART_SLOPE = tl.constexpr(1.0 / (APART_DIFFERENCE[1] - APART_DIFFERENCE[0]))


@triton.jit
def _gather_kernel(
    luma, chroma, state_luma, state_chroma, before_luma, before_chroma, noise, flow_before,
    after_luma, after_chroma, flow_after, out, h, w,
    HAS_BEFORE: tl.constexpr, HAS_AFTER: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    size = h * w
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < size
    here = tl.minimum(n, size - 1)
    y = here // w
    x = here % w
    cell = out + here
    zero = x.to(tl.float32) * 0.0
    ns, na, sa, nm, sm, am = zero, zero, zero, zero, zero, zero
    # A true loop: unrolled, the twelve bicubic readings are 200 kB of machine code.
    for j in range(4):
        row = 2 * y + j // 2
        column = 2 * x + j % 2
        now = tl.load(luma + row * (2 * w) + column)
        state = now
        before = now
        after = now
        if HAS_BEFORE:
            dx, dy = flow_at(flow_before, h, w, row, column, 0.5)
            py = row.to(tl.float32) + dy
            px = column.to(tl.float32) + dx
            state = sharp(state_luma, 2 * h, 2 * w, py, px)
            before = sharp(before_luma, 2 * h, 2 * w, py, px)
        if HAS_AFTER:
            dx, dy = flow_at(flow_after, h, w, row, column, 0.5)
            after = sharp(
                after_luma, 2 * h, 2 * w, row.to(tl.float32) + dy, column.to(tl.float32) + dx
            )
        middle = tl.maximum(tl.minimum(now, before), tl.minimum(tl.maximum(now, before), after))
        tl.store(cell + j * size, state, mask=inside)
        tl.store(cell + (6 + j) * size, after, mask=inside)
        tl.store(cell + (12 + j) * size, middle, mask=inside)
        ns += tl.abs(now - state)
        na += tl.abs(now - after)
        sa += tl.abs(state - after)
        nm += tl.abs(now - middle)
        sm += tl.abs(state - middle)
        am += tl.abs(after - middle)
    ns, na, sa, nm, sm, am = ns * 0.25, na * 0.25, sa * 0.25, nm * 0.25, sm * 0.25, am * 0.25

    cns, cna, csa = zero, zero, zero
    kept = zero + 1.0
    by, bx, ay, ax = zero, zero, zero, zero
    if HAS_BEFORE:
        bx = x.to(tl.float32) + 0.5 * tl.load(flow_before + here)
        by = y.to(tl.float32) + 0.5 * tl.load(flow_before + size + here)
        kept = bilinear(noise, h, w, by, bx)
    if HAS_AFTER:
        ax = x.to(tl.float32) + 0.5 * tl.load(flow_after + here)
        ay = y.to(tl.float32) + 0.5 * tl.load(flow_after + size + here)
    for c in tl.static_range(2):
        now = tl.load(chroma + c * size + here)
        state = now
        before = now
        after = now
        if HAS_BEFORE:
            state = bilinear(state_chroma + c * size, h, w, by, bx)
            before = bilinear(before_chroma + c * size, h, w, by, bx)
        if HAS_AFTER:
            after = bilinear(after_chroma + c * size, h, w, ay, ax)
        middle = tl.maximum(tl.minimum(now, before), tl.minimum(tl.maximum(now, before), after))
        tl.store(cell + (4 + c) * size, state, mask=inside)
        tl.store(cell + (10 + c) * size, after, mask=inside)
        tl.store(cell + (16 + c) * size, middle, mask=inside)
        cns += 0.5 * tl.abs(now - state)
        cna += 0.5 * tl.abs(now - after)
        csa += 0.5 * tl.abs(state - after)

    tl.store(cell + 18 * size, kept, mask=inside)
    tl.store(cell + 19 * size, ns, mask=inside)
    tl.store(cell + 20 * size, na, mask=inside)
    tl.store(cell + 21 * size, sa, mask=inside)
    tl.store(cell + 22 * size, nm, mask=inside)
    tl.store(cell + 23 * size, sm, mask=inside)
    tl.store(cell + 24 * size, am, mask=inside)
    other = tl.minimum(tl.maximum(ns, cns), tl.maximum(na, cna)) - tl.maximum(sa, csa)
    spot = tl.minimum(tl.maximum((other - _APART) * _APART_SLOPE, 0.0), 1.0)
    tl.store(cell + 25 * size, spot, mask=inside)


def gather(
    now: Picture,
    memory: Memory | None,
    before: Neighbour | None,
    after: Neighbour | None,
    following: Picture | None,
) -> Tensor:
    """Everything along the flows, (26, h, w); see the module.  What is absent is the frame."""
    assert now.chroma is not None
    h, w = now.chroma.shape[-2:]
    out = now.luma.new_empty((CHANNELS, h, w))
    past = memory if before is not None else None
    # A kernel is given a pointer for everything; those of what is absent are never read.
    nothing = now.luma
    _gather_kernel[(triton.cdiv(h * w, BLOCK),)](
        now.luma, now.chroma,
        nothing if past is None else past.fused.luma,
        nothing if past is None else past.fused.chroma,
        nothing if past is None else past.frame.luma,
        nothing if past is None else past.frame.chroma,
        nothing if past is None else past.noise,
        nothing if before is None else before.flow.contiguous(),
        nothing if following is None else following.luma,
        nothing if following is None else following.chroma,
        nothing if after is None else after.flow.contiguous(),
        out, h, w, HAS_BEFORE=past is not None, HAS_AFTER=after is not None,
        BLOCK=BLOCK, enable_fp_fusion=False,
    )  # fmt: skip
    return out


@triton.jit
def box(plane, h, w, y, x):
    """Mean of the 3x3 samples around (y, x) that there are."""
    total = x.to(tl.float32) * 0.0
    for i in tl.static_range(3):
        row = y + (i - 1)
        for j in tl.static_range(3):
            column = x + (j - 1)
            there = (row >= 0) & (row < h) & (column >= 0) & (column < w)
            total += tl.load(plane + row * w + column, mask=there, other=0.0)
    rows = 3 - (y == 0).to(tl.int32) - (y == h - 1).to(tl.int32)
    columns = 3 - (x == 0).to(tl.int32) - (x == w - 1).to(tl.int32)
    return total / (rows * columns).to(tl.float32)


@triton.jit
def _features_kernel(
    luma, gathered, trust_before, trust_after, knobs, out, distances, h, w,
    HAS_BEFORE: tl.constexpr, HAS_AFTER: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    size = h * w
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < size
    here = tl.minimum(n, size - 1)
    y = here // w
    x = here % w
    cell = gathered + here
    row = out + here * _FEATURES
    zero = x.to(tl.float32) * 0.0
    for j in tl.static_range(4):
        now = tl.load(luma + (2 * y + j // 2) * (2 * w) + 2 * x + j % 2)
        for k in tl.static_range(3):
            other = tl.load(cell + (6 * k + j) * size)
            tl.store(row + 4 * k + j, 8.0 * (other - now), mask=inside)
    believed_before = zero
    believed_after = zero
    if HAS_BEFORE:
        believed_before = tl.load(trust_before + here)
    if HAS_AFTER:
        believed_after = tl.load(trust_after + here)
    no_state = (1.0 - believed_before) * (1.0 - believed_before)
    no_after = (1.0 - believed_after) * (1.0 - believed_after)
    either = tl.maximum(no_state, no_after)
    pairs = gathered + 19 * size
    ns = box(pairs, h, w, y, x) + _MISTRUST * no_state
    na = box(pairs + size, h, w, y, x) + _MISTRUST * no_after
    sa = box(pairs + 2 * size, h, w, y, x) + _MISTRUST * either
    nearest = tl.minimum(box(pairs + 3 * size, h, w, y, x), box(pairs + 4 * size, h, w, y, x))
    nearest = tl.minimum(nearest, box(pairs + 5 * size, h, w, y, x)) + _MISTRUST * either
    of_now = tl.minimum(ns, na)
    of_state = tl.minimum(ns, sa)
    of_after = tl.minimum(na, sa)
    tl.store(distances + here, of_now, mask=inside)
    tl.store(distances + size + here, of_state, mask=inside)
    tl.store(distances + 2 * size + here, of_after, mask=inside)
    tl.store(distances + 3 * size + here, nearest, mask=inside)
    tl.store(row + 12, 8.0 * tl.minimum(of_now, 0.5), mask=inside)
    tl.store(row + 13, 8.0 * tl.minimum(of_state, 0.5), mask=inside)
    tl.store(row + 14, 8.0 * tl.minimum(of_after, 0.5), mask=inside)
    tl.store(row + 15, 8.0 * tl.minimum(nearest, 0.5), mask=inside)
    tl.store(row + 16, believed_before, mask=inside)
    tl.store(row + 17, believed_after, mask=inside)
    tl.store(row + 18, tl.load(cell + 18 * size), mask=inside)
    tl.store(row + 19, zero + tl.load(knobs), mask=inside)
    tl.store(row + 20, zero + tl.load(knobs + 1), mask=inside)
    for k in tl.static_range(21, _FEATURES):
        tl.store(row + k, zero, mask=inside)


def features(
    now: Picture,
    gathered: Tensor,
    before: Neighbour | None,
    after: Neighbour | None,
    knobs: Tensor,
) -> tuple[Tensor, Tensor]:
    """(1, 24, h, w) for the fusion's net, channels last, the last three zero; and the distances of
    now, state, next and median from the nearest other candidate, (4, h, w).  Both fp32."""
    h, w = gathered.shape[-2:]
    out = gathered.new_empty((1, h, w, FEATURES)).permute(0, 3, 1, 2)
    distances = gathered.new_empty((4, h, w))
    _features_kernel[(triton.cdiv(h * w, BLOCK),)](
        now.luma, gathered,
        gathered if before is None else before.trust.contiguous(),
        gathered if after is None else after.trust.contiguous(),
        knobs, out, distances, h, w,
        HAS_BEFORE=before is not None, HAS_AFTER=after is not None,
        BLOCK=BLOCK, enable_fp_fusion=False,
    )  # fmt: skip
    return out, distances
