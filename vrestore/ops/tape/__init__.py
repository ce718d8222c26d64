"""What tape and composite video did to the picture, each fault by a small op of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from vrestore.media import Frame
from vrestore.notes import ShotNote
from vrestore.ops.tape.chroma import AUTO, ChromaShift
from vrestore.ops.tape.chromanoise import ChromaBleed, ChromaNoise
from vrestore.ops.tape.comb import Comb
from vrestore.ops.tape.dropout import Dropout
from vrestore.ops.tape.halo import Halo
from vrestore.ops.tape.headswitch import HeadSwitch
from vrestore.ops.tape.jitter import LineJitter

__all__ = ["Tape", "TapeConfig"]

_FARTHEST = 16.0
_MOST_ROWS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TapeConfig:
    """Section [tape] of a preset; everything is off unless set."""

    head_switch: Literal["auto"] | int = 0
    """Torn rows at the bottom of the picture: their number, 0 to 64, or "auto" to measure it."""

    line_jitter: float = 0.0
    """Share of each row's sideways offset that is corrected, 0 to 1."""

    dropout: float = 0.0
    """How faint a missing stretch of line may be to be filled; 0 is off, 0.5 is usual.  0 to 1."""

    comb: float = 0.0
    """Share of dot crawl and rainbows that is removed where the picture stands still, 0 to 1."""

    chroma_shift: Literal["auto"] | float = 0.0
    """How far colour lies right of its luma, in luma samples, -16 to 16, or "auto" to measure."""

    bleed: float = 0.0
    """How much of the sideways smear of colour is taken back at edges, 0 to 1."""

    chroma_noise: float = 0.0
    """How far colour noise is reduced, 0 to 1."""

    halo: float = 0.0
    """How far light and dark lines along edges are lowered, 0 to 1."""

    def __post_init__(self) -> None:
        for name in ("line_jitter", "dropout", "comb", "bleed", "chroma_noise", "halo"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be 0 to 1, got {value}")
        if self.chroma_shift != "auto" and not abs(self.chroma_shift) <= _FARTHEST:
            raise ValueError(f"chroma_shift must be -16 to 16 or auto, got {self.chroma_shift}")
        if self.head_switch != "auto" and not 0 <= self.head_switch <= _MOST_ROWS:
            raise ValueError(f"head_switch must be 0 to 64 or auto, got {self.head_switch}")

    @property
    def active(self) -> bool:
        """Whether anything is to be done."""
        return bool(_stages(self))


class _Stage(Protocol):
    latency: int
    notes: list[ShotNote]

    def push(self, frame: Frame) -> Iterable[Frame]: ...

    def flush(self) -> Iterable[Frame]: ...


def _stages(config: TapeConfig) -> list[_Stage]:
    """In the order in which a signal is mended: time base, then holes, then colour."""
    rows = AUTO if config.head_switch == "auto" else config.head_switch
    shift = AUTO if config.chroma_shift == "auto" else config.chroma_shift
    stages: list[tuple[float, Callable[[float], _Stage]]] = [
        (rows, HeadSwitch),
        (config.dropout, Dropout),
        (config.line_jitter, LineJitter),
        (config.comb, Comb),
        (shift, ChromaShift),
        (config.chroma_noise, ChromaNoise),
        (config.bleed, ChromaBleed),
        (config.halo, Halo),
    ]
    return [make(value) for value, make in stages if value]


class Tape:
    """Op: the stages that a TapeConfig asks for, one after the other; UNIT frames."""

    def __init__(self, config: TapeConfig) -> None:
        self._stages = _stages(config)
        self.latency = sum(stage.latency for stage in self._stages)

    @property
    def notes(self) -> list[ShotNote]:
        """Those of all stages, in the order of the shots."""
        found = [note for stage in self._stages for note in stage.notes]
        return sorted(found, key=lambda note: note.first)

    def push(self, frame: Frame) -> Iterable[Frame]:
        yield from self._through([frame], 0)

    def flush(self) -> Iterable[Frame]:
        for number, stage in enumerate(self._stages):
            yield from self._through(list(stage.flush()), number + 1)

    def _through(self, frames: list[Frame], start: int) -> Iterable[Frame]:
        for stage in self._stages[start:]:
            frames = [out for frame in frames for out in stage.push(frame)]
        return frames
