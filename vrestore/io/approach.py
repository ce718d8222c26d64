"""Going straight to a late start, where the container says exactly where every picture is."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from fractions import Fraction

import av
from av.video.stream import VideoStream

from vrestore.io.source import open_source, packets_of

__all__ = ["Entry", "Landing", "find_landing"]

_INDEXED = frozenset({"mov", "matroska"})
"""Demuxers whose index and timestamps can be trusted; others are read from the beginning."""

_WORTHWHILE = Fraction(10)
"""Seconds of decoding below which nothing is gained."""

_MARGIN = Fraction(2)
"""Seconds decoded before the start, for what a decoder needs after a key picture that is none of
the strictest kind, and for pictures shown before the key picture they depend on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A picture of a source that was read to its end before, to begin with."""

    index: int
    """The number it had then."""

    pts: int
    """Its time then, in ticks of the stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """A key picture from which everything wanted can be decoded."""

    seek: int
    """What to ask the container for, in ticks of the stream."""

    pts: int
    """Of the key picture."""

    origin: Fraction
    """Time of the source's first picture in seconds, which starts are counted from."""


def find_landing(path: str, index: int, start: Fraction | Entry) -> Landing | None:
    """Where to read stream `index` of a file from, for pictures `start` seconds after its first,
    or for the picture of an entry.

    None where reading from the beginning is as good, or the only exact way.
    """
    if path == "-" or (not isinstance(start, Entry) and start < _WORTHWHILE + _MARGIN):
        return None
    with contextlib.suppress(av.FFmpegError):
        source = open_source(path)
        with contextlib.closing(source.container) as container:
            stream = container.streams[index]
            if source.format_name not in _INDEXED or not isinstance(stream, VideoStream):
                return None
            base = stream.time_base or Fraction(1, 90000)
            first = next(container.decode(stream), None)
            if first is None or first.pts is None:
                return None
            since = (start.pts - first.pts) * base if isinstance(start, Entry) else start
            if since < _WORTHWHILE + _MARGIN:
                return None
            seek = first.pts + int((since - _MARGIN) / base)
            container.seek(seek, stream=stream)
            packet = next(packets_of(source, stream), None)
            if packet is None or packet.pts is None or not packet.is_keyframe:
                return None
            if first.pts < packet.pts <= seek:
                return Landing(seek=seek, pts=packet.pts, origin=first.pts * base)
    return None
