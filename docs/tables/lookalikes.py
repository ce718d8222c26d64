"""How much of what only looks like damage a network takes away, and how much of real damage.

    PYTHONPATH=. python docs/tables/lookalikes.py --data ../shared/data -n lite -n base > table.md

Pictures of the benchmark as clips of eight frames, held or panned by two samples a frame, with
fine grain.  Into one copy upright lines that belong to the scene are painted and move with it,
into another scratches that do not.  A line's share taken away is the projection of what is missing
of it onto it, over all frames but the first two: 0 is untouched, 1 gone.  Every draw has a seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vrestore.models.nets.cell import Cell
from vrestore.train import damage
from vrestore.train.checkpoint import new_cell, starting_weights
from vrestore.train.config import SIZES
from vrestore.train.footage import read_clip
from vrestore.train.grow import grow
from vrestore.train.lookalikes import paint_lines
from vrestore.train.sample import Recipe, Sample, quantise, subsample, to_ycbcr
from vrestore.train.unroll import unroll

PICTURES, FRAMES, SIDE = 16, 8, 160
SEED = 31
GRAIN = 0.02
STRENGTHS = (0.15, 0.4, 0.8)
MOTIONS = {"a still": 0, "held": 0, "panned": 2}


def cell_of(start: str) -> Cell:
    """Of a model by its name, or of a checkpoint."""
    weights = starting_weights(start)
    size = next(k for k, v in SIZES.items() if v[0] == len(weights["stem.bias"]))
    cell = new_cell(size)
    assert isinstance(cell, Cell)
    grow(weights, cell)
    return cell.eval()


def panned(picture: Tensor, step: int) -> Tensor:
    """(3, H, W) -> (T, 3, SIDE, SIDE)."""
    return torch.stack([picture[:, :SIDE, t * step : t * step + SIDE] for t in range(FRAMES)])


def sampled(clip: Tensor, recipe: Recipe, strength: float) -> Sample:
    """Of a clip that is looked at and not learned from: its own target."""
    planes = to_ycbcr(clip.clamp(0, 1), "709")
    luma, chroma = quantise(planes[:, :1], subsample(planes[:, 1:], recipe.chroma), full=True)
    return Sample(
        luma=luma[None].float() / 255 - 0.5,
        chroma=(chroma[None].float() - 128) / 255,
        target_luma=planes[None, :, :1] - 0.5,
        target_chroma=planes[None, :, 1:],
        mask=torch.zeros(1, FRAMES, 1, SIDE, SIDE),
        strength=torch.full((1, 1), strength),
    )


def taken(cells: Sequence[Cell], path: Path, k: int) -> dict[tuple[str, str, float, int], float]:
    """Shares taken of lines and of scratches, by kind, motion, strength and network."""
    plain = read_clip(path)[0].permute(2, 0, 1).float() / 255
    wide = SIDE + 2 * (FRAMES - 1)
    if plain.shape[2] < wide:
        plain = plain.transpose(1, 2)
    plain = plain[:, :SIDE, :wide]
    rng = np.random.default_rng((SEED, k))
    lined = plain.clone()
    for _ in range(3):
        paint_lines(lined, rng, 1)
    recipe = Recipe(scale=1, chroma="420-left", length=FRAMES, side=SIDE, damaged=1.0)
    shares = {}
    for motion, step in MOTIONS.items():
        bare = panned(plain, step)
        scratched, _ = damage.scratches(bare, np.random.default_rng((SEED, k, 1)), 3)
        for kind, shown in (("lines of the scene", panned(lined, step)), ("scratches", scratched)):
            grained = damage.grain(shown, np.random.default_rng((SEED, k, 2)), GRAIN, gray=True)
            mark = to_ycbcr(shown - bare, "709")[None, 2:, :1]
            for strength in STRENGTHS:
                sample = sampled(grained, recipe, strength)
                for n, cell in enumerate(cells):
                    with torch.inference_mode():
                        out = unroll(cell, sample, recipe, temporal=motion != "a still").luma
                    missing = to_ycbcr(shown, "709")[None, 2:, :1] - 0.5 - out[:, 2:]
                    share = float((missing * mark).sum() / mark.square().sum())
                    shares[kind, motion, strength, n] = share
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-n", dest="networks", action="append", required=True)
    given = parser.parse_args()
    cells = [cell_of(n) for n in given.networks]
    paths = sorted((given.data / "benchmark" / "B100").glob("*.jpg"))[:: 100 // PICTURES]
    counted = [taken(cells, p, k) for k, p in enumerate(paths[:PICTURES])]
    names = [Path(n).stem for n in given.networks]
    print("| share taken away of | clip | strength |", " | ".join(names), "|")
    print("|---|---|---|" + "---|" * len(names))
    for kind in ("lines of the scene", "scratches"):
        for motion in MOTIONS:
            for strength in STRENGTHS:
                means = [
                    np.mean([c[kind, motion, strength, n] for c in counted])
                    for n in range(len(cells))
                ]
                figures = " | ".join(f"{m:.2f}" for m in means)
                print(f"| {kind} | {motion} | {strength} | {figures} |")


if __name__ == "__main__":
    main()
