"""The whole measurement: every table, and what was wanted beside what was reached."""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from importlib import metadata
from pathlib import Path
from time import perf_counter
from types import MappingProxyType

from vrestore.models.registry import ModelSpec
from vrestore.review.quality.endurance import drift, long_shots, precision
from vrestore.review.quality.equal import equal_steps
from vrestore.review.quality.field import Participants, participants
from vrestore.review.quality.folder import Media
from vrestore.review.quality.harsh import harsh_stills
from vrestore.review.quality.networks import Contender
from vrestore.review.quality.published import stills, vid4
from vrestore.review.quality.steadiness import do_no_harm, static_noise
from vrestore.review.quality.tables import Finding, wanted_and_reached
from vrestore.review.quality.worn import worn
from vrestore.runtime.posix import usable_cores

__all__ = ["PARTS", "Observer", "measure"]

Observer = Callable[[str], None]
"""Told what is measured next."""

PARTS: Mapping[str, Callable[[Media, Participants], Finding]] = MappingProxyType(
    {
        "set5": lambda media, field: stills(media, field, "Set5", (2, 3, 4)),
        "b100": lambda media, field: stills(media, field, "B100", (2, 4)),
        "stills": harsh_stills,
        "vid4": vid4,
        "damaged": worn,
        "noise": static_noise,
        "harm": do_no_harm,
        "long": long_shots,
        "drift": drift,
        "precision": precision,
    }
)
"""What can be measured by itself, in the order of the page."""


def measure(
    folder: Path,
    specs: Sequence[ModelSpec],
    *,
    contenders: Sequence[Contender] = (),
    only: Collection[str] = tuple(PARTS),
    command: str,
    observer: Observer,
) -> str:
    """The page in Markdown, with the parts of `only`.  Raises InputError, ModelError."""
    media = Media(folder)
    field = participants(specs, contenders)
    found, start = Finding(), perf_counter()
    for name, part in PARTS.items():
        if name in only:
            observer(f"{perf_counter() - start:5.0f} s  {name}")
            found.extend(part(media, field))
    found.extend(equal_steps(field, found.scores))
    seconds = perf_counter() - start
    tables = [wanted_and_reached(found.goals), *(table for table in found.tables if table.rows)]
    head = _head(field, command, seconds)
    return "\n\n".join([head, *(table.markdown for table in tables)])


def _head(field: Participants, command: str, seconds: float) -> str:
    lines = [
        f"`{command}`, {date.today().isoformat()}, {platform.system()} {platform.machine()}, "
        f"{usable_cores()} processors, torch {metadata.version('torch')}, {seconds / 60:.1f} min.",
        "",
        *(
            f"- `{e.name}`: data manifest `{e.spec.manifest.value}`, sha256 `{e.spec.sha256}`"
            for e in field.entrants
        ),
        *(
            f"- `{c.name}`: a checkpoint of {c.steps:,} steps, {c.net}, size of `{c.size}`, "
            f"data manifest `{c.manifest}`"
            for c in field.contenders
        ),
        "",
        "PSNR is of luma in limited range (16 to 235, peak 255), from rounded 8-bit results. "
        "*One frame at a time* is the same weights with every frame a shot of its own: it is not "
        "a network trained for stills, which might do better alone; a *twin* is, and is held "
        "against a training of as many steps. No clip here was trained on, and none was used to "
        "choose anything.",
    ]
    return "\n".join(lines)
