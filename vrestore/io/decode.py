"""Decoding: a source as an iterable of frames, every one accounted for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType
from typing import BinaryIO, Self

import av
from av.packet import Packet
from av.video.stream import VideoStream

from vrestore.errors import InputError
from vrestore.io import tags
from vrestore.io.damage import Announced
from vrestore.io.formats import (
    has_transparency,
    native_planar,
    planes_of,
    sample_format,
    to_native,
)
from vrestore.io.source import OpenSource, Readable, open_source, video_streams
from vrestore.io.timestamps import SourceTime, Timed, TimeRepair, parse_seconds
from vrestore.media import Coding, ColorSpec, FieldOrder, Frame, SampleFormat, Timestamp

__all__ = ["DecodeConfig", "DecodeReport", "Decoder", "Layout", "rate_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeConfig:
    """The `[input]` section of a preset."""

    on_error: str = "repeat"
    """What stands for a damaged picture: "repeat" the last good one, or "fail"."""

    video: int | None = None
    """Which video stream, counted from 0 without covers; None for the first with pictures."""

    fps: str | None = None
    """Pictures per second of an image sequence, such as "24" or "24000/1001"."""

    start_number: int | None = None
    """Number of the first picture of an image sequence; None for the lowest there is."""

    start: str | None = None
    """First time to show, seconds or [HH:]MM:SS[.fraction] after the first picture."""

    stop: str | None = None
    """First time no longer to show, like `start`."""

    frames: str | None = None
    """Pictures to show, "A:B" half-open, numbered from 0; either may be left out."""

    def __post_init__(self) -> None:
        if self.on_error not in ("repeat", "fail"):
            raise ValueError(f'on_error must be "repeat" or "fail", got {self.on_error!r}')
        if self.video is not None and self.video < 0:
            raise ValueError(f"video must not be negative, got {self.video}")
        if self.start_number is not None and self.start_number < 0:
            raise ValueError(f"start_number must not be negative, got {self.start_number}")
        _ = self.rate, self.numbers
        first, end = self.times
        if end is not None and end <= first:
            raise ValueError(f"stop must be later than start, got {self.start} and {self.stop}")

    @property
    def rate(self) -> Fraction | None:
        """`fps` as a number."""
        if self.fps is None:
            return None
        try:
            rate = Fraction(self.fps)
        except (ValueError, ZeroDivisionError):
            rate = Fraction(0)
        if rate <= 0:
            raise ValueError(f'fps must be a number such as "24000/1001", got {self.fps!r}')
        return rate

    @property
    def times(self) -> tuple[Fraction, Fraction | None]:
        """Seconds after the first picture to show, half-open."""
        first = Fraction(0) if self.start is None else parse_seconds(self.start)
        return first, None if self.stop is None else parse_seconds(self.stop)

    @property
    def numbers(self) -> tuple[int, int | None]:
        """Numbers of the pictures to show, half-open."""
        if self.frames is None:
            return 0, None
        first, colon, end = self.frames.partition(":")
        if not colon or not all(part.isascii() and part.isdigit() for part in (first, end) if part):
            raise ValueError(f'frames must be "A:B", got {self.frames!r}')
        low, high = int(first or 0), int(end) if end else None
        if high is not None and high <= low:
            raise ValueError(f"frames must not be empty, got {self.frames!r}")
        return low, high


@dataclass(slots=True)
class DecodeReport:
    """What became of everything the source held.  Grows while a `Decoder` is iterated."""

    packets: int = 0
    """Packets of the video stream given to the decoder."""

    discarded_packets: int = 0
    """Packets among them that an edit list hides."""

    decoded: int = 0
    """Pictures the decoder gave."""

    emitted: int = 0
    """Frames handed out."""

    inserted: int = 0
    """Frames that repeat the last good picture where one was lost."""

    replaced: int = 0
    """Damaged pictures for which the last good one was shown."""

    corrupt_packets: int = 0
    """Packets the decoder refused."""

    corrupt_pictures: int = 0
    """Pictures the decoder gave but marked as damaged."""

    lost: int = 0
    """Announced pictures that never came and had no good picture before them to repeat."""

    dropped: Counter[str] = field(default_factory=Counter)
    """Decoded or inserted pictures not handed out, by reason."""

    repaired_pts: int = 0
    """Frames whose time is not the one in the file."""

    rescaled: int = 0
    """Pictures brought to the size and format of the first one."""

    retagged: int = 0
    """Pictures whose colour tags differ from the first one's, which are kept."""

    truncated: str | None = None
    """Why reading ended before the end of the source, in FFmpeg's words."""

    errors: list[str] = field(default_factory=list)
    """The first few decode errors, one sentence each."""

    @property
    def repeated(self) -> int:
        """Frames that show a picture a second time."""
        return self.inserted + self.replaced

    @property
    def balanced(self) -> bool:
        """Whether pictures in equal frames out, once the Decoder has ended."""
        return self.decoded + self.inserted == self.emitted + self.dropped.total()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What all frames of a source have in common; set by its first picture."""

    width: int
    height: int
    pixel_format: str
    """FFmpeg's name of the native format that every picture is brought to."""

    format: SampleFormat
    color: ColorSpec


@dataclass(frozen=True, slots=True)
class _Picture:
    frame: av.VideoFrame
    """What to show."""

    origin: av.VideoFrame | None
    """Whose side data goes with it; None for an inserted picture."""


OUTSIDE = "outside the selection"
LATE = "came after its time was filled"
_ERRORS_KEPT = 8
_WITHOUT_PTS = frozenset({"avi"})
"""Containers that store no pts; what FFmpeg reports for them is derived."""


class Decoder:
    """One video stream as frames in display order, code values, zero copy.

    Iterate once.  `report` grows meanwhile.  `close` may be called in any state and any number of
    times; it is also a context manager.  Frames stay valid after closing.

    Pictures that are damaged or never come are replaced by the last good one at the time they would
    have had (`on_error = "repeat"`), or end the iteration with an InputError naming that time
    ("fail").  Pictures of another size or format than the first are brought to it by swscale and
    counted.  `Frame.index` numbers pictures from the start of the source, repeated ones included.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | BinaryIO | Readable,
        config: DecodeConfig | None = None,
        *,
        stream: int | None = None,
        threads: int = 0,
    ) -> None:
        """`stream` is the container's index of the stream, as in `VideoInfo.stream.index`; without
        it the configured one, or the first video stream.  `threads` is the codec's thread count,
        0 for as many as there are processors.  Raises InputError.
        """
        self.config = config or DecodeConfig()
        self.report = DecodeReport()
        self.layout: Layout | None = None
        """Known from the first frame on."""
        self._source = open_source(
            source, fps=self.config.rate, start_number=self.config.start_number
        )
        try:
            self._stream = _chosen(self._source, self.config.video, stream)
            # Before the codec has threads, see the function.
            self._location = tags.chroma_location(self._source.container, self._stream)
            self._frames = self._run(threads)
        except BaseException:
            self._source.container.close()
            raise
        self._started = False
        self._parity = tags.FieldParity()
        self._pts_stored = self._source.format_name not in _WITHOUT_PTS
        self._announced = Announced(
            reorders=bool(self._stream.codec_context.has_b_frames),
            reliable=self._pts_stored,
        )
        self._rate = rate_of(self._stream)
        self._good: av.VideoFrame | None = None
        self._untimed_losses = 0
        self._encrypted = "enc_key_id" in self._stream.metadata

    @property
    def time_base(self) -> Fraction:
        """Seconds per tick of every frame's pts."""
        return self._stream.time_base or Fraction(1, 90000)

    def __iter__(self) -> Iterator[Frame]:
        if self._started:
            raise RuntimeError("a Decoder can be iterated once")
        self._started = True
        return self._frames

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the container and the codec."""
        self._frames.close()
        self._source.container.close()

    # ------------------------------------------------------------------------- from packets ...

    def _run(self, threads: int) -> Generator[Frame, None, None]:
        context = self._stream.codec_context
        context.thread_count = threads
        # FFV1 with frame threads runs on one core; its slices are what scales.
        context.thread_type = "SLICE" if context.name == "ffv1" else "AUTO"
        repair: TimeRepair[_Picture] = TimeRepair(self.time_base, self._rate)
        selection = _Selection(self.config)
        try:
            for picture, time in self._pictures():
                for timed in repair.push(picture, time):
                    yield from self._emit(timed, selection)
                if selection.finished:
                    return
            for timed in repair.flush():
                yield from self._emit(timed, selection)
            if self.report.decoded == 0:
                raise InputError(self._nothing_decoded())
        finally:
            self._source.container.close()

    def _pictures(self) -> Iterator[tuple[_Picture, SourceTime]]:
        """Decoded pictures with lost ones filled in, in display order, with the file's times."""
        for packet in self._packets():
            for frame in self._decoded(packet):
                yield from self._arrived(frame)
        for pts in self._announced.rest():
            yield from self._insert(pts)
        self.report.lost += self._announced.lost_before_first

    def _packets(self) -> Iterator[Packet[VideoStream] | None]:
        """The stream's packets, then None for the decoder to give what it holds."""
        packets = self._source.container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.InvalidDataError as error:
                self._damage(f"reading stopped: {error.strerror}", None)
                self.report.truncated = error.strerror
                packet = None
            except av.FFmpegError as error:
                raise InputError(
                    f"{self._source.label} cannot be read further: {error.strerror}"
                ) from error
            if packet is None:
                yield None
                return
            yield packet

    def _decoded(self, packet: Packet[VideoStream] | None) -> list[av.VideoFrame]:
        if packet is not None:
            if packet.pts is None and packet.size == 0:
                # PyAV's own mark for the end of the stream.
                return []
            self.report.packets += 1
            self.report.discarded_packets += packet.is_discard
            if packet.has_sidedata("encryption_info"):
                self._encrypted = True
            if packet.pts is not None and not packet.is_discard:
                self._announced.announce(packet.pts)
            if packet.size == 0:
                # Decoders take an empty packet for the end; here it says "nothing new".
                return []
        try:
            return self._stream.codec_context.decode(packet)
        except av.FFmpegError as error:
            pts = packet.pts if packet is not None else None
            self.report.corrupt_packets += packet is not None
            self._announced.disturb()
            if packet is not None and not (self._pts_stored and pts is not None):
                self._untimed_losses += 1
            self._damage(f"a packet cannot be decoded: {error.strerror}", pts)
            return []

    def _damage(self, what: str, pts: int | None) -> None:
        """Note an error, or end with it if the policy says so."""
        where = "" if pts is None else f" at {float(pts * self.time_base):.3f} s"
        if self.config.on_error == "fail" and not self._encrypted:
            raise InputError(f"{self._source.label} is damaged{where}: {what}")
        if len(self.report.errors) < _ERRORS_KEPT:
            self.report.errors.append(f"{what}{where}")

    def _arrived(self, frame: av.VideoFrame) -> Iterator[tuple[_Picture, SourceTime]]:
        self.report.decoded += 1
        pts, duration = frame.pts, self._duration_of(frame)
        if pts is not None:
            usual = int(1 / (self._rate * self.time_base)) if self._rate else 0
            arrival = self._announced.came(pts, max(duration or 0, usual))
            if arrival.late:
                self.report.dropped[LATE] += 1
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
            yield _Picture(frame, frame), time
            return
        self.report.corrupt_pictures += 1
        self._damage("a picture is damaged", frame.pts)
        if self._good is None:
            # Nothing better has been seen yet.
            yield _Picture(frame, frame), time
        else:
            self.report.replaced += 1
            yield _Picture(self._good, frame), time

    def _duration_of(self, frame: av.VideoFrame) -> int | None:
        """In ticks; that of both fields where FFmpeg says that of one."""
        duration = frame.duration or None
        if duration and frame.interlaced_frame and self._rate is not None:
            period = 1 / (self._rate * self.time_base)
            if abs(2 * duration - period) <= 1:
                return round(period)
        return duration

    def _insert(self, pts: int | None) -> Iterator[tuple[_Picture, SourceTime]]:
        """The last good picture in the place of a lost one."""
        self._damage("a picture is missing", pts)
        if self._good is None:
            self.report.lost += 1
            return
        self.report.inserted += 1
        yield _Picture(self._good, None), SourceTime(pts=pts)

    def _nothing_decoded(self) -> str:
        label, report = self._source.label, self.report
        if self._encrypted:
            return f"{label} is encrypted; decrypt it first"
        if report.packets == 0:
            return f"{label} has a video stream without any picture"
        why = f" ({report.errors[0]})" if report.errors else ""
        return f"none of the {report.packets} packets of {label} could be decoded{why}"

    # ------------------------------------------------------------------------------ ... to frames

    def _emit(self, timed: Timed[_Picture], selection: _Selection) -> Iterator[Frame]:
        index = selection.number
        if not selection.takes(timed.pts * self.time_base):
            self.report.dropped[OUTSIDE] += 1
            return
        picture = timed.item
        layout = self.layout or self._first(picture.frame)
        shown = self._fitted(picture.frame, layout)
        self.report.emitted += 1
        self.report.repaired_pts += timed.repaired
        yield Frame(
            planes=planes_of(shown),
            format=layout.format,
            coding=Coding.CODE,
            color=layout.color,
            timestamp=Timestamp(pts=timed.pts, time_base=self.time_base),
            duration=timed.duration,
            index=index,
            field_order=self._field_order(picture.frame),
            origin=picture.origin,
        )

    def _first(self, frame: av.VideoFrame) -> Layout:
        name = "gbrap" if has_transparency(frame) else native_planar(frame.format.name)
        layout = sample_format(name)
        assert layout is not None
        color = tags.color_of(frame, self._stream, self._location)
        self.layout = Layout(
            width=frame.width,
            height=frame.height,
            pixel_format=name,
            format=layout,
            color=tags.with_dpx(color, self._source.dpx),
        )
        return self.layout

    def _fitted(self, frame: av.VideoFrame, layout: Layout) -> av.VideoFrame:
        """The picture in the layout's format and size."""
        native = native_planar(frame.format.name)
        same_samples = sample_format(native) == layout.format or frame.format.name == "pal8"
        if same_samples and (frame.width, frame.height) == (layout.width, layout.height):
            return to_native(frame, native if frame.format.name != "pal8" else layout.pixel_format)
        self.report.rescaled += 1
        try:
            return to_native(frame).reformat(
                width=layout.width,
                height=layout.height,
                format=layout.pixel_format,
                interpolation="BICUBIC",
                threads=1,
            )
        except av.FFmpegError as error:
            raise InputError(
                f"{self._source.label} changes from {layout.width}x{layout.height} "
                f"{layout.pixel_format} to {frame.width}x{frame.height} {frame.format.name}, "
                f"which cannot be converted: {error.strerror}"
            ) from error

    def _field_order(self, frame: av.VideoFrame) -> FieldOrder:
        return self._parity.of(frame)


class _Selection:
    """Counts pictures and says which are wanted."""

    def __init__(self, config: DecodeConfig) -> None:
        self._times = config.times
        self._numbers = config.numbers
        self._origin: Fraction | None = None
        self.number = 0
        """Of the picture that is asked for next."""
        self.finished = False
        """No later picture will be wanted."""

    def takes(self, seconds: Fraction) -> bool:
        """Whether the next picture, shown at `seconds`, is wanted."""
        number, self.number = self.number, self.number + 1
        if self._origin is None:
            self._origin = seconds
        since = seconds - self._origin
        (start, stop), (low, high) = self._times, self._numbers
        self.finished = (stop is not None and since >= stop) or (
            high is not None and number >= high - 1
        )
        past = (stop is not None and since >= stop) or (high is not None and number >= high)
        return since >= start and number >= low and not past


def _chosen(source: OpenSource, ordinal: int | None, index: int | None) -> VideoStream:
    candidates = video_streams(source, ordinal)
    if index is None:
        return candidates[0]
    for stream in candidates:
        if stream.index == index:
            return stream
    raise InputError(f"{source.label} has no video stream with index {index}")


def rate_of(stream: VideoStream) -> Fraction | None:
    """The rate that the header claims, if it is one that a film can have."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate is not None and Fraction(1, 1000) <= rate <= 1000:
            return rate
    return None
