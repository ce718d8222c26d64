"""The intended course of something that trembles: a fixed-lag l1 trend filter.

What a camera or a lamp means to do is a line with few bends; what a worn gate or a shutter adds
trembles about it.  The filter of Kim, Koh, Boyd and Gorinevsky ("l1 trend filtering", SIAM Review
51, 2009), which Grundmann, Kwatra and Essa (CVPR 2011) use for camera paths, finds such a line;
here it runs over a stream.  Values already settled stay; only the next `lookahead` frames are
fitted, as bends against the line that the settled ones continue, and a bend must pay for itself in
units of the trembling.  So a course that is at rest stays exactly at rest.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Habits", "Series", "SteadyPath", "tremor"]

Series: TypeAlias = npt.NDArray[np.floating[Any]]

_HISTORY = 36
"""Settled values that the trembling is still measured on."""

_OUTLIER = 3.0
"""Residual, in standard deviations of the trembling, past which a frame pulls no harder."""

_ITERATIONS = 12
"""Of iteratively reweighted least squares: bends are settled to a hundredth of the trembling."""

_SMALLEST_BEND = 0.01
"""In standard deviations per frame squared; smaller bends are not told from none."""

SHORTEST = 6
"""Values without which no trembling is told from a course."""


def tremor(values: Series) -> Series:
    """Standard deviation of what trembles in (n, C) values, (C,); robust, trends do not count.

    From first differences, which see slow trembling too, but at most twice what third differences
    tell, which no steady acceleration (a fade, a pan that begins) moves.
    """
    first = np.diff(values, axis=0)
    third = np.diff(first, 2, axis=0)
    wide = _spread(first - np.median(first, axis=0)) / math.sqrt(2)
    narrow = _spread(third) / math.sqrt(20)
    least: Series = np.minimum(wide, 2 * narrow)
    return least


def _spread(centred: Series) -> Series:
    spread: Series = 1.4826 * np.median(np.abs(centred), axis=0)
    return spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How something trembles, and how its course is wont to go."""

    memory: float = 0.0
    """Correlation of the trembling with the frame before, 0..1: what is slow in it is then no
    evidence of a bend."""

    persistence: float = 1.0
    """How much of a slope is left a frame later, 0..1; a slope that lasts at 1 costs nothing to
    begin with."""


def _ramp(steps: Series, persistence: float) -> Series:
    """How far a slope of one has led after so many steps."""
    if persistence == 1:
        return steps
    led: Series = (1 - persistence**steps) / (1 - persistence)
    return led


def _whitened(rows: Series, memory: float, before: Series | None = None) -> Series:
    """(n, k) rows without what trembling of that memory repeats; `before` is the row before the
    first, without which the first one is as telling as it stands."""
    if memory == 0:
        return rows
    out = rows.copy()
    out[1:] -= memory * rows[:-1]
    out[1:] /= math.sqrt(1 - memory**2)
    if before is not None:
        out[0] = (rows[0] - memory * before) / math.sqrt(1 - memory**2)
    return out


@lru_cache(maxsize=64)
def _design(count: int, begins: bool, habits: Habits) -> tuple[Series, Series]:
    """How bends make a path of `count` values, (count, bends), and what each bend costs.

    A cost of 1 is the standard deviation of the evidence for that bend which trembling gives by
    chance.  A path that `begins` begins anywhere, and its first slope is counted as a bend.
    """
    step = np.arange(count, dtype=np.float64)
    bends = _ramp(np.maximum(step[:, None] - step[None, :] + 1, 0), habits.persistence)
    origin = np.zeros(count)
    costs = np.sqrt(np.square(_whitened(bends, habits.memory, origin)).sum(axis=0))
    cost = np.full(count, costs[0])
    if not begins:
        return _whitened(bends, habits.memory, origin), cost
    slope = _ramp(step, habits.persistence)
    slope = slope - slope.mean()
    design = np.concatenate((np.ones((count, 1)), slope[:, None], bends[:, 2:]), axis=1)
    design = _whitened(design, habits.memory)
    first = np.array([0.0, np.sqrt(np.square(design[:, 1]).sum())])
    return design, np.concatenate((first, cost[2:]))


class SteadyPath:
    """The courses of several values at once, settled frame by frame."""

    def __init__(
        self, floor: Series, patience: Series | float, lookahead: int, habits: Habits | None = None
    ) -> None:
        """`floor` (C,) is the least trembling assumed, in the values' own units; `patience`, one or
        (C,), how many standard deviations of evidence a bend takes; `lookahead` the frames after
        the one being settled that are fitted."""
        self._floor = floor
        self._patience = np.broadcast_to(np.asarray(patience, dtype=float), floor.shape)[:, None]
        self._habits = habits or Habits()
        self._lookahead = lookahead
        self._ahead: deque[Series] = deque()
        self._trust: deque[Series] = deque()
        self._joined: deque[bool] = deque()
        self._history: deque[Series] = deque(maxlen=_HISTORY)
        self._last: Series | None = None
        self._slope = np.zeros_like(floor)
        self._off = np.zeros_like(floor)

    def extend(self, values: Series, trust: Series, *, joined: bool = True) -> None:
        """The next frame's values, (C,), and how far each is believed, 0..1.

        One that is not `joined` begins a new course, bound to nothing before it.
        """
        self._ahead.append(values)
        self._trust.append(trust)
        self._joined.append(joined)

    def part(self, ahead: int) -> None:
        """The value `ahead` places after the oldest not settled begins a new course after all."""
        self._joined[ahead] = False

    def recent(self) -> tuple[Series, int]:
        """(n, C): settled values and those ahead that belong to the newest course, oldest first,
        and how many of them are settled."""
        joined = tuple(self._joined)
        begins = max((i for i, bound in enumerate(joined) if not bound), default=-1)
        ahead = tuple(self._ahead)[max(begins, 0) :]
        known = tuple(self._history) if begins < 0 else ()
        return np.stack((*known, *ahead)), len(known)

    @property
    def slope(self) -> Series:
        """(C,): how the course rises at the value settled last, per frame."""
        return self._slope

    @property
    def ahead(self) -> int:
        """How many values are not settled."""
        return len(self._ahead)

    @property
    def ready(self) -> bool:
        """Whether the frame to be settled has its whole lookahead."""
        return len(self._ahead) > self._lookahead

    def tremor(self, *, near: bool = False) -> Series:
        """What trembles now, (C,), at least the floor; `near` looks no farther back than the
        lookahead is long, or than it takes to make up for frames that are not there any more."""
        known = np.stack((*self._history, *tuple(self._ahead)[: self._until_break()]))
        if near:
            known = known[-self._lookahead - 1 :]
        if len(known) < SHORTEST:
            return self._floor
        return np.maximum(tremor(known), self._floor)

    def settle(self) -> Series:
        """The course at the oldest frame not settled, (C,)."""
        if not self._joined[0]:
            self._last = None
            self._history.clear()
        until = self._until_break()
        values = np.stack(tuple(self._ahead)[:until])
        trust = np.stack(tuple(self._trust)[:until])
        settled: Series
        if until + len(self._history) < SHORTEST:
            settled, slope = values[0], np.zeros_like(self._slope)
        elif self._last is None:
            settled, slope = self._begun(values, trust, self.tremor())
        else:
            settled, slope = self._continued(values, trust, self.tremor())
        self._last, self._slope, self._off = settled, slope, values[0] - settled
        self._history.append(self._ahead.popleft())
        self._trust.popleft()
        self._joined.popleft()
        return settled

    def _until_break(self) -> int:
        """How many of the values ahead belong to the course of the oldest."""
        joined = tuple(self._joined)[1 : self._lookahead + 1]
        return 1 + (joined.index(False) if False in joined else len(joined))

    def _begun(self, values: Series, trust: Series, scale: Series) -> tuple[Series, Series]:
        start = np.median(values, axis=0)
        design, cost = _design(len(values), True, self._habits)
        wanted = _whitened((values - start) / scale, self._habits.memory)
        free = self._habits.persistence == 1
        fit = _bent(design, self._patience * cost, wanted.T, trust.T, free=free)
        bends, _ = _design(len(values), True, replace(self._habits, memory=0.0))
        path = (bends @ fit[..., None])[..., 0] * scale[:, None]
        slope = path[:, 1] - path[:, 0] if len(values) > 1 else np.zeros_like(start)
        return start + path[:, 0], slope

    def _continued(self, values: Series, trust: Series, scale: Series) -> tuple[Series, Series]:
        assert self._last is not None
        habits = self._habits
        steps = np.arange(1, len(values) + 1, dtype=np.float64)[:, None]
        line = self._last + habits.persistence * _ramp(steps, habits.persistence) * self._slope
        design, cost = _design(len(values), False, habits)
        wanted = _whitened((values - line) / scale, habits.memory, self._off / scale)
        fit = _bent(design, self._patience * cost, wanted.T, trust.T, free=False)
        bend = fit[:, 0] * scale
        return line[0] + bend, habits.persistence * self._slope + bend


def _bent(design: Series, cost: Series, wanted: Series, trust: Series, *, free: bool) -> Series:
    """The bends (C, k) of least 1/2 |design @ bends - wanted|^2 + cost |bends|, for each of C rows.

    The squares are Huber's, weighted by `trust`; `wanted` and `trust` are (C, n), `cost` (C, k).
    Where it is `free`, the slope a path begins with costs nothing once there is evidence of it,
    since its cost would hold a pan back.
    """
    paid: npt.NDArray[np.bool_] = np.greater(cost[0], 0)
    begins = not paid.all()
    pull = trust * np.clip(wanted, -_OUTLIER, _OUTLIER)
    evidence = np.greater(np.abs(pull @ design[:, paid]), cost[:, paid])
    quiet = np.logical_not(evidence.any(axis=1))
    if quiet.all() and not begins:
        return np.zeros((len(wanted), design.shape[1]))
    costs = cost.copy()
    if free:
        costs[evidence[:, 0], 1] = 0
    # Where nothing bends, only the offset of a path that begins is fitted.
    costs[quiet[:, None] & paid] = 1e12
    weights = trust
    if begins or not quiet.all():
        weights = np.where(quiet[:, None], trust / _excess(wanted), trust)
    penalty = costs
    bends: Series = np.zeros((len(wanted), design.shape[1]))
    places = range(design.shape[1])
    for _ in range(_ITERATIONS):
        normal = np.swapaxes(weights[:, :, None] * design, 1, 2) @ design
        normal[:, places, places] += penalty + 1e-9
        right = (weights * wanted) @ design
        bends = np.linalg.solve(normal, right[..., None])[..., 0]
        weights = trust / _excess(wanted - bends @ design.T)
        penalty = costs / np.maximum(np.abs(bends), _SMALLEST_BEND)
    bends[(np.abs(bends) < 2 * _SMALLEST_BEND) & (costs > 0)] = 0.0
    return bends


def _excess(residual: Series) -> Series:
    """How many times farther out than an outlier's bound, at least 1."""
    times: Series = np.maximum(1.0, np.abs(residual) / _OUTLIER)
    return times
