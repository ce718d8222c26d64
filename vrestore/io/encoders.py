"""The encoder table: what each encoder takes and how our settings map onto its own.

Adding an encoder is adding a row.  Nothing here opens anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

import torch

from vrestore.media import SampleFormat

__all__ = [
    "AUTO_ORDER",
    "ENCODERS",
    "HEAVY_BYTES",
    "X264_REPEATABLE",
    "EncoderSpec",
    "Held",
    "Kind",
    "QualityScale",
]


HEAVY_BYTES = 3 * 2**30
"""What an encoder may take for pictures before it has to hold fewer: at 8K x265, SVT-AV1 and x264
take 8 to 10 GiB once a film is under way, which leaves a machine of 8 GiB nothing for the
restoration."""


X264_REPEATABLE: Mapping[str, str] = MappingProxyType(
    {"asm": "avx2"} if torch.backends.cpu.get_cpu_capability() == "AVX512" else {}
)
"""Parameters without which x264 makes other packets of the same frames each time: its AVX-512 code
(macroblock tree) reads beyond its own data where a row of macroblocks is no multiple of 16, as at
widths of 720 and 1920."""


class Kind(Enum):
    """What becomes of the frames."""

    LOSSY = "lossy"
    """A compressed video that gives up what is not seen; 10 bit unless told otherwise."""

    MEZZANINE = "mezzanine"
    """A video for further work; the source's depth and colour model are kept."""

    PICTURES = "pictures"
    """One file per frame; the source's depth is kept."""

    RAW = "raw"
    """Uncompressed, for another program to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityScale:
    """`quality` (0 best .. 51) to an encoder's own number: `scale * quality + offset`, clamped."""

    option: str
    scale: float = 1.0
    offset: float = 0.0
    minimum: float = 0.0
    maximum: float = 51.0
    whole: bool = False
    """The encoder takes integers only."""

    def value(self, quality: float) -> str:
        number = min(max(self.scale * quality + self.offset, self.minimum), self.maximum)
        return str(round(number)) if self.whole else f"{number:g}"


def _same(*names: str) -> Mapping[str, str]:
    return MappingProxyType({name: name for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Memory of an encoder at work; measured at 320x180 to 1920x1080 (docs/memory.md)."""

    pictures: int = 1
    """Of its input."""

    beside: int = 0
    """Bytes per luma sample that do not go with the depth: what it knows of these pictures."""

    mebibytes: int = 0
    """Whatever the size."""

    def bytes(self, format: SampleFormat, width: int, height: int) -> int:
        pictures = self.pictures * format.frame_bytes(width, height)
        return pictures + self.beside * width * height + self.mebibytes * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSpec:
    """One row: an encoder of FFmpeg and what must be known to use it well."""

    name: str
    """As the user writes it."""

    codec: str
    """FFmpeg's name of the encoder."""

    kind: Kind

    feeds: Mapping[str, str]
    """Native planar pixel format -> the one handed to the encoder (a lossless rearrangement)."""

    max_width: int = 16384
    max_height: int = 16384

    even: bool = False
    """Subsampled sizes must be whole: 4:2:0 needs even width and height."""

    hardware: bool = False

    quality: QualityScale | None = None
    speed_option: str = "preset"
    speeds: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Accepted `speed` -> the encoder's value."""

    default_speed: str | None = None
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Always given, before the user's own."""

    parameters: str | None = None
    """The option that takes "a=b:c=d" for the codec library itself."""

    frame_side_data: frozenset[str] = frozenset()
    """Side data of single frames that it writes into the bitstream, FFmpeg's names."""

    codec_tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Muxer -> sample entry that players prefer."""

    aspect_in_stream: bool = False
    """Writes the sample aspect ratio into the bitstream."""

    latency: int = 1
    """Pictures that it may keep before the first packet."""

    holds: Held = field(default_factory=lambda: Held())
    """Memory that it takes while running, at its default speed."""

    lean: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Parameters of the codec library with which it holds fewer pictures, at some cost in size."""

    holds_lean: Held = field(default_factory=lambda: Held())
    """The same with these; measured at 8K, 10 bit."""

    bits_per_pixel: float = 0.0
    """A cautious (low) guess of the output, for the free-space check."""

    def is_lean(self, format: SampleFormat, width: int, height: int) -> bool:
        """Whether `lean` is used at this size: its pictures would take over `HEAVY_BYTES`."""
        return bool(self.lean) and self.holds.bytes(format, width, height) > HEAVY_BYTES

    def held_bytes(self, format: SampleFormat, width: int, height: int) -> int:
        """Memory that it takes for pictures while it runs."""
        held = self.holds_lean if self.is_lean(format, width, height) else self.holds
        return held.bytes(format, width, height)


_X_SPEEDS = _same(
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower",
    "veryslow", "placebo",
)  # fmt: skip

_NVENC_SPEEDS = MappingProxyType(
    {f"p{i}": f"p{i}" for i in range(1, 8)}
    | {"ultrafast": "p1", "veryfast": "p2", "fast": "p3", "medium": "p4", "slow": "p6",
       "veryslow": "p7"}
)  # fmt: skip

_SVT_SPEEDS = MappingProxyType(
    {str(i): str(i) for i in range(14)}
    | {"ultrafast": "12", "superfast": "11", "veryfast": "10", "faster": "9", "fast": "8",
       "medium": "6", "slow": "4", "slower": "3", "veryslow": "2", "placebo": "0"}
)  # fmt: skip


def _planar(*stems: str, depths: tuple[int, ...]) -> dict[str, str]:
    names = [stem if depth == 8 else f"{stem}{depth}le" for stem in stems for depth in depths]
    return {name: name for name in names}


_NVENC_420 = {"yuv420p": "yuv420p", "yuv420p10le": "p010le"}
_NVENC_RICH = _NVENC_420 | {
    "yuv444p": "yuv444p",
    "yuv444p10le": "yuv444p10msble",
    "yuv444p16le": "yuv444p16le",
}

_FFV1 = (
    _planar("yuv420p", "yuv422p", "yuv444p", depths=(8, 9, 10, 12, 14, 16))
    | _planar("yuva420p", "yuva422p", "yuva444p", depths=(8, 9, 10, 16))
    | _planar("yuva422p", "yuva444p", depths=(12,))
    | _planar("yuv440p", depths=(8, 10, 12))
    | _planar("yuv411p", "yuv410p", depths=(8,))
    | _planar("gray", depths=(8, 9, 10, 12, 14, 16))
    | _planar("gbrp", depths=(9, 10, 12, 14, 16))
    | _planar("gbrap", depths=(10, 12, 14, 16))
    | {"gbrp": "bgr0", "gbrap": "bgra", "ya8": "ya8"}
)

_PACKED_8_16 = {
    "gray": "gray", "gray16le": "gray16be", "ya8": "ya8", "ya16le": "ya16be",
    "gbrp": "rgb24", "gbrp16le": "rgb48be", "gbrap": "rgba", "gbrap16le": "rgba64be",
}  # fmt: skip

_STATIC_HDR = frozenset({"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"})
"""Given by parameters to the software encoders (`hdr.py`), frame by frame to these."""

_CAPTIONS = frozenset({"A53_CC"})
# Unregistered user data is left behind on purpose: it is nearly always the stamp of the source's
# own encoder, and decoders choose bug workarounds by that stamp.

_ROWS = (
    EncoderSpec(
        name="hevc_nvenc", codec="hevc_nvenc", kind=Kind.LOSSY, hardware=True, even=True,
        latency=8, holds=Held(pictures=8), aspect_in_stream=True,
        feeds=_NVENC_RICH, max_width=8192, max_height=8192,
        quality=QualityScale(option="cq", offset=2, whole=True),
        speeds=_NVENC_SPEEDS, default_speed="p5",
        options={"rc": "vbr", "b": "0", "tune": "hq", "spatial-aq": "1", "s12m_tc": "1"},
        frame_side_data=_CAPTIONS | _STATIC_HDR | {"S12M_TIMECODE"},
        codec_tags={"mp4": "hvc1", "mov": "hvc1"},
        bits_per_pixel=0.02,
    ),
    EncoderSpec(
        name="av1_nvenc", codec="av1_nvenc", kind=Kind.LOSSY, hardware=True, even=True,
        latency=8, holds=Held(pictures=8),
        feeds=_NVENC_420, max_width=8192, max_height=8192,
        quality=QualityScale(option="cq", scale=1.2, offset=3, maximum=63, whole=True),
        speeds=_NVENC_SPEEDS, default_speed="p5",
        options={"rc": "vbr", "b": "0", "tune": "hq", "spatial-aq": "1"},
        frame_side_data=_STATIC_HDR, bits_per_pixel=0.02,
    ),
    EncoderSpec(
        name="h264_nvenc", codec="h264_nvenc", kind=Kind.LOSSY, hardware=True, even=True,
        latency=8, holds=Held(pictures=8), aspect_in_stream=True,
        feeds=_NVENC_RICH, max_width=4096, max_height=4096,
        quality=QualityScale(option="cq", whole=True),
        speeds=_NVENC_SPEEDS, default_speed="p5",
        options={"rc": "vbr", "b": "0", "tune": "hq", "spatial-aq": "1"},
        frame_side_data=_CAPTIONS, bits_per_pixel=0.02,
    ),
    EncoderSpec(
        name="libx265", codec="libx265", kind=Kind.LOSSY, even=True,
        latency=55, aspect_in_stream=True,
        holds=Held(pictures=55, beside=153, mebibytes=70), holds_lean=Held(pictures=28),
        lean={"bframes": "0", "b-adapt": "0", "rc-lookahead": "1", "ref": "1"},
        feeds=_planar("yuv420p", "yuv422p", "yuv444p", "gbrp", "gray", depths=(8, 10, 12)),
        quality=QualityScale(option="crf", offset=2), speeds=_X_SPEEDS, default_speed="medium",
        options={"a53cc": "1"}, parameters="x265-params",
        frame_side_data=_CAPTIONS,
        codec_tags={"mp4": "hvc1", "mov": "hvc1"}, bits_per_pixel=0.02,
    ),
    EncoderSpec(
        name="libsvtav1", codec="libsvtav1", kind=Kind.LOSSY, even=True,
        latency=47,
        holds=Held(pictures=85, mebibytes=110), holds_lean=Held(pictures=20),
        lean={"lookahead": "0", "hierarchical-levels": "2", "pred-struct": "1"},
        feeds=_planar("yuv420p", depths=(8, 10)), max_height=8704,
        quality=QualityScale(option="crf", scale=1.2, offset=5, minimum=1, maximum=63, whole=True),
        speeds=_SVT_SPEEDS, default_speed="8", parameters="svtav1-params",
        bits_per_pixel=0.02,
    ),
    EncoderSpec(
        name="libx264", codec="libx264", kind=Kind.LOSSY, even=True,
        latency=55, aspect_in_stream=True,
        holds=Held(pictures=107, beside=10, mebibytes=20), holds_lean=Held(pictures=13),
        lean={"bframes": "0", "rc-lookahead": "0", "sync-lookahead": "0", "mbtree": "0",
              "ref": "1"},
        feeds=_planar("yuv420p", "yuv422p", "yuv444p", depths=(8, 10))
        | _planar("gray", depths=(8, 10)),
        quality=QualityScale(option="crf"), speeds=_X_SPEEDS, default_speed="medium",
        options={"a53cc": "1"}, parameters="x264-params",
        frame_side_data=_CAPTIONS, bits_per_pixel=0.03,
    ),
    EncoderSpec(
        name="ffv1", codec="ffv1", kind=Kind.MEZZANINE, feeds=_FFV1,
        options={"level": "3", "coder": "range_tab", "context": "1", "g": "1", "slicecrc": "1"},
        bits_per_pixel=1.0,
    ),
    EncoderSpec(
        name="prores_ks", codec="prores_ks", kind=Kind.MEZZANINE, even=True,
        feeds=_planar("yuv422p", "yuv444p", "yuva444p", depths=(10,)),
        speed_option="profile",
        speeds=_same("proxy", "lt", "standard", "hq", "4444", "4444xq"),
        options={"vendor": "apl0"}, bits_per_pixel=0.5,
    ),
    EncoderSpec(
        name="png", codec="png", kind=Kind.PICTURES, feeds=_PACKED_8_16, bits_per_pixel=2.0,
    ),
    EncoderSpec(
        name="tiff16", codec="tiff", kind=Kind.PICTURES,
        feeds={"gray16le": "gray16le", "ya16le": "ya16le", "gbrp16le": "rgb48le",
               "gbrap16le": "rgba64le"},
        options={"compression_algo": "deflate"}, bits_per_pixel=4.0,
    ),
    EncoderSpec(
        name="dpx", codec="dpx", kind=Kind.PICTURES,
        feeds={"gray": "gray", "gray16le": "gray16be", "gbrp": "rgb24", "gbrap": "rgba",
               "gbrp10le": "gbrp10be", "gbrp12le": "gbrp12be", "gbrp16le": "rgb48be",
               "gbrap16le": "rgba64be"},
        bits_per_pixel=8.0,
    ),
    EncoderSpec(
        name="exr", codec="exr", kind=Kind.PICTURES,
        feeds={"grayf32le": "grayf32le", "gbrpf32le": "gbrpf32le", "gbrapf32le": "gbrapf32le"},
        options={"format": "float", "compression": "zip16"}, bits_per_pixel=8.0,
    ),
    EncoderSpec(
        name="y4m", codec="wrapped_avframe", kind=Kind.RAW,
        feeds=_planar("yuv420p", "yuv422p", "yuv444p", depths=(8, 9, 10, 12, 14, 16))
        | _planar("yuv411p", depths=(8,)) | _planar("gray", depths=(8, 9, 10, 12, 16)),
        bits_per_pixel=8.0,
    ),
    EncoderSpec(name="null", codec="wrapped_avframe", kind=Kind.RAW, feeds={}),
)  # fmt: skip

ENCODERS: Mapping[str, EncoderSpec] = MappingProxyType({row.name: row for row in _ROWS})
"""All rows by the name a user writes."""

AUTO_ORDER = ("hevc_nvenc", "av1_nvenc", "h264_nvenc", "libx265", "libsvtav1", "libx264")
"""`--encoder auto` takes the first of these that opens and gives up nothing a later one keeps."""
