"""Fidelity lock: what comes out, seen from far enough, is what went in.

Means over blocks of 8x8 samples of every colour plane are taken before the network, and over the
same parts of the picture after it.  Where they differ by more than is allowed, a smooth field is
added that brings exactly these back to the limit and leaves the means of all others alone: detail
and noise may change, tones and colours may not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from typing import Protocol

import torch
import torch.nn.functional as F

from vrestore.media import Coding, Frame
from vrestore.notes import ShotNote
from vrestore.ops.blocks import BlockAxis, add_field, block_means, field_through
from vrestore.ops.buffers import Alloc, take
from vrestore.ops.standards import chroma_offset

__all__ = ["FidelityConfig", "Locked"]

_BLOCK = 8
_CELL = 4
"""Luma samples per side of the cells by which masks are widened."""

_HAIR = 1e-6
"""Of the unit scale; how far inside the limit corrected means are put, since sums round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FidelityConfig:
    """Section [fidelity] of a preset."""

    max_change: float = 0.0
    """Most that the mean of a block of 8x8 source samples may change, in 8-bit code values of full
    range (1/255 of the unit scale) in luma and chroma alike; 0 sets no limit.  0 to 255."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_change <= 255:
            raise ValueError(f"max_change must be in 0..255, got {self.max_change}")


class _FrameOp(Protocol):
    """An op from frames to frames."""

    def push(self, item: Frame, /) -> Iterable[Frame]: ...

    def flush(self) -> Iterable[Frame]: ...


@dataclass(frozen=True, slots=True)
class _Reference:
    """What is kept of a frame while it is restored."""

    size: tuple[int, int]
    """(width, height)."""
    means: tuple[torch.Tensor, ...]
    """Of each colour plane."""
    free: tuple[torch.Tensor, ...]
    """Of each colour plane: blocks in or beside a defect, bool; no limit holds there."""


@dataclass(slots=True)
class _Account:
    """What happened in one shot; changes on the unit scale."""

    first: int
    limit: float
    largest: list[float] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    left: float = 0.0
    corrected: int = 0
    free: int = 0
    blocks: int = 0

    def note(self) -> ShotNote:
        frames, blocks = len(self.largest), max(1, self.blocks)
        return ShotNote(
            stage="fidelity",
            first=self.first,
            frames=frames,
            values={
                "limit_codes": 255 * self.limit,
                "largest_change_codes": 255 * max(self.largest),
                "mean_change_codes": 255 * sum(self.mean) / frames,
                "largest_left_codes": 255 * self.left,
                "corrected_share": self.corrected / blocks,
                "defect_share": self.free / blocks,
            },
            curves={
                "largest_change_codes": tuple(255 * x for x in self.largest),
                "mean_change_codes": tuple(255 * x for x in self.mean),
            },
        )


class Locked:
    """Op: runs another op, which enlarges UNIT frames, and keeps its block means near the source's.

    The inner op gives each frame back once, in order, in the same format, at any size not smaller
    than the source's.  Blocks that `Frame.mask` touches, or that lie within four samples of it, are
    free; so is alpha.  `fidelity.max_change` may be set for a shot by `Frame.tuning`.  `notes`
    tells per shot the largest and mean change that the inner op made, the largest that was left,
    and the shares of blocks corrected and left free.
    """

    def __init__(
        self, inner: _FrameOp, config: FidelityConfig, *, alloc: Alloc | None = None
    ) -> None:
        self._inner, self._config, self._alloc = inner, config, alloc
        self._references: deque[_Reference | None] = deque()
        self._account: _Account | None = None
        self._started = False
        self.latency: int = getattr(inner, "latency", 0)
        self.notes: list[ShotNote] = []

    def push(self, frame: Frame) -> Iterable[Frame]:
        """Zero or more finished frames.  ValueError for CODE frames."""
        if frame.coding is not Coding.UNIT:
            raise ValueError("Locked takes UNIT frames")
        self._references.append(_reference(frame) if self._limit(frame) else None)
        for done in self._inner.push(frame):
            yield self._locked(done)

    def flush(self) -> Iterable[Frame]:
        for done in self._inner.flush():
            yield self._locked(done)
        self._end_shot()

    def _limit(self, frame: Frame) -> float:
        """On the unit scale."""
        return max(0.0, frame.tuning.get("fidelity.max_change", self._config.max_change)) / 255

    def _locked(self, frame: Frame) -> Frame:
        reference = self._references.popleft()
        if frame.shot_start or not self._started:
            self._end_shot()
            self._started = True
        if reference is None:
            return frame
        if self._account is None:
            self._account = _Account(first=frame.index, limit=self._limit(frame))
        account = self._account
        planes, largest, total, compared = list(frame.planes), 0.0, 0.0, 0
        for number in range(frame.format.color_planes):
            plane = frame.planes[number]
            source, free = reference.means[number], reference.free[number]
            geometry = _geometry(frame, number, reference.size)
            change = (block_means(plane, geometry.rows, geometry.columns) - source).masked_fill_(
                free, 0.0
            )
            excess = change - change.clamp(-account.limit + _HAIR, account.limit - _HAIR)
            wrong = change.abs() > account.limit
            excess.masked_fill_(~wrong, 0.0)
            if bool(wrong.any()):
                planes[number] = self._corrected(plane, excess, geometry)
            size = change.abs()
            largest = max(largest, float(size.max()))
            total += float(size.sum())
            compared += size.numel() - int(free.sum())
            account.left = max(account.left, float((change - excess).abs().max()))
            account.corrected += int(wrong.sum())
            account.free += int(free.sum())
            account.blocks += size.numel()
        account.largest.append(largest)
        account.mean.append(total / max(1, compared))
        return replace(frame, planes=tuple(planes), ready=None)

    def _corrected(
        self, plane: torch.Tensor, excess: torch.Tensor, geometry: _Geometry
    ) -> torch.Tensor:
        values = field_through(-excess.cpu(), geometry.inverses).to(plane.device)
        out = take(self._alloc, tuple(plane.shape), torch.float32, plane.device)
        add_field(plane, values, geometry.rows, geometry.columns, out)
        return out

    def _end_shot(self) -> None:
        if self._account is not None:
            self.notes.append(self._account.note())
            self._account = None


def _reference(frame: Frame) -> _Reference:
    form = frame.format
    means, free = [], []
    for number in range(form.color_planes):
        plane = frame.planes[number]
        height, width = plane.shape
        means.append(
            block_means(plane, BlockAxis.whole(height, _BLOCK), BlockAxis.whole(width, _BLOCK))
        )
        log2 = (form.log2_chroma_h, form.log2_chroma_w) if form.is_chroma(number) else (0, 0)
        free.append(_free(frame, log2, means[-1]))
    return _Reference((frame.width, frame.height), tuple(means), tuple(free))


def _free(frame: Frame, log2: tuple[int, int], means: torch.Tensor) -> torch.Tensor:
    """Blocks of a plane that have a defect in them or close by."""
    if frame.mask is None:
        return torch.zeros_like(means, dtype=torch.bool)
    mask = frame.mask.to(means.device, torch.float32)[None, None]
    if mask.shape[2:] != (frame.height, frame.width):
        mask = F.adaptive_max_pool2d(mask, (frame.height, frame.width))
    cells = F.max_pool2d(mask, _CELL, ceil_mode=True)
    wide = F.max_pool2d(cells, 3, stride=1, padding=1)
    sides = tuple((_BLOCK << step) // _CELL for step in log2)
    return F.max_pool2d(wide, sides, ceil_mode=True)[0, 0] > 0


@dataclass(frozen=True, slots=True)
class _Geometry:
    """A plane's blocks in the output."""

    rows: BlockAxis
    columns: BlockAxis
    inverses: tuple[torch.Tensor, torch.Tensor]
    """Of each axis's `hat_means`, on the CPU."""


def _geometry(frame: Frame, number: int, size: tuple[int, int]) -> _Geometry:
    form = frame.format
    off_x = off_y = 0.5
    if form.is_chroma(number):
        off_x, off_y = chroma_offset(
            frame.color.chroma_location, form.log2_chroma_w, form.log2_chroma_h
        )
    source = form.plane_size(number, *size)
    target = frame.planes[number].shape
    rows = _axis(source[0], Fraction(frame.height, size[1]), off_y, target[0])
    columns = _axis(source[1], Fraction(frame.width, size[0]), off_x, target[1])
    return _Geometry(rows, columns, (_inverse(rows), _inverse(columns)))


@lru_cache(maxsize=16)
def _axis(source: int, ratio: Fraction, offset: float, target: int) -> BlockAxis:
    return BlockAxis.whole(source, _BLOCK).enlarged(float(ratio), offset, target)


@lru_cache(maxsize=16)
def _inverse(axis: BlockAxis) -> torch.Tensor:
    inverse: torch.Tensor = torch.linalg.inv(axis.hat_means())
    return inverse
