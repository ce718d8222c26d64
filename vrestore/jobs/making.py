"""The source to restored segments: the left half of a job's threads.

    decode == restore == encode == keep

The segments flow through the same threads one after the other: while the encoder finishes one, the
next is being restored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from vrestore.assembly import Tally, open_source
from vrestore.chain import analysis, restoration
from vrestore.errors import InputError, VRestoreError
from vrestore.fieldplan import FieldWork
from vrestore.io.approach import Entry
from vrestore.jobs.segments import Segment
from vrestore.media import Frame
from vrestore.notes import NoteBook
from vrestore.ops.buffers import Alloc
from vrestore.planning import Plan
from vrestore.review.witness import Sighting, Witness
from vrestore.runtime.stage import Op, compose

__all__ = ["InSegments", "ReadSegments", "SegmentRestored", "StopRequest"]


class StopRequest:
    """Whether a run shall end before its last segment, and with which.

    Set from a signal handler, read by the stages; a plain attribute is enough for that.
    """

    def __init__(self) -> None:
        self.after: int | None = None
        """Number of the segment that is finished and none after it."""


class ReadSegments:
    """Source of the frames of some segments, handles included, each frame once.

    Iterate once.  Segments next to each other are read in one go.
    """

    def __init__(
        self, plan: Plan, segments: Sequence[Segment], stop: StopRequest, *, steady: bool
    ) -> None:
        """`segments` in order of their numbers; `steady` as `SourceMap`."""
        self._plan = plan
        self._segments = segments
        self._stop = stop
        self._steady = steady

    def __iter__(self) -> Iterator[Frame]:
        for run in _runs(self._segments):
            yield from self._read(run)
            if self._stop.after is not None:
                return

    def _read(self, run: Sequence[Segment]) -> Iterator[Frame]:
        entry = Entry(index=run[0].read_from, pts=run[0].read_pts)
        ends = {
            last.number: max(segment.read_to for segment in run[: position + 1])
            for position, last in enumerate(run)
        }
        with open_source(self._plan, entry=entry, seek=self._steady, on_device=True) as decoder:
            for frame in decoder:
                after = self._stop.after
                end = ends[run[-1].number] if after is None else ends.get(after, 0)
                if frame.index >= end:
                    return
                yield frame


def _runs(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Segments in runs without a gap."""
    run: list[Segment] = []
    for segment in segments:
        if run and segment.number != run[-1].number + 1:
            yield run
            run = []
        run.append(segment)
    if run:
        yield run


class _Between:
    """Op: passes frames whose number lies in a range, and counts."""

    latency = 0

    def __init__(self, start: int, stop: int, *, goes_on: bool = False) -> None:
        """With `goes_on` the range begins within a shot, whatever the ops before were told."""
        self._start, self._stop, self._goes_on = start, stop, goes_on
        self.seen = 0
        self.passed = 0
        self.seconds = 0
        """Frames passed beyond the first of the same number: second fields."""
        self.shots = 0
        self._last: int | None = None

    def push(self, frame: Frame) -> Iterable[Frame]:
        self.seen += 1
        if not self._start <= frame.index < self._stop:
            return ()
        if self._goes_on and frame.index == self._start:
            frame = replace(frame, shot_start=False)
        self.passed += 1
        self.seconds += frame.index == self._last
        self.shots += frame.shot_start
        self._last = frame.index
        return (frame,)

    def flush(self) -> Iterable[Frame]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRestored:
    """Comes after the last frame of a segment."""

    segment: Segment
    frames: int
    added: int
    deinterlaced: int
    shots: int
    notes: NoteBook
    sightings: tuple[Sighting, ...]


class _Chain:
    """All ops of one segment, fresh."""

    def __init__(self, plan: Plan, segment: Segment, alloc: Alloc | None, *, zero: float) -> None:
        self.segment = segment
        self.fed = 0
        self._book, self._witness, self._tally = NoteBook(), Witness(zero), Tally()
        self._fields = FieldWork(plan.fields, self._book) if plan.fields.works else None
        self._inner = _Between(segment.fed_from, segment.fed_to)
        self._outer = _Between(segment.start, segment.stop, goes_on=segment.renewal)
        self._op: Op[Frame, Frame] = compose(
            analysis(plan, self._fields),
            self._inner,
            restoration(plan, self._book, alloc, renewal=segment.handed_over),
            self._tally,
            self._book.of(self._witness),
            self._outer,
        )

    @property
    def done(self) -> int:
        """Frames given."""
        return self._outer.passed

    def push(self, frame: Frame) -> Iterable[Frame]:
        self.fed += 1
        return self._op.push(frame)

    def flush(self) -> Iterable[Frame]:
        return self._op.flush()

    def ended(self) -> SegmentRestored:
        """Raises InputError where frames are missing, VRestoreError where they do not add up."""
        segment = self.segment
        expected = segment.read_to - segment.read_from
        if self.fed != expected:
            raise InputError(
                f"the source ended or changed while it was read: {self.fed} of {expected} pictures "
                f"from number {segment.read_from} on came"
            )
        made = self.fed
        if self._fields is not None:
            made += self._fields.added - self._fields.dropped
        counts = {
            "decoded and made of fields": (made, self._inner.seen),
            "restored": (self._inner.passed, self._tally.frames),
        }
        for what, (wanted, found) in counts.items():
            if wanted != found:
                raise VRestoreError(
                    f"frames of segment {segment.number} do not add up ({wanted} {what}, {found} "
                    "came); please report this"
                )
        return SegmentRestored(
            segment=segment,
            frames=self._outer.passed,
            added=self._outer.seconds,
            deinterlaced=self._deinterlaced(),
            shots=self._outer.shots,
            notes=self._book,
            sightings=tuple(self._witness.sightings),
        )

    def _deinterlaced(self) -> int:
        """Frames made into pictures; those of handles count where that cannot be told apart."""
        books = None if self._fields is None else self._fields.deinterlaced
        if books is None:
            return 0
        whole = self._outer.passed - self._outer.seconds
        return self._outer.seconds if books.rate == 2 else min(books.deinterlaced, whole)


class InSegments:
    """Op: frames of the source to restored frames, a `SegmentRestored` after each segment.

    Handles are fed to both segments that they belong to; the later one gets them from memory.
    """

    latency = 0

    def __init__(
        self,
        plan: Plan,
        segments: Sequence[Segment],
        stop: StopRequest,
        alloc: Alloc | None,
        *,
        zero: float,
    ) -> None:
        """`zero` is the time of the run's first frame in seconds."""
        self.tally = Tally()
        """Of what comes out."""
        self._make = partial(_Chain, plan, alloc=alloc, zero=zero)
        self._stop = stop
        self._waiting = deque(segments)
        self._chain: _Chain | None = None
        self._ahead: list[Frame] = []
        """Frames that the next segment will want too."""
        self._begin()

    @property
    def current(self) -> tuple[Segment, int] | None:
        """The segment that is being restored, and how many of its frames are done."""
        chain = self._chain
        return None if chain is None else (chain.segment, chain.done)

    def push(self, frame: Frame) -> Iterator[Frame | SegmentRestored]:
        pending = deque((frame,))
        while pending and self._chain is not None:
            first = pending[0]
            if first.index >= self._chain.segment.read_to:
                yield from self._finish()
                pending.extendleft(reversed(self._ahead))
                self._ahead = []
                continue
            pending.popleft()
            if self._waiting and first.index >= self._waiting[0].read_from:
                self._ahead.append(first)
            if first.index >= self._chain.segment.read_from:
                yield from self._passed(self._chain.push(first))

    def flush(self) -> Iterator[Frame | SegmentRestored]:
        while self._chain is not None:
            yield from self._finish()
            ahead, self._ahead = self._ahead, []
            for frame in ahead:
                yield from self.push(frame)

    def _begin(self) -> None:
        more = self._waiting and self._stop.after is None
        self._chain = self._make(self._waiting.popleft()) if more else None

    def _finish(self) -> Iterator[Frame | SegmentRestored]:
        assert self._chain is not None
        yield from self._passed(self._chain.flush())
        yield self._chain.ended()
        self._begin()

    def _passed(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            yield from self.tally.push(frame)
