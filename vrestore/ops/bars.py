"""Black bars: found in a sample of frames, kept away from the network, and put back.

Detection wants evidence: a row is a bar only if it is black in every frame looked at, and a bar
exists only if several frames show picture right up to one and the same straight edge.  A dark
scene shows no such edge, so it is never cropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol

import torch

from vrestore.media import Coding, Frame, SampleFormat
from vrestore.ops.buffers import Alloc, take
from vrestore.ops.levels import plane_levels
from vrestore.ops.resample import Axis, Kernel, resample_plane
from vrestore.ops.size import Rect
from vrestore.ops.standards import chroma_offset

__all__ = ["BarProfile", "BarsAround", "BarsFound", "find_bars", "profile"]

_BLACK = 0.035
"""Highest luma of a bar, on the unit scale: 8 bit codes up to 23 in limited range."""

_CONTRAST = 0.06
"""Least step from a bar to the picture beside it for a frame to count as evidence."""

_MIN_EVIDENCE = 3
"""Frames that must show the edge of a bar."""

_MIN_SHARE = 0.1
"""Share of the frames looked at that must show it."""

_MIN_SAMPLES = 2
"""The thinnest bar, in luma samples."""

_MAX_SHARE = 0.45
"""The widest bar, as a share of the picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarProfile:
    """How bright each row and column of one frame is, on the unit scale (float32, on the CPU)."""

    rows: torch.Tensor
    """(2, H) median and 98th percentile of each row's luma: a hot pixel does not count."""

    columns: torch.Tensor
    """(2, W) the same of each column, over the rows that are not black."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarsFound:
    """The picture inside its bars, and why it is believed to be there."""

    picture: Rect
    """The whole frame where there are no bars."""

    size: tuple[int, int]
    """(width, height) of the frame."""

    frames: int
    """Frames looked at."""

    evidence: tuple[int, int, int, int]
    """Frames that showed the edge of the left, top, right and bottom bar; 0 where there is none."""

    @property
    def found(self) -> bool:
        return (self.picture.width, self.picture.height) != self.size


def profile(frame: Frame) -> BarProfile:
    """Measure one frame, CODE (range resolved) or UNIT; any format, by its first plane or, in RGB,
    by its brightest component."""
    planes = frame.planes[: frame.format.color_planes]
    if frame.format.is_chroma(1):
        planes = planes[:1]
    luma = torch.stack([_unit(frame, number, plane) for number, plane in enumerate(planes)])
    bright = luma.amax(dim=0)
    rows = _percentiles(bright)
    lit = rows[1] > _BLACK
    columns = _percentiles(bright[lit].t() if bool(lit.any()) else bright.t())
    return BarProfile(rows=rows.cpu(), columns=columns.cpu())


def _unit(frame: Frame, number: int, plane: torch.Tensor) -> torch.Tensor:
    if frame.coding is Coding.UNIT:
        return plane.float()
    levels = plane_levels(frame.format, frame.color.range, number)
    return plane.float().sub_(levels.zero).div_(levels.gain)


def _percentiles(lines: torch.Tensor) -> torch.Tensor:
    """(2, n): the median and the 98th percentile of each of n lines."""
    ordered = lines.sort(dim=1).values
    last = lines.shape[1] - 1
    return torch.stack((ordered[:, last // 2], ordered[:, round(0.98 * last)]))


def find_bars(profiles: Sequence[BarProfile], multiple: tuple[int, int] = (2, 2)) -> BarsFound:
    """The picture common to all profiles of one source (all of one size, spread over its length).

    Edges are moved outwards, into the bar, to a `multiple` of (width, height), so that no picture
    is lost and subsampled chroma stays whole.  ValueError without profiles.
    """
    if not profiles:
        raise ValueError("find_bars needs at least one profile")
    width, height = profiles[0].columns.shape[1], profiles[0].rows.shape[1]
    rows = torch.stack([one.rows for one in profiles])
    columns = torch.stack([one.columns for one in profiles])
    top, top_seen = _bar(rows)
    bottom, bottom_seen = _bar(rows.flip(2))
    left, left_seen = _bar(columns)
    right, right_seen = _bar(columns.flip(2))
    x, y = left // multiple[0] * multiple[0], top // multiple[1] * multiple[1]
    x_end = min(width, -(-(width - right) // multiple[0]) * multiple[0])
    y_end = min(height, -(-(height - bottom) // multiple[1]) * multiple[1])
    return BarsFound(
        picture=Rect(x=x, y=y, width=x_end - x, height=y_end - y),
        size=(width, height),
        frames=len(profiles),
        evidence=(left_seen, top_seen, right_seen, bottom_seen),
    )


def _bar(lines: torch.Tensor) -> tuple[int, int]:
    """(thickness of the bar at the start, frames that show its edge); (0, 0) for none.

    `lines` is (frames, 2, length).
    """
    median, high = lines.unbind(dim=1)
    count, length = high.shape
    black = (high <= _BLACK).all(dim=0)
    thickness = length if bool(black.all()) else int((~black).to(torch.uint8).argmax())
    if not _MIN_SAMPLES <= thickness <= length * _MAX_SHARE:
        return 0, 0
    # The first lines of picture may be half bar, so look a little further in.  Half of such a line
    # must be bright: a lamp in the dark has an edge too, but not all along the picture.
    inside = median[:, thickness : thickness + 4].amax(dim=1)
    bar = high[:, :thickness].amax(dim=1)
    seen = int((inside - bar >= _CONTRAST).sum())
    if seen < max(_MIN_EVIDENCE, _MIN_SHARE * count):
        return 0, 0
    return thickness, seen


# --------------------------------------------------------------------------------- put back


class _FrameOp(Protocol):
    """An op from frames to frames."""

    def push(self, item: Frame, /) -> Iterable[Frame]: ...

    def flush(self) -> Iterable[Frame]: ...


class BarsAround:
    """Op: runs another op on the picture inside the bars and puts the bars back around it.

    The inner op sees frames of `picture`'s size and gives each back once, in order, as frames of
    `to_picture`'s size; the output has size `to_size`.  The bars are the source's own, resampled:
    whatever was in them (noise, a station's logo) is still there, and the picture does not bleed
    into them.
    """

    def __init__(
        self,
        inner: _FrameOp,
        picture: Rect,
        *,
        to_picture: Rect,
        to_size: tuple[int, int],
        alloc: Alloc | None = None,
    ) -> None:
        """`picture` in the source frame, its edges whole chroma samples; `to_picture` in the
        output."""
        self._inner = inner
        self._picture, self._to_picture, self._to_size = picture, to_picture, to_size
        self._alloc = alloc
        self._kept: deque[_Surround] = deque()
        self.latency: int = getattr(inner, "latency", 0)

    def push(self, frame: Frame) -> Iterable[Frame]:
        """Zero or more finished frames.  ValueError where the inner op's frames do not fit."""
        if frame.coding is not Coding.UNIT:
            raise ValueError("BarsAround takes UNIT frames")
        self._kept.append(_Surround.of(frame, self._picture))
        inside = replace(
            frame,
            planes=tuple(
                plane[_part(frame.format, number, self._picture)]
                for number, plane in enumerate(frame.planes)
            ),
        )
        for done in self._inner.push(inside):
            yield self._put_back(done)

    def flush(self) -> Iterable[Frame]:
        for done in self._inner.flush():
            yield self._put_back(done)

    def _put_back(self, frame: Frame) -> Frame:
        if (frame.width, frame.height) != (self._to_picture.width, self._to_picture.height):
            raise ValueError(f"expected a picture of {self._to_picture}, got {frame}")
        kept = self._kept.popleft()
        planes = []
        for number, plane in enumerate(frame.planes):
            size = frame.format.plane_size(number, *self._to_size)
            out = take(self._alloc, size, torch.float32, plane.device)
            hole = _part(frame.format, number, self._to_picture)
            out[hole].copy_(plane)
            kept.fill(out, frame, number, hole)
            planes.append(out)
        return replace(frame, planes=tuple(planes), ready=None)


def _part(form: SampleFormat, plane: int, rect: Rect) -> tuple[slice, slice]:
    """Where `rect` lies in a plane: (rows, columns)."""
    log2_w, log2_h = (form.log2_chroma_w, form.log2_chroma_h) if form.is_chroma(plane) else (0, 0)
    return (
        slice(rect.y >> log2_h, -(-(rect.y + rect.height) >> log2_h)),
        slice(rect.x >> log2_w, -(-(rect.x + rect.width) >> log2_w)),
    )


@dataclass(frozen=True, slots=True)
class _Surround:
    """Copies of the four bars of every plane: copies, since a view would keep the whole frame."""

    bars: tuple[tuple[torch.Tensor, ...], ...]
    """For each plane: above, below, left, right; the first two as wide as the frame."""

    @classmethod
    def of(cls, frame: Frame, picture: Rect) -> _Surround:
        bars = []
        for number, plane in enumerate(frame.planes):
            rows, columns = _part(frame.format, number, picture)
            bars.append(tuple(part.float().clone() for part in _around(plane, rows, columns)))
        return cls(tuple(bars))

    def fill(self, out: torch.Tensor, frame: Frame, number: int, hole: tuple[slice, slice]) -> None:
        """Write the bars, resampled, around the hole."""
        form = frame.format
        off_x = off_y = 0.5
        if form.is_chroma(number):
            off_x, off_y = chroma_offset(
                frame.color.chroma_location, form.log2_chroma_w, form.log2_chroma_h
            )
        for bar, target in zip(self.bars[number], _around(out, *hole), strict=True):
            if not target.numel():
                continue
            if not bar.numel():
                raise ValueError(
                    "the picture has more bars around it in the output than in the "
                    "source; use Rect.scaled"
                )
            target.copy_(
                resample_plane(
                    bar,
                    _axis(bar.shape[0], target.shape[0], off_y),
                    _axis(bar.shape[1], target.shape[1], off_x),
                )
            )


def _axis(size: int, to_size: int, offset: float) -> Axis:
    return Axis(
        in_size=size,
        out_size=to_size,
        ratio=Fraction(to_size, size),
        in_offset=offset,
        out_offset=offset,
        kernel=Kernel.BICUBIC,
    )


def _around(plane: torch.Tensor, rows: slice, columns: slice) -> tuple[torch.Tensor, ...]:
    return (
        plane[: rows.start],
        plane[rows.stop :],
        plane[rows, : columns.start],
        plane[rows, columns.stop :],
    )
