"""Thin vertical lines of one picture, whatever they are.

Each row's distance from the mean of both sides of a column, clipped so that no single row counts
for much (as in the line models of Kokaram, "Motion Picture Restoration", 1998, chapter 11, but
without a Hough transform), averaged over strips; a column is a line where strips agree and both
sides are alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

__all__ = ["Lines", "find_lines"]

_SIDE = 4
"""Distance of the samples beside a line from its middle."""

_FAR = 9
"""Distance of the samples that show how the picture bends around it."""

_BEND = 0.18
"""Share of the bend between far and near sides that goes on to the middle, for a parabola."""

_ALONE = 2.6
"""How many times higher than the columns around a line is."""

_BOTH = 0.45
"""Least share of a line's height by which it stands out from either side."""

_STRIPS = 12
"""Parts of the height in which a line is looked for by itself."""

_SHARE = 0.3
"""Least share of the strips that show a line."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Vertical lines of one picture."""

    column: torch.Tensor
    """(n,) int64, the middle."""

    sign: torch.Tensor
    """(n,) 1 for brighter than its sides, -1 for darker."""

    strips: torch.Tensor
    """(n, _STRIPS) bool: where it is seen."""


def find_lines(luma: torch.Tensor, clear: float) -> Lines:
    """Thin vertical lines of a (H, W) plane, 0.6 to 3 samples wide, whatever they are.

    `clear` is the least mean height in standard errors.
    """
    height, width = luma.shape
    if width < 4 * _FAR:
        return _no_lines(luma)
    strips = _STRIPS if height >= 8 * _STRIPS else max(1, height // 8)
    rows = height // strips
    wide = F.pad(luma[: strips * rows][None], (_FAR + 1, _FAR + 1, 0, 0), mode="replicate")[0]

    def beside(offset: int) -> torch.Tensor:
        start = _FAR + 1 + offset
        return wide[:, start : start + width]

    left, right = beside(-_SIDE) + beside(-_SIDE + 1), beside(_SIDE) + beside(_SIDE - 1)
    near = 0.25 * (left + right)
    far = 0.25 * (beside(-_FAR) + beside(-_FAR - 1) + beside(_FAR) + beside(_FAR + 1))
    # What bends evenly between the four sides is the picture; a line stands out from the bend.
    plain = beside(0) - near
    above = plain - _BEND * (near - far)

    def per_strip(values: torch.Tensor) -> torch.Tensor:
        return values.view(strips, rows, width).mean(1)

    from_left, from_right = per_strip(beside(0) - 0.5 * left), per_strip(beside(0) - 0.5 * right)
    scale = above[:: max(1, rows // 8), ::4].abs().median() / 0.6745 + 0.003
    parts = above.view(strips, rows, width)
    rough = parts.mean(1, keepdim=True)
    spread = parts.std(1, keepdim=True)
    # One bright thing that crosses the line in a few rows must not make it.
    parts = torch.minimum(torch.maximum(parts, rough - 1.5 * spread), rough + 1.5 * spread)
    mean = parts.mean(1)
    error = spread[:, 0] / rows**0.5 + 0.15 * scale
    evidence = mean / error
    seen = (evidence.abs() > clear) & (mean.abs() > _ALONE * _usual(mean))
    # An edge stands out from one side only, what lies by the far samples of a line from none.
    sided = torch.minimum(from_left * mean.sign(), from_right * mean.sign())
    seen &= sided > _BOTH * mean.abs()
    sign = torch.where((seen & (mean > 0)).sum(0) >= (seen & (mean < 0)).sum(0), 1.0, -1.0)
    seen &= mean * sign > 0
    count = seen.sum(0)
    # The same line may be strongest one column aside in other strips.
    around = F.pad(seen.float()[None], (1, 1))[0]
    joined = (around[:, :-2] + around[:, 1:-1] + around[:, 2:]) > 0
    total = joined.sum(0) * (count > 0)
    score = total.float() + 0.01 * (evidence * sign * seen).sum(0).clamp(max=50)
    top = F.max_pool1d(score[None], 2 * _SIDE + 1, 1, _SIDE)[0]
    column = ((score == top) & (total >= max(2, round(_SHARE * strips)))).nonzero()[:, 0]
    return Lines(column, sign[column], joined[:, column].t())


def _no_lines(luma: torch.Tensor) -> Lines:
    none = luma.new_zeros(0)
    return Lines(none.long(), none, none.bool()[:, None])


def _usual(mean: torch.Tensor) -> torch.Tensor:
    """(strips, W) median height of the columns around, without regard to sign."""
    reach = 12
    wide = F.pad(mean.abs()[None], (reach, reach), mode="reflect")[0]
    return (
        wide.unfold(1, 2 * reach + 1, 2)
        .median(2)
        .values.repeat_interleave(2, 1)[:, : mean.shape[1]]
    )
