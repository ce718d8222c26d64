"""The values that flow through vrestore: time, colour, sample formats, frames, streams.

No I/O and no arithmetic on pictures here.  All values are frozen.  Colour enums carry the code
points of ITU-T H.273 (01/2024), tables 2 (primaries), 3 (transfer) and 4 (matrix).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import torch

# --------------------------------------------------------------------------------------- time


@dataclass(frozen=True, slots=True, kw_only=True, order=False)
class Timestamp:
    """An exact instant on a stream's clock.

    Made by the decoder, by a deinterlacer that doubles the rate and by the encoder, nowhere else.
    """

    pts: int
    """Presentation time in units of `time_base`; may be negative."""

    time_base: Fraction
    """Seconds per tick; positive."""

    def __post_init__(self) -> None:
        if self.time_base <= 0:
            raise ValueError(f"time_base must be positive, got {self.time_base}")

    @property
    def seconds(self) -> Fraction:
        """The instant in seconds, exact."""
        return self.pts * self.time_base

    def rescaled(self, time_base: Fraction) -> Timestamp:
        """The nearest tick of another clock (halves away from zero, as `av_rescale_q`)."""
        exact = self.seconds / time_base
        magnitude = (2 * abs(exact.numerator) + exact.denominator) // (2 * exact.denominator)
        return Timestamp(pts=magnitude if exact >= 0 else -magnitude, time_base=time_base)


# -------------------------------------------------------------------------------------- colour


class Matrix(IntEnum):
    """Matrix coefficients, H.273 table 4."""

    RGB = 0
    BT709 = 1
    UNSPECIFIED = 2
    FCC = 4
    BT470BG = 5
    """601 for 625-line systems."""
    SMPTE170M = 6
    """601 for 525-line systems; the same coefficients as BT470BG."""
    SMPTE240M = 7
    YCGCO = 8
    BT2020_NCL = 9
    BT2020_CL = 10
    SMPTE2085 = 11
    CHROMA_NCL = 12
    CHROMA_CL = 13
    ICTCP = 14


class Primaries(IntEnum):
    """Colour primaries, H.273 table 2."""

    RESERVED = 0
    BT709 = 1
    UNSPECIFIED = 2
    BT470M = 4
    BT470BG = 5
    """601 for 625-line systems."""
    SMPTE170M = 6
    """601 for 525-line systems."""
    SMPTE240M = 7
    FILM = 8
    BT2020 = 9
    SMPTE428 = 10
    SMPTE431 = 11
    SMPTE432 = 12
    EBU3213 = 22


class Transfer(IntEnum):
    """Transfer characteristics, H.273 table 3."""

    RESERVED = 0
    BT709 = 1
    UNSPECIFIED = 2
    GAMMA22 = 4
    GAMMA28 = 5
    SMPTE170M = 6
    SMPTE240M = 7
    LINEAR = 8
    LOG = 9
    LOG_SQRT = 10
    IEC61966_2_4 = 11
    BT1361 = 12
    SRGB = 13
    BT2020_10 = 14
    BT2020_12 = 15
    PQ = 16
    """SMPTE ST 2084."""
    SMPTE428 = 17
    HLG = 18
    """ARIB STD-B67."""


class Range(IntEnum):
    """Quantisation range, numbered as FFmpeg's AVColorRange."""

    UNSPECIFIED = 0
    LIMITED = 1
    """Luma 16..235, chroma 16..240, at 8 bit."""
    FULL = 2


class ChromaLocation(IntEnum):
    """Siting of chroma samples, numbered as FFmpeg's AVChromaLocation."""

    UNSPECIFIED = 0
    LEFT = 1
    """MPEG-2, H.264 default: horizontally co-sited, vertically between."""
    CENTER = 2
    """MPEG-1, JPEG: between in both directions."""
    TOPLEFT = 3
    """DV PAL, HEVC/AV1 BT.2020: co-sited in both directions."""
    TOP = 4
    BOTTOMLEFT = 5
    BOTTOM = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorSpec:
    """How code values mean colour.  `UNSPECIFIED` stays unspecified until a rule resolves it."""

    matrix: Matrix = Matrix.UNSPECIFIED
    primaries: Primaries = Primaries.UNSPECIFIED
    transfer: Transfer = Transfer.UNSPECIFIED
    range: Range = Range.UNSPECIFIED
    chroma_location: ChromaLocation = ChromaLocation.UNSPECIFIED


# ------------------------------------------------------------------------------------- samples


class ColorModel(Enum):
    """What the planes are."""

    YCBCR = "ycbcr"
    RGB = "rgb"
    GRAY = "gray"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFormat:
    """The layout of one frame: planar, one component a plane.

    Plane order is Y, Cb, Cr or R, G, B or gray, then alpha where there is one.
    """

    model: ColorModel

    depth: int
    """Significant bits per component, 8 to 16, or 32 with `is_float`."""

    log2_chroma_w: int = 0
    """log2 of the horizontal chroma subsampling: 1 for 4:2:0 and 4:2:2, 2 for 4:1:1."""

    log2_chroma_h: int = 0
    """log2 of the vertical chroma subsampling: 1 for 4:2:0."""

    alpha: bool = False

    is_float: bool = False
    """The *file's* components are floating point (EXR, PFM)."""

    def __post_init__(self) -> None:
        if self.is_float != (self.depth == 32) or not (self.is_float or 8 <= self.depth <= 16):
            raise ValueError(f"depth must be 8..16, or 32 for float samples, got {self.depth}")
        if self.model is not ColorModel.YCBCR and (self.log2_chroma_w or self.log2_chroma_h):
            raise ValueError(f"{self.model.value} planes are never subsampled")

    @property
    def color_planes(self) -> int:
        """Number of planes without alpha: 1 or 3."""
        return 1 if self.model is ColorModel.GRAY else 3

    @property
    def plane_count(self) -> int:
        return self.color_planes + self.alpha

    @property
    def code_dtype(self) -> torch.dtype:
        """dtype of the planes while they hold code values."""
        if self.is_float:
            return torch.float32
        return torch.uint8 if self.depth == 8 else torch.uint16

    def is_chroma(self, plane: int) -> bool:
        return self.model is ColorModel.YCBCR and plane in (1, 2)

    def plane_size(self, plane: int, width: int, height: int) -> tuple[int, int]:
        """(height, width) of a plane, chroma rounded up as FFmpeg does."""
        if not self.is_chroma(plane):
            return height, width
        return (
            -(-height >> self.log2_chroma_h),
            -(-width >> self.log2_chroma_w),
        )

    def frame_bytes(self, width: int, height: int, bytes_per_sample: int | None = None) -> int:
        """Bytes of one frame as code values, or at a given sample size."""
        size = bytes_per_sample or self.code_dtype.itemsize
        samples = sum(
            h * w for h, w in (self.plane_size(i, width, height) for i in range(self.plane_count))
        )
        return samples * size


class Coding(Enum):
    """What the numbers in a frame's planes are."""

    CODE = "code"
    """Integers as stored in the file (`SampleFormat.code_dtype`), in `ColorSpec.range`."""

    UNIT = "unit"
    """float32 or half, full range: Y, R, G, B, gray and alpha 0..1, Cb and Cr 0..1 about 0.5.

    Affine in the code values (H.273 equations 8-26 ff. inverted), never clamped: head- and footroom
    of limited range lie outside 0..1 and come back unchanged.
    """


NO_TUNING: Mapping[str, float] = MappingProxyType({})


class FieldOrder(Enum):
    """How a frame was scanned, as far as the source says."""

    UNKNOWN = "unknown"
    PROGRESSIVE = "progressive"
    TOP_FIRST = "tff"
    BOTTOM_FIRST = "bff"

    @property
    def has_fields(self) -> bool:
        """Whether it says which of two fields is the first."""
        return self in (FieldOrder.TOP_FIRST, FieldOrder.BOTTOM_FIRST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture on its way through the pipeline.

    Its planes are never written after it was handed on by `push` or `send`; whoever wants other
    contents makes a new Frame (`dataclasses.replace`).
    """

    planes: tuple[torch.Tensor, ...] = field(repr=False, compare=False)
    """One (H, W) tensor per component, on one device; rows may be padded (stride(0) >= W)."""

    format: SampleFormat
    coding: Coding
    color: ColorSpec
    timestamp: Timestamp

    duration: int
    """In units of `timestamp.time_base`; positive."""

    index: int
    """Number of the source frame it shows, from 0, for accounting only: never used as time."""

    shot_start: bool = False
    """The first frame of a shot: nothing before it may influence it or what follows."""

    field_order: FieldOrder = FieldOrder.UNKNOWN

    mask: torch.Tensor | None = field(default=None, repr=False, compare=False)
    """Samples of the first plane that a repair found damaged, bool (H, W); None for none.  Kept at
    the size of the frame in which they were found."""

    tuning: Mapping[str, float] = field(
        default_factory=lambda: NO_TUNING, repr=False, compare=False
    )
    """Preset keys, such as "deflicker.strength", that have other values in this shot; the same
    mapping in all frames of a shot."""

    ready: Any = field(default=None, repr=False, compare=False)
    """Token of `runtime.device` that says when the planes may be read; opaque to everyone else."""

    origin: Any = field(default=None, repr=False, compare=False)
    """The decoded frame whose side data (captions, HDR, AFD) the encoder may carry on; opaque
    outside `io`."""

    def __post_init__(self) -> None:
        if len(self.planes) != self.format.plane_count:
            raise ValueError(
                f"{self.format} has {self.format.plane_count} planes, got {len(self.planes)}"
            )
        if self.duration <= 0:
            raise ValueError(f"duration must be positive, got {self.duration}")

    @property
    def width(self) -> int:
        return int(self.planes[0].shape[1])

    @property
    def height(self) -> int:
        return int(self.planes[0].shape[0])

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """What `runtime.device` must keep alive and ordered across threads."""
        return self.planes

    def __repr__(self) -> str:
        at = self.timestamp
        return (
            f"Frame(index={self.index}, {self.width}x{self.height} {self.format.model.value} "
            f"{self.format.depth} bit {self.coding.value}, pts={at.pts}*{at.time_base}, "
            f"duration={self.duration}{', shot_start' if self.shot_start else ''})"
        )


# ------------------------------------------------------------------------------------- streams


class StreamKind(Enum):
    VIDEO = "video"
    AUDIO = "audio"
    SUBTITLE = "subtitle"
    DATA = "data"
    ATTACHMENT = "attachment"
    COVER = "cover"
    """A still stored as a video stream with the attached-picture disposition."""


class Provenance(Enum):
    """Where a number came from."""

    HEADER = "header"
    MEASURED = "measured"
    GUESS = "guess"
    USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """One stream of the source, as its header describes it."""

    index: int
    """Position in the source container."""

    kind: StreamKind

    codec: str
    """FFmpeg's codec name, "unknown" where there is none."""

    language: str | None = None
    title: str | None = None
    dispositions: tuple[str, ...] = ()
    """FFmpeg's names: default, forced, attached_pic ..."""

    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    time_base: Fraction | None = None
    start_pts: int | None = None
    """In units of `time_base`."""

    duration: int | None = None
    """In units of `time_base`; from the header, may be wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MasteringDisplay:
    """SMPTE ST 2086: chromaticities in units of 1, luminance in cd/m2, exact as stored."""

    red: tuple[Fraction, Fraction]
    green: tuple[Fraction, Fraction]
    blue: tuple[Fraction, Fraction]
    white: tuple[Fraction, Fraction]
    min_luminance: Fraction
    max_luminance: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentLight:
    """CTA-861.3, in cd/m2."""

    max_content: int
    max_average: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """The picture of the source: what its header claims and what the first frames showed."""

    stream: StreamInfo
    width: int
    """Coded picture in pixels, before any rotation."""
    height: int

    format: SampleFormat
    """Planar layout that the decoder delivers."""

    pixel_format: str
    """FFmpeg's name of the source's own format, e.g. "yuv420p10le", "pal8"."""

    color: ColorSpec
    """As tagged; `UNSPECIFIED` where the source says nothing."""

    sar: Fraction = Fraction(1)
    """Sample aspect ratio, width over height of one sample."""

    rotation: int = 0
    """Degrees clockwise by which a player turns the picture, a multiple of 90; kept as a tag."""

    display_matrix: bytes | None = field(default=None, repr=False)
    """The display matrix as stored, 9 int32 little endian, None for none."""

    time_base: Fraction = Fraction(1, 90000)
    average_rate: Fraction | None = None
    """Frames per second as the header claims; for rate control only, never for time."""

    frame_count: int | None = None
    frame_count_from: Provenance = Provenance.HEADER
    field_order: FieldOrder = FieldOrder.UNKNOWN
    mastering_display: MasteringDisplay | None = None
    content_light: ContentLight | None = None
    side_data: tuple[str, ...] = ()
    """Names of the side data seen on the first frames (A53_CC, DYNAMIC_HDR_PLUS ...)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    id: int
    start: int
    """In units of `time_base`, half-open [start, end)."""
    end: int
    time_base: Fraction
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """Everything known of a source before the first frame is restored."""

    path: str
    """As given: a file, an image pattern such as frames/%05d.png, or "-" for standard input."""

    container: str
    """FFmpeg's short demuxer name: "matroska", "mov", "yuv4mpegpipe", "image2" ..."""

    video: VideoInfo
    streams: tuple[StreamInfo, ...]
    """All streams, the restored one included, in the source's order."""

    chapters: tuple[Chapter, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    duration_seconds_from_header: Fraction | None = None
    size_bytes: int | None = None
    is_still: bool = False
    """A single picture: output is a picture too, and no time is written."""

    guesses: tuple[str, ...] = ()
    """One sentence for each fact that a rule supplied because the source did not."""

    cut_off: str | None = None
    """What is missing at the end of the file, as a sentence."""
