"""The frames that show best what a diagnosis found, as pictures to look at."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path

from PIL import Image

from vrestore.diagnose import Diagnosis, Finding
from vrestore.errors import OutputError
from vrestore.review.clips import Clip, moments
from vrestore.review.screen import shown

__all__ = ["write_symptoms"]

_TICK = Fraction(1, 1000)
"""Seconds by which a frame may be early: times in findings are rounded."""


def write_symptoms(diagnosis: Diagnosis, folder: Path) -> list[Path]:
    """A PNG in `folder` for each finding, of the frame that shows it best; their paths.

    Named by finding and time, such as "scratches 12.48 s.png".  A finding that no frame shows (a
    header's) has none.  Raises InputError where the source cannot be read again, and OutputError.
    """
    found = [one for one in diagnosis.findings if one.found and one.evidence_seconds]
    clip = Clip.of(diagnosis.path)
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        start = _start(clip)
        for finding in found:
            seconds = Fraction(finding.evidence_seconds[0]) - start - _TICK
            for moment in islice(moments([clip], begin=max(Fraction(0), seconds)), 1):
                pixels = shown(moment.frames[0], clip.info.video.rotation)
                path = folder / f"{_name(finding)}.png"
                Image.fromarray(pixels).save(path)
                written.append(path)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written to: {error.strerror}") from error
    return written


def _start(clip: Clip) -> Fraction:
    """Time of the first picture on the stream's clock, by which findings are dated."""
    first = next(moments([clip]), None)
    return Fraction(0) if first is None else first.frames[0].timestamp.seconds


def _name(finding: Finding) -> str:
    return f"{finding.name} {finding.evidence_seconds[0]:.2f} s"
