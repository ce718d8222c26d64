"""The whole measurement: every table, and what was wanted beside what was reached."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from datetime import date
from importlib import metadata
from pathlib import Path
from time import perf_counter

from vrestore.models.registry import ModelSpec
from vrestore.review.quality.folder import Media
from vrestore.review.quality.methods import network
from vrestore.review.quality.published import set5, vid4
from vrestore.review.quality.steadiness import do_no_harm, long_shots, static_noise
from vrestore.review.quality.tables import Finding, Table
from vrestore.review.quality.worn import worn
from vrestore.runtime.posix import usable_cores

__all__ = ["Observer", "measure"]

Observer = Callable[[str], None]
"""Told what is measured next."""


def measure(
    folder: Path, specs: Sequence[ModelSpec], *, command: str, observer: Observer
) -> str:  # fmt: skip
    """The page in Markdown.  Raises InputError, ModelError."""
    media = Media(folder)
    models = [network(spec) for spec in specs]
    alone = [network(spec, one_by_one=True) for spec in specs]
    parts: tuple[tuple[str, Callable[[], Finding]], ...] = (
        ("stills", lambda: set5(media, models)),
        ("clean clips", lambda: vid4(media, models, alone)),
        ("damaged clips", lambda: worn(media, models, alone)),
        ("noise", lambda: static_noise(media, models, alone)),
        ("clean input", lambda: do_no_harm(media, models)),
        ("long shots", lambda: long_shots(media, specs)),
    )
    found, start = Finding(), perf_counter()
    for name, part in parts:
        observer(f"{perf_counter() - start:5.0f} s  {name}")
        found.extend(part())
    seconds = perf_counter() - start
    tables = [_wanted(found), *(table for table in found.tables if table.rows)]
    head = _head(specs, command, seconds)
    return "\n\n".join([head, *(table.markdown for table in tables)])


def _head(specs: Sequence[ModelSpec], command: str, seconds: float) -> str:
    lines = [
        f"`{command}`, {date.today().isoformat()}, {platform.system()} {platform.machine()}, "
        f"{usable_cores()} processors, torch {metadata.version('torch')}, {seconds / 60:.1f} min.",
        "",
        *(
            f"- `{spec.name}`: data manifest `{spec.manifest.value}`, sha256 `{spec.sha256}`"
            for spec in specs
        ),
        "",
        "PSNR is of luma in limited range (16 to 235, peak 255), from rounded 8-bit results. "
        "*One frame at a time* is the same weights with every frame a shot of its own: it is not "
        "a network trained for stills, which might do better alone. No clip here was trained on, "
        "and none was used to choose anything.",
    ]
    return "\n".join(lines)


def _wanted(found: Finding) -> Table:
    met = sum(goal.met for goal in found.goals)
    return Table(
        title="Wanted and reached",
        columns=("what", "wanted", "reached", "met"),
        rows=tuple(goal.row for goal in found.goals),
        notes=(
            f"{met} of {len(found.goals)} are met.",
            "Most of these numbers were wanted of the size `base`.",
        ),
    )
