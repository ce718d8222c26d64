"""Lists of shots as text, and the op that marks frames by one.

One line for each shot, naming its first frame.  Written with four columns, so that the list can be
read by people and applied exactly:

    # frame  pts  time_base  seconds
    0  0  1/25  0.000000
    48  48  1/25  1.920000

A line may also hold a single value: a whole number is a source frame's number, anything with a
point or a colon is a time ("12.5", "1:02:03.04").  `#` starts a comment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from vrestore import limits
from vrestore.limits import exact
from vrestore.media import Frame, Timestamp

__all__ = ["Cut", "MarkCuts", "format_cuts", "parse_cuts"]

_SHOWN = 60
"""Signs of a wrong line that a message repeats."""

_TOLERANCE = Fraction(1, 1000)
"""How early a frame may be for a time given in seconds: times are written by people, rounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The first frame of a shot: known by timestamp, by time, by number, in this order of trust."""

    frame: int | None = None
    """`Frame.index`."""

    at: Timestamp | None = None
    """The frame's exact time."""

    seconds: Fraction | None = None
    """A time: the first frame at or after it, a millisecond early allowed."""

    def __post_init__(self) -> None:
        if self.frame is None and self.at is None and self.seconds is None:
            raise ValueError("a cut needs a frame number or a time")

    @classmethod
    def of(cls, frame: Frame) -> Cut:
        """The cut that starts at `frame`."""
        return cls(frame=frame.index, at=frame.timestamp)


def format_cuts(cuts: Iterable[Cut]) -> str:
    """A cut list as text.  ValueError for cuts that were not made by `Cut.of`."""
    lines = ["# frame  pts  time_base  seconds"]
    for cut in cuts:
        if cut.frame is None or cut.at is None:
            raise ValueError(f"only cuts of known frame and time can be written, got {cut}")
        lines.append(f"{cut.frame}  {cut.at.pts}  {cut.at.time_base}  {float(cut.at.seconds):.6f}")
    return "\n".join(lines) + "\n"


def parse_cuts(text: str) -> tuple[Cut, ...]:
    """The cuts of a list, in the order given.

    ValueError naming the line that cannot be read, or where there are more than `limits.CUTS`.
    """
    cuts: list[Cut] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(cuts) == limits.CUTS:
            raise ValueError(f"line {number}: a list has at most {limits.CUTS} cuts")
        try:
            cuts.append(_parse_line(words))
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError(
                f"line {number}: expected a frame number, a time, or the four columns "
                f"of an exported list, got {line.strip()[:_SHOWN]!r}"
            ) from error
    return tuple(cuts)


def _parse_line(words: list[str]) -> Cut:
    if len(words) == 1:
        word = words[0]
        return Cut(frame=_natural(word)) if word.isdecimal() else Cut(seconds=_seconds(word))
    frame, pts, time_base, _ = words
    return Cut(frame=_natural(frame), at=Timestamp(pts=_whole(pts), time_base=exact(time_base)))


def _whole(word: str) -> int:
    value = exact(word)
    if value.denominator != 1:
        raise ValueError(f"not a whole number: {word}")
    return int(value)


def _natural(word: str) -> int:
    value = _whole(word)
    if value < 0:
        raise ValueError(f"frame numbers start at 0, got {value}")
    return value


def _seconds(word: str) -> Fraction:
    """Seconds of [[HH:]MM:]SS[.frac]."""
    if ("." not in word and ":" not in word) or word.count(":") > 2:
        raise ValueError(f"not a time: {word}")
    seconds = Fraction(0)
    for part in word.split(":"):
        seconds = seconds * 60 + exact(part)
    return seconds


class MarkCuts:
    """Op: marks the frames of a list as shot starts, and no others but the first."""

    latency = 0

    def __init__(self, cuts: Iterable[Cut]) -> None:
        listed = tuple(cuts)
        self._instants = {cut.at.seconds for cut in listed if cut.at is not None}
        self._numbers = {cut.frame for cut in listed if cut.at is None and cut.seconds is None}
        self._times = sorted(
            cut.seconds - _TOLERANCE for cut in listed if cut.at is None and cut.seconds is not None
        )
        self._next_time = 0
        self._first = True

    def push(self, frame: Frame) -> Iterable[Frame]:
        now = frame.timestamp.seconds
        reached = self._next_time
        while reached < len(self._times) and self._times[reached] <= now:
            reached += 1
        starts = (
            self._first
            or reached > self._next_time
            or now in self._instants
            or frame.index in self._numbers
        )
        self._next_time, self._first = reached, False
        yield frame if frame.shot_start == starts else replace(frame, shot_start=starts)

    def flush(self) -> Iterable[Frame]:
        return ()
