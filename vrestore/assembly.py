"""A plan as stages in threads: which op runs where is decided here and nowhere else.

    decode == restore == encode == mux

Each name is a thread, each == a bounded channel; what a thread does is composed of ops
(`chain.py`).  This is the whole of a run that is one piece; one of many pieces is in `jobs/`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from vrestore.chain import analysis, restoration
from vrestore.errors import InputError, VRestoreError
from vrestore.fieldplan import FieldWork
from vrestore.io.approach import Entry
from vrestore.io.decode import Decoder
from vrestore.io.encode import Encoder
from vrestore.io.mux import Muxer
from vrestore.io.output import open_output
from vrestore.media import Frame
from vrestore.notes import NoteBook
from vrestore.planning import Plan
from vrestore.review.witness import Witness
from vrestore.runtime.pipeline import Pipeline
from vrestore.runtime.pool import BufferPool
from vrestore.runtime.stage import Op, compose

__all__ = ["PACKETS", "Assembly", "Tally", "account", "assemble", "open_source", "stages"]

PACKETS = 8
"""Packets between encoder and muxer; they are small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """A pipeline that is ready to run, and the ends that count what went through."""

    pipeline: Pipeline
    decoder: Decoder
    encoder: Encoder
    muxer: Muxer
    tally: Tally
    witness: Witness
    fields: FieldWork | None
    book: NoteBook
    pool: BufferPool


def assemble(planned: Plan, *, overwrite: bool = False) -> Assembly:
    """Opens both files and connects the stages.  Raises InputError, OutputError, EncodeError."""
    assert planned.output is not None, "a still has no pipeline"
    tally, witness, pool, book = Tally(), Witness(), BufferPool(), NoteBook()
    restoring, fields = stages(planned, pool, tally, witness, book)
    info = planned.info
    decoder = open_source(planned, on_device=True)
    try:
        encoder, muxer = open_output(
            planned.output,
            info,
            overwrite=overwrite,
            span=planned.span,
            frames=planned.frames_expected,
        )
    except BaseException:
        decoder.close()
        raise
    try:
        pipeline = Pipeline(
            ("decode", decoder),
            [*restoring, ("encode", encoder)],
            ("mux", muxer),
            depths=[*[planned.memory.depth] * (len(restoring) + 1), PACKETS],
            device=planned.device,
        )
        return Assembly(
            pipeline=pipeline,
            decoder=decoder,
            encoder=encoder,
            muxer=muxer,
            tally=tally,
            witness=witness,
            fields=fields,
            book=book,
            pool=pool,
        )
    except BaseException:
        muxer.abort()
        decoder.close()
        raise


def open_source(
    planned: Plan, *, entry: Entry | None = None, seek: bool = True, on_device: bool = False
) -> Decoder:
    """The planned part of the source, or what of it comes from `entry` on.

    Without `seek` everything before is read too, as it must be where a list numbers the source's
    pictures and where the source is damaged.  `on_device` lets the device decode where it was
    planned.  Raises InputError.
    """
    path = planned.path_on_device
    decoded_there = on_device and path is not None and path.decode.on_device
    config, listed = planned.preset.input, planned.preset.cuts.file or planned.shots
    seek = seek and config.seek and (entry is not None or not listed)
    return Decoder(
        planned.info.path,
        replace(config, seek=seek),
        stream=planned.info.video.stream.index,
        threads=planned.threads.decode,
        entry=entry,
        cuda=planned.device.index if decoded_there else None,
    )


def stages(
    planned: Plan, pool: BufferPool, tally: Tally, witness: Witness, book: NoteBook
) -> tuple[list[tuple[str, Op[Any, Any]]], FieldWork | None]:
    """What happens between decoder and encoder, and what keeps the books of the fields.

    Shot detection takes 1 to 3 ms a frame.  In a thread of its own it slowed the whole down: two
    threads that are mostly Python take turns on the interpreter lock.
    """
    fields = FieldWork(planned.fields, book) if planned.fields.works else None
    restore_op = compose(
        analysis(planned, fields),
        restoration(planned, book, pool.take),
        tally,
        book.of(witness),
    )
    return [("restore", restore_op)], fields


class Tally:
    """Op: counts the frames that pass."""

    latency = 0

    def __init__(self) -> None:
        self.frames = 0
        self.shots = 0
        self.first = Fraction(0)
        """Time of the first frame, in seconds."""
        self.last = Fraction(0)

    def push(self, frame: Frame) -> Iterable[Frame]:
        self.last = frame.timestamp.seconds
        if not self.frames:
            self.first = self.last
        self.frames += 1
        self.shots += frame.shot_start
        return (frame,)

    def flush(self) -> Iterable[Frame]:
        return ()


def account(run: Assembly) -> None:
    """Frames in are frames out, second fields added, or the run has failed."""
    decoded = run.decoder.report
    if decoded.emitted == 0:
        raise InputError("no picture of the source lies in the part that was asked for")
    added = 0 if run.fields is None else run.fields.added
    dropped = 0 if run.fields is None else run.fields.dropped
    how = "decoded"
    how += ", second fields included" if added else ""
    how += ", repeats of pulldown left out" if dropped else ""
    counts = {
        how: decoded.emitted - dropped + added,
        "restored": run.tally.frames,
        "encoded": run.encoder.frames,
        "written": run.muxer.packets,
    }
    if len(set(counts.values())) > 1 or not decoded.balanced:
        listed = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise VRestoreError(
            f"frames do not add up ({listed}); nothing was written, please report this"
        )
