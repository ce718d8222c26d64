"""What a stage did to a shot, for the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, TypeVar

__all__ = ["NoteBook", "Noting", "ShotNote"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotNote:
    """One stage's account of one shot, made when the shot ends."""

    stage: str
    """Section of the preset: "deflicker", "dirt" ..."""

    first: int
    """`Frame.index` of the shot's first frame."""

    frames: int

    values: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """One number each for the whole shot; names end in their unit where they have one."""

    curves: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """One number per frame."""


class Noting(Protocol):
    """What takes notes while it works."""

    @property
    def notes(self) -> Sequence[ShotNote]: ...


_Noting = TypeVar("_Noting", bound=Noting)


class NoteBook:
    """The notes of all stages of a run, in one place."""

    def __init__(self) -> None:
        self._keepers: list[Noting] = []

    def of(self, op: _Noting) -> _Noting:
        """Makes the notes of `op` part of the book; gives `op` back."""
        self._keepers.append(op)
        return op

    def notes(self) -> tuple[ShotNote, ...]:
        """All notes so far, shot by shot, within a shot in the order of the stages."""
        order = enumerate(keeper.notes for keeper in self._keepers)
        found = [(note.first, stage, note) for stage, notes in order for note in notes]
        return tuple(note for _, _, note in sorted(found, key=lambda item: item[:2]))
