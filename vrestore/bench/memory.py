"""The plan's prediction of memory beside the peak of a run in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vrestore.bench.clip import asked, clip
from vrestore.describe import columns
from vrestore.errors import VRestoreError

__all__ = ["MemoryResult", "markdown", "run", "table"]

_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryResult:
    """One size."""

    size: str
    settings: Mapping[str, str]
    frames: int
    expected_bytes: int
    """By the plan."""

    peak_bytes: int
    """Resident memory of the whole process."""

    fps: float

    @property
    def share(self) -> float:
        """Of the prediction that was used."""
        return self.peak_bytes / self.expected_bytes


def run(
    *, sizes: Sequence[str], frames: int, settings: Mapping[str, str]
) -> tuple[MemoryResult, ...]:
    """A run of a made clip for each size.  Raises PresetError, VRestoreError where one fails."""
    return tuple(_measure(size, frames, settings) for size in sizes)


def _measure(size: str, frames: int, settings: Mapping[str, str]) -> MemoryResult:
    width, height = asked(size)
    with clip((width, height), frames) as source:
        command = [sys.executable, "-m", "vrestore", "run", str(source)]
        command += ["-o", str(source.with_name("out.mkv")), "-Z", "plain", "--progress", "json"]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise VRestoreError(f"the run of {width}x{height} failed: {last}")
    facts = json.loads(done.stdout.splitlines()[-1])
    return MemoryResult(
        size=f"{width}x{height}",
        settings=settings,
        frames=int(facts["frames_out"]),
        expected_bytes=int(facts["expected_bytes"]),
        peak_bytes=int(facts["peak_rss_bytes"]),
        fps=float(facts["fps"]),
    )


def markdown(results: Sequence[MemoryResult]) -> str:
    """For a page."""
    rows = [
        "| source | settings | frames | expected MiB | peak MiB | peak of expected | fps |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for r in results:
        settings = ", ".join(f"{key} {value}" for key, value in r.settings.items())
        rows.append(
            f"| {r.size} | {settings} | {r.frames} | {r.expected_bytes // _MIB} "
            f"| {r.peak_bytes // _MIB} | {r.share:.0%} | {r.fps:.2f} |"
        )
    return "\n".join(rows)


def table(results: Sequence[MemoryResult]) -> str:
    """For people."""
    rows = [("size", "frames", "expected MiB", "peak MiB", "share", "fps")]
    rows += [
        (
            r.size, str(r.frames), str(r.expected_bytes // _MIB), str(r.peak_bytes // _MIB),
            f"{r.share:.0%}", f"{r.fps:.1f}",
        )
        for r in results
    ]  # fmt: skip
    return columns(rows, "")
