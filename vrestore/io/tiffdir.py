"""Directories of TIFF and BigTIFF as bytes: what writers and EXIF blocks have in common.

TIFF 6.0 (Adobe 1992), section 2; BigTIFF as libtiff has it.  Little endian unless `order` is ">".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = [
    "EXIF_DIRECTORY",
    "GPS_DIRECTORY",
    "VALUE_BYTES",
    "Entry",
    "exif_directories",
    "head",
    "longs",
    "packed_directory",
    "shorts",
]

EXIF_DIRECTORY, GPS_DIRECTORY = 0x8769, 0x8825
_SHORT, _LONG, _LONG8 = 3, 4, 16
VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of one value of each type."""


class Entry(NamedTuple):
    """One tag."""

    tag: int
    kind: int
    """Number of the type."""

    number: int
    """Of values."""

    data: bytes
    """All values, in the file's byte order."""


def shorts(tag: int, *values: int, order: str = "<") -> Entry:
    return Entry(tag, _SHORT, len(values), struct.pack(f"{order}{len(values)}H", *values))


def longs(tag: int, values: Sequence[int], *, big: bool = False, order: str = "<") -> Entry:
    """32-bit numbers, 64-bit where `big`."""
    kind, code = (_LONG8, "Q") if big else (_LONG, "L")
    return Entry(tag, kind, len(values), struct.pack(f"{order}{len(values)}{code}", *values))


def head(first: int, *, big: bool, order: str = "<") -> bytes:
    """The file's head: its directory is at `first`."""
    mark = b"II" if order == "<" else b"MM"
    if big:
        return struct.pack(f"{order}2sHHHQ", mark, 43, 8, 0, first)
    return struct.pack(f"{order}2sHL", mark, 42, first)


def packed_directory(
    entries: Iterable[Entry], offset: int, *, big: bool, order: str = "<"
) -> bytes:
    """A directory that begins at `offset` of its file, with the values that it points to."""
    kept = sorted(entries)
    count, field, pointer = ("Q", "HHQ", "Q") if big else ("H", "HHL", "L")
    entry, inline = (20, 8) if big else (12, 4)
    listed = [struct.pack(order + count, len(kept))]
    place = offset + len(listed[0]) + entry * len(kept) + inline
    values: list[bytes] = []
    for tag, kind, number, data in kept:
        listed.append(struct.pack(order + field, tag, kind, number))
        if len(data) <= inline:
            listed.append(data.ljust(inline, b"\0"))
            continue
        listed.append(struct.pack(order + pointer, place))
        padded = data + b"\0" * (len(data) % 2)
        values.append(padded)
        place += len(padded)
    return b"".join((*listed, bytes(inline), *values))


def exif_directories(block: bytes) -> dict[int, list[Entry]]:
    """The directories of a little-endian EXIF block: 0 is the first, others by their tag.

    Entries that point outside the block are left out, as is everything where it is none.
    """
    tiff = block.removeprefix(b"Exif\0\0")
    if tiff[:4] != b"II*\0" or len(tiff) < 8:
        return {}
    (first,) = struct.unpack_from("<L", tiff, 4)
    found = {0: _entries(tiff, first)}
    for entry in found[0]:
        if entry.tag in (EXIF_DIRECTORY, GPS_DIRECTORY) and len(entry.data) == 4:
            found[entry.tag] = _entries(tiff, *struct.unpack("<L", entry.data))
    found[0] = [each for each in found[0] if each.tag not in (EXIF_DIRECTORY, GPS_DIRECTORY)]
    return found


def _entries(tiff: bytes, offset: int) -> list[Entry]:
    if offset + 2 > len(tiff):
        return []
    (count,) = struct.unpack_from("<H", tiff, offset)
    found = []
    for place in range(offset + 2, min(offset + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, number = struct.unpack_from("<HHL", tiff, place)
        size = VALUE_BYTES.get(kind, 0) * number
        start = place + 8 if size <= 4 else struct.unpack_from("<L", tiff, place + 8)[0]
        data = tiff[start : start + size]
        if size and len(data) == size:
            found.append(Entry(tag, kind, number, data))
    return found
