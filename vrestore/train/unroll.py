"""Running a cell over a batch of clips, as a run would, with everything differentiable."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vrestore.models.nets.align import Pyramid, crop
from vrestore.models.nets.cell import Cell, Memory, Neighbour, noise_level
from vrestore.models.nets.grid import YUV420, YUV444, Picture
from vrestore.models.nets.warp import validity
from vrestore.train.rivals import Net
from vrestore.train.sample import Recipe, Sample


class Unrolled(NamedTuple):
    """What came out, frames in the second dimension."""

    luma: Tensor
    """(N, T, 1, H*s, W*s)"""
    chroma: Tensor
    fused: Tensor
    """Luma of the fused input, (N, T, 1, H, W)."""


def flows_of(cell: Cell, luma: Tensor) -> tuple[Tensor, Tensor]:
    """Flows to the next frame and to the one before, (N, T-1, 2, h, w) each, without gradient."""
    n, count, _, height, width = luma.shape
    with torch.no_grad():
        pyramid = cell.align.pyramid(luma.flatten(0, 1))

        def part(frames: slice) -> Pyramid:
            split = (f.view(n, count, *f.shape[1:]) for f in pyramid)
            return Pyramid(*(f[:, frames].flatten(0, 1) for f in split))

        first, second = part(slice(0, -1)), part(slice(1, None))
        both = cell.align(
            Pyramid(*(torch.cat(p) for p in zip(first, second, strict=True))),
            Pyramid(*(torch.cat(p) for p in zip(second, first, strict=True))),
        )[-1]
        both = crop(both, height // 2, width // 2).contiguous()
        forward, backward = both.view(2, n, count - 1, *both.shape[1:]).unbind(0)
    return forward, backward


def _presence(n: int, like: Tensor, drop: float, generator: torch.Generator | None) -> Tensor:
    kept = torch.rand(n, generator=generator) >= drop
    return kept.to(like.device, like.dtype).view(n, 1, 1, 1)


def unroll(
    cell: Net,
    sample: Sample,
    recipe: Recipe,
    *,
    temporal: bool,
    drop: float = 0.0,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
) -> Unrolled:
    """The cell over a batch (N, T, ...).

    `temporal` off treats every frame as a still.  `drop` is the probability that a neighbour is
    missing, for each frame and side; a fifth of that is the probability for a whole clip to have
    no next frames.  `dtype` is that of the trunk's convolutions.
    """
    layout = YUV444 if recipe.chroma == "444" else YUV420
    kernels = cell.kernels(layout, recipe.scale, dtype)
    n, count = sample.luma.shape[:2]
    pictures = [Picture(sample.luma[:, t], sample.chroma[:, t]) for t in range(count)]
    strength = sample.strength.view(n, 1, 1, 1)
    connected = temporal and count > 1
    if connected:
        assert isinstance(cell, Cell), "a single-image net knows no neighbours"
        forward, backward = flows_of(cell, sample.luma)
        sighted = _presence(n, sample.luma, drop, generator)
    memory: Memory | None = None
    lumas, chromas, fused = [], [], []
    for t, picture in enumerate(pictures):
        before = after = None
        following = None
        if connected and t > 0:
            present = _presence(n, sample.luma, drop, generator)
            with torch.no_grad():
                trust = present * validity(backward[:, t - 1], forward[:, t - 1])
            before = Neighbour(backward[:, t - 1], trust, present)
        if connected and t + 1 < count:
            present = sighted * _presence(n, sample.luma, drop, generator)
            with torch.no_grad():
                trust = present * validity(forward[:, t], backward[:, t])
            after = Neighbour(forward[:, t], trust, present)
            following = pictures[t + 1]
        knobs = torch.cat((noise_level(picture.luma), strength), 1)
        result = cell(
            kernels, picture, knobs, memory if connected else None, before, after, following,
            shift=recipe.shift,
        )  # fmt: skip
        memory = result.memory
        lumas.append(result.picture.luma)
        chromas.append(result.picture.chroma)
        fused.append(result.memory.fused.luma)
    return Unrolled(torch.stack(lumas, 1), torch.stack(chromas, 1), torch.stack(fused, 1))
