"""The wiring: probe -> plan -> stages -> commit.  Read this first.

    decode == restore == encode == mux

Each name is a thread, each == a bounded channel; what a thread does is composed of ops
(`chain.py`).  The finished file gets its name after every stage has ended well, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from vrestore import preset as presets
from vrestore.chain import analysis, restoration
from vrestore.diagnose import Diagnosis, ceilings
from vrestore.diagnose import diagnose as examine
from vrestore.errors import InputError, OutputError, PresetError, VRestoreError
from vrestore.fieldplan import FieldWork
from vrestore.io.decode import DecodeConfig, Decoder, DecodeReport
from vrestore.io.encode import Encoder
from vrestore.io.mux import Muxer
from vrestore.io.output import open_output
from vrestore.io.still import read_still, write_still
from vrestore.io.verify import verify_output
from vrestore.media import Frame, MediaInfo
from vrestore.notes import NoteBook
from vrestore.ops.cutlist import format_cuts
from vrestore.planning import Plan, make_plan
from vrestore.preset import Preset, Setting
from vrestore.progress import ChannelProgress, Progress, StageProgress
from vrestore.report import Report
from vrestore.review.embedded import with_settings
from vrestore.review.witness import Witness
from vrestore.runtime.pipeline import Pipeline, stream
from vrestore.runtime.pool import BufferPool
from vrestore.runtime.posix import MemoryMeter
from vrestore.runtime.stage import Op, compose
from vrestore.runtime.stats import PipelineStats
from vrestore.runtime.threads import torch_threads
from vrestore.shotlist import read_shots
from vrestore.survey import find_shots, look_for_bars, look_for_fields, look_up, survey_shots

__all__ = [
    "Assembly",
    "Observer",
    "assemble",
    "diagnose",
    "export_cuts",
    "export_shots",
    "plan",
    "probe",
    "restore",
    "restore_frames",
]

Observer = Callable[[Progress], None]
"""Called in the calling thread a few times a second."""


def probe(source: str, *, fps: str | None = None, count: bool = False) -> MediaInfo:
    """What a source is, told from what its header claims.

    `fps` is the rate of an image sequence; `count` reads the whole source to count its frames.
    Raises InputError.
    """
    return look_up(source, _sequence_rate(fps), count=count)


def export_cuts(source: str, path: str, *, fps: str | None = None) -> int:
    """Finds the shots of a source, writes them as a cut list, and returns how many there are."""
    cuts = find_shots(source, _sequence_rate(fps))
    try:
        Path(path).write_text(format_cuts(cuts), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
    return len(cuts)


def diagnose(source: str, *, fps: str | None = None, whole: bool = False) -> Diagnosis:
    """What is wrong with a source's pictures, and which preset suits it.

    Some 300 frames are looked at, with `whole` every one.  Raises InputError.
    """
    return examine(source, whole=whole, config=_sequence_rate(fps))


def export_shots(
    source: str, path: str, *, preset: str | None = None, fps: str | None = None
) -> int:
    """Measures what each shot needs, writes the shot list, and returns how many shots there are.

    `preset` says how far each stage may go, None lets a diagnosis choose one.  Raises InputError,
    PresetError, OutputError.
    """
    config = _sequence_rate(fps)
    name = preset or examine(source, config=config).suggestion.preset
    shots = survey_shots(source, ceilings(presets.load(name)), config)
    try:
        Path(path).write_text(shots.to_toml(), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
    return len(shots.shots)


def _sequence_rate(fps: str | None) -> DecodeConfig:
    try:
        return DecodeConfig(fps=fps)
    except ValueError as error:
        raise PresetError(f"--{error}") from error


def plan(
    source: str,
    output: str,
    *,
    preset: str | Preset = presets.DEFAULT,
    overrides: Mapping[str, object] | None = None,
) -> Plan:
    """Everything that `restore` would do, without doing it.

    `preset` is a name, a path or a Preset; `overrides` are its keys, such as
    `{"size.scale": 2}`.  Raises the errors of `vrestore.errors`, but OutputError.
    """
    chosen = _preset(preset, overrides)
    info = look_up(source, chosen.input)
    diagnosis = None
    if chosen.name == presets.DEFAULT and source != "-":
        diagnosis = examine(source, config=chosen.input, info=info)
        chosen = _diagnosed(chosen, diagnosis)
    shots = None if chosen.cuts.shots is None else read_shots(chosen.cuts.shots)
    bars = look_for_bars(info, chosen) if chosen.size.bars == "restore-inside" else None
    return with_settings(
        make_plan(
            info,
            output,
            chosen,
            bars=bars,
            cadence=look_for_fields(info, chosen),
            shots=shots,
            diagnosis=diagnosis,
        )
    )


def _diagnosed(asked: Preset, diagnosis: Diagnosis) -> Preset:
    """The preset that a diagnosis suggests, with everything that was asked for by hand."""
    suggestion = diagnosis.suggestion
    chosen = presets.load(suggestion.preset).override_all(
        Setting(key=key, value=value, origin="diagnosis")
        for key, value in suggestion.overrides.items()
    )
    return chosen.override_all(asked.explicit())


def restore(
    source: str,
    output: str,
    *,
    preset: str | Preset = presets.DEFAULT,
    overrides: Mapping[str, object] | None = None,
    overwrite: bool = False,
    observer: Observer | None = None,
    before: Callable[[Plan], None] | None = None,
) -> Report:
    """Restores a video, an image sequence or a still.

    Nothing has the output's name before everything is written; a failure leaves nothing behind.
    `before` sees the plan (its losses above all) before the first frame is made.  Raises the errors
    of `vrestore.errors`, KeyboardInterrupt after Ctrl-C.
    """
    with torch_threads(1):
        planned = plan(source, output, preset=preset, overrides=overrides)
        if before is not None:
            before(planned)
        if planned.output is None:
            return _restore_still(planned, overwrite)
        return _restore_video(planned, overwrite, observer)


def restore_frames(frames: Iterable[Frame], planned: Plan) -> Iterator[Frame]:
    """Restores frames without files: code values in, code values out, in threads of their own.

    `planned` says how, as `plan(...)` made it for a source of the same kind.  Leaving the loop
    early ends the threads.
    """
    return stream(
        ("frames", frames),
        _stages(planned, BufferPool(), _Tally(), Witness(), NoteBook())[0],
        depths=planned.memory.depth,
        device=planned.device,
    )


# ---------------------------------------------------------------------------------------- video


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """A pipeline that is ready to run, and the ends that count what went through."""

    pipeline: Pipeline
    decoder: Decoder
    encoder: Encoder
    muxer: Muxer
    tally: _Tally
    witness: Witness
    fields: FieldWork | None
    book: NoteBook
    pool: BufferPool


def assemble(planned: Plan, *, overwrite: bool = False) -> Assembly:
    """Opens both files and connects the stages.  Raises InputError, OutputError, EncodeError."""
    assert planned.output is not None, "a still has no pipeline"
    tally, witness, pool, book = _Tally(), Witness(), BufferPool(), NoteBook()
    restoring, fields = _stages(planned, pool, tally, witness, book)
    info = planned.info
    numbered = planned.preset.cuts.file is not None or planned.shots is not None
    decoder = Decoder(
        info.path,
        replace(planned.preset.input, seek=planned.preset.input.seek and not numbered),
        stream=info.video.stream.index,
        threads=planned.threads.decode,
    )
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
            depths=[*[planned.memory.depth] * (len(restoring) + 1), _PACKETS],
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


def _restore_video(planned: Plan, overwrite: bool, observer: Observer | None) -> Report:
    run = assemble(planned, overwrite=overwrite)
    try:
        observe = None if observer is None else _observing(observer, planned, run.tally)
        stats = run.pipeline.run(observe)
        _account(run)
        assert planned.output is not None
        verify_output(planned.output, run.muxer)
        run.muxer.commit()
    except BaseException:
        run.muxer.abort()
        raise
    return Report(
        plan=planned,
        decoded=run.decoder.report,
        frames=run.tally.frames,
        fields=None if run.fields is None else run.fields.deinterlaced,
        matched=None if run.fields is None else run.fields.matched,
        shots=run.tally.shots,
        notes=run.book.notes(),
        sightings=tuple(run.witness.sightings),
        stats=stats,
        pool=run.pool.stats(),
        peak_rss_bytes=MemoryMeter().peak_bytes,
    )


_PACKETS = 8
"""Packets between encoder and muxer; they are small."""


def _stages(
    planned: Plan, pool: BufferPool, tally: _Tally, witness: Witness, book: NoteBook
) -> tuple[list[tuple[str, Op[Any, Any]]], FieldWork | None]:
    """Which op runs in which thread: decided here and nowhere else.  And what keeps the books of
    the fields.

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


class _Tally:
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


def _account(run: Assembly) -> None:
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


# --------------------------------------------------------------------------------------- stills


def _restore_still(planned: Plan, overwrite: bool) -> Report:
    output = Path(planned.path)
    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists; give -y to replace it")
    frame, meta = read_still(planned.info.path)
    tally, witness, book = _Tally(), Witness(), NoteBook()
    fields = FieldWork(planned.fields, book) if planned.fields.works else None
    op = compose(analysis(planned, fields), restoration(planned, book), tally, book.of(witness))
    results = [*op.push(frame), *op.flush()]
    (result,) = results
    write_still(output, result, meta)
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


# ------------------------------------------------------------------------------------- progress


def _observing(observer: Observer, planned: Plan, tally: _Tally) -> Callable[[PipelineStats], None]:
    info, meter = planned.info, MemoryMeter()
    total = planned.frames_expected
    length = info.duration_seconds_from_header

    def observe(stats: PipelineStats) -> None:
        elapsed = stats.elapsed_seconds or 1e-9
        bounding = stats.bounding
        observer(
            Progress(
                elapsed_seconds=stats.elapsed_seconds,
                frames_done=tally.frames,
                frames_total=total,
                position_seconds=float(tally.last - tally.first),
                duration_seconds=None if length is None else float(length),
                shot=tally.shots - 1 if tally.shots else None,
                stages=tuple(
                    StageProgress(
                        name=stage.name,
                        items=max(stage.items_out, stage.items_in),
                        busy_share=stats.busy_share(stage),
                        fps=max(stage.items_out, stage.items_in) / elapsed,
                    )
                    for stage in stats.stages
                ),
                channels=tuple(
                    ChannelProgress(
                        name=channel.name, depth=channel.depth, capacity=channel.capacity
                    )
                    for channel in stats.channels
                ),
                rss_bytes=meter.current_bytes or 0,
                bound_by=None if bounding is None else bounding.name,
            )
        )

    return observe


def _preset(preset: str | Preset, overrides: Mapping[str, object] | None) -> Preset:
    chosen = presets.load(preset) if isinstance(preset, str) else preset
    return chosen.override_all(
        Setting(key=key, value=value, origin="argument") for key, value in (overrides or {}).items()
    )
