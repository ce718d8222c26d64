"""Single pictures: read with everything that goes with them, written the same way.

Pixels come from Pillow where it keeps every bit (8 bits a sample) and from FFmpeg where it does
not (16 bits, float, EXR, DPX).  Stills are RGB or grey, never subsampled; a JPEG is upsampled by
its own decoder.
"""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import tifffile
import torch
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from vrestore.errors import EncodeError, InputError, OutputError
from vrestore.io import tags
from vrestore.io.formats import has_transparency, planes_of, sample_format, to_native
from vrestore.io.sequence import read_dpx_header
from vrestore.limits import PICTURE_PIXELS, PICTURE_SIDE
from vrestore.media import (
    Coding,
    ColorModel,
    ColorSpec,
    FieldOrder,
    Frame,
    Matrix,
    Range,
    SampleFormat,
    Timestamp,
)

__all__ = ["STILL_SUFFIXES", "StillMeta", "read_still", "write_still"]

_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 0x0102
_PNG_DEPTH_AT = 24
_PILLOW_MODES = frozenset(
    ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "F")
)
_PILLOW_FORMATS = (
    "PNG", "JPEG", "TIFF", "WEBP", "BMP", "DIB", "GIF", "PPM", "TGA", "SGI", "PCX", "JPEG2000",
    "ICO", "AVIF",
)  # fmt: skip
"""What Pillow may read: pictures; not what it hands to other programs (EPS) or assembles from
other files."""

# Sizes are checked here, before anything is unpacked, against a limit that can be raised.
Image.MAX_IMAGE_PIXELS = None

_PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError,
    AttributeError, NotImplementedError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow's readers raise for damaged files; not all of it is wrapped."""

_EMPTY_EXIF = 6
"""Pillow's EXIF bytes without any tag: only the signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StillMeta:
    """What goes with a picture and is written with it again."""

    icc: bytes | None = field(default=None, repr=False)
    """ICC profile of the samples."""

    exif: bytes | None = field(default=None, repr=False)
    """EXIF block; its orientation is 1, since the picture was turned when it was read."""

    dpi: tuple[float, float] | None = None


# ------------------------------------------------------------------------------------- reading


def read_still(
    path: str | os.PathLike[str], *, max_pixels: int = PICTURE_PIXELS
) -> tuple[Frame, StillMeta]:
    """The picture of a file, upright, and what goes with it.

    RGB or grey code values, 8 or 16 bits or float, with alpha where the file has it.  EXIF
    orientation is applied.  CMYK is converted to RGB and loses its profile.  Raises InputError
    where there is no readable picture, or more than one, or one of more than `max_pixels`.
    """
    name = os.fspath(path)
    try:
        # What is odd about tags is nothing that somebody could act on.
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(name, formats=_readable()) as image,
        ):
            _require_size(name, image.width, image.height, max_pixels)
            count = getattr(image, "n_frames", 1)
            if count > 1:
                raise InputError(f"{name} holds {count} pictures; a still must hold one")
            meta, orientation = _meta_of(image)
            if _fits_pillow(image, name):
                if image.mode == "CMYK":
                    meta = replace(meta, icc=None)
                return _upright(_from_pillow(image), orientation), meta
    except UnidentifiedImageError:
        meta, orientation = StillMeta(), 1
    except _PILLOW_ERRORS as error:
        raise InputError(f"{name} cannot be read as a picture: {error}") from error
    return _upright(_from_ffmpeg(name, max_pixels), orientation), meta


@cache
def _readable() -> tuple[str, ...]:
    """Of `_PILLOW_FORMATS`, what this Pillow has."""
    Image.init()
    return tuple(name for name in _PILLOW_FORMATS if name in Image.OPEN)


def _require_size(name: str, width: int, height: int, max_pixels: int) -> None:
    """Raises InputError for a picture that is not to be unpacked."""
    if max(width, height) > PICTURE_SIDE or width * height > max_pixels:
        raise InputError(
            f"{name} is {width}x{height}; pictures of more than {max_pixels} pixels or a side "
            f"over {PICTURE_SIDE} are refused, --set input.max_pixels=N raises the first"
        )


def _meta_of(image: Image.Image) -> tuple[StillMeta, int]:
    exif = image.getexif()
    orientation = int(exif.get(_ORIENTATION, 1))
    if _ORIENTATION in exif:
        exif[_ORIENTATION] = 1
    block = exif.tobytes() if len(exif) else b""
    dpi = image.info.get("dpi")
    return (
        StillMeta(
            icc=image.info.get("icc_profile"),
            exif=block if len(block) > _EMPTY_EXIF else None,
            dpi=(float(dpi[0]), float(dpi[1])) if dpi else None,
        ),
        orientation,
    )


def _fits_pillow(image: Image.Image, name: str) -> bool:
    """Whether Pillow gives every bit of the file."""
    if image.format == "PNG":
        with open(name, "rb") as file:
            depth = file.read(_PNG_DEPTH_AT + 1)[_PNG_DEPTH_AT]
        return depth <= 8
    if isinstance(image, TiffImageFile) and image.mode != "F":
        return all(bits <= 8 for bits in image.tag_v2.get(_BITS_PER_SAMPLE, (1,)))
    return image.mode in _PILLOW_MODES


def _from_pillow(image: Image.Image) -> Frame:
    if image.mode == "F":
        layout = SampleFormat(model=ColorModel.GRAY, depth=32, is_float=True)
        return _frame((torch.from_numpy(np.array(image)),), layout, ColorSpec())
    transparent = image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info
    gray = image.mode in ("1", "L", "LA")
    mode = ("LA" if transparent else "L") if gray else ("RGBA" if transparent else "RGB")
    samples = np.array(image.convert(mode), ndmin=3)
    if gray and not transparent:
        samples = samples.reshape(image.height, image.width, 1)
    layout = SampleFormat(
        model=ColorModel.GRAY if gray else ColorModel.RGB, depth=8, alpha=transparent
    )
    planes = tuple(
        torch.from_numpy(np.ascontiguousarray(samples[..., i])) for i in range(layout.plane_count)
    )
    return _frame(planes, layout, ColorSpec(range=Range.FULL))


def _from_ffmpeg(name: str, max_pixels: int) -> Frame:
    # Decoders count rows that are filled up to 64 samples.
    options = {"max_pixels": str(max_pixels + max_pixels // 8 + 64 * 64)}
    try:
        with av.open(f"file:{name}", options=options) as container:
            stream = container.streams.video[0]
            _require_size(name, stream.width, stream.height, max_pixels)
            stream.codec_context.options = options
            decoded = next(container.decode(stream))
            color = tags.color_of(decoded, stream)
    except (av.FFmpegError, OSError, IndexError, StopIteration) as error:
        reason = getattr(error, "strerror", None) or "no picture in it"
        raise InputError(f"{name} cannot be read as a picture: {reason}") from error
    native = to_native(decoded, "gbrap" if has_transparency(decoded) else None)
    layout = sample_format(native.format.name)
    assert layout is not None
    return _frame(planes_of(native), layout, tags.with_dpx(color, read_dpx_header(name)))


_Samples = npt.NDArray[Any]

_UPRIGHT: dict[int, Callable[[_Samples], _Samples]] = {
    2: np.fliplr,
    3: lambda rows: np.rot90(rows, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda rows: np.rot90(rows, -1),
    7: lambda rows: np.rot90(rows, 2).T,
    8: np.rot90,
}
"""EXIF orientation: what turns the stored rows into the upright picture."""


def _upright(frame: Frame, orientation: int) -> Frame:
    turn = _UPRIGHT.get(orientation)
    if turn is None:
        return frame
    # In numpy, since torch cannot flip 16-bit integers.
    turned = (np.ascontiguousarray(turn(plane.numpy())) for plane in frame.planes)
    return replace(frame, planes=tuple(torch.from_numpy(rows) for rows in turned))


def _frame(planes: tuple[torch.Tensor, ...], layout: SampleFormat, color: ColorSpec) -> Frame:
    if layout.model is ColorModel.RGB:
        color = replace(color, matrix=Matrix.RGB)
    if color.range is Range.UNSPECIFIED:
        color = replace(color, range=Range.FULL)
    return Frame(
        planes=planes,
        format=layout,
        coding=Coding.CODE,
        color=color,
        timestamp=Timestamp(pts=0, time_base=Fraction(1, 25)),
        duration=1,
        index=0,
        shot_start=True,
        field_order=FieldOrder.PROGRESSIVE,
    )


# ------------------------------------------------------------------------------------- writing


def write_still(
    path: str | os.PathLike[str],
    frame: Frame,
    meta: StillMeta | None = None,
    *,
    quality: int | None = None,
) -> None:
    """Write a picture of code values; the suffix of `path` chooses the kind of file.

    PNG and TIFF hold 8 and 16 bits with alpha (TIFF also float), WebP 8 bits with alpha, JPEG 8
    bits without.  `quality` 1..100 is for JPEG (default 95) and WebP (default lossless).  The file
    appears under its name only when complete, replacing what was there.  Raises EncodeError where
    the kind of file cannot hold the samples, OutputError where it cannot be written.
    """
    target = Path(path)
    writer = _WRITERS.get(target.suffix.lower())
    if writer is None:
        known = ", ".join(sorted(_WRITERS))
        raise OutputError(f"{target} has no picture suffix; use one of {known}")
    layout = frame.format
    if layout.model is ColorModel.YCBCR or frame.coding is not Coding.CODE:
        raise EncodeError(f"a still is written from RGB or grey code values, got {frame}")
    stored = np.stack([plane.numpy() for plane in frame.planes], axis=-1)
    part = target.with_name(f"{target.name}.part")
    try:
        writer(part, stored, layout, meta or StillMeta(), quality)
        os.replace(part, target)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def _write_png(
    path: Path, samples: _Samples, layout: SampleFormat, meta: StillMeta, quality: int | None
) -> None:
    _require(layout, "PNG", (8, 16))
    if layout.depth == 16:
        path.write_bytes(_png16(samples, meta))
    else:
        _pillow(samples, layout).save(path, "PNG", **_pillow_meta(meta))


def _write_tiff(
    path: Path, samples: _Samples, layout: SampleFormat, meta: StillMeta, quality: int | None
) -> None:
    _require(layout, "TIFF", (8, 16, 32))
    rgb = layout.model is ColorModel.RGB
    tifffile.imwrite(
        path,
        samples if rgb or layout.alpha else samples[..., 0],
        photometric="rgb" if rgb else "minisblack",
        planarconfig="contig" if rgb or layout.alpha else None,
        extrasamples=("unassalpha",) if layout.alpha else None,
        compression="adobe_deflate",
        predictor=layout.depth != 32,
        iccprofile=meta.icc,
        resolution=meta.dpi,
        resolutionunit="INCH" if meta.dpi else None,
        metadata=None,
    )


def _write_jpeg(
    path: Path, samples: _Samples, layout: SampleFormat, meta: StillMeta, quality: int | None
) -> None:
    _require(layout, "JPEG", (8,), alpha=False)
    picture = _pillow(samples, layout)
    picture.save(path, "JPEG", quality=quality or 95, subsampling=0, **_pillow_meta(meta))


def _write_webp(
    path: Path, samples: _Samples, layout: SampleFormat, meta: StillMeta, quality: int | None
) -> None:
    _require(layout, "WebP", (8,))
    # `exact` keeps the colour of transparent samples.
    how = {"lossless": True, "exact": True} if quality is None else {"quality": quality}
    _pillow(samples, layout).save(path, "WEBP", **how, **_pillow_meta(meta))


_WRITERS = {
    ".png": _write_png,
    ".tif": _write_tiff,
    ".tiff": _write_tiff,
    ".jpg": _write_jpeg,
    ".jpeg": _write_jpeg,
    ".webp": _write_webp,
}
STILL_SUFFIXES = frozenset(_WRITERS)
"""Suffixes that `write_still` knows."""


def _require(
    layout: SampleFormat, kind: str, depths: tuple[int, ...], *, alpha: bool = True
) -> None:
    if layout.depth not in depths:
        allowed = " or ".join(map(str, depths))
        raise EncodeError(f"{kind} holds {allowed} bits a sample, not {layout.depth}")
    if layout.alpha and not alpha:
        raise EncodeError(f"{kind} has no alpha; write PNG, TIFF or WebP")


def _pillow(samples: _Samples, layout: SampleFormat) -> Image.Image:
    single = layout.plane_count == 1
    return Image.fromarray(np.ascontiguousarray(samples[..., 0] if single else samples))


def _pillow_meta(meta: StillMeta) -> dict[str, Any]:
    given = {"icc_profile": meta.icc, "exif": meta.exif, "dpi": meta.dpi}
    return {key: value for key, value in given.items() if value is not None}


_PNG_COLOR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}
_INCHES_PER_METRE = 1 / 0.0254


def _png16(samples: _Samples, meta: StillMeta) -> bytes:
    """A PNG file (ISO/IEC 15948) of 16 bits a sample, which Pillow cannot write in colour."""
    height, width, channels = samples.shape
    rows = samples.astype(">u2").view(np.uint8).reshape(height, -1)
    # Filter "Up": the difference to the row above, good for pictures and one subtraction.
    filtered = np.full((height, rows.shape[1] + 1), 2, dtype=np.uint8)
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">2I5B", width, height, 16, _PNG_COLOR_TYPE[channels], 0, 0, 0)
    chunks = [(b"IHDR", header)]
    if meta.icc:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(meta.icc)))
    if meta.dpi:
        x, y = (round(dots * _INCHES_PER_METRE) for dots in meta.dpi)
        chunks.append((b"pHYs", struct.pack(">2IB", x, y, 1)))
    if meta.exif:
        chunks.append((b"eXIf", meta.exif.removeprefix(b"Exif\0\0")))
    chunks += [(b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
