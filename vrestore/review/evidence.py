"""Source and output of a finished run, seen again: numbers and pictures for its record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vrestore.io.selection import DecodeConfig
from vrestore.review.clips import Clip
from vrestore.review.instants import PICTURE_BYTES, Pick, picks, pictures, screen_shape
from vrestore.review.page.album import Album
from vrestore.review.page.viewer import Version, Viewer

__all__ = ["clips_of", "look_again"]

_MASKED = 6
"""Moments with a mask that are shown, at most."""

_OTHERS = 4
"""Moments without one."""


def clips_of(source: str, output: str, part: Mapping[str, Any]) -> tuple[Clip, Clip] | None:
    """Source and output, brought to one beginning; None where one of them is not there.

    `part` says which part of the source was restored, as the record does.  Raises InputError where
    a file is there and cannot be read.
    """
    if not Path(output).is_file() or not Path(source).exists():
        return None
    config = DecodeConfig(start=part["start"], frames=part["frames"])
    before = Clip.of(source, "before", start=config.times[0], skip=config.numbers[0])
    return before, Clip.of(output, "after")


def look_again(
    clips: tuple[Clip, Clip], record: Mapping[str, Any]
) -> tuple[Viewer | None, tuple[str, ...]]:
    """Before and after where a record says that most was repaired, and at some other moments.

    None where the two show nothing at one time; with sentences on how the pictures are shown.
    Raises InputError.
    """
    chosen = [
        Pick(
            seconds=float(sighting["seconds"]),
            reason=f"{100 * float(sighting['share']):.2g} % repaired",
            mask=str(sighting["mask"]),
        )
        for sighting in record["sightings"][:_MASKED]
    ]
    taken = {round(pick.seconds, 2) for pick in chosen}
    numbers = record["metrics"] or {"seconds": [], "psnr": [], "comparable": False}
    others = picks(numbers["seconds"], numbers["psnr"], _OTHERS)
    chosen += [pick for pick in others if round(pick.seconds, 2) not in taken]
    size = (numbers["width"], numbers["height"]) if numbers["comparable"] else None
    instants, notes = pictures(clips, chosen, Album(PICTURE_BYTES, 2 * len(chosen)), size=size)
    if not instants:
        return None, ()
    versions = [Version(label=clip.label) for clip in clips]
    return Viewer(versions=versions, instants=instants, shape=screen_shape(clips)), notes
