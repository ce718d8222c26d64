"""Tables in Markdown, intervals, and the page that holds them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = [
    "Finding",
    "Goal",
    "Scores",
    "Table",
    "difference",
    "number",
    "wanted_and_reached",
]

STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14)
"""Two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom."""

FEWEST = 3
"""Clips from which an interval is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"{self.title}: every row must have {len(self.columns)} cells")

    @property
    def markdown(self) -> str:
        lines = [f"## {self.title}", ""]
        if self.notes:
            lines += [" ".join(self.notes), ""]
        lines.append(_row(self.columns))
        lines.append(_row(("---",) * len(self.columns)))
        lines += map(_row, self.rows)
        return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A number that was wanted of a model, beside the one that was reached."""

    what: str
    model: str
    wanted: float
    reached: float
    unit: str = "dB"
    at_most: bool = False
    """Whether smaller is better."""

    later: float | None = None
    """What is wanted once a GPU has trained, where that is another number."""

    @property
    def met(self) -> bool:
        if self.at_most:
            return self.reached <= self.wanted
        return self.reached >= self.wanted


def wanted_and_reached(goals: Sequence[Goal]) -> Table:
    """What was wanted in one row each, in the order of the goals, a column for every model."""
    models = list(dict.fromkeys(goal.model for goal in goals))
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for goal in goals:
        sign = "at most" if goal.at_most else "at least"
        later = "" if goal.later is None else f"{goal.later:g} {goal.unit}"
        key = (goal.what, f"{sign} {goal.wanted:g} {goal.unit}", later)
        reached = number(goal.reached)
        rows.setdefault(key, {})[goal.model] = reached if goal.met else f"{reached}, **no**"
    met = ", ".join(
        f"{sum(g.met for g in goals if g.model == model)} of "
        f"{sum(g.model == model for g in goals)} by `{model}`"
        for model in models
    )
    return Table(
        title="Wanted and reached",
        columns=("what", "wanted", "once a GPU has trained", *models),
        rows=tuple(
            (*key, *(reached.get(model, "") for model in models)) for key, reached in rows.items()
        ),
        notes=(
            f"Met: {met}." if met else "Nothing was measured that has a goal.",
            "Set5 x2 at 36.3 dB was wanted of `lite`, everything else of `base`.",
        ),
    )


Scores = dict[str, dict[str, list[float]]]
"""PSNR-Y by measurement, then method, then clip, for comparisons across measurements."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one measurement brought."""

    tables: list[Table] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    scores: Scores = field(default_factory=dict)

    def extend(self, other: Finding) -> None:
        self.tables.extend(other.tables)
        self.goals.extend(other.goals)
        self.scores.update(other.scores)


def number(value: float, digits: int = 2) -> str:
    """For a cell; empty where there is none (nan)."""
    if math.isnan(value):
        return ""
    return "equal" if value == math.inf else f"{value:.{digits}f}"


def difference(first: Sequence[float], second: Sequence[float]) -> str:
    """Mean of the paired differences first - second; from 3 pairs on with its 95 % interval."""
    pairs = zip(first, second, strict=True)
    each = [a - b for a, b in pairs if math.isfinite(a) and math.isfinite(b)]
    if not each:
        return ""
    mean = f"{statistics.fmean(each):+.2f}"
    if len(each) < FEWEST:
        return mean
    quantile = STUDENT[min(len(each) - 1, len(STUDENT)) - 1]
    half = quantile * statistics.stdev(each) / math.sqrt(len(each))
    return f"{mean} ± {half:.2f}"
