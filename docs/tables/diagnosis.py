"""Damages clips that no threshold was chosen on, and counts what the diagnosis says of them.

    PYTHONPATH=. python docs/tables/diagnosis.py --data ../shared/data [--rounds 4] [--real]

Prints Markdown.  Each damage is put on as many clips as there are rounds.  It counts as recognised
where one of its own findings is found; a row also names what else was found, which for clean clips
is false alarm.  `--real` adds the real clips.
"""

from __future__ import annotations

import argparse
import hashlib
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

SEED = 90210
FRAMES, HEIGHT, WIDTH = 24, 288, 416
FORMAT = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)
COLOR = ColorSpec(matrix=Matrix.BT709, range=Range.LIMITED, chroma_location=ChromaLocation.LEFT)
Codes = tuple[Tensor, Tensor]


def held_back(path: Path) -> bool:
    """The half of the clips, by name, that no threshold was chosen on."""
    return bool(hashlib.sha256(path.name.encode()).digest()[1] % 2)


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


def findings(path: Path, made: Codes) -> tuple[Finding, ...]:
    frames = list(frames_of(made))
    reader = RunReader()
    for frame in frames:
        reader.push(frame)
    info = probe(str(path), DecodeConfig(), ProbeOptions())
    return judge(info, [reader.reading()], survey_fields(frames), bars=None, shots=1, whole=True)


def cases(clips: int, rounds: int) -> Iterator[tuple[int, int]]:
    """Which clip gets which of DAMAGES: all are read clean, each damage is put on `rounds`."""
    yield from ((number, 0) for number in range(clips))
    for turn in range(rounds):
        yield from (((7 * kind + 3 * turn + 1) % clips, kind) for kind in range(1, len(DAMAGES)))


def synthetic(data: Path, rounds: int) -> None:
    clips = sorted(path for path in (data / "train" / "video").glob("*.mkv") if held_back(path))
    told: dict[str, Counter[str]] = defaultdict(Counter)
    tried: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for number, kind in cases(len(clips), rounds):
        name, own, make = DAMAGES[kind]
        picture = read_clip(clips[number])[:FRAMES].permute(0, 3, 1, 2).float() / 255
        picture = picture[..., :HEIGHT, :WIDTH]
        picture = picture[..., : picture.shape[-2] // 2 * 2, : picture.shape[-1] // 2 * 2]
        rng = np.random.default_rng((SEED, number, kind))
        judged = findings(clips[number], make(picture, rng))
        found = [one.name for one in judged if one.found and one.name != "sample aspect"]
        tried[name] += 1
        right[name] += bool(set(own) & set(found)) if own else not found
        told[name].update(found)
        print(f"{clips[number].stem}: {name}: {', '.join(found) or '-'}", file=sys.stderr)
    print(f"{FRAMES} frames of a clip, at most {WIDTH}x{HEIGHT}, seed {SEED}\n")
    print("| damage | recognised | everything that was found, in how many clips |")
    print("|---|---|---|")
    for name, own, _ in DAMAGES:
        listed = ", ".join(f"{what} {times}" for what, times in told[name].most_common())
        label = f"{right[name]} of {tried[name]}" + ("" if own else " called clean")
        faint = " (barely visible)" if name in FAINT else ""
        print(f"| {name}{faint} | {label} | {listed or '-'} |")
    for title, names in (("barely visible", FAINT), ("visible", VISIBLE)):
        print(f"\n{title}: {sum(right[n] for n in names)} of {sum(tried[n] for n in names)}")


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
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--real", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.rounds:
        synthetic(options.data, options.rounds)
    if options.real:
        real(options.data)


if __name__ == "__main__":
    main()
