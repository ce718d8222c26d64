"""How the light fell on a frame, against the shot's first: one smooth field of logarithmic gain.

The field is a sum of few shapes: one gain for all, a grid of 4x3 between whose nodes it is
interpolated, a profile of 12 nodes down the picture for horizontal bands, and a slope by tone (a
change of gamma).  Its coefficients are found in closed form on a picture of some 80 columns, along
with the shift and zoom of the whole picture (Negahdaripour's generalised brightness constancy, PAMI
20, 1998), by least squares that are reweighted so that what moves by itself, or was hit by dirt,
does not count.

Frames are compared with an anchor for as long as they resemble it, so that errors do not add up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

from vrestore.media import Frame
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

ACROSS, DOWN = 4, 3
"""Nodes of the grid."""

ROWS = 12
"""Nodes of the profile down the picture."""

SHAPES = 1 + ACROSS * DOWN + ROWS + 1
"""Coefficients: the gain of all, the grid row by row, the profile, the slope by tone."""

MIDDLE = 0.4
"""Luma about which the slope by tone turns."""

DARK = 0.01
"""Added to luma before its logarithm is taken: below it, noise is all there is."""

_WIDTH = 80

_MOTIONS = 3
"""Coefficients that are found along with the field: shift to the right and down, zoom."""

_PRIOR = np.array([10.0] + [0.06] * (ACROSS * DOWN) + [0.04] * ROWS + [0.15] + [0.7, 0.7, 0.01])
"""Standard deviation expected of each coefficient; of shifts in samples of the small picture."""

_VOICES = np.array([1.0] + [ACROSS * DOWN / 2] * (ACROSS * DOWN) + [ROWS / 2] * ROWS + [1.0])
"""How many times fewer samples each coefficient rests on than the first."""

_BLUR = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]).outer(
    torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0])
)[None, None] / 256  # fmt: skip

_ITERATIONS = 4

_KEEP_SHARE = 0.5
"""Share of the picture that must follow the field for an anchor to be kept."""

_CLUMP = 1.5
"""Samples of the small picture that err together."""

_QUIET = 0.006
"""Least standard deviation assumed of a sample's logarithmic gain about the field."""


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
    """(n,) small luma, a little blurred, flat."""

    level: torch.Tensor
    """(n,) its logarithm."""

    slopes: tuple[torch.Tensor, torch.Tensor]
    """(n,) how the level rises to the right and down, per sample."""

    size: tuple[int, int]


class FollowLight:
    """The light of a shot, frame by frame.  UNIT frames of one size."""

    def __init__(self) -> None:
        self._anchor: _Look | None = None
        self._anchor_field: Series = np.zeros(SHAPES)
        self._before: _Look | None = None
        self._field: Series = np.zeros(SHAPES)

    def push(self, frame: Frame) -> Light:
        """The light on the shot's next frame; as on the one before, if nothing can be compared."""
        small, _ = small_luma(frame, _WIDTH)
        look = _look(small)
        share = 0.0
        error: Series = np.zeros(SHAPES)
        if self._before is None:
            self._anchor, share = look, 1.0
        else:
            change, error, share = self._compare(self._before, look)
            self._field = self._anchor_field + change
        self._before = look
        return Light(field=self._field, error=error, share=share)

    def _compare(self, before: _Look, look: _Look) -> tuple[Series, Series, float]:
        assert self._anchor is not None
        change, error, share = _fit(self._anchor, look)
        if share < _KEEP_SHARE and self._anchor is not before:
            self._anchor, self._anchor_field = before, self._field
            change, error, share = _fit(before, look)
        return change, error, share


def _look(small: torch.Tensor) -> _Look:
    height, width = small.shape
    wide = F.pad(small[None, None], (2, 2, 2, 2), mode="replicate")
    blurred = F.conv2d(wide, _BLUR)[0, 0]
    level = torch.log(blurred.clamp_min(0) + DARK)
    right, down = (blurred.new_zeros(height, width) for _ in range(2))
    right[:, 1:-1] = (level[:, 2:] - level[:, :-2]) / 2
    down[1:-1] = (level[2:] - level[:-2]) / 2
    return _Look(
        luma=blurred.flatten(),
        level=level.flatten(),
        slopes=(right.flatten(), down.flatten()),
        size=(height, width),
    )


def _fit(anchor: _Look, look: _Look) -> tuple[Series, Series, float]:
    """The field from an anchor to a frame, its standard errors, and the share that follows it."""
    ratio = look.level - anchor.level
    lower = torch.minimum(look.luma, anchor.luma)
    upper = torch.maximum(look.luma, anchor.luma)
    # What is black or clipped white tells nothing of the light.
    telling = ((lower - 0.03) / 0.1).clamp_(0, 1) * ((1.0 - upper) / 0.05).clamp_(0, 1)
    total = float(telling.sum())
    if total < 0.02 * len(ratio):
        return np.zeros(SHAPES), np.zeros(SHAPES), 0.0
    basis = _basis(anchor, look)
    start = float(ratio[telling > 0.5].median()) if bool((telling > 0.5).any()) else 0.0
    residual = ratio - start
    weights, spread = _reweighted(residual, telling)
    field = torch.zeros(SHAPES + _MOTIONS)
    for _ in range(_ITERATIONS):
        weighted = basis * weights[:, None]
        ridge = torch.from_numpy((spread / _PRIOR) ** 2).float().diag()
        normal = weighted.t() @ basis + ridge
        field = torch.linalg.solve(normal, weighted.t() @ ratio)
        residual = ratio - basis @ field
        weights, spread = _reweighted(residual, telling)
    followed = float(weights.sum())
    error = spread * np.sqrt(_CLUMP * _VOICES / followed)
    contrast = float((telling * (anchor.level - (telling * anchor.level).sum() / total) ** 2).sum())
    error[-1] /= max(0.05, math.sqrt(contrast / total))
    return field[:SHAPES].double().numpy(), error, followed / total


def _reweighted(residual: torch.Tensor, telling: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Geman-McClure weights by residuals, and the residuals' robust standard deviation."""
    size = residual.abs()
    known = size[telling > 0.5]
    spread = max(1.4826 * float(known.median()) if len(known) else 0.0, _QUIET)
    # Where most of the picture moves, its median would let everything in.
    spread = min(spread, 0.08)
    return telling / (1 + (size / (2.5 * spread)) ** 2) ** 2, spread


def _basis(anchor: _Look, look: _Look) -> torch.Tensor:
    """(n, SHAPES + _MOTIONS): what each coefficient does to the ratio of levels."""
    height, width = look.size
    basis = _shapes(height, width).clone()
    basis[:, SHAPES - 1] = anchor.level - math.log(MIDDLE + DARK)
    right, down = ((a + b) / 2 for a, b in zip(anchor.slopes, look.slopes, strict=True))
    y = (torch.arange(height) - (height - 1) / 2)[:, None].expand(height, width).flatten()
    x = (torch.arange(width) - (width - 1) / 2).expand(height, width).flatten()
    basis[:, SHAPES] = right
    basis[:, SHAPES + 1] = down
    basis[:, SHAPES + 2] = x * right + y * down
    return basis


@lru_cache(maxsize=4)
def _shapes(height: int, width: int) -> torch.Tensor:
    """(height * width, SHAPES + _MOTIONS): each shape at each sample, and room for the slope by
    tone and the motions.

    The grid and the profile are without their mean, so that the first shape alone is the gain of
    the whole.
    """
    across, down = hats(width, ACROSS), hats(height, DOWN)
    grid = torch.einsum("yj,xi->yxji", down, across).reshape(height, width, -1)
    rows = hats(height, ROWS)[:, None].expand(height, width, ROWS)
    grid, rows = grid - grid.mean((0, 1)), rows - rows.mean((0, 1))
    one = torch.ones(height, width, 1)
    room = torch.zeros(height, width, 1 + _MOTIONS)
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
