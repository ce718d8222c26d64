"""One worker, as the process that hands out work sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vrestore.jobs.segments import Segment
from vrestore.progress import StageProgress

__all__ = ["Hand"]


@dataclass(eq=False, slots=True, kw_only=True)
class Hand:
    """What is known of a worker, and what it was given."""

    number: int
    device: str
    actor: Any
    coming: Any
    """What it will say next: a reference to its greeting, or a generator of references; None while
    the source is on its way to it."""

    lacks: str = ""
    """The machine that does not have the source, until it is there."""

    claims: str = ""
    """The kind of its device, where it is another than this process's, until it was tried."""

    kind: str = ""
    """Of its device, as the conditions tell it; empty before it may be given work."""

    todo: list[Segment] = field(default_factory=list)
    """What it was given and has not delivered."""

    done: int = 0
    """Frames of the first of `todo`."""

    made: int = 0
    """Frames that it has delivered."""

    busy_since: float = 0.0

    def remaining_seconds(self, now: float) -> float | None:
        """Until the segment under way is there; None where that cannot be told."""
        if not self.todo or not self.done:
            return None
        return (now - self.busy_since) / self.done * (self.todo[0].frames - self.done)

    def progress(self, elapsed: float, sent: float | None) -> StageProgress:
        """For people, after so many seconds; `sent` is the share of the source that went to its
        machine, None where none is sent."""
        about = ""
        if not self.kind:
            about = " starts" if sent is None else f" gets the source, {sent:.0%}"
        frames = self.made + self.done
        return StageProgress(
            name=f"worker {self.number}{about}",
            items=frames,
            busy_share=1.0 if self.todo else 0.0,
            fps=frames / (elapsed or 1e-9),
        )
