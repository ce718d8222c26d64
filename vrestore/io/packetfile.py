"""Packets of one closed stretch of video in a file of their own, and back, nothing changed.

A container would round the times or ask for a clock of its own.  The file is a head, then packets,
then an end; whatever was cut off or altered is found by the end's count and checksum.

    head     b"VRSEGM1\\n"
    packet   b"P", <q pts> <q dts> <q duration> <I flags> <I size>, data    (little endian)
    end      b"E", <Q packets> <I crc32 of all before it>
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from av.packet import Packet

from vrestore.errors import OutputError

__all__ = ["PacketWriter", "read_packets"]

_HEAD = b"VRSEGM1\n"
_PACKET = struct.Struct("<cqqqII")
_END = struct.Struct("<cQI")
_KEY = 1
_MOST_BYTES = 2**30
"""Of one packet: a float picture of 8K uncompressed."""


class PacketWriter:
    """Writes one file.  `end` makes it whole; without it, it is worth nothing."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self.packets = 0
        self.bytes = 0
        self._crc = 0
        self._file: BinaryIO = path.open("wb")
        self._put(_HEAD)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, packet: Packet[Any]) -> None:
        """Raises OSError where the disk refuses."""
        pts = packet.pts or 0
        dts = pts if packet.dts is None else packet.dts
        flags = _KEY * packet.is_keyframe
        self._put(_PACKET.pack(b"P", pts, dts, packet.duration or 0, flags, packet.size))
        if packet.size:
            self._put(memoryview(packet))
        self.packets += 1

    def end(self) -> None:
        """Writes count and checksum; nothing comes after it.  Raises OSError."""
        self._file.write(_END.pack(b"E", self.packets, self._crc))
        self.bytes += _END.size
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _put(self, data: bytes | memoryview) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._file.write(data)
        self.bytes += len(data)


def read_packets(path: Path, time_base: Fraction) -> Iterator[Packet[Any]]:
    """The packets of a file, on a clock of `time_base`.

    Raises OutputError where the file is not there, is damaged or is not whole: the damage may be
    found after its last packet only.
    """
    try:
        with path.open("rb") as file:
            yield from _packets(file, path, time_base)
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror}") from error


def _packets(file: BinaryIO, path: Path, time_base: Fraction) -> Iterator[Packet[Any]]:
    damaged = OutputError(f"{path} is damaged; delete it and run the same command again")
    if (head := file.read(len(_HEAD))) != _HEAD:
        raise damaged
    crc, count = zlib.crc32(head), 0
    while (mark := file.read(1)) == b"P":
        rest = file.read(_PACKET.size - 1)
        if len(rest) != _PACKET.size - 1:
            raise damaged
        _, pts, dts, duration, flags, size = _PACKET.unpack(mark + rest)
        data = file.read(size) if size <= _MOST_BYTES else b""
        if len(data) != size:
            raise damaged
        crc = zlib.crc32(data, zlib.crc32(mark + rest, crc))
        count += 1
        packet: Packet[Any] = Packet(data)
        packet.pts, packet.dts, packet.duration = pts, dts, duration
        packet.time_base = time_base
        packet.is_keyframe = bool(flags & _KEY)
        yield packet
    end = mark + file.read(_END.size)
    if len(end) != _END.size or _END.unpack(end) != (b"E", count, crc):
        raise damaged
