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

__all__ = ["Spikes", "find_spikes", "one_sided", "splice_rows"]

_CELL = 8
_SPARSE = 3
_OUTLIER = 0.12
"""Differences of the two neighbours above this are dirt in one of them, not noise."""

_QUIET = 0.0025
"""Least standard deviation that is believed: rounding to 8 bits leaves as much."""

_TEXTURE = 0.5
"""Share of the neighbours' local contrast that half a sample of misplacement may explain."""

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

    misfit: torch.Tensor
    """(count,) mean difference of the frame from its neighbours just outside the region."""

    disagreement: torch.Tensor
    """(count,) mean difference of the neighbours inside the region."""

    noise: torch.Tensor
    """(count,) standard deviation of noise and misfit assumed there."""

    texture: torch.Tensor
    """(count,) mean local contrast (3x3) of the background, on the unit scale."""


def find_spikes(
    luma: torch.Tensor,
    before: torch.Tensor,
    after: torch.Tensor,
    threshold: float,
    without: slice | None = None,
) -> Spikes | None:
    """Regions of (H, W) `luma` that neither aligned neighbour (H, W) shows; None for none.

    `threshold` is in standard deviations of the noise, about 3 to 6; rows `without` do not count.
    """
    high, low = torch.maximum(before, after), torch.minimum(before, after)
    top, bottom = _extreme(high, torch.maximum), _extreme(low, torch.minimum)
    fine = torch.maximum(
        luma - high.lerp(top, _TEXTURE), low.lerp(bottom, _TEXTURE) - luma
    )  # fmt: skip
    mean = _mean3(luma)
    coarse = torch.maximum(mean - _mean3(high), _mean3(low) - mean)
    apart = _noise((before - after).abs_())
    usual = apart[::_SPARSE, ::_SPARSE].median()
    middle = 0.5 * (high + low)
    fine_noise = _spread(luma - middle) / usual
    coarse_noise = _spread(mean - _mean3(middle)) / usual
    noise = (apart * fine_noise).clamp_(min=_QUIET)
    smooth_noise = (apart * coarse_noise).clamp_(min=0.5 * _QUIET)
    evidence = torch.maximum(fine / noise, coarse / smooth_noise).div_(threshold)
    if without is not None:
        evidence[without] = 0
    if int((evidence >= 2.0).sum()) > _MOST * luma.numel():
        return None
    regions = connected(evidence > 0.5)
    value = evidence[regions.rows, regions.columns]
    peak = regions.peak(value)
    # One or two faint samples never suffice; grain has thousands of them.
    keep = (peak >= 1.0) & ((regions.areas >= 3) | (peak >= 1.6))
    if not bool(keep.any()):
        return None
    return _judged(regions.keep(keep), luma, before, after, noise, evidence)


def _judged(
    regions: Regions,
    luma: torch.Tensor,
    before: torch.Tensor,
    after: torch.Tensor,
    noise: torch.Tensor,
    evidence: torch.Tensor,
) -> Spikes:
    at = regions.rows, regions.columns
    here, left, right = luma[at], before[at], after[at]
    above = here - 0.5 * (left + right)
    signed = regions.mean(above)
    return Spikes(
        regions=regions,
        sign=signed.sign(),
        contrast=signed.abs(),
        strength=regions.peak(evidence[at]),
        misfit=_around(regions, luma, before, after),
        disagreement=regions.mean((left - right).abs()),
        noise=regions.mean(noise[at]),
        texture=regions.mean(_contrast_at(before, *at)),
    )


def _contrast_at(plane: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """(N,) difference of the largest and the least of the 3x3 samples around each place."""
    steps = torch.arange(-1, 2, device=plane.device)
    down = (rows[:, None] + steps).clamp_(0, plane.shape[0] - 1)
    across = (columns[:, None] + steps).clamp_(0, plane.shape[1] - 1)
    around = plane[down[:, :, None], across[:, None, :]].flatten(1)
    return around.amax(1) - around.amin(1)


def _around(
    regions: Regions, luma: torch.Tensor, before: torch.Tensor, after: torch.Tensor
) -> torch.Tensor:
    """(count,) how badly the neighbours fit just outside each region."""
    height, width = luma.shape
    inside = torch.zeros(height, width, dtype=torch.bool, device=luma.device)
    inside[regions.rows, regions.columns] = True
    total = torch.zeros(regions.count, device=luma.device)
    weight = torch.zeros(regions.count, device=luma.device)
    for down, across in ((3, 0), (-3, 0), (0, 3), (0, -3), (2, 2), (2, -2), (-2, 2), (-2, -2)):
        rows = (regions.rows + down).clamp_(0, height - 1)
        columns = (regions.columns + across).clamp_(0, width - 1)
        out = ~inside[rows, columns]
        here = luma[rows, columns]
        error = torch.maximum(
            (here - before[rows, columns]).abs_(), (here - after[rows, columns]).abs_()
        )
        total.index_add_(0, regions.labels, error * out)
        weight.index_add_(0, regions.labels, out.float())
    return total / weight.clamp_min(1)


def one_sided(
    luma: torch.Tensor, other: torch.Tensor, threshold: float
) -> tuple[Regions, torch.Tensor] | None:
    """Regions in which (H, W) `luma` differs from one aligned neighbour, and the sign of each.

    None where there are none or so many that they mean nothing.
    """
    difference = luma - other
    far = difference.abs()
    level = _noise(far) * threshold
    found = [difference > level, -difference > level]
    mask = found[0] | found[1]
    count = int(mask.sum())
    if not 0 < count < 3 * _MOST * luma.numel():
        return None
    bright, dark = connected(found[0]), connected(found[1])
    regions = Regions(
        torch.cat((bright.rows, dark.rows)),
        torch.cat((bright.columns, dark.columns)),
        torch.cat((bright.labels, dark.labels + bright.count)),
        bright.count + dark.count,
    )
    sign_of = torch.ones(regions.count, device=luma.device)
    sign_of[bright.count :] = -1
    return regions, sign_of


def splice_rows(luma: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> slice | None:
    """The rows of a splice mark: a bar across the whole width, near the top or the bottom edge.

    Planes as in `find_spikes`.  None where there is none.
    """
    part = (slice(None), slice(None, None, 4))
    high, low = torch.maximum(before[part], after[part]), torch.minimum(before[part], after[part])
    bright = (luma[part] - high).sort(1).values
    dark = (low - luma[part]).sort(1).values
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
