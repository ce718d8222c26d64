"""PNG files (ISO/IEC 15948) of 8 and 16 bits a sample, written row by row.

Pillow writes no 16-bit colour and wants the whole picture at once.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from vrestore.io.stillmeta import StillMeta
from vrestore.media import SampleFormat

__all__ = ["write_png"]

Bytes = npt.NDArray[np.uint8]

_COLOR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}
_INCHES_PER_METRE = 1 / 0.0254
_LEVEL, _MEMORY_LEVEL = 6, 9
_CHUNK_BYTES = 2**20
"""Of rows that are filtered and compressed at a time."""


def write_png(
    path: Path,
    layout: SampleFormat,
    size: tuple[int, int],
    bands: Iterable[npt.NDArray[Any]],
    meta: StillMeta,
) -> None:
    """Write rows as they come: `bands` are (rows, width, channels), together `size`."""
    width, height = size
    color = _COLOR_TYPE[layout.plane_count]
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        _write(file, b"IHDR", struct.pack(">2I5B", width, height, layout.depth, color, 0, 0, 0))
        for kind, data in _described(meta, size):
            _write(file, kind, data)
        packer = zlib.compressobj(
            _LEVEL, zlib.DEFLATED, zlib.MAX_WBITS, _MEMORY_LEVEL, zlib.Z_FILTERED
        )
        for rows in _filtered(bands, layout.plane_count * layout.depth // 8):
            _write(file, b"IDAT", packer.compress(rows))
        _write(file, b"IDAT", packer.flush())
        _write(file, b"IEND", b"")


def _write(file: BinaryIO, kind: bytes, data: bytes) -> None:
    if data or kind != b"IDAT":
        check = zlib.crc32(data, zlib.crc32(kind))
        file.write(struct.pack(">I", len(data)) + kind)
        file.write(data)
        file.write(struct.pack(">I", check))


def _described(meta: StillMeta, size: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    """What stands before the samples."""
    if meta.icc:
        yield b"iCCP", b"ICC profile\0\0" + zlib.compress(meta.icc)
    if meta.dpi:
        x, y = (round(dots * _INCHES_PER_METRE) for dots in meta.dpi)
        yield b"pHYs", struct.pack(">2IB", x, y, 1)
    exif = meta.exif_block(size)
    if exif:
        yield b"eXIf", exif.removeprefix(b"Exif\0\0")
    if meta.xmp:
        yield b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + meta.xmp


def _filtered(bands: Iterable[npt.NDArray[Any]], step: int) -> Iterator[bytes]:
    """Rows as PNG compresses them: each the filter's number and what it leaves."""
    above: Bytes | None = None
    for band in bands:
        height = band.shape[0]
        rows = band.astype(band.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
        above = np.zeros_like(rows[0]) if above is None else above
        many = max(1, _CHUNK_BYTES // rows.shape[1])
        for top in range(0, height, many):
            part = rows[top : top + many]
            upper = np.concatenate((above[None], part[:-1]))
            yield _best(part, upper, step).tobytes()
            above = part[-1].copy()


def _best(rows: Bytes, upper: Bytes, step: int) -> Bytes:
    """Each row with the filter that leaves least: the specification's own advice (12.7)."""
    left, corner = np.zeros_like(rows), np.zeros_like(rows)
    left[:, step:], corner[:, step:] = rows[:, :-step], upper[:, :-step]
    a, b, c = (plane.astype(np.int16) for plane in (left, upper, corner))
    to_a, to_b = np.abs(b - c), np.abs(a - c)
    to_c = np.abs(a + b - 2 * c)
    paeth = np.where((to_a <= to_b) & (to_a <= to_c), left, np.where(to_b <= to_c, upper, corner))
    candidates = (rows, rows - left, rows - upper, rows - ((a + b) >> 1).astype(np.uint8),
                  rows - paeth)  # fmt: skip
    costs = [np.abs(each.view(np.int8).astype(np.int16)).sum(1, dtype=np.int64)
             for each in candidates]  # fmt: skip
    chosen = np.argmin(costs, axis=0)
    out = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    out[:, 0] = chosen
    for number, each in enumerate(candidates):
        out[chosen == number, 1:] = each[chosen == number]
    return out
