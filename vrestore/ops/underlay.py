"""Colour under transparency, so that what nobody sees does not bleed into what is seen.

A network, as any filter, mixes samples with their neighbours.  Where those are transparent their
colour is whatever a program left there, mostly black, and an edge that was cut out would get a dark
rim.  Beside visible samples it is replaced by the mean of the visible ones around; alpha is not
touched, so nothing of it is seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.media import Coding, Frame

__all__ = ["REACH", "Underlay"]

_RADII = (1, 2, 4, 8)
"""Of the means, one after the other: each fills what those before have left."""

REACH = sum(_RADII)
"""Samples from a visible one up to which colour is laid under; of further ones nothing is known."""


class Underlay:
    """Op: UNIT frames, whose fully transparent samples get colour from the visible around them.

    Frames without alpha, opaque or empty ones pass as they are, as do subsampled ones.
    """

    latency = 0

    def push(self, frame: Frame) -> Iterable[Frame]:
        if frame.coding is not Coding.UNIT:
            raise ValueError(f"Underlay takes UNIT frames, got {frame}")
        form = frame.format
        if not form.alpha or form.log2_chroma_w or form.log2_chroma_h:
            return (frame,)
        alpha = frame.planes[-1]
        seen = alpha > 0
        if bool(seen.all()) or not bool(seen.any()):
            return (frame,)
        colors = torch.stack([plane.float() for plane in frame.planes[:-1]])
        filled = _filled(colors, seen)
        planes = tuple(f.to(p.dtype) for f, p in zip(filled, frame.planes[:-1], strict=True))
        return (replace(frame, planes=(*planes, alpha), ready=None),)

    def flush(self) -> Iterable[Frame]:
        return ()


def _filled(colors: Tensor, seen: Tensor) -> Tensor:
    """(C, H, W) with the samples beside `seen` ones made of them."""
    known = seen.to(colors.dtype)[None]
    for radius in _RADII:
        weight = _sums(known, radius)
        mean = _sums(colors * known, radius) / weight.clamp_min(1.0)
        fresh = (known == 0) & (weight > 0.5)
        colors = torch.where(fresh, mean, colors)
        known = torch.where(fresh, 1.0, known)
    return colors


def _sums(planes: Tensor, radius: int) -> Tensor:
    """Sums over squares of `2 * radius + 1` samples a side, of those inside, (C, H, W)."""
    size = 2 * radius + 1
    for kernel, reach in (((size, 1), (0, 0, radius, radius)), ((1, size), (radius, radius, 0, 0))):
        planes = F.avg_pool2d(F.pad(planes[None], reach), kernel, stride=1)[0] * size
    return planes
