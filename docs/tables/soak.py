"""A long run: is memory flat, does nothing pile up, is every frame in its place?

    PYTHONPATH=. python docs/tables/soak.py [--frames 20000] [--model identity]

Each frame of a generated clip carries its number as a bar code.  The clip goes through the whole
pipeline (decode, shots, restore, encode, mux, verify); meanwhile resident memory, threads and open
files are read a few times a second; afterwards every number is read back.  Prints Markdown; exit 1
where the last tenth's memory is over 3 % above the second tenth's, threads or files grew, or a
frame is not in its place.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import tempfile
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

import vrestore
from vrestore.progress import Progress

BITS = 16
BAR = 4
"""Columns of one bit: wide enough for any encoder at a decent quality."""

WIDTH, HEIGHT = BITS * BAR, 48
SHOT = 250
"""Frames of one shot."""


def write_clip(path: Path, frames: int) -> None:
    """A clip of numbered frames, 25 a second, with a cut every `SHOT` frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=25, options={"preset": "ultrafast", "g": "50"}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        chance = np.random.default_rng(1)
        grounds = chance.integers(40, 200, (frames // SHOT + 1, HEIGHT // 2, WIDTH), np.uint8)
        for number in range(frames):
            rows = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
            moved = np.roll(grounds[number // SHOT], number % SHOT, axis=1)
            rows[: HEIGHT // 2] = moved
            rows[HEIGHT // 2 : HEIGHT] = np.repeat(code(number), BAR)[None]
            frame = av.VideoFrame.from_ndarray(rows, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def code(number: int) -> np.ndarray:
    """The bits of a number in Gray code as black and white samples, the highest first.

    One bit changes from frame to frame, so that a network that works in time does not take the
    lowest for flicker.
    """
    gray = number ^ number >> 1
    bits = [gray >> bit & 1 for bit in reversed(range(BITS))]
    return np.array([220 if bit else 30 for bit in bits], np.uint8)


def numbers_in(path: Path, scale: int) -> list[int]:
    """The numbers of a clip's frames, in the order that they are shown in."""
    found = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            plane = frame.planes[0]
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            if plane.width * 2 <= plane.line_size and "10" in frame.format.name:
                rows = rows.view("<u2") >> 2
            middle = rows[HEIGHT * scale * 3 // 4, : WIDTH * scale].reshape(BITS, -1)
            bits = middle[:, BAR * scale // 4 : -BAR * scale // 4].mean(axis=1) > 125
            found.append(int(np.bitwise_xor.accumulate(bits) @ (1 << np.arange(BITS)[::-1])))
    return found


class Meter:
    """Memory, threads and open files while a run goes on."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, float, int, int, int]] = []
        """(frames done, MiB resident, Python threads, threads of the process, open files)."""

    def __call__(self, progress: Progress) -> None:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        self.rows.append(
            (
                progress.frames_done,
                int(fields["VmRSS"].split()[0]) / 1024,
                threading.active_count(),
                int(fields["Threads"]),
                len(os.listdir("/proc/self/fd")),
            )
        )

    def tenth(self, which: int, total: int) -> list[tuple[int, float, int, int, int]]:
        low, high = total * which // 10, total * (which + 1) // 10
        return [row for row in self.rows if low <= row[0] < high or (row[0] == high == total)]


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--model", default="identity")
    parser.add_argument("--scale", type=int, default=1)
    given = parser.parse_args()
    meter = Meter()
    settings = {
        "restore.model": given.model, "encode.encoder": "libx264", "encode.speed": "ultrafast",
        "encode.pixel_format": "yuv420p", "encode.quality": 10, "run.threads": 1,
    }  # fmt: skip
    if given.model != "identity":
        settings["restore.strength"] = 0.0  # What is to be read must not be restored away.
    if given.scale > 1:
        settings["size.scale"] = given.scale
    with tempfile.TemporaryDirectory(prefix="vrestore-soak-") as scratch:
        source, output = Path(scratch) / "in.mkv", Path(scratch) / "out.mkv"
        write_clip(source, given.frames)
        # What opening things once costs is no growth.
        vrestore.restore(
            str(source), str(Path(scratch) / "warm.mkv"), preset="plain",
            overrides=settings | {"input.frames": "0:100"},
        )  # fmt: skip
        gc.collect()
        threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
        report = vrestore.restore(
            str(source), str(output), preset="plain", overrides=settings, observer=meter
        )
        gc.collect()
        after = threading.active_count(), len(os.listdir("/proc/self/fd"))
        numbers = numbers_in(output, given.scale)
    second, last = meter.tenth(1, given.frames), meter.tenth(9, given.frames)
    memory = [statistics.median(row[1] for row in part) for part in (second, last)]
    growth = memory[1] / memory[0] - 1
    wrong = sum(found != number for number, found in enumerate(numbers))
    seconds = report.stats.elapsed_seconds if report.stats else 0.0
    print(f"| {WIDTH}x{HEIGHT}, model {given.model} | |")
    print("|---|---|")
    print(f"| frames in, out | {given.frames}, {report.frames} |")
    print(f"| shots found | {report.shots} |")
    print(f"| time | {seconds:.0f} s, {report.frames / (seconds or 1):.0f} frames/s |")
    print(f"| memory, second tenth | {memory[0]:.1f} MiB |")
    print(f"| memory, last tenth | {memory[1]:.1f} MiB ({growth:+.2%}) |")
    for name, column in (("Python threads", 2), ("threads of the process", 3), ("open files", 4)):
        most = [max(row[column] for row in part) for part in (second, last)]
        print(f"| {name}, second and last tenth | {most[0]}, {most[1]} |")
    print(f"| threads and files before, after | {threads} {files}, {after[0]} {after[1]} |")
    print(f"| numbers read back | {len(numbers)}, {wrong} not in their places |")
    grew = any(
        max(row[column] for row in last) > max(row[column] for row in second)
        for column in (2, 3, 4)
    )
    fine = growth <= 0.03 and not grew and not wrong and len(numbers) == given.frames
    return 0 if fine and after == (threads, files) else 1


if __name__ == "__main__":
    sys.exit(main())
