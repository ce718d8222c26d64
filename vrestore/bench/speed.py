"""How fast each stage is alone, how well they overlap together, and what bounds a run.

All figures of one result come from one process on one clip, so that their ratios mean something
on a machine that does other things too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from time import perf_counter

from vrestore.assembly import assemble
from vrestore.bench.clip import asked, clip, job, settings_for
from vrestore.bench.roofline import Peaks, Roofline, peaks, roofline
from vrestore.chain import analysis, restoration
from vrestore.describe import columns
from vrestore.io.decode import Decoder
from vrestore.io.output import open_output
from vrestore.media import Frame, Timestamp
from vrestore.models.restorer import working_dtype
from vrestore.notes import NoteBook
from vrestore.planning import Plan
from vrestore.runtime.pipeline import stream
from vrestore.runtime.pool import BufferPool
from vrestore.runtime.posix import usable_cores
from vrestore.runtime.stage import Op, compose
from vrestore.runtime.stats import PipelineStats
from vrestore.runtime.threads import torch_threads

__all__ = ["BenchResult", "StageTime", "run", "table"]

_KEPT_FRAMES = 4
"""Frames that a stage measured alone is fed with, over and over."""

_COUNTED_FRAMES = 8
"""Frames until one has come through all that hold some back, and its operations are counted."""

_LOOKS_A_SECOND = 50

_FEWEST, _MOST, _SAMPLES = 6, 48, 48 * 480 * 270
"""Frames measured where nobody says how many, and samples that they have together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """One stage; times in seconds for all frames."""

    name: str
    alone: float
    """With the machine to itself, fed from memory."""

    busy: float
    """Inside the whole pipeline, waiting for a processor included."""

    queue_fill: float
    """Mean share of the queue behind it that was full, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """One size with one model and encoder."""

    size: str
    output_size: str
    model: str
    encoder: str
    frames: int
    cores: int
    wall: float
    """Seconds from the first read to the closed file."""

    cpu: float
    """Processor seconds of the whole process meanwhile."""

    stages: tuple[StageTime, ...]

    peaks: Peaks
    roofline: Roofline
    """Of all that stage `restore` does to a frame."""

    @property
    def fps(self) -> float:
        return self.frames / self.wall

    @property
    def bound(self) -> float:
        """The larger of the busiest stage alone and the processor time shared by all cores."""
        return max(*(stage.alone for stage in self.stages), self.cpu / self.cores)

    @property
    def overlap(self) -> float:
        """Wall time over `bound`: 1 is perfect."""
        return self.wall / self.bound

    @property
    def network_seconds(self) -> float:
        """What the restoring stage takes alone, for all frames."""
        return next(stage.alone for stage in self.stages if stage.name == "restore")

    def __str__(self) -> str:
        title = (
            f"{self.size} -> {self.output_size}, {self.model}, {self.encoder}: "
            f"{self.frames} frames in {self.wall:.2f} s, {self.fps:.1f} fps, "
            f"{self.cpu:.2f} s of {self.cores} cores, overlap {self.overlap:.2f}"
        )
        rows = [("stage", "alone ms", "alone fps", "busy ms", "queue")]
        for stage in self.stages:
            per = 1000 / self.frames
            rate = self.frames / stage.alone if stage.alone else 0.0
            rows.append(
                (
                    stage.name,
                    f"{stage.alone * per:.1f}",
                    f"{rate:.1f}",
                    f"{stage.busy * per:.1f}",
                    f"{stage.queue_fill:.0%}",
                )
            )
        return f"{title}\n{columns(rows, '  ')}\n  {self._share()}"

    def _share(self) -> str:
        """How near stage `restore` comes to what the machine can do at most."""
        least = self.roofline
        measured = self.network_seconds / self.frames
        return (
            f"restore: {least.macs / 1e9:.2f} GMAC and {least.bytes / 1e9:.2f} GB a frame take at "
            f"least {1e3 * least.least_seconds:.1f} ms at {self.peaks.macs / 1e9:.0f} GMAC/s and "
            f"{self.peaks.bytes / 1e9:.0f} GB/s, {least.least_seconds / measured:.0%} of what is "
            f"taken; the multiplications alone {1e3 * least.compute_seconds:.1f} ms"
        )


def run(
    *, sizes: Sequence[str], frames: int | None, encoders: Sequence[str], model: str, scale: int = 2
) -> Iterator[BenchResult]:
    """Measures every size, `WxH` or a name, with every encoder, one after the other; the clips are
    made here and removed again.

    `frames` None is fewer of larger pictures.  Raises PresetError for a size that is none, and
    whatever a run may raise.
    """
    for size in [asked(size) for size in sizes]:
        for encoder in encoders:
            yield _measure(size, frames or _frames_of(size), encoder, model, scale)


def _frames_of(size: tuple[int, int]) -> int:
    """As many as make a measurement of such pictures as long as one of small ones, or a few."""
    return max(_FEWEST, min(_MOST, _SAMPLES // (size[0] * size[1])))


def table(results: Sequence[BenchResult]) -> str:
    """A row for each result, in Markdown."""
    rows = [
        "| source | result | model | encoder | frames | fps | restore alone, ms | overlap "
        "| least time of the network, share |",
        "|---|---|---|---|--:|--:|--:|--:|--:|",
    ]
    for r in results:
        each = r.network_seconds / r.frames
        rows.append(
            f"| {r.size} | {r.output_size} | {r.model} | {r.encoder} | {r.frames} | {r.fps:.2f} "
            f"| {1e3 * each:.0f} | {r.overlap:.2f} | {r.roofline.least_seconds / each:.0%} |"
        )
    return "\n".join(rows)


def _measure(
    size: tuple[int, int], frames: int, encoder: str, model: str, scale: int
) -> BenchResult:
    with clip(size, frames) as source:
        planned = job(source, "plain", settings_for(model, encoder, scale))
        with torch_threads(1):
            kept, alone = _alone(planned, frames)
            stats, fill = _together(planned)
        limits, least = _limits(planned, kept)
    names = [stage.name for stage in stats.stages]
    return BenchResult(
        size="x".join(map(str, size)),
        output_size="x".join(map(str, planned.size.output)),
        model=planned.model.name,
        encoder=planned.output.choice.spec.name if planned.output is not None else "",
        frames=frames,
        cores=usable_cores(),
        wall=stats.elapsed_seconds,
        cpu=stats.cpu_seconds,
        stages=tuple(
            StageTime(
                name=name,
                alone=alone.get(name, 0.0),
                busy=stage.busy_seconds,
                queue_fill=fill[position] if position < len(fill) else 0.0,
            )
            for position, (name, stage) in enumerate(zip(names, stats.stages, strict=True))
        ),
        peaks=limits,
        roofline=least,
    )


def _limits(planned: Plan, kept: Sequence[Frame]) -> tuple[Peaks, Roofline]:
    """The machine's peaks, and what they allow the restoring stage."""
    device = planned.device.torch_device
    dtype = working_dtype(planned.model, planned.preset.restore.precision, device)
    limits = peaks(dtype, planned.threads.torch)
    op = compose(analysis(planned), restoration(planned, NoteBook(), torch_alone=True))
    return limits, roofline(op, list(_endless(kept, _COUNTED_FRAMES)), limits)


def _together(planned: Plan) -> tuple[PipelineStats, list[float]]:
    """The whole pipeline: its statistics, and the mean fill of each queue."""
    assembly = assemble(planned, overwrite=True)
    looks: list[list[float]] = []

    def look(stats: PipelineStats) -> None:
        looks.append([channel.depth / channel.capacity for channel in stats.channels])

    stats = assembly.pipeline.run(look, 1 / _LOOKS_A_SECOND)
    assembly.muxer.abort()
    return stats, [sum(column) / len(looks) for column in zip(*looks, strict=True)]


def _alone(planned: Plan, frames: int) -> tuple[list[Frame], dict[str, float]]:
    """The first frames, and the seconds that each stage takes for all when nothing else runs."""
    seconds: dict[str, float] = {}
    kept: list[Frame] = []

    def decode() -> None:
        decoder = Decoder(planned.info.path, planned.preset.input, threads=planned.threads.decode)
        with decoder:
            for frame in decoder:
                if len(kept) < _KEPT_FRAMES:
                    kept.append(frame)

    seconds["decode"] = _timed(decode)
    pool = BufferPool()
    restored = _results(
        compose(analysis(planned), restoration(planned, NoteBook(), pool.take)), kept
    )
    whole = compose(analysis(planned), restoration(planned, NoteBook(), pool.take))
    seconds["restore"] = _timed(partial(_feed, whole, _endless(kept, frames)))
    assert planned.output is not None
    encoder, muxer = open_output(planned.output, planned.info, overwrite=True)
    try:
        seconds["encode"] = _timed(partial(_feed, encoder, _endless(restored, frames)))
    finally:
        muxer.abort()
    return kept, seconds


def _timed(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def _feed(op: Op[Frame, object], items: Iterable[Frame]) -> None:
    """In a thread of its own, as in the pipeline: OpenMP treats the main thread's team better."""
    for _ in stream(("frames", items), [("stage", op)]):
        pass


def _results(op: Op[Frame, Frame], items: Iterable[Frame]) -> list[Frame]:
    return list(stream(("frames", items), [("stage", op)]))


def _endless(items: Sequence[Frame], count: int) -> Iterable[Frame]:
    """`count` frames with rising times, the same few pictures in turn."""
    for number, frame in enumerate(islice(cycle(items), count)):
        yield replace(
            frame,
            index=number,
            timestamp=Timestamp(pts=number * frame.duration, time_base=frame.timestamp.time_base),
        )
