"""Measures the cut detector on real shots joined with known transitions.

    python tests/ops/cutbench.py MEDIA [--set tune|report] [--sequences N]

MEDIA is the developer media folder.  Prints a markdown table of vrestore's detector and of
PySceneDetect's, on the same frames.  Thresholds were chosen on the set `tune` (for PySceneDetect's
detectors too: the best of a range on `tune`, beside their defaults); `report` shares no clip with
it and is other material: old films, compressed clips, animation, interlaced video.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import torch

from vrestore.media import (
    Coding,
    ColorModel,
    ColorSpec,
    Frame,
    Range,
    SampleFormat,
    Timestamp,
)
from vrestore.ops.cuts import CutsConfig, DetectCuts

Pictures = npt.NDArray[np.uint8]
"""(frames, 180, 320, 3) RGB."""

SIZE = 320, 180

# Takes of the same scene, which are no cut when joined: only the first of each is used.
_SAME_SCENE = {
    "bedroom_b",
    "cups_b",
    "dog_b",
    "flower_handheld_b",
    "gopro_walk_b",
    "juggle_b",
    "bbb_b",
}

# Shots without a cut inside: (file, first frame, end).
REPORT_SHOTS: tuple[tuple[str, int, int], ...] = (
    ("benchmark/video/BasketballPass_416x240.mkv", 0, 50),
    ("benchmark/video/carphone_pristine.mp4", 0, 120),
    ("benchmark/video/foreman_cif_10f.y4m", 0, 10),
    ("benchmark/video/park_joy_480x270_10f.y4m", 0, 10),
    ("benchmark/Vid4/calendar.mkv", 0, 31),
    ("benchmark/Vid4/walk.mkv", 0, 31),
    ("old_film/a_bomb_1950s_part.mp4", 0, 44),
    ("old_film/a_bomb_1950s_part.mp4", 44, 134),
    ("old_film/a_bomb_1950s_part.mp4", 134, 299),
    ("old_film/a_bomb_1950s_part.mp4", 299, 360),
    ("old_film/a_trip_down_market_street_before_the_fire_1906.mkv", 0, 36),
    ("old_film/his_girl_friday_1940.mp4", 0, 185),
    ("old_film/london_street_scratched.mkv", 0, 32),
    ("old_film/raywzy_001_colour.mkv", 0, 16),
    ("old_film/raywzy_002.mkv", 0, 36),
    ("old_film/rooftop_silent_15fps.mp4", 0, 27),
    ("old_film/silent_chaplin.mp4", 0, 241),
    ("old_film/the_great_train_robbery_1903.mkv", 0, 36),
    ("real_lowquality/bug_video_640.mp4", 0, 203),
    ("real_lowquality/car_detection.mp4", 0, 377),
    ("real_lowquality/marathon_720x400.mp4", 0, 150),
    ("real_lowquality/nasa_13013_320x180.mp4", 0, 202),
    ("real_lowquality/nasa_13013_320x180.mp4", 202, 325),
    ("anime/onepiece_640x480.mp4", 0, 100),
    ("anime/onepiece_640x480.mp4", 100, 181),
    ("interlaced/desk_360i_cropped.mp4", 0, 126),
    ("interlaced/dtv_352x288i.ts", 0, 353),
    ("interlaced/scte20_ntsc_704x480i.ts", 0, 88),
    ("interlaced/scte20_ntsc_704x480i.ts", 88, 202),
    ("interlaced/pal_fields_720x576i.ts", 0, 31),
)

REAL_EDITS: Mapping[str, frozenset[int]] = {
    "old_film/a_bomb_1950s_part.mp4": frozenset({44, 134, 299}),
    "old_film/silent_chaplin.mp4": frozenset(),
    "real_lowquality/nasa_13013_320x180.mp4": frozenset({202}),
    "anime/onepiece_640x480.mp4": frozenset({100}),
    "interlaced/scte20_ntsc_704x480i.ts": frozenset({88}),
    "interlaced/dtv_352x288i.ts": frozenset(),
    "real_lowquality/car_detection.mp4": frozenset(),
}
"""First frames of shots in untouched clips, seen by eye."""


def decode(path: Path, limit: int = 400) -> Pictures:
    """The first frames of a clip at 320x180."""
    pictures = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            small = frame.reformat(width=SIZE[0], height=SIZE[1], format="rgb24")
            pictures.append(small.to_ndarray())
            if len(pictures) == limit:
                break
    return np.stack(pictures)


def load_shots(media: Path, which: str) -> list[Pictures]:
    """The shots of the set "tune" or "report"; each inside one scene, no scene twice."""
    if which == "tune":
        return [
            decode(path)
            for path in sorted((media / "train/video").glob("*.mkv"))
            if path.stem not in _SAME_SCENE
        ]
    clips: dict[str, Pictures] = {}
    shots = []
    for name, start, stop in REPORT_SHOTS:
        if name not in clips:
            clips[name] = decode(media / name)
        shots.append(clips[name][start:stop])
    return shots


@dataclass
class Joined:
    """Joined shots and what is true of them; frame ranges are half-open."""

    frames: Pictures
    cuts: set[int] = field(default_factory=set)
    dissolves: list[tuple[int, int]] = field(default_factory=list)
    """Marks inside, a frame either side included, count neither way."""
    fades: list[tuple[int, int]] = field(default_factory=list)
    """The same."""
    flashes: list[tuple[int, int]] = field(default_factory=list)


def join(shots: Sequence[Pictures], seed: int, count: int = 40) -> Joined:
    """`count` stretches of 6 to 36 frames of random shots: 70 % hard cuts, 15 % dissolves of 4 to
    16 frames, 15 % fades through black; a flash of 1 to 3 frames in every third long stretch."""
    rng = random.Random(seed)
    parts: list[npt.NDArray[np.float32]] = []
    out = Joined(frames=np.empty(0, np.uint8))
    at = 0
    last = -1
    for number in range(count):
        which = rng.choice([i for i in range(len(shots)) if i != last])
        last = which
        shot = shots[which]
        length = min(rng.randint(6, 36), len(shot))
        start = rng.randint(0, len(shot) - length)
        part = shot[start : start + length].astype(np.float32)
        kind = rng.random() if number else 0.0
        tail = len(parts[-1]) if parts else 0
        if kind < 0.7:
            if number:
                out.cuts.add(at)
        elif kind < 0.85 and min(tail, length) >= 12:
            over = rng.randint(4, min(16, tail // 2, length // 2))
            mix = np.linspace(0, 1, over + 2, dtype=np.float32)[1:-1, None, None, None]
            part[:over] = parts[-1][-over:] * (1 - mix) + part[:over] * mix
            parts[-1] = parts[-1][:-over]
            at -= over
            out.dissolves.append((at, at + over))
        elif min(tail, length) >= 12:
            steps = rng.randint(4, min(10, tail // 2, length // 2))
            black = rng.randint(1, 5)
            ramp = np.linspace(1, 0, steps, dtype=np.float32)[:, None, None, None]
            parts[-1][-steps:] *= ramp
            part[:steps] *= ramp[::-1]
            parts.append(np.zeros((black, *part.shape[1:]), np.float32))
            out.fades.append((at - steps, at + black + steps))
            at += black
        else:
            out.cuts.add(at)
        if length >= 24 and rng.random() < 1 / 3:
            flash, where = rng.randint(1, 3), rng.randint(12, length - 9)
            part[where : where + flash] = part[where : where + flash] * 0.4 + rng.choice((110, 153))
            out.flashes.append((at + where, at + where + flash))
        parts.append(part)
        at += length
    out.frames = np.concatenate(parts).round().clip(0, 255).astype(np.uint8)
    return out


# --------------------------------------------------------------------------------- detectors

Detector = Callable[[Pictures], set[int]]


def detect(pictures: Pictures, config: CutsConfig | None = None) -> set[int]:
    """vrestore's detector: first frames of shots, frame 0 left out."""
    detector = DetectCuts(config or CutsConfig())
    form = SampleFormat(model=ColorModel.RGB, depth=8)
    marked = set()

    def note(done: Iterable[Frame]) -> None:
        marked.update(frame.index for frame in done if frame.shot_start and frame.index)

    for index, picture in enumerate(pictures):
        planes = torch.from_numpy(picture).permute(2, 0, 1)
        note(
            detector.push(
                Frame(
                    planes=(planes[0], planes[1], planes[2]),
                    format=form,
                    coding=Coding.CODE,
                    color=ColorSpec(range=Range.FULL),
                    duration=1,
                    index=index,
                    timestamp=Timestamp(pts=index, time_base=Fraction(1, 25)),
                )
            )
        )
    note(detector.flush())
    return marked


def scenedetect_runner(name: str, **options: float) -> Detector:
    """A PySceneDetect detector with shots of 6 frames allowed."""
    from scenedetect import detectors
    from scenedetect.common import FrameTimecode

    def run(pictures: Pictures) -> set[int]:
        detector = getattr(detectors, name)(min_scene_len=6, **options)
        found = []
        for index, picture in enumerate(pictures):
            found += detector.process_frame(
                FrameTimecode(index, 25.0), np.ascontiguousarray(picture[..., ::-1])
            )
        found += detector.post_process(FrameTimecode(len(pictures) - 1, 25.0))
        return {cut.frame_num for cut in found}

    return run


RIVALS: Mapping[str, tuple[str, tuple[float, ...]]] = {
    "ContentDetector": ("threshold", (15, 20, 24, 27, 30, 35, 40, 50)),
    "AdaptiveDetector": ("adaptive_threshold", (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0)),
    "HashDetector": ("threshold", (0.25, 0.3, 0.35, 0.395, 0.43, 0.46)),
    "HistogramDetector": ("threshold", (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)),
}
"""The parameter searched for each on `tune`, and the values tried."""


# ------------------------------------------------------------------------------------- score


@dataclass
class Score:
    """Counts over all sequences."""

    right: int = 0
    wrong: int = 0
    missed: int = 0
    in_flash: int = 0
    """Of the wrong ones, those at a flash."""
    in_dissolves: int = 0
    """Marks in dissolves, counted neither way."""
    in_fades: int = 0
    """Marks in fades, counted neither way; one for each is best."""
    dissolves: int = 0
    fades: int = 0

    def add(self, marks: set[int], truth: Joined) -> None:
        dissolved = _within(marks, truth.dissolves) - truth.cuts
        faded = _within(marks, truth.fades) - truth.cuts - dissolved
        wrong = marks - truth.cuts - dissolved - faded
        self.right += len(marks & truth.cuts)
        self.missed += len(truth.cuts - marks)
        self.wrong += len(wrong)
        self.in_flash += len(_within(wrong, truth.flashes))
        self.in_dissolves += len(dissolved)
        self.in_fades += len(faded)
        self.dissolves += len(truth.dissolves)
        self.fades += len(truth.fades)

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.right + self.missed)

    @property
    def f1(self) -> float:
        return 2 * self.right / max(1, 2 * self.right + self.wrong + self.missed)

    def row(self, name: str) -> str:
        return (
            f"| {name} | {self.precision:.3f} | {self.recall:.3f} | {self.f1:.3f} | "
            f"{self.in_flash} | {self.in_dissolves}/{self.dissolves} | "
            f"{self.in_fades}/{self.fades} |"
        )


def _within(marks: set[int], spans: Sequence[tuple[int, int]]) -> set[int]:
    return {mark for mark in marks if any(a - 1 <= mark <= b for a, b in spans)}


def measure(detector: Detector, sequences: Sequence[Joined]) -> Score:
    score = Score()
    for sequence in sequences:
        score.add(detector(sequence.frames), sequence)
    return score


def sequences(shots: Sequence[Pictures], count: int, seed: int = 0) -> list[Joined]:
    return [join(shots, seed + number) for number in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("media", type=Path)
    parser.add_argument("--set", choices=("tune", "report"), default="report")
    parser.add_argument("--sequences", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    write = sys.stdout.write
    tests = sequences(load_shots(arguments.media, arguments.set), arguments.sequences, seed=1000)
    tuning = sequences(load_shots(arguments.media, "tune"), max(2, arguments.sequences // 2))
    write(
        f"{sum(len(t.cuts) for t in tests)} hard cuts, {sum(len(t.dissolves) for t in tests)} "
        f"dissolves, {sum(len(t.fades) for t in tests)} fades, "
        f"{sum(len(t.flashes) for t in tests)} flashes in "
        f"{sum(len(t.frames) for t in tests)} frames\n\n"
    )
    write(
        "| detector | precision | recall | F1 | false at flashes | marks in dissolves | "
        "marks in fades |\n|---|---|---|---|---|---|---|\n"
    )
    write(measure(detect, tests).row("**vrestore**") + "\n")
    for name, (option, values) in RIVALS.items():
        write(measure(scenedetect_runner(name), tests).row(f"{name}, default") + "\n")
        best = max(
            values,
            key=lambda value: measure(scenedetect_runner(name, **{option: value}), tuning).f1,
        )
        tuned = measure(scenedetect_runner(name, **{option: best}), tests)
        write(tuned.row(f"{name}, {option} {best:g} (best on tune)") + "\n")
    if arguments.set == "report":
        for name, cuts in REAL_EDITS.items():
            found = detect(decode(arguments.media / name))
            write(f"\n{name}: cuts at {sorted(cuts)}, found {sorted(found)}")
        write("\n")


if __name__ == "__main__":
    main()
