"""Counts what the detectors of dirt and scratches find.

    PYTHONPATH=. python docs/tables/dirt.py --data ../shared/data > table.md

Damage is drawn anew, with its truth.  Thresholds were chosen and weights fitted on the training
clips but for ten (`vrestore.train.dirtclips.HELD_BACK`); the table is made of those ten, two
lossless clips and five of the benchmark.  The ten had been counted once before, with other draws
and an older detector; the seed was first read after the last change of a threshold.  `--tuned-on`
counts on the others.

Marks count from an opacity of 0.1 upwards where at least three samples differ in luma by 10 of 255
and by twice the grain; one is found if half of these samples are marked.  False alarms are marked
samples farther than two from any mark.  Clean clips count with their grain.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from vrestore.media import ColorModel, Frame, SampleFormat
from vrestore.ops.dirt import Dirt, DirtConfig
from vrestore.ops.infill import grown
from vrestore.ops.scratches import Scratches, ScratchesConfig
from vrestore.train import dirt as film
from vrestore.train.dirtclips import (
    HELD_BACK,
    VISIBLE,
    excerpt,
    frames_of,
    grained,
    tuning_clips,
    unpainted,
    visible,
)

SEED = 77
UNSEEN = (
    "train/video_lossless/ntia_aspen_960x540.mkv",
    "train/video_lossless/temple_1200x800.mkv",
    "benchmark/video/carphone_pristine.mp4",
    "benchmark/video/foreman_cif_10f.y4m",
    "benchmark/video/park_joy_480x270_10f.y4m",
    "benchmark/Vid4/calendar.mkv",
    "benchmark/Vid4/walk.mkv",
)


def footage(data: Path, tuned_on: bool) -> list[Path]:
    if tuned_on:
        return tuning_clips(data)
    held = [data / "train" / "video" / f"{name}.mkv" for name in HELD_BACK]
    return held + [data / name for name in UNSEEN]


def in_grey(frames: Sequence[Frame]) -> list[Frame]:
    form = SampleFormat(model=ColorModel.GRAY, depth=8)
    return [replace(frame, planes=frame.planes[:1], format=form) for frame in frames]


def run(op: object, frames: Iterable[Frame]) -> list[Frame]:
    out: list[Frame] = []
    for frame in frames:
        out.extend(op.push(frame))  # type: ignore[attr-defined]
    out.extend(op.flush())  # type: ignore[attr-defined]
    return out


def psnr(a: Sequence[Tensor], b: Sequence[Tensor], where: Sequence[Tensor] | None = None) -> float:
    total, count = 0.0, 0.0
    for t, (x, y) in enumerate(zip(a, b, strict=True)):
        square = (x - y).square()
        if where is not None:
            square = square[where[t]]
        total, count = total + float(square.sum()), count + square.numel()
    return math.nan if not count else -10 * math.log10(max(total / count, 1e-10))


@dataclass(slots=True)
class Count:
    """What a detector made of painted marks."""

    marks: int = 0
    found: int = 0
    samples: int = 0
    hit: int = 0
    false: int = 0
    all: int = 0
    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    changed: list[float] = field(default_factory=list)

    def add(self, labels: Tensor, matte: Tensor, visible: Tensor, mask: Tensor | None) -> None:
        """Labels, matte, visibility and mask of one frame, (H, W)."""
        mask = torch.zeros_like(visible) if mask is None else mask
        seen = labels[visible].long()
        total = torch.bincount(seen, minlength=1)
        hit = torch.bincount(labels[visible & mask].long(), minlength=len(total))
        real = total >= 3
        self.marks += int(real.sum())
        self.found += int((real & (2 * hit >= total)).sum())
        self.samples += int(visible.sum())
        self.hit += int((visible & mask).sum())
        self.false += int((mask & ~grown(matte > 0.02, 2)).sum())
        self.all += mask.numel()

    def row(self, name: str) -> str:
        def share(a: float, b: float) -> str:
            return f"{a / b:.3f}" if b else "-"

        def mean(values: list[float]) -> str:
            good = [v for v in values if not math.isnan(v)]
            return f"{sum(good) / len(good):.1f}" if good else "-"

        change = f"{sum(self.changed) / len(self.changed):.3f}" if self.changed else "-"
        return (
            f"| {name} | {self.marks} | {share(self.found, self.marks)} "
            f"| {share(self.hit, self.samples)} | {100 * self.false / self.all:.3f} % "
            f"| {mean(self.before)} | {mean(self.after)} | {change} |"
        )


HEADER = (
    "| clips | marks | recall of marks | recall of samples | false alarms | PSNR on marks, dB "
    "| repaired | change off marks, of 255 |\n|---|---|---|---|---|---|---|---|"
)

Painter = Callable[[Tensor, Generator], film.Defects]


def film_case(
    paths: Sequence[Path],
    make: Callable[[], object],
    paint: Painter,
    length: int,
    key: int,
    seed: int,
    look: Callable[[Sequence[Frame]], list[Frame]] = list,
) -> Count:
    """Paint into every clip, detect and repair."""
    count = Count()
    for number, path in enumerate(paths):
        rng = np.random.default_rng([seed, key, number])
        clean, sigma = grained(excerpt(path, rng, length), rng)
        drawn = paint(clean, rng)
        source, truth = look(frames_of(drawn.frames)), look(frames_of(clean))
        out = run(make(), source)
        lumas = [[f.planes[0] for f in clip] for clip in (source, truth, out)]
        marks = []
        for t, frame in enumerate(out):
            seen = visible(drawn.labels[t], lumas[0][t], lumas[1][t], sigma)
            count.add(drawn.labels[t], drawn.matte[t, 0], seen, frame.mask)
            marks.append(drawn.matte[t, 0] > 0.05)
        if any(bool(mark.any()) for mark in marks):
            count.before.append(psnr(lumas[0], lumas[1], marks))
            count.after.append(psnr(lumas[2], lumas[1], marks))
        off = [~mark for mark in marks]
        count.changed.append(
            255
            * sum(
                float((a - b)[w].abs().sum())
                for a, b, w in zip(lumas[2], lumas[0], off, strict=True)
            )
            / max(1, sum(int(w.sum()) for w in off))
        )
    return count


def dirt_table(paths: Sequence[Path], seed: int) -> None:
    print("\n### Dirt\n\n" + HEADER)
    little, much = (
        (lambda x, g: film.specks(x, g, 60, opacity=(0.1, 1.0), hairs=0.2)),
        (lambda x, g: film.specks(x, g, 600, opacity=(0.1, 1.0), hairs=1.0)),
    )
    cases: list[tuple[int, str, Painter, bool]] = [
        (0, "little dirt", little, False),
        (1, "much dirt", much, False),
        (2, "clean", unpainted, False),
        (10, "little dirt, black and white", little, True),
        (11, "clean, black and white", unpainted, True),
    ]
    for key, name, paint, grey in cases:
        count = film_case(
            paths,
            lambda: Dirt(DirtConfig(strength=0.5)),
            paint,
            8,
            key,
            seed,
            in_grey if grey else list,
        )
        print(count.row(name), flush=True)
    kept = objects_kept(paths, seed)
    print(f"\nFast objects: {kept[1]} of {kept[0]} views kept ({kept[1] / max(1, kept[0]):.3f}).")


def objects_kept(paths: Sequence[Path], seed: int) -> tuple[int, int]:
    """Views of fast objects, and those of which at most a fifth was marked."""
    views = kept = 0
    for number, path in enumerate(paths):
        rng = np.random.default_rng([seed, 9, number])
        clean, _ = grained(excerpt(path, rng, 7), rng)
        drawn = film.fast_objects(clean, rng, 2)
        source, truth = frames_of(drawn.frames), frames_of(clean)
        for t, frame in enumerate(run(Dirt(DirtConfig(strength=0.5)), source)):
            seen = (source[t].planes[0] - truth[t].planes[0]).abs() >= VISIBLE
            for one in (1, 2):
                own = (drawn.labels[t] == one) & seen
                if int(own.sum()) < 12:
                    continue
                views += 1
                marked = 0 if frame.mask is None else int((own & frame.mask).sum())
                kept += marked <= 0.2 * int(own.sum())
    return views, kept


def scratch_table(paths: Sequence[Path], seed: int) -> None:
    print("\n### Scratches\n\n" + HEADER)
    cases: list[tuple[str, Painter]] = [
        ("1 line", lambda x, g: film.drifting_scratches(x, g, 1)),
        ("4 lines", lambda x, g: film.drifting_scratches(x, g, 4)),
        ("clean", unpainted),
    ]
    for key, (name, paint) in enumerate(cases):
        count = film_case(
            paths,
            lambda: Scratches(ScratchesConfig(strength=0.5)),
            paint,
            8,
            20 + key,
            seed,
        )
        print(count.row(name), flush=True)


def cost_table(data: Path) -> None:
    print("\n### Cost\n\nMilliseconds of one core per frame of 720x576, moving, 4:2:0.\n")
    print("| op | ms |\n|---|---|")
    ops: list[tuple[str, Callable[[], object]]] = [
        ("dirt", lambda: Dirt(DirtConfig(strength=0.5))),
        ("dirt, marked only", lambda: Dirt(DirtConfig(strength=0.5, fill="network"))),
        ("scratches", lambda: Scratches(ScratchesConfig(strength=0.5))),
    ]
    costs(data, ops)


def costs(data: Path, ops: Sequence[tuple[str, Callable[[], object]]]) -> None:
    """The rows of a table of costs."""
    rng = np.random.default_rng(SEED)
    clip = excerpt(data / "train" / "video" / "geese.mkv", rng, 12)
    moving = F.interpolate(clip, size=(576, 720), mode="bicubic")
    source = frames_of(film.specks(moving, rng, 100).frames)
    for name, make in ops:
        run(make(), source[:4])
        start = time.process_time()
        run(make(), source)
        print(f"| {name} | {1000 * (time.process_time() - start) / len(source):.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the shared media")
    parser.add_argument(
        "--tuned-on", action="store_true", help="count where thresholds were chosen"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of everything that is drawn")
    parser.add_argument("--every", type=int, default=1, help="use each nth clip only")
    parser.add_argument("parts", nargs="*", default=["dirt", "scratches", "cost"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    paths = footage(args.data, args.tuned_on)[:: args.every]
    print(f"{len(paths)} clips, seed {args.seed}: {', '.join(p.stem for p in paths)}.")
    tables = {"dirt": dirt_table, "scratches": scratch_table}
    for part in args.parts:
        cost_table(args.data) if part == "cost" else tables[part](paths, args.seed)


if __name__ == "__main__":
    main()
