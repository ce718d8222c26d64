"""The part of a source that is kept, and what that does to times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.packet import Packet

from vrestore.media import Chapter

__all__ = ["Span", "Trim", "nearest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The part of the source that is kept: half-open [start, stop), seconds on its own clock.

    The first kept picture becomes time zero; other streams keep their distance to it.
    """

    start: Fraction | None = None
    stop: Fraction | None = None

    stop_with_picture: bool = False
    """Other streams end where the last kept picture ends."""


class Trim:
    """Moves everything so that the first kept picture is at zero; drops what lies outside.

    Until `begin` is called nothing is known of the origin.
    """

    def __init__(self, span: Span) -> None:
        self._span = span
        self._origin = Fraction(0)
        self._picture_end: Fraction | None = None
        self.begun = False

    @property
    def origin(self) -> Fraction:
        """Seconds on the source's clock that become zero."""
        return self._origin

    def begin(self, origin: Fraction) -> None:
        """The time of the first kept picture."""
        self._origin, self.begun = origin, True

    def picture(self, packet: Packet[Any]) -> None:
        """Notes a video packet, still on the source's clock."""
        if packet.pts is not None:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base
            self._picture_end = max(self._picture_end or end, end)

    def keeps(self, packet: Packet[Any]) -> bool:
        """Whether a packet lies in the kept part; a subtitle shown across its start is cut."""
        if packet.pts is None:
            return False
        base = packet.time_base
        start = packet.pts * base
        limits = (self._span.stop, self._picture_end if self._span.stop_with_picture else None)
        if any(limit is not None and start >= limit for limit in limits):
            return False
        if start >= self._origin:
            return True
        if packet.stream.type != "subtitle" or not packet.duration:
            return False
        first = math.ceil(self._origin / base)
        remaining = packet.pts + packet.duration - first
        if remaining <= 0:
            return False
        packet.pts = packet.dts = first
        packet.duration = remaining
        return True

    def shift(self, packet: Packet[Any], tick: Fraction) -> None:
        """Puts a packet on the output's clock: one rounding, from the exact time."""
        base = packet.time_base
        if packet.pts is not None:
            packet.pts = nearest((packet.pts * base - self._origin) / tick)
        if packet.dts is not None:
            packet.dts = nearest((packet.dts * base - self._origin) / tick)
        packet.duration = nearest((packet.duration or 0) * base / tick)
        packet.time_base = tick

    def chapter(self, chapter: Chapter) -> tuple[int, int] | None:
        """[start, end) of a chapter in its own units after the cut, None where it is outside."""
        base = chapter.time_base
        origin = round(self._origin / base)
        start, end = max(chapter.start, origin), chapter.end
        if self._span.stop is not None:
            end = min(end, round(self._span.stop / base))
        return (start - origin, end - origin) if end > start else None


def nearest(exact: Fraction) -> int:
    """The nearest integer, halves away from zero, as FFmpeg rounds times."""
    whole = (2 * abs(exact.numerator) + exact.denominator) // (2 * exact.denominator)
    return whole if exact >= 0 else -whole
