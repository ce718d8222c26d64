"""How steadily light and place are kept from frame to frame.

A worn gate throws the whole picture, and a trembling lamp lights all of it, whatever the picture
shows.  So each frame is matched with the one before in cells of a small luma, and what all cells
have in common is asked: of how their motion changes, which is nothing for whatever keeps its
course, near or far, and of how much brighter they are than where they came from.  The median over
the cells answers, and their spread says how far to believe it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from vrestore.ops.steadypath import tremor

__all__ = ["CellTracks", "Flicker", "Weave"]

Numbers: TypeAlias = npt.NDArray[np.floating[Any]]

_CELL = 20
"""Side of a cell, in samples of the small luma."""

_REACH = 5
"""Samples about the picture's own motion in which a cell's is looked for."""

_COARSE, _COARSE_REACH = 4, 8
"""The picture's own motion is looked for at a quarter of the size, so many samples each way."""

_MEAN_SIDE = 9
"""Side of the square whose mean is taken off, so that light does not pull at a match."""

_DARK = 0.03
"""Luma below which a cell says nothing of light."""

_FAINT = (0.6 / 255) ** 2
"""Power of detail below which a cell has no place that could be found again."""

_FOUND = 0.4
"""Share of the usual misfit up to which a cell has been found again."""

_FEWEST = 7
"""Steps that are needed."""

_FEW_CELLS = 8
"""Cells without which a step says nothing."""

_REPEAT = 0.25
"""Share of the larger steps' change below which a frame repeats the one before."""

_STILL = 0.25 / 255
"""Mean change up to which frames are the same in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flicker:
    """How the light trembles."""

    size: float
    """Standard deviation of what is not smooth in the light's logarithm: 0.01 is one per cent."""

    agree: float
    """0..1: how much of it the cells of the picture have in common."""

    worst: int
    """Position of the frame that sticks out most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weave:
    """How the picture trembles in its place."""

    x: float
    y: float
    """Standard deviations of trembling that is new in every frame, in samples of the small luma."""

    error: float
    """Of their measurement, in the same samples."""

    rough: float
    """0..1: near 1 where every frame is thrown anew, as in a worn gate; under 0.5 where the
    picture follows a course, as of a camera that is held or moved."""

    seen: float
    """Share of the picture, 0..1, that was found again from frame to frame."""

    worst: int
    """Position of the frame that sticks out most."""


class CellTracks:
    """Follows the cells of a shot's small luma, frame by frame."""

    def __init__(self) -> None:
        self._before: _Look | None = None
        self._moves: list[Numbers] = []
        self._gains: list[Numbers] = []
        self._changes: list[float] = []

    def push(self, small: torch.Tensor) -> None:
        """(H, W) small luma of the next frame, unit scale, 16x16 or more."""
        look = _Look(small)
        if self._before is not None:
            moves, gains = _step(self._before, look)
            self._moves.append(moves)
            self._gains.append(gains)
            self._changes.append(float((look.luma - self._before.luma).abs().mean()))
        self._before = look

    def at_rest(self) -> bool:
        """Whether the picture as a whole stood still all the time."""
        return all(np.abs(_median_move(moves)).max() <= _AT_REST for moves in self._moves)

    def flicker(self) -> Flicker:
        """Of all that was pushed; nothing for fewer than 8 frames."""
        steps = [_middle(gains[~np.isnan(gains)]) for gains in self._gains]
        curve = np.cumsum([0.0, *(value for value, _ in steps)])
        if len(steps) < _FEWEST:
            return Flicker(size=0.0, agree=0.0, worst=0)
        size = float(tremor(curve[:, None])[0])
        # The tremor of a curve whose steps are only errors, each of its own.
        doubt = float(np.sqrt(np.mean([error**2 for _, error in steps]) / 2))
        agree = size**2 / (size**2 + _DOUBTS * doubt**2) if size > 0 else 0.0
        bent = curve[1:-1] - 0.5 * (curve[:-2] + curve[2:])
        return Flicker(size=size, agree=agree, worst=1 + int(np.abs(bent).argmax()))

    def weave(self) -> Weave:
        """Of all that was pushed; nothing for fewer than 9 different frames."""
        kept = self._different()
        found = [~np.isnan(self._moves[k]).any(axis=1) for k in kept]
        seen = float(np.mean([one.mean() for one in found])) if found else 0.0
        turns: list[tuple[Numbers, float]] = []
        for before, here in pairwise(kept):
            turn = self._moves[here] - self._moves[before]
            turn = turn[~np.isnan(turn).any(axis=1)]
            if len(turn) >= _FEW_CELLS:
                across, down = _middle(turn[:, 0]), _middle(turn[:, 1])
                turns.append((np.array([across[0], down[0]]), max(across[1], down[1])))
        if len(turns) < _FEWEST:
            return Weave(x=0.0, y=0.0, error=0.0, rough=0.0, seen=seen, worst=0)
        thrown = np.array([turn for turn, _ in turns])
        error = float(np.median([error for _, error in turns])) / np.sqrt(6)
        size = _spread(thrown) / np.sqrt(6)
        return Weave(
            x=float(size[0]),
            y=float(size[1]),
            error=error,
            rough=_roughness(thrown),
            seen=seen,
            worst=1 + kept[int(np.hypot(*thrown.T).argmax())],
        )

    def _different(self) -> list[int]:
        """Steps to frames that do not repeat the one before, which would seem to halt and start."""
        changes = np.array(self._changes)
        if not len(changes):
            return []
        usual = _REPEAT * float(np.quantile(changes, 0.8))
        still = (changes < max(usual, _STILL)) & (usual > _STILL)
        return [int(k) for k in np.flatnonzero(~still)]


_AT_REST = 0.03
"""Samples of the small luma that a picture at rest may seem to move."""

_DOUBTS = 2.0
"""How much more an error counts than what it is an error of."""


class _Look:
    """A frame's small luma and what matching needs of it."""

    def __init__(self, small: torch.Tensor) -> None:
        self.luma = small
        side = min(_MEAN_SIDE, (min(small.shape) - 1) // 2 * 2 + 1)
        self.detail = _box(small - _box(small, side), 3)
        self.coarse = F.avg_pool2d(self.detail[None, None].abs(), _COARSE)[0, 0]
        self.coarse -= self.coarse.mean()


def _box(plane: torch.Tensor, side: int) -> torch.Tensor:
    """Means over squares of an odd side, of what of them lies inside the picture."""
    reach = side // 2
    rows, columns = (_inside(size, side) for size in plane.shape)
    return _sums(F.pad(plane, (reach,) * 4), side) / (rows[:, None] * columns)


def _inside(size: int, side: int) -> torch.Tensor:
    """(size,) how many of `side` samples about each one there are."""
    at = torch.arange(size)
    reach = side // 2
    return (at + reach).clamp(max=size - 1) - (at - reach).clamp(min=0) + 1


def _sums(plane: torch.Tensor, side: int) -> torch.Tensor:
    """Sums of all squares of a side that lie in the plane, each by four numbers of a table."""
    table = F.pad(plane.double().cumsum(0).cumsum(1), (1, 0, 1, 0))
    wide = table[side:] - table[:-side]
    return (wide[:, side:] - wide[:, :-side]).float()


def _step(before: _Look, here: _Look) -> tuple[Numbers, Numbers]:
    """(cells, 2) how each cell moved, x and y, nan where it was not found; (cells,) the logarithm
    of its gain in brightness, nan where it is dark or not found."""
    height, width = here.luma.shape
    side = min(_CELL, height // 2, width // 2)
    start_x, start_y = _whole(before.coarse, here.coarse)
    misfit = _misfits(before.detail, here.detail, (start_x, start_y), side)
    size = 2 * _REACH + 1
    best = misfit.argmin(0)
    row, column = best // size, best % size
    least = misfit.gather(0, best[None])[0]
    inside = (row > 0) & (row < size - 1) & (column > 0) & (column < size - 1)
    power = _per_cell(here.detail.square(), side)
    found = inside & (power > _FAINT) & (least < _FOUND * misfit.mean(0))
    cells = torch.arange(best.numel())
    moves = torch.stack(
        [
            _vertex(misfit, best, cells, 1, inside) + column - _REACH + start_x,
            _vertex(misfit, best, cells, size, inside) + row - _REACH + start_y,
        ],
        dim=1,
    )
    moves[~found] = torch.nan
    # What has no detail has no place, and the same light wherever it is taken from.
    plain = power <= _FAINT
    across = torch.where(plain, 0, column - _REACH) + start_x
    down = torch.where(plain, 0, row - _REACH) + start_y
    came = _means_at(before.luma, across, down, side)
    now = _per_cell(here.luma, side)
    gains = (now.clamp(min=_DARK) / came.clamp(min=_DARK)).log()
    gains[~(found | plain) | (now <= _DARK) | (came <= _DARK)] = torch.nan
    return moves.double().numpy(), gains.double().numpy()


def _misfits(
    before: torch.Tensor, here: torch.Tensor, start: tuple[int, int], side: int
) -> torch.Tensor:
    """(shifts, cells): mean squared difference of each cell from where it may have come from,
    `_REACH` samples each way about `start`, x and y; down first."""
    height, width = here.shape
    reach = _REACH + max(abs(start[0]), abs(start[1]))
    wide = F.pad(before[None], (reach,) * 4, mode="replicate")[0]
    top, left = reach - start[1] - _REACH, reach - start[0] - _REACH
    wide = wide[top : top + height + 2 * _REACH, left : left + width + 2 * _REACH]
    around = _cut(wide, side + 2 * _REACH, side)
    cells = _cut(here, side, side)
    # |a - b|^2 = |a|^2 + |b|^2 - 2 a b, the products as a correlation of each cell by itself.
    products = F.conv2d(around[None], cells[:, None], groups=len(cells))[0]
    theirs = _cut(_sums(wide.square(), side), 2 * _REACH + 1, side)
    own = cells.square().sum((1, 2))[:, None, None]
    misfit = (own + theirs - 2 * products).clamp_(min=0) / side**2
    # What lies above in the frame before has moved down.
    return misfit.flip(1, 2).flatten(1).t().contiguous()


def _cut(plane: torch.Tensor, size: int, step: int) -> torch.Tensor:
    """(n, size, size) squares, row by row, one every `step` samples."""
    return plane.unfold(0, size, step).unfold(1, size, step).reshape(-1, size, size)


def _whole(before: torch.Tensor, here: torch.Tensor) -> tuple[int, int]:
    """How the picture as a whole moved, x and y, to a few samples."""
    height, width = here.shape
    reach = min(_COARSE_REACH, height // 4, width // 4)
    shift = torch.arange(reach, -reach - 1, -1)
    wide = F.pad(before, (reach,) * 4).unfold(0, height, 1).unfold(1, width, 1)
    moved = wide.reshape(-1, height * width)
    apart = torch.sub(moved, here.reshape(1, -1), out=moved).abs_().sum(1)
    # What came from outside the picture was compared with nothing.
    table = F.pad(here.abs().cumsum(0).cumsum(1), (1, 0, 1, 0))
    top, left = shift.clamp(min=0)[:, None], shift.clamp(min=0)
    bottom, right = (shift.clamp(max=0) + height)[:, None], shift.clamp(max=0) + width
    inside = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
    apart = (apart.view_as(inside) - table[-1, -1] + inside).flip(0, 1)
    away = shift.abs()
    apart /= (height - away)[:, None] * (width - away)
    apart *= 1 + 0.002 * (away[:, None] + away)
    best = int(apart.argmin())
    down, across = divmod(best, 2 * reach + 1)
    return (across - reach) * _COARSE, (down - reach) * _COARSE


def _per_cell(plane: torch.Tensor, side: int) -> torch.Tensor:
    """(cells,) means."""
    return F.avg_pool2d(plane[None, None], side)[0, 0].flatten()


def _means_at(
    luma: torch.Tensor, across: torch.Tensor, down: torch.Tensor, side: int
) -> torch.Tensor:
    """(cells,) mean of what lies where each cell came from; inside the picture, as far as it
    goes."""
    height, width = luma.shape
    rows, columns = height // side, width // side
    sums = F.pad(luma.double().cumsum(0).cumsum(1), (1, 0, 1, 0))
    y = torch.arange(rows).repeat_interleave(columns) * side - down
    x = torch.arange(columns).repeat(rows) * side - across
    top, left = y.clamp(0, height - side), x.clamp(0, width - side)
    bottom, right = top + side, left + side
    total = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return (total / side**2).float()


def _vertex(
    misfit: torch.Tensor, best: torch.Tensor, cells: torch.Tensor, step: int, inside: torch.Tensor
) -> torch.Tensor:
    """Where a parabola through the least misfit and its neighbours has its lowest point."""
    at = best.where(inside, torch.full_like(best, misfit.shape[0] // 2))
    low, middle, high = (misfit[at + k * step, cells] for k in (-1, 0, 1))
    bend = low - 2 * middle + high
    return (0.5 * (low - high) / bend.clamp(min=1e-12)).clamp_(-0.5, 0.5)


def _middle(values: Numbers) -> tuple[float, float]:
    """The median and its standard error; (0, 0) where there are too few."""
    if len(values) < _FEW_CELLS:
        return 0.0, 0.0
    middle = float(np.median(values))
    return middle, 1.86 * float(np.median(np.abs(values - middle))) / float(np.sqrt(len(values)))


def _median_move(moves: Numbers) -> Numbers:
    known = moves[~np.isnan(moves).any(axis=1)]
    return np.asarray(np.median(known, axis=0)) if len(known) else np.zeros(2)


def _spread(values: Numbers) -> Numbers:
    return np.asarray(1.4826 * np.median(np.abs(values), axis=0))


def _roughness(thrown: Numbers) -> float:
    """From (n, 2) second differences of a path: their correlation with the next ones is -2/3 where
    every place is new, and positive on a smooth course."""
    limit = 3 * np.maximum(_spread(thrown), 1e-6)
    held = np.clip(thrown, -limit, limit)
    power = float(np.square(held).sum())
    if power == 0:
        return 0.0
    again = float((held[1:] * held[:-1]).sum()) / power
    return float(np.clip(-1.5 * again, 0.0, 1.0))
