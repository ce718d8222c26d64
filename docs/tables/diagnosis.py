"""Damages clips that no threshold was chosen on, and counts what the diagnosis says of them.

    PYTHONPATH=. python docs/tables/diagnosis.py --data ../shared/data [--rounds 6] [--real]

Prints Markdown.  Each damage is put on as many clips as there are rounds.  It counts as recognised
where one of its own findings is found; a row also names what else was found, which for clean clips
is false alarm.  `--real` adds the real clips.

The clips: lossless ones and broadcast, made half as large, that training does not use, and Kodak's
photographs under a moving camera, which have nothing wrong with them.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from vrestore.diagnose import diagnose
from vrestore.diagnose.judge import judge
from vrestore.diagnose.reading import RunReader
from vrestore.diagnose.suggest import suggest
from vrestore.diagnose.values import Finding
from vrestore.errors import VRestoreError
from vrestore.io.decode import DecodeConfig
from vrestore.io.probe import ProbeOptions, probe
from vrestore.media import (
    ChromaLocation,
    Coding,
    ColorModel,
    ColorSpec,
    Frame,
    Matrix,
    MediaInfo,
    Range,
    SampleFormat,
    Timestamp,
)
from vrestore.ops.cadence import survey_fields
from vrestore.train import damage, film, tape_faults
from vrestore.train.codec import recompress
from vrestore.train.footage import read_clip
from vrestore.train.sample import normalise, quantise, subsample, to_ycbcr
from vrestore.train.tape import tape

SEED = 31337
FRAMES, HEIGHT, WIDTH = 24, 288, 416
FILMED = (
    ("train/video_lossless/ntia_aspen_960x540.mkv", 2),
    ("train/video_lossless/temple_1200x800.mkv", 2),
    ("benchmark/video/BasketballPass_416x240.mkv", 1),
    ("benchmark/video/carphone_pristine.mp4", 1),
    ("benchmark/video/foreman_cif_10f.y4m", 1),
    ("benchmark/video/park_joy_480x270_10f.y4m", 1),
    ("benchmark/Vid4/calendar.mkv", 1),
    ("benchmark/Vid4/walk.mkv", 1),
    ("odd/streams_subs_chapters/mp3ac325-4864-small.mp4", 2),
    ("odd/damaged/video_with_failing_audio.mp4", 2),
    ("odd/vfr_timestamps/frag_overlap.mp4", 2),
    ("odd/rotation/sample_portrait.mp4", 2),
)
"""Clips that are looked at, and how many times they are shrunk against their own coding."""

STILLS = "train/stills_Kodak"
STAND_IN = "benchmark/video/carphone_pristine.mp4"
"""Whose header speaks for all of them: standard definition, 8 bit, progressive."""
FORMAT = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)
COLOR = ColorSpec(matrix=Matrix.BT709, range=Range.LIMITED, chroma_location=ChromaLocation.LEFT)
Codes = tuple[Tensor, Tensor]


def pictures(data: Path) -> list[tuple[str, Callable[[], Tensor]]]:
    """Name and frames, (T, 3, H, W) 0..1, of every clip that is looked at."""
    found: list[tuple[str, Callable[[], Tensor]]] = []
    for name, shrink in FILMED:
        path = data / name
        found.append((path.stem, lambda path=path, shrink=shrink: filmed(path, shrink)))
    for number, path in enumerate(sorted((data / STILLS).iterdir())):
        found.append((path.stem, lambda path=path, number=number: photographed(path, number)))
    return found


def filmed(path: Path, shrink: int) -> Tensor:
    """The first frames; of a shorter clip there and back again."""
    frames = read_clip(path)[:FRAMES].permute(0, 3, 1, 2).float() / 255
    if shrink > 1:
        frames = F.interpolate(frames, scale_factor=1 / shrink, mode="bicubic", antialias=True)
    there = list(range(len(frames)))
    order = (there + there[-2:0:-1]) * FRAMES
    return even(frames.clamp(0, 1)[order[:FRAMES]])


def photographed(path: Path, number: int) -> Tensor:
    """A photograph before a camera that stands, pans, is held by hand or zooms."""
    rng = np.random.default_rng((SEED, number))
    still = damage.gaussian_blur(read_clip(path).permute(0, 3, 1, 2).float() / 255, 0.4, 0.4)
    height, width = still.shape[-2:]
    time = torch.arange(FRAMES).double()
    place, zoom = torch.zeros(FRAMES, 2).double(), torch.full((FRAMES,), 1.3).double()
    match number % 4:
        case 1:
            place = time[:, None] * torch.tensor(rng.uniform(-2, 2, 2))
        case 2:
            steps = np.cumsum(np.cumsum(rng.normal(0, 0.12, (FRAMES, 2)), 0), 0)
            place = torch.from_numpy(steps - np.linspace(steps[0], steps[-1], FRAMES))
        case 3:
            zoom = 1.35 - 0.004 * time
    y = torch.arange(min(HEIGHT, height * 10 // 14)).double()
    x = torch.arange(min(WIDTH, width * 10 // 14)).double()
    grid = torch.empty(FRAMES, len(y), len(x), 2)
    grid[..., 0] = (((x - x.mean()) * zoom[:, None] + place[:, :1]) * 2 / width)[:, None]
    grid[..., 1] = (((y - y.mean()) * zoom[:, None] + place[:, 1:]) * 2 / height)[:, :, None]
    frames = F.grid_sample(
        still.expand(FRAMES, -1, -1, -1), grid, mode="bicubic", padding_mode="reflection",
        align_corners=False,
    )  # fmt: skip
    return even(frames.clamp(0, 1))


def even(frames: Tensor) -> Tensor:
    """The top left of whole 4:2:0 samples, at most WIDTH x HEIGHT."""
    height, width = (
        min(n, most) // 2 * 2 for n, most in zip(frames.shape[-2:], (HEIGHT, WIDTH), strict=True)
    )
    return frames[..., :height, :width]


def codes(frames: Tensor) -> Codes:
    planes = to_ycbcr(frames, "709")
    return quantise(planes[:, :1], subsample(planes[:, 1:], "420-left"), full=False)


def enlarged(frames: Tensor, factor: float) -> Tensor:
    small = F.interpolate(frames, scale_factor=1 / factor, mode="bicubic", antialias=True)
    return F.interpolate(small, size=frames.shape[-2:], mode="bicubic").clamp(0, 1)


def taped(frames: Tensor, rng: Generator, amount: float) -> Codes:
    planes, _ = tape(to_ycbcr(frames, "601"), rng, amount)
    return quantise(planes[:, :1], subsample(planes[:, 1:], "420-left"), full=False)


def faulty(frames: Tensor, fault: Callable[[Tensor], Tensor]) -> Codes:
    planes = fault(to_ycbcr(frames, "601"))
    return quantise(planes[:, :1], subsample(planes[:, 1:], "420-left"), full=False)


def coded(frames: Tensor, rng: Generator, severity: float) -> Codes:
    luma, chroma = codes(frames)
    return recompress(luma, chroma, rng, severity)


Make = Callable[[Tensor, Generator], Codes]
DAMAGES: tuple[tuple[str, tuple[str, ...], Make], ...] = (
    ("clean", (), lambda f, rng: codes(f)),
    ("grain 0.012", ("noise", "grain"),
     lambda f, rng: codes(damage.grain(f, rng, 0.012, gray=False))),
    ("grain 0.035", ("noise", "grain"),
     lambda f, rng: codes(damage.grain(f, rng, 0.035, gray=False))),
    ("camera noise 0.012", ("noise",), lambda f, rng: codes(damage.camera_noise(f, rng, 0.012))),
    ("flicker 0.008", ("flicker",),
     lambda f, rng: codes(film.lit(f, film.flicker_gain(rng, len(f), 0.008)))),
    ("flicker 0.03", ("flicker",),
     lambda f, rng: codes(film.lit(f, film.flicker_gain(rng, len(f), 0.03)))),
    ("weave 0.4 px", ("weave",), lambda f, rng: codes(film.moved(f, film.weave(rng, len(f), 0.4)))),
    ("weave 1 px", ("weave",), lambda f, rng: codes(film.moved(f, film.weave(rng, len(f), 1.0)))),
    ("dust 40 a megapixel", ("dirt",), lambda f, rng: codes(damage.dust(f, rng, 40)[0])),
    ("dust 200 a megapixel", ("dirt",), lambda f, rng: codes(damage.dust(f, rng, 200)[0])),
    ("two scratches", ("scratches",), lambda f, rng: codes(damage.scratches(f, rng, 2)[0])),
    ("dyes faded 0.7", ("colour cast", "levels"),
     lambda f, rng: codes(film.faded(f, film.dye_fade(rng, 0.7)))),
    ("codec 0.4", ("blockiness", "starved texture"), lambda f, rng: coded(f, rng, 0.4)),
    ("codec 0.8", ("blockiness", "starved texture"), lambda f, rng: coded(f, rng, 0.8)),
    ("enlarged 1.6 times", ("resolution",), lambda f, rng: codes(enlarged(f, 1.6))),
    ("enlarged twice", ("resolution",), lambda f, rng: codes(enlarged(f, 2.0))),
    ("colour 2 px beside", ("chroma shift",),
     lambda f, rng: faulty(f, lambda planes: tape_faults.chroma_shift(planes, 2.0))),
    ("eight rows torn off", ("head switch",),
     lambda f, rng: faulty(f, lambda planes: tape_faults.head_switch(planes, rng, 8))),
    ("tape 0.3", ("noise", "chroma noise", "chroma bandwidth"), lambda f, rng: taped(f, rng, 0.3)),
    ("tape 0.8", ("noise", "chroma noise", "chroma bandwidth"), lambda f, rng: taped(f, rng, 0.8)),
)  # fmt: skip
"""Name, findings that recognise it, and how it is made; weakest first."""

FAINT = (
    "grain 0.012", "camera noise 0.012", "flicker 0.008", "weave 0.4 px", "dust 40 a megapixel",
    "codec 0.4", "enlarged 1.6 times", "tape 0.3",
)  # fmt: skip
"""Names of damages that are seen only when looked for."""

VISIBLE = tuple(name for name, own, _ in DAMAGES if own and name not in FAINT)


def frames_of(made: Codes) -> Iterator[Frame]:
    luma, chroma = normalise(*made, full=False)
    for t in range(len(luma)):
        yield Frame(
            planes=(luma[t, 0], chroma[t, 0] + 0.5, chroma[t, 1] + 0.5),
            format=FORMAT,
            coding=Coding.UNIT,
            color=COLOR,
            timestamp=Timestamp(pts=t, time_base=Fraction(1, 25)),
            duration=1,
            index=t,
            shot_start=t == 0,
        )


PROPERTIES = frozenset({"sample aspect", "drawing", "colour", "shots"})
"""Findings that are no degradation."""


def findings(info: MediaInfo, made: Codes) -> tuple[Finding, ...]:
    frames = list(frames_of(made))
    reader = RunReader()
    for frame in frames:
        reader.push(frame)
    return judge(info, [reader.reading()], survey_fields(frames), bars=None, shots=1, whole=True)


def cases(clips: int, rounds: int) -> Iterator[tuple[int, int]]:
    """Which clip gets which of DAMAGES: all are read clean, each damage is put on `rounds`."""
    yield from ((number, 0) for number in range(clips))
    for turn in range(rounds):
        yield from (((7 * kind + 3 * turn + 1) % clips, kind) for kind in range(1, len(DAMAGES)))


def synthetic(data: Path, rounds: int) -> None:
    clips = pictures(data)
    info = probe(str(data / STAND_IN), DecodeConfig(), ProbeOptions())
    told: dict[str, Counter[str]] = defaultdict(Counter)
    missed: dict[str, list[str]] = defaultdict(list)
    tried: Counter[str] = Counter()
    alarms: list[tuple[str, str, str]] = []
    for number, kind in cases(len(clips), rounds):
        name, own, make = DAMAGES[kind]
        clip, load = clips[number]
        judged = findings(info, make(load(), np.random.default_rng((SEED, number, kind))))
        found = [one for one in judged if one.found and one.name not in PROPERTIES]
        names = [one.name for one in found]
        tried[name] += 1
        told[name].update(names)
        right = bool(set(own) & set(names)) if own else not found
        if not right:
            missed[name].append(clip)
        if not own:
            preset = suggest(info, judged).preset
            said = ", ".join(f"{one.name} {one.severity.name.lower()}" for one in found)
            alarms.append((clip, said or "-", preset))
        print(f"{clip}: {name}: {', '.join(names) or '-'}", file=sys.stderr, flush=True)
    print(f"{len(clips)} clips, {FRAMES} frames of each, at most {WIDTH}x{HEIGHT}, seed {SEED}\n")
    print("| damage | recognised | everything that was found, in how many clips | missed on |")
    print("|---|---|---|---|")
    for name, own, _ in DAMAGES:
        listed = ", ".join(f"{what} {times}" for what, times in told[name].most_common())
        right_in = tried[name] - len(missed[name])
        label = f"{right_in} of {tried[name]}" + ("" if own else " called clean")
        faint = " (barely visible)" if name in FAINT else ""
        lost = ", ".join(missed[name]) if own else "see below"
        print(f"| {name}{faint} | {label} | {listed or '-'} | {lost or '-'} |")
    for title, names in (("barely visible", FAINT), ("visible", VISIBLE)):
        total = sum(tried[n] for n in names)
        right_of = total - sum(len(missed[n]) for n in names)
        print(f"\n{title}: {right_of} of {total} ({100 * right_of / max(1, total):.0f} %)")
    print("\n| clean clip | found | preset |\n|---|---|---|")
    for clip, said, preset in alarms:
        print(f"| {clip} | {said} | {preset} |")


def real(data: Path) -> None:
    print("\n| clip | found | preset | because |")
    print("|---|---|---|---|")
    for folder in ("old_film", "interlaced", "real_lowquality", "anime", "hdr"):
        for path in sorted((data / folder).iterdir()):
            try:
                said = diagnose(str(path))
            except VRestoreError as error:
                print(f"| {folder}/{path.name} | {error} | - | - |", flush=True)
                continue
            found = ", ".join(
                f"{one.name} {one.severity.name.lower()}" for one in said.findings if one.found
            )
            why = "; ".join(said.suggestion.reasons)
            print(
                f"| {folder}/{path.name} | {found or '-'} | {said.suggestion.preset} | {why} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--real", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.rounds:
        synthetic(options.data, options.rounds)
    if options.real:
        real(options.data)


if __name__ == "__main__":
    main()
