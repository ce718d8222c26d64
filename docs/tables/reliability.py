"""The tables of docs/reliability.md about runs that are killed, and about renewal points.

    PYTHONPATH=. python docs/tables/reliability.py --work FOLDER [--kills 40] [--only A:B]
    PYTHONPATH=. python docs/tables/reliability.py --work FOLDER --seams

Makes a clip in FOLDER, runs `vrestore run` on it once without interruption, then again and again
with SIGKILL at some moment and the same command after it, and compares the results.  Results are
kept in FOLDER, so that the kills may be done in parts.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

import vrestore
from vrestore.media import FieldOrder
from vrestore.train.fields import Picture, telecine, weave
from vrestore.train.fieldtruth import gliding

RATE = Fraction(30000, 1001)
SHOTS = (25, 90, 30, 25, 30, 30)
"""Pictures of film; the second is as long as three segments."""

SETTINGS = (
    "-Z", "plain", "-n", "lite", "--encoder", "libx264", "--encoder-preset", "veryfast",
    "--threads", "1", "--ivtc", "auto", "--set", "deflicker.strength=1", "--set", "grain.keep=0.6",
    "--set", "run.segment_seconds=1.3", "--progress", "none",
)  # fmt: skip

SUBTITLES = b"""1
00:00:00,500 --> 00:00:02,000
first

2
00:00:04,000 --> 00:00:05,500
second

3
00:00:07,000 --> 00:00:08,000
third
"""


def film() -> list[Picture]:
    """Shots of textures that glide, under light that flickers and with grain."""
    noise = np.random.default_rng(5)
    made = []
    for number, count in enumerate(SHOTS):
        for planes in gliding(count, seed=number, speed=1.0 + number % 2, contrast=0.6):
            light = 1 + 0.04 * float(noise.standard_normal())
            grain = torch.from_numpy(noise.standard_normal(planes[0].shape).astype("f4"))
            luma = (planes[0].float() * light + 2.5 * grain).round().clamp(0, 255).byte()
            made.append((luma, *planes[1:]))
    return made


def write_clip(path: Path) -> None:
    """Telecined film with sound and subtitles."""
    frames = weave(film(), telecine(5 * sum(SHOTS) // 4, FieldOrder.TOP_FIRST))
    height, width = frames[0][0].shape
    with av.open(str(path), "w") as container, av.open(io.BytesIO(SUBTITLES)) as text:
        video = container.add_stream("ffv1", rate=RATE)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = container.add_stream("flac", rate=48000, layout="mono")
        titles = container.add_stream_from_template(text.streams[0])
        for packet in [packet for packet in text.demux() if packet.size]:
            packet.stream = titles
            container.mux(packet)
        for t, planes in enumerate(frames):
            flat = np.concatenate([plane.numpy().reshape(-1) for plane in planes])
            frame = av.VideoFrame.from_ndarray(flat.reshape(-1, width), format="yuv420p")
            frame.pts, frame.time_base = t, 1 / RATE
            container.mux(video.encode(frame))
            at = np.arange(round(t / RATE * 48000), round((t + 1) / RATE * 48000))
            wave = (8000 * np.sin(at * 2 * np.pi * 440 / 48000)).astype("i2")
            piece = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
            piece.sample_rate, piece.pts = 48000, int(at[0])
            container.mux(sound.encode(piece))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))


ALL_DONE = "all done"


def command(source: Path, output: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "vrestore", "run", str(source), "-o", str(output), *SETTINGS, *more,
    ]  # fmt: skip


def result(path: Path) -> dict[str, str]:
    """Hashes of what a file holds: its decoded pictures with their times, and all packets."""
    pictures, packets = hashlib.sha256(), hashlib.sha256()
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            pictures.update(f"{frame.pts}".encode() + frame.to_ndarray().tobytes())
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size:
                packets.update(f"{packet.stream_index} {packet.pts} {packet.duration}".encode())
                packets.update(bytes(packet))
    return {
        "pictures": pictures.hexdigest(),
        "packets": packets.hexdigest(),
        "file": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


# ---------------------------------------------------------------------------------------- kills


def moments(
    count: int, seconds: float, scale: float = 1.0
) -> list[tuple[str, Callable[[Path, float], bool]]]:
    """When to kill: a name, and what says that the moment has come (job folder, seconds run).

    `seconds` is what a run takes; a smaller `scale` kills earlier.
    """
    chance = random.Random(6)
    made: list[tuple[str, Callable[[Path, float], bool]]] = []
    for number in range(count):
        at = chance.uniform(0.02, 0.98) * seconds * scale
        if number % 5 == 3:
            nth = chance.randrange(8)
            made.append((
                f"segment {nth} renamed",
                lambda job, _, nth=nth: (job / f"{nth:06d}.packets").exists(),
            ))  # fmt: skip
        elif number % 5 == 4:
            delay = chance.uniform(0.0, 0.05) * scale
            made.append(("final mux", _after(_muxing, delay)))
        else:
            made.append((f"after {at:.2f} s", lambda _, run, at=at: run >= at))
    return made


def _muxing(job: Path, _: float) -> bool:
    part = job.with_suffix(".part")
    begun = job / "journal"
    return (
        part.exists()
        and begun.exists()
        and not list(job.glob("segment.part"))
        and bool(len(list(job.glob("*.packets"))) >= _expected(begun))
    )


def _expected(journal: Path) -> int:
    return len(segments_of(journal.parent))


def segments_of(job: Path) -> list[dict[str, Any]]:
    """What the first entry of a job's journal says of its segments."""
    first = (job / "journal").read_bytes().partition(b"\n")[0].partition(b" ")[2]
    segments: list[dict[str, Any]] = json.loads(first)["segments"]
    return segments


def _after(condition: Callable[[Path, float], bool], delay: float) -> Callable[[Path, float], bool]:
    since: list[float] = []

    def due(job: Path, run: float) -> bool:
        if not since and condition(job, run):
            since.append(run)
        return bool(since) and run >= since[0] + delay

    return due


def state(job: Path, output: Path) -> str:
    """What a kill left."""
    if output.exists():
        known = (job / "journal").exists()
        return "finished file, job folder not yet removed" if known else ALL_DONE
    if not (job / "journal").exists():
        return "nothing durable (source pass)"
    durable = len(list(job.glob("*.packets")))
    under_way = " and a part of the next" if (job / "segment.part").exists() else ""
    muxing = " and a part of the file" if job.with_suffix(".part").exists() else ""
    return f"{durable} of {_expected(job / 'journal')} segments{under_way}{muxing}"


def killed(
    source: Path, folder: Path, due: Callable[[Path, float], bool]
) -> tuple[str, dict[str, str]]:
    """One run that is killed, and the same command again: what was left, and the result."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    output = folder / "out.mkv"
    job = folder / "out.mkv.job"
    began = time.monotonic()
    process = subprocess.Popen(command(source, output), stderr=subprocess.DEVNULL)
    while process.poll() is None and not due(job, time.monotonic() - began):
        time.sleep(0.002)
    process.kill()
    process.wait()
    left = state(job, output)
    if left == ALL_DONE:
        return left, {}
    again = subprocess.run(command(source, output), capture_output=True, text=True, check=False)
    if again.returncode:
        raise SystemExit(f"the second run failed: {again.stderr}")
    leftovers = sorted(path.name for path in folder.iterdir() if path != output)
    if leftovers:
        raise SystemExit(f"left behind: {leftovers}")
    return left, result(output)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--only", default=":", help="kills A up to B, counted from 0")
    parser.add_argument("--seams", action="store_true", help="the table of renewal points instead")
    parser.add_argument("names", nargs="*", help="parts of its stages' names; default: all")
    options = parser.parse_args(arguments)
    options.work.mkdir(exist_ok=True)
    if options.seams:
        print_seams(options.work, options.names)
        return
    source, kept = options.work / "clip.mkv", options.work / "kills.json"
    if not source.exists():
        write_clip(source)
    table = json.loads(kept.read_text()) if kept.exists() else {}
    if "whole" not in table:
        folder = options.work / "whole"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        began = time.monotonic()
        subprocess.run(command(source, folder / "out.mkv", "--keep-job"), check=True)
        table["seconds"] = time.monotonic() - began
        table["whole"] = result(folder / "out.mkv")
        table["segments"] = segments_of(folder / "out.mkv.job")
        table["rows"] = {}
    low, _, high = options.only.partition(":")
    for number in range(int(low or 0), min(int(high or options.kills), options.kills)):
        left, scale = ALL_DONE, 1.0
        while left == ALL_DONE:  # The run was done before its moment came: an earlier one.
            name, due = moments(options.kills, table["seconds"], scale)[number]
            left, found = killed(source, options.work / "killed", due)
            scale *= 0.7
        table["rows"][str(number)] = [name, left, *(found[k] == table["whole"][k] for k in found)]
        kept.write_text(json.dumps(table, indent=1))
        print(number, *table["rows"][str(number)], file=sys.stderr, flush=True)
    kept.write_text(json.dumps(table, indent=1))
    print_table(table)


def print_table(table: dict[str, object]) -> None:
    segments, rows = table["segments"], table["rows"]
    assert isinstance(segments, list) and isinstance(rows, dict)
    renewals = sum(segment["renewal"] for segment in segments)
    print(f"{len(segments)} segments, {renewals} of them begin at a renewal point.\n")
    print("| # | killed | what was left | same pictures and times | same packets | same file |")
    print("|--:|---|---|---|---|---|")
    for number, row in sorted(rows.items(), key=lambda item: int(item[0])):
        same = " | ".join("yes" if same else "**no**" for same in row[2:])
        print(f"| {int(number) + 1} | {row[0]} | {row[1]} | {same} |")


# ---------------------------------------------------------------------------------------- seams

LITE: dict[str, object] = {"restore.model": "lite", "restore.strength": 1}

STAGES: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("network at strength 1", "noise", LITE),
    ("network, deflicker", "flicker", LITE | {"deflicker.strength": 1}),
    ("network, stabilise", "weave", LITE | {"stabilise.strength": 1}),
    ("network, dirt", "dirt", LITE | {"dirt.strength": 1}),
    ("network, scratches", "scratches", LITE | {"scratches.strength": 1}),
    ("network, grain made anew", "grain", LITE | {"grain.keep": 1}),
    ("fading", "faded", {"restore.model": "resize", "fading.levels": 1}),
    (
        "all of them, as film-8mm has them",
        "weave flicker dirt scratches grain",
        LITE
        | {
            "stabilise.strength": 0.9, "deflicker.strength": 0.9, "dirt.strength": 0.6,
            "scratches.strength": 0.6, "grain.keep": 0.5,
        },
    ),
)  # fmt: skip
"""Name, what is wrong with the clip, settings."""

PAN = 240
"""Frames of the one shot."""


def write_pan(path: Path, faults: str) -> None:
    """One shot: a texture that moves by one sample a frame and grows lighter, with noise."""
    width, height = 160, 120
    noise = np.random.default_rng(9)
    texture = gliding(1, size=(width + PAN + 8, height + 8), seed=4)[0][0].numpy().astype("f4")
    if "grain" in faults:  # What moves must be fainter than grain, for grain to be told from it.
        texture = 128 + 0.1 * (texture - 128)
    texture += np.linspace(-25, 25, texture.shape[1], dtype="f4")
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        for t in range(PAN):
            right, down = 0.8 * noise.standard_normal(2) if "weave" in faults else (0.0, 0.0)
            luma = _at(texture, 4 + down, 4 + t + right, height, width)
            if "faded" in faults:
                luma = 60 + 0.5 * luma
            if "flicker" in faults:
                luma = luma * (1 + 0.03 * noise.standard_normal())
            luma = luma + (_grain(noise, luma.shape) if "grain" in faults else
                           2 * noise.standard_normal(luma.shape))  # fmt: skip
            if "scratches" in faults:
                for column, depth in ((43, 40), (111, -40)):
                    luma[:, column + t // 40] += depth
            if "dirt" in faults:
                for _ in range(noise.poisson(2)):
                    y, x = noise.integers(height), noise.integers(width)
                    luma[y : y + 4, x : x + 5] = noise.choice((15, 240))
            flat = np.concatenate([
                luma.round().clip(0, 255), np.full((height // 2, width), 128)
            ])  # fmt: skip
            container.mux(
                video.encode(av.VideoFrame.from_ndarray(flat.astype("u1"), format="yuv420p"))
            )
        container.mux(video.encode(None))


def _grain(noise: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Of some three samples across, with a standard deviation of 5 code values."""
    height, width = shape
    fine = noise.standard_normal((height + 2, width + 2))
    return 5 / 3 * sum(fine[y : y + height, x : x + width] for y in range(3) for x in range(3))


def _at(texture: np.ndarray, y: float, x: float, height: int, width: int) -> np.ndarray:
    """A window of a texture from (y, x) on, bilinear."""
    top, left = int(y), int(x)
    down, right = y - top, x - left
    part = texture[top : top + height + 1, left : left + width + 1]
    rows = (1 - down) * part[:-1] + down * part[1:]
    return (1 - right) * rows[:, :-1] + right * rows[:, 1:]


def warping_errors(path: Path) -> list[float]:
    """Mean difference of each frame and the one before moved to its place; from the second on."""
    with av.open(str(path)) as container:
        lumas = [
            frame.to_ndarray()[: frame.height].astype("f4") for frame in container.decode(video=0)
        ]
    return [
        float(np.abs(after[8:-8, 8:-9] - before[8:-8, 9:-8]).mean())
        for before, after in pairwise(lumas)
    ]


def print_seams(work: Path, names: Sequence[str]) -> None:
    source = work / "pan.mkv"
    print(
        "| stages | clip | median of the shot | at renewal points | largest ratio | the same "
        "frames made in one piece | largest elsewhere |"
    )
    print("|---|---|--:|---|--:|--:|--:|")
    for name, faults, settings in STAGES:
        if names and not any(part in name for part in names):
            continue
        write_pan(source, faults)
        errors, segments = _made(source, work / "seams.mkv", settings, seconds=2.4)
        whole, _ = _made(source, work / "whole.mkv", settings, seconds=240)
        renewals = sorted({s["start"] for s in segments if s["renewal"]})
        seams = [errors[frame - 1] for frame in renewals]
        others = [error for frame, error in enumerate(errors, start=1) if frame not in renewals]
        usual = float(np.median(errors))
        worst = max(range(len(seams)), key=lambda number: seams[number])
        without = whole[renewals[worst] - 1] / float(np.median(whole))
        listed = ", ".join(f"{seam:.3f}" for seam in seams)
        print(
            f"| {name} | {faults} | {usual:.3f} | {listed} | {seams[worst] / usual:.3f} "
            f"| {without:.3f} | {max(others) / usual:.2f} |",
            flush=True,
        )


def _made(
    source: Path, output: Path, settings: dict[str, object], *, seconds: float
) -> tuple[list[float], list[dict[str, Any]]]:
    """Warping errors of a run in segments of so many seconds, and the segments."""
    vrestore.restore(
        str(source), str(output), preset="plain", overwrite=True, restart=True, keep_job=True,
        overrides={
            "encode.encoder": "ffv1", "run.segment_seconds": seconds, "cuts.detect": False,
            "run.threads": 1, **settings,
        },
    )  # fmt: skip
    job = output.with_name(output.name + ".job")
    return warping_errors(output), segments_of(job) if job.exists() else []


if __name__ == "__main__":
    main(sys.argv[1:])
