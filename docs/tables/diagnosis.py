"""Damages clips, counts what the diagnosis says of them, and tells the real clips.

    PYTHONPATH=. python docs/tables/diagnosis.py --data ../shared/data --readings FILE
        [--set held-out|development] [--draws 10] [--seed 2026] [--part 0/2]
    PYTHONPATH=. python docs/tables/diagnosis.py --readings FILE... --tell
    PYTHONPATH=. python docs/tables/diagnosis.py --data ../shared/data --real

Reads every clip clean, and puts each damage, barely visible and visible, on as many clips as there
are draws, the amount drawn anew each time.  What was read is written to FILE, a line each, and what
FILE holds already is not read again; `--tell` prints Markdown of it.  A damage is recognised where
one of its own findings is found; what else is found is told too, which on clean clips is false
alarm.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from damages import (
    CLEAN,
    DAMAGES,
    FRAMES,
    Clip,
    Codes,
    Damage,
    codes,
    development,
    drawn,
    held_out,
)
from torch import Tensor

from vrestore.diagnose import Severity, diagnose
from vrestore.diagnose.judge import judge
from vrestore.diagnose.source import read_runs
from vrestore.diagnose.suggest import suggest
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
from vrestore.ops.patterns import Pattern

FAINT, VISIBLE = "barely visible", "visible"
STAND_IN = "benchmark/video/carphone_pristine.mp4"
"""Whose header speaks for all of them but for their size: 8 bit, progressive, H.264."""
FORMAT = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)
COLOR = ColorSpec(matrix=Matrix.BT709, range=Range.LIMITED, chroma_location=ChromaLocation.LEFT)
PROPERTIES = frozenset({"sample aspect", "drawing", "colour", "shots"})
"""Findings that are no degradation."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    clip: Clip
    kind: Damage
    strength: str

    @property
    def key(self) -> str:
        return f"{self.clip.name}/{self.kind.name}/{self.strength}"


def cases(clips: Sequence[Clip], draws: int, seed: int) -> Iterator[Case]:
    """All clips clean, and each damage on as many clips of standard definition as there are draws,
    no damage of one strength on a clip twice.  Turn by turn, so that any beginning of it is even:
    the clips that are read clean are spread over the turns, a tenth of each kind in each."""
    small = [clip for clip in clips if not clip.hd]
    large = [clip for clip in clips if clip.hd]
    shuffled = [
        np.random.default_rng((seed, 99)).permutation(len(those)).tolist()
        for those in (small, large)
    ]
    for turn in range(max(1, draws)):
        for those, order in zip((small, large), shuffled, strict=True):
            for k in order[turn :: max(1, draws)]:
                yield Case(clip=those[k], kind=CLEAN, strength="")
        for number, kind in enumerate(DAMAGES if draws else ()):
            for strength, spread in ((FAINT, kind.faint), (VISIBLE, kind.visible)):
                if spread:
                    rng = np.random.default_rng((seed, number, strength == VISIBLE))
                    chosen = rng.permutation(len(small))[turn]
                    yield Case(clip=small[chosen], kind=kind, strength=strength)


def frames_of(made: Codes) -> Iterator[Frame]:
    for t, (luma, chroma) in enumerate(zip(*made, strict=True)):
        yield Frame(
            planes=(luma[0], chroma[0], chroma[1]),
            format=FORMAT,
            coding=Coding.CODE,
            color=COLOR,
            timestamp=Timestamp(pts=t, time_base=Fraction(1, 25)),
            duration=1,
            index=t,
            shot_start=t == 0,
        )


@cache
def _kept(clip: Clip, count: int) -> Tensor:
    return clip.load(count)


def loaded(clip: Clip, count: int) -> Tensor:
    """The clip's frames; those of standard definition are kept, since many damages want them."""
    return clip.load(count) if clip.hd else _kept(clip, 2 * FRAMES)[:count]


def changed(made: Codes, clean: Codes) -> bool:
    """Whether any picture is none of the clean clip in its turn: whatever is done to the order of
    pictures or fields, one that stands still stays what it is."""
    count = min(len(made[0]), len(clean[0]))
    return any(not torch.equal(a[:count], b[:count]) for a, b in zip(made, clean, strict=True))


def read(case: Case, info: MediaInfo, seed: int) -> Row:
    """One damaged clip, read and judged."""
    rng = np.random.default_rng((seed, *case.key.encode()))
    amount = drawn(case.kind, case.strength, rng)
    count = FRAMES * 2 // 3 if case.clip.hd else case.kind.frames
    pictures = loaded(case.clip, count)
    made = case.kind.make(pictures, rng, amount)
    frames = list(frames_of(made))
    height, width = made[0].shape[-2:]
    info = replace(info, video=replace(info.video, width=width, height=height))
    cadence = survey_fields(frames)
    readings = list(read_runs(frames, fields=cadence.usual is not Pattern.WHOLE))
    judged = judge(info, readings, cadence, bars=None, shots=1, whole=True)
    return {
        "key": case.key,
        "clip": case.clip.name,
        "damage": case.kind.name,
        "strength": case.strength,
        "amount": round(amount, 4),
        "changed": case.kind is CLEAN or changed(made, codes(pictures)),
        "hd": case.clip.hd,
        "size": f"{width}x{height}",
        "found": {one.name: int(one.severity) for one in judged if one.found},
        "sure": {one.name: one.confidence for one in judged if one.found},
        "preset": suggest(info, judged).preset,
        "cadence": str(cadence),
        "values": {name: round(value, 6) for name, value in readings[0].values.items()},
    }


def read_all(options: argparse.Namespace) -> None:
    clips = (held_out if options.set == "held-out" else development)(options.data)
    info = probe(str(options.data / STAND_IN), DecodeConfig(), ProbeOptions())
    path = options.readings[0]
    done = {row["key"] for row in rows([path])} if path.exists() else set()
    part, parts = (int(number) for number in options.part.split("/"))
    every = list(cases(clips, options.draws, options.seed))
    with path.open("a", encoding="utf-8") as file:
        for case in every[part::parts]:
            if case.key in done or (options.only and options.only not in case.key):
                continue
            print(json.dumps(read(case, info, options.seed)), file=file, flush=True)


def rows(paths: Sequence[Path]) -> list[Row]:
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


# ------------------------------------------------------------------------------------- telling


def findings(row: Row) -> dict[str, int]:
    return {name: level for name, level in row["found"].items() if name not in PROPERTIES}


def right(row: Row, kind: Damage) -> bool:
    found = findings(row)
    return bool(set(kind.own) & set(found)) if kind.own else not found


def listed(names: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in names.most_common()) or "-"


def tell(read: Sequence[Row]) -> None:
    seen = [row for row in read if row["changed"]]
    by_kind: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in seen:
        by_kind[row["damage"], row["strength"]].append(row)
    print("| damage | | amounts | recognised | found besides, in how many clips | missed on |")
    print("|---|---|---|---|---|---|")
    totals: dict[str, list[int]] = {FAINT: [0, 0], VISIBLE: [0, 0]}
    for kind in DAMAGES:
        for strength in (FAINT, VISIBLE):
            those = by_kind[kind.name, strength]
            if not those:
                continue
            missed = [row for row in those if not right(row, kind)]
            totals[strength][0] += len(those) - len(missed)
            totals[strength][1] += len(those)
            besides = Counter(n for row in those for n in findings(row) if n not in kind.own)
            amounts = [row["amount"] for row in those]
            names = ", ".join(f"{row['clip']} ({row['amount']:.3g})" for row in missed)
            print(
                f"| {kind.name} | {strength} | {min(amounts):.3g} to {max(amounts):.3g} "
                f"| {len(those) - len(missed)} of {len(those)} | {listed(besides)} "
                f"| {names or '-'} |"
            )
    still = ", ".join(f"{row['damage']} on {row['clip']}" for row in read if not row["changed"])
    print(f"\nnot counted, since it changed no picture: {still or '-'}")
    for strength, (good, all_of_them) in totals.items():
        print(f"\n{strength}: {good} of {all_of_them} ({100 * good / max(1, all_of_them):.1f} %)")
    matrix(seen)
    for title, hd in (("standard definition", False), ("high definition", True)):
        clean = [row for row in by_kind["clean", ""] if row["hd"] is hd]
        silent = sum(right(row, CLEAN) for row in clean)
        slight = sum(max(findings(row).values(), default=0) <= Severity.SLIGHT for row in clean)
        plain = sum(row["preset"] == "plain" for row in clean)
        print(
            f"\nclean, {title}: {silent} of {len(clean)} without any finding, {slight} with none "
            f"above slight, {plain} given the preset plain\n"
        )
        print("| clean clip | size | found | preset |\n|---|---|---|---|")
        for row in clean:
            said = ", ".join(f"{n} {Severity(s).name.lower()}" for n, s in findings(row).items())
            print(f"| {row['clip']} | {row['size']} | {said or '-'} | {row['preset']} |")


def matrix(seen: Sequence[Row]) -> None:
    """In how many of the clips with a damage each finding was found, both strengths together."""
    told: dict[str, Counter[str]] = defaultdict(Counter)
    tried = Counter(row["damage"] for row in seen)
    for row in seen:
        told[row["damage"]].update(list(findings(row)))
    columns = list(dict.fromkeys(n for c in told.values() for n in c))
    print("\n| damage | clips | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 2) + "|")
    for kind in (CLEAN, *DAMAGES):
        if tried[kind.name]:
            cells = (
                f"**{told[kind.name][n]}**" if n in kind.own else str(told[kind.name][n] or "")
                for n in columns
            )
            print(f"| {kind.name} | {tried[kind.name]} | " + " | ".join(cells) + " |")


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
    parser.add_argument("--data", type=Path)
    parser.add_argument("--readings", type=Path, nargs="+", default=[])
    parser.add_argument("--set", choices=("held-out", "development"), default="held-out")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--part", default="0/1", help="which share of the cases, K/N")
    parser.add_argument("--only", help="cases whose name holds this")
    parser.add_argument("--tell", action="store_true")
    parser.add_argument("--real", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.readings and not options.tell:
        read_all(options)
    if options.tell:
        tell(rows(options.readings))
    if options.real:
        real(options.data)


if __name__ == "__main__":
    main()
