"""Static HDR data (SMPTE ST 2086, CTA-861.3) for the bitstream and for the container.

Encoders take it as text of their own.  For the container PyAV has no setter, but a bitstream filter
copies all parameters from one stream to another: `side_data_source` is a stream that has nothing
but the wanted side data, read from a Matroska header made in memory.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import av
from av.bitstream import BitStreamFilterContext

from vrestore.io.ebml import element, real, uint
from vrestore.media import ContentLight, MasteringDisplay

__all__ = [
    "attach_static_hdr",
    "parameter_text",
    "svtav1_parameters",
    "x264_parameters",
    "x265_parameters",
]

_CHROMATICITY = 50000
"""Units per 1 in the HEVC and AVC messages (ST 2086: 0.00002)."""

_LUMINANCE = 10000
"""Units per cd/m2 (ST 2086: 0.0001)."""


def _display_units(display: MasteringDisplay) -> str:
    """G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min) in the units of ST 2086, as x265 and x264 take it."""
    pairs = (("G", display.green), ("B", display.blue), ("R", display.red), ("WP", display.white))
    points = "".join(
        f"{name}({round(x * _CHROMATICITY)},{round(y * _CHROMATICITY)})" for name, (x, y) in pairs
    )
    brightest, darkest = display.max_luminance, display.min_luminance
    return f"{points}L({round(brightest * _LUMINANCE)},{round(darkest * _LUMINANCE)})"


def x265_parameters(display: MasteringDisplay | None, light: ContentLight | None) -> dict[str, str]:
    """Entries for `x265-params`; empty where there is nothing to say."""
    parameters = {}
    if display is not None:
        parameters["master-display"] = _display_units(display)
    if light is not None:
        parameters["max-cll"] = f"{light.max_content},{light.max_average}"
    if parameters:
        parameters["hdr10"] = "1"
    return parameters


def x264_parameters(display: MasteringDisplay | None, light: ContentLight | None) -> dict[str, str]:
    """Entries for `x264-params`."""
    parameters = {}
    if display is not None:
        parameters["mastering-display"] = _display_units(display)
    if light is not None:
        parameters["cll"] = f"{light.max_content},{light.max_average}"
    return parameters


def svtav1_parameters(
    display: MasteringDisplay | None, light: ContentLight | None
) -> dict[str, str]:
    """Entries for `svtav1-params`, whose chromaticities and luminances are decimal."""
    parameters = {}
    if display is not None:
        pairs = (("G", display.green), ("B", display.blue), ("R", display.red))
        points = "".join(
            f"{name}({float(x):.6f},{float(y):.6f})"
            for name, (x, y) in (*pairs, ("WP", display.white))
        )
        brightest, darkest = float(display.max_luminance), float(display.min_luminance)
        parameters["mastering-display"] = f"{points}L({brightest:.4f},{darkest:.6f})"
    if light is not None:
        parameters["content-light"] = f"{light.max_content},{light.max_average}"
    return parameters


def attach_static_hdr(
    stream: av.VideoStream, display: MasteringDisplay | None, light: ContentLight | None
) -> None:
    """Gives an output stream side data that its container writes (mdcv/clli, MasteringMetadata).

    To be called right after `add_stream`: it resets everything else that was set on the stream.
    """
    if display is None and light is None:
        return
    with av.open(io.BytesIO(_matroska_header(display, light))) as source:
        BitStreamFilterContext("null", in_stream=source.streams.video[0], out_stream=stream)


# EBML and Matroska element identifiers (RFC 8794, RFC 9559), only those needed here.
_EBML, _DOC_TYPE, _DOC_VERSION, _DOC_READ_VERSION = 0x1A45DFA3, 0x4282, 0x4287, 0x4285
_SEGMENT, _INFO, _TIMESTAMP_SCALE, _TRACKS = 0x18538067, 0x1549A966, 0x2AD7B1, 0x1654AE6B
_CLUSTER, _CLUSTER_TIME = 0x1F43B675, 0xE7
_TRACK, _NUMBER, _UID, _TYPE, _CODEC = 0xAE, 0xD7, 0x73C5, 0x83, 0x86
_VIDEO, _WIDTH, _HEIGHT, _COLOUR, _MAX_CLL, _MAX_FALL = 0xE0, 0xB0, 0xBA, 0x55B0, 0x55BC, 0x55BD
_MASTERING, _FIRST_CHROMATICITY, _LUMINANCE_MAX, _LUMINANCE_MIN = 0x55D0, 0x55D1, 0x55D9, 0x55DA


def _matroska_header(display: MasteringDisplay | None, light: ContentLight | None) -> bytes:
    colour = b""
    if light is not None:
        colour += uint(_MAX_CLL, light.max_content) + uint(_MAX_FALL, light.max_average)
    if display is not None:
        points = (display.red, display.green, display.blue, display.white)
        values = [coordinate for point in points for coordinate in point]
        body = b"".join(real(_FIRST_CHROMATICITY + i, value) for i, value in enumerate(values))
        body += real(_LUMINANCE_MAX, display.max_luminance)
        body += real(_LUMINANCE_MIN, display.min_luminance)
        colour += element(_MASTERING, body)
    picture = uint(_WIDTH, 16) + uint(_HEIGHT, 16) + element(_COLOUR, colour)
    # A codec that no one knows: the copied parameters must not name one, or the encoder refuses.
    track = uint(_NUMBER, 1) + uint(_UID, 1) + uint(_TYPE, 1)
    track += element(_CODEC, b"V_NONE") + element(_VIDEO, picture)
    segment = element(_INFO, uint(_TIMESTAMP_SCALE, 1_000_000))
    segment += element(_TRACKS, element(_TRACK, track))
    segment += element(_CLUSTER, uint(_CLUSTER_TIME, 0))
    head = element(_DOC_TYPE, b"matroska") + uint(_DOC_VERSION, 4) + uint(_DOC_READ_VERSION, 2)
    return element(_EBML, head) + element(_SEGMENT, segment)


def parameter_text(parameters: Sequence[tuple[str, str]]) -> str:
    """`a=b:c=d` as the codec libraries read it."""
    return ":".join(f"{key}={value}" for key, value in parameters)
