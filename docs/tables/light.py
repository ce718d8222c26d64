"""The tables of docs/restoration.md on weave, flicker and fading, as Markdown.

    PYTHONPATH=. python docs/tables/light.py --data ../shared/data

Truth is footage of `train/video` and stills of `train/stills_BSDS500_test`, with clips and a seed
that were not used in development, but for three constants that were set after a first run: those
for fades from black (`dog_a`) and for shots whose motion is unsure (`cups`).  `dog_a` and
`juggle_a` are other shots of places that were used.  Weave left and flicker left are measured
against the truth.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vrestore.media import (
    Coding,
    ColorModel,
    ColorSpec,
    Frame,
    Matrix,
    Range,
    SampleFormat,
    Timestamp,
)
from vrestore.ops.deflicker import Deflicker, DeflickerConfig
from vrestore.ops.fading import Fading, FadingConfig
from vrestore.ops.stabilise import Stabilise, StabiliseConfig
from vrestore.review.metrics import flicker_index
from vrestore.train import film
from vrestore.train.footage import read_clip

SEED = 70413
STEADY = ("cups", "dog_a", "face_d0", "juggle_a")
"""Clips whose camera stands still."""

MOVING = ("camel", "davis_bear", "geese", "handheld_teddy", "highway", "phone_rooftop")
CLEAN = ("bedroom_a", "gopro_coast_drone", "guitar_room", "rollercoaster")
"""Further clips, for what must stay as it is."""

STILLS = 6
FRAMES = 30


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    tables = {
        "weave": weave_table,
        "flicker": flicker_table,
        "light": light_table,
        "fading": fading_table,
        "cost": cost_table,
    }
    parser.add_argument("--only", choices=tables, help="one table instead of all")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name, table in tables.items():
        if given.only in (None, name):
            table(given.data)


def luma(data: Path, name: str) -> Tensor:
    """(T, 1, H, W) of a clip, at most 400 columns from its middle."""
    rgb = read_clip(data / "train" / "video" / f"{name}.mkv")[:FRAMES].permute(0, 3, 1, 2) / 255
    left = max(0, (rgb.shape[3] - 400) // 2)
    rgb = rgb[:, :, :300, left : left + 400]
    return (rgb * torch.tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1)).sum(1, keepdim=True)


def frame(planes: Iterable[Tensor], index: int, model: ColorModel = ColorModel.GRAY) -> Frame:
    matrix = Matrix.RGB if model is ColorModel.RGB else Matrix.BT709
    return Frame(
        planes=tuple(plane.contiguous() for plane in planes),
        format=SampleFormat(model=model, depth=8),
        coding=Coding.UNIT,
        color=ColorSpec(range=Range.FULL, matrix=matrix),
        timestamp=Timestamp(pts=index, time_base=Fraction(1, 24)),
        duration=1,
        index=index,
        shot_start=index == 0,
    )


def through(op: Stabilise | Deflicker | Fading, clip: Tensor) -> Tensor:
    """(T, C, H, W) of what an op makes of a clip."""
    model = ColorModel.RGB if clip.shape[1] == 3 else ColorModel.GRAY
    out = [o for i, planes in enumerate(clip) for o in op.push(frame(planes, i, model))]
    return torch.stack([torch.stack(o.planes) for o in (*out, *op.flush())])


def grained(clip: Tensor, seed: int = 0) -> Tensor:
    noise = torch.randn(clip.shape, generator=torch.Generator().manual_seed(seed))
    return (clip + 0.01 * noise).clamp(0, 1)


def band(path: np.ndarray) -> float:
    """Rms of what is faster than 13 frames, in samples, of both directions together."""
    slow = np.array([path[max(0, i - 6) : i + 7].mean(0) for i in range(len(path))])
    return float(np.sqrt(np.square(path - slow).mean()))


def panned(data: Path, number: int, speed: float) -> tuple[Tensor, Tensor]:
    """A still over which a camera pans by whole samples, and its course (T, 2)."""
    names = sorted((data / "train" / "stills_BSDS500_test").glob("*.jpg"))
    still = read_clip(names[7 * number + 3])[0].permute(2, 0, 1).float() / 255
    if still.shape[1] > still.shape[2]:
        still = still.transpose(1, 2)
    gray = (still * torch.tensor([0.2126, 0.7152, 0.0722]).view(3, 1, 1)).sum(0, keepdim=True)
    x = torch.tensor([round(speed * t) for t in range(FRAMES)])
    clip = torch.stack([gray[:, :, int(a) : int(a) + 380] for a in x])
    return clip, torch.stack((x.float(), 0 * x), 1)


def weave_left(clip: Tensor, path: Tensor) -> tuple[float, float, float]:
    """Weave before and after, and how far the course went astray, in samples."""
    op = Stabilise(StabiliseConfig(strength=1, max_shift=3))
    damaged = film.moved(clip, path)
    rng = np.random.default_rng(SEED)
    through(op, grained(film.lit(damaged, film.flicker_gain(rng, len(clip), 0.04))))
    (note,) = op.notes
    back = np.array(
        [
            np.subtract(note.curves[f"weave_{a}_before"], note.curves[f"weave_{a}_after"])
            for a in "xy"
        ]
    ).T
    left = path.numpy() - back
    return band(path.numpy()), band(left), float(np.sqrt(np.square(left - left.mean(0)).mean()))


def weave_table(data: Path) -> None:
    print("### Weave left, in samples rms (4 % flicker and grain on top)\n")
    print("| camera | weave sigma | before | after | worst clip | astray |")
    print("|---|---|---|---|---|---|")
    scenes = {
        "still, things moving": [luma(data, name) for name in STEADY],
        "still photograph": [panned(data, n, 0)[0] for n in range(STILLS)],
        "pan, 1 sample a frame": [panned(data, n, 1)[0] for n in range(STILLS)],
    }
    for name, clips in scenes.items():
        for sigma in (0.2, 0.5, 1.0, 1.5):
            rng = np.random.default_rng(SEED)
            rows = [weave_left(c, film.weave(rng, len(c), sigma).clamp(-6, 6)) for c in clips]
            before, after, astray = zip(*rows, strict=True)
            print(
                f"| {name} | {sigma} | {statistics.mean(before):.2f} | "
                f"{statistics.mean(after):.3f} | {max(after):.3f} | {statistics.mean(astray):.2f} |"
            )
    rng = np.random.default_rng(SEED)
    rows = []
    for clip in scenes["still photograph"]:
        rows.append(weave_left(clip, film.splice_jumps(rng, len(clip), 0.1, 6.0)))
    before, after, astray = zip(*rows, strict=True)
    print(
        f"| still, splice jumps to 6 | - | {statistics.mean(before):.2f} | "
        f"{statistics.mean(after):.3f} | {max(after):.3f} | {statistics.mean(astray):.2f} |"
    )
    print("\n| clean clip | moved frames | movement put in, rms |\n|---|---|---|")
    for name in (*STEADY, *MOVING, *CLEAN):
        op = Stabilise(StabiliseConfig(strength=1))
        through(op, luma(data, name))
        note = op.notes[0]
        put_in = math.hypot(
            *(
                float(
                    np.subtract(
                        note.curves[f"weave_{a}_before"], note.curves[f"weave_{a}_after"]
                    ).std()
                )
                for a in "xy"
            )
        )
        print(f"| {name} | {100 * note.values['moved_share']:.0f} % | {put_in:.2f} |")
    print()


def flickering(clip: Tensor, kind: str, depth: float, rng: np.random.Generator) -> Tensor:
    count, size = len(clip), (clip.shape[2], clip.shape[3])
    if kind == "gamma":
        return clip ** film.flicker_gamma(rng, count, depth).view(-1, 1, 1, 1)
    makers = {
        "gain": lambda d: film.flicker_gain(rng, count, d),
        "field": lambda d: film.flicker_field(rng, count, size, d),
        "bands": lambda d: film.flicker_bands(rng, count, size, d),
    }
    if kind != "all":
        return film.lit(clip, makers[kind](depth))
    for make in makers.values():
        clip = film.lit(clip, make(depth / 3**0.5))
    return clip


def flicker_table(data: Path) -> None:
    print("### Flicker index (8-bit codes) and how much of it is gone\n")
    print("| flicker | depth | still camera: before | after | gone | moving camera: before | after "
          "| gone |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    groups = [[grained(0.9 * luma(data, n)) for n in names] for names in (STEADY, MOVING)]
    for kind in ("gain", "gamma", "field", "bands", "all"):
        for depth in (0.01, 0.03, 0.06, 0.12):
            cells = []
            for clips in groups:
                rng = np.random.default_rng(SEED)
                before = after = 0.0
                for clip in clips:
                    damaged = flickering(clip, kind, depth, rng)
                    result = through(Deflicker(DeflickerConfig(strength=1)), damaged)
                    before += flicker_index(damaged[:, 0] * 255, clip[:, 0] * 255) / len(clips)
                    after += flicker_index(result[:, 0] * 255, clip[:, 0] * 255) / len(clips)
                cells.append(f"{before:.2f} | {after:.2f} | {100 * (1 - after / before):.0f} %")
            print(f"| {kind} | {100 * depth:.0f} % | {' | '.join(cells)} |", flush=True)
    print()


def light_table(data: Path) -> None:
    print("### What must stay: change by the deflicker, in 8-bit codes\n")
    print("| clip | what | mean | worst frame |\n|---|---|---|---|")
    t = torch.arange(FRAMES).float()
    lights = {
        "as it is": torch.ones(FRAMES),
        "fade out": 1 - t / (FRAMES - 1),
        "fade in": (t / 20).clamp_max(1),
        "lamp": 0.7 + 0.3 * (t >= 14),
        "flash": 0.65 + 0.35 * ((t == 12) | (t == 13)),
    }
    for name in (*STEADY, *MOVING, *CLEAN):
        clip = luma(data, name)
        for what, gain in lights.items():
            if what != "as it is" and name not in (STEADY[1], *MOVING[:3]):
                continue
            truth = film.lit(clip, gain[: len(clip)])
            change = through(Deflicker(DeflickerConfig(strength=1)), truth) - truth
            frames = change.abs().mean((1, 2, 3)) * 255
            print(f"| {name} | {what} | {frames.mean():.2f} | {frames.max():.2f} |", flush=True)
    print()


def fading_table(data: Path) -> None:
    print("### Faded dyes: mean error in 8-bit codes, of colour differences and of R, G, B\n")
    print(
        "| amount | colour before | after | R, G, B before | after | made worse by more than 0.5 "
        "| the same with `levels = 0.4`, `cast = 0.8` | worse |\n|---|---|---|---|---|---|---|---|"
    )
    names = sorted((data / "train" / "stills_BSDS500_test").glob("*.jpg"))[3::8]
    stills = [read_clip(n).permute(0, 3, 1, 2).float() / 255 for n in names]

    def colour(error: Tensor) -> float:
        return float((error - error.mean(1, keepdim=True)).abs().mean()) * 255

    for amount in (0.0, 0.15, 0.3, 0.5, 0.7, 1.0):
        rng = np.random.default_rng(SEED)
        rows = []
        for still in stills:
            pink = film.faded(still, film.dye_fade(rng, amount)) if amount else still
            results = [
                through(Fading(FadingConfig(levels=levels, cast=cast)), pink)
                for levels, cast in ((0, 1), (0.4, 0.8))
            ]
            errors = [one - still for one in (pink, *results)]
            rows.append([*map(colour, errors[:2]), *(float(e.abs().mean()) * 255 for e in errors)])
        columns = np.array(rows).T
        worse = [100 * np.mean(after > columns[2] + 0.5) for after in columns[3:]]
        first, second, before, after, levelled = (f"{column.mean():.1f}" for column in columns)
        print(
            f"| {amount} | {first} | {second} | {before} | {after} | {worse[0]:.0f} % "
            f"| {levelled} | {worse[1]:.0f} % |"
        )
    print()


def cost_table(_: Path) -> None:
    print("### Cost of a 720x576 4:2:0 frame on one core, milliseconds (CPU time)\n")
    print("| stage | ms |\n|---|---|")
    generator = torch.Generator().manual_seed(1)
    wide = torch.nn.functional.interpolate(
        torch.rand(1, 1, 150, 190, generator=generator), (600, 760), mode="bicubic"
    )[0, 0].clamp(0, 1)
    rng = np.random.default_rng(SEED)
    path, gain = rng.normal(0, 4, (40, 2)).round().astype(int) + 16, rng.normal(1, 0.04, 40)
    shot = []
    for i in range(40):
        x, y = path[i].clip(0, 23)
        picture = (wide[y : y + 576, x : x + 720] * float(gain[i])).contiguous()
        small = 0.5 + 0.2 * picture[::2, ::2].contiguous()
        base = frame([picture], i)
        shot.append(
            Frame(
                planes=(picture, small, small),
                format=SampleFormat(
                    model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1
                ),
                coding=base.coding, color=base.color, timestamp=base.timestamp,
                duration=1, index=i, shot_start=i == 0,
            )
        )  # fmt: skip
    for name, op in (
        ("stabilise", Stabilise(StabiliseConfig(strength=1, max_shift=5))),
        ("stabilise with rotation", Stabilise(StabiliseConfig(strength=1, rotation=True))),
        ("deflicker", Deflicker(DeflickerConfig(strength=1))),
    ):
        start = time.process_time()
        made = sum(len(list(op.push(f))) for f in shot) + len(list(op.flush()))
        print(f"| {name} | {(time.process_time() - start) / made * 1000:.1f} |")


if __name__ == "__main__":
    main()
