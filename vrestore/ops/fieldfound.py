"""What is decided of each frame's fields: found in the stream, or known from a look before it.

A pattern that nothing shows for a while is only known by who saw how it began.  What begins in the
middle of a source is therefore told what was decided there: `FindFields` decides, `field_runs`
writes it down in a few numbers a shot, `KnownFields` reads it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from vrestore.media import FieldOrder, Frame
from vrestore.ops.fields import FieldMeter
from vrestore.ops.matching import Matching
from vrestore.ops.patterns import (
    CYCLE,
    STATES,
    FieldState,
    Pattern,
    StateFound,
    StateTracker,
)

__all__ = [
    "LAG",
    "FieldFinder",
    "FieldRun",
    "FieldsFound",
    "FindFields",
    "KnownFields",
    "follow_on",
]

LAG = 8
"""Frames that a decision may wait for what comes after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldsFound:
    """What was decided of one frame."""

    index: int
    """`Frame.index`."""

    state: FieldState

    follows: bool
    """The pattern goes on from the frame before, across a cut as well."""

    goes_on: bool
    """It goes on in the frame after."""

    earlier: bool
    """A shot begins with this frame whose first picture began in the frame before."""


class FieldFinder(Protocol):
    """Op: frames in, what was decided of each out, once and in order."""

    latency: int

    def push(self, frame: Frame) -> Iterable[FieldsFound]: ...

    def flush(self) -> Iterable[FieldsFound]: ...


class FindFields:
    """Op: decides by what the frames show.  CODE or UNIT frames with `shot_start`."""

    latency = LAG + 1

    def __init__(self, plan: Matching) -> None:
        self._meter = FieldMeter()
        self._tracker = StateTracker(LAG, usual=plan.usual, order=plan.order)
        self._before: StateFound | None = None

    def push(self, frame: Frame) -> Iterator[FieldsFound]:
        seen = self._meter.measure(frame)
        for found in self._tracker.push(seen, shot_start=frame.shot_start):
            yield from self._settled(found)

    def flush(self) -> Iterator[FieldsFound]:
        for found in self._tracker.flush():
            yield from self._settled(found)
        yield from self._settled(None)

    def _settled(self, then: StateFound | None) -> Iterator[FieldsFound]:
        """The frame before, now that it is known whether its pattern goes on."""
        here, self._before = self._before, then
        if here is not None:
            yield FieldsFound(
                index=here.seen.index,
                state=here.state,
                follows=here.follows,
                goes_on=then is not None and then.follows,
                earlier=here.follows and _began_before(here, then),
            )


def _began_before(here: StateFound, then: StateFound | None) -> bool:
    """Whether the first picture of a shot began in the frame before the one that is marked.

    A cut in the film lies between two fields.  The frame that holds both may be marked, or the one
    after it; the marked frame's first field knows, by which of its neighbours it resembles.
    """
    state = here.state
    if not (here.shot_start and state.needs_before) or state.position == 2:
        return False
    if state.position == 4 or then is None:
        return True
    if state.order is FieldOrder.TOP_FIRST:
        return here.seen.top_change >= then.seen.top_change
    return here.seen.bottom_change >= then.seen.bottom_change


# --------------------------------------------------------------------------------- written down


class FieldRun(NamedTuple):
    """Frames in which one pattern goes on, up to where the next run begins."""

    first: int
    """`Frame.index` of the first of them."""

    state: int
    """The place of its state in `STATES`; each other frame's is the one that follows."""

    follows: bool
    earlier: bool
    """Of the first frame, as in `FieldsFound`; the others follow, and begin nothing earlier."""


def follow_on(runs: list[FieldRun], found: FieldsFound) -> None:
    """Writes down what was decided of the next frame."""
    if not runs or not found.follows or found.earlier:
        state = STATES.index(found.state)
        runs.append(FieldRun(found.index, state, found.follows, found.earlier))


class KnownFields:
    """Op: knows what was decided of each frame; may begin anywhere.

    ValueError for a frame before the first run.
    """

    latency = 1

    def __init__(self, runs: Sequence[FieldRun]) -> None:
        self._runs = runs
        self._waits: int | None = None
        """Index of the frame that is told when the next comes."""

    def push(self, frame: Frame) -> Iterator[FieldsFound]:
        yield from self.flush()
        self._waits = frame.index

    def flush(self) -> Iterator[FieldsFound]:
        index, self._waits = self._waits, None
        if index is not None:
            state, follows, earlier = self._at(index)
            _, goes_on, _ = self._at(index + 1)
            yield FieldsFound(
                index=index, state=state, follows=follows, goes_on=goes_on, earlier=earlier
            )

    def _at(self, index: int) -> tuple[FieldState, bool, bool]:
        """State, `follows` and `earlier` of a frame."""
        place = bisect_right(self._runs, index, key=lambda run: run.first) - 1
        if place < 0:
            raise ValueError(f"nothing is known of the fields of frame {index}")
        run = self._runs[place]
        state = STATES[run.state]
        if index == run.first:
            return state, run.follows, run.earlier
        if state.pattern is Pattern.PULLDOWN:
            for _ in range((index - run.first) % CYCLE):
                state = state.next
        return state, True, False
