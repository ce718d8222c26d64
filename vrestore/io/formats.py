"""Sample formats: FFmpeg's names for them, and planes of `av.VideoFrame` as torch tensors.

Three kinds of FFmpeg pixel format exist here:

* planar ones that `SampleFormat` describes (`yuv420p10le`, `gbrp12le`, `gray`, `yuvj420p` ...):
  their planes are tensors without a copy;
* grey with alpha (`ya8`, `ya16le`), which FFmpeg stores interleaved only: two copied planes;
* all others (packed, semi-planar, palette, big endian, half float ...): `to_native` brings them to
  the planar format that holds every value they can have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import torch
from av.video.plane import VideoPlane
from torch.utils.dlpack import from_dlpack

from vrestore.errors import InputError
from vrestore.media import ColorModel, Range, SampleFormat

__all__ = [
    "has_transparency",
    "implied_range",
    "native_planar",
    "pixel_format",
    "planes_of",
    "sample_format",
    "to_native",
    "video_frame",
]

_SUBSAMPLINGS = {
    (0, 0): "444",
    (1, 0): "422",
    (1, 1): "420",
    (0, 1): "440",
    (2, 0): "411",
    (2, 2): "410",
}
_GRAY_ALPHA = {8: "ya8", 16: "ya16le", 32: "yaf32le"}

_OWN_FLOAT = {
    "gbrpf16le": ("<f2", 1),
    "gbrapf16le": ("<f2", 1),
    "grayf16le": ("<f2", 1),
    "rgbf16le": ("<f2", 3),
    "rgbaf16le": ("<f2", 4),
    "rgbf32le": ("<f4", 3),
    "rgbaf32le": ("<f4", 4),
}
"""Float formats that swscale does not read: dtype, components in a plane (R, G, B, A)."""

_UNSUPPORTED = frozenset(
    {"uyyvyy411", "gray32le", "gray32be", "rgb96le", "rgb96be", "rgba128le", "rgba128be"}
    | {"gbrap32le", "gbrap32be", "yaf16le", "yaf16be", "yaf32be"}
    | {f"{stem}f16be" for stem in ("gbrp", "gbrap", "gray", "rgb", "rgba")}
    | {f"{stem}f32be" for stem in ("rgb", "rgba")}
)
"""Layouts that no decoder has been seen to give and that swscale cannot take apart exactly."""

_GBR_TO_RGB = (2, 0, 1, 3)
"""FFmpeg stores planar RGB as G, B, R, A: the plane of our component i."""


def pixel_format(format: SampleFormat) -> str:
    """FFmpeg's name of a sample format, such as "yuv420p10le" or "gbrap".

    Planar, except grey with alpha, which FFmpeg only has interleaved.  `sample_format` is its
    inverse.  Raises ValueError where FFmpeg has no such format (11 bits, for example).
    """
    depth = format.depth
    if format.model is ColorModel.GRAY and format.alpha:
        name = _GRAY_ALPHA.get(depth, f"ya{depth}")
    else:
        if format.model is ColorModel.GRAY:
            stem = "gray"
        elif format.model is ColorModel.RGB:
            stem = "gbrap" if format.alpha else "gbrp"
        else:
            sampling = _SUBSAMPLINGS.get((format.log2_chroma_w, format.log2_chroma_h), "?")
            stem = f"yuv{'a' if format.alpha else ''}{sampling}p"
        name = stem + ("f32le" if format.is_float else "" if depth == 8 else f"{depth}le")
    try:
        av.VideoFormat(name)
    except ValueError as unknown:
        raise ValueError(f"FFmpeg has no pixel format for {format}") from unknown
    return name


@cache
def _native_formats() -> dict[str, SampleFormat]:
    """Every native format, by FFmpeg's name."""
    shapes = [(ColorModel.GRAY, (0, 0)), (ColorModel.RGB, (0, 0))]
    shapes += [(ColorModel.YCBCR, subsampling) for subsampling in _SUBSAMPLINGS]
    table: dict[str, SampleFormat] = {}
    for model, (log2_w, log2_h) in shapes:
        for depth in (*range(8, 17), 32):
            for alpha in (False, True):
                candidate = SampleFormat(
                    model=model,
                    depth=depth,
                    log2_chroma_w=log2_w,
                    log2_chroma_h=log2_h,
                    alpha=alpha,
                    is_float=depth == 32,
                )
                try:
                    table[pixel_format(candidate)] = candidate
                except ValueError:
                    continue
    for name in ("yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p"):
        table[name.replace("yuv", "yuvj")] = table[name]
    return table


def sample_format(name: str) -> SampleFormat | None:
    """The layout behind an FFmpeg pixel format whose planes can be used as they are, else None.

    `yuvj420p` and its kin have the layout of `yuv420p`; that they are full range is said by
    `implied_range`.
    """
    return _native_formats().get(name)


def implied_range(name: str) -> Range:
    """The range that a pixel format's name alone settles: full for `yuvj...` and for RGB."""
    if name.startswith("yuvj") or name == "pal8":
        return Range.FULL
    return Range.FULL if av.VideoFormat(name).is_rgb else Range.UNSPECIFIED


@cache
def native_planar(name: str) -> str:
    """The native format that holds every value of the FFmpeg pixel format `name`.

    The name itself if it is native.  A palette gives `gbrp` (whether its colours have alpha is
    known from a frame only, see `to_native`).  Raises InputError for formats without samples in
    memory (hardware surfaces), sensor mosaics, and layouts that FFmpeg cannot take apart exactly.
    """
    if sample_format(name) is not None:
        return name
    if name == "pal8":
        return "gbrp"
    description = av.VideoFormat(name)
    components = description.components
    if not components or description.is_bayer or "msb" in name or name in _UNSUPPORTED:
        raise InputError(
            f"pixel format {name} is not supported; convert the source to a planar format first"
        )
    alpha = components[-1].is_alpha
    depth = max(8, *(component.bits for component in components))
    is_float = name in _OWN_FLOAT or depth == 32
    if description.is_rgb or name.startswith("xyz"):
        model = ColorModel.RGB
    else:
        model = ColorModel.GRAY if len(components) - alpha == 1 else ColorModel.YCBCR
    subsampled = model is ColorModel.YCBCR
    return pixel_format(
        SampleFormat(
            model=model,
            depth=32 if is_float else depth,
            log2_chroma_w=_log2_of(description.chroma_width) if subsampled else 0,
            log2_chroma_h=_log2_of(description.chroma_height) if subsampled else 0,
            alpha=alpha,
            is_float=is_float,
        )
    )


def _log2_of(chroma_extent: Callable[[int], int]) -> int:
    return 4 - chroma_extent(16).bit_length() + 1


def to_native(frame: av.VideoFrame, name: str | None = None) -> av.VideoFrame:
    """The frame in its native format (itself if it is there already), no value changed.

    `name` asks for another native format than `native_planar` gives: `gbrap` for a palette whose
    colours are not all opaque.  Time, colour tags and side data are kept.
    """
    source = frame.format.name
    target = name or native_planar(source)
    if source == target:
        return frame
    if source in _OWN_FLOAT:
        return _widened(frame, target)
    # swscale's direct way from these to planar RGB leads through YCbCr; in two steps it is exact.
    steps = {"gbrp": ("rgb24", "gbrp"), "gbrap": ("rgba", "gbrap")}.get(target, (target,))
    try:
        for step in steps:
            # More than one swscale thread corrupts the first samples of a slice at widths that are
            # no multiple of its vector size: a thread writes past its last row into the next one's.
            frame = frame.reformat(format=step, threads=1)
    except av.FFmpegError as error:
        raise InputError(f"pixel format {source} cannot be read as {target}: {error}") from error
    return frame


def _widened(frame: av.VideoFrame, target: str) -> av.VideoFrame:
    dtype, components = _OWN_FLOAT[frame.format.name]
    wide = av.VideoFrame(frame.width, frame.height, target)
    for i, destination in enumerate(wide.planes):
        if components == 1:
            values = _rows(frame.planes[i], dtype)
        else:
            packed = _rows(frame.planes[0], dtype, components)
            values = packed[:, _GBR_TO_RGB.index(i) :: components]
        _rows(destination, "<f4")[:] = values
    wide.pts = frame.pts
    if frame.time_base is not None:
        wide.time_base = frame.time_base
    wide.color_range, wide.colorspace = frame.color_range, frame.colorspace
    wide.color_trc, wide.color_primaries = frame.color_trc, frame.color_primaries
    return wide


def _rows(plane: VideoPlane, dtype: str, components: int = 1) -> npt.NDArray[Any]:
    """The samples of a plane, (H, W * components), top row first.

    A view of its memory, except for planes stored bottom up.
    """
    rows = np.frombuffer(memoryview(plane), dtype=dtype).reshape(plane.height, -1)
    rows = rows[:, : plane.width * components]
    return rows if plane.line_size > 0 else np.ascontiguousarray(rows[::-1])


def has_transparency(frame: av.VideoFrame) -> bool:
    """Whether a palette frame has a colour that is not opaque."""
    if frame.format.name != "pal8":
        return False
    palette = np.frombuffer(memoryview(frame.planes[1]), dtype="<u4")
    return bool((palette >> 24 != 0xFF).any())


def planes_of(frame: av.VideoFrame) -> tuple[torch.Tensor, ...]:
    """The planes of a frame in a native format, in `SampleFormat`'s order.

    One (H, W) tensor each, dtype `SampleFormat.code_dtype`, rows padded as FFmpeg likes; views of
    the frame's memory, which they keep alive.  Copies are made for grey with alpha and for frames
    stored bottom up.  Odd sizes round chroma up.
    """
    layout = sample_format(frame.format.name)
    if layout is None:
        raise ValueError(f"{frame.format.name} has no planes of its own; use to_native first")
    if layout.model is ColorModel.GRAY and layout.alpha:
        both = _samples(frame.planes[0], layout, components=2)
        return both[..., 0].contiguous(), both[..., 1].contiguous()
    order = _GBR_TO_RGB if layout.model is ColorModel.RGB else range(4)
    stored = frame.planes
    return tuple(_samples(stored[order[i]], layout) for i in range(layout.plane_count))


def _samples(plane: VideoPlane, layout: SampleFormat, components: int = 1) -> torch.Tensor:
    if not layout.is_float and plane.line_size > 0:
        return from_dlpack(plane)
    # DLPack of PyAV refuses floats and planes stored bottom up.
    dtype = {torch.uint8: "u1", torch.uint16: "<u2", torch.float32: "<f4"}[layout.code_dtype]
    samples = torch.from_numpy(_rows(plane, dtype, components))
    return samples if components == 1 else samples.view(plane.height, plane.width, components)


def video_frame(planes: Sequence[torch.Tensor], format: SampleFormat) -> av.VideoFrame:
    """An `av.VideoFrame` that shows the planes of code values, without time, tags or side data.

    `planes` are CPU tensors in `SampleFormat`'s order and of its `code_dtype`.  PyAV takes them
    without a copy where their rows are contiguous and subsampled sizes are even; otherwise they are
    copied into a new frame.  In the first case the tensors must not be written while it lives.
    """
    name = pixel_format(format)
    height, width = planes[0].shape
    for i, plane in enumerate(planes):
        wanted = format.plane_size(i, width, height)
        if tuple(plane.shape) != wanted or plane.dtype != format.code_dtype:
            raise ValueError(
                f"plane {i} must be {wanted} {format.code_dtype}, "
                f"got {tuple(plane.shape)} {plane.dtype}"
            )
    odd = (width % 2 and format.log2_chroma_w) or (height % 2 and format.log2_chroma_h)
    packed = format.model is ColorModel.GRAY and format.alpha
    if not odd and not packed and not format.is_float and all(p.stride(1) == 1 for p in planes):
        stored = planes
        if format.model is ColorModel.RGB:
            stored = [planes[_GBR_TO_RGB.index(i)] for i in range(len(planes))]
        return av.VideoFrame.from_dlpack(tuple(stored), format=name, width=width, height=height)
    frame = av.VideoFrame(width, height, name)
    if packed:
        both = _samples(frame.planes[0], format, components=2)
        for i, plane in enumerate(planes):
            both[..., i].copy_(plane)
    else:
        for destination, plane in zip(planes_of(frame), planes, strict=True):
            destination.copy_(plane)
    return frame
