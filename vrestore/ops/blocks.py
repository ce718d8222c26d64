"""Means over blocks of a plane, of whole and of fractional size, and smooth fields over them.

A grid of blocks is laid over a source plane; the same part of the picture in an enlarged plane is
a rectangle whose edges may lie between samples, which then count in proportion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vrestore.ops.buffers import strips

__all__ = ["BlockAxis", "add_field", "block_means", "field_through"]


@dataclass(frozen=True, slots=True)
class BlockAxis:
    """The blocks along one axis of a plane: block k covers [edges[k], edges[k + 1]) in samples."""

    edges: tuple[float, ...]
    """From 0 to the plane's size, ascending."""

    @classmethod
    def whole(cls, size: int, block: int) -> BlockAxis:
        """Blocks of `block` samples, the last one perhaps smaller."""
        return cls((*map(float, range(0, size, block)), float(size)))

    def enlarged(self, ratio: float, offset: float, to_size: int) -> BlockAxis:
        """The same blocks in a plane `ratio` times as large, whose samples lie at (i + offset) as
        those of `ops.resample` do: 0.5 between, 0.25 for co-sited chroma of half the rate."""
        shift = (0.5 - offset) * (1 - ratio)
        inner = (min(max(edge * ratio + shift, 0.0), to_size) for edge in self.edges[1:-1])
        return BlockAxis((0.0, *inner, float(to_size)))

    def __post_init__(self) -> None:
        if any(b <= a for a, b in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"blocks must have an extent, got edges {self.edges}")

    @property
    def count(self) -> int:
        return len(self.edges) - 1

    @property
    def size(self) -> int:
        """Samples of the plane."""
        return round(self.edges[-1])

    def shares(self, block: int) -> tuple[slice, list[float]]:
        """The samples that a block touches, and the weight of each in its mean."""
        start, end = self.edges[block], self.edges[block + 1]
        first, last = int(start), min(int(-(-end // 1)), self.size)
        covered = [min(end, i + 1.0) - max(start, float(i)) for i in range(first, last)]
        return slice(first, last), [part / (end - start) for part in covered]

    def hats(self) -> tuple[torch.Tensor, torch.Tensor]:
        """For every sample the block whose centre is before it, and how far it is to the next
        block's centre (0..1, 0 and 1 beyond the outermost centres): int64 and float32 (size,)."""
        edges = torch.tensor(self.edges, dtype=torch.float64)
        centres = (edges[1:] + edges[:-1]) / 2
        if self.count == 1:
            return torch.zeros(self.size, dtype=torch.long), torch.zeros(self.size)
        at = torch.arange(self.size, dtype=torch.float64) + 0.5
        before = (torch.searchsorted(centres, at, right=True) - 1).clamp_(0, self.count - 2)
        gap = centres[before + 1] - centres[before]
        return before, ((at - centres[before]) / gap).clamp_(0, 1).float()

    def hat_means(self) -> torch.Tensor:
        """(count, count) float64: the mean over block k of the hat that stands on block j.

        A field that is linear between values K at the blocks' centres has the block means
        `hat_means() @ K`.
        """
        before, share = self.hats()
        means = torch.zeros(self.count, self.count, dtype=torch.float64)
        for block in range(self.count):
            samples, weights = self.shares(block)
            weight = torch.tensor(weights, dtype=torch.float64)
            part = share[samples].double()
            means[block].index_add_(0, before[samples], weight * (1 - part))
            if self.count > 1:
                means[block].index_add_(0, before[samples] + 1, weight * part)
        return means


def block_means(plane: torch.Tensor, rows: BlockAxis, columns: BlockAxis) -> torch.Tensor:
    """(rows.count, columns.count) float32 mean of each block, samples at its edges by their share.

    One pass through the plane.
    """
    device = plane.device
    lines = torch.empty((rows.count, plane.shape[1]), device=device)
    for block in range(rows.count):
        samples, weights = rows.shares(block)
        weight = torch.tensor(weights, device=device)
        torch.mv(plane[samples].float().t(), weight, out=lines[block])
    turned = lines.t().contiguous()
    means = torch.empty((columns.count, rows.count), device=device)
    for block in range(columns.count):
        samples, weights = columns.shares(block)
        weight = torch.tensor(weights, device=device)
        torch.mv(turned[samples].t(), weight, out=means[block])
    return means.t().contiguous()


def field_through(wanted: torch.Tensor, inverses: Sequence[torch.Tensor]) -> torch.Tensor:
    """Values at the blocks' centres of the bilinear field whose block means are `wanted`.

    `inverses` are those of the two axes' `hat_means`, rows first.  They decay by a factor of six a
    block, so a single block's mean is reached with ripples that are gone two blocks away.
    """
    rows, columns = inverses
    return (rows @ wanted.double() @ columns.t()).float()


def add_field(
    plane: torch.Tensor,
    field: torch.Tensor,
    rows: BlockAxis,
    columns: BlockAxis,
    out: torch.Tensor,
) -> None:
    """Write `plane` plus the bilinear field with these values at the blocks' centres to `out`."""
    device = plane.device
    before, share = (part.to(device) for part in columns.hats())
    after = (before + 1).clamp_(max=columns.count - 1)
    lines = torch.lerp(field[:, before], field[:, after], share)
    before, share = (part.to(device) for part in rows.hats())
    after = (before + 1).clamp_(max=rows.count - 1)
    for part in strips(plane):
        first, last, between = before[part], after[part], share[part, None]
        torch.add(plane[part], torch.lerp(lines[first], lines[last], between), out=out[part])
