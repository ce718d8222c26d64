"""From what the threads measure to what an observer is told."""

from __future__ import annotations

from collections.abc import Callable

from vrestore.assembly import Tally
from vrestore.models.compiled import COMPILER
from vrestore.planning import Plan
from vrestore.progress import ChannelProgress, Progress, StageProgress
from vrestore.runtime.posix import MemoryMeter
from vrestore.runtime.stats import PipelineStats

__all__ = ["Observer", "observing"]

Observer = Callable[[Progress], None]
"""Called in the calling thread a few times a second."""


def observing(
    observer: Observer,
    planned: Plan,
    tally: Tally,
    *,
    total: int | None = None,
    before: int = 0,
) -> Callable[[PipelineStats], None]:
    """What `Pipeline.run` calls, for an observer of the run.

    `total` is the number of frames where that is known, `before` of those that an earlier run made.
    """
    meter = MemoryMeter()
    total = planned.frames_expected if total is None else total
    length = planned.info.duration_seconds_from_header

    def observe(stats: PipelineStats) -> None:
        elapsed = stats.elapsed_seconds or 1e-9
        bounding = stats.bounding
        observer(
            Progress(
                elapsed_seconds=stats.elapsed_seconds,
                frames_done=before + tally.frames,
                frames_before=before,
                frames_total=total,
                position_seconds=float(tally.last - tally.first),
                duration_seconds=None if length is None else float(length),
                shot=tally.shots - 1 if tally.shots else None,
                stages=tuple(
                    StageProgress(
                        name=stage.name,
                        items=max(stage.items_out, stage.items_in),
                        busy_share=stats.busy_share(stage),
                        fps=max(stage.items_out, stage.items_in) / elapsed,
                    )
                    for stage in stats.stages
                ),
                channels=tuple(
                    ChannelProgress(
                        name=channel.name, depth=channel.depth, capacity=channel.capacity
                    )
                    for channel in stats.channels
                ),
                rss_bytes=meter.current_bytes or 0,
                bound_by=None if bounding is None else bounding.name,
                compiling=COMPILER.works,
            )
        )

    return observe
