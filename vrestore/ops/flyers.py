"""Telling fast objects from dirt.

A ball or a bird that moves farther than its own size shows at each place for one frame only, like
dirt.  But it is seen in the frame before and the frame after too, on a straight way through its
place, with the same tone and size; dirt is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vrestore.ops.regions import Regions

__all__ = ["Blobs", "blobs", "on_a_way"]

_FARTHEST = 0.2
"""Longest way from frame to frame, as a share of the picture's width."""

_NEAREST = 28.0
"""The same in samples, at least."""

_SLACK = 3.0
"""Samples by which the third place may miss the straight way, besides a share of its length."""

_BEND = 0.15
_TONE = 0.2
"""Largest difference of the mean luma, on the unit scale."""

_GROWTH = 1.1
"""Largest difference of the logarithm of the area: three times."""

_LEAST, _MOST = 4, 400
"""Samples of the smallest blob that counts, and how many blobs of a frame do."""

_CHANCE = 0.06
"""Matches by chance, expected at a region, above which a match proves nothing."""


@dataclass(frozen=True, slots=True)
class Blobs:
    """Regions by their place and look, (n,) each."""

    x: torch.Tensor
    y: torch.Tensor
    area: torch.Tensor
    tone: torch.Tensor
    sign: torch.Tensor


def blobs(regions: Regions, luma: torch.Tensor, sign: torch.Tensor) -> Blobs:
    """The regions of at least four samples; of very many only the largest."""
    area = regions.areas
    largest = area.argsort(descending=True, stable=True)[:_MOST]
    chosen = torch.zeros_like(area, dtype=torch.bool)
    chosen[largest] = True
    chosen &= area >= _LEAST
    return Blobs(
        x=regions.mean(regions.columns)[chosen],
        y=regions.mean(regions.rows)[chosen],
        area=area[chosen],
        tone=regions.mean(luma[regions.rows, regions.columns])[chosen],
        sign=sign[chosen],
    )


def on_a_way(
    suspects: Blobs, first: Blobs, second: Blobs, *, ratio: float, size: tuple[int, int]
) -> torch.Tensor:
    """Which suspects move through both other frames, (n,) bool.

    `ratio` is the time to the second frame over that to the first: -1 for the frames before and
    after, 2 for the next two.  `size` is (width, height).
    """
    if not first.x.numel() or not second.x.numel():
        return torch.zeros(suspects.x.numel(), dtype=torch.bool, device=suspects.x.device)
    way_x, way_y = first.x - suspects.x[:, None], first.y - suspects.y[:, None]
    way = (way_x.square() + way_y.square()).sqrt()
    reach = max(_NEAREST, _FARTHEST * size[0])
    one = (way < reach) & (way > 0.5 * suspects.area[:, None].sqrt()) & _alike(suspects, first)
    index, partner = one.nonzero(as_tuple=True)
    x = suspects.x[index] + ratio * way_x[index, partner]
    y = suspects.y[index] + ratio * way_y[index, partner]
    slack = _SLACK + _BEND * way[index, partner]
    miss = ((second.x - x[:, None]).square() + (second.y - y[:, None]).square()).sqrt()
    there = (miss < slack[:, None]) & _alike(suspects, second)[index]
    out = (x < 0) | (y < 0) | (x > size[0] - 1) | (y > size[1] - 1)
    # With both frames on one side, the second lies two ways off: often out of reach or of sight.
    found = there.any(1) | out | (ratio > 0)
    matched = torch.zeros(suspects.x.numel(), device=suspects.x.device)
    matched.index_add_(0, index, found.float())
    if ratio > 0:
        slack = torch.full_like(slack, reach)
    chance = _expected(one, slack, index, second, suspects, size)
    return (matched > 0) & (chance < _CHANCE)


def _alike(a: Blobs, b: Blobs) -> torch.Tensor:
    """(n, m) bool: same sign, tone and size."""
    return (
        (a.sign[:, None] == b.sign)
        & ((a.tone[:, None] - b.tone).abs() < _TONE)
        & ((a.area[:, None] / b.area).log().abs() < _GROWTH)
    )


def _expected(
    one: torch.Tensor,
    slack: torch.Tensor,
    index: torch.Tensor,
    second: Blobs,
    suspects: Blobs,
    size: tuple[int, int],
) -> torch.Tensor:
    """(n,) how many matches blobs strewn at random would give."""
    alike = _alike(suspects, second).float().sum(1)
    area = torch.zeros(one.shape[0], device=slack.device)
    area.index_add_(0, index, 3.1416 * slack.square())
    return alike * area / (size[0] * size[1])
