"""Values of this program as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from vrestore import setting_type
from vrestore.media import ColorModel, ColorSpec, MediaInfo, SampleFormat, StreamInfo, VideoInfo
from vrestore.preset import Setting

__all__ = ["columns", "media", "settings"]


def columns(rows: Iterable[Sequence[str]], indent: str = "") -> str:
    """Rows as aligned columns two blanks apart; the last one is as long as it wants."""
    table = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in table
    )
    return "\n".join(indent + line.rstrip() for line in lines)


def media(info: MediaInfo) -> str:
    """A source: its container, picture and streams, and what a rule had to guess."""
    video = info.video
    facts = [
        ("container", _container(info)),
        ("picture", _picture(video)),
        ("colour", _color(video.color)),
        ("time", _time(info)),
    ]
    if extras := _extras(video):
        facts.append(("also", extras))
    facts += [("stream", _stream(stream)) for stream in info.streams]
    if info.chapters:
        facts.append(("chapters", str(len(info.chapters))))
    facts += [("guess", guess) for guess in info.guesses]
    if info.cut_off is not None:
        facts.append(("damage", info.cut_off))
    return f"{info.path}\n{columns(facts, '  ')}"


def settings(items: Iterable[Setting]) -> str:
    """Each key with its value and where it comes from."""
    return columns((item.key, setting_type.write(item.value), item.origin) for item in items)


def _container(info: MediaInfo) -> str:
    size = "" if info.size_bytes is None else f", {info.size_bytes:,} bytes"
    return f"{info.container}{size}"


def _picture(video: VideoInfo) -> str:
    sar = "" if video.sar == 1 else f", samples {video.sar.numerator}:{video.sar.denominator}"
    turned = f", turned by {video.rotation} degrees" if video.rotation else ""
    return (
        f"{video.stream.codec}, {video.width}x{video.height}{sar}{turned}, "
        f"{video.pixel_format} ({_format(video.format)}), {video.field_order.value}"
    )


def _format(layout: SampleFormat) -> str:
    names = {
        (0, 0): "4:4:4",
        (1, 0): "4:2:2",
        (1, 1): "4:2:0",
        (2, 0): "4:1:1",
        (2, 2): "4:1:0",
        (0, 1): "4:4:0",
    }
    name = layout.model.value
    if layout.model is ColorModel.YCBCR:
        name = names.get((layout.log2_chroma_w, layout.log2_chroma_h), "subsampled")
    return f"{name}, {layout.depth} bit{', alpha' if layout.alpha else ''}"


def _color(color: ColorSpec) -> str:
    parts = (
        ("matrix", color.matrix),
        ("primaries", color.primaries),
        ("transfer", color.transfer),
        ("range", color.range),
        ("siting", color.chroma_location),
    )
    return ", ".join(f"{what} {value.name.lower()}" for what, value in parts)


def _time(info: MediaInfo) -> str:
    parts = []
    if (rate := info.video.average_rate) is not None:
        parts.append(f"{_decimal(rate)} pictures a second")
    if info.duration_seconds_from_header is not None:
        parts.append(f"{_decimal(info.duration_seconds_from_header)} s says the header")
    if info.video.frame_count is not None:
        parts.append(f"{info.video.frame_count} pictures ({info.video.frame_count_from.value})")
    return ", ".join([*parts, f"tick {info.video.time_base} s"])


def _extras(video: VideoInfo) -> str:
    parts = list(video.side_data)
    if video.mastering_display is not None:
        parts.append(
            f"mastering display to {_decimal(video.mastering_display.max_luminance)} cd/m2"
        )
    if video.content_light is not None:
        parts.append(
            f"content light {video.content_light.max_content}/"
            f"{video.content_light.max_average} cd/m2"
        )
    return ", ".join(parts)


def _stream(stream: StreamInfo) -> str:
    parts = [f"#{stream.index} {stream.kind.value}", stream.codec]
    if stream.language:
        parts.append(stream.language)
    if stream.title:
        parts.append(f'"{stream.title}"')
    if stream.dispositions:
        parts.append(f"({', '.join(stream.dispositions)})")
    return " ".join(parts)


def _decimal(value: Fraction) -> str:
    return f"{float(value):.3f}".rstrip("0").rstrip(".")
