"""Pictures written: PNG and TIFF row by row, JPEG and WebP whole."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vrestore.errors import EncodeError, OutputError
from vrestore.io.png import write_png
from vrestore.io.stillkinds import JPEG, PNG, TIFF, StillKind, kind_of
from vrestore.io.stillmeta import StillMeta
from vrestore.io.tiffout import write_tiff
from vrestore.media import Coding, ColorModel, Frame, SampleFormat

__all__ = [
    "write_rows",
    "write_still",
]

Samples = npt.NDArray[Any]

_JPEG_SEGMENT = 65_533
"""Bytes of a JPEG marker segment, the most that its EXIF block can have."""

_XMP_IN_JPEG = 65_502
_JPEG_QUALITY = 95
_SUBSAMPLINGS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


def write_still(
    path: str | os.PathLike[str],
    frame: Frame,
    meta: StillMeta | None = None,
    *,
    quality: float | None = None,
    subsampling: str = "4:4:4",
) -> None:
    """Write a picture of code values; arguments and errors as those of `write_rows`."""
    if frame.format.model is ColorModel.YCBCR or frame.coding is not Coding.CODE:
        raise EncodeError(f"a still is written from RGB or grey code values, got {frame}")
    stored = np.stack([plane.numpy() for plane in frame.planes], axis=-1)
    size = frame.width, frame.height
    write_rows(path, frame.format, size, [stored], meta, quality=quality, subsampling=subsampling)


def write_rows(
    path: str | os.PathLike[str],
    layout: SampleFormat,
    size: tuple[int, int],
    bands: Iterable[Samples],
    meta: StillMeta | None = None,
    *,
    quality: float | None = None,
    subsampling: str = "4:4:4",
) -> None:
    """Write a picture whose rows come from top to bottom; the suffix chooses the kind of file.

    `bands` are (rows, width, channels) of `layout`'s dtype, together of `size` (width, height).
    `quality`, 0 (best) to 51 as for video, and `subsampling` are for JPEG and WebP; without
    `quality`, JPEG is written at 95 of 100 and WebP lossless.  The file appears under its name
    only when complete, replacing what was there.  Raises EncodeError where the kind of file
    cannot hold the picture, OutputError where it cannot be written, and what `bands` raises.
    """
    kind, target = kind_of(path), Path(path)
    _require(kind, layout, size)
    meta = meta or StillMeta()
    part = target.with_name(f"{target.name}.part")
    try:
        if kind is PNG:
            write_png(part, layout, size, bands, meta)
        elif kind is TIFF:
            write_tiff(part, layout, size, bands, meta)
        else:
            write = _write_jpeg if kind is JPEG else _write_webp
            write(part, _collected(layout, size, bands), meta, quality, subsampling)
        os.replace(part, target)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def _require(kind: StillKind, layout: SampleFormat, size: tuple[int, int]) -> None:
    if layout.depth not in kind.depths:
        allowed = " or ".join(map(str, kind.depths))
        raise EncodeError(f"{kind.name} holds {allowed} bits a sample, not {layout.depth}")
    if layout.alpha and not kind.alpha:
        raise EncodeError(f"{kind.name} has no alpha; write PNG, TIFF or WebP")
    if max(size) > kind.longest:
        raise EncodeError(
            f"{kind.name} holds sides of at most {kind.longest} samples, "
            f"not {size[0]}x{size[1]}; write TIFF or PNG"
        )


def _collected(layout: SampleFormat, size: tuple[int, int], bands: Iterable[Samples]) -> Samples:
    width, height = size
    whole: Samples | None = None
    top = 0
    for band in bands:
        if len(band) == height:
            return band
        if whole is None:
            whole = np.empty((height, width, layout.plane_count), band.dtype)
        whole[top : top + len(band)] = band
        top += len(band)
    assert whole is not None and top == height
    return whole


def _write_jpeg(
    path: Path, samples: Samples, meta: StillMeta, quality: float | None, subsampling: str
) -> None:
    size = samples.shape[1], samples.shape[0]
    given = _given(meta, meta.exif_block(size, most=_JPEG_SEGMENT))
    if len(given.get("xmp", b"")) > _XMP_IN_JPEG:
        del given["xmp"]
    level = _JPEG_QUALITY if quality is None else _percent(quality)
    _pillow(samples).save(
        path, "JPEG", quality=level, subsampling=_SUBSAMPLINGS[subsampling], **given
    )


def _write_webp(
    path: Path, samples: Samples, meta: StillMeta, quality: float | None, subsampling: str
) -> None:
    size = samples.shape[1], samples.shape[0]
    # `exact` keeps the colour of transparent samples.
    how: dict[str, Any] = {"lossless": True, "exact": True}
    if quality is not None:
        how = {"quality": _percent(quality)}
    _pillow(samples).save(path, "WEBP", **how, **_given(meta, meta.exif_block(size)))


def _percent(quality: float) -> int:
    """The scale of libjpeg for that of video: 0 is 100, 18 is 87, 28 is 76, 51 is 42."""
    return round(100 - quality / 2 - quality * quality / 80)


def _pillow(samples: Samples) -> Image.Image:
    single = samples.shape[-1] == 1
    return Image.fromarray(np.ascontiguousarray(samples[..., 0] if single else samples))


def _given(meta: StillMeta, exif: bytes | None) -> dict[str, Any]:
    given = {"icc_profile": meta.icc, "exif": exif, "dpi": meta.dpi, "xmp": meta.xmp}
    return {key: value for key, value in given.items() if value is not None}
