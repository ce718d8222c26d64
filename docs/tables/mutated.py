"""Damaged media files through a whole run: no hang, no traceback, no result of a failure.

    PYTHONPATH=. python docs/tables/mutated.py [--count 500] [--first 0] [--keep DIR]

Small clips are made in many containers and codecs, each is damaged in a way that its number
decides (flipped bytes, a lost end, a damaged header, pieces zeroed, doubled, swapped or left out),
and put through `vrestore run --frames 0:8` in a worker process under a limit of memory; a file that
takes longer than its limit is a hang.  Prints Markdown; what was found is kept in --keep.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import resource
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

SECONDS_A_FILE = 60
MEMORY_GIB = 12
"""Of address space: most of it is what torch and FFmpeg reserve and never use."""

SIZE = (96, 64)
FRAMES = 24
BUNNY = Path(__file__).resolve().parents[2] / "sample_media" / "bunny.mkv"

CLIPS = {
    "h264-aac.mkv": ("libx264", "yuv420p", "aac"),
    "h264-aac.mp4": ("libx264", "yuv420p", "aac"),
    "hevc-flac.mkv": ("libx265", "yuv420p10le", "flac"),
    "vp9-opus.webm": ("libvpx-vp9", "yuv420p", "libopus"),
    "av1.mp4": ("libsvtav1", "yuv420p10le", None),
    "prores-pcm.mov": ("prores_ks", "yuv422p10le", "pcm_s16le"),
    "mpeg4-mp3.avi": ("mpeg4", "yuv420p", "libmp3lame"),
    "mjpeg-pcm.avi": ("mjpeg", "yuvj420p", "pcm_s16le"),
    "mpeg2-mp2.ts": ("mpeg2video", "yuv420p", "mp2"),
    "mpeg2-mp2.mpg": ("mpeg2video", "yuv420p", "mp2"),
    "ffv1-flac.mkv": ("ffv1", "yuv422p10le", "flac"),
    "mpeg2.mxf": ("mpeg2video", "yuv420p", None),
    "flv1.flv": ("flv", "yuv420p", None),
    "raw.y4m": ("wrapped_avframe", "yuv420p", None),
    "h264.h264": ("libx264", "yuv420p", None),
    "anim.gif": ("gif", "rgb8", None),
}
OUTPUTS = (
    ("out.mkv", "ffv1"),
    ("out.mp4", "libx264"),
    ("out.mkv", "libx264"),
    ("out.ts", "libx264"),
)
"""Taken in turn."""

STILLS = ("still.png", "still.jpg", "still.tif", "still.webp", "still.bmp", "still.dpx")


@dataclass(frozen=True)
class Result:
    """What became of one file."""

    kind: str
    status: int | None
    """Exit status; None where the worker died or hung."""

    finding: str = ""


# ------------------------------------------------------------------------------------- sources


def make_sources(folder: Path) -> list[Path]:
    """The sound files."""
    made = []
    for name, (codec, form, sound) in CLIPS.items():
        with contextlib.suppress(av.FFmpegError, ValueError):
            _clip(folder / name, codec, form, sound)
            made.append(folder / name)
    for name in STILLS:
        ramp = np.add.outer(np.arange(48), np.arange(64))[..., None] + [0, 60, 120]
        picture = Image.fromarray((ramp % 256).astype(np.uint8))
        if name.endswith(".dpx"):
            frame = av.VideoFrame.from_image(picture)
            with av.open(str(folder / name), "w", format="image2") as container:
                stream = container.add_stream("dpx", rate=25)
                stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
                container.mux(stream.encode(frame))
        else:
            picture.save(folder / name)
        made.append(folder / name)
    if BUNNY.is_file():
        made.append(BUNNY)
    return made


def _clip(path: Path, codec: str, form: str, sound: str | None) -> None:
    options = {"preset": "ultrafast"} if codec in ("libx264", "libx265") else {}
    if codec == "libx264":
        options = {"preset": "veryfast", "bf": "2", "g": "8"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, form
        if codec == "flv":
            stream.bit_rate = 200_000
        audio = None if sound is None else container.add_stream(sound, rate=48000)
        if audio is not None and path.suffix == ".mkv":
            container.metadata["title"] = path.name
            container.add_attachment("font.ttf", "font/ttf", b"\0\1\0\0" * 50)
        for number in range(FRAMES):
            rows = np.add.outer(np.arange(SIZE[1]) * 2, np.arange(SIZE[0]) + 5 * number)
            picture = np.stack([rows % 256, (rows // 2) % 256, rows * 3 % 256], axis=-1)
            frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24")
            frame = frame.reformat(format=form)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio is not None:
            _sound(container, audio)


def _sound(container: av.container.OutputContainer, stream: av.AudioStream) -> None:
    fifo = av.AudioFifo()
    tone = (8000 * np.sin(np.arange(48000 * FRAMES // 25) / 20)).astype(np.int16)
    made = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
    made.sample_rate, made.pts, made.time_base = 48000, 0, Fraction(1, 48000)
    resampler = av.AudioResampler(stream.format, stream.layout, 48000)
    for frame in resampler.resample(made):
        fifo.write(frame)
    while frame := fifo.read(stream.codec_context.frame_size or 1024, partial=True):
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


# --------------------------------------------------------------------------------------- damage


def damaged(data: bytes, chance: random.Random) -> tuple[str, bytes]:
    """A name for the damage, and the damaged file."""
    made = bytearray(data)
    size = len(made)
    kind = chance.choice(("flips", "header", "cut", "zeros", "doubled", "swapped", "left out"))
    a, b = sorted(chance.randrange(size) for _ in range(2))
    b = min(b, a + max(16, size // 8))
    match kind:
        case "flips":
            for _ in range(chance.choice((1, 8, 64, 512))):
                made[chance.randrange(size)] ^= 1 << chance.randrange(8)
        case "header":
            for _ in range(chance.choice((1, 4, 16))):
                made[chance.randrange(min(size, 1024))] = chance.randrange(256)
        case "cut":
            del made[chance.randrange(size) :]
        case "zeros":
            made[a:b] = bytes(b - a)
        case "doubled":
            made[a:a] = made[a:b]
        case "swapped":
            half = (a + b) // 2
            made[a:b] = made[half:b] + made[a:half]
        case _:
            del made[a:b]
    return kind, bytes(made)


# --------------------------------------------------------------------------------------- worker


def work() -> None:
    """Runs what it is told on standard input, one line of JSON each; answers in the same way."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_GIB * 2**30,) * 2)
    from vrestore.cli import main

    answer, sys.stdout = sys.stdout, io.StringIO()
    for line in sys.stdin:
        words = json.loads(line)
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            try:
                status: int | None = main(words)
            except BaseException as error:  # noqa: BLE001 - whatever comes out is a finding
                status, _ = None, said.write(f"Traceback: {error!r}")
        told = {
            "status": status,
            "said": said.getvalue()[-4000:],
            "threads": threading.active_count(),
            "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        answer.write(json.dumps(told) + "\n")
        answer.flush()


class Worker:
    """The worker process, begun anew when it dies."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.mib = 0
        self.threads = 0

    def run(self, words: list[str]) -> dict[str, object] | str:
        """The answer; "died" or "hung" where there is none."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__, "--work"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(words) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], SECONDS_A_FILE)
        line = process.stdout.readline() if ready else ""
        if line:
            told: dict[str, object] = json.loads(line)
            self.mib = max(self.mib, int(str(told["mib"])))
            self.threads = max(self.threads, int(str(told["threads"])))
            return told
        self.close()
        return "hung" if not ready else "died"

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def judged(kind: str, told: dict[str, object] | str, output: Path) -> Result:
    """A finding, or that all is as it must be."""
    left = [path.name for path in output.parent.iterdir()]
    if isinstance(told, str):
        return Result(kind, None, f"the process {told}")
    status, said = told["status"], str(told["said"])
    if status is None or "Traceback" in said or "a defect of vrestore" in said:
        return Result(kind, None, said.strip().splitlines()[-1][:200])
    if status and output.name in left:
        return Result(kind, int(str(status)), "a failure left a final file")
    if not status and output.name not in left:
        return Result(kind, 0, "a success left no file")
    if status and not said.strip().splitlines()[-1].startswith("error: "):
        return Result(kind, int(str(status)), f"not one sentence: {said[-150:]}")
    return Result(kind, int(str(status)))


def cases(first: int, count: int, sources: list[Path]) -> Iterator[tuple[Path, str, bytes]]:
    """(sound file, kind of damage, damaged bytes) by number."""
    for number in range(first, first + count):
        source = sources[number % len(sources)]
        kind, data = damaged(source.read_bytes(), random.Random(number))
        yield source, kind, data


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work()
        return 0
    results: list[tuple[str, Result]] = []
    begin = time.monotonic()
    worker = Worker()
    with tempfile.TemporaryDirectory(prefix="vrestore-mutated-") as scratch:
        folder = Path(scratch)
        sources = make_sources(folder)
        for number, (source, kind, data) in enumerate(
            cases(given.first, given.count, sources), start=given.first
        ):
            room = folder / "room"
            room.mkdir()
            damaged_file = folder / f"damaged{source.suffix}"
            damaged_file.write_bytes(data)
            still = source.name.startswith("still")
            kind_of_output, encoder = OUTPUTS[number % len(OUTPUTS)]
            output = room / ("out.png" if still else kind_of_output)
            words = ["run", str(damaged_file), "-o", str(output), "-n", "resize", "-Z", "plain"]
            words += ["--threads", "1", "--progress", "none"]
            words += [] if still else ["--frames", "0:8", "-c:v", encoder]
            result = judged(kind, worker.run(words), output)
            results.append((source.name, result))
            if result.finding:
                print(f"{number} {source.name} {kind}: {result.finding}", file=sys.stderr)
                if given.keep:
                    given.keep.mkdir(parents=True, exist_ok=True)
                    (given.keep / f"{number}-{source.name}").write_bytes(data)
            subprocess.run(["rm", "-rf", str(room)], check=True)
    worker.close()
    _print(results, worker, time.monotonic() - begin)
    return 1 if any(result.finding for _, result in results) else 0


def _print(results: list[tuple[str, Result]], worker: Worker, seconds: float) -> None:
    print("| source | files | restored | refused | findings |")
    print("|---|---:|---:|---:|---:|")
    for name in dict.fromkeys(name for name, _ in results):
        of = [result for source, result in results if source == name]
        restored = sum(result.status == 0 and not result.finding for result in of)
        found = sum(bool(result.finding) for result in of)
        print(f"| {name} | {len(of)} | {restored} | {len(of) - restored - found} | {found} |")
    every = [result for _, result in results]
    restored = sum(result.status == 0 and not result.finding for result in every)
    found = sum(bool(result.finding) for result in every)
    print(f"| **all** | {len(every)} | {restored} | {len(every) - restored - found} | {found} |\n")
    kinds = Counter(result.kind for result in every)
    statuses = Counter(result.status for result in every)
    print(f"Damage: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}.")
    print(
        f"Exit statuses: {', '.join(f'{count} x {status}' for status, count in statuses.items())}."
    )
    print(
        f"{seconds:.0f} s in all; the worker took at most {worker.mib} MiB and "
        f"{worker.threads} threads."
    )


if __name__ == "__main__":
    sys.exit(main())
