"""An append-only file of what is durable: one entry a line, each with its checksum.

A line that was torn by a crash ends what is read; the next entry is written in its place.  No entry
is ever changed.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vrestore import limits

__all__ = ["Journal", "read_entries"]


def read_entries(path: Path) -> tuple[list[dict[str, Any]], int]:
    """All whole entries, and the number of bytes that they take.

    Reading ends where an entry is torn or altered, and at the limits.  Raises OSError, also where
    the journal is a link: it could lead to a file of somebody else's.
    """
    entries: list[dict[str, Any]] = []
    length = 0
    with open(path, "rb", opener=_no_link) as file:
        while line := file.readline(limits.JOURNAL_LINE_BYTES):
            entry = _parsed(line)
            if entry is None or length + len(line) > limits.JOURNAL_BYTES:
                break
            entries.append(entry)
            length += len(line)
    return entries, length


def _parsed(line: bytes) -> dict[str, Any] | None:
    checksum, space, text = line.partition(b" ")
    if not space or not text.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


class Journal:
    """Appends entries; each is on the disk when `append` returns."""

    def __init__(self, path: Path, length: int = 0) -> None:
        """`length` is where the next entry goes: what `read_entries` told.  Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
        self._file = _no_link(os.fspath(path), flags)
        os.ftruncate(self._file, length)
        os.lseek(self._file, 0, os.SEEK_END)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Raises OSError where the disk refuses."""
        text = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        rest = memoryview(b"%08x " % zlib.crc32(text) + text)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        os.fsync(self._file)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
