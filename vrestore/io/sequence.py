"""Image sequences: numbered picture files that stand for a video stream."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from vrestore.errors import InputError
from vrestore.limits import SEQUENCE_PICTURES

__all__ = [
    "ImageSequence",
    "find_sequence",
    "is_pattern",
]

EXTENSIONS = frozenset(
    {"png", "tif", "tiff", "dpx", "exr", "jpg", "jpeg", "webp", "bmp", "ppm", "pgm", "pfm", "tga"}
    | {"jp2", "j2k", "cin", "jxl", "sgi"}
)
_PLACEHOLDER = re.compile(r"%(?:0(\d+))?d")
_NUMBERED = re.compile(r"(.*?)(\d+)(\.[^.]*)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSequence:
    """Numbered pictures without a gap."""

    pattern: str
    """Path with one printf place for the number, such as "frames/%05d.png"."""

    start: int
    count: int

    def path(self, position: int) -> Path:
        """The file of the picture at `position`, counted from 0."""
        return Path(self.pattern % (self.start + position))


def is_pattern(path: str) -> bool:
    """Whether a path has a place for a picture number, such as %05d, and is not itself a file."""
    return _PLACEHOLDER.search(os.path.basename(path)) is not None and not os.path.exists(path)


def find_sequence(path: str, start_number: int | None = None) -> ImageSequence:
    """The sequence behind a pattern or a folder.

    `start_number` is the number of the first picture; by default the lowest there is.  Raises
    InputError where there is no picture, more than one sequence in the folder, or a number missing.
    """
    pattern = path if not os.path.isdir(path) else _pattern_in(Path(path))
    folder, name = os.path.split(pattern)
    places = _PLACEHOLDER.findall(name)
    if len(places) != 1 or "%" in _PLACEHOLDER.sub("", name).replace("%%", "") or "%" in folder:
        raise InputError(
            f"image pattern {pattern} must have exactly one number, such as %05d, in the file name"
        )
    if len(places[0]) > 2:
        raise InputError(f"image pattern {pattern} asks for numbers of over 99 digits")
    numbers = _numbers(Path(folder or "."), name)
    if len(numbers) > SEQUENCE_PICTURES:
        raise InputError(
            f"image sequence {pattern} has {len(numbers)} pictures, more than {SEQUENCE_PICTURES}"
        )
    if start_number is not None:
        numbers = [number for number in numbers if number >= start_number]
    if not numbers or (start_number is not None and numbers[0] != start_number):
        wanted = "" if start_number is None else f" with number {start_number}"
        raise InputError(f"no picture {pattern}{wanted} exists")
    expected = range(numbers[0], numbers[0] + len(numbers))
    for number, there in zip(expected, numbers, strict=True):
        if number != there:
            raise InputError(
                f"image sequence {pattern} has a gap: number {number} is missing "
                f"(the sequence runs from {numbers[0]} to {numbers[-1]}); add the missing picture"
            )
    return ImageSequence(pattern=pattern, start=numbers[0], count=len(numbers))


def _numbers(folder: Path, name: str) -> list[int]:
    """Numbers of the files in `folder` that the pattern `name` would write, ascending."""
    place = _PLACEHOLDER.search(name)
    assert place is not None
    width = int(place.group(1) or 1)
    before, after = name[: place.start()].replace("%%", "%"), name[place.end() :].replace("%%", "%")
    matcher = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    if not folder.is_dir():
        return []
    numbers = []
    for entry in os.listdir(folder):
        found = matcher.fullmatch(entry)
        # "%05d" writes 00012 and 123456, never 12 or 000012.
        if found and found.group(1) == f"{int(found.group(1)):0{width}d}":
            numbers.append(int(found.group(1)))
    return sorted(numbers)


def _pattern_in(folder: Path) -> str:
    """The pattern of the only image sequence in a folder."""
    groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in sorted(os.listdir(folder)):
        parts = _NUMBERED.fullmatch(entry)
        if parts and (parts.group(3) or "")[1:].lower() in EXTENSIONS:
            groups[parts.group(1), parts.group(3)].append(parts.group(2))
    if not groups:
        raise InputError(f"folder {folder} has no numbered pictures")
    if len(groups) > 1:
        names = ", ".join(f"{before}*{after}" for before, after in sorted(groups)[:4])
        raise InputError(
            f"folder {folder} has {len(groups)} image sequences ({names}); "
            f"name one by a pattern such as {folder}/%05d.png"
        )
    ((before, after), digits) = next(iter(groups.items()))
    # A leading zero fixes the width; without one, numbers are written as short as they are.
    width = min(map(len, digits)) if any(number.startswith("0") for number in digits) else 1
    place = f"%0{width}d" if width > 1 else "%d"
    return str(folder / (before.replace("%", "%%") + place + after.replace("%", "%%")))
