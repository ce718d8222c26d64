"""What two neighbouring frames say about their fields: which of them make one picture.

A frame holds a top field (even rows) and a bottom field (odd rows).  Fields of one instant weave
into a smooth picture; fields of two instants leave combs where something moved.  Three weaves are
measured for each frame: its own two fields, and each of them with the other field of the frame
before.  Which of the three combs and which does not tells field order and cadence; the flags of a
file are not asked.

The comb filter is the (1, -3, 4, -3, 1) of Telecide and FFmpeg's fieldmatch, less what the detail
inside each field explains (its own second difference), so that thin lines and edges of a whole
picture hardly count.  All numbers are in 8-bit code values.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vrestore.media import Coding, ColorModel, Frame

__all__ = ["FieldEvidence", "FieldMeter"]

_BLOCK = 16
"""Rows of a field and (reduced) columns of a block."""

_COLUMNS = 360
"""Columns that are looked at, about; neighbours are averaged once at most, the rest is skipped."""

_TELLING = 16
"""One block in so many decides: those in which the three weaves differ most."""

_FEWEST_BLOCKS = 4

_DETAIL = 1.5
"""Second differences inside a field that are taken off a comb, against aliased fine detail."""

_FAINTEST = 0.8
"""Difference of two weaves, in code values, that is half believed."""

_CONTRAST = (0.08, 0.3)
"""Difference of two weaves relative to the worse: not believed at all, and fully."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldEvidence:
    """What one frame shows, compared with the frame before it."""

    index: int
    """`Frame.index`."""

    own: float
    """Comb of the frame's own two fields, in the blocks that tell most."""

    top_after: float
    """Comb of its top field with the bottom field before: neighbours in time if top is first."""

    bottom_after: float
    """Comb of its bottom field with the top field before: neighbours if bottom is first."""

    top_change: float
    """Mean difference of its top field from the top field before, in the same blocks."""

    bottom_change: float

    change: float
    """Greatest mean difference of any block of both fields from the frame before: the size of the
    most local change.  Infinite where nothing came before."""

    weight: float
    """How much the three combs differ, 0 (nothing moved, or no frame before) to 1."""

    @property
    def combs(self) -> tuple[float, float, float]:
        """`own`, `top_after` and `bottom_after`, from the best of them, 0, to the worst, 1."""
        low = min(self.own, self.top_after, self.bottom_after)
        span = max(self.own, self.top_after, self.bottom_after) - low
        if span <= 0:
            return 0.0, 0.0, 0.0
        return (
            (self.own - low) / span,
            (self.top_after - low) / span,
            (self.bottom_after - low) / span,
        )

    @property
    def repeat(self) -> float:
        """-1 where the top field alone repeats the one before, 1 where the bottom field does."""
        total = self.top_change + self.bottom_change
        return (self.top_change - self.bottom_change) / total if total > 0 else 0.0


@dataclass(frozen=True, slots=True)
class _Field:
    """One field, and what every weave with it needs."""

    luma: torch.Tensor
    """(rows, columns) float32."""

    weighted: torch.Tensor
    """Its share of the comb filter, at each row of a top field but the first two and the last."""

    detail: torch.Tensor
    """Greatest second difference of its rows, at the same rows."""


@dataclass(frozen=True, slots=True)
class _Pair:
    top: _Field
    bottom: _Field


class FieldMeter:
    """Measures frames one after the other; CODE or UNIT frames of any format, of 16 rows or more.

    Frames with fewer rows, and the first frame after `forget` or of another size, have no evidence:
    `weight` 0.
    """

    def __init__(self) -> None:
        self._before: _Pair | None = None

    def forget(self) -> None:
        """The next frame has nothing to do with the one before."""
        self._before = None

    def measure(self, frame: Frame) -> FieldEvidence:
        luma = _luma(frame)
        if luma.shape[0] < _BLOCK:
            return _nothing(frame)
        pair = _Pair(_top(luma[0::2]), _bottom(luma[1::2], (luma.shape[0] + 1) // 2))
        before, self._before = self._before, pair
        if before is None or before.top.luma.shape != pair.top.luma.shape:
            return _nothing(frame)
        weaves = torch.stack(
            (
                _comb(pair.top, pair.bottom),
                _comb(pair.top, before.bottom),
                _comb(before.top, pair.bottom),
            )
        )
        rows = slice(2, 2 + weaves.shape[1])
        changes = torch.stack(
            (
                (pair.top.luma[rows] - before.top.luma[rows]).abs_(),
                (pair.bottom.luma[rows] - before.bottom.luma[rows]).abs_(),
            )
        )
        combs, moved = _blocks(weaves), _blocks(changes)
        spread = combs.amax(dim=0) - combs.amin(dim=0)
        count = max(min(_FEWEST_BLOCKS, spread.numel()), spread.numel() // _TELLING)
        telling = spread.topk(count).indices
        own, top_after, bottom_after = combs[:, telling].mean(dim=1).tolist()
        top_change, bottom_change = moved[:, telling].mean(dim=1).tolist()
        return FieldEvidence(
            index=frame.index,
            own=own,
            top_after=top_after,
            bottom_after=bottom_after,
            top_change=top_change,
            bottom_change=bottom_change,
            change=float(moved.max()),
            weight=_weight(own, top_after, bottom_after),
        )


def _nothing(frame: Frame) -> FieldEvidence:
    return FieldEvidence(
        index=frame.index,
        own=0.0,
        top_after=0.0,
        bottom_after=0.0,
        top_change=0.0,
        bottom_change=0.0,
        change=float("inf"),
        weight=0.0,
    )


def _weight(*combs: float) -> float:
    spread, worst = max(combs) - min(combs), max(combs)
    if worst <= 0:
        return 0.0
    none, full = _CONTRAST
    clear = min(1.0, max(0.0, (spread / worst - none) / (full - none)))
    return clear * spread**2 / (spread**2 + _FAINTEST**2)


def _luma(frame: Frame) -> torch.Tensor:
    """(H, about _COLUMNS) float32 on the CPU, in 8-bit code values, every row kept."""
    plane = frame.planes[1 if frame.format.model is ColorModel.RGB else 0]
    width = plane.shape[1]
    reduce = 2 if width >= _COLUMNS else 1
    step = max(1, width // reduce // _COLUMNS)
    if step > 1:
        # Whole blocks of neighbours, so that averaging still averages neighbours.
        wide = _BLOCK * reduce
        kept = plane[:, : width // wide * wide].unfold(1, wide, wide * step)
        plane = kept.reshape(plane.shape[0], -1)
    luma = plane.float().cpu()
    if reduce == 2:
        even = luma.shape[1] // 2 * 2
        luma = luma[:, 0:even:2] + luma[:, 1:even:2]
    peak = 1.0
    if frame.coding is Coding.CODE and not frame.format.is_float:
        peak = float((1 << frame.format.depth) - 1)
    return luma * (255 / (reduce * peak))


def _top(luma: torch.Tensor) -> _Field:
    """Rows 2 to the last but two, as the centres of the filter."""
    above, centre, below = luma[1:-2], luma[2:-1], luma[3:]
    curve = above - 2 * centre + below
    return _Field(luma, above + 4 * centre + below, curve.abs_())


def _bottom(luma: torch.Tensor, rows: int) -> _Field:
    """The rows around those of a top field of `rows` rows; an odd frame's is one row longer."""
    if luma.shape[0] < rows:
        luma = torch.cat((luma, luma[-1:]))
    curve = (luma[:-2] - 2 * luma[1:-1] + luma[2:]).abs_()
    return _Field(luma, 3 * (luma[1:-2] + luma[2:-1]), torch.maximum(curve[:-1], curve[1:]))


def _comb(top: _Field, bottom: _Field) -> torch.Tensor:
    """(rows, columns): how far each sample of the weave stands out of its column."""
    outside = (top.weighted - bottom.weighted).abs_()
    return outside.sub_(torch.maximum(top.detail, bottom.detail), alpha=_DETAIL).clamp_(min=0) / 6


def _blocks(maps: torch.Tensor) -> torch.Tensor:
    """(maps, blocks): the mean of each block; what is left over at the edges is left out."""
    count, height, width = maps.shape
    rows, columns = min(_BLOCK, height), min(_BLOCK, width)
    down, across = height // rows, width // columns
    whole = maps[:, : down * rows, : across * columns]
    return whole.reshape(count, down, rows, across, columns).mean(dim=(2, 4)).flatten(1)
