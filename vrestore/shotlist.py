"""Shots and what is set otherwise in each, as an editable file; the op that applies it.

schema = 1

[[shot]]
start = 48                # number of its first frame, from 0
time = 1.92               # seconds, for people; counts only where there is no start
frames = 120              # for people
deflicker.strength = 0.8  # any numeric key of a preset
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from types import MappingProxyType, UnionType
from typing import Any, Union, get_args, get_origin

from vrestore import limits
from vrestore.errors import PresetError
from vrestore.media import NO_TUNING, Frame
from vrestore.ops.cutlist import Cut, parse_cuts
from vrestore.sections import HINTS, SECTIONS, resolve

__all__ = ["Shot", "ShotList", "Tune", "parse_shots", "read_cuts", "read_shots", "tunable"]

_SCHEMA = 1
_EARLY = Fraction(1, 1000)
"""How early a frame may be for a time: times are written by people, rounded."""

_OWN_KEYS = ("start", "time", "frames")
_MEASURED = re.compile(
    r"grain\.(confidence|correlation\.[0-2]|(y|cb|cr|r|g|b)\.(strength|power)\.\d{1,2})"
)
"""What `ops.grainmodel.Grain.to_mapping` writes: measured, and no key of a preset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One shot and its settings."""

    start: int | None = None
    """`Frame.index` of its first frame."""

    seconds: Fraction | None = None
    """Time of its first frame; counts where `start` is None."""

    frames: int | None = None
    """Its length; None where it is not known."""

    tuning: Mapping[str, float] = field(default_factory=lambda: NO_TUNING)
    """As `Frame.tuning`."""

    def __post_init__(self) -> None:
        if self.start is None and self.seconds is None:
            raise ValueError("a shot needs the number or the time of its first frame")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotList:
    """The shots of a source, in their order."""

    shots: tuple[Shot, ...] = ()

    def to_toml(self) -> str:
        """The file that `parse_shots` reads."""
        lines = [f"schema = {_SCHEMA}"]
        for shot in self.shots:
            lines += ["", "[[shot]]"]
            if shot.start is not None:
                lines.append(f"start = {shot.start}")
            if shot.seconds is not None:
                lines.append(f"time = {float(shot.seconds):.3f}")
            if shot.frames is not None:
                lines.append(f"frames = {shot.frames}")
            lines += (f"{key} = {float(value)!r}" for key, value in shot.tuning.items())
        return "\n".join(lines) + "\n"


def read_cuts(path: str) -> tuple[Cut, ...]:
    """The cut list in a file.  PresetError where there is none or it is wrong."""
    text = _text(path, limits.CUT_LIST_BYTES, "cut list")
    try:
        return parse_cuts(text)
    except ValueError as error:
        raise PresetError(f"cut list {path}, {error}") from error


def read_shots(path: str) -> ShotList:
    """The shot list in a file.  PresetError where there is none or it is wrong."""
    return parse_shots(_text(path, limits.SHOT_LIST_BYTES, "shot list"), path)


def _text(path: str, most: int, what: str) -> str:
    try:
        return limits.read_text(path, most)
    except OSError as error:
        raise PresetError(f"{what} {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PresetError(f"{what} {path} is not UTF-8 text: {error}") from error


def parse_shots(text: str, name: str = "shot list") -> ShotList:
    """A shot list; `name` begins each message.  PresetError for whatever is wrong in it."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise PresetError(f"{name} is not TOML: {error}") from error
    if type(table.get("schema")) is not int or table["schema"] != _SCHEMA:
        raise PresetError(f"{name}: schema must be {_SCHEMA}, got {table.get('schema')!r}")
    if unknown := sorted(set(table) - {"schema", "shot"}):
        raise PresetError(f"{name}: unknown key {unknown[0]!r}; a shot begins with [[shot]]")
    entries = table.get("shot", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise PresetError(f"{name}: shot must be a list of tables; write [[shot]] above each")
    if len(entries) > limits.SHOTS:
        raise PresetError(f"{name}: at most {limits.SHOTS} shots are allowed, got {len(entries)}")
    shots = tuple(
        _shot(entry, f"{name}: shot {number}") for number, entry in enumerate(entries, start=1)
    )
    for number, (before, shot) in enumerate(pairwise(shots), start=2):
        if not _follows(before, shot):
            raise PresetError(f"{name}: shot {number} must begin after the one before it")
    return ShotList(shots=shots)


def _follows(before: Shot, shot: Shot) -> bool:
    if before.start is not None and shot.start is not None:
        return before.start < shot.start
    if before.seconds is not None and shot.seconds is not None:
        return before.seconds < shot.seconds
    return True


def _shot(entry: Mapping[str, Any], where: str) -> Shot:
    start, frames, seconds = entry.get("start"), entry.get("frames"), entry.get("time")
    for key, value in (("start", start), ("frames", frames)):
        if value is not None and (type(value) is not int or not 0 <= value < 2**53):
            raise PresetError(f"{where}: {key} must be a whole number from 0, got {value!r}")
    if seconds is not None and not _is_number(seconds):
        raise PresetError(f"{where}: time must be seconds, got {seconds!r}")
    if start is None and seconds is None:
        raise PresetError(f"{where} needs start, the number of its first frame, or time")
    tuning = dict(_flat({key: value for key, value in entry.items() if key not in _OWN_KEYS}))
    if len(tuning) > limits.SHOT_KEYS:
        raise PresetError(
            f"{where}: at most {limits.SHOT_KEYS} keys are allowed, got {len(tuning)}"
        )
    for key, value in tuning.items():
        _check(key, value, where)
    return Shot(
        start=start,
        seconds=None if seconds is None else Fraction(str(seconds)),
        frames=frames,
        tuning=MappingProxyType({key: float(value) for key, value in tuning.items()}),
    )


def _flat(table: Mapping[str, Any], stem: str = "") -> Iterator[tuple[str, Any]]:
    """Nested tables as dotted keys."""
    for key, value in table.items():
        if isinstance(value, dict) and stem.count(".") < limits.SHOT_KEY_PARTS:
            yield from _flat(value, f"{stem}{key}.")
        else:
            yield f"{stem}{key}", value


def _check(key: str, value: object, where: str) -> None:
    """PresetError unless `key` may have `value` in a shot."""
    if not _is_number(value):
        raise PresetError(f"{where}: {key} must be a number, got {value!r}")
    if _MEASURED.fullmatch(key):
        if float(str(value)) < 0 and "correlation" not in key:
            raise PresetError(f"{where}: {key} must be 0 or more, got {value!r}")
        return
    name, entry = resolve(key, where)
    if entry is not None or not tunable(name):
        raise PresetError(f"{where}: {key} cannot change from shot to shot")
    section, attribute = name.split(".")
    try:
        replace(SECTIONS[section](), **{attribute: float(str(value))})
    except ValueError as error:
        raise PresetError(f"{where}: [{section}] {error}") from error


def _is_number(value: object) -> bool:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return numeric and math.isfinite(float(str(value))) and abs(float(str(value))) < 2**53


def tunable(key: str) -> bool:
    """Whether a key of the presets takes a fraction, so that a shot may have its own."""
    hint = HINTS.get(key)
    if get_origin(hint) in (Union, UnionType):
        return float in get_args(hint)
    return hint is float


class Tune:
    """Op: marks the shots of a list as shot starts, and their frames with their tuning.

    Takes the place of a detector of cuts: no frame but the first starts a shot unless the list
    says so.  The first frame that comes belongs to the shot that the list has there.
    """

    latency = 0

    def __init__(self, shots: ShotList) -> None:
        self._shots = shots.shots
        self._next = 0
        self._started = False
        self._tuning: Mapping[str, float] = NO_TUNING

    def push(self, frame: Frame) -> Iterable[Frame]:
        starts = not self._started
        while self._next < len(self._shots) and _reached(self._shots[self._next], frame):
            self._tuning = self._shots[self._next].tuning
            self._next += 1
            starts = True
        self._started = True
        yield replace(frame, shot_start=starts, tuning=self._tuning)

    def flush(self) -> Iterable[Frame]:
        return ()


def _reached(shot: Shot, frame: Frame) -> bool:
    if shot.start is not None:
        return frame.index >= shot.start
    return shot.seconds is not None and frame.timestamp.seconds >= shot.seconds - _EARLY
