"""The two fusions of a cell, `nets/fusion.py`, in a few passes over memory.

Exponentials and convolutions are torch's; what lies between them, some hundred small operations,
is compiled.  Row by row, so that everything a row needs stays in the fastest cache.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vrestore.models.compiled import Together, in_parts
from vrestore.models.compiled.jit import inlined, jit
from vrestore.models.nets.fusion import (
    APART_DIFFERENCE,
    FARTHEST,
    MISTRUST,
    PREVIOUS_AT_MOST,
    Candidates,
    Fused,
    InputFusion,
    OutputBlend,
    bounded,
    over_regions,
)
from vrestore.models.nets.grid import Layout

__all__ = ["CompiledFusions"]

_FEATURES, _BLEND_FEATURES = 21, 10
"""Inputs of the two nets."""

_ZERO, _HALF, _ONE, _EIGHT = (np.float32(n) for n in (0, 0.5, 1, 8))
_QUARTER, _TENTH = np.float32(0.25), np.float32(10)
_MISTRUST, _FARTHEST = np.float32(MISTRUST), np.float32(FARTHEST)
_APART, _APART_SLOPE = (
    np.float32(APART_DIFFERENCE[0]),
    np.float32(1.0 / (APART_DIFFERENCE[1] - APART_DIFFERENCE[0])),
)
_MOST = np.float32(PREVIOUS_AT_MOST)
_ODDS = np.float32(PREVIOUS_AT_MOST / (1 - PREVIOUS_AT_MOST))
_STEEP = np.float32(1 / 0.03)
_ABSENT = np.float32(-1e4)


@jit
def _compare(now, state, before, after, middle, pairs, spot, first, last):
    """The aligned median (C, h, w), the six differences (6, h, w) and where the frame stands apart
    (h, w), of candidates (C, h, w)."""
    channels, _, width = now.shape
    share = _ONE / np.float32(max(1, channels - 4))
    luma = np.empty((3, width), np.float32)
    chroma = np.empty((3, width), np.float32)
    for y in range(first, last):
        pairs[:, y] = _ZERO
        chroma[:] = _ZERO
        for c in range(channels):
            for x in range(width):
                n, b, a = now[c, y, x], before[c, y, x], after[c, y, x]
                middle[c, y, x] = max(min(n, b), min(max(n, b), a))
            if c < 4:
                for x in range(width):
                    n, s, a, m = now[c, y, x], state[c, y, x], after[c, y, x], middle[c, y, x]
                    pairs[0, y, x] += _QUARTER * abs(n - s)
                    pairs[1, y, x] += _QUARTER * abs(n - a)
                    pairs[2, y, x] += _QUARTER * abs(s - a)
                    pairs[3, y, x] += _QUARTER * abs(n - m)
                    pairs[4, y, x] += _QUARTER * abs(s - m)
                    pairs[5, y, x] += _QUARTER * abs(a - m)
            else:
                for x in range(width):
                    n, s, a = now[c, y, x], state[c, y, x], after[c, y, x]
                    chroma[0, x] += share * abs(n - s)
                    chroma[1, x] += share * abs(n - a)
                    chroma[2, x] += share * abs(s - a)
        for x in range(width):
            for k in range(3):
                luma[k, x] = max(pairs[k, y, x], chroma[k, x])
            other = min(luma[0, x], luma[1, x]) - luma[2, x]
            spot[y, x] = min(max((other - _APART) * _APART_SLOPE, _ZERO), _ONE)


@inlined
def _mean_of_nine(plane, y, down, out):
    """Means of the 3x3 samples around those of row `y` that there are."""
    height, width = plane.shape
    above, below = max(y - 1, 0), min(y + 1, height - 1)
    rows = np.float32(below - above + 1)
    for x in range(width):
        down[x] = plane[y, x]
    if above < y:
        for x in range(width):
            down[x] += plane[above, x]
    if below > y:
        for x in range(width):
            down[x] += plane[below, x]
    inside = _ONE / (np.float32(3) * rows)
    for x in range(1, width - 1):
        out[x] = (down[x - 1] + down[x] + down[x + 1]) * inside
    if width == 1:
        out[0] = down[0] / rows
    else:
        edge = _ONE / (np.float32(2) * rows)
        out[0] = (down[0] + down[1]) * edge
        out[width - 1] = (down[width - 2] + down[width - 1]) * edge


@jit
def _tell(
    now, state, after, middle, pairs, trust_before, trust_after, noise, level, strength,
    distance, features, first, last,
):  # fmt: skip
    """The candidates' distances (4, h, w), and what the net is told (h, w, 21)."""
    width = now.shape[2]
    mean = np.empty((6, width), np.float32)
    down = np.empty(width, np.float32)
    for y in range(first, last):
        for k in range(6):
            _mean_of_nine(pairs[k], y, down, mean[k])
        for x in range(width):
            no_state = (_ONE - trust_before[y, x]) * (_ONE - trust_before[y, x])
            no_after = (_ONE - trust_after[y, x]) * (_ONE - trust_after[y, x])
            either = _MISTRUST * max(no_state, no_after)
            ns = mean[0, x] + _MISTRUST * no_state
            na = mean[1, x] + _MISTRUST * no_after
            sa = mean[2, x] + either
            distance[0, y, x] = min(ns, na)
            distance[1, y, x] = min(ns, sa)
            distance[2, y, x] = min(na, sa)
            distance[3, y, x] = min(min(mean[3, x], mean[4, x]), mean[5, x]) + either
        for x in range(width):
            for c in range(4):
                n = now[c, y, x]
                features[y, x, c] = _EIGHT * (state[c, y, x] - n)
                features[y, x, 4 + c] = _EIGHT * (after[c, y, x] - n)
                features[y, x, 8 + c] = _EIGHT * (middle[c, y, x] - n)
                features[y, x, 12 + c] = _EIGHT * min(distance[c, y, x], _HALF)
            features[y, x, 16] = trust_before[y, x]
            features[y, x, 17] = trust_after[y, x]
            features[y, x, 18] = noise[y, x]
            features[y, x, 19] = level
            features[y, x, 20] = strength


@jit
def _prefer(
    learned, distance, region, trust_before, trust_after, bias, steepness, doubt, clean,
    has_before, has_after, logits, first, last,
):  # fmt: skip
    """Logits (16, h, w), candidate by candidate, less the highest of those that are no past."""
    width = region.shape[1]
    prior = np.empty((4, width), np.float32)
    both = has_before * has_after
    for y in range(first, last):
        for x in range(width):
            no_state = (_ONE - trust_before[y, x]) * (_ONE - trust_before[y, x])
            no_after = (_ONE - trust_after[y, x]) * (_ONE - trust_after[y, x])
            aside = _ABSENT * region[y, x]
            for k in range(4):
                far = min(distance[k, y, x], _FARTHEST) * _STEEP
                prior[k, x] = bias[k] - steepness[k] * far
            prior[0, x] += clean
            prior[1, x] += aside + _ABSENT * (_ONE - has_before) - doubt * no_state
            prior[2, x] += aside + _ABSENT * (_ONE - has_after) - doubt * no_after
            prior[3, x] += aside + _ABSENT * (_ONE - both) - doubt * max(no_state, no_after)
        for j in range(4):
            for x in range(width):
                l0 = learned[j, y, x] + prior[0, x]
                l1 = learned[4 + j, y, x] + prior[1, x]
                l2 = learned[8 + j, y, x] + prior[2, x]
                l3 = learned[12 + j, y, x] + prior[3, x]
                top = max(max(l0, l2), l3)
                logits[j, y, x] = l0 - top
                logits[4 + j, y, x] = min(l1 - top, _TENTH)
                logits[8 + j, y, x] = l2 - top
                logits[12 + j, y, x] = l3 - top


@jit
def _mix(
    shares, now, state, after, middle, noise, distance, region, cells, left, nearest, first, last
):
    """The fused cells (C, h, w), the noise that is left and the distance of the frame, (h, w); of
    the shares' exponentials (16, h, w), which are written over."""
    channels, _, width = now.shape
    samples = (channels - 4) // 2
    mean = np.empty((4, width), np.float32)
    for y in range(first, last):
        mean[:] = _ZERO
        for j in range(4):
            for x in range(width):
                e0, e2, e3 = shares[j, y, x], shares[8 + j, y, x], shares[12 + j, y, x]
                others = e0 + e2 + e3
                e1 = min(shares[4 + j, y, x], _ODDS * others)
                unit = _ONE / (others + e1)
                e0, e1, e2, e3 = e0 * unit, e1 * unit, e2 * unit, e3 * unit
                shares[j, y, x] = e0
                shares[4 + j, y, x] = e1
                shares[8 + j, y, x] = e2
                shares[12 + j, y, x] = e3
                mean[0, x] += _QUARTER * e0
                mean[1, x] += _QUARTER * e1
                mean[2, x] += _QUARTER * e2
                mean[3, x] += _QUARTER * e3
                cells[j, y, x] = (
                    e0 * now[j, y, x] + e1 * state[j, y, x]
                    + e2 * after[j, y, x] + e3 * middle[j, y, x]
                )  # fmt: skip
        for c in range(4, channels):
            # A chroma sample lies between all four, two or one of the cell's luma samples.
            each = 4 // samples
            begin = (c - 4) % samples * each
            unit = _ONE / np.float32(each)
            for x in range(width):
                cells[c, y, x] = _ZERO
            for j in range(begin, begin + each):
                for x in range(width):
                    cells[c, y, x] += unit * (
                        shares[j, y, x] * now[c, y, x]
                        + shares[4 + j, y, x] * state[c, y, x]
                        + shares[8 + j, y, x] * after[c, y, x]
                        + shares[12 + j, y, x] * middle[c, y, x]
                    )
        for x in range(width):
            s0, s1, s2, s3 = mean[0, x], mean[1, x], mean[2, x], mean[3, x]
            left[y, x] = s0 * s0 + s1 * s1 * noise[y, x] + s2 * s2 + _HALF * s3 * s3
            nearest[y, x] = min(distance[0, y, x], _HALF) * (_ONE - region[y, x])


@jit
def _change(new, old, trust, noise, scale, features, size, first, last):
    """What the blend's net is told (h, w, 10), and the mean size of the change (h, w); of luma
    (h * 2 * scale, w * 2 * scale)."""
    width = trust.shape[1]
    unit = _ONE / np.float32(scale * scale)
    for y in range(first, last):
        for x in range(width):
            total = _ZERO
            for j in range(4):
                change = _ZERO
                top, left = scale * (2 * y + j // 2), scale * (2 * x + j % 2)
                for dy in range(scale):
                    for dx in range(scale):
                        change += old[top + dy, left + dx] - new[top + dy, left + dx]
                change *= unit
                features[y, x, j] = _EIGHT * change
                features[y, x, 4 + j] = _EIGHT * abs(change)
                total += abs(change)
            features[y, x, 8] = trust[y, x]
            features[y, x, 9] = noise[y, x]
            size[y, x] = _QUARTER * total


@jit
def _hold(size, bias, steepness, prior, first, last):
    """What speaks for the previous result in each cell, (h, w)."""
    width = size.shape[1]
    down = np.empty(width, np.float32)
    mean = np.empty(width, np.float32)
    for y in range(first, last):
        _mean_of_nine(size, y, down, mean)
        for x in range(width):
            prior[y, x] = bias - steepness * (mean[x] * _STEEP)


@jit
def _blend(new, old, trust, keep, scale, out, first, last):
    """Rows of cells of the blend; `keep` is (h, w, (2 * scale) ** 2)."""
    width, side = trust.shape[1], 2 * scale
    for y in range(first, last):
        for x in range(width):
            believed = trust[y, x] * trust[y, x]
            believed *= believed
            believed *= believed
            most = _MOST * believed * believed
            for i in range(side):
                row = side * y + i
                for j in range(side):
                    at = side * x + j
                    n = new[row, at]
                    out[row, at] = n + most * keep[y, x, side * i + j] * (old[row, at] - n)


class CompiledFusions:
    """`InputFusion` and `OutputBlend` for one picture on the CPU."""

    def __init__(self, together: Together) -> None:
        self._together = together

    def fuse(self, fusion: InputFusion, c: Candidates, knobs: Tensor, layout: Layout) -> Fused:
        """`InputFusion.forward`."""
        if c.now.shape[0] != 1 or layout.columns > layout.rows:
            made: Fused = fusion(c, knobs, layout)
            return made
        channels, h, w = c.now.shape[1:]
        now, state, before, after = (
            t[0].contiguous().numpy() for t in (c.now, c.state, c.before, c.after)
        )
        trusts = tuple(t[0, 0].contiguous().numpy() for t in (c.trust_before, c.trust_after))
        noise = c.noise[0, 0].contiguous().numpy()
        cells = torch.empty(1, channels, h, w)
        middle, pairs, distance = (torch.empty(n, h, w).numpy() for n in (channels, 6, 4))
        spot, left, nearest = (torch.empty(1, 1, h, w) for _ in range(3))
        self._rows(h, _compare, now, state, before, after, middle, pairs, spot[0, 0].numpy())
        has_before, has_after = float(c.has_before), float(c.has_after)
        region = over_regions(spot) * (has_before * has_after)
        told = torch.empty(1, h, w, _FEATURES)
        level, strength = (np.float32(k) for k in knobs.flatten().tolist())
        self._rows(
            h, _tell, now, state, after, middle, pairs, *trusts, noise, level, strength, distance,
            told[0].numpy(),
        )  # fmt: skip
        learned = bounded(fusion.net(told.permute(0, 3, 1, 2)))[0].contiguous()
        logits = torch.empty_like(learned)
        place = region[0, 0].contiguous().numpy()
        self._rows(
            h, _prefer, learned.numpy(), distance, place, *trusts, fusion.bias.numpy(),
            fusion.steepness.numpy(), np.float32(fusion.doubt),
            np.float32(fusion.faith * np.exp(-10.0 * strength)),
            np.float32(has_before), np.float32(has_after), logits.numpy(),
        )  # fmt: skip
        self._rows(
            h, _mix, logits.exp_().numpy(), now, state, after, middle, noise, distance, place,
            cells[0].numpy(), left[0, 0].numpy(), nearest[0, 0].numpy(),
        )  # fmt: skip
        return Fused(cells, left, nearest, region)

    def blend(
        self, blend: OutputBlend, new: Tensor, old: Tensor, learned: Tensor, trust: Tensor,
        noise: Tensor,
    ) -> Tensor:  # fmt: skip
        """`OutputBlend.forward`."""
        if new.shape[0] != 1:
            made: Tensor = blend(new, old, learned, trust, noise)
            return made
        (h, w), scale = trust.shape[-2:], blend.scale
        lumas = tuple(t[0, 0].contiguous().numpy() for t in (new, old))
        believed = trust[0, 0].contiguous().numpy()
        told, size = torch.empty(1, h, w, _BLEND_FEATURES), torch.empty(h, w).numpy()
        self._rows(
            h, _change, *lumas, believed, noise[0, 0].contiguous().numpy(), scale, told[0].numpy(),
            size,
        )  # fmt: skip
        logits = bounded(blend.net(told.permute(0, 3, 1, 2)) + learned)
        prior = torch.empty(1, 1, h, w)
        self._rows(
            h, _hold, size, np.float32(blend.bias), np.float32(blend.steepness),
            prior[0, 0].numpy(),
        )  # fmt: skip
        keep = logits.add_(prior).sigmoid_().permute(0, 2, 3, 1).contiguous()
        out = torch.empty_like(new, memory_format=torch.contiguous_format)
        self._rows(h, _blend, *lumas, believed, keep[0].numpy(), scale, out[0, 0].numpy())
        return out

    def _rows(self, rows: int, kernel: Callable[..., None], *given: object) -> None:
        in_parts(self._together, rows, partial(kernel, *given))
