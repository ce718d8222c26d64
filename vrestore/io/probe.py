"""Probing: what a source holds, what its header claims and what its first pictures show."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType
from typing import BinaryIO

import av
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from vrestore.errors import InputError
from vrestore.io import tags
from vrestore.io.formats import has_transparency, native_planar, sample_format
from vrestore.io.pictures import rate_of
from vrestore.io.selection import DecodeConfig
from vrestore.io.sidedata import side_data_of
from vrestore.io.source import (
    OpenSource,
    Readable,
    is_cover,
    open_source,
    packets_of,
    video_streams,
)
from vrestore.io.still import read_still
from vrestore.io.stillprobe import probe_picture
from vrestore.media import (
    Chapter,
    FieldOrder,
    MediaInfo,
    Provenance,
    StreamInfo,
    StreamKind,
    VideoInfo,
)

__all__ = ["ProbeOptions", "probe"]

_KINDS = {
    "video": StreamKind.VIDEO,
    "audio": StreamKind.AUDIO,
    "subtitle": StreamKind.SUBTITLE,
    "attachment": StreamKind.ATTACHMENT,
}
_FASTEST_FILM = 300
"""Pictures per second; a higher claim is the tick of the container (600, 1000)."""

_PACKETS_TO_TRY = 4000
"""Of the video streams together, before one is given up as empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOptions:
    """How thoroughly to look."""

    pictures: int = 8
    """How many pictures to decode; side data and scan are taken from all of them."""

    count: bool = False
    """Read the whole source to count its pictures instead of believing the header."""

    def __post_init__(self) -> None:
        if self.pictures < 1:
            raise ValueError(f"pictures must be at least 1, got {self.pictures}")


def probe(
    source: str | os.PathLike[str] | BinaryIO | Readable,
    config: DecodeConfig | None = None,
    options: ProbeOptions | None = None,
) -> MediaInfo:
    """Open a source, decode its first pictures and describe it.

    The stream described is the configured one, else the first that has pictures.  Standard input
    can be decoded afterwards; what was read is kept.  Raises InputError, in one sentence, for what
    cannot be opened, has no video, is encrypted, or of which nothing can be decoded.
    """
    config, options = config or DecodeConfig(), options or ProbeOptions()
    if isinstance(source, (str, os.PathLike)):
        picture = probe_picture(os.fspath(source), config.max_pixels)
        if picture is not None:
            return picture
    opened = open_source(
        source,
        fps=config.rate,
        start_number=config.start_number,
        keep_input=True,
        max_pixels=config.max_pixels,
    )
    try:
        return _described(opened, config, options)
    finally:
        opened.container.close()


def _described(opened: OpenSource, config: DecodeConfig, options: ProbeOptions) -> MediaInfo:
    container = opened.container
    candidates = video_streams(opened, config.video)
    # Before any decoder thread exists, see the function.
    locations = {stream.index: tags.chroma_location(container, stream) for stream in candidates}
    first = _FirstPictures(opened, candidates, options)
    stream, frames = first.stream, first.frames
    frame = frames[0]
    pixel_format = frame.format.name
    native = "gbrap" if has_transparency(frame) else native_planar(pixel_format)
    layout = sample_format(native)
    assert layout is not None
    is_still = _is_still(opened, first)
    side_data: dict[str, bytes] = {}
    for shown in reversed(frames):
        side_data |= side_data_of(shown)
    matrix = tags.display_matrix(side_data)
    rate = _rate(stream, frames)
    count, count_from = _frame_count(opened, stream, first)
    color = tags.color_of(frame, stream, locations[stream.index])
    info = VideoInfo(
        stream=_stream_info(stream),
        width=frame.width,
        height=frame.height,
        format=layout,
        pixel_format=pixel_format,
        color=tags.with_dpx(color, opened.dpx),
        sar=stream.sample_aspect_ratio or Fraction(1),
        rotation=tags.rotation_of(matrix),
        display_matrix=matrix,
        time_base=stream.time_base or Fraction(1, 90000),
        average_rate=None if is_still else rate,
        frame_count=count,
        frame_count_from=count_from,
        field_order=_field_order(frames),
        mastering_display=tags.mastering_display(side_data),
        content_light=tags.content_light(side_data),
        side_data=tuple(sorted(side_data)),
    )
    remarks: tuple[str, ...] = ()
    if is_still and os.path.isfile(opened.label):
        info, remarks = _as_still(info, opened.label, config.max_pixels)
    metadata = dict(container.metadata)
    if opened.dpx is not None and opened.dpx.timecode is not None:
        metadata.setdefault("timecode", opened.dpx.timecode)
    return MediaInfo(
        path=opened.label if opened.label != "standard input" else "-",
        container=opened.format_name,
        video=info,
        streams=tuple(_stream_info(each) for each in container.streams),
        chapters=_chapters(opened),
        metadata=MappingProxyType(metadata),
        duration_seconds_from_header=_duration(opened, is_still),
        size_bytes=_size(opened),
        is_still=is_still,
        guesses=(*opened.guesses, *_guesses(opened, first, rate), *remarks),
        cut_off=opened.cut_off,
    )


class _FirstPictures:
    """The first pictures of the first of several streams that has any."""

    def __init__(
        self, opened: OpenSource, candidates: tuple[VideoStream, ...], options: ProbeOptions
    ) -> None:
        self.packets = {stream.index: 0 for stream in candidates}
        self.ended = False
        """Whether the source was read to its end, so that `packets` are all there are."""

        self._read = 0
        self._encrypted = any("enc_key_id" in stream.metadata for stream in candidates)
        self._error: str | None = None
        shown: dict[int, list[av.VideoFrame]] = {stream.index: [] for stream in candidates}
        preferred = shown[candidates[0].index]
        packets = packets_of(opened, *candidates)
        while len(preferred) < options.pictures or options.count:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                self._error = self._error or error.strerror
                packet = None
            if packet is None:
                self.ended = True
                break
            self._read += 1
            index = packet.stream_index
            self.packets[index] += not packet.is_discard
            self._encrypted |= packet.has_sidedata("encryption_info")
            if packet.size and len(shown[index]) < options.pictures:
                shown[index] += self._decoded(packet.stream, packet)
            if self._read >= _PACKETS_TO_TRY and any(shown.values()) and not options.count:
                break
        for stream in candidates:
            pictures = shown[stream.index]
            if len(pictures) < options.pictures and self.ended:
                pictures += self._decoded(stream, None)
            if pictures:
                self.stream, self.frames = stream, pictures[: options.pictures]
                return
        raise InputError(self._why_none(opened))

    def _decoded(
        self, stream: VideoStream, packet: Packet[VideoStream] | None
    ) -> list[av.VideoFrame]:
        try:
            return stream.codec_context.decode(packet)
        except av.FFmpegError as error:
            self._error = self._error or error.strerror
            return []

    def _why_none(self, opened: OpenSource) -> str:
        label = opened.label
        if self._encrypted:
            return f"{label} is encrypted; decrypt it first"
        if not self._read:
            return f"{label} has a video stream without any picture"
        why = f": {self._error}" if self._error else ""
        if self._error == os.strerror(errno.EINVAL):
            why += (
                f"; pictures of more than {opened.max_pixels} pixels are refused, "
                "--set input.max_pixels=N raises that"
            )
        return f"none of the {self._read} video packets of {label} could be decoded{why}"


def _rate(stream: VideoStream, frames: list[av.VideoFrame]) -> Fraction | None:
    """The rate the header claims; where it claims none or a clock's, what the pictures show."""
    claimed = rate_of(stream)
    times = [frame.pts for frame in frames if frame.pts is not None]
    if (claimed is not None and claimed <= _FASTEST_FILM) or len(times) < 2:
        return claimed
    span = (max(times) - min(times)) * (stream.time_base or Fraction(1))
    return (len(times) - 1) / span if span else claimed


def _as_still(info: VideoInfo, path: str, max_pixels: int) -> tuple[VideoInfo, tuple[str, ...]]:
    """The picture as `read_still` gives it, upright and never subsampled, and what it remarked."""
    picture, meta = read_still(path, max_pixels=max_pixels)
    upright = replace(
        info,
        width=picture.width,
        height=picture.height,
        format=picture.format,
        color=picture.color,
        rotation=0,
        display_matrix=None,
    )
    return upright, meta.notes


def _is_still(opened: OpenSource, first: _FirstPictures) -> bool:
    """One picture in a picture file, or in a container marked as a still (AVIF, HEIC)."""
    single = first.ended and first.packets[first.stream.index] == 1
    if opened.sequence is not None or not single:
        return False
    marked = bool(first.stream.disposition & Disposition.still_image)
    return opened.is_picture or marked or opened.format_name in ("gif", "apng")


def _frame_count(
    opened: OpenSource, stream: VideoStream, first: _FirstPictures
) -> tuple[int | None, Provenance]:
    if opened.sequence is not None:
        return opened.sequence.count, Provenance.MEASURED
    if first.ended:
        return first.packets[stream.index], Provenance.MEASURED
    return stream.frames or None, Provenance.HEADER


def _field_order(frames: list[av.VideoFrame]) -> FieldOrder:
    """The order of the first interlaced picture; the pictures' flags win over the header's."""
    parity = tags.FieldParity()
    for frame in frames:
        if frame.interlaced_frame:
            return parity.of(frame)
    return FieldOrder.PROGRESSIVE


def _guesses(opened: OpenSource, first: _FirstPictures, rate: Fraction | None) -> tuple[str, ...]:
    if opened.is_picture or any(frame.pts is not None for frame in first.frames):
        return ()
    if any(frame.dts is not None for frame in first.frames):
        return ("the stream has no presentation times; they are taken from the decoding times",)
    if rate is None:
        return ("the stream has no times and no rate; one tick of its clock a picture is assumed",)
    return (f"the stream has no times; {float(rate):.6g} pictures per second are assumed",)


# ------------------------------------------------------------------------------ plain facts


def _stream_info(stream: Stream) -> StreamInfo:
    kind = _KINDS.get(stream.type, StreamKind.DATA)
    if isinstance(stream, VideoStream) and is_cover(stream):
        kind = StreamKind.COVER
    metadata = dict(stream.metadata)
    return StreamInfo(
        index=stream.index,
        kind=kind,
        codec=_codec_name(stream),
        language=metadata.get("language"),
        title=metadata.get("title"),
        dispositions=tuple(
            flag.name for flag in Disposition if flag.name and flag in stream.disposition
        ),
        metadata=MappingProxyType(metadata),
        time_base=stream.time_base,
        start_pts=stream.start_time,
        duration=stream.duration,
    )


def _codec_name(stream: Stream) -> str:
    context = getattr(stream, "codec_context", None)
    if context is None:
        # Of streams without a decoder PyAV shows the codec's name, or nothing.
        return getattr(stream, "name", None) or "unknown"
    return str(context.codec.canonical_name)


def _chapters(opened: OpenSource) -> tuple[Chapter, ...]:
    return tuple(
        Chapter(
            id=chapter["id"],
            start=chapter["start"],
            end=chapter["end"],
            time_base=chapter["time_base"] or Fraction(1, 1000),
            metadata=MappingProxyType(_text(chapter["metadata"])),
        )
        for chapter in opened.container.chapters()
    )


def _text(metadata: Mapping[str, str]) -> dict[str, str]:
    return {str(key): str(value) for key, value in metadata.items()}


def _duration(opened: OpenSource, is_still: bool) -> Fraction | None:
    duration = opened.container.duration
    return None if is_still or duration is None else Fraction(duration, av.time_base)


def _size(opened: OpenSource) -> int | None:
    if opened.sequence is not None:
        paths = (opened.sequence.path(position) for position in range(opened.sequence.count))
        return sum(path.stat().st_size for path in paths)
    return os.path.getsize(opened.label) if os.path.isfile(opened.label) else None
