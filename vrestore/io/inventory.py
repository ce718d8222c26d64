"""Everything that a finished file holds, read once from its first to its last byte."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, cast

import av
import av.logging
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.stream import VideoStream

from vrestore.errors import InputError
from vrestore.io.copies import open_again
from vrestore.io.source import is_cover

__all__ = ["Inventory", "Packets", "Pictures", "attachments_of", "decoded_digest", "take_inventory"]

_MISSING = -(2**63)
"""Stands for a time that is not there."""

_ERRORS_KEPT = 8


@dataclass(slots=True)
class Packets:
    """The packets of one stream in the file's order; times in ticks of `time_base`."""

    time_base: Fraction
    pts: array[int] = field(default_factory=lambda: array("q"))
    dts: array[int] = field(default_factory=lambda: array("q"))
    durations: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    """In bytes."""

    digests: array[int] = field(default_factory=lambda: array("Q"))
    """BLAKE2b, 8 bytes, of each packet's contents."""

    end: Fraction = Fraction(0)
    """When the last packet's time is over, in seconds."""

    damaged: int = 0
    """Packets that the demuxer marked as damaged: cut off, or with a wrong checksum."""

    framed: bool = False
    """Whether its packets may begin with an ADTS header, which is left out of the digests:
    transport streams have it, other containers say the same in their own header."""

    _whole: Any = field(default_factory=hashlib.blake2b, repr=False)

    def add(self, packet: Packet[Any]) -> None:
        """Books one packet."""
        contents = bytes(packet)
        if self.framed:
            contents = _without_adts(contents)
        digest = hashlib.blake2b(contents, digest_size=8).digest()
        self.pts.append(_MISSING if packet.pts is None else packet.pts)
        self.dts.append(_MISSING if packet.dts is None else packet.dts)
        self.durations.append(packet.duration or 0)
        self.sizes.append(packet.size)
        self.digests.append(int.from_bytes(digest, "little"))
        self._whole.update(contents)
        self.damaged += packet.is_corrupt
        start = packet.pts if packet.pts is not None else packet.dts
        if start is not None:
            self.end = max(self.end, (start + (packet.duration or 0)) * self.time_base)

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def contents(self) -> str:
        """Digest of all bytes, however they are divided into packets."""
        return str(self._whole.hexdigest())

    @property
    def untimed(self) -> int:
        """Packets without a presentation time."""
        return self.pts.count(_MISSING)

    def seconds(self, position: int) -> Fraction | None:
        """Presentation time of the packet at `position`, else its decoding time."""
        ticks = self.pts[position]
        ticks = self.dts[position] if ticks == _MISSING else ticks
        return None if ticks == _MISSING else ticks * self.time_base


Tags = tuple[int, int, int, int]
"""Matrix, primaries, transfer and range, as FFmpeg numbers them."""


@dataclass(slots=True)
class Pictures:
    """What decoding one video stream gave."""

    count: int = 0
    size: tuple[int, int] = (0, 0)
    """Of the first picture."""

    pixel_format: str = ""
    tags: Tags = (2, 2, 2, 0)
    """Of the first picture."""

    other: list[str] = field(default_factory=list)
    """Pictures that differ from the first in size, format or tags: one sentence each, the first
    few."""

    errors: list[str] = field(default_factory=list)
    """What could not be decoded: one sentence each, the first few."""

    failures: int = 0
    """All that could not be decoded."""

    def add(self, picture: av.VideoFrame) -> None:
        """Books one picture."""
        tags: Tags = (
            int(picture.colorspace),
            int(picture.color_primaries),
            int(picture.color_trc),
            int(picture.color_range),
        )
        shape = ((picture.width, picture.height), picture.format.name)
        if not self.count:
            (self.size, self.pixel_format), self.tags = shape, tags
        elif shape != (self.size, self.pixel_format) and len(self.other) < _ERRORS_KEPT:
            size = f"{picture.width}x{picture.height} {picture.format.name}"
            self.other.append(f"picture {self.count} is {size}")
        elif tags != self.tags and len(self.other) < _ERRORS_KEPT:
            self.other.append(f"picture {self.count} has other colour tags")
        if picture.is_corrupt:
            self.fail(f"picture {self.count} is damaged")
        self.count += 1

    def fail(self, sentence: str) -> None:
        """Books something that could not be decoded."""
        self.failures += 1
        if len(self.errors) < _ERRORS_KEPT:
            self.errors.append(sentence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """One file."""

    packets: dict[int, Packets]
    """By stream index; attachments have none."""

    pictures: Pictures | None
    """Of the stream that was decoded."""

    broken_off: str | None
    """Why reading ended before the end of the file, in FFmpeg's words."""

    claimed: dict[int, int]
    """Packets that the container's index promises, by stream index, where it promises any."""

    claimed_seconds: Fraction | None
    """The container's length as its header says."""

    @property
    def end(self) -> Fraction:
        """When the last packet of all streams is over, in seconds."""
        return max((each.end for each in self.packets.values()), default=Fraction(0))


def take_inventory(
    path: str,
    *,
    only: Collection[int] | None = None,
    decode: int | None = None,
    threads: int = 0,
) -> Inventory:
    """Reads all packets of a file, or of its streams `only`, and decodes the stream `decode`.

    Decoding is strict: what a player would conceal is an error here.  `threads` is the decoder's
    thread count, 0 for as many as there are processors.  Raises InputError where the file cannot be
    opened; damage further on is booked.
    """
    with open_again(path) as container:
        wanted = [s for s in container.streams if only is None or s.index in only]
        for stream in container.streams:
            if stream not in wanted:
                stream.discard = Discard.all
        packets = {
            stream.index: Packets(
                stream.time_base or Fraction(1, 90000), framed=stream.name in ("aac", "aac_fixed")
            )
            for stream in wanted
            if stream.type != "attachment"
        }
        video = None if decode is None else cast(VideoStream, container.streams[decode])
        pictures = None if video is None else Pictures()
        if video is not None:
            context = video.codec_context
            context.thread_count = threads
            # Frame threads report at any time, also while somebody waits for them to end.
            context.thread_type = "SLICE"
            context.options = {"err_detect": "crccheck+bitstream+buffer+explode"}
        broken_off: str | None = None
        demuxed = _demuxed(container, wanted)
        with _complaints() as complaints:
            while True:
                try:
                    packet = next(demuxed, None)
                except av.FFmpegError as error:
                    broken_off = error.strerror or str(error)
                    break
                broken_off = broken_off or next(iter(complaints()), None)
                if packet is None:
                    break
                if packet.size and packet.stream_index in packets:
                    packets[packet.stream_index].add(packet)
                if video is not None and pictures is not None and packet.stream_index == decode:
                    _decode(video, packet, pictures)
                    _note(complaints(), packet, pictures)
            if video is not None and pictures is not None:
                _decode(video, None, pictures)
                _note(complaints(), None, pictures)
        return Inventory(
            packets=packets,
            pictures=pictures,
            broken_off=broken_off,
            claimed={
                stream.index: stream.frames
                for stream in wanted
                if stream.frames and not (isinstance(stream, VideoStream) and is_cover(stream))
            },
            claimed_seconds=(
                None if container.duration is None else Fraction(container.duration, av.time_base)
            ),
        )


def _demuxed(container: InputContainer, streams: list[Any]) -> Iterator[Packet[Any]]:
    """The packets, without PyAV's closing marks."""
    media = [stream for stream in streams if stream.type != "attachment"]
    if not media:
        return
    packets = container.demux(media)
    while True:
        try:
            packet = next(packets, None)
        except IndexError:
            return  # PyAV's closing loop stumbles over streams that appeared while reading.
        if packet is None:
            return
        if packet.size or packet.pts is not None:
            yield packet


@contextmanager
def _complaints() -> Iterator[Callable[[], list[str]]]:
    """A function that gives what FFmpeg has reported as errors since it was last called.

    Some decoders (FFV1) conceal damage that their checksums found and tell it nowhere else.
    """
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=False) as logged:

            def taken() -> list[str]:
                said = [text.strip() for _, _, text in logged if text.strip()]
                logged.clear()
                return said

            yield taken
    finally:
        av.logging.set_level(level)


def _note(said: Sequence[str], packet: Packet[Any] | None, pictures: Pictures) -> None:
    for words in said[:1]:
        pictures.fail(f"a packet {_when(packet)} does not decode well ({words})")


def _when(packet: Packet[Any] | None) -> str:
    if packet is None or packet.pts is None:
        return "at the end"
    return f"at {float(packet.pts * packet.time_base):.3f} s"


def _decode(stream: VideoStream, packet: Packet[Any] | None, pictures: Pictures) -> None:
    try:
        decoded = stream.codec_context.decode(packet)
    except av.FFmpegError as error:
        pictures.fail(f"a packet {_when(packet)} does not decode ({error.strerror})")
        return
    for picture in decoded:
        pictures.add(picture)


def _without_adts(packet: bytes) -> bytes:
    """An AAC packet without its ADTS header (ISO/IEC 13818-7), where it has one."""
    if len(packet) < 7 or packet[0] != 0xFF or packet[1] & 0xF6 != 0xF0:
        return packet
    length = (packet[3] & 3) << 11 | packet[4] << 3 | packet[5] >> 5
    return packet[7 if packet[1] & 1 else 9 :] if length == len(packet) else packet


def decoded_digest(path: str, index: int) -> str | None:
    """Digest of the samples of an audio or video stream; None where it does not decode to the end.

    Two streams with one digest are the same to ear and eye, however their packets are wrapped.
    """
    digest = hashlib.blake2b()
    with open_again(path) as container:
        try:
            for frame in container.decode(container.streams[index]):
                for plane in cast(Any, frame).planes:
                    digest.update(bytes(plane))
        except av.FFmpegError:
            return None
    return digest.hexdigest()


def attachments_of(path: str) -> dict[int, tuple[str, str, bytes]]:
    """(file name, MIME type, contents) of each attachment by stream index, and covers' pictures.

    Raises InputError.
    """
    found: dict[int, tuple[str, str, bytes]] = {}
    with open_again(path) as container:
        covers = []
        for stream in container.streams:
            tags = {key.lower(): value for key, value in stream.metadata.items()}
            named = tags.get("filename", ""), tags.get("mimetype", "")
            if stream.type == "attachment":
                found[stream.index] = (*named, bytes(cast(Any, stream).data or b""))
            elif isinstance(stream, VideoStream) and is_cover(stream):
                covers.append(stream)
                found[stream.index] = (*named, b"")
        try:
            for packet in container.demux(covers) if covers else ():
                name, kind, contents = found[packet.stream_index]
                if packet.size and not contents:
                    found[packet.stream_index] = (name, kind, bytes(packet))
                if all(contents for *_, contents in found.values()):
                    break
        except av.FFmpegError as error:
            raise InputError(f"{path} cannot be read further: {error.strerror}") from error
    return found
