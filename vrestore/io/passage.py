"""Packets of the streams that are taken along, in the order of their decoding times."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Generator, Iterator
from fractions import Fraction
from typing import Any

import av
from av.packet import Packet
from av.stream import Discard

from vrestore.errors import InputError
from vrestore.io.copies import open_again

__all__ = ["Passage"]

_LOOKAHEAD = Fraction(1)
"""Seconds by which containers interleave loosely; packets wait that long to be put in order."""

_SEEK_BACK = 30
"""Seconds before a cut where reading starts, so that a subtitle shown across it is found."""


class Passage:
    """Reads the source's packets by decoding time, no further than asked plus a second."""

    def __init__(self, path: str, indices: Collection[int]) -> None:
        self._container = open_again(path)
        self._indices = frozenset(indices)
        for stream in self._container.streams:
            if stream.index not in self._indices:
                stream.discard = Discard.all
        self.streams = {index: self._container.streams[index] for index in self._indices}
        self._packets = self._demux()
        self._waiting: list[tuple[Fraction, int, Packet[Any]]] = []
        self._last: dict[int, Fraction] = {}
        self._read = Fraction(0)
        self._count = 0
        self._ended = not self._indices

    def first(self) -> Packet[Any] | None:
        """The first packet in the file's own order, for streams that have only one."""
        return next((packet for packet in self._packets if packet.size), None)

    def start_at(self, seconds: Fraction) -> None:
        """Skips packets long before `seconds`; only before the first packet is read."""
        target = int((seconds - _SEEK_BACK) * 1_000_000)
        if target <= 0 or self._ended:
            return
        try:
            self._container.seek(target)
        except av.FFmpegError:
            return  # Not seekable: everything is read, and dropped by its time.

    def until(self, seconds: Fraction) -> Iterator[Packet[Any]]:
        """Packets whose decoding time is at most `seconds`, in order."""
        while not self._ended and self._read <= seconds + _LOOKAHEAD:
            self._take()
        while self._waiting and self._waiting[0][0] <= seconds:
            yield heapq.heappop(self._waiting)[2]

    def rest(self) -> Iterator[Packet[Any]]:
        """All packets that are left, in order."""
        while not self._ended or self._waiting:
            while not self._ended and (
                not self._waiting or self._read <= self._waiting[0][0] + _LOOKAHEAD
            ):
                self._take()
            if self._waiting:
                yield heapq.heappop(self._waiting)[2]

    def close(self) -> None:
        self._packets.close()
        self._container.close()

    def _demux(self) -> Generator[Packet[Any], None, None]:
        try:
            yield from self._container.demux(*self.streams.values())
        except IndexError:
            return  # PyAV's closing loop stumbles over streams that appeared while reading.
        except av.FFmpegError as error:
            raise InputError(
                f"{self._container.name}: other streams unreadable after packet {self._count}: "
                f"{error}"
            ) from error

    def _take(self) -> None:
        packet = next(self._packets, None)
        if packet is None:
            self._ended = True
            return
        if not packet.size and packet.dts is None and packet.pts is None:
            return  # The mark that PyAV puts at the end of each stream.
        index = packet.stream_index
        ticks = packet.dts if packet.dts is not None else packet.pts
        if ticks is None:
            at = self._last.get(index, self._read)
        else:
            at = ticks * packet.time_base
        self._last[index] = at
        self._read = max(self._read, at)
        self._count += 1
        heapq.heappush(self._waiting, (at, self._count, packet))
