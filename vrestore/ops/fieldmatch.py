"""Inverse telecine: fields put back together into the film's own pictures.

Nothing is interpolated: a picture is two fields of the source, woven, or a frame as it came.  3:2
pulldown gives four pictures for five frames, evenly timed; film that lies half a frame late in its
frames (PAL, phase shifted) gives one picture a frame, from two; whole frames pass; video passes
flagged with its field order, for a deinterlacer to treat.

A picture begins where its first field begins in the film's own time, a whole number of quarters of
a frame; the same in every clock:

    pulldown   AA  BB  BC  CD  DD       shifted   ?A  AB  BC  C?
    begins     A   B+1 C+2 D+3          begins     A+2 B+2 C+2     (quarters into the frame above)
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch

from vrestore.media import FieldOrder, Frame, Timestamp
from vrestore.notes import ShotNote
from vrestore.ops.fieldfound import (
    LAG,
    FieldFinder,
    FieldRun,
    FieldsFound,
    FindFields,
    KnownFields,
)
from vrestore.ops.matching import Matching
from vrestore.ops.patterns import FieldState, Pattern

__all__ = ["TICKS", "MatchFields", "MatchReport"]

TICKS = 4
"""Parts into which each tick of the source's clock is divided, so that times stay whole numbers."""


@dataclass(slots=True)
class MatchReport:
    """The books of a MatchFields.  Grows while it runs."""

    frames: int = 0
    """Frames taken."""

    pictures: int = 0
    """Pictures given."""

    woven: int = 0
    """Pictures among them that were put together from two frames."""

    combed: int = 0
    """Pictures among them that are video, or lost a field at a cut: left to a deinterlacer."""

    patterns: Counter[str] = field(default_factory=Counter)
    """Frames by pattern."""

    @property
    def dropped(self) -> int:
        """Frames that show no picture of their own: repeats, and single fields at cuts."""
        return self.frames - self.pictures


@dataclass(slots=True)
class _Shown:
    """A picture that is not finished: it lasts until the next begins."""

    frame: Frame
    pts: int
    duration: int
    shot_start: bool


class MatchFields:
    """Op[Frame, Frame] on CODE or UNIT frames in main memory, in order of time.

    Times move to a clock TICKS as fine, `pts` and durations alike; the durations add up to those of
    the source.  Frames out are at most frames in; `report` says how many were dropped and why.
    `Frame.field_order` of what comes out is as measured: PROGRESSIVE, or the order of video.

    A pattern is sought in each shot by itself.  A field crosses a cut only where the cut was made
    in the film and the two halves of one picture lie on either side of it, which is measured.
    """

    latency = LAG + 2

    def __init__(self, plan: Matching, known: Sequence[FieldRun] | None = None) -> None:
        """`known` is what was decided before; None to decide by what comes."""
        self.report = MatchReport()
        self.notes: list[ShotNote] = []
        self._finder: FieldFinder = FindFields(plan) if known is None else KnownFields(known)
        self._fallback = plan.order or FieldOrder.TOP_FIRST
        self._frames: deque[Frame] = deque()
        self._shown: _Shown | None = None
        self._owes_start = False
        """A shot began with a frame that shows the old one's last picture."""
        self._shot: _ShotTally | None = None

    def push(self, frame: Frame) -> Iterator[Frame]:
        self.report.frames += 1
        self._frames.append(frame)
        for found in self._finder.push(frame):
            yield from self._place(found)

    def flush(self) -> Iterator[Frame]:
        for found in self._finder.flush():
            yield from self._place(found)
        yield from self._end_picture()
        self._end_shot()

    def _place(self, here: FieldsFound) -> Iterator[Frame]:
        """Puts the oldest frame's picture where it belongs."""
        frame = self._frames.popleft()
        after = self._frames[0] if self._frames else None
        state = here.state
        self._count(frame, state)
        picture = _picture(frame, state, after if here.goes_on else None)
        quarter = _quarter(state)
        starts = frame.shot_start or self._owes_start
        self._owes_start = False
        # What begins in the middle of a pattern has shown nothing yet.
        if not here.follows or self._shown is None:
            quarter = 0
            if picture is None:
                picture = _alone(frame, state, self._fallback)
        elif here.earlier:
            self._shown.shot_start, starts = True, False
        if picture is None:
            self._owes_start = starts
            assert self._shown is not None, "a pattern that goes on has shown something"
            self._shown.duration += TICKS * frame.duration
            return
        length = frame.duration
        if after is not None:
            length = max(1, min(length, after.timestamp.pts - frame.timestamp.pts))
        lead = quarter * length
        if self._shown is not None:
            self._shown.duration += lead
        yield from self._end_picture()
        spread = state.pattern is Pattern.SHIFTED or state.position == 2
        self.report.woven += spread and picture.field_order is FieldOrder.PROGRESSIVE
        self._shown = _Shown(
            picture,
            TICKS * frame.timestamp.pts + lead,
            TICKS * frame.duration - lead,
            starts,
        )

    def _end_picture(self) -> Iterator[Frame]:
        shown, self._shown = self._shown, None
        if shown is None:
            return
        frame = shown.frame
        self.report.pictures += 1
        self.report.combed += frame.field_order is not FieldOrder.PROGRESSIVE
        stamp = frame.timestamp
        yield replace(
            frame,
            timestamp=Timestamp(pts=shown.pts, time_base=stamp.time_base / TICKS),
            duration=shown.duration,
            shot_start=shown.shot_start,
        )

    def _count(self, frame: Frame, state: FieldState) -> None:
        self.report.patterns[state.pattern.value] += 1
        if frame.shot_start or self._shot is None:
            self._end_shot()
            self._shot = _ShotTally(frame.index)
        self._shot.patterns[state.pattern] += 1

    def _end_shot(self) -> None:
        if self._shot is not None:
            self.notes.append(self._shot.note())
        self._shot = None


@dataclass(slots=True)
class _ShotTally:
    first: int
    patterns: Counter[Pattern] = field(default_factory=Counter)

    def note(self) -> ShotNote:
        total = self.patterns.total()
        return ShotNote(
            stage="ivtc",
            first=self.first,
            frames=total,
            values={f"{name.value}_share": self.patterns[name] / total for name in Pattern},
        )


def _quarter(state: FieldState) -> int:
    """Where in a frame its picture begins while the pattern goes on, in quarters of the frame."""
    if state.pattern is Pattern.SHIFTED:
        return 2
    return state.position if state.position < 4 else 0


def _picture(frame: Frame, state: FieldState, after: Frame | None) -> Frame | None:
    """The picture that begins in a frame; None where none does, or where its fields are not there.

    `after` is the next frame if the pattern goes on in it.
    """
    if state.pattern is Pattern.VIDEO:
        return replace(frame, field_order=state.order)
    if state.pattern is Pattern.SHIFTED or state.position == 2:
        return None if after is None else _woven(frame, after, state.order)
    if state.position == 3:
        return None if after is None else _whole(after)
    return None if state.position == 4 else _whole(frame)


def _alone(frame: Frame, state: FieldState, fallback: FieldOrder) -> Frame:
    """What a frame shows at the beginning of a pattern whose next picture is not there."""
    if state.position == 4:
        return _whole(frame)
    order = state.order if state.order is not FieldOrder.PROGRESSIVE else fallback
    return replace(frame, field_order=order)


def _whole(frame: Frame) -> Frame:
    return replace(frame, field_order=FieldOrder.PROGRESSIVE)


def _woven(frame: Frame, after: Frame, order: FieldOrder) -> Frame:
    """The second field of a frame with the first of the next."""
    top, bottom = (after, frame) if order is FieldOrder.TOP_FIRST else (frame, after)
    planes = []
    for even, odd in zip(top.planes, bottom.planes, strict=True):
        plane = even.clone(memory_format=torch.contiguous_format)
        plane[1::2] = odd[1::2]
        planes.append(plane)
    return replace(
        frame,
        planes=tuple(planes),
        field_order=FieldOrder.PROGRESSIVE,
        ready=None,
    )
