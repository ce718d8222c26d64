"""What a journal says, read as what anybody may have written: nothing of it is taken on trust.

Every reader here raises ValueError for whatever is missing, unknown, of another type or out of
range, in words for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, TypeVar, get_type_hints

from vrestore import limits
from vrestore.fieldplan import FieldsKnown
from vrestore.io.accounts import DecodeReport
from vrestore.jobs.segments import Segment
from vrestore.ops.fieldfound import FieldRun
from vrestore.ops.patterns import STATES
from vrestore.ops.pulldown import PairRun

__all__ = ["Beginning", "Made", "parse_beginning", "parse_finishing", "parse_made"]

_MOST = 2**62
"""No whole number of a journal is larger, of either sign."""

_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """The first entry: what the job is."""

    source: str
    output: str
    """As they were given."""

    preset: str
    toml: str
    """Every setting, for `resume` without the command line."""

    overwrite: bool
    conditions: Mapping[str, str]
    shots: str
    """A shot list."""

    segments: tuple[Segment, ...]
    fields: FieldsKnown | None
    """What the source pass decided of the fields; None where nothing is done about them."""

    decoded: Mapping[str, Any]
    """The books of the source pass (`DecodeReport`)."""

    steady: bool
    """Reading may begin anywhere in the source."""

    @property
    def frames(self) -> int:
        """Of the source."""
        return sum(segment.frames for segment in self.segments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The entry of a segment that is durable."""

    number: int
    bytes: int
    packets: int
    last_pts: int
    reorder: int
    """Packets by which decoding runs ahead of showing."""

    extradata: str
    """Hash of what the encoder said of its stream."""

    frames: int
    added: int
    """Second fields among them."""

    deinterlaced: int
    shots: int
    seconds: float
    """That it took, for people."""

    notes: tuple[Mapping[str, Any], ...] = ()
    """`ShotNote`s."""

    device: str = ""
    """Kind of device of the worker that made it; empty: as the job's conditions say."""


def parse_beginning(entry: Mapping[str, Any]) -> Beginning:
    """The entry that begins a job.  Raises ValueError."""
    segments = entry.get("segments")
    if type(segments) is not list or not 0 < len(segments) <= limits.SEGMENTS:
        raise ValueError(f"it must have 1 to {limits.SEGMENTS} segments")
    made = _of_kind(
        Beginning,
        entry,
        segments=tuple(_of_kind(Segment, segment) for segment in segments),
        conditions=_table(entry.get("conditions"), str, "conditions"),
        fields=_fields(entry.get("fields")),
        decoded=_books(entry.get("decoded")),
    )
    if not limits.PLAIN_NAME.fullmatch(made.preset):
        raise ValueError("its preset is no name")
    _require_sequence(made.segments)
    return made


def parse_made(entry: Mapping[str, Any], count: int) -> Made:
    """The entry of a durable segment of a job of `count`.  Raises ValueError."""
    notes = entry.get("notes")
    if type(notes) is not list:
        raise ValueError("notes must be a list")
    # Journals from before there were workers do not name a device.
    device = _scalar(entry.get("device", ""), str, "device")
    made = _of_kind(Made, entry, notes=tuple(map(_note, notes)), device=device)
    counts = (made.bytes, made.packets, made.reorder, made.frames, made.added, made.shots)
    if not 0 <= made.number < count or min(counts) < 0:
        raise ValueError(f"segment {made.number} is none of 0 to {count - 1}, or less than empty")
    return made


def parse_finishing(entry: Mapping[str, Any]) -> int:
    """Bytes of the finished file.  Raises ValueError."""
    return _scalar(entry.get("bytes"), int, "bytes")


def _require_sequence(segments: tuple[Segment, ...]) -> None:
    """Numbered from 0, each where the one before ends, read forward, with what they are fed."""
    for number, segment in enumerate(segments):
        order = (segment.read_from, segment.fed_from, segment.start, segment.stop - 1)
        ends = (segment.stop, segment.fed_to, segment.read_to)
        if (
            segment.number != number
            or segment.read_from < 0
            or not segment.fed_from <= segment.next_from <= segment.stop
            or sorted(order) != list(order)
            or sorted(ends) != list(ends)
        ):
            raise ValueError(f"the ranges of segment {number} contradict each other")
    for before, segment in pairwise(segments):
        if segment.start != before.stop or segment.read_from < before.read_from:
            raise ValueError(f"segment {segment.number} does not follow the one before it")


def _of_kind(kind: type[_Kind], entry: object, **parsed: object) -> _Kind:
    """A dataclass of plain values; those that are `parsed` already are taken as they are."""
    if not isinstance(entry, Mapping):
        raise ValueError(f"{kind.__name__.lower()} must be a table")
    hints = get_type_hints(kind)
    if unknown := sorted(set(entry) - set(hints)):
        raise ValueError(f"unknown key {str(unknown[0])[:40]!r}")
    values = {
        key: parsed[key] if key in parsed else _scalar(entry.get(key), hints[key], key)
        for key in hints
    }
    return kind(**values)


def _scalar(value: object, kind: type[_Kind], key: str) -> _Kind:
    if kind is float and isinstance(value, int) and abs(value) <= _MOST:
        value = float(value)
    if type(value) is not kind or (isinstance(value, int) and abs(value) > _MOST):
        raise ValueError(f"{key[:40]!r} is missing or wrong")
    return value


def _table(value: object, kind: type[_Kind], key: str) -> dict[str, _Kind]:
    if type(value) is not dict:
        raise ValueError(f"{key!r} must be a table")
    return {name: _scalar(entry, kind, name) for name, entry in value.items()}


def _list(value: object, kind: type[_Kind], key: str) -> list[_Kind]:
    if type(value) is not list:
        raise ValueError(f"{key!r} must be a list")
    return [_scalar(entry, kind, key) for entry in value]


def _fields(value: object) -> FieldsKnown | None:
    if value is None:
        return None
    if type(value) is not dict or set(value) != {"runs", "pairs"}:
        raise ValueError("'fields' is missing or wrong")
    runs = [FieldRun(*row) for row in _rows(value["runs"], (int, int, bool, bool), "runs")]
    pairs = [PairRun(*row) for row in _rows(value["pairs"], (int, int), "pairs")]
    if any(not 0 <= run.state < len(STATES) for run in runs) or any(
        pair.pairs < 1 for pair in pairs
    ):
        raise ValueError("'fields' has states that there are not")
    for rows in (runs, pairs):
        if any(after[0] <= before[0] for before, after in pairwise(rows)):
            raise ValueError("'fields' is not in order")
    return FieldsKnown(runs=tuple(runs), pairs=tuple(pairs))


def _rows(value: object, kinds: tuple[type, ...], key: str) -> list[list[Any]]:
    """Lists of so many scalars of these kinds."""
    if type(value) is not list or any(
        type(row) is not list or len(row) != len(kinds) for row in value
    ):
        raise ValueError(f"{key!r} must be a list of rows")
    return [
        [_scalar(item, kind, key) for item, kind in zip(row, kinds, strict=True)] for row in value
    ]


def _books(value: object) -> dict[str, Any]:
    """What `DecodeReport` is made of again."""
    if type(value) is not dict or set(value) != {field.name for field in fields(DecodeReport)}:
        raise ValueError("the books of the source pass are missing or of another version")
    read: dict[str, Any] = {}
    for field in fields(DecodeReport):
        told = value[field.name]
        if field.name == "dropped":
            read["dropped"] = _table(told, int, "dropped")
        elif field.name == "errors":
            read["errors"] = _list(told, str, "errors")
        elif field.name == "truncated":
            read["truncated"] = None if told is None else _scalar(told, str, "truncated")
        else:
            read[field.name] = _scalar(told, int, field.name)
    return read


def _note(value: object) -> dict[str, Any]:
    """What `ShotNote` is made of again."""
    if type(value) is not dict or set(value) != {"stage", "first", "frames", "values", "curves"}:
        raise ValueError("a note is damaged")
    curves = value["curves"]
    if type(curves) is not dict:
        raise ValueError("'curves' must be a table")
    return {
        "stage": _scalar(value["stage"], str, "stage"),
        "first": _scalar(value["first"], int, "first"),
        "frames": _scalar(value["frames"], int, "frames"),
        "values": _table(value["values"], float, "values"),
        "curves": {key: _list(curve, float, key) for key, curve in curves.items()},
    }
