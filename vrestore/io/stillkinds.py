"""The kinds of picture files that can be written; torch is not needed to know them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from vrestore.errors import OutputError

__all__ = ["JPEG", "PNG", "STILL_KINDS", "STILL_SUFFIXES", "TIFF", "WEBP", "StillKind", "kind_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StillKind:
    """A kind of picture file and what it can hold."""

    name: str
    depths: tuple[int, ...]
    alpha: bool
    gray: bool
    longest: int
    """Samples of a side."""

    streams: bool
    """Whether rows are written as they come; else the whole picture is collected."""


PNG = StillKind(name="PNG", depths=(8, 16), alpha=True, gray=True, longest=2**31 - 1, streams=True)
TIFF = StillKind(
    name="TIFF", depths=(8, 16, 32), alpha=True, gray=True, longest=2**32 - 1, streams=True
)
JPEG = StillKind(name="JPEG", depths=(8,), alpha=False, gray=True, longest=65_500, streams=False)
WEBP = StillKind(name="WebP", depths=(8,), alpha=True, gray=False, longest=16_383, streams=False)

STILL_KINDS = MappingProxyType(
    {".png": PNG, ".tif": TIFF, ".tiff": TIFF, ".jpg": JPEG, ".jpeg": JPEG, ".webp": WEBP}
)
"""What can be written, by suffix."""

STILL_SUFFIXES = frozenset(STILL_KINDS)
"""Suffixes that `stillwrite` knows."""


def kind_of(path: str | os.PathLike[str]) -> StillKind:
    """The kind of picture that a name stands for.  Raises OutputError."""
    target = Path(path)
    kind = STILL_KINDS.get(target.suffix.lower())
    if kind is None:
        known = ", ".join(sorted(STILL_KINDS))
        raise OutputError(f"{target} has no picture suffix; use one of {known}")
    return kind
