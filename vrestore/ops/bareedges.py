"""The strips that a moved frame leaves bare, shown as the frame before showed that place."""

from __future__ import annotations

import math

import torch

from vrestore.ops.shift import Displacement, displaced

__all__ = ["cover_bare"]

_OUTER = 4
"""A frame's outermost samples, which count as bare: film shows its frame line and wear there."""

_SEAM = 4
"""Samples over which a strip passes into the picture."""

_BAND = 16
"""Samples inside of it by whose mean the light of both frames is made alike."""

_REACH = 8
"""Samples more that moving by parts of one needs."""

_GAIN = 1.4
"""The strongest difference of light that is made good."""


def cover_bare(
    plane: torch.Tensor,
    before: torch.Tensor,
    moved: Displacement,
    carried: Displacement,
    *,
    log2_w: int = 0,
    log2_h: int = 0,
    signed: bool = False,
) -> None:
    """Fills, in place, what `displaced(..., moved)` had to repeat at the edges of a (H, W) plane.

    `before` is the plane of the frame before as it was given out, and `carried` where it is read
    for its picture to lie on this one's.  `signed` is for chroma, whose light is made alike by a
    difference and not by a ratio.  Shifts under a sample are left: their repeated edge is one
    sample wide.
    """
    steps = ((moved.y / (1 << log2_h), 0), (moved.x / (1 << log2_w), 1))
    for shift, axis in steps:
        bare = math.ceil(abs(shift)) + _OUTER
        inner = bare + _SEAM + _BAND
        size = plane.shape[axis]
        if abs(shift) < 1 or 2 * inner > size:
            continue
        other = (carried.y / (1 << log2_h), carried.x / (1 << log2_w))[axis]
        deep = min(size, inner + _REACH + math.ceil(abs(other)))
        last = shift > 0
        start, stop = (size - deep, size) if last else (0, deep)
        piece = before.narrow(axis, start, stop - start)
        shown = displaced(piece, carried, log2_w=log2_w, log2_h=log2_h)
        shown = shown.narrow(axis, deep - inner if last else 0, inner)
        here = plane.narrow(axis, size - inner if last else 0, inner)
        band = 0 if last else inner - _BAND
        theirs, ours = (p.narrow(axis, band, _BAND).mean() for p in (shown, here))
        if signed:
            shown = shown + (ours - theirs)
        else:
            shown = shown * (ours / theirs.clamp_min(1e-3)).clamp_(1 / _GAIN, _GAIN)
        ramp = ((torch.arange(inner, device=plane.device) - _BAND + 1) / (_SEAM + 1)).clamp_(0, 1)
        ramp = ramp if last else ramp.flip(0)
        here.lerp_(shown, ramp.unsqueeze(1 - axis).expand_as(here))
