"""Which streams of the source go where, and what the container cannot hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from vrestore.errors import PlanError
from vrestore.io.containers import ContainerSpec
from vrestore.io.copies import first_packets, fits, lost_tags, open_again, parameters_of
from vrestore.io.losses import Loss
from vrestore.io.subtitles import TEXT_CODECS
from vrestore.media import MediaInfo, StreamInfo, StreamKind

__all__ = [
    "Handling",
    "Route",
    "StreamPlan",
    "StreamsConfig",
    "plan_streams",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamsConfig:
    """Section [streams] of a preset: what is taken along beside the picture."""

    map: tuple[str, ...] = ()
    """Streams to keep: "3", "0:3", "a" (all audio), "a:1", "0:s:0"; empty keeps all."""

    audio: bool = True
    subtitles: bool = True
    chapters: bool = True
    attachments: bool = True
    data: bool = True
    strict: bool = False
    """A loss is an error."""

    def __post_init__(self) -> None:
        for entry in self.map:
            _parse_map(entry)


_LETTERS = {
    "v": (StreamKind.VIDEO, StreamKind.COVER),
    "a": (StreamKind.AUDIO,),
    "s": (StreamKind.SUBTITLE,),
    "d": (StreamKind.DATA,),
    "t": (StreamKind.ATTACHMENT,),
}


def _parse_map(entry: str) -> tuple[tuple[StreamKind, ...] | None, int | None]:
    """(kinds or None for any, ordinal or None for all) of one `map` entry."""
    parts = entry.split(":")
    if len(parts) > 1 and parts[0] == "0":
        parts = parts[1:]
    kinds = _LETTERS.get(parts[0])
    numbers = parts[1:] if kinds else parts
    if len(numbers) > 1 or not all(number.isdecimal() for number in numbers):
        raise ValueError(f"map must hold entries such as 3, a, s:0 or 0:a:1, got {entry!r}")
    return kinds, int(numbers[0]) if numbers else None


def _mapped(config: StreamsConfig, streams: tuple[StreamInfo, ...]) -> set[int]:
    """Indices that `map` names.  Raises PlanError where an entry names none."""
    chosen: set[int] = set()
    for entry in config.map:
        kinds, ordinal = _parse_map(entry)
        if kinds is None:
            found = [stream.index for stream in streams if stream.index == ordinal]
        else:
            found = [stream.index for stream in streams if stream.kind in kinds]
            if ordinal is not None:
                found = found[ordinal : ordinal + 1]
        if not found:
            raise PlanError(f"--map {entry}: the source has no such stream; see vrestore probe")
        chosen.update(found)
    return chosen


class Handling(Enum):
    """What the muxer does with a stream of the source."""

    COPY = "copy"
    """Packet for packet."""

    CONVERT = "convert"
    """Text subtitles into another codec."""

    ATTACH = "attach"
    """A cover written as an attachment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One stream that is taken along."""

    index: int
    """In the source."""

    kind: StreamKind
    handling: Handling
    codec: str
    """FFmpeg's encoder for CONVERT, else the source's codec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """Everything that goes into the output beside the restored picture."""

    routes: tuple[Route, ...] = ()
    chapters: bool = False
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    video_metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    muxer_options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    losses: tuple[Loss, ...] = ()
    notes: tuple[str, ...] = ()
    """Conversions that keep the meaning: one sentence each."""


_STALE_TAGS = (
    "BPS", "DURATION", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "_STATISTICS", "ENCODER",
    "ENCODER_OPTIONS", "VENDOR_ID", "HANDLER_NAME",
)  # fmt: skip
"""Tags of a video track that describe its old bitstream."""

_CONTAINER_TAGS = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder"})
"""Tags that describe the old container, in lower case."""


def plan_streams(info: MediaInfo, container: ContainerSpec, config: StreamsConfig) -> StreamPlan:
    """Decides every stream's way before anything is written.

    The muxer itself is asked, in memory, whether it takes each stream.  Raises PlanError for a
    `map` entry without a stream and InputError where the source cannot be opened again.
    """
    selected = [stream for stream in info.streams if stream.index != info.video.stream.index]
    if config.map:
        chosen = _mapped(config, info.streams)
        selected = [stream for stream in selected if stream.index in chosen]
    wanted = {
        StreamKind.AUDIO: config.audio,
        StreamKind.SUBTITLE: config.subtitles,
        StreamKind.ATTACHMENT: config.attachments,
        StreamKind.DATA: config.data,
    }
    selected = [stream for stream in selected if wanted.get(stream.kind, True)]
    if container.name == "null":
        return StreamPlan()
    if container.video_only:
        return StreamPlan(
            losses=tuple(_all_lost(info, selected, config, container)),
            notes=(f"{container.label} has no frame times: frames follow at a fixed rate",),
        )
    if not selected:
        return _with_tags(info, container, config, StreamPlan())
    routes: list[Route] = []
    losses: list[Loss] = []
    notes: list[str] = []
    with open_again(info.path) as source:
        packets = first_packets(source, {stream.index for stream in selected})
        for stream in selected:
            decided = _route(source, packets, stream, info, container)
            match decided:
                case Route():
                    routes.append(decided)
                    if decided.handling is Handling.CONVERT:
                        notes.append(f"{_describe(stream)} becomes {decided.codec}")
                        if stream.codec in ("ass", "ssa"):
                            losses.append(_styling_loss(stream, decided.codec))
                case Loss():
                    losses.append(decided)
                case str():
                    notes.append(decided)
    plan = StreamPlan(routes=tuple(routes), losses=tuple(losses), notes=tuple(notes))
    return _with_tags(info, container, config, plan)


def _route(
    source: InputContainer,
    packets: Mapping[int, Packet[Any]],
    stream: StreamInfo,
    info: MediaInfo,
    container: ContainerSpec,
) -> Route | Loss | str:
    """The way of one stream; a sentence where it needs none of its own."""
    template, packet = source.streams[stream.index], packets.get(stream.index)
    kind, codec = stream.kind, stream.codec
    copy = Route(index=stream.index, kind=kind, handling=Handling.COPY, codec=codec)
    use_mkv = "write to .mkv"
    if kind is StreamKind.ATTACHMENT:
        if container.attachments:
            return copy
        return Loss(
            what=_describe(stream), why=f"{container.label} holds no attachments", remedy=use_mkv
        )
    if kind is StreamKind.COVER:
        if container.attachments:
            return Route(index=stream.index, kind=kind, handling=Handling.ATTACH, codec=codec)
        if container.covers and fits(container, template, packet):
            return copy
        return Loss(
            what=_describe(stream), why=f"{container.label} holds no such cover", remedy=use_mkv
        )
    if kind is StreamKind.DATA:
        return _data_route(template, packet, copy, info, container)
    if fits(container, template, packet):
        return copy
    if kind is StreamKind.SUBTITLE and codec in TEXT_CODECS and container.text_subtitles:
        return Route(
            index=stream.index, kind=kind, handling=Handling.CONVERT, codec=container.text_subtitles
        )
    return Loss(
        what=_describe(stream),
        why=f"{container.label} does not hold {codec}",
        remedy=use_mkv if container.name != "matroska" else "keep the source beside it",
    )


def _data_route(
    template: Stream,
    packet: Packet[Any] | None,
    copy: Route,
    info: MediaInfo,
    container: ContainerSpec,
) -> Route | Loss | str:
    tag, _ = parameters_of(template)
    name = _describe_data(template, tag)
    if tag == "text" and info.chapters:
        return f"{name} holds the chapters, which are written anew"
    copy = replace(copy, codec=tag or copy.codec)
    if tag == "tmcd":
        if container.timecode_track:
            return copy
        if container.metadata:
            return f"{name} becomes the timecode tag of the video stream"
    listed = bool(container.data_tags)
    if tag in container.data_tags or (not listed and fits(container, template, packet)):
        return copy
    return Loss(
        what=name,
        why=f"{container.label} does not hold such data",
        remedy="write to .mov" if tag in ("tmcd", "gpmd") else "keep the source beside it",
    )


def _describe(stream: StreamInfo) -> str:
    details = ", ".join(text for text in (stream.codec, stream.language, stream.title) if text)
    return f"{stream.kind.value} stream #{stream.index} ({details})"


def _describe_data(template: Stream, tag: str) -> str:
    return f"data stream #{template.index} ({tag or getattr(template, 'name', None) or 'unknown'})"


def _styling_loss(stream: StreamInfo, codec: str) -> Loss:
    return Loss(
        what=f"styling of {_describe(stream)}",
        why=f"{codec} keeps the text and simple styles only",
        remedy="write to .mkv",
    )


def _all_lost(
    info: MediaInfo, selected: list[StreamInfo], config: StreamsConfig, container: ContainerSpec
) -> Iterator[Loss]:
    why, remedy = f"{container.label} holds the picture only", "write to .mkv"
    for stream in selected:
        yield Loss(what=_describe(stream), why=why, remedy=remedy)
    if info.chapters and config.chapters:
        yield Loss(what=f"{len(info.chapters)} chapters", why=why, remedy=remedy)


def _with_tags(
    info: MediaInfo, container: ContainerSpec, config: StreamsConfig, plan: StreamPlan
) -> StreamPlan:
    """The plan with chapters and metadata, and what of them is lost."""
    losses = list(plan.losses)
    chapters = bool(info.chapters) and config.chapters
    if chapters and not container.chapters:
        losses.append(
            Loss(
                what=f"{len(info.chapters)} chapters",
                why=f"{container.label} holds none",
                remedy="write to .mkv",
            )
        )
    video = {
        key: value
        for key, value in info.video.stream.metadata.items()
        if not key.upper().startswith(_STALE_TAGS)
    }
    tags = {
        key: value for key, value in info.metadata.items() if key.lower() not in _CONTAINER_TAGS
    }
    timecodes = (stream.metadata.get("timecode") for stream in info.streams)
    timecode = next((code for code in timecodes if code), None)
    if timecode is not None:
        video.setdefault("timecode", timecode)
    if any(route.codec == "tmcd" for route in plan.routes):
        # The muxer makes a timecode track of the tag; the copied one is the better of the two.
        video.pop("timecode", None)
    options: dict[str, str] = {}
    covers = any(route.kind is StreamKind.COVER for route in plan.routes)
    if container.name in ("mp4", "mov") and not covers and lost_tags(container, tags, options):
        options = {"movflags": "+write_colr+use_metadata_tags"}
    lost = lost_tags(container, tags, options)
    if lost:
        losses.append(
            Loss(
                what=f"metadata {', '.join(sorted(lost))}",
                why=f"{container.label} has no place for it",
                remedy="write to .mkv",
            )
        )
    return StreamPlan(
        routes=plan.routes,
        chapters=chapters and container.chapters,
        metadata=MappingProxyType(tags),
        video_metadata=MappingProxyType(video),
        muxer_options=MappingProxyType(options),
        losses=tuple(losses),
        notes=plan.notes,
    )
