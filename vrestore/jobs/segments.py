"""Where a run is cut into segments: a function of the source's shots and times, and of the plan.

A segment begins where a shot begins or, in a shot longer than the limit, at a renewal point.  What
it holds depends on nothing but its own range of the source and the plan: every op starts afresh.
Where something may look across its borders it is fed some frames more on either side, the handles,
whose results are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from vrestore.ops.shotwise import Renewal

__all__ = ["Handles", "Segment", "cut_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handles:
    """Frames beyond a segment's borders that its ops are fed."""

    fields: tuple[int, int] = (0, 0)
    """Before and after any segment, for what puts fields together: it looks across cuts."""

    renewal: tuple[int, int] = (0, 0)
    """Before and after a border within a shot, for everything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One segment.  All ranges are half-open and count the source's frames (`Frame.index`)."""

    number: int
    """From 0."""

    start: int
    stop: int

    fed_from: int
    fed_to: int
    """What the restoration is fed."""

    read_from: int
    read_to: int
    """What is decoded, and fed to what makes pictures of fields."""

    read_pts: int
    """Time of frame `read_from` in ticks of the source."""

    renewal: bool
    """It begins within a shot."""

    next_from: int
    """What the next segment is fed begins here if it begins within a shot; else `stop`."""

    @property
    def frames(self) -> int:
        return self.stop - self.start

    @property
    def handed_over(self) -> Renewal | None:
        """Where the next segment takes over within a shot; None where a shot ends."""
        if self.next_from == self.stop:
            return None
        return Renewal(begins=self.next_from, at=self.stop)


def cut_up(
    times: Sequence[int],
    first: int,
    starts: Sequence[int],
    *,
    time_base: Fraction,
    seconds: Fraction,
    handles: Handles,
) -> tuple[Segment, ...]:
    """The segments of a source.

    `times` are the pts of all its frames, `first` is the number of the first of them and `starts`
    those of the frames that begin a shot, in order.  No segment lasts longer than `seconds`, but
    for a single frame that does; shots are put together as long as they do not.
    """
    stop = first + len(times)
    borders = list(_borders(times, first, starts, seconds / time_base))
    cuts = {first, stop, *starts}
    made: list[Segment] = []
    for number, (begin, end) in enumerate(pairwise([*borders, stop])):
        lead = 0 if begin in cuts else handles.renewal[0]
        trail = 0 if end in cuts else handles.renewal[1]
        # No further back than the segment before reaches: reading goes forward.
        earliest = made[-1].read_from if made else first
        fed_from, fed_to = max(earliest, begin - lead), min(stop, end + trail)
        read_from = max(earliest, fed_from - handles.fields[0])
        if lead:
            made[-1] = replace(made[-1], next_from=max(fed_from, made[-1].fed_from))
        made.append(
            Segment(
                number=number,
                start=begin,
                stop=end,
                fed_from=fed_from,
                fed_to=fed_to,
                read_from=read_from,
                read_to=min(stop, fed_to + handles.fields[1]),
                read_pts=times[read_from - first],
                renewal=begin not in cuts,
                next_from=end,
            )
        )
    return tuple(made)


def _borders(
    times: Sequence[int], first: int, starts: Sequence[int], limit: Fraction
) -> Iterator[int]:
    """The first frame of each segment."""
    if not times:
        return
    stop = first + len(times)
    shots = [first, *(start for start in starts if first < start < stop), stop]
    begun = first
    yield first
    for shot, following in pairwise(shots):
        end = _end(times, following - first)
        if begun != shot and end - times[begun - first] > limit:
            begun = shot
            yield shot
        length = end - times[begun - first]
        if length > limit:
            # Only a shot that begins its segment can be too long for it.
            yield from _renewals(times, first, range(shot, following), limit)
            begun = shot


def _renewals(times: Sequence[int], first: int, shot: range, limit: Fraction) -> Iterator[int]:
    """Frames that divide a long shot into parts of about the same duration."""
    begin, end = times[shot.start - first], _end(times, shot.stop - first)
    parts = -((begin - end) // limit)
    part = 1
    for frame in shot[1:]:
        if (times[frame - first] - begin) * parts >= part * (end - begin):
            yield frame
            while (times[frame - first] - begin) * parts >= part * (end - begin):
                part += 1


def _end(times: Sequence[int], position: int) -> int:
    """When the frame before `position` ends, as far as times tell."""
    if position < len(times):
        return times[position]
    return 2 * times[-1] - times[-2] if len(times) > 1 else times[-1]
