"""How the light fell on a frame, against the shot's first: one smooth field of logarithmic gain.

The field is a sum of few shapes: one gain for all, a grid of 5x3 between whose nodes it is
interpolated, a profile of 12 nodes down the picture for horizontal bands, and a slope by tone (a
change of gamma).  Each frame is compared with a mosaic of what the shot has shown so far under one
light, carried along with the motion of its parts (`blockmotion`), so that what enters
or leaves the picture is no change of light.  The field is found in closed form on cells of a
picture of some 130 columns, by least squares that are reweighted so that what is not found again,
or was hit by dirt, does not count, and held back by what each shape has been seen to do lately
(an empirical Bayes prior).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

from vrestore.media import Frame
from vrestore.ops.blockmotion import Pyramid, displace, estimate, pyramid
from vrestore.ops.smallluma import small_luma
from vrestore.ops.steadypath import Series

__all__ = [
    "ACROSS",
    "DARK",
    "DOWN",
    "MIDDLE",
    "ROWS",
    "SHAPES",
    "FollowLight",
    "Light",
    "hats",
    "hats_mean",
]

ACROSS, DOWN = 5, 3
"""Nodes of the grid."""

ROWS = 12
"""Nodes of the profile down the picture."""

SHAPES = 1 + ACROSS * DOWN + ROWS + 1
"""Coefficients: the gain of all, the grid row by row, the profile, the slope by tone."""

MIDDLE = 0.4
"""Luma about which the slope by tone turns."""

DARK = 0.01
"""Added to luma before its logarithm is taken: below it, noise is all there is."""

_WIDTH = 130

_CELL = 4
"""Side of the cells that vote, in samples of the small picture."""

_GROUPS = (slice(1, 1 + ACROSS * DOWN), slice(1 + ACROSS * DOWN, SHAPES - 1), slice(-1, None))
"""Coefficients whose trembling is learned together: the grid, the profile, the slope by tone."""

_PRIOR = np.array([10.0] + [0.06] * (ACROSS * DOWN) + [0.04] * ROWS + [0.15])
"""Standard deviation of each coefficient where flicker is strong."""

_AT_FIRST, _LEAST, _MOST = 0.5, 0.15, 3.0
"""How many times that is expected at a shot's start, and the bounds of what is learned."""

_LEARNED = 0.15
"""Share of the newest frame in what has been learned of the trembling."""

_ROOM = 2.0
"""How many times farther out than it trembled lately a coefficient is still likely."""

_CLUMP = 2.0
"""Cells that err together."""

_VOICES = np.array([1.0] + [ACROSS * DOWN / 2] * (ACROSS * DOWN) + [ROWS / 2] * ROWS + [1.0])
"""How many times fewer cells each coefficient rests on than the first."""

_ITERATIONS = 5

_OUTLIER = 2.0
"""Residual, in standard deviations, at which a cell's vote has fallen to a quarter."""

_QUIET = 0.004
"""Least standard deviation assumed of a cell's logarithmic gain about the field."""

_RESTLESS = 0.08
"""The greatest: where most of the picture moves, its median would let everything in."""

_WIDE = 0.2
"""What it is at the first of the iterations, when only the gain of all is known; it then falls."""

_SAME = 0.005
"""Standard deviation of logarithmic gain inside a cell that is surely found again."""

_LOST = 0.15
"""Logarithmic difference from the mosaic at which a part of it is begun anew."""

_FAR = 0.4
"""Logarithmic gain against the mosaic's light past which it is begun anew: in a fade from black
there is more noise than picture in it."""

_MEMORY = 12.0
"""Frames over which the mosaic is averaged."""

_BETTER = 0.8
"""A vector must leave so much less variance than none, or it would only add its own errors."""

_ALIKE = 0.02
"""Standard deviation of logarithmic gain around a sample whose picture has not moved."""

_AT_REST = 0.02
"""Share of a picture that may have moved without any motion being looked for."""

_LEAST_SHARE = 0.2
"""Share of the picture that must follow the field for it to be believed at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """The light on one frame, against that on the shot's first."""

    field: Series
    """(SHAPES,) coefficients of the logarithm of gain."""

    error: Series
    """(SHAPES,) their standard errors."""

    share: float
    """Share of the picture that followed the field, 0..1; 0 where nothing could be compared."""


@dataclass(frozen=True, slots=True)
class _Look:
    luma: torch.Tensor
    """(h, w) small luma."""

    level: torch.Tensor
    """(h, w) its logarithm."""

    detail: Pyramid
    """What motion is found on: the level without local means, so that light is no motion."""


@dataclass(frozen=True, slots=True)
class _Votes:
    """What each cell tells, (n,) each."""

    ratio: torch.Tensor
    """Logarithmic gain against the mosaic."""

    weight: torch.Tensor
    """How surely it is found again, 0..1, before any robust weight."""

    telling: torch.Tensor
    """0..1: what is black or clipped white tells nothing of the light."""


class FollowLight:
    """The light of a shot, frame by frame.  UNIT frames of one size."""

    def __init__(self) -> None:
        self._before: _Look | None = None
        self._mosaic = torch.empty(0)
        self._age = torch.empty(0)
        self._field: Series = np.zeros(SHAPES)
        self._base: Series = np.zeros(SHAPES)
        self._trembling: Series = np.full(len(_GROUPS), (_AT_FIRST / _ROOM) ** 2)

    def push(self, frame: Frame) -> Light:
        """The light on the shot's next frame; as on the one before, if nothing can be compared."""
        small, _ = small_luma(frame, _WIDTH)
        look = _look(small)
        before, self._before = self._before, look
        if before is None:
            self._begin(look)
            return Light(field=self._field, error=np.zeros(SHAPES), share=1.0)
        seen, age, shown = self._carried(before, look)
        votes = _votes(look, seen, shown)
        if float(votes.telling.sum()) < 0.02 * len(votes.telling):
            self._begin(look)
            return Light(field=self._field, error=np.zeros(SHAPES), share=0.0)
        basis = _shapes(*_cells(look.luma)).clone()
        basis[:, -1] = _pooled(seen).flatten() - math.log(MIDDLE + DARK)
        change, error, share = _fit(votes, basis, self._expected())
        if share < _LEAST_SHARE:
            self._begin(look)
            return Light(field=self._field, error=error, share=0.0)
        self._learn(self._base + change)
        self._field = self._base + change
        if abs(change[0]) > _FAR:
            self._begin(look)
        else:
            self._extend(look, seen, age, change)
        return Light(field=self._field, error=error, share=share)

    def _begin(self, look: _Look) -> None:
        """A mosaic of this frame alone, under the light last known."""
        self._mosaic, self._base = look.level, self._field
        self._age = torch.ones_like(look.level)

    def _carried(self, before: _Look, look: _Look) -> torch.Tensor:
        """(3, h, w): the mosaic, its age and the luma before, where this frame shows them."""
        still = torch.stack((self._mosaic, self._age, before.luma))
        unlike = _unlikeness(look.level - still[0])
        if float((unlike > _ALIKE**2).float().mean()) < _AT_REST:
            return still
        moved = displace(still[None], estimate(look.detail, before.detail))[0]
        better = _unlikeness(look.level - moved[0]) < _BETTER * unlike - 1e-5
        return torch.where(better, moved, still)

    def _expected(self) -> Series:
        """(SHAPES,) standard deviations of the coefficients, by what they did lately."""
        expected = _PRIOR.copy()
        for group, variance in zip(_GROUPS, self._trembling, strict=True):
            expected[group] *= min(max(_ROOM * math.sqrt(variance), _LEAST), _MOST)
        return expected

    def _learn(self, field: Series) -> None:
        steps = np.square((field - self._field) / _PRIOR) / 2
        for number, group in enumerate(_GROUPS):
            self._trembling[number] *= 1 - _LEARNED
            self._trembling[number] += _LEARNED * float(steps[group].mean())

    def _extend(self, look: _Look, seen: torch.Tensor, age: torch.Tensor, change: Series) -> None:
        """The mosaic with this frame in it, as the light it began under would show it."""
        apart = look.level - _expanded(change, seen) - seen
        lost = _smoothed(apart.abs()[None, None], 1)[0, 0] > _LOST
        self._age = (age + 1).clamp_(max=_MEMORY).masked_fill_(lost, 1.0)
        self._mosaic = seen + apart / self._age


def _look(small: torch.Tensor) -> _Look:
    level = torch.log(small.clamp_min(0) + DARK)
    detail = level - _smoothed(level[None, None], 4)[0, 0]
    # `blockmotion` has its thresholds on the unit scale: the contrast of an ordinary picture.
    detail.mul_(0.1 / detail.abs().mean().clamp_min(0.02)).clamp_(-0.5, 0.5)
    return _Look(luma=small, level=level, detail=pyramid(detail))


def _unlikeness(apart: torch.Tensor) -> torch.Tensor:
    """(h, w) variance, around each sample, of the difference between two levels."""
    means = _smoothed(apart[None, None], 2)[0, 0]
    return _smoothed((apart - means).square_()[None, None], 2)[0, 0]


def _smoothed(planes: torch.Tensor, reach: int) -> torch.Tensor:
    """Means of (n, 1, h, w) over squares that reach so far to each side, fewer at the edges."""
    return F.avg_pool2d(planes, 2 * reach + 1, 1, reach, count_include_pad=False)


def _cells(luma: torch.Tensor) -> tuple[int, int]:
    return luma.shape[0] // _CELL, luma.shape[1] // _CELL


def _pooled(plane: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(plane[None, None], _CELL)[0, 0]


def _votes(look: _Look, seen: torch.Tensor, shown: torch.Tensor) -> _Votes:
    ratio = look.level - seen
    lower, upper = torch.minimum(look.luma, shown), torch.maximum(look.luma, shown)
    telling = ((lower - 0.03) / 0.1).clamp_(0, 1) * ((1.0 - upper) / 0.05).clamp_(0, 1)
    pooled = F.avg_pool2d(torch.stack((ratio, ratio.square(), telling)), _CELL).flatten(1)
    mean, square, told = pooled
    variance = (square - mean.square()).clamp_(min=0)
    return _Votes(ratio=mean, weight=told / (variance / _SAME**2 + 1), telling=told)


def _fit(votes: _Votes, basis: torch.Tensor, expected: Series) -> tuple[Series, Series, float]:
    """The field, its standard errors, and the share of the picture that follows it."""
    known = votes.telling > 0.5
    prior = torch.from_numpy(expected).float()
    field = torch.zeros(SHAPES)
    start = votes.ratio[known].median() if bool(known.any()) else votes.ratio.median()
    residual = votes.ratio - start
    for step in range(_ITERATIONS + 1):
        size = residual.abs()
        spread = 1.4826 * float(size[known].median()) if bool(known.any()) else 0.0
        spread = min(max(spread, _QUIET), _RESTLESS)
        bound = _OUTLIER * max(spread, _WIDE * 0.4**step)
        robust = 1 / (1 + (size / bound).square_()).square_()
        followed = float((votes.telling * robust).sum())
        if step == _ITERATIONS:
            break
        weight = votes.weight * robust
        weighted = basis * weight[:, None]
        # A cell's weight is relative: the prior weighs as much as `_CLUMP` usual cells.
        usual = _CLUMP * float(weight.sum()) / max(followed, 1e-3)
        normal = weighted.t() @ basis + ((spread / prior).square_() * usual + 1e-9).diag()
        field = torch.linalg.solve(normal, weighted.t() @ votes.ratio)
        residual = votes.ratio - basis @ field
    error = spread * np.sqrt(_CLUMP * _VOICES / max(followed, 1.0))
    tone = basis[:, -1]
    total = float(votes.telling.sum())
    middle = float((votes.telling * tone).sum()) / total
    contrast = float((votes.telling * (tone - middle).square()).sum()) / total
    error[-1] /= max(0.05, math.sqrt(contrast))
    return field.double().numpy(), error, followed / total


def _expanded(field: Series, level: torch.Tensor) -> torch.Tensor:
    """(h, w) logarithm of gain, where `level` is that of the mosaic."""
    values = torch.from_numpy(field).float()
    even = (_shapes(*level.shape)[:, :-1] @ values[:-1]).view(level.shape)
    return even.add_(level - math.log(MIDDLE + DARK), alpha=float(values[-1]))


@lru_cache(maxsize=8)
def _shapes(height: int, width: int) -> torch.Tensor:
    """(height * width, SHAPES): each shape at each sample, and room for the slope by tone.

    The grid and the profile are without their mean, so that the first shape alone is the gain of
    the whole.
    """
    across, down = hats(width, ACROSS), hats(height, DOWN)
    grid = torch.einsum("yj,xi->yxji", down, across).reshape(height, width, -1)
    rows = hats(height, ROWS)[:, None].expand(height, width, ROWS)
    grid, rows = grid - grid.mean((0, 1)), rows - rows.mean((0, 1))
    one, room = torch.ones(height, width, 1), torch.zeros(height, width, 1)
    return torch.cat((one, grid, rows, room), dim=2).flatten(0, 1).contiguous()


@lru_cache(maxsize=16)
def hats(size: int, nodes: int) -> torch.Tensor:
    """(size, nodes) float32: linear interpolation between nodes from the first sample's edge to the
    last one's."""
    at = (torch.arange(size, dtype=torch.float64) + 0.5) / size * (nodes - 1)
    return (1 - (at[:, None] - torch.arange(nodes)).abs()).clamp_(min=0).float()


def hats_mean(nodes: int) -> torch.Tensor:
    """(nodes,): the mean of each hat over a picture of many samples."""
    means = torch.ones(nodes)
    means[0] = means[-1] = 0.5
    return means / (nodes - 1)
