"""NVIDIA's decoder: what it reads, whether it is there, and how FFmpeg is told to use it.

Limits are those of NVIDIA's *NVDEC application note* (Video Codec SDK 13) for the generations that
torch still supports; where a card has less, FFmpeg's own decoder takes over picture by picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import av
from av.codec.hwaccel import HWAccel

from vrestore.errors import DeviceError
from vrestore.media import ColorModel, SampleFormat, VideoInfo

__all__ = [
    "EXTRA_SURFACES",
    "NVDEC",
    "DecoderLimits",
    "accelerator",
    "decoder_refusal",
    "require_driver",
]

EXTRA_SURFACES = 8
"""Pictures beyond a decoder's own that may be held on their way: by the repair of times, and the
last good one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderLimits:
    """One codec of NVDEC, in 4:2:0."""

    max_width: int
    max_height: int
    depths: frozenset[int] = frozenset({8})


NVDEC: Mapping[str, DecoderLimits] = MappingProxyType(
    {
        "mpeg1video": DecoderLimits(max_width=4080, max_height=4080),
        "mpeg2video": DecoderLimits(max_width=4080, max_height=4080),
        "h264": DecoderLimits(max_width=4096, max_height=4096),
        "hevc": DecoderLimits(max_width=8192, max_height=8192, depths=frozenset({8, 10})),
        "vp8": DecoderLimits(max_width=4096, max_height=4096),
        "vp9": DecoderLimits(max_width=8192, max_height=8192, depths=frozenset({8, 10})),
        "av1": DecoderLimits(max_width=8192, max_height=8192, depths=frozenset({8, 10})),
    }
)
"""FFmpeg's name of a codec -> what NVDEC decodes of it.  MPEG-4 and VC-1 stay on the processor:
NVDEC has them only up to HD, where they cost it little."""


def accelerator(index: int) -> HWAccel:
    """Decoding or encoding on CUDA device `index` with pictures that stay there, in the context
    that torch uses too.  What the device cannot decode FFmpeg decodes itself."""
    return HWAccel("cuda", device=str(index), is_hw_owned=True, allow_software_fallback=True)


def decoder_refusal(
    video: VideoInfo, index: int, probe: Callable[[str, int], None] | None = None
) -> str | None:
    """Why NVDEC of device `index` does not decode a source, as half a sentence; None where it does.

    `probe` opens a codec on a device and raises DeviceError where that fails.
    """
    codec, form = video.stream.codec, video.format
    limits = NVDEC.get(codec)
    if limits is None:
        return f"NVDEC has no {codec}"
    if not _is_420(form):
        return f"NVDEC keeps only 4:2:0, the source is {video.pixel_format}"
    if form.depth not in limits.depths:
        return f"NVDEC has no {form.depth}-bit {codec}"
    if video.width > limits.max_width or video.height > limits.max_height:
        return f"NVDEC stops at {limits.max_width}x{limits.max_height} for {codec}"
    if video.width % 2 or video.height % 2:
        return "NVDEC gives even sizes only"
    if video.side_data:
        return f"its pictures carry {video.side_data[0]}, which would stay behind on the device"
    try:
        (probe or require_driver)(codec, index)
    except DeviceError as refused:
        return str(refused)
    return None


def require_driver(codec: str, index: int) -> None:
    """Raise DeviceError where a decoder of that codec cannot be had on CUDA device `index`."""
    try:
        av.CodecContext.create(codec, "r", hwaccel=accelerator(index))
    except (av.FFmpegError, NotImplementedError, ValueError) as error:
        # Without a driver FFmpeg says "Operation not permitted", of which nobody learns anything.
        what = "no NVIDIA driver" if isinstance(error, PermissionError) else str(error)
        raise DeviceError(f"CUDA device {index} does not decode {codec}: {what}") from error


def _is_420(form: SampleFormat) -> bool:
    chroma = form.log2_chroma_w, form.log2_chroma_h
    return form.model is ColorModel.YCBCR and chroma == (1, 1) and not form.alpha
