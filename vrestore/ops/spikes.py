"""What one frame shows and its neighbours do not: the spike map behind the detector of dirt.

A sample is a spike where it lies on the same side of both motion-compensated neighbours (SDIp and
ROD: Kokaram, "Motion Picture Restoration", 1998, chapter 6), by more than the noise and the misfit
measured around it.  Regions of spikes are then judged as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from vrestore.ops.regions import Regions, connected

__all__ = ["Spikes", "find_spikes", "splice_rows"]

_CELL = 8
_SPARSE = 3
_OUTLIER = 0.12
"""Differences of the two neighbours above this are dirt in one of them, not noise."""

_QUIET = 0.0025
"""Least standard deviation that is believed: rounding to 8 bits leaves as much."""

_TEXTURE = 0.5
"""Share of the neighbours' local contrast that half a sample of misplacement may explain."""

_SKIRT = 0.12
"""Share of a region's largest evidence that belongs to the region; less is its surroundings."""

_SPLICE = 0.04
"""How much brighter or darker than both neighbours nearly all of a splice's rows are."""

_SPLICE_ZONE = 0.12
"""Share of the height, at the top and at the bottom, in which splices lie."""

_MOST = 0.12
"""Share of spikes in a picture above which it is a flash or another scene, and nothing is dirt."""


@dataclass(frozen=True, slots=True)
class Spikes:
    """Regions in which a frame differs from both neighbours, with what is known of each."""

    regions: Regions

    sign: torch.Tensor
    """(count,) 1 for brighter than the neighbours, -1 for darker."""

    contrast: torch.Tensor
    """(count,) mean distance from the mean of the neighbours, on the unit scale."""

    strength: torch.Tensor
    """(count,) the largest distance in units of the threshold; at least 1."""

    noise: torch.Tensor
    """(H, W) standard deviation of noise and misfit assumed."""

    def keep(self, chosen: torch.Tensor) -> Spikes:
        """The regions for which `chosen` (count,) bool holds."""
        return Spikes(
            regions=self.regions.keep(chosen),
            sign=self.sign[chosen],
            contrast=self.contrast[chosen],
            strength=self.strength[chosen],
            noise=self.noise,
        )


def find_spikes(
    luma: torch.Tensor,
    before: torch.Tensor,
    after: torch.Tensor,
    threshold: float,
    without: slice | None = None,
) -> Spikes | None:
    """Regions of (H, W) `luma` that neither aligned neighbour (H, W) shows; None for none.

    Brighter and darker ones are kept apart.  `threshold` is in standard deviations of the noise,
    about 2 to 6; rows `without` do not count.
    """
    high, low = torch.maximum(before, after), torch.minimum(before, after)
    apart = _noise(high - low)
    middle = torch.add(high, low).mul_(0.5)
    above = luma - middle
    mean, mean_high, mean_low = _mean3(luma), _mean3(high), _mean3(low)
    coarse = torch.maximum(mean - mean_high, mean_low - mean)
    mean_above = mean.sub_(mean_high, alpha=0.5).sub_(mean_low, alpha=0.5)
    usual = apart[::_SPARSE, ::_SPARSE].median()
    noise = apart.mul(_spread(above) / usual).clamp_(min=_QUIET)
    smooth_noise = apart.mul_(_spread(mean_above) / usual).clamp_(min=0.5 * _QUIET)
    top, bottom = _extreme(high, torch.maximum), _extreme(low, torch.minimum)
    fine = torch.maximum(luma - high.lerp_(top, _TEXTURE), low.lerp_(bottom, _TEXTURE) - luma)
    evidence = torch.maximum(fine.div_(noise), coarse.div_(smooth_noise)).div_(threshold)
    if without is not None:
        evidence[without] = 0
    if int((evidence >= 2.0).sum()) > _MOST * luma.numel():
        return None
    regions = connected(evidence > 0.5, above > 0)
    value = evidence[regions.rows, regions.columns]
    peak = regions.peak(value)
    # One or two faint samples never suffice; grain has thousands of them.
    keep = (peak >= 1.0) & ((regions.areas >= 3) | (peak >= 1.6))
    if not bool(keep.any()):
        return None
    chosen = keep[regions.labels] & (value >= _SKIRT * peak[regions.labels])
    regions = regions.only(chosen).keep(keep)
    signed = regions.mean(above[regions.rows, regions.columns])
    return Spikes(
        regions=regions,
        sign=signed.sign(),
        contrast=signed.abs(),
        strength=peak[keep],
        noise=noise,
    )


def splice_rows(luma: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> slice | None:
    """The rows of a splice mark: a bar across the whole width, near the top or the bottom edge.

    Planes as in `find_spikes`.  None where there is none.
    """
    part = (slice(None), slice(None, None, 4))
    high, low = torch.maximum(before[part], after[part]), torch.minimum(before[part], after[part])
    bright, dark = luma[part] - high, low - luma[part]
    # The ninth part of a row can hardly be told from its mean without sorting; most frames can.
    if int((torch.maximum(bright.mean(1), dark.mean(1)) > 0.5 * _SPLICE).sum()) < 2:
        return None
    bright, dark = bright.sort(1).values, dark.sort(1).values
    # Nine tenths of the row must stand out: a shadow or an arm does not reach from edge to edge.
    row = torch.maximum(bright[:, bright.shape[1] // 10], dark[:, dark.shape[1] // 10])
    height = row.numel()
    edge = max(1, round(_SPLICE_ZONE * height))
    marked = row > _SPLICE
    if not 2 <= int(marked.sum()) <= edge or bool(marked[edge : height - edge].any()):
        return None
    at = marked.nonzero()[:, 0]
    first, last = int(at[0]), int(at[-1])
    if last - first >= edge:
        return None
    return slice(max(0, first - 2), min(height, last + 3))


def _noise(apart: torch.Tensor) -> torch.Tensor:
    """(H, W) local standard deviation of a single picture, from the difference of two."""
    height, width = apart.shape
    cells = F.avg_pool2d(
        apart.clamp(max=_OUTLIER)[None, None], _CELL, ceil_mode=True, count_include_pad=False
    )
    wide = F.avg_pool2d(cells, 3, 1, 1, count_include_pad=False)
    # The mean of |a - b| is 2 / sqrt(pi) standard deviations.
    sigma = (wide / 1.128).clamp_(min=0.2 * _QUIET)
    return F.interpolate(sigma, size=(height, width), mode="bilinear")[0, 0]


def _spread(difference: torch.Tensor) -> torch.Tensor:
    """Robust standard deviation of a (H, W) difference, from a part of its samples."""
    return difference[::_SPARSE, ::_SPARSE].abs().median() / 0.6745


def _extreme(
    plane: torch.Tensor, pick: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    wide = F.pad(plane[None], (1, 1, 1, 1), mode="replicate")[0]
    across = pick(pick(wide[:, :-2], wide[:, 2:]), wide[:, 1:-1])
    return pick(pick(across[:-2], across[2:]), across[1:-1])


def _mean3(plane: torch.Tensor) -> torch.Tensor:
    """Mean of 3x3, edges repeated."""
    wide = F.pad(plane[None], (1, 1, 1, 1), mode="replicate")[0]
    across = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    return (across[:-2] + across[1:-1] + across[2:]).mul_(1 / 9)
