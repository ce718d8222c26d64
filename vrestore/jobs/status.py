"""How far a job is."""

from __future__ import annotations

from dataclasses import dataclass

from vrestore.jobs.entries import Beginning
from vrestore.jobs.folder import JobFolder
from vrestore.limits import printable
from vrestore.runtime.posix import lock_file

__all__ = ["Status", "status_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the folder of a job tells."""

    folder: str
    source: str
    output: str
    running: bool
    """A process works on it now."""

    segments: int
    segments_done: int
    frames: int
    """Of the source."""

    frames_done: int
    bytes: int
    """Of the segments that are durable."""

    missing: tuple[int, ...]
    """Numbers of the segments that are not."""

    def __str__(self) -> str:
        state = "running" if self.running else "stopped"
        share = self.frames_done / self.frames if self.frames else 0.0
        source, output = printable(self.source), printable(self.output)
        lines = [
            f"{source} -> {output}: {state}, {share:.0%}",
            f"  {self.segments_done} of {self.segments} segments, {self.frames_done} of "
            f"{self.frames} frames, {self.bytes // 2**20} MiB in {printable(self.folder)}",
        ]
        if not self.running:
            lines.append(f"  go on with: vrestore resume {output}")
        return "\n".join(lines)


def status_of(job: JobFolder, begun: Beginning) -> Status:
    """The state of a job; whether it runs is told by its lock."""
    done = [segment for segment in begun.segments if segment.number in job.made]
    return Status(
        folder=str(job.path),
        source=begun.source,
        output=begun.output,
        running=_is_locked(job),
        segments=len(begun.segments),
        segments_done=len(done),
        frames=begun.frames,
        frames_done=sum(segment.frames for segment in done),
        bytes=job.bytes,
        missing=tuple(segment.number for segment in job.todo),
    )


def _is_locked(job: JobFolder) -> bool:
    try:
        with lock_file(job.lock_path):
            return False
    except OSError:
        return True
