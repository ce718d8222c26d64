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
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Series", "SteadyPath", "tremor"]

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


@lru_cache(maxsize=64)
def _design(count: int, free: bool) -> tuple[Series, Series]:
    """How bends make a path of `count` values, (count, bends), and what each bend costs.

    A cost of 1 is the standard deviation of the evidence for that bend which white trembling gives
    by chance.  A `free` path begins anywhere, and its first slope is counted as a bend.
    """
    step = np.arange(count, dtype=np.float64)
    bends = np.maximum(step[:, None] - step[None, :] + 1, 0)
    cost = np.full(count, np.sqrt(np.square(step + 1).sum()))
    if not free:
        return bends, cost
    slope = step - step.mean()
    design = np.concatenate((np.ones((count, 1)), slope[:, None], bends[:, 2:]), axis=1)
    first = np.array([0.0, np.sqrt(np.square(slope).sum())])
    return design, np.concatenate((first, cost[2:]))


class SteadyPath:
    """The courses of several values at once, settled frame by frame."""

    def __init__(self, floor: Series, patience: float, lookahead: int) -> None:
        """`floor` (C,) is the least trembling assumed, in the values' own units; `patience` how
        many standard deviations of evidence a bend takes; `lookahead` the frames after the one
        being settled that are fitted."""
        self._floor = floor
        self._patience = patience
        self._lookahead = lookahead
        self._ahead: deque[Series] = deque()
        self._trust: deque[Series] = deque()
        self._joined: deque[bool] = deque()
        self._history: deque[Series] = deque(maxlen=_HISTORY)
        self._last: Series | None = None
        self._slope = np.zeros_like(floor)

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
    def ready(self) -> bool:
        """Whether the frame to be settled has its whole lookahead."""
        return len(self._ahead) > self._lookahead

    def tremor(self) -> Series:
        """What trembles now, (C,), at least the floor."""
        known = np.stack((*self._history, *tuple(self._ahead)[: self._until_break()]))
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
        self._last, self._slope = settled, slope
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
        design, cost = _design(len(values), True)
        fit = _bent(design, self._patience * cost, ((values - start) / scale).T, trust.T)
        path = (design @ fit[..., None])[..., 0] * scale[:, None]
        slope = path[:, 1] - path[:, 0] if len(values) > 1 else np.zeros_like(start)
        return start + path[:, 0], slope

    def _continued(self, values: Series, trust: Series, scale: Series) -> tuple[Series, Series]:
        assert self._last is not None
        steps = np.arange(1, len(values) + 1, dtype=np.float64)[:, None]
        line = self._last + steps * self._slope
        design, cost = _design(len(values), False)
        fit = _bent(design, self._patience * cost, ((values - line) / scale).T, trust.T)
        bend = fit[:, 0] * scale
        return line[0] + bend, self._slope + bend


def _bent(design: Series, cost: Series, wanted: Series, trust: Series) -> Series:
    """The bends (C, k) of least 1/2 |design @ bends - wanted|^2 + cost |bends|, for each of C rows.

    The squares are Huber's, weighted by `trust`; `wanted` and `trust` are (C, n).  A free path's
    slope costs nothing once there is evidence of it, since its cost would hold a pan back.
    """
    free = cost == 0
    is_free = bool(free.any())
    offset = np.median(wanted, axis=1, keepdims=True) if is_free else np.zeros((len(wanted), 1))
    pull = trust * np.clip(wanted - offset, -_OUTLIER, _OUTLIER)
    evidence = np.abs(pull @ design[:, ~free]) > cost[~free]
    quiet = ~evidence.any(axis=1)
    if quiet.all() and not is_free:
        return np.zeros((len(wanted), design.shape[1]))
    costs = np.tile(cost, (len(wanted), 1))
    if is_free:
        costs[evidence[:, 0], 1] = 0
    # Where nothing bends, only the offset of a free path is fitted.
    costs[quiet[:, None] & ~free] = 1e12
    weights = trust
    if is_free or not quiet.all():
        weights = np.where(quiet[:, None], trust / _excess(wanted - offset), trust)
    penalty = costs
    bends: Series = np.zeros((len(wanted), design.shape[1]))
    for _ in range(_ITERATIONS):
        normal = np.swapaxes(weights[:, :, None] * design, 1, 2) @ design
        normal[:, range(len(cost)), range(len(cost))] += penalty + 1e-9
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
