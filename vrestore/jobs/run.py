"""A run as a job: what is missing is made, then all of it is joined."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from time import monotonic, process_time
from typing import Any

from vrestore.assembly import PACKETS
from vrestore.errors import OutputError, StoppedError, VRestoreError
from vrestore.fieldplan import FieldsKnown
from vrestore.io.accounts import DecodeReport
from vrestore.io.deinterlace import FieldReport
from vrestore.io.output import final_path, require_possible
from vrestore.io.partfile import RESERVE_BYTES
from vrestore.jobs.cluster import make_by_workers
from vrestore.jobs.crew import Crew, require_ray
from vrestore.jobs.entries import Beginning
from vrestore.jobs.fingerprint import DEVICE, PRECISION, conditions, differences
from vrestore.jobs.folder import JobFolder
from vrestore.jobs.handles import handles_of
from vrestore.jobs.joining import join
from vrestore.jobs.keeping import EncodeSegments, KeepSegments
from vrestore.jobs.making import InSegments, ReadSegments, SegmentRestored, StopRequest
from vrestore.jobs.segments import cut_up
from vrestore.jobs.sourcepass import map_source
from vrestore.notes import ShotNote
from vrestore.observing import Observer, observing
from vrestore.ops.fieldmatch import MatchReport
from vrestore.planning import Plan
from vrestore.report import Report
from vrestore.review.witness import Sighting, largest
from vrestore.runtime.pipeline import Pipeline
from vrestore.runtime.pool import BufferPool, PoolStats
from vrestore.runtime.posix import MemoryMeter, free_bytes
from vrestore.runtime.stats import PipelineStats
from vrestore.shotlist import ShotList, parse_shots

__all__ = ["run_job"]

_WHOLE = Fraction(10**9)
"""Seconds of a segment that is the whole run."""

_PATIENCE = 10.0
"""Seconds that Ctrl-C waits for a segment to be finished."""


@dataclass(slots=True)
class _Outcome:
    """What this process did itself."""

    stats: PipelineStats | None = None
    pool: PoolStats | None = None
    sightings: tuple[Sighting, ...] = ()


def run_job(
    plan: Plan,
    path: Path,
    *,
    overwrite: bool = False,
    restart: bool = False,
    keep: bool = False,
    crew: Crew | None = None,
    observer: Observer | None = None,
) -> Report:
    """Carries out a plan as a job in the folder `path`, from wherever an earlier run left it.

    `restart` forgets what is there; `keep` leaves the folder when all is done; `crew` makes the
    segments in place of this process.  Raises StoppedError
    after Ctrl-C and where the disk is full, with everything kept; OutputError where the folder
    holds a job of another source or other settings, or another process works on it; and what runs
    raise, the folder staying where a segment is complete.
    """
    if crew is not None:
        require_ray()
    told = conditions(plan)
    with JobFolder.opened(path, anew=restart) as job:
        if job.beginning is not None:
            mixed = crew is not None and crew.allow_mixed
            _require_same(job.path, job.beginning.conditions, told, mixed=mixed)
        with _kept_or_removed(job):
            finished = _is_finished(job, plan)
            if finished:
                job.believe()
            else:
                _require_place(plan, overwrite)
            begun = job.beginning or _begin(job, plan, told, overwrite, observer)
            planned = _told(plan, parse_shots(begun.shots), begun.fields)
            outcome = _Outcome()
            if job.todo and crew is None:
                outcome = _make(job, begun, planned, observer)
            elif job.todo and crew is not None:
                outcome = _handed_out(crew, job, planned, told, observer)
            report = _report(job, begun, planned, outcome)
            if not finished:
                join(job, planned, overwrite=overwrite)
        if not keep:
            job.remove()
        return report


@contextlib.contextmanager
def _kept_or_removed(job: JobFolder) -> Iterator[None]:
    """What becomes of the folder, and what is said of it, when a run does not end well."""
    try:
        yield
    except KeyboardInterrupt:
        if job.beginning is None:
            job.remove()
            raise
        raise StoppedError(f"stopped; {_kept(job)}") from None
    except (OutputError, StoppedError) as error:
        full = isinstance(error, StoppedError) or free_bytes(job.path) < RESERVE_BYTES
        if not job.made and not isinstance(error, StoppedError):
            _forget(job)
            raise
        kind = StoppedError if full else type(error)
        raise kind(f"{error}; {_kept(job)}") from error
    except VRestoreError as error:
        if not job.made:
            _forget(job)
            raise
        raise type(error)(f"{error}; {_kept(job)}") from error
    except BaseException:
        if not job.made:
            _forget(job)
        raise


def _forget(job: JobFolder) -> None:
    """Removes a job that has nothing worth keeping; the error under way says what happened."""
    with contextlib.suppress(OSError):
        job.remove()


def _kept(job: JobFolder) -> str:
    total = 0 if job.beginning is None else len(job.beginning.segments)
    return (
        f"{len(job.made)} of {total} segments are kept in {job.path}, the same command goes on "
        "from there"
    )


def _require_same(
    path: Path, before: Mapping[str, str], now: Mapping[str, str], *, mixed: bool
) -> None:
    if mixed:
        before, now = (
            {key: value for key, value in told.items() if key not in (DEVICE, PRECISION)}
            for told in (before, now)
        )
    found = differences(before, now)
    if found:
        raise OutputError(
            f"{path} is the job of another run: {'; '.join(found[:3])}"
            f"{' ...' if len(found) > 3 else ''}; give the same source and settings to go on with "
            "it, or --restart to begin anew"
        )


def _require_place(plan: Plan, overwrite: bool) -> None:
    """Raises OutputError or EncodeError where the finished file could not be made."""
    assert plan.output is not None
    expected = plan.output.expected_bytes(plan.frames_expected, plan.info.size_bytes)
    require_possible(
        plan.output, plan.info, overwrite=overwrite, span=plan.span, expected_bytes=2 * expected
    )


def _begin(
    job: JobFolder,
    plan: Plan,
    told: dict[str, str],
    overwrite: bool,
    observer: Observer | None,
) -> Beginning:
    """Looks at all of the source and writes down what will be done."""
    found = map_source(plan, observer)
    planned = _told(plan, found.shots, found.fields)
    segments = cut_up(
        found.times,
        found.first,
        found.starts,
        time_base=found.time_base,
        seconds=_WHOLE if plan.job.seconds is None else plan.job.seconds,
        handles=handles_of(planned),
    )
    begun = Beginning(
        source=plan.info.path,
        output=plan.path,
        preset=plan.preset.name,
        toml=plan.preset.to_toml(),
        overwrite=overwrite,
        conditions=told,
        shots=found.shots.to_toml(),
        segments=segments,
        fields=found.fields,
        decoded=_books(found.report),
        steady=found.steady,
    )
    job.begin(begun)
    return begun


def _told(plan: Plan, shots: ShotList, fields: FieldsKnown | None) -> Plan:
    """The plan with what the source pass decided."""
    return replace(plan, shots=shots, fields=replace(plan.fields, known=fields))


def _books(report: DecodeReport) -> dict[str, Any]:
    told = {field.name: getattr(report, field.name) for field in fields(report)}
    return told | {"dropped": dict(report.dropped)}


def _is_finished(job: JobFolder, plan: Plan) -> bool:
    """Whether an earlier run gave the finished file its name and got no further."""
    assert plan.output is not None
    final = final_path(plan.output)
    if job.finishing is None or final is None or not final.is_file():
        return False
    part = final.with_name(final.name + ".part")
    return final.stat().st_size == job.finishing and not part.exists()


# --------------------------------------------------------------------------------------- making


def _make(job: JobFolder, begun: Beginning, plan: Plan, observer: Observer | None) -> _Outcome:
    """Makes what is missing.  Raises StoppedError where a stop was asked for."""
    assert plan.output is not None
    todo = job.todo
    pool, stop = BufferPool(), StopRequest()
    sightings: list[Sighting] = []

    def kept(restored: SegmentRestored) -> None:
        sightings[:] = largest([*sightings, *restored.sightings])

    zero = float(begun.segments[0].read_pts * plan.info.video.time_base)
    restoring = InSegments(plan, todo, stop, pool.take, zero=zero)
    pipeline = Pipeline(
        ("decode", ReadSegments(plan, todo, stop, steady=begun.steady)),
        [("restore", restoring), ("encode", EncodeSegments(plan.output))],
        ("keep", KeepSegments(job, kept=kept)),
        depths=[plan.memory.depth, plan.memory.depth, PACKETS],
        device=plan.device,
    )
    before = sum(made.frames for made in job.made.values())
    observe = None
    if observer is not None:
        total = plan.fields.pace * begun.frames
        observe = observing(observer, plan, restoring.tally, total=round(total), before=before)
    stats = pipeline.run(observe, ask=_Stopping(restoring, stop))
    if job.todo:
        raise StoppedError("stopped after a segment")
    return _Outcome(stats=stats, pool=pool.stats(), sightings=tuple(sightings))


def _handed_out(
    crew: Crew,
    job: JobFolder,
    plan: Plan,
    told: Mapping[str, str],
    observer: Observer | None,
) -> _Outcome:
    """Has workers make what is missing."""
    began, spent = monotonic(), process_time()
    sightings = make_by_workers(crew, job, plan, told, observer=observer, patience=_PATIENCE)
    stats = PipelineStats(
        stages=(),
        channels=(),
        elapsed_seconds=monotonic() - began,
        cpu_seconds=process_time() - spent,
    )
    return _Outcome(stats=stats, sightings=sightings)


class _Stopping:
    """What the first Ctrl-C asks: whether the segment under way is soon finished."""

    def __init__(self, restoring: InSegments, stop: StopRequest) -> None:
        self._restoring = restoring
        self._stop = stop
        self._began = monotonic()

    def __call__(self) -> bool:
        current, frames = self._restoring.current, self._restoring.tally.frames
        if self._stop.after is not None or current is None or not frames:
            return False
        segment, done = current
        pace = (monotonic() - self._began) / frames
        if pace * (segment.frames - done) > _PATIENCE:
            return False
        self._stop.after = segment.number
        return True


# --------------------------------------------------------------------------------------- report


def _report(job: JobFolder, begun: Beginning, plan: Plan, outcome: _Outcome) -> Report:
    """Raises VRestoreError where frames do not add up."""
    books = dict(begun.decoded)
    decoded = DecodeReport(**books | {"dropped": Counter(books["dropped"])})
    made = [job.made[number] for number in sorted(job.made)]
    frames, added = sum(m.frames for m in made), sum(m.added for m in made)
    if plan.fields.matching is None and frames - added != decoded.emitted:
        raise VRestoreError(
            f"frames do not add up ({decoded.emitted} decoded, {frames - added} written); "
            "please report this"
        )
    work = matched = None
    if plan.fields.deinterlacing is not None:
        work = FieldReport(
            rate=plan.fields.deinterlacing.rate,
            frames=frames - added,
            deinterlaced=sum(m.deinterlaced for m in made),
        )
    if plan.fields.matching is not None:
        matched = MatchReport(frames=decoded.emitted, pictures=frames - added)
    usual = begun.conditions.get(DEVICE, "unknown")
    kinds = sorted({m.device or usual for m in made})
    if kinds != [usual]:
        told = "segments were made on devices of different kinds"
        if len(kinds) == 1:
            told = f"all segments were made on another device than {usual}"
        plan = replace(plan, notes=(*plan.notes, f"{told}: {'; '.join(kinds)}"))
    return Report(
        plan=plan,
        decoded=decoded,
        frames=frames,
        fields=work,
        matched=matched,
        shots=sum(m.shots for m in made),
        notes=tuple(_note(note) for m in made for note in m.notes),
        sightings=outcome.sightings,
        stats=outcome.stats,
        pool=outcome.pool,
        peak_rss_bytes=MemoryMeter().peak_bytes,
    )


def _note(entry: object) -> ShotNote:
    assert isinstance(entry, dict)
    curves = {key: tuple(values) for key, values in entry["curves"].items()}
    return ShotNote(
        stage=entry["stage"],
        first=entry["first"],
        frames=entry["frames"],
        values=entry["values"],
        curves=curves,
    )
