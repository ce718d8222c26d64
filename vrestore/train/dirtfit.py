"""Fits the weights of `vrestore.ops.dirtscore` on synthetic dirt, and writes them as a module.

    python -m vrestore.train.dirtfit --data ../shared/data --out vrestore/ops/dirtweights.py

Each training clip is drawn five times: with little dirt (twice), with much, clean, and with fast
objects; at one to three times its speed, with or without grain and flicker.  A few minutes on one
core; `--seed` names the draws.
"""

from __future__ import annotations

import argparse
import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor, nn

from vrestore.ops.dirt import Dirt, DirtConfig
from vrestore.ops.dirtscore import FAR
from vrestore.ops.infill import grown
from vrestore.ops.marks import FEATURES
from vrestore.ops.regions import Regions
from vrestore.ops.spikes import Spikes
from vrestore.train import damage, dirt
from vrestore.train.dirtclips import excerpt, frames_of, grained, tuning_clips, unpainted

KINDS = ("little", "much", "clean", "objects", "little")
LENGTH = 8
HIDDEN = (32, 16)
EPOCHS = 14
BATCH = 2048

IS_DIRT = 0.3
"""Share of a region's samples under a matte from which it is dirt."""

IS_OBJECT = 0.5


@dataclass(frozen=True, slots=True)
class Examples:
    """Regions of many frames, (n, ...) each."""

    features: Tensor
    dirty: Tensor
    """bool."""
    weight: Tensor

    def in_grey(self, share: float) -> Examples:
        """The same as on black-and-white film, counting less."""
        features = self.features.clone()
        features[:, FEATURES.index("saturation")] = 0
        features[:, FEATURES.index("chroma")] = math.log(0.005)
        return Examples(features, self.dirty, share * self.weight)


class _Watched(Dirt):
    """The op, telling of its regions; finds nothing."""

    def __init__(self) -> None:
        super().__init__(DirtConfig(strength=0.5, fill="network"))
        self.told: dict[int, tuple[Regions, Tensor]] = {}

    def chosen(self, spikes: Spikes, features: Tensor, number: int) -> Tensor:
        self.told[number] = spikes.regions, features
        return torch.zeros(len(features), dtype=torch.bool)


def draw(path: Path, rng: Generator, kind: str) -> Examples | None:
    """The regions of one painted excerpt; None if it has none."""
    clean, _ = grained(excerpt(path, rng, LENGTH, int(rng.choice([1, 1, 1, 2, 3]))), rng)
    if rng.random() < 0.25:
        clean = damage.flicker(clean, rng, float(rng.uniform(0.002, 0.012)))
    objects = torch.zeros(len(clean), *clean.shape[-2:], dtype=torch.int32)
    if kind == "objects" or (kind == "little" and rng.random() < 0.3):
        clean, _, objects = dirt.fast_objects(clean, rng, int(rng.integers(1, 4)))
    if kind == "little":
        drawn = dirt.specks(clean, rng, float(rng.uniform(30, 150)), opacity=(0.1, 1), hairs=0.3)
    elif kind == "much":
        drawn = dirt.specks(clean, rng, float(rng.uniform(200, 700)), opacity=(0.1, 1), hairs=1)
    else:
        drawn = unpainted(clean, rng)
    op = _Watched()
    for frame in frames_of(drawn.frames):
        list(op.push(frame))
    list(op.flush())
    parts = []
    for t, (regions, features) in op.told.items():
        at = regions.rows, regions.columns
        matte = drawn.matte[t, 0]
        under = regions.mean(matte[at] > 0.05)
        object_share = regions.mean(objects[t][at] > 0)
        # A false alarm costs by its area, less than proportionally: small ones are many.
        false = regions.total(~grown(matte > 0.02, 2)[at]).clamp(min=0.5)
        dirty = under > IS_DIRT
        weight = torch.where(dirty, torch.ones_like(under), 0.12 * false**0.7)
        weight = torch.where((object_share > IS_OBJECT) & ~dirty, 4 * weight, weight)
        parts.append(Examples(features, dirty, weight * (0.7 if kind == "much" else 1.0)))
    return joined(parts) if parts else None


def joined(parts: Sequence[Examples]) -> Examples:
    return Examples(
        torch.cat([p.features for p in parts]),
        torch.cat([p.dirty for p in parts]),
        torch.cat([p.weight for p in parts]),
    )


def fit(examples: Examples, seed: int) -> list[Tensor]:
    """Mean, standard deviation, then weight and bias of each layer."""
    torch.manual_seed(seed)
    mean, spread = examples.features.mean(0), examples.features.std(0) + 1e-3
    values = ((examples.features - mean) / spread).clamp(-FAR, FAR)
    truth, weight = examples.dirty.float(), examples.weight
    sizes = (values.shape[1], *HIDDEN, 1)
    layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    net = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    steps = EPOCHS * len(values) // BATCH
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps + 1)
    for _ in range(steps):
        batch = torch.randint(0, len(values), (BATCH,))
        loss = F.binary_cross_entropy_with_logits(
            net(values[batch])[:, 0], truth[batch], weight[batch], reduction="sum"
        )
        optimizer.zero_grad()
        (loss / weight[batch].sum()).backward()
        optimizer.step()
        rate.step()
    return [mean, spread, *(p.detach() for layer in layers for p in (layer.weight, layer.bias))]


def module(parts: Sequence[Tensor]) -> str:
    """The text of `vrestore/ops/dirtweights.py`."""
    numbers = torch.cat([part.flatten() for part in parts]).numpy().astype("<f2")
    text = base64.b85encode(numbers.tobytes()).decode()
    lines = "\n".join(f'    "{text[i : i + 92]}"' for i in range(0, len(text), 92))
    sizes = ", ".join(str(size) for size in (len(parts[0]), *HIDDEN, 1))
    return (
        '"""Numbers of `dirtscore`: float16 in base 85, written by `vrestore.train.dirtfit`."""\n\n'
        f'SIZES = ({sizes})\n"""Features, and the width of each layer."""\n\n'
        f"WEIGHTS = (\n{lines}\n)\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the shared media")
    parser.add_argument("--out", type=Path, required=True, help="module to write")
    parser.add_argument("--seed", type=int, default=202)
    args = parser.parse_args()
    torch.set_num_threads(1)
    drawn = [
        draw(path, np.random.default_rng([args.seed, number, kind]), name)
        for number, path in enumerate(tuning_clips(args.data))
        for kind, name in enumerate(KINDS)
    ]
    examples = joined([part for part in drawn if part is not None])
    args.out.write_text(module(fit(joined([examples, examples.in_grey(0.4)]), args.seed)))


if __name__ == "__main__":
    main()
