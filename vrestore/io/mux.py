"""Packets of the restored picture and of everything beside it, into one file."""

from __future__ import annotations

import contextlib
import math
import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

from vrestore.errors import EncodeError, OutputError
from vrestore.io.choose import EncoderChoice
from vrestore.io.containers import ContainerSpec
from vrestore.io.copies import clone, stream_tags
from vrestore.io.ebml import write_display_aspect
from vrestore.io.encode import EncodeConfig, VideoTarget, configure
from vrestore.io.hardware import accelerator
from vrestore.io.hdr import attach_static_hdr
from vrestore.io.partfile import Destination, PartFile
from vrestore.io.passage import Passage
from vrestore.io.streams import Handling, Route, StreamPlan
from vrestore.io.subtitles import SubtitleConverter
from vrestore.io.trim import Span, Trim, nearest
from vrestore.media import MediaInfo, StreamKind

if TYPE_CHECKING:
    from av.container.core import Chapter

__all__ = ["Muxer"]

_MAX_TIMESCALE = 2**31 - 1
_BITEXACT = 0x400
"""AVFMT_FLAG_BITEXACT."""


class Muxer:
    """Sink of video packets; brings the source's other streams along itself.

    `write` and `close` belong to one thread.  Nothing has the final name before `commit`; `abort`
    may be called at any time after `close` or instead of it, and twice.
    """

    def __init__(
        self,
        destination: Destination,
        container: ContainerSpec,
        choice: EncoderChoice,
        target: VideoTarget,
        config: EncodeConfig,
        info: MediaInfo,
        plan: StreamPlan,
        *,
        span: Span | None = None,
    ) -> None:
        """Opens the encoder and writes the header, so that refusals come before frame 1.

        Raises OutputError where the place or the container refuses, EncodeError where the encoder
        does.
        """
        self.packets = 0
        """Video packets written."""
        self.time_sum = 0
        """Of their presentation times in the container's ticks: what a reader must find again."""
        self.carried: set[int] = set()
        """Source indices of the streams that had packets."""
        self.repaired = 0
        """Copied packets whose decoding time had to be moved to come after the one before."""
        self.destination = destination
        self._last_dts: dict[int, int] = {}
        self._aspect = _aspect_to_patch(container, choice, target)
        self._container_spec = container
        self._info = info
        self._plan = plan
        self._trim = Trim(span) if span is not None else None
        self._passage: Passage | None = None
        self._converters: dict[int, SubtitleConverter] = {}
        self._outputs: dict[int, Stream] = {}
        if plan.routes:
            self._passage = Passage(info.path, [route.index for route in plan.routes])
        try:
            self._output = self._open(target)
            self.video = self._add_video(choice, target, config)
            if span is None:
                self._start()
        except BaseException:
            self.abort()
            raise

    # ------------------------------------------------------------------------------- set-up

    def _open(self, target: VideoTarget) -> OutputContainer:
        options = dict(self._container_spec.options) | dict(self._plan.muxer_options)
        if self._container_spec.name in ("mp4", "mov"):
            options |= self._timescales(target)
        output = av.open(
            self.destination.url, "w", format=self._container_spec.name, container_options=options
        )
        # No random identifiers: the same packets make the same file.
        output.flags |= _BITEXACT
        return output

    def _timescales(self, target: VideoTarget) -> dict[str, str]:
        """Ticks that hold every time exactly: the video track's, and the edit lists'."""
        video = target.time_base.denominator
        if video > _MAX_TIMESCALE:
            return {}
        movie = math.lcm(1000, video)
        for stream in self._info.streams:
            if stream.time_base is not None and stream.kind is not StreamKind.COVER:
                common = math.lcm(movie, stream.time_base.denominator)
                movie = common if common <= _MAX_TIMESCALE else movie
        return {"video_track_timescale": str(video), "movie_timescale": str(movie)}

    def _add_video(
        self, choice: EncoderChoice, target: VideoTarget, config: EncodeConfig
    ) -> VideoStream:
        """All output streams in the source's order; returns the restored one."""
        video: VideoStream | None = None
        routes = {route.index: route for route in self._plan.routes}
        for stream in self._info.streams:
            if stream.index == self._info.video.stream.index:
                video = self._restored_stream(choice, target, config)
            elif stream.index in routes:
                self._add_route(routes[stream.index])
        return video or self._restored_stream(choice, target, config)

    def _restored_stream(
        self, choice: EncoderChoice, target: VideoTarget, config: EncodeConfig
    ) -> VideoStream:
        spec = choice.spec
        try:
            on_device = None if choice.cuda is None else accelerator(choice.cuda)
            stream = cast(
                VideoStream, self._output.add_stream(spec.codec, rate=25, hwaccel=on_device)
            )
        except ValueError as error:
            raise OutputError(
                f"{self._container_spec.name} does not hold {spec.name}; choose another encoder "
                "or write to .mkv"
            ) from error
        attach_static_hdr(stream, target.mastering_display, target.content_light)
        configure(stream.codec_context, choice, target, config)
        stream.time_base = target.time_base
        tag = spec.codec_tags.get(self._container_spec.name)
        if tag is not None:
            stream.codec_context.codec_tag = tag
        source = self._info.video
        stream.metadata.update(self._plan.video_metadata)
        stream.disposition = _disposition(source.stream.dispositions)
        if target.display_matrix is not None:
            stream.set_display_matrix(struct.unpack("<9i", target.display_matrix))
        elif self._aspect is not None:
            # Keeps the place where `write_display_aspect` will write.
            stream.set_display_rotation(180)
        try:
            stream.codec_context.open()
        except (av.FFmpegError, NotImplementedError) as error:
            raise EncodeError(f"{spec.name} does not open: {error}") from error
        return stream

    def _add_route(self, route: Route) -> None:
        assert self._passage is not None
        template = self._passage.streams[route.index]
        try:
            if route.handling is Handling.CONVERT:
                added = cast(SubtitleStream, self._output.add_stream(route.codec))
                added.time_base = template.time_base
                added.disposition = template.disposition
                added.metadata.update(stream_tags(template.metadata, self._container_spec.name))
                self._converters[route.index] = SubtitleConverter(
                    cast(SubtitleStream, template), added.codec_context
                )
                stream: Stream = added
            elif route.handling is Handling.ATTACH:
                self._attach_cover(template)
                return
            else:
                stream = clone(self._output, template)
        except (ValueError, av.FFmpegError) as error:
            raise OutputError(
                f"{self._container_spec.name} refuses stream #{route.index} ({route.codec}): "
                f"{error}"
            ) from error
        if route.kind is not StreamKind.ATTACHMENT:
            self._outputs[route.index] = stream

    def _attach_cover(self, template: Any) -> None:
        """Matroska keeps covers as attachments; the picture is the stream's only packet."""
        with contextlib.closing(Passage(self._info.path, [template.index])) as reader:
            picture = reader.first()
        if picture is None:
            return
        kind = {"mjpeg": "jpeg"}.get(template.name, template.name)
        extension = {"jpeg": "jpg"}.get(kind, kind)
        metadata = dict(template.metadata)
        attachment = self._output.add_attachment(
            metadata.pop("filename", f"cover.{extension}"),
            metadata.pop("mimetype", f"image/{kind}"),
            bytes(picture),
        )
        attachment.metadata.update(metadata)

    def _start(self) -> None:
        """Writes the header."""
        self._output.metadata.update(self._plan.metadata)
        if self._plan.chapters:
            self._output.set_chapters(self._chapters())
        try:
            self._output.start_encoding()
        except (av.FFmpegError, ValueError) as error:
            raise OutputError(
                f"{self._container_spec.name} refuses these streams: {error}"
            ) from error

    def _chapters(self) -> list[Chapter]:
        chapters: list[Chapter] = []
        for chapter in self._info.chapters:
            place: tuple[int, int] | None = (chapter.start, chapter.end)
            if self._trim is not None:
                place = self._trim.chapter(chapter)
            if place is not None:
                chapters.append({
                    "id": chapter.id, "start": place[0], "end": place[1],
                    "time_base": chapter.time_base, "metadata": dict(chapter.metadata),
                })  # fmt: skip
        return chapters

    # -------------------------------------------------------------------------------- running

    def write(self, packet: Packet[Any]) -> None:
        """Muxes one video packet after all other packets that come before it."""
        base = packet.time_base
        if self._trim is not None and not self._trim.begun:
            self._trim.begin((packet.pts or 0) * base)
            if self._passage is not None:
                self._passage.start_at(self._trim.origin)
            self._start()
        position = (packet.dts if packet.dts is not None else packet.pts or 0) * base
        if self._trim is not None:
            # Before the others: what comes between two pictures is not after the last one.
            self._trim.picture(packet)
        if self._passage is not None:
            for other in self._passage.until(position):
                self._write_other(other)
        if self._trim is not None:
            self._trim.shift(packet, _tick(self.video))
        packet.stream = self.video
        self._mux(packet)
        self.packets += 1
        self.time_sum += packet.pts or 0

    def close(self) -> None:
        """Writes what is left of the other streams and the container's end."""
        if self._trim is not None and not self._trim.begun:
            self._start()
        if self._passage is not None:
            for other in self._passage.rest():
                self._write_other(other)
            self._passage.close()
        try:
            self._output.close()
        except (av.FFmpegError, OSError) as error:
            raise self._unwritable(error) from error
        if self._aspect is not None and isinstance(self.destination, PartFile):
            write_display_aspect(self.destination.path, *self._aspect)

    def commit(self) -> None:
        """Gives the finished file its name."""
        self.destination.commit()

    def abort(self) -> None:
        """Removes what was written."""
        if self._passage is not None:
            self._passage.close()
        output = getattr(self, "_output", None)
        if output is not None:
            with contextlib.suppress(av.FFmpegError, OSError):
                output.close()
        self.destination.discard()

    def _write_other(self, packet: Packet[Any]) -> None:
        index = packet.stream_index
        stream = self._outputs.get(index)
        if stream is None or (self._trim is not None and not self._trim.keeps(packet)):
            return
        converter = self._converters.get(index)
        if converter is not None:
            converted = converter.convert(packet)
            if converted is None:
                return
            packet = converted
        if self._trim is not None:
            self._trim.shift(packet, _tick(stream))
        self._advance(packet, stream)
        packet.stream = stream
        self.carried.add(index)
        self._mux(packet)

    def _advance(self, packet: Packet[Any], stream: Stream) -> None:
        """Decoding times of a broken source may stand still; no container takes that."""
        tick = _tick(stream)
        if packet.dts is None:
            return
        at = (
            packet.dts
            if packet.time_base == tick
            else nearest(packet.dts * packet.time_base / tick)
        )
        last = self._last_dts.get(stream.index)
        if last is not None and (
            at < last or (at == last and not self._container_spec.equal_times)
        ):
            if packet.time_base != tick:
                packet.pts = (
                    None if packet.pts is None else nearest(packet.pts * packet.time_base / tick)
                )
                packet.duration = nearest((packet.duration or 0) * packet.time_base / tick)
                packet.time_base = tick
            at = packet.dts = last + 1
            packet.pts = at if packet.pts is None else max(packet.pts, at)
            self.repaired += 1
        self._last_dts[stream.index] = at

    def _mux(self, packet: Packet[Any]) -> None:
        self.destination.spent(packet.size)
        try:
            self._output.mux_one(packet)
        except (av.FFmpegError, OSError) as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: Exception) -> OutputError:
        return OutputError(f"the output cannot be written: {error}")


def _aspect_to_patch(
    container: ContainerSpec, choice: EncoderChoice, target: VideoTarget
) -> tuple[int, int, Fraction] | None:
    """Size and sample aspect ratio where neither bitstream nor muxer can be told it."""
    if container.aspect_for_all or choice.spec.aspect_in_stream or target.sar in (0, 1):
        return None
    if target.display_matrix is not None:
        return None
    return target.width, target.height, target.sar


def _tick(stream: Stream) -> Fraction:
    """The clock that the muxer gave a stream with the header."""
    if stream.time_base is None:
        raise OutputError(f"the container gave stream #{stream.index} no clock")
    return stream.time_base


def _disposition(names: tuple[str, ...]) -> Disposition:
    value = Disposition(0)
    for name in names:
        if name in Disposition.__members__:
            value |= Disposition[name]
    return value
