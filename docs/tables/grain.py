"""Grain and fidelity lock against known truth, as Markdown.

    PYTHONPATH=. python docs/tables/grain.py --data ../shared/data

Synthetic grain comes from the training's damage code, on pictures, draws and seeds that no
threshold was chosen on: stills of BSDS500 set in motion, and the clips of `train/video` but each
third, on which they were.  About five minutes on one core.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vrestore.media import (
    ChromaLocation,
    Coding,
    ColorModel,
    ColorSpec,
    Frame,
    Matrix,
    Range,
    SampleFormat,
    Timestamp,
)
from vrestore.models import restorer
from vrestore.models.registry import find
from vrestore.ops.fidelity import FidelityConfig, Locked
from vrestore.ops.grainmeasure import measure_grain
from vrestore.ops.grainmodel import Grain, network_strength
from vrestore.ops.grainsynth import GrainSynthesiser
from vrestore.ops.resample import Resample
from vrestore.train import damage, sample
from vrestore.train.footage import Clip, Footage, read_clip
from vrestore.train.scene import still_in_motion

CODE = 1 / 255
COUNT = 12
CREDIBLE = 0.2
TOLERANCE = 0.15
CLASSES = ((0.5, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 8.0), (8.0, 16.0))
"""Standard deviation of the grain's mid-tones in R'G'B', 8-bit codes: up to 1 it is seen by
nobody, 16 is the worst that training draws."""

YUV420 = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)
RGB = SampleFormat(model=ColorModel.RGB, depth=8)
COLOR = ColorSpec(range=Range.FULL, matrix=Matrix.BT470BG, chroma_location=ChromaLocation.CENTER)


def frame(planes: Sequence[Tensor], form: SampleFormat, index: int) -> Frame:
    return Frame(
        planes=tuple(planes),
        format=form,
        coding=Coding.UNIT,
        color=COLOR,
        timestamp=Timestamp(pts=index, time_base=Fraction(1, 24)),
        duration=1,
        index=index,
        shot_start=index == 0,
    )


def pictures(path: Path, count: int = COUNT) -> Tensor:
    """(T, 3, H, W) RGB 0..1, at most 480x320, even sizes."""
    frames = read_clip(path)[:count].permute(0, 3, 1, 2).float() / 255
    height, width = min(frames.shape[2], 320) // 2 * 2, min(frames.shape[3], 480) // 2 * 2
    return frames[..., :height, :width]


def coded(rgb: Tensor) -> list[Frame]:
    """As 8-bit 4:2:0 frames, on the unit scale."""
    planes = sample.to_ycbcr(rgb, "601")
    luma, chroma = sample.quantise(
        planes[:, :1], sample.subsample(planes[:, 1:], "420-center"), full=True
    )
    y, c = sample.normalise(luma, chroma, full=True)
    return [frame([y[t, 0], *(c[t] + 0.5)], YUV420, t) for t in range(len(rgb))]


def by_intensity(noise: Tensor, clean: Tensor) -> dict[int, float]:
    """Standard deviation at each eighth of intensity that a fiftieth of the picture has."""
    nearest = (clean.clamp(0, 1) * 8).round()
    found = {}
    for step in range(1, 8):
        here = nearest == step
        if float(here.float().mean()) >= 0.02:
            found[step] = float(noise[here].std())
    return found


def radial(planes: Tensor, bands: int = 8) -> Tensor:
    """Power density of (N, H, W) averaged over rings of frequency, Hann window."""
    height, width = planes.shape[-2:]
    window = torch.hann_window(height)[:, None] * torch.hann_window(width)
    spectrum = torch.fft.fft2(planes * window).abs().square().mean(0)
    radius = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width))
    ring = (radius * 2 * bands).long()
    return torch.stack([spectrum[ring == k].mean() for k in range(bands)])


# ----------------------------------------------------------------------------- synthetic grain


@dataclass
class Row:
    cases: int = 0
    credible: int = 0
    typical: list[float] = field(default_factory=list)
    chroma: list[float] = field(default_factory=list)
    bins: list[float] = field(default_factory=list)
    made: list[float] = field(default_factory=list)
    rings: list[float] = field(default_factory=list)
    large: list[float] = field(default_factory=list)
    told: list[float] = field(default_factory=list)


def share(ratios: Sequence[float]) -> str:
    if not ratios:
        return "-"
    return f"{100 * sum(abs(r - 1) <= TOLERANCE for r in ratios) / len(ratios):.0f} %"


def middle(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f}" if ratios else "-"


def regrained(grain: Grain, luma: Tensor, scale: int) -> Tensor:
    """What the synthesiser adds to these luma planes."""
    only = replace(grain, channels=grain.channels[:1], correlation=(0, 0, 0))
    synthesiser = GrainSynthesiser(only, (scale, scale), keep=1.0, seed=7)
    gray = SampleFormat(model=ColorModel.GRAY, depth=8)
    return torch.stack(
        [synthesiser.add(frame([plane], gray, t))[0] - plane for t, plane in enumerate(luma)]
    )


def compare_rings(made: Tensor, truth: Tensor, scale: int) -> list[float]:
    wanted, got = radial(truth), radial(made, 8 * scale)[:8]
    # Both in power per cycle and sample of their own grid; a larger picture has more of them.
    got = got * truth[0].numel() / made[0].numel() / scale**2
    strong = wanted > 0.02 * wanted.max()
    return (got / wanted)[strong].sqrt().tolist()


def study(clip: Tensor, sigma: float, rng: np.random.Generator, row: Row) -> None:
    noisy = coded(damage.grain(clip, rng, sigma * CODE, gray=bool(rng.random() < 0.25)))
    clean = sample.to_ycbcr(clip, "601")
    grain = measure_grain(noisy)
    row.cases += 1
    if grain.confidence < CREDIBLE:
        return
    row.credible += 1
    luma = grain.channels[0]
    noise = torch.stack([f.planes[0] for f in noisy]) - clean[:, 0]
    truth = by_intensity(noise, clean[:, 0])
    row.bins += [luma.strength[step] / true for step, true in truth.items()]
    middle_tones = [true for step, true in truth.items() if 2 <= step <= 6]
    if middle_tones:
        row.typical.append(luma.typical / statistics.mean(middle_tones))
    chroma = sample.subsample(clean[:, 1:], "420-center")
    for number in (1, 2):
        true = (torch.stack([f.planes[number] for f in noisy]) - 0.5 - chroma[:, number - 1]).std()
        row.chroma.append(grain.channels[number].typical / float(true))
    row.told.append(network_strength(grain) - min(1.0, sigma * CODE / 0.07))
    made = regrained(grain, clean[:6, 0], 1)
    again = by_intensity(made, clean[:6, 0])
    row.made += [again[step] / luma.strength[step] for step in truth if step in again]
    row.rings += compare_rings(made, noise[:6], 1)
    if row.credible % 3 == 1:
        double = torch.nn.functional.interpolate(clean[:4, :1], scale_factor=2, mode="bilinear")
        row.large += compare_rings(regrained(grain, double[:, 0], 2), noise[:4], 2)


def scenes(stills: Sequence[Path], rng: np.random.Generator) -> Iterator[Tensor]:
    """Stills panned, zoomed, shaken and hidden behind one another: no noise but what is added."""
    loaded = [Clip(name=path.name, frames=read_clip(path)) for path in stills]
    footage = Footage(stills=loaded, clips=[], watched=[])
    while True:
        yield still_in_motion(footage, rng, COUNT, 320, 1).frames.clamp(0, 1)


def synthetic(title: str, clips: Iterable[Tensor], cases: int) -> None:
    rng = np.random.default_rng(20240611)
    rows: dict[tuple[float, float], Row] = defaultdict(Row)
    for position, clip in enumerate(islice(clips, cases)):
        low, high = CLASSES[position % len(CLASSES)]
        sigma = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        study(clip, sigma, rng, rows[low, high])
    print(f"\n### {title}\n")
    print(
        "8-bit 4:2:0.  `credible`: measured with a confidence of at least 0.2, below which none is "
        "added.  All other columns are of those.  Measured strengths and made spectra are compared "
        "with the truth, made strengths with the measured; shares count what is within 15 %: "
        "strengths by intensity, and amplitudes in eight rings of frequency.\n"
    )
    print(
        "| true strength, codes | cases | credible | measured luma | measured chroma "
        "| strengths measured | strengths made | spectrum made | the same at x2 "
        "| network strength, mean error |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    whole = Row()
    for low, high in CLASSES:
        row = rows[low, high]
        print_row(f"{low:g} to {high:g}", row)
        for name in ("typical", "chroma", "bins", "made", "rings", "large", "told"):
            getattr(whole, name).extend(getattr(row, name))
        whole.cases += row.cases
        whole.credible += row.credible
    print_row("all", whole)


def print_row(name: str, row: Row) -> None:
    told = f"{statistics.mean(map(abs, row.told)):.2f}" if row.told else "-"
    print(
        f"| {name} | {row.cases} | {row.credible} | {middle(row.typical)} | {middle(row.chroma)} "
        f"| {share(row.bins)} | {share(row.made)} | {share(row.rings)} | {share(row.large)} "
        f"| {told} |"
    )


def clean_clips(paths: Sequence[Path]) -> None:
    taken, strengths = [], []
    for path in paths:
        grain = measure_grain(coded(pictures(path)))
        if grain.confidence >= CREDIBLE:
            taken.append((path.stem, grain))
        strengths.append(grain.channels[0].typical / CODE if grain.channels else 0.0)
    print("\n### The same clips without grain\n")
    print(f"{len(taken)} of {len(paths)} are taken for grainy.", end="")
    for name, grain in taken:
        print(
            f"  `{name}`: {grain.channels[0].typical / CODE:.2f} codes, confidence "
            f"{grain.confidence:.2f}.",
            end="",
        )
    print(f"  Median strength of all, believed or not: {statistics.median(strengths):.2f} codes.")


# ---------------------------------------------------------------------------------- real grain


def real(folder: Path) -> None:
    print("\n### Real film\n")
    print(
        "Strength and size (vertical x horizontal, in samples: 1 is white noise) of the first 24 "
        "frames; then the grain is made anew on flat grey and measured again: ratios of "
        "strength, and the worst of 36 spectral bands that hold a hundredth of the power.\n"
    )
    print(
        "| clip | confidence | Y or G, codes | size | 1/8 .. 7/8 of intensity, codes "
        "| correlation | network strength | made again: strength | worst bands |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for path in sorted(folder.iterdir()):
        rgb = pictures(path, 24)
        gray = bool((rgb[:, 0] - rgb[:, 2]).abs().max() < 0.5 * CODE)
        lossless = path.suffix == ".mkv"
        frames = (
            [frame(list(picture), RGB, t) for t, picture in enumerate(rgb)]
            if lossless and not gray
            else coded(rgb)
        )
        grain = measure_grain(frames)
        if not grain.channels:
            print(f"| {path.stem} | 0 | - | - | - | - | - | - | - |")
            continue
        main = grain.channels[1 if frames[0].format is RGB else 0]
        flat = [replace(f, planes=tuple(torch.full_like(p, 0.5) for p in f.planes)) for f in frames]
        synthesiser = GrainSynthesiser(grain, (1, 1), keep=1.0, seed=1)
        again = measure_grain(replace(f, planes=synthesiser.add(f)) for f in flat)
        if not again.channels:
            print(f"| {path.stem} | {grain.confidence:.2f} | 0 | - | - | - | - | - | - |")
            continue
        other = again.channels[1 if frames[0].format is RGB else 0]
        strong = [k for k, p in enumerate(main.power) if p > 0.01 * max(main.power)]
        bands = [(other.power[k] / main.power[k]) ** 0.5 for k in strong]
        curve = " ".join(f"{x / CODE:.1f}" for x in main.strength[1:8])
        mixed = " ".join(f"{x:.2f}" for x in grain.correlation) if any(grain.correlation) else "-"
        strength = other.strength[4] / max(main.strength[4], 1e-9)
        print(
            f"| {path.stem} | {grain.confidence:.2f} | {main.typical / CODE:.2f} "
            f"| {main.size[0]:.1f} x {main.size[1]:.1f} | {curve} | {mixed} "
            f"| {network_strength(grain):.2f} | {strength:.2f} "
            f"| {min(bands):.2f} to {max(bands):.2f} |"
        )


def time_and_cost() -> None:
    rng = np.random.default_rng(3)
    flat = torch.full((COUNT, 3, 360, 640), 0.5)
    grain = measure_grain(coded(damage.grain(flat, rng, 0.03, gray=False)))
    grain = replace(grain, correlation=(0.0, 0.0, 0.0))
    synthesiser = GrainSynthesiser(grain, (2, 2), keep=1.0, seed=0)
    picture = coded(torch.full((1, 3, 256, 256), 0.5))[0]
    run = []
    for index in range(48):
        at = replace(picture, timestamp=replace(picture.timestamp, pts=index))
        run.append(synthesiser.add(at)[0] - 0.5)
    table = torch.corrcoef(torch.stack(run).flatten(1)).fill_diagonal_(0)
    neighbours = torch.stack([table[i, i + 1] for i in range(47)])
    large = coded(torch.full((1, 3, 1080, 1920), 0.5))[0]
    synthesiser.add(large)
    start = time.process_time()
    for _ in range(3):
        synthesiser.add(large)
    each = (time.process_time() - start) / 3
    print("\n### Independence and cost\n")
    print(
        f"Mean correlation of neighbouring frames {float(neighbours.mean()):+.4f}, largest of any "
        f"two of 48 frames of 256x256 {float(table.abs().max()):.4f} (coarse grain at x2; chance "
        f"alone).  1920x1080 4:2:0: {1000 * each:.0f} ms of one core a frame."
    )


# ------------------------------------------------------------------------------- fidelity lock


class Graded:
    """Lets an op restore, then shifts tones and colours as a careless network might."""

    def __init__(self, inner: Resample, rng: np.random.Generator) -> None:
        self._inner = inner
        low = torch.from_numpy(rng.normal(0, 0.03, (3, 1, 1, 5, 7))).float()
        self._low = low

    def push(self, item: Frame) -> Iterator[Frame]:
        for done in self._inner.push(item):
            planes = [
                plane + torch.nn.functional.interpolate(low, size=plane.shape, mode="bicubic")[0, 0]
                for plane, low in zip(done.planes, self._low, strict=True)
            ]
            yield replace(done, planes=tuple(planes))

    def flush(self) -> Iterable[Frame]:
        return ()


def lock(paths: Sequence[Path]) -> None:
    print("\n### Fidelity lock\n")
    print(
        "Change of 8x8 block means against the source, in 8-bit codes, before and after; the last "
        "two columns are measured again on the finished frames.\n"
    )
    print(
        "| clip | op | limit | largest before | mean before | blocks corrected "
        "| largest after | mean after |"
    )
    print("|---|---|---|---|---|---|---|---|")
    rng = np.random.default_rng(5)
    for path in paths:
        clip = pictures(path, 5)[..., :240, :320]
        grainy = coded(damage.grain(clip, rng, 8 * CODE, gray=False))
        for name, limit in (("lite x2", 1.0), ("lite x2", 3.0), ("drift, x1.5", 1.0)):
            size = (round(clip.shape[3] * 1.5), round(clip.shape[2] * 1.5))
            inner = (
                Graded(Resample(*size), rng)
                if "drift" in name
                else restorer.build(find("lite"), 2, restorer.RestoreConfig())
            )
            locked = Locked(inner, FidelityConfig(max_change=limit))
            done = [out for f in grainy for out in locked.push(f)] + list(locked.flush())
            check = Locked(Replay(done), FidelityConfig(max_change=255))
            for f in grainy:
                list(check.push(f))
            list(check.flush())
            before, after = locked.notes[0].values, check.notes[0].values
            print(
                f"| {path.stem} | {name} | {limit:g} | {before['largest_change_codes']:.2f} "
                f"| {before['mean_change_codes']:.2f} | {100 * before['corrected_share']:.1f} % "
                f"| {after['largest_change_codes']:.3f} | {after['mean_change_codes']:.2f} |"
            )


class Replay:
    """Gives finished frames for the frames they were made of."""

    def __init__(self, done: Sequence[Frame]) -> None:
        self._done = iter(done)

    def push(self, item: Frame) -> Iterable[Frame]:
        return (next(self._done),)

    def flush(self) -> Iterable[Frame]:
        return ()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    torch.set_num_threads(1)
    clips = sorted((data / "train" / "video").glob("*.mkv"))
    unseen = [clip for position, clip in enumerate(clips) if position % 3]
    stills = sorted((data / "train" / "stills_BSDS500_test").glob("*"))[::4]
    synthetic("Synthetic grain on stills in motion", scenes(stills, np.random.default_rng(77)), 20)
    synthetic(
        "Synthetic grain on real clips, which have some noise of their own",
        (pictures(path) for path in unseen),
        len(unseen),
    )
    clean_clips(unseen)
    real(data / "old_film")
    time_and_cost()
    lock([data / "train" / "video" / f"{name}.mkv" for name in ("camel", "dog_a", "geese")])
    return 0


if __name__ == "__main__":
    sys.exit(main())
