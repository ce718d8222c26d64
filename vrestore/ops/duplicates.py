"""Repeated frames: restored once, and given again exactly.

Film of 8, 16 or 18 pictures a second was copied to television by showing some of them again, and
drawings are animated on twos.  A temporal network that sees such repeats looks at fewer moments
than it thinks, and makes a different picture of each; so it sees every picture once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
import torch.nn.functional as F

from vrestore.media import Coding, Frame
from vrestore.notes import ShotNote

__all__ = ["DuplicatesConfig", "DuplicatesReport", "Once", "is_repeat"]

_BLOCK = 8
_FAINT = 1.5
"""Greatest mean change of a block, in 8-bit code values, that coding noise may make."""

_SHARE = 0.2
"""The same relative to the last real change: a slow zoom has no larger ones and no repeats."""

_LONGEST = 4
"""Repeats in a row: 6 pictures a second in 30.  The next is restored anew, so that what waits for
an inner op stays few in a still scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicatesConfig:
    """Section [duplicates] of a preset."""

    mode: str = "off"
    """"auto": frames that repeat the one before are restored once and given again, exact repeats
    always, nearly exact ones where the source was found to be full of them.  "off": every frame is
    restored by itself.  Number and times of frames are the same either way."""

    def __post_init__(self) -> None:
        if self.mode not in ("auto", "off"):
            raise ValueError(f'mode must be "auto" or "off", got {self.mode!r}')


@dataclass(slots=True)
class DuplicatesReport:
    """The books of a Once.  Grows while it runs."""

    frames: int = 0
    repeats: int = 0
    """Frames among them that were not restored by themselves."""


class _FrameOp(Protocol):
    """An op from frames to frames, each given back once and in order."""

    def push(self, item: Frame, /) -> Iterable[Frame]: ...

    def flush(self) -> Iterable[Frame]: ...


def _change(frame: Frame, before: Frame) -> float:
    """Greatest mean difference of any block of any plane, in 8-bit code values; infinite for frames
    of different shape.  CODE or UNIT, both alike."""
    shapes = [plane.shape for plane in frame.planes]
    if shapes != [plane.shape for plane in before.planes] or frame.format != before.format:
        return float("inf")
    peak = 1.0
    if frame.coding is Coding.CODE and not frame.format.is_float:
        peak = float((1 << frame.format.depth) - 1)
    greatest = 0.0
    for new, old in zip(frame.planes, before.planes, strict=True):
        difference = (new.float() - old.float()).abs_()[None, None]
        size = min(_BLOCK, *new.shape)
        blocks = F.avg_pool2d(difference, size, ceil_mode=True, count_include_pad=False)
        greatest = max(greatest, float(blocks.amax()))
    return greatest * 255 / peak


def is_repeat(change: float, last_change: float) -> bool:
    """Whether a change is coding noise on a repeat; `last_change` led to the picture repeated."""
    return change <= min(_FAINT, _SHARE * last_change)


@dataclass(slots=True)
class _Given:
    """A picture in the inner op, and the repeats that wait for it."""

    repeats: list[Frame] = field(default_factory=list)
    """Without their samples."""


class Once:
    """Op: runs another op on frames that differ from the one before, and repeats its results.

    A repeat is given the result of the frame it repeats, sample for sample, with its own time,
    duration, number and origin.  A frame that starts a shot is never one.  Repeats in a row are
    compared with the first of them, so nothing drifts.
    """

    def __init__(self, inner: _FrameOp, *, noisy: bool) -> None:
        """`noisy` takes frames for repeats that are the same but for coding noise; otherwise every
        sample must be equal."""
        self.report = DuplicatesReport()
        self.notes: list[ShotNote] = []
        self._inner = inner
        self._noisy = noisy
        self._inside: deque[_Given] = deque()
        self._first: Frame | None = None
        """The frame given to the inner op last."""
        self._in_a_row = 0
        self._last_change = 0.0
        self._result: Frame | None = None
        """Of the last frame that the inner op gave back."""
        self._shot: tuple[int, int, int] | None = None
        """First frame, frames and repeats of the shot."""
        self.latency: int = (getattr(inner, "latency", 0) + 1) * (_LONGEST + 1) - 1

    def push(self, frame: Frame) -> Iterator[Frame]:
        repeats = self._repeats(frame)
        self._count(frame, repeats)
        if not repeats:
            self._first, self._in_a_row = frame, 0
            self._inside.append(_Given())
            for result in self._inner.push(frame):
                yield from self._give(result)
            return
        self._in_a_row += 1
        if self._inside:
            nothing = tuple(plane.new_empty(0) for plane in frame.planes)
            self._inside[-1].repeats.append(replace(frame, planes=nothing))
        else:
            assert self._result is not None, "the inner op gave nothing back"
            yield _again(self._result, frame)

    def flush(self) -> Iterator[Frame]:
        for result in self._inner.flush():
            yield from self._give(result)
        self._end_shot()

    def _repeats(self, frame: Frame) -> bool:
        first = self._first
        if first is None or frame.shot_start:
            self._last_change = 0.0
            return False
        full = self._in_a_row >= _LONGEST
        if not self._noisy:
            return not full and _equal(frame, first)
        changed = _change(frame, first)
        if changed == 0 or is_repeat(changed, self._last_change):
            return not full
        self._last_change = changed
        return False

    def _give(self, result: Frame) -> Iterator[Frame]:
        self._result = result
        yield result
        for repeat in self._inside.popleft().repeats:
            yield _again(result, repeat)

    def _count(self, frame: Frame, repeats: bool) -> None:
        self.report.frames += 1
        self.report.repeats += repeats
        if frame.shot_start or self._shot is None:
            self._end_shot()
            self._shot = frame.index, 0, 0
        first, frames, repeated = self._shot
        self._shot = first, frames + 1, repeated + repeats

    def _end_shot(self) -> None:
        if self._shot is not None:
            first, frames, repeated = self._shot
            self.notes.append(
                ShotNote(
                    stage="duplicates",
                    first=first,
                    frames=frames,
                    values={"repeats_share": repeated / frames},
                )
            )
        self._shot = None


def _equal(frame: Frame, other: Frame) -> bool:
    return frame.format == other.format and all(
        torch.equal(a, b) for a, b in zip(frame.planes, other.planes, strict=True)
    )


def _again(result: Frame, repeat: Frame) -> Frame:
    return replace(
        result,
        timestamp=repeat.timestamp,
        duration=repeat.duration,
        index=repeat.index,
        shot_start=False,
        origin=repeat.origin,
    )
