"""What was trained alike, side by side: mechanisms, architectures, data."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import permutations

from vrestore.review.quality.field import CELL, SINGLE_CELL, Participants
from vrestore.review.quality.networks import Contender
from vrestore.review.quality.tables import Finding, Scores, Table, difference, number

__all__ = ["equal_steps"]

MEASUREMENTS = (
    "Set5 x2", "Set5 x4", "Vid4 x4", "clips x4", "film-light x1", "film-light x2", "film-heavy x1",
    "film-heavy x2",
)  # fmt: skip

MECHANISMS = {
    "cell": "fusion with state, blend on the output grid",
    "unblended": "fusion with state, no blend on the output grid",
    "window": "fusion of inputs without state, blend on the output grid",
    "median": "aligned median of three, no blend",
}
"""Nets that look at time, and how."""


def equal_steps(field: Participants, scores: Scores) -> Finding:
    """From what was measured already; nothing where there are no contenders."""
    found = Finding()
    measured = [name for name in MEASUREMENTS if name in scores]
    rows = [
        (
            c.name, _what(c), c.size, c.manifest, f"{c.steps:,}",
            *(number(statistics.fmean(scores[name][c.name])) for name in measured),
        )
        for c in field.contenders
    ]  # fmt: skip
    found.tables.append(
        Table(
            title="Trained alike: mechanisms and architectures",
            columns=("checkpoint", "what", "size", "manifest", "steps", *measured),
            rows=tuple(rows) if measured else (),
            notes=(
                "Trainings of the same loop on the same footage, for as many steps as the row",
                "says; only rows of equal steps, size and manifest can be compared. PSNR-Y, mean",
                "of the pictures or clips of the tables above.",
            ),
        )
    )
    found.tables.append(_pairs(field.contenders, scores, measured))
    return found


def _what(contender: Contender) -> str:
    if contender.what == SINGLE_CELL:
        return "the single-image twin"
    kind = "over time" if contender.temporal else "single image"
    return MECHANISMS.get(contender.net, f"{contender.net}, {kind}")


def _pairs(contenders: Sequence[Contender], scores: Scores, measured: Sequence[str]) -> Table:
    """What ships against every other mechanism, and the same with other data."""
    rows = []
    for first, second in permutations(contenders, 2):
        same_data = first.manifest == second.manifest
        same_net = first.what == second.what
        if not first.alike(second):
            continue
        if same_data and not same_net and first.what == CELL:
            differs = "mechanism"
        elif same_net and first.manifest == "open" and not same_data:
            differs = "data"
        else:
            continue
        rows.append(
            (
                f"{first.name} minus {second.name}",
                differs,
                *(difference(scores[m][first.name], scores[m][second.name]) for m in measured),
            )
        )
    return Table(
        title="Trained alike: what one change makes",
        columns=("pair", "what differs", *measured),
        rows=tuple(rows) if measured else (),
        notes=(
            "Pairs of one size, at equal steps, in dB of PSNR-Y with their 95 % interval over",
            "pictures or clips. One run each: a difference of another seed is not in the interval.",
        ),
    )
