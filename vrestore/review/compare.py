"""Several videos -> one page that compares them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from vrestore.errors import InputError
from vrestore.review.clips import Clip
from vrestore.review.curves import measure
from vrestore.review.instants import PICTURE_BYTES, picks, pictures, screen_shape
from vrestore.review.page.album import Album
from vrestore.review.page.comparison import Group, comparison_page
from vrestore.review.page.viewer import Instant, Version, Viewer

__all__ = ["Comparison", "compare", "compare_groups"]

Observer = Callable[[str], None]
"""Told what is done next, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Clips that show the same film."""

    clips: Sequence[Clip]
    """At least two; the first is what the others are measured against."""

    title: str = ""
    """Of this part, where a page has several."""

    length: Fraction | None = None
    """Seconds to compare; None for all."""


def compare(
    clips: Sequence[Clip],
    *,
    title: str,
    samples: int = 8,
    length: Fraction | None = None,
    observer: Observer | None = None,
) -> str:
    """The page that compares clips of one film, at `samples` moments.  Raises InputError."""
    part = Comparison(clips=clips, length=length)
    return compare_groups([part], title=title, samples=samples, observer=observer)


def compare_groups(
    parts: Sequence[Comparison],
    *,
    title: str,
    samples: int,
    notes: Sequence[tuple[str, str, str]] = (),
    observer: Observer | None = None,
) -> str:
    """The page of several parts of a film in one viewer; all have the same versions.

    `samples` is the number of moments of each part; `notes` are (version, what it is, what it
    costs).  Raises InputError.
    """
    tell = observer or (lambda words: None)
    album = Album(PICTURE_BYTES, len(parts) * samples * len(parts[0].clips))
    groups: list[Group] = []
    instants: list[Instant] = []
    for number, part in enumerate(parts, 1):
        where = f"part {number} of {len(parts)}: " if len(parts) > 1 else ""
        tell(f"{where}measuring")
        curves = measure(part.clips, length=part.length)
        if not curves.number:
            names = ", ".join(clip.info.path for clip in part.clips)
            raise InputError(f"no instant is shown by all of {names}; nothing can be compared")
        tell(f"{where}taking pictures")
        taken, how = pictures(
            part.clips,
            picks(curves.seconds, curves.nearness, samples),
            album,
            size=curves.size if curves.comparable else None,
            length=part.length,
        )
        instants += taken
        groups.append(Group(title=part.title, clips=part.clips, curves=curves, notes=how))
    clips = parts[0].clips
    viewer = Viewer(
        versions=[Version(label=clip.label) for clip in clips],
        instants=instants,
        shape=screen_shape([clip for part in parts for clip in part.clips]),
    )
    return comparison_page(title, viewer, groups, notes)
