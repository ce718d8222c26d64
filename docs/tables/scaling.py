"""The table of docs/scale-out.md: one, two and more workers on one machine.

    PYTHONPATH=. python docs/tables/scaling.py --work FOLDER [--runs 1,2,plain] [--seconds 75]

Makes a clip of shots in FOLDER and runs `vrestore run --threads 1` on so much of it as one process
restores in the given time, in one process ("plain") and with so many workers.  Linux: how many
processors were busy is read from /proc/stat, so the machine must have nothing else to do.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from vrestore.train.fieldtruth import gliding

SHOTS, FRAMES = 24, 26
SETTINGS = (
    "-Z", "plain", "-n", "lite", "--encoder", "libx264", "--encoder-preset", "veryfast",
    "--threads", "1", "--set", "run.segment_seconds=1", "--progress", "json", "-y", "--restart",
)  # fmt: skip


def write_clip(path: Path) -> None:
    """Textures that glide, with noise."""
    noise = np.random.default_rng(7)
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 480, 270, "yuv420p"
        for shot in range(SHOTS):
            for planes in gliding(FRAMES, size=(480, 270), seed=shot, speed=1.5, contrast=0.7):
                parts = [plane.numpy() for plane in planes]
                grain = noise.normal(0, 3, parts[0].shape)
                parts[0] = (parts[0] + grain).round().clip(0, 255).astype("u1")
                frame = av.VideoFrame(480, 270, "yuv420p")
                for plane, part in zip(frame.planes, parts, strict=True):
                    rows = np.zeros((plane.height, plane.line_size), "u1")
                    rows[:, : plane.width] = part
                    plane.update(rows.tobytes())
                container.mux(video.encode(frame))
        container.mux(video.encode(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one command took, in seconds."""

    before: float
    """Start of the program, look at the source's head, plan."""

    source_pass: float
    starting: float
    """Of Ray, and of workers until the first has work."""

    work: float
    """From then until the last segment is there."""

    after: float
    """Joining, ending Ray."""

    busy: float
    """Processors that worked during `work`, on average."""

    digest: str


def measured(source: Path, output: Path, *more: str) -> Run:
    """Runs the command and takes its times."""
    words = [sys.executable, "-m", "vrestore", "run", str(source), "-o", str(output)]
    marks = {"began": time.monotonic()}
    busy = {}
    process = subprocess.Popen([*words, *SETTINGS, *more], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for record in map(json.loads, process.stdout):
        now, names = time.monotonic(), {stage["name"]: stage for stage in record.get("stages", ())}
        if "shots" in names:
            marks.setdefault("pass", now)
            marks["passed"] = now
        working = any(n.startswith("worker") and s["busy_share"] for n, s in names.items())
        if working or "restore" in names:
            if "work" not in marks:
                marks["work"], busy["work"] = now, _busy_seconds()
            marks["worked"], busy["worked"] = now, _busy_seconds()
    if process.wait():
        raise SystemExit(f"the run failed: {' '.join(process.args)}")
    ended = time.monotonic()
    work = marks["worked"] - marks["work"]
    return Run(
        before=marks["pass"] - marks["began"],
        source_pass=marks["passed"] - marks["pass"],
        starting=marks["work"] - marks["passed"],
        work=work,
        after=ended - marks["worked"],
        busy=(busy["worked"] - busy["work"]) / work,
        digest=hashlib.sha256(output.read_bytes()).hexdigest()[:12],
    )


def _busy_seconds() -> float:
    """Of all processors since the machine's start."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, softirq = map(int, words[:7])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def rows(source: Path, work: Path, names: Sequence[str], seconds: float) -> Iterator[str]:
    short = 48
    pace = short / measured(source, work / "out.mkv", "--frames", f"0:{short}").work
    frames = min(SHOTS * FRAMES, round(pace * seconds))
    yield f"{frames} frames, by the pace of {pace:.1f} a second in one process\n"
    yield "| run | plan | source pass | start of workers | work | times as fast | busy | end |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    one = None
    for name in names:
        more = () if name == "plain" else ("--workers", name)
        run = measured(source, work / "out.mkv", "--frames", f"0:{frames}", *more)
        one = run.work if name == "1" else one
        ratio = "" if one is None else f"{one / run.work:.2f}"
        what = "one process" if name == "plain" else f"{name} workers"
        seconds = (run.before, run.source_pass, run.starting, run.work)
        cells = [f"{value:.1f}" for value in seconds] + [ratio, f"{run.busy:.2f}"]
        yield f"| {what} | {' | '.join(cells)} | {run.after:.1f} | <!-- {run.digest} -->"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--runs", default="1,2,plain")
    parser.add_argument("--seconds", type=float, default=75, help="of work for one process")
    parser.add_argument("--clip-only", action="store_true")
    options = parser.parse_args(arguments)
    options.work.mkdir(exist_ok=True)
    source = options.work / "clip.mkv"
    if not source.exists():
        write_clip(source)
    if not options.clip_only:
        for row in rows(source, options.work, options.runs.split(","), options.seconds):
            print(row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
