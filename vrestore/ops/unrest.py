"""What changes in a picture at rest from frame to frame, and a line that changes otherwise.

A camera or a film that trembles by a part of a sample changes each sample by the square of its
slope, and coding errs most at edges too: how much that is, is told by all edges of the picture.  A
scratch changes more, since it trembles by itself and other film runs under it; one that hides the
grain changes less than what lies beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

__all__ = ["Unrest", "changes_by_itself", "unrest_of"]

_FRESH = 1.5
"""How many times more than an edge of the picture as steep a line changes from frame to frame that
is no part of a picture at rest: it trembles, and under it runs other film."""

_BARE = 0.85
"""Share of the change beside it that shows in a line which hides the grain around it."""

_EXPLAINED = 0.45
"""Share of a line's change that may be left once it has moved aside, for a line of the picture: a
camera that moves by a part of a sample changes a thin line more than what lies beside it."""

_FARTHEST = 3
"""Samples aside that are tried."""

_WIDEST = 2
"""Half the width of a line."""

_MEDIAN_SQUARE = 0.455
"""Median of the square of what is normally distributed, as a share of its mean."""

_TILE = 48
"""Side of the parts of a picture whose edges are looked at together."""

_EDGY = 0.02
"""Share of edges from which a part tells."""

_LEAST_CHANGE = (1.5 / 255) ** 2
"""Mean square of a change that is more than rounding and coding."""

_BESIDE = (5, 9)
"""Nearest and farthest sample of what lies beside it."""


class Unrest(NamedTuple):
    """How a picture changed from the frame before."""

    calm: float
    """Mean square change where nothing is steep: grain and noise."""

    steep: float
    """What is added to it per square of slope: what steadying, coding and a gate leave at edges."""


def unrest_of(before: torch.Tensor, here: torch.Tensor) -> Unrest:
    """From one (H, W) luma to the next."""
    one, other = before[::4], here[::4]
    change, steep = (one - other).square(), _steepness((one + other) / 2)
    flat = steep.flatten()
    bound = flat.kthvalue(max(1, round(0.9 * len(flat)))).values
    calm = change[steep <= flat.median()].median() / _MEDIAN_SQUARE
    edges = (steep > bound).float()
    # What moves by itself fills some tiles of the picture: the median of them is at rest.
    tile = (min(_TILE // 4, steep.shape[0]), min(_TILE, steep.shape[1]))
    sums = F.avg_pool2d(torch.stack((change, steep, edges)) * edges, tile)
    known = sums[2] > _EDGY
    if not bool(known.any()):
        return Unrest(float(calm), 0.0)
    more = (sums[0][known] - calm * sums[2][known]) / sums[1][known]
    return Unrest(float(calm), max(0.0, float(more.median())))


def _steepness(luma: torch.Tensor) -> torch.Tensor:
    """(H, W) mean square of the steps to the left and to the right."""
    steps = F.pad((luma[:, 1:] - luma[:, :-1]).square(), (1, 1))
    return (steps[:, 1:] + steps[:, :-1]) / 2


def changes_by_itself(
    column: int,
    strips: torch.Tensor,
    lumas: Sequence[torch.Tensor],
    unrests: Sequence[Unrest],
    here: int,
) -> bool:
    """Whether a line changes more from frame to frame than edges of the picture do, and not by
    drifting along as things do before a camera that moves; or less than what lies beside it.

    `column` is its middle in `lumas[here]`, (H, W) each and in order, `strips` (n,) bool the parts
    of the height that show it, and each of `unrests` is that from the frame before.
    """
    luma = lumas[here]
    nearest, farthest = _BESIDE
    if not farthest < column < luma.shape[1] - farthest:
        return False
    rows = luma.shape[0] // len(strips)
    shown = strips.repeat_interleave(rows)

    def band(number: int) -> torch.Tensor:
        return lumas[number][: len(shown), column - farthest : column + farthest + 1][shown]

    ratios, bare, rests, paces = [], [], [], []
    for there in range(max(0, here - 2), min(len(lumas), here + 3)):
        steps = there - here
        if not steps:
            continue
        rest, aside = _moved_aside(band(here), band(there))
        rests.append(rest)
        paces.append(aside / steps)
        if abs(steps) > 1:
            continue
        change = (band(here) - band(there)).square()
        change = change.view(-1, rows, change.shape[1]).mean(1)
        side = farthest - nearest + 1
        beside = torch.minimum(change[:, :side].mean(1), change[:, -side:].mean(1))
        middle = change[:, farthest - _WIDEST : farthest + _WIDEST + 1].mean(1)
        loud = torch.maximum(middle, beside) > _LEAST_CHANGE
        bare.append(float((middle / (beside + 1e-9)).where(loud, 1.0).median()))
        calm, steep = unrests[max(here, there)]
        both = (band(here) + band(there)) / 2
        slope = _steepness(both).view(-1, rows, change.shape[1]).mean(1)
        usual = calm + steep * slope[:, farthest - _WIDEST : farthest + _WIDEST + 1].mean(1)
        ratios.append(float((middle / (usual + 1e-9)).where(loud, 1.0).median()))
    if not ratios:
        return False
    drifts = min(paces) * max(paces) > 0 and sum(rests) / len(rests) < _EXPLAINED
    trembles = sum(ratios) / len(ratios) > _FRESH and not drifts
    return trembles or sum(bare) / len(bare) < _BARE


def _moved_aside(here: torch.Tensor, there: torch.Tensor) -> tuple[float, float]:
    """What is left of a change in the middle of a band once the other frame is read up to
    `_FARTHEST` samples aside, as a share of it, and how far aside that is; (rows, columns) each."""
    width = 2 * _WIDEST + 1
    first = here.shape[1] // 2 - _WIDEST
    reach = slice(first - _FARTHEST, first + width + _FARTHEST)
    gaps = here[:, None, first : first + width] - there[:, reach].unfold(1, width, 1)
    squares = gaps.square().mean((0, 2))
    products = (gaps[:, :-1] * gaps[:, 1:]).mean((0, 2))
    # Between two whole samples the other frame is mixed of both, and the error a parabola.
    near, far = squares[:-1], squares[1:]
    share = ((near - products) / (near - 2 * products + far + 1e-12)).clamp(0, 1)
    left = (1 - share).square() * near + 2 * share * (1 - share) * products + share.square() * far
    best = int(left.argmin())
    rest = float(left[best]) / (float(squares[_FARTHEST]) + 1e-9)
    return rest, best + float(share[best]) - _FARTHEST
