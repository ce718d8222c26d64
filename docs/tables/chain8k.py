"""A film scan to 8K in one pass: what is written, and where.

    PYTHONPATH=. python docs/tables/chain8k.py [--frames 6] [--model lite]

A generated scan of 1440x1080 with weave, flicker, dirt, a scratch and grain goes through
`film-35mm` to 5760x4320, in segments and with a record, in a process of its own.  The kernel
counts the bytes that the process and its children hand to write calls, files and pipes alike
(`wchar` of /proc/PID/io: an upper bound on what reaches any file); meanwhile all open files of all
of them are looked at, and those that are open for writing are named.  Prints Markdown; exit 1
where more is written than twice the output, its record and the job's journal, or anything is
opened for writing but these.  Linux only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from vrestore.io.testclip import write_test_clip
from vrestore.train import damage, dirt, film
from vrestore.train.footage import read_clip

SEED = 8191
WIDTH, HEIGHT, RATE = 1440, 1080, 24
PRESET = "film-35mm"
SEGMENT = 3
"""Frames of a segment, so that a short scan has several."""

EVERY = 0.005
"""Seconds between two looks at the open files."""


def write_scan(path: Path, frames: int) -> None:
    """A worn film: lossless, 8-bit 4:2:0."""
    made = path.with_name("made.mkv")
    write_test_clip(made, WIDTH, HEIGHT, frames)
    rng = np.random.default_rng(SEED)
    clip = read_clip(made).permute(0, 3, 1, 2).float() / 255
    clip = film.lit(film.moved(clip, film.weave(rng, frames, 0.8)),
                    film.flicker_gain(rng, frames, 0.03))  # fmt: skip
    clip = dirt.drifting_scratches(dirt.specks(clip, rng, 40).frames, rng, 1).frames
    clip = damage.grain(clip.clamp(0, 1), rng, 0.015, gray=False)
    made.unlink()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, picture in enumerate(clip):
            rgb = (picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
            frame = av.VideoFrame.from_ndarray(rgb.contiguous().numpy(), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def descendants(root: int) -> Iterator[int]:
    """A process and what it started."""
    yield root
    try:
        for thread in Path(f"/proc/{root}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from descendants(int(child))
    except OSError:
        return


def open_for_writing(process: int) -> Iterator[str]:
    """Files on disk that a process has open for writing."""
    try:
        entries = list(Path(f"/proc/{process}/fd").iterdir())
    except OSError:
        return
    for entry in entries:
        try:
            name = os.readlink(entry)
            facts = Path(f"/proc/{process}/fdinfo/{entry.name}").read_text()
        except OSError:
            continue
        flags = next(int(line.split()[1], 8) for line in facts.splitlines() if "flags" in line)
        if name.startswith("/") and flags & os.O_ACCMODE and not name.startswith("/dev/"):
            yield name


def watched(command: list[str], folder: Path) -> tuple[int, set[str], set[str]]:
    """Runs a command; bytes it wrote, files seen open for writing, files seen in the folder."""
    own = folder / "tmp"
    own.mkdir()
    surroundings = os.environ | {"TMPDIR": str(own), "XDG_CACHE_HOME": str(own)}
    with open(folder / "log.txt", "wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, env=surroundings)
    opened: set[str] = set()
    seen: set[str] = set()
    while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        for process in descendants(child.pid):
            opened.update(open_for_writing(process))
        seen.update(str(path) for path in folder.rglob("*") if path.is_file())
        time.sleep(EVERY)
    counted = dict(
        line.split(": ") for line in Path(f"/proc/{child.pid}/io").read_text().splitlines()
    )
    if child.wait():
        raise SystemExit((folder / "log.txt").read_text())
    return int(counted["wchar"]), opened, seen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--model", default="lite")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        scan, output = folder / "scan.mkv", folder / "out.mkv"
        write_scan(scan, words.frames)
        start = time.monotonic()
        written, opened, seen = watched(
            [sys.executable, "-m", "vrestore", "run", str(scan), "-o", str(output), "-Z", PRESET,
             "-n", words.model, "--size", "8k", "--record", "--keep-job", "--progress", "plain",
             "--set", f"run.segment_seconds={SEGMENT / RATE}",
             "--encoder-preset", "ultrafast"],
            folder,
        )  # fmt: skip
        seconds = time.monotonic() - start
        with av.open(str(output)) as container:
            picture = container.streams.video[0]
            size = f"{picture.width}x{picture.height}"
            frames = sum(1 for _ in container.decode(picture))
        log = (folder / "log.txt").stat().st_size
        sizes = {
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in folder.rglob("*")
            if path.is_file() and path not in (scan, folder / "log.txt")
        }
        inside = {Path(name).name for name in opened | seen if name.startswith(str(folder))}
        outside = sorted(name for name in opened if not name.startswith(str(folder)))
    made = sizes[output.name]
    segments = sum(size for name, size in sizes.items() if name.endswith(".packets"))
    rest = sum(sizes.values()) - made - segments
    print(
        f"{WIDTH}x{HEIGHT}, {frames} frames, {PRESET}, {words.model}, to {size}: {seconds:.0f} s\n"
    )
    print("| what | bytes |\n|---|---|")
    print(f"| output | {made} |")
    for name, size_of in sorted(sizes.items()):
        if name != output.name:
            print(f"| {name} | {size_of} |")
    print(f"| messages on the terminal | {log} |")
    print(f"| **given to write calls in all** | {written} |")
    print(f"| of it for segments and output | {written - rest - log} |")
    print(f"| the same as a multiple of the output | {(written - rest - log) / made:.3f} |")
    print(f"\nFiles that were there or open for writing at any look: {', '.join(sorted(inside))}.")
    print(f"Outside the run's folder: {', '.join(outside) or 'none'}.")
    return int(written > 2 * made + rest + log or bool(outside))


if __name__ == "__main__":
    sys.exit(main())
