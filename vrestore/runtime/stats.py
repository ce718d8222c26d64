"""What a run measures about itself while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter, thread_time

from vrestore.runtime.channel import ChannelStats

__all__ = ["PipelineStats", "StageMeter", "StageStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStats:
    """One look at a stage."""

    name: str
    items_in: int
    items_out: int

    busy_seconds: float
    """Wall time inside the stage's own work: push and flush, reading a source, writing a sink.
    Waiting for a channel is not in it, waiting for a processor is."""

    cpu_seconds: float
    """Processor time of the stage's own thread; threads of libraries are not in it.  Counts only
    work that has finished."""

    alive: bool
    """Its thread is running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStats:
    """One look at a line of stages, left to right."""

    stages: tuple[StageStats, ...]

    channels: tuple[ChannelStats, ...]
    """`channels[i]` lies between `stages[i]` and `stages[i + 1]`."""

    elapsed_seconds: float
    """Wall time since the run began, up to its end."""

    cpu_seconds: float
    """Processor time of the whole process since the run began, threads of libraries included."""

    def busy_share(self, stage: StageStats) -> float:
        """The part of the elapsed time that a stage was busy, 0 to 1."""
        return min(1.0, stage.busy_seconds / self.elapsed_seconds) if self.elapsed_seconds else 0.0

    @property
    def bounding(self) -> StageStats | None:
        """The stage that sets the pace: the busiest one.  None before any has worked."""
        busiest = max(self.stages, key=lambda stage: stage.busy_seconds, default=None)
        return busiest if busiest is not None and busiest.busy_seconds > 0 else None


class StageMeter:
    """Counts and clocks of one stage: written by its thread alone, readable from any.

    `start` and `stop` bracket the stage's own work.
    """

    __slots__ = ("_clock", "items_in", "items_out", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.items_in = 0
        self.items_out = 0
        # (busy, cpu, busy since, cpu since): one reference, so that a reader never sees halves.
        self._clock: tuple[float, float, float | None, float] = (0.0, 0.0, None, 0.0)

    def start(self) -> None:
        busy, cpu, _, _ = self._clock
        self._clock = (busy, cpu, perf_counter(), thread_time())

    def stop(self) -> None:
        busy, cpu, since, cpu_since = self._clock
        if since is not None:
            busy += perf_counter() - since
            cpu += thread_time() - cpu_since
        self._clock = (busy, cpu, None, 0.0)

    def snapshot(self, alive: bool) -> StageStats:
        busy, cpu, since, _ = self._clock
        if since is not None:
            busy += perf_counter() - since
        return StageStats(
            name=self.name,
            items_in=self.items_in,
            items_out=self.items_out,
            busy_seconds=busy,
            cpu_seconds=cpu,
            alive=alive,
        )
