"""Packets of one closed stretch of video in a file of their own, and back, nothing changed.

A container would round the times or ask for a clock of its own.  The file is a head, then packets,
then an end; whatever was cut off or altered is found by the end's count and checksum.

    head     b"VRSEGM2\\n"
    packet   b"P", or b"K" for a key frame; pts from the packet before's, dts from pts, duration and
             size; data
    end      b"E", <Q packets> <I crc32 of all before it>    (little endian)

The four numbers are of variable length, seven bits a byte with the lowest first and the sign in the
lowest bit, as in Protocol Buffers' `sint64`: most packets need eight bytes for all of them, less
than a container's.
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

_HEAD = b"VRSEGM2\n"
_END = struct.Struct("<cQI")
_MARKS = {b"P": False, b"K": True}
"""Marks of packets: whether it is a key frame."""

_MOST_DIGITS = 10
"""Of a number of 64 bits."""

_MOST_BYTES = 2**30
"""Of one packet: a float picture of 8K uncompressed."""


class PacketWriter:
    """Writes one file.  `end` makes it whole; without it, it is worth nothing."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self.packets = 0
        self.bytes = 0
        self._crc = 0
        self._pts = 0
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
        mark = b"K" if packet.is_keyframe else b"P"
        numbers = (pts - self._pts, dts - pts, packet.duration or 0, packet.size)
        self._put(mark + b"".join(map(_packed, numbers)))
        self._pts = pts
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
    crc, count, pts = zlib.crc32(head), 0, 0
    while (mark := file.read(1)) in _MARKS:
        digits = [_digits(file) for _ in range(4)]
        if not all(digits):
            raise damaged
        step, lead, duration, size = map(_unpacked, digits)
        data = file.read(size) if 0 <= size <= _MOST_BYTES else b""
        if len(data) != size:
            raise damaged
        crc = zlib.crc32(data, zlib.crc32(mark + b"".join(digits), crc))
        count, pts = count + 1, pts + step
        packet: Packet[Any] = Packet(data)
        try:
            packet.pts, packet.dts, packet.duration = pts, pts + lead, duration
        except OverflowError:
            raise damaged from None
        packet.time_base = time_base
        packet.is_keyframe = _MARKS[mark]
        yield packet
    end = mark + file.read(_END.size)
    if len(end) != _END.size or _END.unpack(end) != (b"E", count, crc):
        raise damaged


def _packed(number: int) -> bytes:
    value, digits = 2 * number if number >= 0 else -2 * number - 1, bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def _digits(file: BinaryIO) -> bytes:
    """The bytes of the next number; b"" where none ends."""
    digits = b""
    while len(digits) < _MOST_DIGITS and (digit := file.read(1)):
        digits += digit
        if digit[0] < 0x80:
            return digits
    return b""


def _unpacked(digits: bytes) -> int:
    value = sum((digit & 0x7F) << 7 * k for k, digit in enumerate(digits))
    return value >> 1 if value % 2 == 0 else -(value + 1) >> 1
