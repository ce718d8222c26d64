"""Motion of the truth, found by block matching: the same for every method that is judged by it."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.review.metrics import follow

__all__ = ["Motion", "flow_error", "match"]

REACH = 8
"""Largest displacement in samples, in both directions."""

EVERY = 2
"""For tOF, pairs that follow one another so far apart are looked at, to save time."""

BLOCK = 9
HIDDEN = 8.0
"""Code values by which a sample of the truth changes along its motion, from which it is taken to
be hidden in the next frame, or its motion not found."""


class Motion(NamedTuple):
    """From each frame to the next."""

    flow: Tensor
    """(T - 1, 2, H, W), (x, y) in samples."""
    shown: Tensor
    """(T - 1, H, W) bool."""
    coarse: Tensor
    """The same matcher at half the size, for some pairs: what tOF compares with."""


def match(truth: Tensor) -> Motion:
    """Motion of luma (T, H, W) in code values, to fractions of a sample."""
    flow = torch.stack([_between(first, second, REACH) for first, second in pairwise(truth)])
    change = (follow(truth, flow) - truth[:-1].double()).abs()
    return Motion(flow, change < HIDDEN, _coarse(truth))


def flow_error(clip: Tensor, motion: Motion) -> float:
    """tOF (Chu et al. 2018): mean distance of a clip's motion from the truth's, in samples.

    Both by the same matcher, on frames of half the size, where it is quick.
    """
    return float((_coarse(clip) - motion.coarse).square().sum(1).sqrt().mean())


def _coarse(clip: Tensor) -> Tensor:
    small = F.avg_pool2d(clip, 2)
    pairs = list(pairwise(small))[::EVERY]
    return 2 * torch.stack([_between(first, second, REACH // 2) for first, second in pairs])


def _between(first: Tensor, second: Tensor, reach: int) -> Tensor:
    """Matched at every second row and column, and interpolated."""
    height, width = first.shape
    side = 2 * reach + 1
    wide = F.pad(second[None, None], (reach,) * 4, mode="replicate")[0, 0]
    # One row of displacements at a time: all at once take some 100 MB, and several times as long.
    cost = torch.cat(
        [_boxes((_shifts(wide[y : y + height], width) - first).abs()) for y in range(side)]
    )
    # Where many displacements fit equally well, the shortest is the likeliest.
    ways = torch.arange(-reach, reach + 1)
    length = (ways.view(-1, 1).square() + ways.square()).sqrt().flatten().float()
    cost = cost + 0.02 * length.view(-1, 1, 1)
    best = cost.argmin(0)
    y, x = best // side, best % side
    parts = [
        _vertex(*(cost.gather(0, index.unsqueeze(0))[0] for index in neighbours))
        for neighbours in (
            (best - (x > 0).long(), best, best + (x < side - 1).long()),
            (best - side * (y > 0).long(), best, best + side * (y < side - 1).long()),
        )
    ]
    flow = torch.stack((x - reach + parts[0], y - reach + parts[1]))
    return F.interpolate(flow[None], size=(height, width), mode="bilinear")[0]


def _shifts(rows: Tensor, width: int) -> Tensor:
    """(H, W + n) -> (n + 1, H, W), each a sample further to the right."""
    return rows.unfold(1, width, 1).transpose(0, 1)


def _boxes(change: Tensor) -> Tensor:
    """(N, H, W) -> mean of each block around every second sample in both directions."""
    half = BLOCK // 2
    rows = F.avg_pool2d(change, (BLOCK, 1), (2, 1), (half, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, BLOCK), (1, 2), (0, half), count_include_pad=False)


def _vertex(before: Tensor, at: Tensor, after: Tensor) -> Tensor:
    """Where a parabola through three costs is lowest, -0.5..0.5."""
    bend = before - 2 * at + after
    return torch.where(bend > 1e-3, 0.5 * (before - after) / bend.clamp_min(1e-3), 0.0).clamp(
        -0.5, 0.5
    )
