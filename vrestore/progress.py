"""How far a run is: the values that `restore` hands to an observer."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ChannelProgress", "Progress", "StageProgress"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageProgress:
    """One thread of the pipeline."""

    name: str
    """decode, restore, encode ..."""

    items: int
    """Items finished since the start."""

    busy_share: float
    """Part of the elapsed time spent working, 0..1; the rest it waited on its channels."""

    fps: float
    """Items per second since the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelProgress:
    """One bounded queue between two stages."""

    name: str
    depth: int
    """Items in it now, 0..capacity."""

    capacity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A snapshot of a run.

    `channels[i]` lies between `stages[i]` and `stages[i + 1]`.
    """

    elapsed_seconds: float
    frames_done: int
    """Frames that have left the pipeline, those of an earlier run of the same job included."""

    frames_total: int | None
    """As the source claims; None where it does not say.  Never to be trusted as an end."""

    position_seconds: float
    """Time of the last finished frame, from the first one's."""

    duration_seconds: float | None
    """As the source claims."""

    shot: int | None
    """Number of the current shot, from 0; None where shots are not told apart."""

    stages: tuple[StageProgress, ...]
    channels: tuple[ChannelProgress, ...]

    rss_bytes: int
    """Resident memory of the process."""

    bound_by: str | None
    """Name of the stage that sets the pace, None while that cannot be told."""

    frames_before: int = 0
    """Frames among `frames_done` that were there at the start."""

    compiling: bool = False
    """The network's functions are being compiled, as once on every machine."""

    unit: str = "frames"
    """What is counted: frames, or the tiles of a large still."""

    @property
    def pace_unit(self) -> str:
        """Of `fps`, as people read it."""
        return "fps" if self.unit == "frames" else f"{self.unit}/s"

    @property
    def fps(self) -> float:
        """Finished frames per second since the start."""
        made = self.frames_done - self.frames_before
        return made / self.elapsed_seconds if self.elapsed_seconds > 0 else 0.0

    @property
    def done_share(self) -> float | None:
        """Part of the work that is done, 0..1; None while the length is unknown."""
        if self.frames_total:
            return min(self.frames_done / self.frames_total, 1.0)
        if self.duration_seconds:
            return min(max(self.position_seconds / self.duration_seconds, 0.0), 1.0)
        return None

    @property
    def remaining_seconds(self) -> float | None:
        """At the mean pace so far; None before the first frame or while the length is unknown."""
        share = self.done_share
        if not share:
            return None
        before = self.frames_before / self.frames_total if self.frames_total else 0.0
        made = share - before
        return self.elapsed_seconds * (1.0 - share) / made if made > 0 else None
