"""Whether and how a source's pictures are put together again: settings and a survey to a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from vrestore.media import FieldOrder
from vrestore.ops.cadence import Cadence
from vrestore.ops.patterns import Pattern

__all__ = ["IvtcConfig", "Matching", "choose_matching"]

_MODES = ("auto", "off")
_KNOWN_AS: Mapping[str, str] = MappingProxyType(
    {"detelecine": "auto", "fieldmatch": "auto", "pullup": "auto"}
)
"""Other tools' names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IvtcConfig:
    """Section [ivtc] of a preset."""

    mode: str = "off"
    """"auto": where the fields of the source are found to be telecined or phase-shifted film, its
    pictures are put together again and the repeats left out; the frame rate becomes the film's.
    "off": fields stay where they are.  Names from other tools, all "auto": "detelecine",
    "fieldmatch", "pullup"."""

    def __post_init__(self) -> None:
        if self.mode not in (*_MODES, *_KNOWN_AS):
            known = ", ".join((*_MODES, *_KNOWN_AS))
            raise ValueError(f"mode must be one of {known}, got {self.mode!r}")

    @property
    def enabled(self) -> bool:
        return _KNOWN_AS.get(self.mode, self.mode) == "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """How the pictures of one source are put together again."""

    usual: Pattern = Pattern.WHOLE
    """What frames are taken for where nothing moves."""

    order: FieldOrder | None = None
    """Of the fields, TOP_FIRST or BOTTOM_FIRST; None to look for either."""

    def __str__(self) -> str:
        order = "" if self.order is None else f", {self.order.value}"
        return f"fields matched, mostly {self.usual.value}{order}"


def choose_matching(config: IvtcConfig, cadence: Cadence | None) -> Matching | None:
    """What is to be done for a source; None for nothing.

    `cadence` is what a survey found, None where there was none (standard input): then fields are
    matched wherever the frames themselves ask for it.
    """
    if not config.enabled:
        return None
    if cadence is None:
        return Matching()
    if not cadence.needs_matching:
        return None
    order = cadence.order if cadence.order is not FieldOrder.PROGRESSIVE else None
    return Matching(usual=cadence.usual, order=order)
