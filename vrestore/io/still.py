"""Single pictures: read with everything that goes with them (written in stillwrite.py).

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
from dataclasses import replace
from fractions import Fraction
from functools import cache
from io import BytesIO
from typing import Any, BinaryIO

import av
import numpy as np
import numpy.typing as npt
import tifffile
import torch
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from vrestore.errors import InputError
from vrestore.io import tags
from vrestore.io.dpx import read_dpx_header
from vrestore.io.formats import has_transparency, planes_of, sample_format, to_native
from vrestore.io.stillmeta import StillMeta, meta_of
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

__all__ = ["PILLOW_ERRORS", "decode_picture", "read_still", "still_frame"]

_BITS_PER_SAMPLE = 0x0102
_ORIENTATION = 0x0112
_SUBFILE_TYPE = 0x00FE
_REDUCED = 1
"""Bit of the subfile type: a smaller version of another picture in the file."""

_MOST_PAGES = 64
"""Of a TIFF file that are looked at to tell its pictures from previews."""

_PNG_DEPTH_AT = 24
_PILLOW_MODES = frozenset(
    (
        "1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "LAB", "YCbCr",
        "HSV", "F",
    )
)  # fmt: skip
_WITH_ALPHA = frozenset(("LA", "La", "PA", "RGBA", "RGBa"))
_PILLOW_FORMATS = (
    "PNG", "JPEG", "MPO", "TIFF", "WEBP", "BMP", "DIB", "GIF", "PPM", "TGA", "SGI", "PCX",
    "JPEG2000", "ICO", "AVIF",
)  # fmt: skip
"""What Pillow may read: pictures; not what it hands to other programs (EPS) or assembles from
other files."""

# Sizes are checked here, before anything is unpacked, against a limit that can be raised.
Image.MAX_IMAGE_PIXELS = None

PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError,
    AttributeError, NotImplementedError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow's readers raise for damaged files; not all of it is wrapped."""


def read_still(
    path: str | os.PathLike[str], *, max_pixels: int = PICTURE_PIXELS
) -> tuple[Frame, StillMeta]:
    """The picture of a file, upright, and what goes with it.

    RGB or grey code values, 8 or 16 bits or float, with alpha where the file has it.  EXIF
    orientation is applied.  CMYK and Lab become sRGB; the notes say so.  Raises InputError where
    there is no readable picture, or more than one, or one of more than `max_pixels`.
    """
    frame, meta = decode_picture(os.fspath(path), os.fspath(path), max_pixels)
    return _upright(frame, meta.orientation), meta.upright()


def decode_picture(
    file: str | BinaryIO, name: str, max_pixels: int = PICTURE_PIXELS
) -> tuple[Frame, StillMeta]:
    """As `read_still`, from a path or an open file that messages call `name`.

    Not turned: the orientation of what comes with it says what is left to do.
    """
    try:
        # What is odd about tags is nothing that somebody could act on.
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(file, formats=_readable()) as image,
        ):
            _require_size(name, image.width, image.height, max_pixels)
            count = _pictures(image)
            if count > 1:
                raise InputError(
                    f"{name} holds {count} pictures; a still must hold one: save them one by one, "
                    "or make a video of an animation"
                )
            meta = meta_of(image)
            if isinstance(file, str) and _lies(image):
                frame, _ = decode_picture(_standing(file), name, max_pixels)
                return frame, meta
            if _fits_pillow(image, file):
                picture, meta = _as_rgb(image, meta)
                # Pillow turns what it reads of TIFF files by itself, and of no others.
                turned = isinstance(image, TiffImageFile)
                return _from_pillow(picture), meta.upright() if turned else meta
    except UnidentifiedImageError:
        meta = StillMeta()
    except PILLOW_ERRORS as error:
        raise InputError(f"{name} cannot be read as a picture: {error}") from error
    if not isinstance(file, str):
        file.seek(0)
    return _from_ffmpeg(file, name, max_pixels), meta


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


def _pictures(image: Image.Image) -> int:
    """How many pictures a file holds, without previews in TIFF and what phones add to JPEG."""
    count: int = getattr(image, "n_frames", 1)
    if image.format == "MPO":
        return 1
    if count > 1 and isinstance(image, TiffImageFile):
        full = 0
        for number in range(min(count, _MOST_PAGES)):
            image.seek(number)
            full += not image.tag_v2.get(_SUBFILE_TYPE, 0) & _REDUCED
        image.seek(0)
        return full
    return count


def _lies(image: Image.Image) -> bool:
    """Whether it is a TIFF file on its side: Pillow turns some of those, and garbles others."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_ORIENTATION, 1) in (5, 6, 7, 8)


def _standing(path: str) -> BytesIO:
    """A TIFF file whose tag says that it is upright."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    with tifffile.TiffFile(BytesIO(data)) as tiff:
        page: Any = tiff.pages.first
        place, order = page.tags[_ORIENTATION].valueoffset, tiff.byteorder
    struct.pack_into(f"{order}H", data, place, 1)
    return BytesIO(data)


def _fits_pillow(image: Image.Image, file: str | BinaryIO) -> bool:
    """Whether Pillow gives every bit of the file."""
    if image.format == "PNG":
        return _png_depth(file) <= 8
    if isinstance(image, TiffImageFile) and image.mode != "F":
        return all(bits <= 8 for bits in image.tag_v2.get(_BITS_PER_SAMPLE, (1,)))
    return image.mode in _PILLOW_MODES


def _png_depth(file: str | BinaryIO) -> int:
    if isinstance(file, str):
        with open(file, "rb") as opened:
            return _png_depth(opened)
    place = file.tell()
    file.seek(_PNG_DEPTH_AT)
    depth = file.read(1)[0]
    file.seek(place)
    return depth


def _as_rgb(image: Image.Image, meta: StillMeta) -> tuple[Image.Image, StillMeta]:
    """CMYK and Lab as sRGB, by their profile where they have one."""
    if image.mode not in ("CMYK", "LAB"):
        return image, meta
    kind = "CMYK" if image.mode == "CMYK" else "Lab"
    srgb = ImageCms.createProfile("sRGB")
    try:
        if image.mode == "LAB":
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        elif meta.icc is None:
            note = "CMYK without a profile became RGB by plain subtraction; its colours may be off"
            return image.convert("RGB"), replace(meta, notes=(*meta.notes, note))
        else:
            source = ImageCms.ImageCmsProfile(BytesIO(meta.icc))
        made = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
    except ImageCms.PyCMSError as error:
        raise OSError(f"its {kind} profile cannot be used: {error}") from error
    assert made is not None
    how = " through its own profile" if kind == "CMYK" else ""
    note = f"{kind} became sRGB{how}; the network and PNG, JPEG and WebP know RGB alone"
    return made, replace(meta, icc=None, notes=(*meta.notes, note))


def _from_pillow(image: Image.Image) -> Frame:
    if image.mode == "F":
        layout = SampleFormat(model=ColorModel.GRAY, depth=32, is_float=True)
        return still_frame((torch.from_numpy(np.array(image)),), layout, ColorSpec())
    transparent = image.mode in _WITH_ALPHA or "transparency" in image.info
    gray = image.mode in ("1", "L", "LA", "La")
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
    return still_frame(planes, layout, ColorSpec(range=Range.FULL))


def _from_ffmpeg(file: str | BinaryIO, name: str, max_pixels: int) -> Frame:
    # Decoders count rows that are filled up to 64 samples.
    options = {"max_pixels": str(max_pixels + max_pixels // 8 + 64 * 64)}
    opened, dpx = (f"file:{file}", read_dpx_header(file)) if isinstance(file, str) else (file, None)
    try:
        with av.open(opened, "r", options=options) as container:
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
    return still_frame(planes_of(native), layout, tags.with_dpx(color, dpx))


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


def still_frame(planes: tuple[torch.Tensor, ...], layout: SampleFormat, color: ColorSpec) -> Frame:
    """A picture's code values as the one frame of a source."""
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
