"""Which pictures a source announced but never showed.

Every packet given to a decoder announces a picture at its pts.  Most damage shows as a decode error
on some packet, but with frame threads the error belongs to another packet, and some decoders drop a
picture without any error.  What is certain is time: if a packet announced a picture between two
pictures that came, and the earlier one does not last until then, the picture is lost.  Packets that
rightly show nothing (second fields, hidden reference frames) fall inside a picture that came.

AVI stores the time of decoding only, and some MOV files store it where pts belongs.  A decoder that
reorders then gives pictures whose times go forth and back.  Their true times are the announced ones
in ascending order.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Announced", "Arrival"]

_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the coming of one picture tells."""

    pts: int
    """When it is shown."""

    lost: tuple[int, ...] = ()
    """Earlier announced times that no picture covers, in order."""

    late: bool = False
    """Its time was reported lost before; something else is shown there already."""


class Announced:
    """The times at which pictures were announced and have not come yet.  All times in ticks."""

    def __init__(self, *, reorders: bool, stored: bool = True) -> None:
        """`reorders`: the codec shows pictures in another order than it codes them.  `stored`: the
        container stores pts; without them announce dts, and losses are found by errors alone.
        """
        self._reorders = reorders
        self._stored = stored
        self._times: list[int] = []
        self._latest: int | None = None
        self._ascending = True
        self._failures = 0
        self._delay: int | None = None
        """Packets the decoder holds, once times are known to be in decoding order."""
        self._last: int | None = None
        self._distance = 0
        """Smallest distance of two pictures that came."""
        self._covered = 0
        """From this time on the last picture no longer covers an announced one."""
        self._spacing = 1
        self._reported: list[int] = []
        self.lost_before_first = 0
        """Pictures announced before the first one that came."""

    def announce(self, pts: int) -> None:
        """A packet of this time was given to the decoder."""
        if self._latest is not None and pts <= self._latest:
            self._ascending = False
        self._latest = pts
        insort(self._times, pts)

    def fail(self) -> None:
        """The decoder failed on a packet: a gap is a loss from now on, not another order."""
        self._failures += 1

    def came(self, pts: int, duration: int = 0) -> Arrival:
        """A picture came, in display order; `duration` is the usual one, 0 for unknown."""
        if self._in_decoding_order(pts):
            return self._in_turn(pts)
        if pts in self._reported:
            self._reported.remove(pts)
            return Arrival(pts, late=True)
        position = bisect_left(self._times, pts)
        earlier, self._times = self._times[:position], self._times[position:]
        while self._times and self._times[0] == pts:
            del self._times[0]
        if self._last is None:
            self.lost_before_first = len(set(earlier))
            lost: tuple[int, ...] = ()
        else:
            lost = tuple(time for time in self._uncovered(earlier) if time + self._spacing <= pts)
            if pts > self._last:
                distance = pts - self._last
                self._distance = min(self._distance or distance, distance)
        length = max(duration, self._distance)
        self._spacing = max(1, length // 2)
        # Beyond half a period, where the second field of a picture is announced.
        self._covered = pts + length * 3 // 4
        self._last = pts
        self._reported = [*self._reported, *lost][-_REMEMBERED:]
        return Arrival(pts, lost)

    def rest(self) -> tuple[int, ...]:
        """At the end of the stream: the times after the last picture that nothing covers."""
        remaining, self._times = self._times, []
        if self._last is None or self._delay is not None:
            return ()
        return tuple(self._uncovered(time for time in remaining if time > self._last))

    def _uncovered(self, times: Iterable[int]) -> list[int]:
        lost: list[int] = []
        free_from = self._covered
        for time in times:
            if time >= free_from:
                lost.append(time)
                free_from = time + self._spacing
        return lost

    def _in_decoding_order(self, pts: int) -> bool:
        if self._delay is None:
            contradicts = bool(self._times) and self._times[0] < pts
            settled = self._last is None or self._failures or not self._ascending
            if self._stored and (not (self._reorders and contradicts) or settled):
                return False
            self._delay = max(0, len(self._times) - 1)
        return True

    def _in_turn(self, pts: int) -> Arrival:
        """The first announced time, but not that of a packet which showed nothing."""
        assert self._delay is not None
        surplus = max(0, len(self._times) - 1 - self._delay)
        passed, self._times = self._times[:surplus], self._times[surplus:]
        lost = passed[: self._failures]
        self._failures -= len(lost)
        return Arrival(self._times.pop(0) if self._times else pts, tuple(lost))
