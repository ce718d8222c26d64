"""EBML elements (RFC 8794): enough to write a Matroska header and to patch one in place."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vrestore.errors import OutputError

__all__ = ["Element", "element", "real", "uint", "write_display_aspect"]


def element(identifier: int, payload: bytes) -> bytes:
    """One element; its size is always written in 8 bytes."""
    name = identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")
    return name + (len(payload) | 1 << 56).to_bytes(8, "big") + payload


def uint(identifier: int, value: int) -> bytes:
    return element(identifier, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def real(identifier: int, value: Fraction) -> bytes:
    return element(identifier, struct.pack(">d", float(value)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """Where an element lies in a buffer: [start, body) is its head, [body, end) its payload."""

    identifier: int
    start: int
    body: int
    end: int


_SEGMENT, _TRACKS, _CLUSTER = 0x18538067, 0x1654AE6B, 0x1F43B675
_TRACK, _VIDEO, _PROJECTION = 0xAE, 0xE0, 0x7670
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
_VOID, _CRC32 = 0xEC, 0xBF
_ASPECT_RATIO = 3
_HEADER_BYTES = 2**20


def _elements(data: bytes | bytearray, start: int, end: int) -> Iterator[Element]:
    """The elements of data[start:end]; an unknown size reaches to the end.

    Ends where what follows is no whole head of an element.
    """
    while start < end:
        length = _width(data, start, end, 4)
        at = start + length
        width = _width(data, at, end, 8)
        body = at + width
        if not length or not width or body > end:
            return
        identifier = int.from_bytes(data[start:at], "big")
        size = int.from_bytes(data[at:body], "big") & ((1 << 7 * width) - 1)
        unknown = size == (1 << 7 * width) - 1
        stop = end if unknown else min(body + size, end)
        yield Element(identifier=identifier, start=start, body=body, end=stop)
        start = stop


def _width(data: bytes | bytearray, at: int, end: int, most: int) -> int:
    """Bytes of the number of variable width that begins at `at`; 0 where none does."""
    if at >= end:
        return 0
    width = 9 - data[at].bit_length()
    return width if width <= most else 0


def _children(data: bytes | bytearray, parent: Element, identifier: int) -> list[Element]:
    found = _elements(data, parent.body, parent.end)
    return [child for child in found if child.identifier == identifier]


def write_display_aspect(path: Path, width: int, height: int, sar: Fraction) -> None:
    """Gives the first video track of a Matroska file its aspect ratio, in place.

    The muxer can be told an aspect ratio only through a field that PyAV does not set.  Its place is
    kept by a Projection element (`set_display_rotation` before the header), which is overwritten.
    Raises OutputError where there is none.
    """
    with path.open("r+b") as file:
        data = bytearray(file.read(_HEADER_BYTES))
        tracks = _tracks(data)
        video = next(
            (
                video
                for track in _children(data, tracks, _TRACK)
                for video in _children(data, track, _VIDEO)
                if _children(data, video, _PROJECTION)
            ),
            None,
        )
        if video is None:
            raise OutputError(f"{path} has no place for its aspect ratio")
        place = _children(data, video, _PROJECTION)[0]
        data[place.start : place.end] = _display_size(sar * width / height, place)
        for unit in _children(data, video, _DISPLAY_UNIT):
            if unit.end > unit.body:
                data[unit.end - 1] = _ASPECT_RATIO
        for checksum in _children(data, tracks, _CRC32):
            if checksum.end - checksum.body != 4:
                raise OutputError(f"{path} has a checksum that is none")
            covered = bytes(data[checksum.end : tracks.end])
            data[checksum.body : checksum.end] = zlib.crc32(covered).to_bytes(4, "little")
        file.seek(0)
        file.write(data)


def _display_size(aspect: Fraction, place: Element) -> bytes:
    """DisplayWidth and DisplayHeight, filled up to the length of the element they replace."""
    if max(aspect.numerator, aspect.denominator) >= 2**32:
        aspect = aspect.limit_denominator(2**16)
    length = 2 if max(aspect.numerator, aspect.denominator) < 2**16 else 4
    size = b"".join(
        identifier.to_bytes(2, "big") + bytes([0x80 | length]) + value.to_bytes(length, "big")
        for identifier, value in (
            (_DISPLAY_WIDTH, aspect.numerator),
            (_DISPLAY_HEIGHT, aspect.denominator),
        )
    )
    room = place.end - place.start - len(size)
    if room < 0 or room == 1 or room > 2 + 126:
        raise OutputError("the Matroska header has no place for an aspect ratio")
    return size + (bytes([_VOID, 0x80 | (room - 2)]) + bytes(room - 2) if room else b"")


def _tracks(data: bytes | bytearray) -> Element:
    for top in _elements(data, 0, len(data)):
        if top.identifier == _SEGMENT:
            for child in _elements(data, top.body, len(data)):
                if child.identifier == _TRACKS:
                    return child
                if child.identifier == _CLUSTER:
                    break
    raise OutputError("the Matroska header has no tracks")
