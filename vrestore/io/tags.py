"""What a decoded picture and its codec say beside the samples: colour, shape, rotation, HDR."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import replace
from enum import IntEnum
from fractions import Fraction
from typing import TypeVar

import av
import av.logging
from av.container import InputContainer
from av.video.stream import VideoStream

from vrestore.io.dpx import DpxHeader
from vrestore.io.formats import implied_range
from vrestore.media import (
    ChromaLocation,
    ColorSpec,
    ContentLight,
    FieldOrder,
    MasteringDisplay,
    Matrix,
    Primaries,
    Range,
    Transfer,
)

__all__ = [
    "FieldParity",
    "chroma_location",
    "color_of",
    "content_light",
    "display_matrix",
    "field_order_of",
    "mastering_display",
    "rotation_of",
    "with_dpx",
]

_CHROMA_LOCATIONS = {
    "left": ChromaLocation.LEFT,
    "center": ChromaLocation.CENTER,
    "topleft": ChromaLocation.TOPLEFT,
    "top": ChromaLocation.TOP,
    "bottomleft": ChromaLocation.BOTTOMLEFT,
    "bottom": ChromaLocation.BOTTOM,
}
_FIELD_ORDERS = {
    1: FieldOrder.PROGRESSIVE,
    2: FieldOrder.TOP_FIRST,
    3: FieldOrder.BOTTOM_FIRST,
    # Coded in one order, shown in the other; what is shown first counts.
    4: FieldOrder.BOTTOM_FIRST,
    5: FieldOrder.TOP_FIRST,
}
_E = TypeVar("_E", bound=IntEnum)


def color_of(
    frame: av.VideoFrame, stream: VideoStream, location: ChromaLocation = ChromaLocation.UNSPECIFIED
) -> ColorSpec:
    """The colour tags of a picture, completed by its stream's and by its pixel format.

    RGB gets the RGB matrix and, unless tagged, full range.  Code points that `media` does not name
    become `UNSPECIFIED`.
    """
    context = stream.codec_context
    name = frame.format.name
    implied = implied_range(name)
    is_rgb = frame.format.is_rgb or name == "pal8" or name.startswith("xyz")
    matrix = _known(Matrix, frame.colorspace, context.colorspace)
    if is_rgb:
        matrix, location = Matrix.RGB, ChromaLocation.UNSPECIFIED
    elif matrix is Matrix.RGB:
        # Contradicts samples that are not RGB; seen in the wild, never meant.
        matrix = Matrix.UNSPECIFIED
    return ColorSpec(
        matrix=matrix,
        primaries=_known(Primaries, frame.color_primaries, context.color_primaries),
        transfer=_known(Transfer, frame.color_trc, context.color_trc),
        range=implied
        if name.startswith("yuvj") or name == "pal8"
        else _known(Range, frame.color_range, context.color_range, implied),
        chroma_location=location,
    )


def with_dpx(color: ColorSpec, header: DpxHeader | None) -> ColorSpec:
    """Complete colour tags by those of a DPX header, which FFmpeg's decoder drops."""
    if header is None:
        return color
    primaries, transfer = color.primaries, color.transfer
    return replace(
        color,
        primaries=header.primaries if primaries is Primaries.UNSPECIFIED else primaries,
        transfer=header.transfer if transfer is Transfer.UNSPECIFIED else transfer,
    )


def _known(enum: type[_E], *values: int) -> _E:
    """The first value that says something."""
    unspecified = enum["UNSPECIFIED"]
    for value in values:
        try:
            found = enum(value)
        except ValueError:
            continue
        if found is not unspecified and found.name != "RESERVED":
            return found
    return unspecified


def chroma_location(container: InputContainer, stream: VideoStream) -> ChromaLocation:
    """Where the stream says its chroma samples lie.

    PyAV shows this nowhere but in FFmpeg's own description of a container, and FFmpeg puts it there
    at its "verbose" level only.
    """
    level = av.logging.get_level()
    av.logging.set_level(av.logging.VERBOSE)
    av.logging.set_libav_level(av.logging.VERBOSE)
    try:
        description = str(container.dumps_format())  # type: ignore[attr-defined]
    finally:
        av.logging.set_libav_level(av.logging.INFO)
        av.logging.set_level(level)
    for line in description.splitlines():
        if re.match(rf"\s*Stream #0:{stream.index}\D", line):
            for group in re.findall(r"\(([^()]*)\)", line):
                for word in group.split(", "):
                    if word in _CHROMA_LOCATIONS:
                        return _CHROMA_LOCATIONS[word]
    return ChromaLocation.UNSPECIFIED


def mastering_display(side_data: dict[str, bytes]) -> MasteringDisplay | None:
    """SMPTE ST 2086 data from AVMasteringDisplayMetadata, None where absent or incomplete."""
    data = side_data.get("MASTERING_DISPLAY_METADATA")
    if data is None or len(data) < 88:
        return None
    numbers = struct.unpack("<22i", data[:88])
    if not (numbers[20] and numbers[21]) or any(den == 0 for den in numbers[1:20:2]):
        return None
    values = [Fraction(numbers[i], numbers[i + 1]) for i in range(0, 20, 2)]
    return MasteringDisplay(
        red=(values[0], values[1]),
        green=(values[2], values[3]),
        blue=(values[4], values[5]),
        white=(values[6], values[7]),
        min_luminance=values[8],
        max_luminance=values[9],
    )


def content_light(side_data: dict[str, bytes]) -> ContentLight | None:
    """CTA-861.3 data from AVContentLightMetadata."""
    data = side_data.get("CONTENT_LIGHT_LEVEL")
    if data is None or len(data) < 8:
        return None
    max_content, max_average = struct.unpack("<2I", data[:8])
    return ContentLight(max_content=max_content, max_average=max_average)


def display_matrix(side_data: dict[str, bytes]) -> bytes | None:
    """The display matrix, 9 int32 little endian."""
    data = side_data.get("DISPLAYMATRIX")
    return data[:36] if data is not None and len(data) >= 36 else None


def rotation_of(matrix: bytes | None) -> int:
    """Degrees clockwise, 0, 90, 180 or 270, by which a display matrix turns the picture.

    Mirroring is in the matrix only.
    """
    if matrix is None:
        return 0
    a, b, _, c, d, *_ = struct.unpack("<9i", matrix)
    if math.hypot(a, c) == 0 or math.hypot(b, d) == 0:
        return 0
    degrees = math.degrees(math.atan2(b / math.hypot(b, d), a / math.hypot(a, c)))
    return round(degrees / 90) % 4 * 90


def field_order_of(stream: VideoStream) -> FieldOrder:
    """What the stream's header says."""
    return _FIELD_ORDERS.get(stream.codec_context.field_order, FieldOrder.UNKNOWN)


class FieldParity:
    """Tells which field of an interlaced picture is shown first.

    PyAV does not show FFmpeg's flag; its `select` filter does.
    """

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None
        self._shape: tuple[int, int, str] | None = None

    def of(self, frame: av.VideoFrame) -> FieldOrder:
        """PROGRESSIVE, TOP_FIRST or BOTTOM_FIRST, as the picture is flagged."""
        if not frame.interlaced_frame:
            return FieldOrder.PROGRESSIVE
        shape = (frame.width, frame.height, frame.format.name)
        if self._graph is None or shape != self._shape:
            self._graph, self._shape = self._built(frame), shape
        self._graph.push(frame)
        try:
            self._graph.pull()
        except av.BlockingIOError:
            return FieldOrder.BOTTOM_FIRST
        return FieldOrder.TOP_FIRST

    @staticmethod
    def _built(frame: av.VideoFrame) -> av.filter.Graph:
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base or Fraction(1, 90000),
        )
        select = graph.add("select", "eq(interlace_type,TOPFIRST)")
        sink = graph.add("buffersink")
        source.link_to(select)
        select.link_to(sink)
        graph.configure()
        return graph
