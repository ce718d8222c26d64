"""Counts what the tape stages repair and what the measures of tape faults say.

    PYTHONPATH=. python docs/tables/tape.py --data ../shared/data > table.md

Clips and draws as in `dirt.py` beside it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from dirt import SEED, costs, footage, psnr, run
from numpy.random import Generator
from torch import Tensor

from vrestore.media import Frame
from vrestore.ops.tape import Tape, TapeConfig
from vrestore.ops.tape.chroma import measure_chroma_shift
from vrestore.ops.tape.headswitch import measure_head_switch
from vrestore.train import damage, tape_faults
from vrestore.train.dirtclips import excerpt, frames_of_ycbcr
from vrestore.train.sample import to_ycbcr


def changed(a: Sequence[Frame], b: Sequence[Frame]) -> float:
    """Mean absolute change of all planes in 8-bit code values."""
    pairs = [(x, y) for f, g in zip(a, b, strict=True) for x, y in zip(f.planes, g.planes)]  # noqa: B905
    return (
        255 * sum(float((x - y).abs().sum()) for x, y in pairs) / sum(x.numel() for x, _ in pairs)
    )


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


def tape_table(paths: Sequence[Path], fault_named: str = "", length: int = 13) -> None:
    print("\n### Tape\n")
    print("PSNR of chroma for the first three, of luma for the others; mean over the clips.\n")
    print("| fault | before, dB | after, dB | clips made better | clean clips changed by, of 255 |")
    print("|---|---|---|---|---|")
    for key, (name, fault, config, plane) in enumerate(tape_cases()):
        if fault_named not in name:
            continue
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
    ops: dict[str, Callable[[], object]] = {}
    for name, _, config, _ in tape_cases():
        ops.setdefault(name.split(",")[0], lambda config=config: Tape(config))  # type: ignore[misc]
    costs(data, list(ops.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the shared media")
    parser.add_argument(
        "--tuned-on", action="store_true", help="count where thresholds were chosen"
    )
    parser.add_argument("--every", type=int, default=1, help="use each nth clip only")
    parser.add_argument("--fault", default="", help="only faults whose names have this in them")
    parser.add_argument("parts", nargs="*", default=["measures", "tape", "cost"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    paths = footage(args.data, args.tuned_on)[:: args.every]
    print(f"{len(paths)} clips, seed {SEED}: {', '.join(p.stem for p in paths)}.")
    for part in args.parts:
        if part == "cost":
            cost_table(args.data)
        elif part == "tape":
            tape_table(paths, args.fault)
        else:
            measures_table(paths)


if __name__ == "__main__":
    main()
