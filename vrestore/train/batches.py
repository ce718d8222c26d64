"""Batches for each phase of a training, each a function of seed and step alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from vrestore.train import damage
from vrestore.train.config import TrainConfig
from vrestore.train.footage import Footage, one_of
from vrestore.train.sample import Recipe, Sample, make_sample, to_ycbcr
from vrestore.train.scene import real_clip, still_in_motion


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One stretch of the schedule."""

    name: str
    until: float
    """End as a share of the whole training, 0..1."""

    length: int
    """Frames per sample; 0 is the aligner's own phase."""

    damaged: float
    """Share of samples with more wrong than the sampling."""

    scales: Mapping[int, float]
    """Probability of each magnification."""


PHASES = (
    Phase(name="align", until=0.06, length=0, damaged=0.6, scales={1: 1.0}),
    Phase(name="single", until=0.40, length=1, damaged=0.45, scales={1: 0.25, 2: 0.45, 4: 0.3}),
    Phase(name="temporal", until=0.82, length=6, damaged=0.65, scales={1: 0.4, 2: 0.35, 4: 0.25}),
    Phase(name="long", until=1.0, length=12, damaged=0.65, scales={1: 0.4, 2: 0.35, 4: 0.25}),
)

CHROMA = {"420-left": 0.55, "420-center": 0.25, "444": 0.2}

POOL = 4
"""Batches of past samples that are drawn from again, in other crops, for each kind of sample."""

STILLS = 0.4
"""Share of the steps of a temporal phase that train on single pictures, which cost little and keep
the net good at them."""

FRESH = 0.34
"""Share of a batch that is newly made."""


class AlignBatch(NamedTuple):
    """Pairs of luma with known or unknown flow between them."""

    first: Tensor
    """(N, 1, H, W), zero-centred, degraded."""
    second: Tensor
    clean_first: Tensor
    clean_second: Tensor
    forward: Tensor
    """(N, 2, H/2, W/2) in luma samples, zero where unknown."""
    backward: Tensor
    known: Tensor
    """1 where the flow is known, (N, 1, 1, 1)."""


class Batch(NamedTuple):
    """Samples of one recipe, stacked."""

    recipe: Recipe
    sample: Sample


def phase_at(progress: float) -> Phase:
    return next((p for p in PHASES if progress < p.until), PHASES[-1])


def recipe_for(config: TrainConfig, phase: Phase, step: int) -> tuple[Recipe, int]:
    """What step `step` trains on, and how many samples of it."""
    rng = np.random.default_rng((config.seed, step, 1))
    shares = {s: p for s, p in phase.scales.items() if s > 1 or not config.clean}
    scale = int(rng.choice(list(shares), p=np.array(list(shares.values())) / sum(shares.values())))
    chroma = str(rng.choice(list(CHROMA), p=list(CHROMA.values())))
    # A still has room for a larger crop where it is not magnified much; x4 needs smaller ones.
    side = config.crop if scale < 4 else max(32, config.crop * 3 // 4)
    # Frames of one clip are alike: a net without time learns more from as many single pictures.
    single = not config.temporal or (phase.length > 1 and rng.random() < STILLS)
    length = 1 if single else phase.length
    count = config.batch if length > 1 else config.batch * 3
    if length > 6:
        count = max(1, config.batch * 2 // 3)
    recipe = Recipe(
        scale=scale, chroma=chroma, length=length, side=side + 16,
        damaged=0.0 if config.clean else phase.damaged,
    )  # fmt: skip
    return recipe, count


class _Steps(IterableDataset[list[Sample]]):
    """Fresh samples step by step, the steps dealt out to the worker processes."""

    def __init__(self, footage: Footage, config: TrainConfig, phase: Phase, start: int) -> None:
        self.footage, self.config, self.phase, self.start = footage, config, phase, start

    def __iter__(self) -> Iterator[list[Sample]]:
        info = get_worker_info()
        first, stride = (info.id, info.num_workers) if info else (0, 1)
        step = self.start + first
        while True:
            recipe, count = recipe_for(self.config, self.phase, step)
            fresh = max(1, round(count * FRESH))
            seeds = [(self.config.seed, step, k) for k in range(2, 2 + fresh)]
            yield [make_sample(self.footage, recipe, np.random.default_rng(s)) for s in seeds]
            step += stride


def batches(footage: Footage, config: TrainConfig, phase: Phase, start: int) -> Iterator[Batch]:
    """An endless run of batches from step `start` on; `phase.length` is at least 1."""
    pools: dict[Recipe, list[Sample]] = defaultdict(list)
    loader = DataLoader(
        _Steps(footage, config, phase, start), batch_size=None, num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
    )  # fmt: skip
    for step, fresh in enumerate(loader, start):
        recipe, count = recipe_for(config, phase, step)
        rng = np.random.default_rng((config.seed, step, 0))
        pool = pools[recipe]
        pool.extend(fresh)
        while len(pool) < count:
            pool.append(make_sample(footage, recipe, rng))
        del pool[: max(0, len(pool) - POOL * count)]
        chosen = rng.choice(len(pool), count, replace=False)
        yield Batch(recipe, _stack([_crop(pool[k], recipe, rng) for k in chosen]))


def _crop(sample: Sample, recipe: Recipe, rng: np.random.Generator) -> Sample:
    """A smaller piece of a sample, on whole cells."""
    side, scale = recipe.side - 16, recipe.scale
    top, left = (int(v) * 2 for v in rng.integers(0, 9, 2))
    half = 1 if recipe.chroma == "444" else 2

    def cut(plane: Tensor, factor: int, over: int) -> Tensor:
        y, x, size = top * factor // over, left * factor // over, side * factor // over
        return plane[..., y : y + size, x : x + size]

    return Sample(
        luma=cut(sample.luma, 1, 1),
        chroma=cut(sample.chroma, 1, half),
        target_luma=cut(sample.target_luma, scale, 1),
        target_chroma=cut(sample.target_chroma, scale, half),
        mask=cut(sample.mask, 1, 1),
        strength=sample.strength,
    )


def _stack(samples: Sequence[Sample]) -> Sample:
    return Sample(*(torch.stack(parts).float() for parts in zip(*samples, strict=True)))


def align_batches(footage: Footage, config: TrainConfig, start: int) -> Iterator[AlignBatch]:
    """An endless run of degraded pairs for the aligner."""
    side, count, step = 128, config.batch + 2, start
    while True:
        pairs = [
            _pair(footage, np.random.default_rng((config.seed, step, k)), side)
            for k in range(count)
        ]
        yield AlignBatch(*(torch.cat(parts) for parts in zip(*pairs, strict=True)))
        step += 1


def _pair(footage: Footage, rng: np.random.Generator, side: int) -> AlignBatch:
    fits = [c for c in footage.clips if min(c.frames.shape[1:3]) >= side]
    if rng.random() < 0.3 and fits:
        scene = real_clip(footage, rng, 2, side, clip=one_of(fits, rng).frames)
    else:
        scene = still_in_motion(footage, rng, 2, side, 1, flow=True)
    clean = to_ycbcr(scene.frames, "601")[:, :1] - 0.5
    seen = scene.frames
    if rng.random() < 0.6:
        sigma = float(rng.uniform(0, 0.8))
        seen = damage.gaussian_blur(seen, sigma, sigma)
        seen = damage.grain(seen, rng, float(rng.uniform(0, 0.06)), gray=rng.random() < 0.3)
        if rng.random() < 0.5:
            seen, _ = damage.dust(seen, rng, 400.0)
        if rng.random() < 0.5:
            seen = damage.flicker(seen, rng, 0.04)
    luma = to_ycbcr(seen, "601")[:, :1] - 0.5
    nothing = torch.zeros(1, 2, side // 2, side // 2)
    forward, backward = (
        F.avg_pool2d(f, 2) if f is not None else nothing for f in (scene.forward, scene.backward)
    )
    known = torch.full((1, 1, 1, 1), float(scene.forward is not None))
    return AlignBatch(luma[:1], luma[1:], clean[:1], clean[1:], forward, backward, known)
