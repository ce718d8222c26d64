"""Packets to pictures: decoding, with lost and damaged pictures made good."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.packet import Packet
from av.video.stream import VideoStream

from vrestore.errors import InputError
from vrestore.io.accounts import LATE, DecodeReport
from vrestore.io.damage import Announced
from vrestore.io.source import OpenSource, packets_of
from vrestore.io.timestamps import SourceTime

__all__ = ["Picture", "Pictures", "rate_of"]

_ERRORS_KEPT = 8
_WITHOUT_PTS = frozenset({"avi"})
"""Containers that store decoding times only; the pts that FFmpeg reports for them are guesses."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to show."""

    frame: av.VideoFrame
    origin: av.VideoFrame | None
    """Whose side data goes with it; None for an inserted picture."""

    time: SourceTime
    """As the file says, before any repair."""


class Pictures:
    """The pictures of one video stream in display order; iterate once.

    With `strict` the first damage is an InputError naming its time; otherwise the last good picture
    stands for a damaged or lost one.  `report` is written to.
    """

    def __init__(
        self,
        source: OpenSource,
        stream: VideoStream,
        report: DecodeReport,
        *,
        strict: bool,
        landed: int | None = None,
    ) -> None:
        """`landed` is the pts of the key picture that reading begins with after seeking; what is
        shown before it depends on what was not read, and is left out."""
        self._source = source
        self._stream = stream
        self._report = report
        self._strict = strict
        self._time_base = stream.time_base or Fraction(1, 90000)
        rate = rate_of(stream)
        self._period = None if rate is None else 1 / (rate * self._time_base)
        """Ticks of one picture, as the header claims."""
        self._pts_stored = source.format_name not in _WITHOUT_PTS
        self._announced = Announced(
            reorders=bool(stream.codec_context.has_b_frames), stored=self._pts_stored
        )
        self._landed = landed
        self._good: av.VideoFrame | None = None
        self._untimed_losses = 0
        self._encrypted = "enc_key_id" in stream.metadata

    def __iter__(self) -> Iterator[Picture]:
        for packet in self._packets():
            if packet is not None and self._leads(packet):
                continue
            for frame in self._decoded(packet):
                yield from self._arrived(frame)
        if self._source.cut_off is not None and self._report.truncated is None:
            self._damage(self._source.cut_off, None)
            self._report.truncated = self._source.cut_off
        for pts in self._announced.rest():
            yield from self._insert(pts)
        self._report.lost += self._announced.lost_before_first
        if self._report.decoded == 0:
            raise InputError(self._nothing_decoded())

    def _leads(self, packet: Packet[VideoStream]) -> bool:
        return self._landed is not None and packet.pts is not None and packet.pts < self._landed

    def _packets(self) -> Iterator[Packet[VideoStream] | None]:
        """The stream's packets, then None for the decoder to give what it holds."""
        packets = packets_of(self._source, self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.InvalidDataError as error:
                self._damage(f"reading stopped: {error.strerror}", None)
                self._report.truncated = error.strerror
                packet = None
            except av.error.MemoryError:
                raise
            except av.FFmpegError as error:
                raise InputError(
                    f"{self._source.label} cannot be read further: {error.strerror}"
                ) from error
            yield packet
            if packet is None:
                return

    def _decoded(self, packet: Packet[VideoStream] | None) -> list[av.VideoFrame]:
        announced: int | None = None
        if packet is not None:
            self._report.packets += 1
            self._report.discarded_packets += packet.is_discard
            if packet.has_sidedata("encryption_info"):
                self._encrypted = True
            announced = packet.pts if self._pts_stored else packet.dts
            if announced is not None and not packet.is_discard:
                self._announced.announce(announced)
            if packet.size == 0:
                # Decoders take an empty packet for the end; here it says "nothing new".
                return []
        try:
            return self._stream.codec_context.decode(packet)
        except av.error.MemoryError:
            # No damage of the source: another try may show the picture.
            raise
        except av.FFmpegError as error:
            pts = packet.pts if packet is not None else None
            self._report.corrupt_packets += packet is not None
            self._announced.fail()
            self._untimed_losses += packet is not None and announced is None
            self._damage(f"a packet cannot be decoded: {error.strerror}", pts)
            return []

    def _damage(self, what: str, pts: int | None) -> None:
        """Note an error, or end with it if the policy says so."""
        where = "" if pts is None else f" at {float(pts * self._time_base):.3f} s"
        if self._strict and not self._encrypted:
            raise InputError(f"{self._source.label} is damaged{where}: {what}")
        if len(self._report.errors) < _ERRORS_KEPT:
            self._report.errors.append(f"{what}{where}")

    def _arrived(self, frame: av.VideoFrame) -> Iterator[Picture]:
        self._report.decoded += 1
        pts, duration = frame.pts, self._duration_of(frame)
        if pts is not None:
            arrival = self._announced.came(pts, max(duration or 0, int(self._period or 0)))
            if arrival.late:
                self._report.dropped[LATE] += 1
                return
            for lost in arrival.lost:
                yield from self._insert(lost)
            pts = arrival.pts
        losses, self._untimed_losses = self._untimed_losses, 0
        for _ in range(losses):
            yield from self._insert(None)
        time = SourceTime(pts=pts, dts=frame.dts, duration=duration)
        if not frame.is_corrupt:
            self._good = frame
            yield Picture(frame, frame, time)
            return
        self._report.corrupt_pictures += 1
        self._damage("a picture is damaged", frame.pts)
        if self._good is None:
            # Nothing better has been seen yet.
            yield Picture(frame, frame, time)
        else:
            self._report.replaced += 1
            yield Picture(self._good, frame, time)

    def _duration_of(self, frame: av.VideoFrame) -> int | None:
        """In ticks; that of both fields where FFmpeg says that of one."""
        duration, period = frame.duration, self._period
        if frame.interlaced_frame and period is not None and abs(2 * duration - period) <= 1:
            return round(period)
        return duration or None

    def _insert(self, pts: int | None) -> Iterator[Picture]:
        """The last good picture in the place of a lost one."""
        self._damage("a picture is missing", pts)
        if self._good is None:
            self._report.lost += 1
            return
        self._report.inserted += 1
        yield Picture(self._good, None, SourceTime(pts=pts))

    def _nothing_decoded(self) -> str:
        label, report = self._source.label, self._report
        if self._encrypted:
            return f"{label} is encrypted; decrypt it first"
        if report.packets == 0:
            return f"{label} has a video stream without any picture"
        why = f" ({report.errors[0]})" if report.errors else ""
        return f"none of the {report.packets} packets of {label} could be decoded{why}"


def rate_of(stream: VideoStream) -> Fraction | None:
    """The rate that the header claims, if it is one that a film can have."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate is not None and Fraction(1, 1000) <= rate <= 1000:
            return rate
    return None
