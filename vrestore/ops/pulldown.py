"""Soft telecine: film whose times, not whose fields, were pulled down to television's rate.

The pictures are whole and last three and two fields in turn, by flags of the stream that decoders
turn into times.  Two of them last five fields: shared evenly, that is the film's own rate, 24000
pictures in 1001 seconds where it was 30000/1001 with its repeats.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from vrestore.media import Frame, Timestamp

__all__ = ["EVEN_TICKS", "EvenPulldown"]

EVEN_TICKS = 2
"""Parts into which each tick of the source's clock is divided."""

_RATIO = Fraction(7, 5), Fraction(8, 5)
"""Around 3:2, the durations of the two pictures; clocks of milliseconds round them."""


class EvenPulldown:
    """Op[Frame, Frame]: pictures of three and two fields, in turn, are given two and a half each.

    Times and durations move to a clock EVEN_TICKS as fine; their sum stays, samples are untouched,
    frames out are frames in.  Pictures of other durations keep their times.
    """

    latency = 1

    def __init__(self) -> None:
        self.evened = 0
        """Pictures whose times were changed."""
        self._held: Frame | None = None

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
        if not _take_turns(held, frame):
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
        self.evened += 2

    def flush(self) -> Iterator[Frame]:
        if self._held is not None:
            yield self._held
        self._held = None


def _take_turns(first: Frame, second: Frame) -> bool:
    """Whether two pictures, one right after the other, last three and two fields."""
    gap = second.timestamp.pts - first.timestamp.pts - first.duration
    longer, shorter = (
        max(first.duration, second.duration),
        min(first.duration, second.duration),
    )
    near = abs(gap) * 10 <= shorter
    return near and _RATIO[0] <= Fraction(longer, shorter) <= _RATIO[1]
