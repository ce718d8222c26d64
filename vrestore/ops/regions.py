"""Connected regions of a sparse mask, as lists: nothing here loops over the picture's samples."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Regions", "connected"]


@dataclass(frozen=True, slots=True)
class Regions:
    """The samples of a mask, each with the number of its 8-connected region."""

    rows: torch.Tensor
    """(N,) int64."""

    columns: torch.Tensor
    """(N,) int64."""

    labels: torch.Tensor
    """(N,) int64, 0 to count - 1, in the order of each region's first sample."""

    count: int

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Sum of (N,) values over each region, (count,) float32."""
        sums = torch.zeros(self.count, device=values.device)
        return sums.index_add_(0, self.labels, values.float())

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Mean of (N,) values over each region, (count,) float32."""
        return self.total(values) / self.areas

    def peak(self, values: torch.Tensor) -> torch.Tensor:
        """Largest of (N,) values in each region, (count,)."""
        least = torch.full((self.count,), -torch.inf, device=values.device)
        return least.scatter_reduce_(0, self.labels, values.float(), "amax")

    def only(self, chosen: torch.Tensor) -> Regions:
        """The regions without the samples for which `chosen` (N,) does not hold."""
        return Regions(self.rows[chosen], self.columns[chosen], self.labels[chosen], self.count)

    @property
    def areas(self) -> torch.Tensor:
        """Samples of each region, (count,) float32."""
        return torch.bincount(self.labels, minlength=self.count).float()

    def keep(self, chosen: torch.Tensor) -> Regions:
        """The regions for which `chosen` (count,) bool holds, renumbered."""
        inside = chosen[self.labels]
        number = chosen.long().cumsum(0) - 1
        return Regions(
            self.rows[inside],
            self.columns[inside],
            number[self.labels[inside]],
            int(chosen.sum()),
        )


def connected(mask: torch.Tensor, kind: torch.Tensor | None = None) -> Regions:
    """The 8-connected regions of a (H, W) bool mask, meant for masks that are mostly empty.

    With `kind` (H, W), only samples of the same kind belong together.
    """
    height, width = mask.shape
    rows, columns = mask.nonzero(as_tuple=True)
    samples = rows.numel()
    number = torch.full((height + 1, width + 2), -1, dtype=torch.int64, device=mask.device)
    own = torch.arange(samples, device=mask.device)
    kinds = None if kind is None else kind[rows, columns]
    number[rows, columns + 1] = own
    pairs = []
    for down, across in ((0, 1), (1, -1), (1, 0), (1, 1)):
        other = number[rows + down, columns + 1 + across]
        both = other >= 0
        if kinds is not None:
            both &= kinds[other.clamp(min=0)] == kinds
        pairs.append(torch.stack((own[both], other[both])))
    first, second = torch.cat(pairs, 1)
    labels = own
    while True:
        # Hook the roots of neighbours to the smaller one, then halve the paths.
        a, b = labels[first], labels[second]
        low, high = torch.minimum(a, b), torch.maximum(a, b)
        hooked = labels.scatter_reduce(0, high, low, "amin")
        while not torch.equal(shorter := hooked[hooked], hooked):
            hooked = shorter
        if torch.equal(hooked, labels):
            break
        labels = hooked
    root = labels == own
    return Regions(rows, columns, (root.long().cumsum(0) - 1)[labels], int(root.sum()))
