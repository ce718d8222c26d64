"""What every checkpoint must pass before it ships: it stays as good as it was, however long.

A recurrence that was trained on a dozen frames runs on a hundred thousand; a loss over the dozen
cannot see what happens then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.models.nets.cell import Cell, Memory, Neighbour, noise_level
from vrestore.models.nets.grid import GRAY, Picture
from vrestore.models.nets.warp import validity
from vrestore.train.damage import noise_like
from vrestore.train.sample import shrink
from vrestore.train.unroll import flows_of
from vrestore.train.watch import psnr

FRAMES = 300
REFERENCE = 5
"""Frame that later ones are compared with."""

PERIOD = 50
"""Frames of a swing to and fro, after which the picture shows the same again."""

ALLOWED_DECIBELS = 0.1
"""How far the mean of any swing may fall below that of the swing from the reference on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollOut:
    """How a net behaves over a long shot."""

    name: str
    gains: tuple[float, ...]
    """Luma PSNR of each frame over that of the same frame restored as a still, in dB; so what the
    picture shows as it moves plays no part.  The last frame, which has no next, is left out."""

    @property
    def worst(self) -> float:
        """Lowest mean of a swing from the reference on, against the first one."""
        runs = np.convolve(self.gains[REFERENCE:], np.ones(PERIOD) / PERIOD, "valid")
        return float(runs.min() - runs[0])

    @property
    def passed(self) -> bool:
        return self.worst >= -ALLOWED_DECIBELS


def roll_outs(
    cell: Cell,
    still: Tensor,
    *,
    scale: int,
    strength: float = 0.5,
    noise: float = 0.04,
    frames: int = FRAMES,
) -> list[RollOut]:
    """A static shot and a slowly swinging one of luma (1, 1, H, W), 0..1, new noise each frame.

    `still` is the truth at `scale`, of at least 32 samples at input size and the swing, a third of
    a sample a frame; `frames` cover two swings or more.
    """
    results = []
    for name, speed in (("static", 0.0), ("slow", 1 / 3)):
        side = min(still.shape[-2], still.shape[-1] - int(np.ceil(PERIOD / 2 * speed)) * scale - 1)
        side = side // (16 * scale) * 16 * scale
        if side < 32 * scale:
            raise ValueError(f"a still of {tuple(still.shape[-2:])} is too small to pan over")
        truths = _pan(still, side, speed * scale, frames)
        rng = np.random.default_rng(5)
        results.append(
            RollOut(
                name=name, gains=tuple(_roll(cell, truths, rng, scale, strength, noise, frames))
            )
        )
    return results


def _pan(still: Tensor, side: int, speed: float, frames: int) -> list[Tensor]:
    """Crops that swing by `speed` samples a frame, (1, 1, side, side), zero-centred."""
    crops = []
    for t in range(frames):
        way = speed * (PERIOD / 2 - abs(t % PERIOD - PERIOD / 2))
        whole = int(np.floor(way))
        part = way - whole
        wide = still[..., :side, whole : whole + side + 1]
        crop = (1 - part) * wide[..., :side] + (part * wide[..., 1:] if part else 0.0)
        crops.append(crop - 0.5)
    return crops


def _roll(
    cell: Cell,
    truths: list[Tensor],
    rng: np.random.Generator,
    scale: int,
    strength: float,
    noise: float,
    frames: int,
) -> Iterator[float]:
    kernels = cell.kernels(GRAY, scale)
    inputs = [shrink(t, scale) for t in truths]
    seen = [x + noise * noise_like(rng, *x.shape) for x in inputs]
    memory: Memory | None = None
    before: Neighbour | None = None
    with torch.no_grad():
        for t in range(frames - 1):
            forward, backward = flows_of(cell, torch.stack(seen[t : t + 2], 1))
            forward, backward = forward[:, 0], backward[:, 0]
            present = torch.ones(1, 1, 1, 1)
            after = Neighbour(forward, validity(forward, backward), present)
            knob = torch.full((1, 1, 1, 1), strength)
            knobs = torch.cat((noise_level(seen[t]), knob), 1)
            result = cell(
                kernels, Picture(seen[t], None), knobs, memory, before, after,
                Picture(seen[t + 1], None),
            )  # fmt: skip
            alone = cell(kernels, Picture(seen[t], None), knobs).picture.luma
            memory = result.memory
            before = Neighbour(backward, validity(backward, forward), present)
            with_time, without = (
                psnr(F.pad(luma - truths[t], (-8, -8, -8, -8)))
                for luma in (result.picture.luma, alone)
            )
            yield with_time - without
