"""TIFF files written strip by strip, the directory last; BigTIFF where 4 GiB may not do."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from vrestore.io.stillmeta import StillMeta
from vrestore.io.tiffdir import (
    EXIF_DIRECTORY,
    GPS_DIRECTORY,
    Entry,
    exif_directories,
    head,
    longs,
    packed_directory,
    shorts,
)
from vrestore.media import ColorModel, SampleFormat

__all__ = ["is_big", "write_tiff"]

_STRIP_BYTES = 2**20
_LARGEST_CLASSIC = 2**32 - 2**26
"""Bytes of samples up to which a file is a classic TIFF; compression can make them more."""

_LEVEL = 6
"""Of deflate."""

_DEFLATE, _PREDICTED, _NOT_PREDICTED = 8, 2, 1
_UNDEFINED, _BYTES, _RATIONAL = 7, 1, 5


def is_big(layout: SampleFormat, size: tuple[int, int]) -> bool:
    """Whether a picture of `size` (width, height) is written as BigTIFF."""
    return layout.frame_bytes(*size) > _LARGEST_CLASSIC


def write_tiff(
    path: Path,
    layout: SampleFormat,
    size: tuple[int, int],
    bands: Iterable[npt.NDArray[Any]],
    meta: StillMeta,
    *,
    big: bool | None = None,
) -> None:
    """Write rows as they come: `bands` are (rows, width, channels), together `size`.

    Deflate, with the horizontal predictor for integers.  `big` None decides by size.
    """
    big = is_big(layout, size) if big is None else big
    width, height = size
    rows = max(1, _STRIP_BYTES // (width * layout.plane_count * layout.code_dtype.itemsize))
    offsets: list[int] = []
    counts: list[int] = []
    with path.open("wb") as file:
        file.write(head(0, big=big))
        for strip in _strips(bands, rows):
            stored = zlib.compress(_predicted(strip), _LEVEL)
            offsets.append(file.tell())
            counts.append(len(stored))
            file.write(stored)
        entries = [
            *_layout(layout, width, height),
            longs(278, (rows,)),
            longs(273, offsets, big=big),
            longs(279, counts, big=big),
            *_described(meta),
            *_exif(file, meta, size, big=big),
        ]
        first = _aligned(file)
        file.write(packed_directory(entries, first, big=big))
        file.seek(0)
        file.write(head(first, big=big))


def _strips(bands: Iterable[npt.NDArray[Any]], rows: int) -> Iterable[npt.NDArray[Any]]:
    """The same rows in strips of `rows`, the last one shorter."""
    rest: npt.NDArray[Any] | None = None
    for band in bands:
        joined = band if rest is None else np.concatenate((rest, band))
        whole = joined.shape[0] // rows * rows
        for top in range(0, whole, rows):
            yield joined[top : top + rows]
        rest = joined[whole:] if whole < joined.shape[0] else None
    if rest is not None:
        yield rest


def _predicted(strip: npt.NDArray[Any]) -> bytes:
    """Differences to the left neighbour of the same channel; float samples as they are."""
    if strip.dtype.kind == "f":
        return np.ascontiguousarray(strip.astype("<f4", copy=False)).tobytes()
    stored = strip.astype(strip.dtype.newbyteorder("<"))
    stored[:, 1:] -= strip[:, :-1]
    return stored.tobytes()


def _layout(layout: SampleFormat, width: int, height: int) -> Iterable[Entry]:
    count, rgb = layout.plane_count, layout.model is ColorModel.RGB
    yield longs(256, (width,))
    yield longs(257, (height,))
    yield shorts(258, *[layout.depth] * count)
    yield shorts(259, _DEFLATE)
    yield shorts(262, 2 if rgb else 1)
    yield shorts(277, count)
    yield shorts(284, 1)
    yield shorts(317, _NOT_PREDICTED if layout.is_float else _PREDICTED)
    if layout.alpha:
        yield shorts(338, 2)  # Not premultiplied.
    if layout.is_float:
        yield shorts(339, *[3] * count)


def _described(meta: StillMeta) -> Iterable[Entry]:
    if meta.dpi is not None:
        for tag, dots in zip((282, 283), meta.dpi, strict=True):
            exact = Fraction(dots).limit_denominator(10_000)
            yield Entry(tag, _RATIONAL, 1, struct.pack("<2L", exact.numerator, exact.denominator))
        yield shorts(296, 2)
    if meta.icc is not None:
        yield Entry(34675, _UNDEFINED, len(meta.icc), meta.icc)
    if meta.xmp is not None:
        yield Entry(700, _BYTES, len(meta.xmp), meta.xmp)


def _exif(file: BinaryIO, meta: StillMeta, size: tuple[int, int], *, big: bool) -> Iterable[Entry]:
    """What an EXIF block has in its first directory; the others are written, and pointed to."""
    block = meta.exif_block(size)
    if block is None:
        return
    found = exif_directories(block)
    yield from found.get(0, ())
    for number in (EXIF_DIRECTORY, GPS_DIRECTORY):
        if found.get(number):
            place = _aligned(file)
            file.write(packed_directory(found[number], place, big=big))
            yield longs(number, (place,), big=big)


def _aligned(file: BinaryIO) -> int:
    """The file's end, where directories may begin: on a word."""
    place = file.tell()
    file.write(bytes(place % 2))
    return place + place % 2
