from __future__ import annotations

import numpy as np
import pytest

from vrestore.ops.steadypath import Habits, SteadyPath

LIGHT = Habits(memory=0.5, persistence=0.8)


def course(values: np.ndarray, habits: Habits | None = None) -> np.ndarray:
    path = SteadyPath(np.full(1, 1e-3), 3.0, 12, habits)
    out = []
    for value in values:
        path.extend(np.array([value]), np.ones(1))
        if path.ready:
            out.append(path.settle()[0])
    while path.ahead:
        out.append(path.settle()[0])
    return np.array(out)


def trembling(seed: int, count: int = 40) -> np.ndarray:
    """Half slow, half new in every frame, of unit standard deviation."""
    rng = np.random.default_rng(seed)
    slow, quick = rng.standard_normal((2, count))
    for t in range(1, count):
        slow[t] = 0.7 * slow[t - 1] + (1 - 0.7**2) ** 0.5 * slow[t]
    return (slow + quick) / 2**0.5


def test_trembling_with_a_slow_half_bends_a_course_less_where_its_memory_is_known():
    wander = {
        habits: np.mean([course(trembling(seed), habits).std() for seed in range(12)])
        for habits in (Habits(), LIGHT)
    }
    assert wander[LIGHT] < 0.2
    assert wander[LIGHT] < 0.5 * wander[Habits()]


@pytest.mark.parametrize("habits", [Habits(), LIGHT])
def test_a_ramp_is_followed(habits):
    values = np.concatenate((np.zeros(20), np.arange(20.0))) + 0.05 * trembling(1)
    assert np.abs(course(values, habits) - values)[2:].max() < 2.0
    assert course(values, habits)[-1] == pytest.approx(19, abs=1)


def test_what_trembles_near_is_told_from_what_trembled_before():
    path = SteadyPath(np.full(1, 1e-3), 3.0, 12)
    values = np.concatenate((trembling(2, 24), 0.01 * trembling(3, 24)))
    for value in values:
        path.extend(np.array([value]), np.ones(1))
        if path.ready:
            path.settle()
    assert path.tremor(near=True)[0] < 0.05 < path.tremor()[0]
