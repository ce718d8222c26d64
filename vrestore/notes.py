"""What a stage did to a shot, for the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["ShotNote"]


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
