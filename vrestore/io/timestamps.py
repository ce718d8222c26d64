"""The one rule by which missing or impossible times become times that can be used.

Pictures arrive in display order with what the file says about each: a pts, a dts, a duration, any
of which may be absent.  What leaves has an integer pts, strictly increasing, and a positive
duration:

1. A pts that is later than the one before it is right and stays as it is.
2. A pts that is not later (a duplicate, a small step back) becomes the one before it plus one tick:
   the smallest change that keeps the order.  The following pictures keep their own times as soon as
   these are later again.
3. A step back by more than `JUMP_SECONDS` is a clock that was reset (joined transport streams): the
   picture is placed where the one before it ends, and that shift stays with all that follow.
4. A missing pts comes from the dts, moved by the distance that pts and dts had when both were last
   known, if that is later than the picture before it; else the picture starts where the one before
   it ends.  Ends are summed as exact fractions and rounded once, so a stream without any time at
   all gets the times of its rate and does not drift.  The first picture of a stream without times
   is at its dts, or at 0.
5. A missing duration is the distance to the next picture; the last picture's is that of the one
   before it, or one period of the rate.

Forward jumps stay: variable frame rates and pauses are not errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

__all__ = ["JUMP_SECONDS", "SourceTime", "TimeRepair", "Timed", "parse_seconds", "rounded"]

JUMP_SECONDS = 10

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTime:
    """What a source says about the time of one picture, in ticks of its stream."""

    pts: int | None
    dts: int | None = None
    duration: int | None = None
    """None or not positive: unknown."""


@dataclass(frozen=True, slots=True)
class Timed(Generic[T]):
    """A picture with a usable time."""

    item: T
    pts: int
    duration: int
    repaired: bool
    """Whether `pts` is not what the source said."""


class TimeRepair(Generic[T]):
    """Applies the rule above to pictures in display order; an op with `push` and `flush`.

    Holds one picture back while its duration is unknown, none otherwise.
    """

    latency = 1

    def __init__(self, time_base: Fraction, rate: Fraction | None = None) -> None:
        """`rate` is the source's claim in pictures per second; used where nothing else is known."""
        if time_base <= 0 or (rate is not None and rate <= 0):
            raise ValueError(f"time_base and rate must be positive, got {time_base} and {rate}")
        self._period = None if rate is None else 1 / (rate * time_base)
        self._jump = JUMP_SECONDS / time_base
        self._shift = 0
        self._dts_distance = 0
        self._last: int | None = None
        self._end = Fraction(0)
        """Where the picture placed last ends, before rounding to a tick."""
        self._last_step: Fraction | None = None
        self._held: Timed[T] | None = None

    def push(self, item: T, time: SourceTime) -> Iterator[Timed[T]]:
        """Take the next picture; give those whose time is settled."""
        pts, repaired = self._place(time)
        if self._held is not None:
            yield self._finish_held(pts - self._held.pts)
        known = time.duration if time.duration is not None and time.duration > 0 else None
        self._note(pts, time, known, repaired)
        timed = Timed(item, pts, known or 0, repaired)
        if known is None:
            self._held = timed
        else:
            yield timed

    def flush(self) -> Iterator[Timed[T]]:
        """Give the picture that was held back, if any."""
        if self._held is not None:
            yield self._finish_held(max(1, rounded(self._last_step or self._period or Fraction(1))))

    def _finish_held(self, duration: int) -> Timed[T]:
        held, self._held = self._held, None
        assert held is not None
        return Timed(held.item, held.pts, duration, held.repaired)

    def _place(self, time: SourceTime) -> tuple[int, bool]:
        if time.pts is None:
            if time.dts is not None:
                guess = time.dts + self._dts_distance
                if self._last is None or guess > self._last:
                    return guess, True
            return self._next_free(), True
        pts = time.pts + self._shift
        if self._last is None or pts > self._last:
            return pts, self._shift != 0
        if pts < self._last - self._jump:
            resumed = self._next_free()
            self._shift += resumed - pts
            return resumed, True
        return self._last + 1, True

    def _next_free(self) -> int:
        end = rounded(self._end)
        return end if self._last is None else max(end, self._last + 1)

    def _note(self, pts: int, time: SourceTime, known: int | None, repaired: bool) -> None:
        """Remember what the next picture without a time will need."""
        if self._last is not None and pts > self._last:
            self._last_step = Fraction(pts - self._last)
        if known is not None:
            self._last_step = Fraction(known)
        step = Fraction(known) if known else self._period or self._last_step or Fraction(1)
        # A picture that was itself placed by the running end keeps the end's fraction of a tick.
        start = self._end if repaired and rounded(self._end) == pts else Fraction(pts)
        self._end = start + step
        self._last = pts
        if time.pts is not None and time.dts is not None:
            self._dts_distance = pts - time.dts


def rounded(value: Fraction) -> int:
    """The nearest integer, halves away from zero, as FFmpeg rounds times."""
    magnitude = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return magnitude if value >= 0 else -magnitude


def parse_seconds(text: str) -> Fraction:
    """Exact seconds of "12.5", "1:02.5" or "1:00:02.5".

    Raises ValueError for anything else.  No sign: times count from the first picture.
    """
    parts = text.split(":")
    if not 1 <= len(parts) <= 3:
        raise ValueError(f"time must be seconds or [HH:]MM:SS[.fraction], got {text!r}")
    seconds = Fraction(0)
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        digits = part.replace(".", "", 1) if last else part
        if not (digits.isascii() and digits.isdigit()):
            raise ValueError(f"time must be seconds or [HH:]MM:SS[.fraction], got {text!r}")
        if position and Fraction(part) >= 60:
            raise ValueError(f"minutes and seconds must be below 60, got {text!r}")
        seconds = seconds * 60 + Fraction(part)
    return seconds
