"""The folder of one job, beside its output: lock, journal, segments."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vrestore.errors import OutputError
from vrestore.io.output import OutputPlan, final_path
from vrestore.jobs.entries import (
    Beginning,
    Made,
    parse_beginning,
    parse_finishing,
    parse_made,
)
from vrestore.jobs.journal import Journal, read_entries
from vrestore.jobs.segments import Segment
from vrestore.runtime.posix import fsync_dir, fsync_file, lock_file

__all__ = ["JobFolder", "has_job", "job_path"]

_FORM = 2
"""Of the journal's entries."""

_JOURNAL, _LOCK = "journal", "lock"


def job_path(output: OutputPlan) -> Path | None:
    """Where the job of an output lies; None for an output that is no file."""
    final = final_path(output)
    return None if final is None else final.with_name(final.name + ".job")


def has_job(path: Path) -> bool:
    """Whether there is a job in a folder."""
    return (path / _JOURNAL).is_file()


class JobFolder:
    """A job on disk.  Made by `opened`, which holds its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.beginning: Beginning | None = None
        self.made: dict[int, Made] = {}
        self.finishing: int | None = None
        """Size of the finished file, once it only had to be given its name."""
        self._told: dict[int, Made] = {}
        """Segments that the journal knows, durable or not."""
        self._journal: Journal | None = None
        self._length = 0

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: Path, *, anew: bool = False) -> Iterator[JobFolder]:
        """The job in a folder, which is made if there is none, locked for the length of a block.

        `anew` forgets what is there, without having read it.  Raises OutputError where another
        process works on it or it cannot be used.
        """
        job = cls(path)
        with contextlib.ExitStack() as held:
            try:
                path.mkdir(exist_ok=True)
                if not job.lock_path.exists() and any(path.iterdir()):
                    raise OutputError(
                        f"{path} is in the way: it is no folder of a job; move it away"
                    )
                held.enter_context(lock_file(job.lock_path))
                if anew:
                    job.empty()
                job._read()
            except BlockingIOError as error:
                raise OutputError(
                    f"another vrestore is working on this output ({path} is locked); wait for it"
                ) from error
            except FileNotFoundError as error:
                raise OutputError(f"{path.parent} is not a folder; make it first") from error
            except OSError as error:
                raise OutputError(f"{path} cannot be made or used: {error.strerror}") from error
            held.callback(job.close)
            yield job

    @classmethod
    def look(cls, path: Path) -> tuple[JobFolder, Beginning]:
        """What a folder holds, without the lock.  Raises OutputError where there is no job."""
        job = cls(path)
        try:
            job._read()
        except OSError as error:
            raise OutputError(f"the job {path} cannot be read: {error.strerror}") from error
        if job.beginning is None:
            raise OutputError(f"there is no job in {path}: nothing was interrupted there")
        return job, job.beginning

    def _read(self) -> None:
        if not (self.path / _JOURNAL).exists():
            return
        entries, self._length = read_entries(self.path / _JOURNAL)
        for entry in entries:
            kind = entry.pop("entry", None)
            try:
                if kind == "begin":
                    self.beginning = parse_beginning(_in_form(entry))
                    self.made.clear()
                elif self.beginning is None:
                    raise ValueError("it does not begin with a beginning")
                elif kind == "segment":
                    made = parse_made(entry, len(self.beginning.segments))
                    self.made[made.number] = made
                elif kind == "finishing":
                    self.finishing = parse_finishing(entry)
            except ValueError as error:
                raise OutputError(
                    f"the journal of {self.path} is of another version or damaged ({error}); "
                    "--restart begins anew"
                ) from error
        self._told = dict(self.made)
        self.made = {n: made for n, made in self.made.items() if self._is_whole(made)}

    def believe(self) -> None:
        """Counts every segment that was ever made: the finished file has them."""
        self.made = dict(self._told)

    def _is_whole(self, made: Made) -> bool:
        try:
            found = self.segment_path(made.number).lstat()
            return stat.S_ISREG(found.st_mode) and found.st_size == made.bytes
        except OSError:
            return False

    @property
    def lock_path(self) -> Path:
        """Locked while a process works on the job."""
        return self.path / _LOCK

    @property
    def todo(self) -> tuple[Segment, ...]:
        """Segments that are not durable."""
        assert self.beginning is not None
        return tuple(s for s in self.beginning.segments if s.number not in self.made)

    @property
    def bytes(self) -> int:
        """Of all durable segments."""
        return sum(made.bytes for made in self.made.values())

    def segment_path(self, number: int) -> Path:
        return self.path / f"{number:06d}.packets"

    def begin(self, beginning: Beginning) -> None:
        """Makes this the job; nothing of an earlier one stays.  Raises OSError."""
        self.empty()
        self._length = 0
        self.beginning = beginning
        self._append("begin", asdict(beginning) | {"form": _FORM})
        fsync_dir(self.path)
        fsync_dir(self.path.parent)

    def keep(self, part: Path, made: Made) -> None:
        """Makes a written segment durable.  Raises OSError."""
        fsync_file(part)
        os.replace(part, self.segment_path(made.number))
        fsync_dir(self.path)
        self._append("segment", asdict(made))
        self.made[made.number] = made

    def drop(self, number: int) -> None:
        """Takes a durable segment away.  Raises OSError."""
        self.segment_path(number).unlink(missing_ok=True)
        self.made.pop(number, None)

    def finish(self, size: int) -> None:
        """Notes that the finished file of `size` bytes has only to be given its name."""
        self._append("finishing", {"bytes": size})
        self.finishing = size

    def _append(self, kind: str, entry: Mapping[str, Any]) -> None:
        if self._journal is None:
            self._journal = Journal(self.path / _JOURNAL, self._length)
        self._journal.append({"entry": kind} | dict(entry))

    def empty(self) -> None:
        """Removes everything but the lock.  Raises OSError."""
        self.close()
        self.beginning, self.finishing = None, None
        self.made.clear()
        # The journal first: segments without one are nothing, one without segments is a lie.
        for file in sorted(self.path.iterdir(), key=lambda file: file.name != _JOURNAL):
            if file.name != _LOCK and file.is_file():
                file.unlink()

    def remove(self) -> None:
        """Removes the folder.  Raises OSError."""
        if self.finishing is not None:
            # The journal last: it knows that the file is finished, whenever this is cut short.
            for file in self.path.glob("*.packets"):
                file.unlink()
        self.empty()
        shutil.rmtree(self.path)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
        self._journal = None


def _in_form(entry: dict[str, Any]) -> dict[str, Any]:
    if entry.pop("form", None) != _FORM:
        raise ValueError("its form is not known")
    return entry
