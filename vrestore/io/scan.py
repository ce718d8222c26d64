"""Pictures by rows: scans too large to unpack at once are read strip by strip, others whole.

A few strips or tiles of a TIFF file with a head of their own are a small TIFF file, and are read
as one: so every compression, depth and colour that a small picture may have a large one may too.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, BinaryIO, Protocol

import tifffile
import torch
from PIL import Image, UnidentifiedImageError

from vrestore.errors import InputError
from vrestore.io.still import PILLOW_ERRORS, decode_picture, read_still
from vrestore.io.stillmeta import StillMeta, meta_of
from vrestore.io.tiffdir import VALUE_BYTES, Entry, head, longs, packed_directory
from vrestore.limits import PICTURE_PIXELS, PICTURE_SIDE
from vrestore.media import ColorSpec, Frame, SampleFormat

__all__ = ["LARGE", "Rows", "TiffScan", "WholeRows", "open_rows", "open_scan"]

Planes = tuple[torch.Tensor, ...]

# What it says of damaged files is said in our words; a program that wants its log has handlers.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

LARGE = 2**25
"""Pixels above which a TIFF file is read by strips."""

_CLASSIC, _BIG = (b"II*\0", b"MM\0*"), (b"II+\0", b"MM\0+")
"""How TIFF files begin."""

_COPIED = frozenset((258, 262, 266, 277, 284, 317, 320, 338, 339, 347, 529, 530, 531, 532))
"""Tags that say how samples are stored, the same for every part of the picture."""

_PLAIN = 1
"""Compression: none."""

_SEPARATE = 2
"""Planar configuration: channels apart."""

_MOST_PAGES = 64
"""Of a file that are looked at to tell its pictures from previews."""

_MOST_TAG_BYTES = 2**22
_MOST_STORED = 2**31
"""Bytes of one stored strip."""

_STRIP_BYTES = 2**23
"""Of the pieces that an uncompressed strip without an end is cut into."""


class Rows(Protocol):
    """A picture whose rows can be asked for."""

    width: int
    height: int
    format: SampleFormat
    color: ColorSpec
    meta: StillMeta

    def frame(self, top: int, bottom: int) -> Frame:
        """Rows top..bottom, half-open, as code values.  Raises InputError."""

    def close(self) -> None: ...


class WholeRows:
    """A picture that has been unpacked."""

    def __init__(self, frame: Frame, meta: StillMeta) -> None:
        self._frame = frame
        self.width, self.height = frame.width, frame.height
        self.format, self.color, self.meta = frame.format, frame.color, meta

    def frame(self, top: int, bottom: int) -> Frame:
        if (top, bottom) == (0, self.height):
            return self._frame
        return _with_planes(self._frame, tuple(p[top:bottom] for p in self._frame.planes))

    def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segments:
    """Where the stored pieces of a picture are: strips (as wide as it) or tiles."""

    width: int
    length: int
    """Rows of each; the last strips may have less."""

    across: int
    down: int
    planes: int
    """1, or the number of channels where each has its own segments."""

    offsets: Sequence[int]
    counts: Sequence[int]
    tiled: bool

    def number(self, plane: int, row: int, column: int) -> int:
        """Of the segment at a place of a plane."""
        return (plane * self.down + row) * self.across + column


class TiffScan:
    """A TIFF file of one large picture, unpacked as far as rows are asked for.

    Not turned: `meta.orientation` says how it lies.
    """

    def __init__(self, path: str, *, max_pixels: int = PICTURE_PIXELS) -> None:
        """Reads tags and tables.  Raises InputError, also where one strip by itself has more than
        `max_pixels`."""
        self._path, self._max_pixels = path, max_pixels
        self._held: tuple[range, Frame] | None = None
        try:
            self._file = open(path, "rb")  # noqa: SIM115 (closed by `close`)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
        try:
            self._read_tags()
            self.meta = _meta(path)
            first = self.frame(0, 1)
            self.format, self.color = first.format, first.color
        except BaseException:
            self._file.close()
            raise

    def _read_tags(self) -> None:
        path = self._path
        try:
            with tifffile.TiffFile(self._file) as tiff:
                listed: list[Any] = list(tiff.pages[:_MOST_PAGES])
                pages = [page for page in listed if not page.is_reduced]
                if len(pages) != 1:
                    raise InputError(f"{path} holds {len(pages)} pictures; a still must hold one")
                page = pages[0]
                self.width, self.height = int(page.imagewidth), int(page.imagelength)
                self._order = str(tiff.byteorder)
                self._kept = [_copied(self._file, tag) for tag in page.tags if tag.code in _COPIED]
                self._compression = int(page.compression)
                self._segments = _segments(page)
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"{path} cannot be read as a picture: {error}") from error
        if min(self.width, self.height) < 1 or max(self.width, self.height) > PICTURE_SIDE:
            raise InputError(
                f"{path} is {self.width}x{self.height}; a side over {PICTURE_SIDE} is refused"
            )
        segments = self._segments
        if segments.width * segments.length > self._max_pixels:
            raise InputError(
                f"{path} is stored in one piece of {segments.width}x{segments.length}, more than "
                f"{self._max_pixels} pixels; store it in strips (tiffcp -r 64), or raise the limit "
                "by --set input.max_pixels=N"
            )

    def frame(self, top: int, bottom: int) -> Frame:
        """Rows top..bottom, half-open, as code values.  Raises InputError."""
        length = self._segments.length
        wanted = range(top // length, -(-bottom // length))
        if self._held is None or self._held[0] != wanted:
            self._held = None  # Not two of them in memory.
            try:
                self._held = wanted, self._unpacked(wanted)
            except PILLOW_ERRORS as error:
                raise InputError(f"{self._path} cannot be read as a picture: {error}") from error
        frame = self._held[1]
        first = wanted.start * length
        return _with_planes(frame, tuple(p[top - first : bottom - first] for p in frame.planes))

    def close(self) -> None:
        self._held = None
        self._file.close()

    def _unpacked(self, rows: range) -> Frame:
        """The picture's rows that whole rows of segments hold."""
        segments = self._segments
        height = min(rows.stop * segments.length, self.height) - rows.start * segments.length
        if not segments.tiled:
            return self._part(self.width, height, segments.length, [(row, 0) for row in rows])
        planes: list[torch.Tensor] | None = None
        for row in rows:
            for column in range(segments.across):
                tile = self._part(segments.width, segments.length, segments.length, [(row, column)])
                if planes is None:
                    planes = [p.new_empty(height, self.width) for p in tile.planes]
                top, left = (row - rows.start) * segments.length, column * segments.width
                for plane, made in zip(planes, tile.planes, strict=True):
                    place = plane[top : top + segments.length, left : left + segments.width]
                    place.copy_(made[: place.shape[0], : place.shape[1]])
        assert planes is not None
        return _with_planes(tile, tuple(planes))

    def _part(self, width: int, height: int, length: int, places: list[tuple[int, int]]) -> Frame:
        """Some segments as a picture: what a small TIFF file of them alone holds."""
        segments, order = self._segments, self._order
        numbers = [
            number
            for plane in range(segments.planes)
            for row, column in places
            for number in (segments.number(plane, row, column),)
        ]
        stored = []
        for number in numbers:
            self._file.seek(segments.offsets[number])
            stored.append(self._file.read(min(segments.counts[number], _MOST_STORED)))
        offsets, place = [], 8
        for each in stored:
            offsets.append(place)
            place += len(each)
        entries = [
            *self._kept,
            longs(256, (width,), order=order),
            longs(257, (height,), order=order),
            longs(259, (self._compression,), order=order),
            longs(273, offsets, order=order),
            longs(278, (length,), order=order),
            longs(279, [len(each) for each in stored], order=order),
        ]
        place += place % 2
        body = b"".join(stored)
        padding = bytes(place - 8 - len(body))
        directory = packed_directory(entries, place, big=False, order=order)
        small = BytesIO(head(place, big=False, order=order) + body + padding + directory)
        frame, _ = decode_picture(small, self._path, self._max_pixels)
        if (frame.width, frame.height) != (width, height):
            raise InputError(f"{self._path} cannot be read as a picture: a strip is damaged")
        return frame


def open_scan(path: str, *, max_pixels: int = PICTURE_PIXELS) -> TiffScan | None:
    """A large TIFF file or a BigTIFF one, to be read by strips; None for everything else.

    Raises InputError.
    """
    try:
        if not os.path.isfile(path):
            return None
        with open(path, "rb") as file:
            mark = file.read(4)
        if mark not in (*_CLASSIC, *_BIG):
            return None
        if mark in _BIG:
            # FFmpeg, which reads what is deeper than 8 bits, does not know BigTIFF.
            return TiffScan(path, max_pixels=max_pixels)
        large = _pixels(path) > LARGE
    except PILLOW_ERRORS:
        return None
    return TiffScan(path, max_pixels=max_pixels) if large else None


def _pixels(path: str) -> int:
    """Of the first picture of a TIFF file; 0 where that cannot be told."""
    try:
        with Image.open(path, formats=("TIFF",)) as image:
            return image.width * image.height
    except UnidentifiedImageError:
        # Layouts that Pillow does not know, such as float RGB.
        with tifffile.TiffFile(path) as tiff:
            page: Any = tiff.pages.first
            return int(page.imagewidth) * int(page.imagelength)


def open_rows(path: str, *, max_pixels: int = PICTURE_PIXELS) -> Rows:
    """The rows of any picture, upright unless it is a large scan.  Raises InputError."""
    scan = open_scan(path, max_pixels=max_pixels)
    return WholeRows(*read_still(path, max_pixels=max_pixels)) if scan is None else scan


def _with_planes(frame: Frame, planes: Planes) -> Frame:
    return replace(frame, planes=planes, ready=None)


def _copied(file: BinaryIO, tag: Any) -> Entry:
    """A tag of the file with its values as they are stored."""
    kind, number = int(tag.dtype), int(tag.count)
    size = VALUE_BYTES[kind] * number
    if size > _MOST_TAG_BYTES:
        raise InputError(f"{file.name} cannot be read as a picture: tag {tag.code} is too long")
    file.seek(int(tag.valueoffset))
    return Entry(int(tag.code), kind, number, file.read(size))


def _segments(page: Any) -> _Segments:
    """The page's strips or tiles; one that is not compressed is cut into strips of our own."""
    width, height = int(page.imagewidth), int(page.imagelength)
    planes = int(page.samplesperpixel) if int(page.planarconfig) == _SEPARATE else 1
    offsets, counts = list(page.dataoffsets), list(page.databytecounts)
    if page.is_tiled:
        wide, long = int(page.tilewidth), int(page.tilelength)
    else:
        wide, long = width, min(int(page.rowsperstrip), height)
    across, down = -(-width // wide), -(-height // long)
    if len(offsets) != across * down * planes or len(counts) != len(offsets):
        raise InputError(
            f"{page.parent.filehandle.path} cannot be read as a picture: it has {len(offsets)} "
            f"strips or tiles, not {across * down * planes}"
        )
    segments = _Segments(
        width=wide, length=long, across=across, down=down, planes=planes,
        offsets=offsets, counts=counts, tiled=bool(page.is_tiled),
    )  # fmt: skip
    bits = int(page.bitspersample) * int(page.samplesperpixel) // planes
    plain = int(page.compression) == _PLAIN and not page.is_tiled
    return _cut(segments, -(-width * bits // 8), height) if plain else segments


def _cut(segments: _Segments, row: int, height: int) -> _Segments:
    """Uncompressed strips of many rows, of `row` bytes each, as strips of few."""
    length = max(1, _STRIP_BYTES // row)
    if segments.down != 1 or segments.length <= length:
        return segments
    tops = range(0, height, length)
    return replace(
        segments,
        length=length,
        down=len(tops),
        offsets=[start + top * row for start in segments.offsets for top in tops],
        counts=[row * min(length, height - top) for _ in segments.offsets for top in tops],
    )


def _meta(path: str) -> StillMeta:
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(path, formats=("TIFF",)) as image,
        ):
            return meta_of(image)
    except PILLOW_ERRORS:
        return StillMeta()
