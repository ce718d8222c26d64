"""What is known of fields and cadences, measured: the tables of docs/restoration.md.

    PYTHONPATH=. python docs/tables/fields.py --data ../shared/data > fields.md

Clips are pictures of known motion from --data, laid out in frames by `vrestore.train.fields`.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import torch

from vrestore.io.decode import DecodeConfig, Decoder
from vrestore.io.deinterlace import Deinterlace, Deinterlacing
from vrestore.media import FieldOrder, Frame
from vrestore.ops.cadence import survey_fields
from vrestore.ops.cuts import CutsConfig, DetectCuts
from vrestore.ops.fieldmatch import MatchFields
from vrestore.ops.matching import Matching
from vrestore.runtime.stage import Op, compose
from vrestore.train import fields
from vrestore.train.fields import Pair, Picture
from vrestore.train.fieldtruth import as_frames, numbers

TFF, BFF, PROGRESSIVE = FieldOrder.TOP_FIRST, FieldOrder.BOTTOM_FIRST, FieldOrder.PROGRESSIVE
SEED = 20261
LENGTH = 40
MODERATE = (
    None,
    ("libx264", 16),
    ("libx264", 20),
    ("libx264", 23),
    ("mpeg2video", 2),
    ("mpeg2video", 4),
    ("mpeg2video", 6),
)
HEAVY = (("libx264", 28), ("mpeg2video", 10))
"""Combs of small motion do not survive these."""

SEEN_IN_TUNING = (3, 4, 8)
"""Thresholds were looked at on the clips of data/train/video with these numbers modulo 9, or 0."""


def pictures_of(path: Path) -> list[Picture]:
    """8-bit 4:2:0, sides cropped to multiples of four."""
    result: list[Picture] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            small = frame.reformat(
                width=frame.width // 4 * 4, height=frame.height // 4 * 4, format="yuv420p"
            )
            codes = torch.from_numpy(small.to_ndarray())
            chroma = codes[small.height :].reshape(2, small.height // 2, small.width // 2)
            result.append((codes[: small.height], chroma[0], chroma[1]))
    return result


def there_and_back(pictures: list[Picture], count: int) -> list[Picture]:
    """`count` pictures of a shorter clip: forwards, backwards, forwards."""
    round_trip = pictures + pictures[-2:0:-1]
    return [round_trip[n % len(round_trip)] for n in range(count)]


def unseen_clips(data: Path, count: int) -> list[Path]:
    folder = sorted((data / "train" / "video").glob("*.mkv"))
    unseen = [path for n, path in enumerate(folder) if n % 9 and n % 9 not in SEEN_IN_TUNING]
    held_out = [
        data / "benchmark" / "video" / name
        for name in ("carphone_pristine.mp4", "BasketballPass_416x240.mkv")
    ]
    random.Random(SEED).shuffle(unseen)
    # A clip that repeats pictures itself has no known cadence.
    plain = (path for path in [*held_out, *unseen] if not repeats(path))
    return list(islice(plain, count))


def repeats(path: Path) -> bool:
    return survey_fields(as_frames(pictures_of(path)[:36])).duplicates > 0


def run(op: Op[Frame, Frame], frames: Sequence[Frame]) -> list[Frame]:
    return [*(out for frame in frames for out in op.push(frame)), *op.flush()]


# -------------------------------------------------------------------------------- round trips


@dataclass
class Trips:
    clips: int = 0
    recoverable: int = 0
    exact: int = 0
    given: int = 0
    foreign: int = 0
    """Pictures given that are none of the film's."""
    flagged: int = 0
    """Among them, left to a deinterlacer."""


def trip(
    row: Trips, film: Sequence[Picture], pairs: Sequence[Pair], cuts: Sequence[int] = ()
) -> None:
    """One clip through the fields and back; cuts are found by the detector where there are any."""
    made = as_frames(fields.weave(film, pairs), order=TFF)
    match: Op[Frame, Frame] = MatchFields(Matching())
    out = run(compose(DetectCuts(CutsConfig()), match) if cuts else match, made)
    found = numbers(out, film)
    wanted = set(fields.exact_pictures(pairs))
    row.clips += 1
    row.recoverable += len(wanted)
    row.exact += len(wanted & set(found))
    row.given += len(out)
    row.foreign += sum(number is None for number in found)
    row.flagged += sum(frame.field_order is not PROGRESSIVE for frame in out)


def round_trips(clips: Sequence[Path]) -> None:
    rows: dict[str, Trips] = defaultdict(Trips)
    films = [pictures_of(path)[:36] for path in clips]
    fields_kept = fields_made = 0
    for film, other in zip(films, films[1:] + films[:1], strict=True):
        small = [tuple(plane.clone() for plane in planes) for planes in film]
        rng = random.Random(SEED)
        for order in (TFF, BFF):
            for position in range(5):
                pairs = fields.telecine(LENGTH, order, position)
                fit = [pair for pair in pairs if max(pair) < len(small)]
                trip(rows["3:2, every order and position"], small, fit)
            trip(rows["2:2 half a frame late"], small, fields.shifted(len(small) - 1, order))
            mixture = fields.joined(fields.telecine(15, order), fields.interlaced(12, order))
            trip(rows["hybrid: 3:2, then video"], small, mixture)
            if other[0][0].shape == film[0][0].shape:
                cut = rng.randrange(12, 20)
                edited = [*film[:cut], *other[: len(small) - cut]]
                pairs = fields.telecine(LENGTH, order, rng.randrange(5))
                fit = [pair for pair in pairs if max(pair) < len(edited)]
                trip(rows["3:2 with a cut in the film"], edited, fit, (cut,))
                trip(
                    rows["2:2 half a frame late with a cut in the film"],
                    edited,
                    fields.shifted(len(edited) - 1, order),
                    (cut,),
                )
                first = fields.telecine(rng.randrange(12, 18), order, rng.randrange(5))
                used = 1 + max(max(pair) for pair in first)
                second = fields.telecine(18, order, rng.randrange(5))
                trip(
                    rows["3:2 with a cut in the video (cadence breaks)"],
                    [*film[:used], *other],
                    fields.joined(first, second),
                    (used,),
                )
            video = as_frames(fields.weave(small, fields.interlaced(18, order)), order=order)
            for n, bobbed in enumerate(run(Deinterlace(Deinterlacing(rate=2)), video)):
                parity = slice(n % 2 if order is TFF else 1 - n % 2, None, 2)
                fields_made += 1
                fields_kept += all(
                    torch.equal(plane[parity], truth[parity])
                    for plane, truth in zip(bobbed.planes, small[n], strict=True)
                )
        trip(rows["whole pictures (progressive, PsF)"], small, fields.whole(len(small)))
    print("| round trip | clips | recoverable pictures | given back exactly | given in all |")
    print("| --- | --- | --- | --- | --- |")
    for name, row in rows.items():
        rest = f"{row.given - row.flagged} whole, {row.flagged} left to the deinterlacer"
        print(f"| {name} | {row.clips} | {row.recoverable} | {row.exact} | {rest} |")
    print(
        f"\nVideo made into {fields_made} pictures by bwdif: the rows of the field that was shown "
        f"are exactly the source's in {fields_kept}.\n"
    )


# ------------------------------------------------------------------------------------- naming


@dataclass(frozen=True)
class Case:
    kind: str
    order: FieldOrder
    make: Callable[[list[Picture], random.Random], list[Picture]]


def woven(pairs: Callable[[random.Random], list[Pair]]) -> Callable[..., list[Picture]]:
    return lambda film, rng: fields.weave(film, pairs(rng))


def cases() -> Iterator[Case]:
    for kind in ("progressive", "psf"):
        yield Case(kind, PROGRESSIVE, woven(lambda rng: fields.whole(LENGTH)))
    for order in (TFF, BFF):
        yield Case("interlaced", order, woven(lambda rng, o=order: fields.interlaced(LENGTH, o)))
        yield Case(
            "telecine",
            order,
            woven(lambda rng, o=order: fields.telecine(LENGTH, o, rng.randrange(5))),
        )
        yield Case("phase-shifted", order, woven(lambda rng, o=order: fields.shifted(LENGTH, o)))
        yield Case("hybrid", order, woven(lambda rng, o=order: mixture(rng, o)))
        yield Case("blended", order, lambda film, rng, o=order: converted(film, rng, o))
    pull_ups = [Fraction(n, d) for n, d in ((8, 24), (12, 24), (16, 24), (18, 24), (18, 25))]
    yield Case(
        "duplicates",
        PROGRESSIVE,
        woven(lambda rng: fields.repeated(LENGTH, rng.choice(pull_ups))),
    )
    yield Case("unknown", FieldOrder.UNKNOWN, woven(lambda rng: [(0, 0)] * LENGTH))


def mixture(rng: random.Random, order: FieldOrder) -> list[Pair]:
    film = rng.choice([fields.telecine(LENGTH // 2, order, rng.randrange(5)), fields.whole(20)])
    return fields.joined(film, fields.interlaced(LENGTH // 2, order))


def converted(film: list[Picture], rng: random.Random, order: FieldOrder) -> list[Picture]:
    return fields.blended(film, LENGTH, order, rng.choice([Fraction(24, 50), Fraction(25, 60)]))


def darkened(film: list[Picture]) -> list[Picture]:
    """Contrast of a night scene: 30 %."""
    return [
        (((luma.float() - 16) * 0.3 + 16).round().clamp(0, 255).to(torch.uint8), *chroma)
        for luma, *chroma in film
    ]


def naming(clips: Sequence[Path], codecs: Sequence[tuple[str, float] | None]) -> None:
    names = list(dict.fromkeys(case.kind for case in cases()))
    seen: dict[str, Counter[str]] = {name: Counter() for name in names}
    orders: Counter[bool] = Counter()
    by_coding: dict[str, Counter[bool]] = defaultdict(Counter)
    moving: Counter[bool] = Counter()
    rng = random.Random(SEED)
    misses = []
    for path in clips:
        film = there_and_back(pictures_of(path), 2 * LENGTH)
        for case in cases():
            dark, codec = rng.random() < 0.2, rng.choice(codecs)
            made = case.make(darkened(film) if dark else film, rng)
            flag = rng.choice([TFF, BFF]) if case.kind == "psf" else PROGRESSIVE
            if case.order is not PROGRESSIVE:
                flag = rng.choice([TFF, BFF, PROGRESSIVE])
            if codec is not None:
                scan = TFF if case.kind == "psf" else case.order
                made = list(fields.coded(made, *codec, scan if scan in (TFF, BFF) else PROGRESSIVE))
            found = survey_fields(as_frames(made, order=flag))
            name = found.kind.value
            seen[case.kind][name] += 1
            right = name == case.kind
            if case.kind == "unknown":
                # Nothing moves: whole pictures are as good a name, and change nothing.
                right = name in ("unknown", "progressive", "psf")
            if case.order in (TFF, BFF):
                orders[found.order is case.order] += 1
            moving[right] += 1
            coding = "uncoded" if codec is None else f"{codec[0]} {codec[1]}"
            by_coding[coding + (", dark" if dark else "")][right] += 1
            if not right or (case.order in (TFF, BFF) and found.order is not case.order):
                misses.append(f"{path.stem}, {case.kind} {case.order.value}, {coding}: {found}")
    columns = list(dict.fromkeys([*names, *(n for row in seen.values() for n in row)]))
    print("| made \\ found | " + " | ".join(columns) + " |")
    print("| --- |" + " --- |" * len(columns))
    for name in names:
        print(f"| {name} | " + " | ".join(str(seen[name][c] or "") for c in columns) + " |")
    total = moving.total()
    print('\nWhere nothing moves ("unknown"), whole pictures are a right name too.')
    print(f"Cadence named right: {moving[True]} of {total} ({moving[True] / total:.1%}).")
    print(
        f"Field order named right where there is one: {orders[True]} of {orders.total()} "
        f"({orders[True] / orders.total():.1%}).\n"
    )
    print("| coding | clips | named right |\n| --- | --- | --- |")
    for coding, counts in sorted(by_coding.items()):
        print(f"| {coding} | {counts.total()} | {counts[True]} |")
    print("\nWhat was not:\n")
    for miss in misses:
        print(f"- {miss}")


# --------------------------------------------------------------------------------- real clips


def real_clips(data: Path) -> None:
    print("\n| clip | frames | flags | found |\n| --- | --- | --- | --- |")
    for path in sorted((data / "interlaced").iterdir()):
        with Decoder(str(path), DecodeConfig(frames="0:100")) as decoder:
            flags: Counter[str] = Counter()

            def counted(decoder: Decoder = decoder, flags: Counter[str] = flags) -> Iterator[Frame]:
                for frame in decoder:
                    flags[frame.field_order.value] += 1
                    yield frame

            found = survey_fields(counted())
        flagged = ", ".join(f"{count} {name}" for name, count in flags.items())
        print(f"| {path.name} | {found.frames} | {flagged} | {found} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clips = unseen_clips(arguments.data, arguments.clips)
    print(f"Clips: {', '.join(path.stem for path in clips)}; seed {SEED}.\n")
    print("### Round trips\n")
    round_trips(clips)
    print("### Cadence and field order, uncoded to moderately coded\n")
    naming(clips, MODERATE)
    print(f"\n### The same, heavily coded ({', '.join(path.stem for path in clips[:2])})\n")
    naming(clips[:2], HEAVY)
    print("\n### Real clips")
    real_clips(arguments.data)


if __name__ == "__main__":
    main()
