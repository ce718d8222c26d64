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

__all__ = ["Journal", "read_entries"]

_MOST_BYTES = 2**30
_LONGEST_LINE = 2**26


def read_entries(path: Path) -> tuple[list[dict[str, Any]], int]:
    """All whole entries, and the number of bytes that they take.  Raises OSError."""
    entries: list[dict[str, Any]] = []
    length = 0
    with path.open("rb") as file:
        while length < _MOST_BYTES and (line := file.readline(_LONGEST_LINE)):
            entry = _parsed(line)
            if entry is None:
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
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
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
