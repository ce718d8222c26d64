"""Faults of tape that a picture may feign: asked of its parts, and of the frame after it.

Colour lies beside its luma all over the picture, or what looks like it are a few things in it;
rows that heads have torn off are torn otherwise in the next frame, or they are what is filmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F

from vrestore.media import Frame
from vrestore.ops.infill import luma_of
from vrestore.ops.tape.chroma import measure_chroma_shift
from vrestore.ops.tape.headswitch import measure_head_switch

__all__ = ["displaced_colour", "torn_rows"]

_PARTS = 3
"""Quarters of the picture, of four, in which colour must lie beside its luma."""

_ALIKE = 0.5
"""Share of the whole picture's shift that a quarter must have."""

_AGAIN = 0.5
"""Likeness of torn rows in two frames, against that of the rows above them, from which they are
part of what is filmed."""

_TELLING = 0.3
"""Likeness of the rows above in two frames below which nothing can be compared."""

_ABOVE = 16
"""Rows above the torn ones that are compared."""

_DETAIL = 9
"""Samples of a row whose mean is no detail."""

_ASIDE = 6
"""Samples by which a picture may have moved sideways from one frame to the next."""


def displaced_colour(frames: Sequence[Frame]) -> tuple[float, float, float]:
    """How far chroma lies right of and below its luma, in luma samples, and a confidence 0..1;
    0 along an axis on which the quarters of the picture do not say the same."""
    right, below, trust = measure_chroma_shift(frames)
    if not right and not below:
        return 0.0, 0.0, trust
    parts = [measure_chroma_shift([_quarter(frame, k) for frame in frames]) for k in range(4)]
    along = ((right, [part[0] for part in parts]), (below, [part[1] for part in parts]))
    right, below = (
        shift if sum(part * shift >= _ALIKE * shift**2 for part in those) >= _PARTS else 0.0
        for shift, those in along
    )
    return right, below, trust


def _quarter(frame: Frame, number: int) -> Frame:
    down, across = divmod(number, 2)
    log2_h, log2_w = frame.format.log2_chroma_h, frame.format.log2_chroma_w
    rows, columns = (size // 2 // 4 * 4 for size in (frame.height, frame.width))
    planes = []
    for index, plane in enumerate(frame.planes):
        chroma = frame.format.is_chroma(index)
        high, wide = (rows >> log2_h, columns >> log2_w) if chroma else (rows, columns)
        planes.append(plane[down * high : (down + 1) * high, across * wide : (across + 1) * wide])
    return replace(frame, planes=tuple(planes), ready=None)


def torn_rows(pairs: Sequence[tuple[Frame, Frame]]) -> int:
    """How many rows at the bottom are torn off from the picture above them; 0 for none.

    Each pair is a frame and the one after it.
    """
    rows = measure_head_switch([frame for frame, _ in pairs])
    if not rows or pairs[0][0].height < 4 * rows + _ABOVE:
        return 0
    ratios = []
    for frame, after in pairs:
        bottom = frame.height - rows
        above = _likeness(frame, after, slice(bottom - _ABOVE, bottom - 1))
        if above >= _TELLING:
            ratios.append(_likeness(frame, after, slice(bottom, frame.height)) / above)
    ratios.sort()
    return rows if not ratios or ratios[len(ratios) // 2] < _AGAIN else 0


def _likeness(one: Frame, other: Frame, rows: slice) -> float:
    """Correlation of the detail of some rows in two frames, one of them moved as fits best."""
    a, b = (_detail(luma_of(frame.planes, frame.format)[rows]) for frame in (one, other))
    reach = min(_ASIDE, (a.shape[1] - 1) // 4)
    middle = a[:, reach : a.shape[1] - reach]
    moved = b.unfold(1, middle.shape[1], 1)
    products = (middle[:, None] * moved).sum((0, 2))
    sizes = middle.square().sum() * moved.square().sum((0, 2))
    return float((products / (sizes + 1e-8).sqrt()).max())


def _detail(rows: torch.Tensor) -> torch.Tensor:
    mean = F.avg_pool1d(rows[None], _DETAIL, 1, _DETAIL // 2, count_include_pad=False)[0]
    return rows - mean
