"""Which part of the program each thread of a run is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from vrestore.assembly import assemble
from vrestore.bench.clip import asked, clip, job
from vrestore.describe import columns
from vrestore.errors import PresetError
from vrestore.runtime.sampling import StackSampler
from vrestore.runtime.threads import torch_threads

__all__ = ["PlaceTime", "StagesResult", "run"]

_PACKAGE = str(Path(__file__).resolve().parents[1])
_WAITING = "waiting"
_LEAST_SHARE = 0.005
"""Places that take less of a thread's time are put together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceTime:
    """One module in one thread."""

    thread: str
    place: str
    """The module, `waiting` for another thread, or `the rest`."""

    share: float
    """Of the run's wall time, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagesResult:
    """One run."""

    size: str
    output_size: str
    preset: str
    model: str
    frames: int
    wall: float
    """Seconds."""

    places: tuple[PlaceTime, ...]

    def __str__(self) -> str:
        title = (
            f"{self.size} -> {self.output_size}, preset {self.preset}, {self.model}: "
            f"{self.frames} frames in {self.wall:.2f} s"
        )
        per = 1000 * self.wall / self.frames
        rows = [("thread", "where", "ms a frame", "share")]
        rows += [(p.thread, p.place, f"{p.share * per:.1f}", f"{p.share:.0%}") for p in self.places]
        return f"{title}\n{columns(rows, '  ')}"


def run(
    *, source: str | None, size: str, preset: str, settings: Mapping[str, str], frames: int
) -> StagesResult:
    """A run of a preset, looked at 250 times a second.

    `source` None makes a clip of `size` and `frames`.  Nothing is kept of the output.
    Raises PresetError, and whatever a run may raise.
    """
    with clip(asked(size), frames) as made:
        planned = job(made, preset, settings) if source is None else None
        if source is not None:
            planned = job(Path(source), preset, settings)
        assert planned is not None
        if planned.output is None:
            raise PresetError("a still has no stages to look into; give a video")
        with torch_threads(1):
            assembly = assemble(planned, overwrite=True)
            try:
                with StackSampler(_module) as sampler:
                    stats = assembly.pipeline.run(None)
            finally:
                assembly.muxer.abort()
    counted: dict[tuple[str, str], float] = {}
    for (thread, place), looks in sampler.places.items():
        if thread not in {stage.name for stage in stats.stages}:
            continue
        share = looks / max(1, sampler.looks)
        named = place if share >= _LEAST_SHARE else "the rest"
        counted[thread, named] = counted.get((thread, named), 0.0) + share
    order = [stage.name for stage in stats.stages]
    video = planned.info.video
    return StagesResult(
        size=f"{video.width}x{video.height}",
        output_size="x".join(map(str, planned.size.output)),
        preset=preset,
        model=planned.model.name,
        frames=assembly.tally.frames,
        wall=stats.elapsed_seconds,
        places=tuple(
            PlaceTime(thread=thread, place=place, share=share)
            for (thread, place), share in sorted(
                counted.items(), key=lambda item: (order.index(item[0][0]), -item[1])
            )
        ),
    )


def _module(innermost: FrameType) -> str:
    """The innermost module of ours that is not the engine; the engine itself waits."""
    frame: FrameType | None = innermost
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_PACKAGE):
            name = file[len(_PACKAGE) + 1 :].removesuffix(".py").replace("/", ".")
            if not name.startswith("runtime."):
                return name
            if name == "runtime.channel":
                return _WAITING
        frame = frame.f_back
    return _WAITING
