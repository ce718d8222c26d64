"""Streams of a source as streams of an output, asked of the muxer itself."""

from __future__ import annotations

import io
import struct
from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import Any

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from vrestore.errors import InputError
from vrestore.io.containers import ContainerSpec

__all__ = [
    "clone",
    "first_packets",
    "fits",
    "lost_tags",
    "open_again",
    "parameters_of",
    "stream_tags",
    "takes_encoder",
]


def lost_tags(
    container: ContainerSpec, tags: Mapping[str, str], options: Mapping[str, str]
) -> set[str]:
    """Keys that do not come back from a file of one frame made in memory."""
    if not tags:
        return set()
    memory = io.BytesIO()
    with av.open(memory, "w", format=container.name, container_options=dict(options)) as output:
        stream = output.add_stream("vp8" if container.name == "webm" else "mpeg4", rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        output.metadata.update(tags)
        output.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        output.mux(stream.encode(None))
    with av.open(io.BytesIO(memory.getvalue())) as written:
        kept = {key.lower() for key in written.metadata}
    # Matroska writes the spaces of a name as underscores.
    return {key for key in tags if not {key.lower(), key.lower().replace(" ", "_")} & kept}


def open_again(path: str) -> InputContainer:
    """The source once more, for its packets."""
    try:
        return av.open(path, metadata_errors="replace")
    except av.FFmpegError as error:
        raise InputError(f"{path} cannot be opened again: {error}") from error


_PACKETS_LOOKED_AT = 2000


def first_packets(source: InputContainer, indices: Collection[int]) -> dict[int, Packet[Any]]:
    """The first packet of each of these streams, of those that have one near the beginning."""
    streams = [source.streams[index] for index in indices]
    found: dict[int, Packet[Any]] = {}
    try:
        for count, packet in enumerate(source.demux(streams)):
            if packet.size:
                found.setdefault(packet.stream_index, packet)
            if count >= _PACKETS_LOOKED_AT or len(found) == len(streams):
                break
    except (av.FFmpegError, IndexError):
        # Damage further on is not a question of what the container holds; and PyAV's closing loop
        # stumbles over streams that appeared while reading.
        return found
    return found


def fits(container: ContainerSpec, template: Stream, packet: Packet[Any] | None) -> bool:
    """Whether the muxer writes a file with this stream and its first packet in it."""
    try:
        if container.codecs is not None and _codec_name(template) not in container.codecs:
            return False
        output = av.open(io.BytesIO(), "w", format=container.name)
        stream = clone(output, template)
        output.start_encoding()
        if packet is not None:
            packet.stream = stream
            packet.pts = packet.dts = 0
            output.mux(packet)
        output.close()
    except (av.FFmpegError, ValueError):
        return False
    return True


def clone(output: OutputContainer, template: Stream) -> Stream:
    """An output stream that takes packets of `template` as they are.

    Disposition, metadata and time base are the template's.  Raises ValueError or av.FFmpegError
    where the container does not take it.
    """
    context: object = template.codec_context
    if context is not None and _queried(output, template):
        stream = output.add_stream_from_template(template, opaque=True)
    elif context is not None:
        # Matroska also takes what AVI takes, but says so only to those who do not ask.
        stream = output.add_mux_stream(_CARRIERS[template.type])
        BitStreamFilterContext("null", in_stream=template, out_stream=stream)
    elif template.type == "attachment":
        return output.add_stream_from_template(template)
    elif template.type == "data":
        # A stream made from a template has no frame rate, which a timecode track must have; one
        # made for video does, and the filter then gives it the data track's parameters.
        _, description = parameters_of(template)
        stream = output.add_mux_stream("mpeg4", rate=_timecode_rate(description))
        BitStreamFilterContext("null", in_stream=template, out_stream=stream)
    else:
        stream = output.add_mux_stream(_codec_name(template))
        BitStreamFilterContext("null", in_stream=template, out_stream=stream)
    stream.time_base = template.time_base
    stream.disposition = template.disposition
    stream.metadata.update(stream_tags(template.metadata, output.format.name))
    return stream


_CARRIERS = {"audio": "aac", "video": "h264", "subtitle": "subrip"}


def _queried(output: OutputContainer, template: Stream) -> bool:
    return output.format.name != "matroska" or _takes(output, _codec_name(template))


def _takes(output: OutputContainer, codec: str) -> bool:
    """Whether the muxer lists a codec."""
    try:
        av.open(io.BytesIO(), "w", format=output.format.name).add_mux_stream(codec)
    except ValueError:
        return False
    return True


_GENERIC_HANDLERS = ("SoundHandler", "VideoHandler", "SubtitleHandler", "DataHandler")


def stream_tags(tags: Mapping[str, str], muxer: str) -> dict[str, str]:
    """A stream's tags without those that only QuickTime files have and that say nothing."""
    if muxer in ("mov", "mp4"):
        return dict(tags)
    return {
        key: value
        for key, value in tags.items()
        if key != "vendor_id" and not (key == "handler_name" and value in _GENERIC_HANDLERS)
    }


def _codec_name(template: Stream) -> str:
    """The codec's name, which for streams with a decoder is not the decoder's."""
    context: Any = template.codec_context
    if context is not None:
        return str(context.codec.canonical_name)
    name = getattr(template, "name", None)
    if not name:
        raise ValueError(f"stream #{template.index} has no codec that FFmpeg knows")
    return str(name)


def parameters_of(template: Stream) -> tuple[str, bytes]:
    """(sample entry, codec header) of a stream without a decoder, which PyAV does not show."""
    scratch = av.open(io.BytesIO(), "w", format="null").add_stream("wrapped_avframe")
    BitStreamFilterContext("null", in_stream=template, out_stream=scratch)
    context = scratch.codec_context
    return context.codec_tag.strip("\0"), context.extradata or b""


def _timecode_rate(description: bytes) -> Fraction:
    """Frames per second in a QuickTime timecode sample description; 25 where it says nothing."""
    if len(description) < 16:
        return Fraction(25)
    timescale, frame_duration = struct.unpack(">II", description[8:16])
    return Fraction(timescale, frame_duration) if timescale and frame_duration else Fraction(25)


def takes_encoder(container: ContainerSpec, codec: str) -> bool:
    """Whether the container holds what FFmpeg's encoder `codec` makes."""
    try:
        av.open(io.BytesIO(), "w", format=container.name).add_stream(codec, rate=25)
    except (av.FFmpegError, ValueError):
        return False
    return True
