"""Counts what the detectors of dirt and scratches find, and what the tape stages repair.

    PYTHONPATH=. python docs/tables/dirt.py --data ../shared/data > table.md

Damage is drawn anew, with its truth.  Thresholds were chosen on half of the training clips, by a
digest of their name (`--tuned-on`).  Part of the other half was looked at while they were still
being moved (`--looked-at`), so it proves nothing either; the table is made of the rest, which
together with the seed was first read after the last change of a threshold.

Marks count from an opacity of 0.1 upwards where at least three samples differ in luma by 10 of 255
and by twice the grain; one is found if half of these samples are marked.  False alarms are marked
samples farther than two from any mark.  Clean clips count with their grain.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from vrestore.media import (
    ChromaLocation,
    Coding,
    ColorModel,
    ColorSpec,
    Frame,
    Range,
    SampleFormat,
    Timestamp,
)
from vrestore.ops.dirt import Dirt, DirtConfig
from vrestore.ops.infill import grown
from vrestore.ops.scratches import Scratches, ScratchesConfig
from vrestore.ops.tape import Tape, TapeConfig
from vrestore.ops.tape.chroma import measure_chroma_shift
from vrestore.ops.tape.headswitch import measure_head_switch
from vrestore.train import damage, tape_faults
from vrestore.train import dirt as film
from vrestore.train.footage import read_clip
from vrestore.train.sample import normalise, quantise, subsample, to_ycbcr

SEED = 21
VISIBLE = 10 / 255
YUV420 = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)


def tuned_on(path: Path) -> bool:
    return hashlib.sha256(path.name.encode()).digest()[1] % 2 == 0


def footage(data: Path, which: str) -> list[Path]:
    """The clips that are "tuned-on", "looked-at" or "fresh"."""
    train = sorted((data / "train" / "video").glob("*.mkv"))
    if which == "tuned-on":
        return [path for path in train if tuned_on(path)]
    names = ("BasketballPass_416x240.mkv", "park_joy_480x270_10f.y4m")
    held = [path for path in train if not tuned_on(path)]
    held += [data / "benchmark" / "video" / name for name in names]
    looked_at = {n for n in range(len(held)) if n % 3 == 0 or n % 4 == 0 or n % 5 == 0}
    return [path for n, path in enumerate(held) if (n in looked_at) == (which == "looked-at")]


def excerpt(path: Path, rng: Generator, length: int) -> Tensor:
    """(T, 3, H, W) RGB 0..1, even sides, at most 480 by 360."""
    clip = read_clip(path)
    start = int(rng.integers(0, max(1, len(clip) - length + 1)))
    part = clip[start : start + length].permute(0, 3, 1, 2).float() / 255
    height, width = min(360, part.shape[2]) & ~1, min(480, part.shape[3]) & ~1
    top = (part.shape[2] - height) // 2
    left = (part.shape[3] - width) // 2
    return part[:, :, top : top + height, left : left + width]


def grained(frames: Tensor, rng: Generator) -> tuple[Tensor, float]:
    sigma = float(rng.choice([0.0, 0.01, 0.02, 0.035]))
    if sigma == 0:
        return frames, 0.0
    return damage.grain(frames, rng, sigma, gray=True), sigma


def frames_of(rgb: Tensor) -> list[Frame]:
    return frames_of_ycbcr(to_ycbcr(rgb.clamp(0, 1), "601"))


def frames_of_ycbcr(planes: Tensor) -> list[Frame]:
    """UNIT frames of (T, 3, H, W), as after 8-bit 4:2:0."""
    luma, chroma = quantise(planes[:, :1], subsample(planes[:, 1:], "420-left"), full=True)
    y, c = normalise(luma, chroma, full=True)
    return [
        Frame(
            planes=(y[t, 0], c[t, 0] + 0.5, c[t, 1] + 0.5),
            format=YUV420,
            coding=Coding.UNIT,
            color=ColorSpec(range=Range.FULL, chroma_location=ChromaLocation.LEFT),
            timestamp=Timestamp(pts=t, time_base=Fraction(1, 25)),
            duration=1,
            index=t,
            shot_start=t == 0,
        )
        for t in range(len(y))
    ]


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


def changed(a: Sequence[Frame], b: Sequence[Frame]) -> float:
    """Mean absolute change of all planes in 8-bit code values."""
    pairs = [(x, y) for f, g in zip(a, b, strict=True) for x, y in zip(f.planes, g.planes)]  # noqa: B905
    return (
        255 * sum(float((x - y).abs().sum()) for x, y in pairs) / sum(x.numel() for x, _ in pairs)
    )


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
    paths: Sequence[Path], make: Callable[[], object], paint: Painter, length: int, key: int
) -> Count:
    """Paint into every clip, detect and repair."""
    count = Count()
    for number, path in enumerate(paths):
        rng = np.random.default_rng([SEED, key, number])
        clean, sigma = grained(excerpt(path, rng, length), rng)
        drawn = paint(clean, rng)
        source, truth = frames_of(drawn.frames), frames_of(clean)
        out = run(make(), source)
        lumas = [[f.planes[0] for f in clip] for clip in (source, truth, out)]
        marks = []
        for t, frame in enumerate(out):
            difference = (lumas[0][t] - lumas[1][t]).abs()
            visible = (drawn.labels[t] > 0) & (difference >= max(VISIBLE, 2 * sigma))
            count.add(drawn.labels[t], drawn.matte[t, 0], visible, frame.mask)
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


def unpainted(frames: Tensor, rng: Generator) -> film.Defects:
    count, _, height, width = frames.shape
    return film.Defects(
        frames,
        torch.zeros(count, 1, height, width),
        torch.zeros(count, height, width, dtype=torch.int32),
    )


def dirt_table(paths: Sequence[Path]) -> None:
    print("\n### Dirt\n\n" + HEADER)
    cases: list[tuple[str, Painter]] = [
        ("little dirt", lambda x, g: film.specks(x, g, 60, opacity=(0.1, 1.0), hairs=0.2)),
        ("much dirt", lambda x, g: film.specks(x, g, 600, opacity=(0.1, 1.0), hairs=1.0)),
        ("clean", unpainted),
    ]
    for key, (name, paint) in enumerate(cases):
        count = film_case(paths, lambda: Dirt(DirtConfig(strength=0.5)), paint, 8, key)
        print(count.row(name), flush=True)
    kept = objects_kept(paths)
    print(f"\nFast objects: {kept[1]} of {kept[0]} views kept ({kept[1] / max(1, kept[0]):.3f}).")


def objects_kept(paths: Sequence[Path]) -> tuple[int, int]:
    """Views of fast objects, and those of which at most a fifth was marked."""
    views = kept = 0
    for number, path in enumerate(paths):
        rng = np.random.default_rng([SEED, 9, number])
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


def scratch_table(paths: Sequence[Path]) -> None:
    print("\n### Scratches\n\n" + HEADER)
    cases: list[tuple[str, Painter]] = [
        ("1 line", lambda x, g: film.drifting_scratches(x, g, 1)),
        ("4 lines", lambda x, g: film.drifting_scratches(x, g, 4)),
        ("clean", unpainted),
    ]
    for key, (name, paint) in enumerate(cases):
        count = film_case(
            paths, lambda: Scratches(ScratchesConfig(strength=0.5)), paint, 8, 20 + key
        )
        print(count.row(name), flush=True)


Fault = Callable[[Tensor, Generator], Tensor]


def tape_cases() -> list[tuple[str, Fault, TapeConfig, int]]:
    """(name, fault on YCbCr, remedy, first plane that counts)."""
    faults = tape_faults
    return [
        (
            "chroma shift 1 to 5 samples",
            lambda x, g: faults.chroma_shift(x, float(g.choice([-1, 1]) * g.uniform(1, 5))),
            TapeConfig(chroma_shift="auto"),
            1,
        ),
        (
            "chroma noise 1 to 6 %",
            lambda x, g: faults.chroma_noise(x, g, float(g.uniform(0.01, 0.06))),
            TapeConfig(chroma_noise=0.8),
            1,
        ),
        (
            "bleed, sigma 2 to 6 samples",
            lambda x, g: faults.bleed(x, float(g.uniform(2, 6))),
            TapeConfig(bleed=0.8),
            1,
        ),
        (
            "head switch, 4 to 12 rows",
            lambda x, g: faults.head_switch(x, g, int(g.integers(4, 13))),
            TapeConfig(head_switch="auto"),
            0,
        ),
        (
            "dropouts, 1 to 6 a frame",
            lambda x, g: faults.dropouts(x, g, float(g.uniform(1, 6)))[0],
            TapeConfig(dropout=0.5),
            0,
        ),
        (
            "line jitter 0.3 to 1.5 samples",
            lambda x, g: faults.line_jitter(x, g, float(g.uniform(0.3, 1.5))),
            TapeConfig(line_jitter=1.0),
            0,
        ),
        (
            "dot crawl and rainbows, NTSC, still picture",
            lambda x, g: faults.composite(x, "ntsc", float(g.uniform(0.3, 1)), 0.5),
            TapeConfig(comb=1.0),
            0,
        ),
        (
            "dot crawl and rainbows, NTSC, moving picture",
            lambda x, g: faults.composite(x, "ntsc", float(g.uniform(0.3, 1)), 0.5),
            TapeConfig(comb=1.0),
            0,
        ),
        (
            "dot crawl and rainbows, PAL, still picture",
            lambda x, g: faults.composite(x, "pal", float(g.uniform(0.3, 1)), 0.5),
            TapeConfig(comb=1.0),
            0,
        ),
        (
            "halos",
            lambda x, g: faults.halo(x, float(g.uniform(0.5, 1.5)), 3.0),
            TapeConfig(halo=0.8),
            0,
        ),
    ]


def tape_table(paths: Sequence[Path], length: int = 13) -> None:
    print("\n### Tape\n")
    print("PSNR of chroma for the first three, of luma for the others; mean over the clips.\n")
    print("| fault | before, dB | after, dB | clips made better | clean clips changed by, of 255 |")
    print("|---|---|---|---|---|")
    for key, (name, fault, config, plane) in enumerate(tape_cases()):
        before, after, clean_change = [], [], []
        for number, path in enumerate(paths):
            rng = np.random.default_rng([SEED, 40 + key, number])
            planes = to_ycbcr(excerpt(path, rng, length), "601")
            if "still" in name:
                planes = planes[:1].expand_as(planes) + 0.004 * damage.noise_like(
                    rng, *planes.shape
                )
            truth, source = frames_of_ycbcr(planes), frames_of_ycbcr(fault(planes, rng))
            out = run(Tape(config), source)
            chosen = (1, 2) if plane else (0,)
            pick = [[f.planes[n] for f in clip for n in chosen] for clip in (source, truth, out)]
            before.append(psnr(pick[0], pick[1]))
            after.append(psnr(pick[2], pick[1]))
            clean_change.append(changed(run(Tape(config), truth), truth))
        better = sum(b > a + 0.05 for a, b in zip(before, after, strict=True))
        print(
            f"| {name} | {sum(before) / len(before):.2f} | {sum(after) / len(after):.2f} "
            f"| {better} of {len(before)} | {sum(clean_change) / len(clean_change):.3f}, "
            f"worst {max(clean_change):.3f} |",
            flush=True,
        )


def measures_table(paths: Sequence[Path], length: int = 12) -> None:
    print("\n### Measures of tape faults\n")
    shift_error, missed, clean_named, rows_right, rows_clean = [], 0, 0, 0, 0
    for number, path in enumerate(paths):
        rng = np.random.default_rng([SEED, 60, number])
        planes = to_ycbcr(excerpt(path, rng, length), "601")
        true = float(rng.choice([-1, 1]) * rng.uniform(1, 5))
        found, _, sure = measure_chroma_shift(
            frames_of_ycbcr(tape_faults.chroma_shift(planes, true))
        )
        if sure >= 0.3:
            shift_error.append(abs(found - true))
        else:
            missed += 1
        clean = frames_of_ycbcr(planes)
        right, _, sure = measure_chroma_shift(clean)
        clean_named += sure >= 0.3 and abs(right) >= 0.6
        rows = int(rng.integers(4, 13))
        torn = measure_head_switch(frames_of_ycbcr(tape_faults.head_switch(planes, rng, rows)))
        rows_right += abs(torn - rows) <= 1
        rows_clean += measure_head_switch(clean) > 0
    near = sum(error <= 0.5 for error in shift_error)
    print("| measure | clips | right | unsure | found in clean clips |")
    print("|---|---|---|---|---|")
    print(
        f"| chroma shift, within 0.5 samples | {len(paths)} | {near} | {missed} | {clean_named} |"
    )
    print(f"| head switch, within 1 row | {len(paths)} | {rows_right} | - | {rows_clean} |")


def cost_table(data: Path) -> None:
    print("\n### Cost\n\nMilliseconds of one core per frame of 720x576, moving, 4:2:0.\n")
    print("| op | ms |\n|---|---|")
    rng = np.random.default_rng(SEED)
    clip = excerpt(data / "train" / "video" / "geese.mkv", rng, 10)
    moving = F.interpolate(clip, size=(576, 720), mode="bicubic")
    moving = film.specks(moving, rng, 100).frames
    source = frames_of(moving)
    ops: list[tuple[str, Callable[[], object]]] = [
        ("dirt", lambda: Dirt(DirtConfig(strength=0.5))),
        ("scratches", lambda: Scratches(ScratchesConfig(strength=0.5))),
    ]
    for name, _, config, _ in tape_cases():
        ops.append((f"tape: {name.split(',')[0]}", lambda config=config: Tape(config)))  # type: ignore[misc]
    for name, make in ops:
        run(make(), source[:3])
        start = time.process_time()
        run(make(), source)
        print(f"| {name} | {1000 * (time.process_time() - start) / len(source):.1f} |", flush=True)


PARTS = {
    "dirt": dirt_table,
    "scratches": scratch_table,
    "tape": tape_table,
    "measures": measures_table,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the shared media")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--tuned-on", dest="which", action="store_const", const="tuned-on")
    which.add_argument("--looked-at", dest="which", action="store_const", const="looked-at")
    parser.set_defaults(which="fresh")
    parser.add_argument("--every", type=int, default=1, help="use each nth clip only")
    parser.add_argument("parts", nargs="*", default=[*PARTS, "cost"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    paths = footage(args.data, args.which)[:: args.every]
    print(f"{len(paths)} {args.which} clips, seed {SEED}: {', '.join(p.stem for p in paths)}.")
    for part in args.parts:
        cost_table(args.data) if part == "cost" else PARTS[part](paths)


if __name__ == "__main__":
    main()
