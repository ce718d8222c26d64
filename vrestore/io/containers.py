"""The container table: what each output format can hold.

Whether a codec fits is not written here: it is asked of the muxer itself (`streams.fits`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from types import MappingProxyType

from vrestore.errors import PlanError

__all__ = ["CONTAINERS", "ContainerSpec", "container_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """One row: a muxer of FFmpeg and what it keeps."""

    name: str
    """FFmpeg's muxer."""

    label: str
    """As messages call it."""

    extensions: tuple[str, ...]

    equal_times: bool = False
    """Packets of one stream may share a decoding time."""

    attachments: bool = False
    covers: bool = False
    chapters: bool = False
    timecode_track: bool = False
    """Takes a copied timecode track; where not, a tag on the video stream says the same."""

    data_tags: frozenset[str] = frozenset()
    """Sample entries of data tracks that it writes correctly."""

    codecs: frozenset[str] | None = None
    """The codecs that can be read back; None where whatever the muxer takes can be."""

    text_subtitles: str | None = None
    """The encoder that text subtitles are converted to where it does not take them as they are."""

    metadata: bool = True
    video_only: bool = False
    aspect_for_all: bool = True
    """Is told the sample aspect ratio of codecs whose bitstream has none (see `ebml.py`)."""

    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


_TRANSPORT_CODECS = frozenset({
    "mpeg1video", "mpeg2video", "mpeg4", "h264", "hevc", "vvc",
    "mp1", "mp2", "mp3", "aac", "aac_latm", "ac3", "eac3", "dts", "truehd", "opus",
    "dvb_subtitle", "dvb_teletext", "klv", "timed_id3",
})  # fmt: skip

_SYNC = {"max_interleave_delta": "1000000"}
_EXACT = _SYNC | {"avoid_negative_ts": "disabled"}

_ROWS = (
    ContainerSpec(
        name="matroska", label="Matroska", extensions=(".mkv",), equal_times=True,
        attachments=True, covers=True, chapters=True, text_subtitles="subrip", aspect_for_all=False,
        options=_EXACT | {"default_mode": "passthrough"},
    ),
    ContainerSpec(
        name="webm", label="WebM", extensions=(".webm",), equal_times=True, chapters=True,
        text_subtitles="webvtt", aspect_for_all=False, options=_EXACT,
    ),
    ContainerSpec(
        name="mp4", label="MP4", extensions=(".mp4", ".m4v"), covers=True, chapters=True,
        data_tags=frozenset({"gpmd"}), text_subtitles="mov_text",
        options=_EXACT | {"use_editlist": "1", "movflags": "+write_colr"},
    ),
    ContainerSpec(
        name="mov", label="QuickTime", extensions=(".mov", ".qt"), chapters=True,
        timecode_track=True, data_tags=frozenset({"tmcd", "gpmd"}), text_subtitles="mov_text",
        options=_EXACT | {"use_editlist": "1", "movflags": "+write_colr"},
    ),
    ContainerSpec(
        name="mpegts", label="MPEG-TS", extensions=(".ts", ".m2ts", ".mts"),
        codecs=_TRANSPORT_CODECS, metadata=False,
        options=_SYNC | {"mpegts_copyts": "1"},
    ),
    ContainerSpec(
        name="yuv4mpegpipe", label="y4m", extensions=(".y4m",), metadata=False, video_only=True,
        options={"strict": "-1"},
    ),
    ContainerSpec(
        name="image2", label="an image sequence", extensions=(), metadata=False, video_only=True,
    ),
    ContainerSpec(name="null", label="null", extensions=(), metadata=False, video_only=True),
)  # fmt: skip

CONTAINERS: Mapping[str, ContainerSpec] = MappingProxyType({row.name: row for row in _ROWS})


def container_for(output: str, encoder: str = "auto") -> ContainerSpec:
    """The container that an output name and an encoder ask for.

    "-" is y4m on standard output; numbered names and the picture encoders are image sequences.
    Raises PlanError for an extension that no row has.
    """
    if encoder == "null":
        return CONTAINERS["null"]
    if output == "-" or encoder == "y4m":
        return CONTAINERS["yuv4mpegpipe"]
    if "%" in output or encoder in ("png", "tiff16", "dpx", "exr"):
        return CONTAINERS["image2"]
    extension = PurePath(output).suffix.lower()
    for row in _ROWS:
        if extension in row.extensions:
            return row
    known = " ".join(extension for row in _ROWS for extension in row.extensions)
    raise PlanError(
        f"{output}: no container for {extension or 'a name without extension'}; "
        f"choose one of {known}"
    )
