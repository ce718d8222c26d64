"""Single pictures: small ones at once, large ones in tiles, band by band into the file.

A tile is restored with as much around it as the network looks at, and with the noise level of the
whole picture, which a first pass over the rows has measured.  So the result is that of the whole
picture, and memory follows the width of a picture, not its area.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from vrestore.assembly import Tally
from vrestore.chain import analysis, luma_of, restoration
from vrestore.errors import OutputError
from vrestore.fieldplan import FieldWork
from vrestore.io.decode import DecodeReport
from vrestore.io.scan import Rows, open_rows
from vrestore.io.stillwrite import write_rows
from vrestore.media import Frame
from vrestore.models.noise import NOISE_KEY, NoiseMeter
from vrestore.notes import NoteBook
from vrestore.observing import Observer
from vrestore.ops.underlay import REACH
from vrestore.planning import Plan
from vrestore.progress import Progress
from vrestore.report import Report
from vrestore.review.witness import Witness
from vrestore.runtime.posix import MemoryMeter
from vrestore.runtime.stage import Op, compose
from vrestore.stillplan import StillTiles, subsampling_of

__all__ = ["restore_still"]

Samples = npt.NDArray[Any]

_NOISE_ROWS = 256
"""Rows of a picture whose noise is measured at a time."""


def restore_still(planned: Plan, *, overwrite: bool, observer: Observer | None = None) -> Report:
    """Restores a picture and writes it; under its name only when complete.

    Raises OutputError where the output exists or cannot be written, InputError, EncodeError.
    """
    output = Path(planned.path)
    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists; give -y to replace it")
    book, witness = NoteBook(), Witness()
    encode = planned.preset.encode
    fields = None
    with closing(open_rows(planned.info.path, max_pixels=planned.preset.input.max_pixels)) as rows:
        if planned.tiles is None:
            fields = FieldWork(planned.fields, book) if planned.fields.works else None
            bands = _at_once(planned, rows, book, witness, fields)
        else:
            bands = _tiled(planned, planned.tiles, rows, book, observer)
        write_rows(
            output,
            planned.format,
            planned.size.output,
            bands,
            rows.meta,
            quality=encode.quality,
            subsampling=subsampling_of(encode.pixel_format),
        )
    return Report(
        plan=planned,
        decoded=DecodeReport(decoded=1, emitted=1),
        frames=1,
        fields=None if fields is None else fields.deinterlaced,
        shots=1,
        notes=book.notes(),
        sightings=tuple(witness.sightings),
        stats=None,
        pool=None,
        peak_rss_bytes=MemoryMeter().peak_bytes,
    )


def _at_once(
    planned: Plan, rows: Rows, book: NoteBook, witness: Witness, fields: FieldWork | None
) -> Iterator[Samples]:
    """The whole picture as one band."""
    op = compose(analysis(planned, fields), restoration(planned, book), Tally(), book.of(witness))
    (result,) = _through(op, rows.frame(0, rows.height))
    yield _samples(result)


def _tiled(
    planned: Plan, tiles: StillTiles, rows: Rows, book: NoteBook, observer: Observer | None
) -> Iterator[Samples]:
    """The restored picture in bands as high as tiles."""
    color = planned.source_color.working
    scale = planned.size.output[0] // rows.width
    down, across = (list(_parts(length, tiles)) for length in (rows.height, rows.width))
    tell = _teller(observer, len(down) * len(across))
    tuning = MappingProxyType({NOISE_KEY: _noise(planned, rows)})
    op = restoration(_plan_of(planned, (across[0].taken, down[0].taken), scale), book)
    for row in down:
        band: Samples | None = None
        source = rows.frame(row.low, row.low + row.taken)
        for column in across:
            columns = slice(column.low, column.low + column.taken)
            tile = replace(
                source,
                planes=tuple(plane[:, columns].contiguous() for plane in source.planes),
                color=color,
                tuning=tuning,
            )
            (made,) = _through(op, tile)
            part = _samples(made)[row.answer(scale), column.answer(scale)]
            if band is None:
                shape = (part.shape[0], rows.width * scale, part.shape[2])
                band = np.empty(shape, part.dtype)
            band[:, column.start * scale : column.stop * scale] = part
            tell()
        assert band is not None
        yield band


@dataclass(frozen=True, slots=True)
class _Part:
    """One axis of a tile, in samples of the source."""

    start: int
    stop: int
    """Of what it answers for, half-open."""

    low: int
    taken: int
    """First sample that it is made from, and how many; the same number for all tiles."""

    def answer(self, scale: int) -> slice:
        """Of the restored tile, what it answers for."""
        return slice((self.start - self.low) * scale, (self.stop - self.low) * scale)


def _parts(length: int, tiles: StillTiles) -> Iterator[_Part]:
    """An axis cut into parts; all begin on the network's grid of two samples."""
    taken = tiles.side + 2 * tiles.halo + length % 2
    if taken >= length:
        yield _Part(0, length, 0, length)
        return
    for start in range(0, length, tiles.side):
        low = min(max(0, start - tiles.halo), length - taken)
        yield _Part(start, min(start + tiles.side, length), low, taken)


def _plan_of(planned: Plan, size: tuple[int, int], scale: int) -> Plan:
    """The plan of one tile."""
    width, height = size
    larger = width * scale, height * scale
    network = width * planned.size.network_scale, height * planned.size.network_scale
    return replace(
        planned,
        info=replace(planned.info, video=replace(planned.info.video, width=width, height=height)),
        size=replace(planned.size, network=network, picture=larger, output=larger),
    )


def _noise(planned: Plan, rows: Rows) -> float:
    """The noise level that the network would take of the whole picture."""
    meter, luma = NoiseMeter(), luma_of(planned)
    around = REACH if rows.format.alpha else 0
    for top in range(0, rows.height, _NOISE_ROWS):
        bottom = min(top + _NOISE_ROWS, rows.height)
        low, high = max(0, top - around), min(bottom + around, rows.height)
        for frame in _through(luma, rows.frame(low, high)):
            meter.push(frame.planes[0][top - low : bottom - low])
    return meter.level()


def _through(op: Op[Frame, Frame], frame: Frame) -> tuple[Frame, ...]:
    """What an op makes of a frame by itself."""
    return (*op.push(frame), *op.flush())


def _samples(frame: Frame) -> Samples:
    return np.stack([plane.cpu().numpy() for plane in frame.planes], axis=-1)


def _teller(observer: Observer | None, total: int) -> Callable[[], None]:
    """Called after each tile."""
    began, meter, done = monotonic(), MemoryMeter(), 0

    def tell() -> None:
        nonlocal done
        done += 1
        if observer is not None:
            observer(
                Progress(
                    elapsed_seconds=monotonic() - began,
                    frames_done=done,
                    frames_total=total,
                    position_seconds=0.0,
                    duration_seconds=None,
                    shot=None,
                    stages=(),
                    channels=(),
                    rss_bytes=meter.current_bytes or 0,
                    bound_by=None,
                    unit="tiles",
                )
            )

    return tell
