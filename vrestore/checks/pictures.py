"""Numbered pictures and stills, checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from vrestore.checks.expected import Expected
from vrestore.checks.verdict import Check, Outcome, checked
from vrestore.errors import InputError
from vrestore.io.scan import open_rows
from vrestore.io.sequence import find_sequence, is_pattern
from vrestore.io.still import read_still
from vrestore.media import MediaInfo
from vrestore.wiring import probe

__all__ = ["sequence_checks", "still_checks"]

_ROWS = 256
"""Of a large scan that are read at a time."""


def sequence_checks(output: str, info: MediaInfo, expected: Expected | None) -> Iterator[Check]:
    """Every picture of a sequence reads, has one size and format, and none is missing."""
    if not (is_pattern(output) or Path(output).is_dir()):
        raise InputError(f"{output} is no image sequence; name it by a pattern such as %05d.png")
    sequence = find_sequence(output)
    failures: list[str] = []
    shape: object = None
    for position in range(sequence.count):
        path = sequence.path(position)
        try:
            frame, _ = read_still(path)
        except InputError as error:
            failures.append(str(error))
            continue
        found = (frame.width, frame.height, frame.format)
        shape = shape or found
        if found != shape:
            failures.append(f"{path.name} is {frame.width}x{frame.height}, unlike the first")
    video = info.video
    told = f"{sequence.count}, {video.width}x{video.height} {video.pixel_format}, all of them read"
    yield from checked("pictures", failures, told)
    if expected is None:
        return
    wanted = len(expected.times)
    wrong = [] if wanted == sequence.count else [
        f"{sequence.count} pictures, and the source gives {wanted}"
    ]  # fmt: skip
    yield from checked("against: frames", wrong, f"{wanted}, as the source gives")
    size = expected.plan.size.output
    unlike = [] if size == (video.width, video.height) else [
        f"they are {video.width}x{video.height} and should be {size[0]}x{size[1]}"
    ]  # fmt: skip
    yield from checked("against: picture", unlike, f"{size[0]}x{size[1]}")


def still_checks(output: str, info: MediaInfo, source: str | None) -> Iterator[Check]:
    """A still reads, and has the shape, profile, EXIF block and XMP packet of its source."""
    with closing(open_rows(output)) as picture:
        for top in range(0, picture.height, _ROWS):
            picture.frame(top, min(top + _ROWS, picture.height))
    meta = picture.meta
    told = f"{picture.width}x{picture.height}, {picture.format}"
    yield Check(name="picture", outcome=Outcome.OK, told=told)
    if source is None:
        told = "give --against SRC to compare shape, profile and EXIF with the source"
        yield Check(name="source", outcome=Outcome.UNKNOWN, told=told)
        return
    if not probe(source).is_still:
        raise InputError(f"{source} is no still, and {output} is one")
    with closing(open_rows(source)) as before:
        said = before.meta
    failures = []
    ratio = picture.width * before.height / (picture.height * before.width)
    if abs(ratio - 1) > 2 / min(before.width, before.height, picture.width, picture.height):
        failures.append(
            f"its shape is {picture.width}x{picture.height} and the source's is "
            f"{before.width}x{before.height}"
        )
    if before.format.alpha and not picture.format.alpha:
        failures.append("its transparency is missing")
    yield from checked("against: picture", failures, f"of {before.width}x{before.height}")
    lost = []
    if said.icc is not None and meta.icc != said.icc:
        lost.append("the ICC profile is missing or another one")
    if said.exif is not None and meta.exif is None:
        lost.append("the EXIF block is missing")
    if said.xmp is not None and meta.xmp is None:
        lost.append("the XMP packet is missing")
    yield from checked("against: tags", lost, "profile and EXIF as in the source")
