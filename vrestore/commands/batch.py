"""Several sources in one command: folders, globs, lists; each its own job."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import typer

from vrestore import display
from vrestore.commands.gathering import PICTURE_SUFFIXES, collect, is_glob, watched
from vrestore.commands.recording import write_record
from vrestore.errors import OutputError, PresetError, StoppedError, VRestoreError
from vrestore.io.sequence import is_pattern
from vrestore.io.stillkinds import STILL_SUFFIXES
from vrestore.runtime.beside import side_by_side

if TYPE_CHECKING:
    from vrestore.report import Report

__all__ = [
    "Entry",
    "Fate",
    "Job",
    "failure_of",
    "is_batch",
    "place_of",
    "restore_all",
    "run_batch",
    "summary",
]


Job = Callable[[str, str, "int | None"], "Report"]
"""Restores (source, target) with so many threads; None is for a job that has the machine alone."""


class Fate(Enum):
    """What became of one source."""

    DONE = "done"
    KEPT = "kept"
    """Its output was there already."""

    FAILED = "FAILED"
    STOPPED = "stopped"
    WAITING = "not begun"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One source of a batch."""

    source: str
    target: str
    fate: Fate = Fate.WAITING
    told: str = ""
    """The result or what went wrong, one sentence."""

    error: VRestoreError | None = None

    @property
    def facts(self) -> dict[str, object]:
        """The entry as plain values, for JSON."""
        return {
            "source": self.source,
            "output": self.target,
            "fate": self.fate.name.lower(),
            "told": self.told,
        }


def is_batch(sources: Sequence[str], output: str | None, *, watch: bool) -> bool:
    """Whether a command line asks for more than one job."""
    if watch or len(sources) != 1 or sources[0].startswith("@"):
        return True
    source = sources[0]
    if output is not None and _names_folder(output) and not is_pattern(output):
        return True
    return is_glob(source)


def run_batch(
    sources: Sequence[str],
    output: str,
    job: Job,
    *,
    threads: int | None,
    watch: bool,
    overwrite: bool,
    record: bool,
    as_json: bool,
) -> None:
    """What `run` does where it is given many: a table at the end, and one exit status.

    `job` restores (source, target); with `record` the record of each is written beside its output.
    Pictures are restored side by side, sharing `threads`.
    Raises the family of errors that the failures have in common, else VRestoreError.
    """

    def whole_job(source: str, target: str, threads: int | None) -> Report:
        report = job(source, target, threads)
        if record:
            write_record(report, sightings=report.sightings)
        return report

    found: Iterable[str] = watched(sources) if watch else collect(sources)
    entries = restore_all(
        found,
        output,
        whole_job,
        threads=threads,
        overwrite=overwrite,
        tell=display.tell,
    )
    if as_json:
        typer.echo(json.dumps({"event": "batch", "files": [entry.facts for entry in entries]}))
    else:
        display.tell(summary(entries))
    error = failure_of(entries)
    if error is not None:
        raise error


def place_of(source: str, output: str, taken: Iterable[str] = ()) -> str:
    """Where the result of a source goes: into the folder `output`, or where its `*` says.

    `DIR` means `DIR/*.mkv`; stills keep their kind, or become PNG where it cannot be written.
    A second source of the same name keeps its ending in front.  Raises PresetError where the
    result would replace its source.
    """
    path = Path(source.replace("%", "_") if is_pattern(source) else source)
    pattern = output
    if "*" not in os.path.basename(output):
        suffix = path.suffix.lower()
        kind = suffix if suffix in STILL_SUFFIXES else ".png" if _is_picture(source) else ".mkv"
        pattern = str(Path(output) / f"*{kind}")
    if os.path.basename(pattern).count("*") != 1:
        raise PresetError(f"-o {output}: give a folder, or a name with one * for the source's name")
    stem = path.name if path.is_dir() else path.stem
    used = set(taken)
    folder, name = os.path.split(pattern)
    target = os.path.join(folder, name.replace("*", stem))
    if target in used:
        target = os.path.join(folder, name.replace("*", path.name))
    number = 2
    while target in used:
        target = os.path.join(folder, name.replace("*", f"{path.name}-{number}"))
        number += 1
    if os.path.realpath(target) == os.path.realpath(source):
        raise PresetError(
            f"{source}: its result would replace it; choose another folder, or -o 'DIR/*-new.mkv'"
        )
    return target


def restore_all(
    sources: Iterable[str],
    output: str,
    job: Job,
    *,
    overwrite: bool,
    tell: Callable[[str], None],
    threads: int | None = None,
) -> list[Entry]:
    """One job after the other, pictures side by side; what fails does not stop the rest.

    `tell` is given a sentence before each; `threads` are shared by what runs side by side, None
    for one per core.  Ctrl-C or a stop that can be resumed ends the batch: the rest is in the
    result as not begun.
    """
    folder = os.path.dirname(output) if "*" in os.path.basename(output) else output
    try:
        os.makedirs(folder or ".", exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}") from error
    batch = _Batch(job, threads, tell)
    # Nobody knows what a watched folder would bring, so nothing of it waits for company.
    known = isinstance(sources, Sequence)
    for source in _until_interrupted(sources):
        entry = _begun(source, output, [each.target for each in batch.entries])
        if entry.fate is not Fate.FAILED and os.path.lexists(entry.target) and not overwrite:
            entry = _ended(entry, Fate.KEPT, "its output is there already; -y makes it again")
        batch.add(entry, may_wait=known and _is_picture(source))
        if batch.stopped and not known:
            break
    batch.restore_waiting()
    return batch.entries


class _Batch:
    """Entries in the order of their sources, restored as they come or side by side."""

    def __init__(self, job: Job, threads: int | None, tell: Callable[[str], None]) -> None:
        self.entries: list[Entry] = []
        self.stopped = False
        """Whether nothing more is to be begun."""

        self._job, self._threads, self._tell = job, threads, tell
        self._waiting: list[int] = []

    def add(self, entry: Entry, *, may_wait: bool) -> None:
        """Restores it, or lets it wait for others that can be restored beside it."""
        self.entries.append(entry)
        place = len(self.entries) - 1
        if entry.fate is not Fate.WAITING or self.stopped:
            return
        if may_wait:
            self._waiting.append(place)
            return
        self.restore_waiting()
        if not self.stopped:
            self._restore(place, None)

    def restore_waiting(self) -> None:
        """Restores everything that waits."""
        places, self._waiting = self._waiting, []
        if len(places) == 1:
            self._restore(places[0], None)
            return
        # torch must not be loaded before the process is tuned (cli.py).
        from vrestore.runtime.threads import ThreadBudget

        count, each = ThreadBudget.beside(self._threads, len(places))
        try:
            side_by_side(places, partial(self._restore, threads=each), count)
        except KeyboardInterrupt:
            self.stopped = True
        rest = [place for place in places if self.entries[place].fate is Fate.WAITING]
        if self.stopped and rest:
            self.entries[rest[0]] = _ended(
                self.entries[rest[0]], Fate.STOPPED, "stopped by the user"
            )

    def _restore(self, place: int, threads: int | None) -> None:
        entry = self.entries[place]
        if self.stopped:
            return
        self._tell(f"[{place + 1}] {entry.source} -> {entry.target}")
        made = _made(entry, self._job, threads)
        self.entries[place] = made
        self.stopped = self.stopped or made.fate is Fate.STOPPED


def _until_interrupted(sources: Iterable[str]) -> Iterator[str]:
    """The sources; Ctrl-C while waiting for the next is how a watched folder ends."""
    with contextlib.suppress(KeyboardInterrupt):
        yield from sources


def summary(entries: Sequence[Entry]) -> str:
    """The table of a batch, and its count."""
    rows = [(entry.fate.value, entry.source, entry.told) for entry in entries]
    counts = {fate: sum(entry.fate is fate for entry in entries) for fate in Fate}
    parts = [f"{count} {fate.value}" for fate, count in counts.items() if count]
    head = f"{len(entries)} file{'s' * (len(entries) != 1)}: {', '.join(parts) or 'none'}"
    # torch must not be loaded before the process is tuned (cli.py).
    from vrestore.describe import columns

    return f"{columns(rows, '  ')}\n{head}" if rows else head


def failure_of(entries: Sequence[Entry]) -> VRestoreError | None:
    """What the command ends with: of one family where all failures are; None where all went well.

    A stop outweighs failures, since the same command goes on from it.
    """
    failed = [entry for entry in entries if entry.fate is Fate.FAILED]
    stopped = next((entry for entry in entries if entry.fate is Fate.STOPPED), None)
    if stopped is not None:
        waiting = sum(entry.fate is Fate.WAITING for entry in entries)
        rest = f", {waiting} files were not begun" if waiting else ""
        return StoppedError(f"stopped in {stopped.source}{rest}; the same command goes on")
    if not failed:
        return None
    kinds = {type(entry.error) for entry in failed if entry.error is not None}
    family = kinds.pop() if len(kinds) == 1 else VRestoreError
    return family(f"{len(failed)} of {len(entries)} files failed")


def _names_folder(output: str) -> bool:
    return output.endswith(("/", os.sep)) or os.path.isdir(output) or "*" in output


def _begun(source: str, output: str, taken: Sequence[str]) -> Entry:
    try:
        return Entry(source=source, target=place_of(source, output, taken))
    except PresetError as error:
        return Entry(source=source, target="", fate=Fate.FAILED, told=str(error), error=error)


def _is_picture(source: str) -> bool:
    return Path(source).suffix.lower() in PICTURE_SUFFIXES and not is_pattern(source)


def _made(entry: Entry, job: Job, threads: int | None) -> Entry:
    began = monotonic()
    try:
        try:
            report = job(entry.source, entry.target, threads)
        except ExceptionGroup as group:
            # Where several stages failed by themselves, the first in time is the cause.
            raise group.exceptions[0] from group
    except (StoppedError, KeyboardInterrupt) as error:
        return _ended(entry, Fate.STOPPED, str(error) or "stopped by the user")
    except VRestoreError as error:
        return _ended(entry, Fate.FAILED, str(error), error)
    except Exception as error:  # noqa: BLE001 - one file's defect must not end the batch
        told = f"{type(error).__name__}: {error} (a defect of vrestore)"
        return _ended(entry, Fate.FAILED, told, VRestoreError(told))
    if report.stats is None:
        width, height = report.plan.size.output
        told = f"{width}x{height} in {monotonic() - began:.1f} s"
        return _ended(entry, Fate.DONE, "; ".join((told, *map(str, report.plan.losses))))
    elapsed = report.stats.elapsed_seconds
    return _ended(entry, Fate.DONE, f"{report.frames} frames in {elapsed:.1f} s")


def _ended(entry: Entry, fate: Fate, told: str, error: VRestoreError | None = None) -> Entry:
    return Entry(
        source=entry.source,
        target=entry.target,
        fate=fate,
        told=" ".join(told.split()),
        error=error,
    )
