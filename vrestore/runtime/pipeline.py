"""A line of stages, run to its end.

    source => stage => ... => stage => sink        (each a thread, each => a bounded channel)

The graph is always a line: two bounded paths that meet again would deadlock as soon as one is full
while the reader waits for the other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import nullcontext
from threading import Thread
from time import perf_counter, process_time
from typing import Any, TypeVar

from vrestore.runtime.channel import MIN_DEPTH, Receiver, Sender
from vrestore.runtime.device import CPU, Device, Lane
from vrestore.runtime.group import StageGroup
from vrestore.runtime.stage import Op, Sink, run_op, run_sink, run_source
from vrestore.runtime.stats import PipelineStats, StageMeter
from vrestore.runtime.threads import torch_threads

__all__ = ["Pipeline", "stream"]

T = TypeVar("T")


class _Line:
    """The left part of a pipeline: a source and ops, with an open end on the right."""

    def __init__(
        self,
        source: tuple[str, Iterable[Any]],
        stages: Sequence[tuple[str, Op[Any, Any]]],
        depths: Sequence[int] | int,
        device: Device,
        end: str,
    ) -> None:
        names = [source[0], *(name for name, _ in stages), end]
        if len(set(names)) != len(names):
            raise ValueError(f"stages need names of their own, got {', '.join(names)}")
        sizes = [depths] * (len(names) - 1) if isinstance(depths, int) else list(depths)
        if len(sizes) != len(names) - 1:
            raise ValueError(
                f"{len(names)} stages have {len(names) - 1} channels, got {len(sizes)} depths"
            )
        self.group = StageGroup()
        self.device = device
        self.source = source[1]
        self.ops = [op for _, op in stages]
        self.meters = [StageMeter(name) for name in names]
        self.channels: list[tuple[Sender[Any], Receiver[Any]]] = [
            self.group.channel(size, f"{left} > {right}")
            for size, left, right in zip(sizes, names, names[1:], strict=False)
        ]
        self.threads: list[Thread] = []

    def start(self) -> Receiver[Any]:
        """Start all stages, the last one first; what they make comes out of the result."""
        for position in range(len(self.ops), 0, -1):
            receiver = self.channels[position - 1][1]
            sender = self.channels[position][0]
            meter = self.meters[position]
            self.launch(meter, run_op, self.ops[position - 1], receiver, sender, meter)
        meter = self.meters[0]
        self.launch(meter, run_source, self.source, self.channels[0][0], meter)
        return self.channels[-1][1]

    def launch(self, meter: StageMeter, body: Callable[..., None], *args: Any) -> None:
        """Start one stage in a thread with a lane of its own, where the device has lanes."""

        def run() -> None:
            with self.device.failures():
                lane: Lane | None = self.device.lane()
                with nullcontext() if lane is None else lane, torch_threads(1):
                    body(*args, lane)

        self.threads.append(self.group.start(meter.name, run))


class Pipeline:
    """One run of a line of stages: a source, named ops, a sink.

    Args:
        source: name and iterable; read, and closed where it has `close()`, in a thread of its own.
        stages: name and op of each stage, left to right; several ops in one thread are one op
            (`compose`).
        sink: name and sink.
        depths: capacity of each channel, left to right (one more than `stages`), or of all.
        device: where tensors live; on "cuda" each stage gets a stream of its own.
    """

    def __init__(
        self,
        source: tuple[str, Iterable[Any]],
        stages: Sequence[tuple[str, Op[Any, Any]]],
        sink: tuple[str, Sink[Any]],
        *,
        depths: Sequence[int] | int = MIN_DEPTH,
        device: Device = CPU,
    ) -> None:
        self._line = _Line(source, stages, depths, device, end=sink[0])
        self._sink = sink[1]
        self._began: tuple[float, float] | None = None
        self._ended: tuple[float, float] | None = None

    def run(
        self,
        observe: Callable[[PipelineStats], None] | None = None,
        every_seconds: float = 0.25,
        *,
        ask: Callable[[], bool] | None = None,
    ) -> PipelineStats:
        """Run to the end in the calling thread's time; once.

        If it returns, everything was written and the sink was closed.  If it raises, the sink's
        `abort()` (where it has one) was called in this thread, after all stages had ended, whether
        or not the sink had been closed by then.

        Args:
            observe: called in this thread about `every_seconds` and at the end of a good run.  If
                it raises, the run fails with that.
            ask: called inside the signal handler of Ctrl-C; where it says True, the run goes on.

        Raises:
            The first failure, the object that the stage raised, with a note that names the stage
            and the item; an ExceptionGroup where several stages failed by themselves, in order of
            time; KeyboardInterrupt after Ctrl-C.
        """
        if self._began is not None:
            raise RuntimeError("a Pipeline runs once")
        self._began = (perf_counter(), process_time())
        line, group = self._line, self._line.group
        try:
            with group, group.interrupts_as_events(ask):
                meter = line.meters[-1]
                line.launch(meter, run_sink, self._sink, line.channels[-1][1], meter)
                line.start()
                look = None if observe is None else (lambda: observe(self.snapshot()))
                group.wait(look, every_seconds)
            self._ended = (perf_counter(), process_time())
            if observe is not None:
                observe(self.snapshot())
        except BaseException as error:
            self._ended = self._ended or (perf_counter(), process_time())
            self._abort(error)
            raise
        return self.snapshot()

    def cancel(self, error: BaseException) -> None:
        """Make `run` end and raise `error`, unless something failed before.  From any thread."""
        self._line.group.cancel(error)

    def snapshot(self) -> PipelineStats:
        """What has been measured so far; from any thread, before, during and after the run."""
        began = self._began or (perf_counter(), process_time())
        now = self._ended or (perf_counter(), process_time())
        line = self._line
        alive = {thread.name for thread in line.threads if thread.is_alive()}
        return PipelineStats(
            stages=tuple(meter.snapshot(meter.name in alive) for meter in line.meters),
            channels=tuple(sender.stats() for sender, _ in line.channels),
            elapsed_seconds=now[0] - began[0],
            cpu_seconds=now[1] - began[1],
        )

    def _abort(self, error: BaseException) -> None:
        abort = getattr(self._sink, "abort", None)
        if abort is None:
            return
        try:
            abort()
        except Exception as abort_error:  # noqa: BLE001 (told by the error under way)
            error.add_note(f"cleaning up after it failed too: {abort_error!r}")


def stream(
    source: tuple[str, Iterable[Any]],
    stages: Sequence[tuple[str, Op[Any, Any]]],
    *,
    depths: Sequence[int] | int = MIN_DEPTH,
    device: Device = CPU,
) -> Generator[Any, None, None]:
    """Results of a line without a sink, for a `for` loop in the calling thread.

    Leaving the loop early (or closing the generator) ends all stages.  Errors as in `Pipeline.run`.
    """
    line = _Line(source, stages, depths, device, end="out")
    line.group.end_with_program()
    with line.group:
        yield from line.start()
