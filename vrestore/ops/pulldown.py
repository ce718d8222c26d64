"""Soft telecine: film whose times, not whose fields, were pulled down to television's rate.

The pictures are whole and last three and two fields in turn, by flags of the stream that decoders
turn into times.  Two of them last five fields: shared evenly, that is the film's own rate, 24000
pictures in 1001 seconds where it was 30000/1001 with its repeats.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from vrestore.media import Frame, Timestamp

__all__ = ["EVEN_TICKS", "EvenPulldown", "PairRun"]

EVEN_TICKS = 2
"""Parts into which each tick of the source's clock is divided."""

_RATIO = Fraction(7, 5), Fraction(8, 5)
"""Around 3:2, the durations of the two pictures; clocks of milliseconds round them."""


class PairRun(NamedTuple):
    """Pictures that share their times two by two."""

    first: int
    """`Frame.index` of the first of the first two."""

    pairs: int


class EvenPulldown:
    """Op[Frame, Frame]: pictures of three and two fields, in turn, are given two and a half each.

    Times and durations move to a clock EVEN_TICKS as fine; their sum stays, samples are untouched,
    frames out are frames in.  Pictures of other durations keep their times.
    """

    latency = 1

    def __init__(self, known: Sequence[PairRun] | None = None) -> None:
        """`known` says which pictures share their times, as `pairs` of another look did; None to
        find that as they come."""
        self.pairs: list[PairRun] = []
        """Those that were found."""
        self._known = known
        self._held: Frame | None = None

    @property
    def evened(self) -> int:
        """Pictures whose times were changed."""
        return 2 * sum(run.pairs for run in self.pairs)

    def push(self, frame: Frame) -> Iterator[Frame]:
        stamp = frame.timestamp
        frame = replace(
            frame,
            timestamp=Timestamp(pts=EVEN_TICKS * stamp.pts, time_base=stamp.time_base / EVEN_TICKS),
            duration=EVEN_TICKS * frame.duration,
        )
        held, self._held = self._held, frame
        if held is None:
            return
        if not self._belong_together(held, frame):
            yield held
            return
        total = held.duration + frame.duration
        start = held.timestamp
        yield replace(held, duration=total // 2)
        yield replace(
            frame,
            timestamp=replace(start, pts=start.pts + total // 2),
            duration=total - total // 2,
        )
        self._held = None
        self._note(held.index)

    def flush(self) -> Iterator[Frame]:
        if self._held is not None:
            yield self._held
        self._held = None

    def _belong_together(self, first: Frame, second: Frame) -> bool:
        if self._known is None:
            return _take_turns(first, second)
        place = bisect_right(self._known, first.index, key=lambda run: run.first) - 1
        if place < 0 or second.index != first.index + 1:
            return False
        run = self._known[place]
        pair, within = divmod(first.index - run.first, 2)
        return not within and pair < run.pairs

    def _note(self, first: int) -> None:
        last = self.pairs[-1] if self.pairs else None
        if last is not None and first == last.first + 2 * last.pairs:
            self.pairs[-1] = last._replace(pairs=last.pairs + 1)
        else:
            self.pairs.append(PairRun(first, 1))


def _take_turns(first: Frame, second: Frame) -> bool:
    """Whether two pictures, one right after the other, last three and two fields."""
    gap = second.timestamp.pts - first.timestamp.pts - first.duration
    longer, shorter = (
        max(first.duration, second.duration),
        min(first.duration, second.duration),
    )
    near = abs(gap) * 10 <= shorter
    return near and _RATIO[0] <= Fraction(longer, shorter) <= _RATIO[1]
