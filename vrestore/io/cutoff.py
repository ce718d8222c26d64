"""Whether a file is as long as its container says it is.

FFmpeg ends at the end of a Matroska file that was cut off as at that of a whole one.  The
outermost elements of Matroska, MP4/QuickTime and AVI state their lengths, so the last one says what
is missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

__all__ = ["missing_bytes"]

_EBML = b"\x1a\x45\xdf\xa3"
_OF_MATROSKA = (_EBML, b"\x18\x53\x80\x67", b"\xec", b"\xbf")
"""Header, segment, void and checksum: what may be outermost."""

_ELEMENTS_AT_MOST = 100_000
"""A file of fragments may have many; one of nonsense shall not be walked for ever."""

_BOXES = frozenset({
    b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"ssix", b"emsg", b"prft",
    b"pdin", b"meta", b"uuid", b"free", b"skip", b"wide", b"pnot", b"udta",
})  # fmt: skip
"""The outermost of an ISO base media or QuickTime file."""


def missing_bytes(path: str | os.PathLike[str]) -> int:
    """Bytes by which a regular file is shorter than its container says; 0 where nothing is known.

    Raises OSError.
    """
    place = Path(path)
    if not place.is_file():
        return 0
    with place.open("rb") as file:
        length = _length_of(file.read(12))
        if length is None:
            return 0
        size = file.seek(0, os.SEEK_END)
        start = 0
        for _ in range(_ELEMENTS_AT_MOST):
            file.seek(start)
            head = file.read(16)
            if not head:
                return 0
            whole = length(head)
            if whole is None:
                return 0
            start += whole
            if start > size:
                return start - size
    return 0


def _length_of(head: bytes) -> Callable[[bytes], int | None] | None:
    """What reads the length of an outermost element of the kind of file that begins so."""
    if head[:4] == _EBML:
        return _ebml
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return _riff
    if head[4:8] in _BOXES:
        return _box
    return None


def _ebml(head: bytes) -> int | None:
    """RFC 8794: identifier and size of variable width, all ones where the size is unknown."""
    if not head.startswith(_OF_MATROSKA):
        return None
    identifier = 9 - head[0].bit_length()
    if identifier > 4 or len(head) <= identifier:
        return None
    width = 9 - head[identifier].bit_length()
    if width > 8 or len(head) < identifier + width:
        return None
    unknown = (1 << 7 * width) - 1
    size = int.from_bytes(head[identifier : identifier + width], "big") & unknown
    return None if size == unknown else identifier + width + size


def _box(head: bytes) -> int | None:
    """ISO/IEC 14496-12, 4.2; size 0 reaches to the end of the file."""
    if len(head) < 8 or head[4:8] not in _BOXES:
        return None
    size = int.from_bytes(head[:4], "big")
    if size == 1 and len(head) == 16:
        size = int.from_bytes(head[8:16], "big")
    return size if size >= 8 else None


def _riff(head: bytes) -> int | None:
    """Chunks of even length; recorders that were stopped leave 0, and some add what is no chunk."""
    if len(head) < 8 or head[:4] not in (b"RIFF", b"JUNK"):
        return None
    size = int.from_bytes(head[4:8], "little")
    return None if size in (0, 0xFFFFFFFF) else 8 + size + size % 2
