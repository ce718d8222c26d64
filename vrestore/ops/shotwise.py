"""Ops that treat each shot for itself: one object per shot, so that nothing can cross a cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from vrestore.media import Frame
from vrestore.notes import ShotNote

__all__ = ["Renewal", "ShotTreatment", "Shotwise", "tuned"]


_Config = TypeVar("_Config")


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """Where an op that begins afresh within the same shot takes over.

    An op whose result hangs on all of the shot so far would leave a seam there.  So it begins a
    second time where the other one does, and goes over to what that one says until it is its turn.
    """

    begins: int
    """`Frame.index` of the first frame that the other one sees."""

    at: int
    """`Frame.index` of the first frame that it gives."""

    def share(self, index: int, settled: int) -> float:
        """How much the other one's say counts at a frame, 0..1: nothing for `settled` frames after
        it began, everything from its turn on."""
        begins = min(self.begins + settled, self.at - 1)
        return min(1.0, max(0.0, (index - begins) / (self.at - begins)))


def tuned(config: _Config, section: str, frame: Frame, *names: str) -> _Config:
    """A stage's settings with the shot's own values of the named ones, as `frame` tells them."""
    own = {n: frame.tuning.get(f"{section}.{n}", getattr(config, n)) for n in names}
    return replace(config, **own)  # type: ignore[type-var]


class ShotTreatment(Protocol):
    """What is done to one shot: frames out = frames in, in order."""

    def push(self, frame: Frame) -> Iterable[Frame]:
        """The shot's next frame; gives the frames that are ready."""
        ...

    def finish(self) -> Iterable[Frame]:
        """The shot is over; gives the frames that were held back."""
        ...

    def note(self) -> ShotNote | None:
        """The account of the shot, asked for after `finish`; None where nothing was looked at."""
        ...


class Shotwise:
    """Op: a new treatment for every shot, which gets its frames and no other's.

    A stream that begins without a shot's start begins a shot all the same.
    """

    def __init__(self, begin: Callable[[Frame], ShotTreatment], latency: int) -> None:
        """`begin` makes the treatment from a shot's first frame, which is pushed to it as well;
        `latency` is the most frames that a treatment holds back."""
        self._begin = begin
        self._shot: ShotTreatment | None = None
        self.latency = latency
        self.notes: list[ShotNote] = []

    def push(self, frame: Frame) -> Iterable[Frame]:
        if frame.shot_start or self._shot is None:
            yield from self.flush()
            self._shot = self._begin(frame)
        yield from self._shot.push(frame)

    def flush(self) -> Iterable[Frame]:
        shot, self._shot = self._shot, None
        if shot is None:
            return
        yield from shot.finish()
        note = shot.note()
        if note is not None:
            self.notes.append(note)
