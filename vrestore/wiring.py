"""The wiring: probe -> plan -> run -> commit.  Read this first.

A run is one piece (`assembly.py`: decode == restore == encode == mux, each a thread) or, where it
is long, a job of many (`jobs/`).  The finished file gets its name after everything has ended well,
or not at all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vrestore import preset as presets
from vrestore.assembly import Assembly, Tally, account, assemble, stages
from vrestore.diagnose import Diagnosis, ceilings
from vrestore.diagnose import diagnose as examine
from vrestore.errors import OutputError, PresetError
from vrestore.io.decode import DecodeConfig
from vrestore.io.output import OutputPlan, final_path
from vrestore.io.verify import verify_output
from vrestore.jobs.crew import crew_of, threads_each
from vrestore.jobs.folder import has_job, job_path
from vrestore.jobs.run import run_job
from vrestore.media import Frame, MediaInfo
from vrestore.notes import NoteBook
from vrestore.observing import Observer, observing
from vrestore.ops.cutlist import format_cuts
from vrestore.planning import Plan, make_plan
from vrestore.preset import Preset, Setting
from vrestore.report import Report
from vrestore.review.embedded import with_settings
from vrestore.review.witness import Witness
from vrestore.runtime.pipeline import stream
from vrestore.runtime.pool import BufferPool
from vrestore.runtime.posix import MemoryMeter, lock_file
from vrestore.runtime.threads import torch_threads
from vrestore.shotlist import read_shots
from vrestore.stills import restore_still
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
    if chosen.name == presets.DEFAULT and info.is_still and info.video.stream.codec == "tiff":
        # Scans; FFmpeg, with which a diagnosis looks, reads neither all of them nor the large ones.
        chosen = presets.load("still").override_all(chosen.explicit())
    elif chosen.name == presets.DEFAULT and source != "-":
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
            cadence=look_for_fields(info, chosen, diagnosis.cadence if diagnosis else None),
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
    restart: bool = False,
    keep_job: bool = False,
    workers: int | None = None,
    cluster: str | None = None,
    allow_mixed: bool = False,
    observer: Observer | None = None,
    before: Callable[[Plan], None] | None = None,
) -> Report:
    """Restores a video, an image sequence or a still.

    Nothing has the output's name before everything is written.  A long run is a job: what an
    earlier one with the same source and settings left is gone on with, unless `restart` is given,
    and what this one leaves when it fails can be; `keep_job` keeps its folder in the end.  Its
    segments are made by `workers` processes, on the Ray cluster at the address `cluster`, or one on
    each device where `run.device` names several; `allow_mixed` takes devices of different kinds.  A
    short run leaves nothing behind when it fails.  `before` sees the plan (its losses above all)
    before the first frame is made.  Raises the errors of `vrestore.errors`, KeyboardInterrupt after
    Ctrl-C where nothing is left to go on with.
    """
    with torch_threads(1):
        chosen = _preset(preset, overrides)
        crew = crew_of(chosen.run, workers=workers, cluster=cluster, allow_mixed=allow_mixed)
        if crew is not None and chosen.run.threads is None:
            each = Setting(key="run.threads", value=threads_each(crew), origin="workers")
            chosen = chosen.override_all([each])
        planned = plan(source, output, preset=chosen)
        if before is not None:
            before(planned)
        if planned.output is None:
            return restore_still(planned, overwrite=overwrite, observer=observer)
        folder = job_path(planned.output)
        if folder is not None and (planned.job.seconds is not None or has_job(folder)):
            return run_job(
                planned,
                folder,
                overwrite=overwrite,
                restart=restart,
                keep=keep_job,
                crew=crew,
                observer=observer,
            )
        with _alone(planned.output):
            return _restore_video(planned, overwrite, observer)


def restore_frames(frames: Iterable[Frame], planned: Plan) -> Iterator[Frame]:
    """Restores frames without files: code values in, code values out, in threads of their own.

    `planned` says how, as `plan(...)` made it for a source of the same kind.  Leaving the loop
    early ends the threads.
    """
    return stream(
        ("frames", frames),
        stages(planned, BufferPool(), Tally(), Witness(), NoteBook())[0],
        depths=planned.memory.depth,
        device=planned.device,
    )


# ---------------------------------------------------------------------------------------- video


@contextmanager
def _alone(output: OutputPlan) -> Iterator[None]:
    """Keeps a second run off the same output file.

    Raises OutputError where there is one.  A lock that cannot be had for another reason is done
    without: what hinders it hinders the output too, which says it better.
    """
    final = final_path(output)
    if final is None or output.container.name == "image2" or sys.platform == "win32":
        yield
        return
    part = final.with_name(final.name + ".part")
    with ExitStack() as held:
        try:
            held.enter_context(lock_file(part))
        except BlockingIOError as error:
            raise OutputError(
                f"another vrestore is writing {final} ({part} is locked); wait for it"
            ) from error
        except OSError:
            yield
            return
        try:
            yield
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _restore_video(planned: Plan, overwrite: bool, observer: Observer | None) -> Report:
    run = assemble(planned, overwrite=overwrite)
    try:
        observe = None if observer is None else observing(observer, planned, run.tally)
        stats = run.pipeline.run(observe)
        account(run)
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


def _preset(preset: str | Preset, overrides: Mapping[str, object] | None) -> Preset:
    chosen = presets.load(preset) if isinstance(preset, str) else preset
    return chosen.override_all(
        Setting(key=key, value=value, origin="argument") for key, value in (overrides or {}).items()
    )
