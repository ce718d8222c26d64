"""Whole lines: equivalence under depth and grouping, and a fault in every stage at every moment."""

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.runtime.pipeline import Pipeline, stream
from vrestore.runtime.stage import Op, compose
from vrestore.runtime.stats import PipelineStats

pytestmark = pytest.mark.timeout(30)

COUNT = 12
DEPTHS = [1, 2, 8]
OPS = ["first", "second", "third"]
NAMES = ["read", *OPS, "write"]


class Injected(Exception):
    """A planned failure."""


@dataclass
class Fault:
    """Where and when to fail: `moment` is an item's number, or "flush" or "close"."""

    stage: str
    moment: int | str
    error: BaseException = field(default_factory=lambda: Injected("planned"))

    def at(self, stage: str, moment: int | str) -> None:
        if (stage, moment) == (self.stage, self.moment):
            raise self.error


NO_FAULT = Fault("none", 0)


class Tape:
    """Source of the integers below `count`."""

    def __init__(self, fault: Fault = NO_FAULT, count: int = COUNT) -> None:
        self._fault = fault
        self._count = count
        self.closed = 0
        self.closed_by = ""

    def __iter__(self) -> Iterator[int]:
        for number in range(self._count):
            self._fault.at("read", number)
            yield number
        self._fault.at("read", self._count)

    def close(self) -> None:
        self.closed += 1
        self.closed_by = threading.current_thread().name
        self._fault.at("read", "close")


class Step:
    """Holds one item back, counts items, and hands them on singly: lazily or at once."""

    def __init__(self, name: str, fault: Fault = NO_FAULT, lazy: bool = False) -> None:
        self._name = name
        self._fault = fault
        self._lazy = lazy
        self._held: list[int] = []
        self._number = 0

    def push(self, item: int, /) -> Iterable[int]:
        return self._results(item) if self._lazy else list(self._results(item))

    def _results(self, item: int) -> Iterator[int]:
        self._fault.at(self._name, self._number)
        self._number += 1
        self._held.append(item)
        if len(self._held) > 1:
            yield self._held.pop(0)

    def flush(self) -> list[int]:
        self._fault.at(self._name, "flush")
        return self._held


class Shelf:
    """Sink that keeps what it is given."""

    def __init__(self, fault: Fault = NO_FAULT) -> None:
        self._fault = fault
        self.items: list[int] = []
        self.closed = 0
        self.aborted = 0

    def write(self, item: int, /) -> None:
        self._fault.at("write", len(self.items))
        self.items.append(item)

    def close(self) -> None:
        self._fault.at("write", "close")
        self.closed += 1

    def abort(self) -> None:
        self.aborted += 1


def line(fault: Fault, depth: int, lazy: bool = False) -> tuple[Tape, Pipeline, Shelf]:
    tape, shelf = Tape(fault), Shelf(fault)
    ops = [(name, Step(name, fault, lazy)) for name in OPS]
    return tape, Pipeline(("read", tape), ops, ("write", shelf), depths=depth), shelf


@pytest.fixture
def prompt_and_clean() -> Iterator[None]:
    """The test ends within a second and leaves the very same threads."""
    before = set(threading.enumerate())
    began = time.perf_counter()
    yield
    assert time.perf_counter() - began < 1
    assert set(threading.enumerate()) <= before


MOMENTS: list[tuple[str, int | str]] = [
    *(("read", k) for k in range(COUNT + 1)),
    ("read", "close"),
    *((name, k) for name in OPS for k in range(COUNT)),
    *((name, "flush") for name in OPS),
    *(("write", k) for k in range(COUNT)),
    ("write", "close"),
]


@pytest.mark.parametrize(("stage", "moment"), MOMENTS)
def test_a_fault_anywhere_ends_the_line_with_the_original_error(
    stage: str, moment: int | str, prompt_and_clean: None
) -> None:
    for depth, lazy in product(DEPTHS, [False, True]):
        fault = Fault(stage, moment)
        tape, pipeline, shelf = line(fault, depth, lazy)
        before = set(threading.enumerate())
        with pytest.raises(Injected) as raised:
            pipeline.run()
        assert set(threading.enumerate()) <= before
        assert raised.value is fault.error
        assert str(raised.value) == "planned"
        (note,) = raised.value.__notes__
        assert note.startswith(f"in stage {stage!r}, ")
        if isinstance(moment, int) and stage != "read":
            assert f" item {moment}: " in note
        assert raised.value.__context__ is None
        assert (shelf.closed, shelf.aborted) == (0, 1)
        assert shelf.items == list(range(len(shelf.items)))
        assert (tape.closed, tape.closed_by) == (1, "read")
        assert not any(stats.alive for stats in pipeline.snapshot().stages)


@pytest.mark.parametrize("depth", DEPTHS)
def test_without_a_fault_all_items_arrive_and_the_sink_is_closed(
    depth: int, prompt_and_clean: None
) -> None:
    tape, pipeline, shelf = line(NO_FAULT, depth)
    stats = pipeline.run()
    assert shelf.items == list(range(COUNT))
    assert (shelf.closed, shelf.aborted) == (1, 0)
    assert (tape.closed, tape.closed_by) == (1, "read")
    assert [stage.name for stage in stats.stages] == NAMES
    assert [stage.items_in for stage in stats.stages] == [0, *[COUNT] * 4]
    assert [stage.items_out for stage in stats.stages] == [*[COUNT] * 4, 0]
    assert [channel.items for channel in stats.channels] == [COUNT] * 4


@given(
    items=st.integers(0, 30),
    depths=st.lists(st.integers(1, 9), min_size=6, max_size=6),
    cuts=st.sets(st.integers(1, 3)),
)
@settings(max_examples=40, deadline=None)
def test_output_depends_neither_on_depths_nor_on_grouping(
    items: int, depths: list[int], cuts: set[int]
) -> None:
    class Blend:
        """Order matters to it: a running, position-dependent sum."""

        def __init__(self, factor: int) -> None:
            self._factor = factor
            self._state = 1

        def push(self, item: int, /) -> Iterator[int]:
            self._state = (self._state * self._factor + item) % 1009
            for _ in range(self._state % 3):
                yield self._state

        def flush(self) -> tuple[int]:
            return (self._state,)

    def run(groups: list[Op[int, int]], depths: list[int]) -> list[int]:
        shelf = Shelf()
        stages = [(f"s{number}", op) for number, op in enumerate(groups)]
        Pipeline(
            ("read", range(items)), stages, ("write", shelf), depths=depths[: len(stages) + 1]
        ).run()
        return shelf.items

    def ops() -> list[Op[int, int]]:
        return [Blend(3), Step("x"), Blend(7), Blend(5)]

    bounds = [0, *sorted(cuts), 4]
    groups = [compose(*ops()[left:right]) for left, right in pairwise(bounds)]
    assert run(groups, depths) == run([compose(*ops())], [2, 2])


class Meeting:
    """Fails once all parties have arrived, so that none fails because another did."""

    def __init__(self, parties: int) -> None:
        self._barrier = threading.Barrier(parties)

    def fail(self, error: BaseException) -> None:
        self._barrier.wait()
        raise error


@pytest.mark.parametrize("run", range(10))
@pytest.mark.parametrize(
    ("left", "right"), [("read", "first"), ("first", "third"), ("second", "write")]
)
def test_two_stages_that_fail_by_themselves_are_both_told(
    left: str, right: str, run: int, prompt_and_clean: None
) -> None:
    meeting = Meeting(2)
    errors = {left: Injected(left), right: OSError(right)}

    class Rendezvous(Fault):
        def at(self, stage: str, moment: int | str) -> None:
            # The right stage sees item 2 only after the left has let items 2 and more go.
            if stage in errors and moment == (9 if stage == left else 2):
                meeting.fail(errors[stage])

    _, pipeline, shelf = line(Rendezvous("both", 0), depth=8)
    with pytest.raises(ExceptionGroup, match="2 stages failed") as raised:
        pipeline.run()
    assert set(raised.value.exceptions) == set(errors.values())
    for name, error in errors.items():
        assert error.__notes__[0].startswith(f"in stage {name!r}, ")
    assert (shelf.closed, shelf.aborted) == (0, 1)


def test_a_storm_of_faults_always_ends(prompt_and_clean: None) -> None:
    class Storm(Fault):
        def at(self, stage: str, moment: int | str) -> None:
            raise Injected(stage)

    for depth in DEPTHS * 5:
        _, pipeline, shelf = line(Storm("all", 0), depth)
        with pytest.raises((Injected, ExceptionGroup)) as raised:
            pipeline.run()
        shown = getattr(raised.value, "exceptions", [raised.value])
        assert all(isinstance(error, Injected) for error in shown)
        assert (shelf.closed, shelf.aborted) == (0, 1)


def test_the_consumer_may_fail_while_all_producers_are_blocked(prompt_and_clean: None) -> None:
    full = threading.Event()

    class Stuck(Shelf):
        def write(self, item: int, /) -> None:
            full.wait()
            raise Injected("with everything full behind it")

    def look(stats: PipelineStats) -> None:
        if all(channel.depth == channel.capacity for channel in stats.channels):
            full.set()

    tape = Tape(count=10**9)
    ops = [(name, Step(name)) for name in OPS]
    pipeline = Pipeline(("read", tape), ops, ("write", Stuck()), depths=2)
    with pytest.raises(Injected):
        pipeline.run(look, every_seconds=0.01)
    assert (tape.closed, tape.closed_by) == (1, "read")


def test_a_generator_is_closed_by_its_own_thread_when_the_line_fails() -> None:
    ended: list[str] = []

    def numbers() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.append(threading.current_thread().name)

    fault = Fault("write", 3)
    with pytest.raises(Injected):
        Pipeline(("read", numbers()), [], ("write", Shelf(fault))).run()
    assert ended == ["read"]


def test_trouble_while_cleaning_up_is_told_but_does_not_replace_the_error() -> None:
    class BadTape(Tape):
        def close(self) -> None:
            raise OSError("source stuck")

    class BadShelf(Shelf):
        def abort(self) -> None:
            raise OSError("cannot remove")

    fault = Fault("write", 3)
    with pytest.raises(Injected) as raised:
        Pipeline(("read", BadTape()), [], ("write", BadShelf(fault))).run()
    assert raised.value is fault.error
    assert raised.value.__notes__ == [
        "in stage 'write', handling item 3: 3",
        "in stage 'read', closing failed too: OSError('source stuck')",
        "cleaning up after it failed too: OSError('cannot remove')",
    ]


def test_a_sink_without_abort_is_fine() -> None:
    class Plain:
        def write(self, item: int, /) -> None:
            raise Injected("full")

        def close(self) -> None:
            raise AssertionError("closed after a failure")

    with pytest.raises(Injected):
        Pipeline(("read", [1]), [], ("write", Plain())).run()


def test_cancel_from_another_thread_is_raised_by_run(prompt_and_clean: None) -> None:
    def numbers() -> Iterator[int]:
        while True:
            yield 1

    shelf = Shelf()
    pipeline = Pipeline(("read", numbers()), [], ("write", shelf))
    error = Injected("stop")
    canceller = threading.Timer(0.05, pipeline.cancel, [error])
    canceller.start()
    with pytest.raises(Injected) as raised:
        pipeline.run()
    canceller.join()
    assert raised.value is error
    assert (shelf.closed, shelf.aborted) == (0, 1)


def test_an_observer_sees_the_run_and_its_end(prompt_and_clean: None) -> None:
    seen: list[PipelineStats] = []

    def slow() -> Iterator[int]:
        for number in range(5):
            time.sleep(0.03)
            yield number

    pipeline = Pipeline(("read", slow()), [("step", Step("step"))], ("write", Shelf()))
    final = pipeline.run(seen.append, every_seconds=0.01)
    assert len(seen) >= 3
    assert any(stage.alive for stage in seen[0].stages)
    assert [stage.items_out for stage in seen[-1].stages] == [5, 5, 0]
    assert seen[-1] == final == pipeline.snapshot()
    assert final.bounding is not None
    assert final.bounding.name == "read"
    assert final.busy_share(final.stages[0]) > 0.5
    assert final.stages[0].cpu_seconds < 0.1
    assert final.channels[0].receive_blocked_seconds > 0.1
    assert [channel.name for channel in final.channels] == ["read > step", "step > write"]


def test_an_observer_that_raises_fails_the_run(prompt_and_clean: None) -> None:
    def numbers() -> Iterator[int]:
        while True:
            yield 1

    def look(stats: PipelineStats) -> None:
        raise Injected("display gone")

    shelf = Shelf()
    with pytest.raises(Injected, match="display gone"):
        Pipeline(("read", numbers()), [], ("write", shelf)).run(look, every_seconds=0.01)
    assert (shelf.closed, shelf.aborted) == (0, 1)


def test_busy_time_leaves_out_waiting_and_cpu_time_leaves_out_sleeping() -> None:
    class Slow(Shelf):
        def write(self, item: int, /) -> None:
            time.sleep(0.02)

    def work() -> Iterator[int]:
        for number in range(10):
            until = time.thread_time() + 0.003
            while time.thread_time() < until:
                pass
            yield number

    stats = Pipeline(("read", work()), [], ("write", Slow()), depths=1).run()
    read, write = stats.stages
    assert read.cpu_seconds >= 0.03
    assert write.busy_seconds >= 0.2
    blocked = stats.channels[0].send_blocked_seconds
    assert read.busy_seconds + blocked <= stats.elapsed_seconds
    assert write.cpu_seconds < 0.1
    assert blocked > 0.05
    assert stats.bounding == write


def test_an_item_is_not_kept_by_a_stage_that_waits_for_the_next() -> None:
    alive = threading.Semaphore(0)

    class Item:
        def __del__(self) -> None:
            alive.release()

    class Map:
        def push(self, item: Item, /) -> list[int]:
            return [1]

        def flush(self) -> list[int]:
            return []

    def items() -> Iterator[Item]:
        yield Item()
        # Only if the source, the op and the channel between have all let go of the first.
        assert alive.acquire(timeout=5)

    shelf = Shelf()
    Pipeline(("read", items()), [("map", Map())], ("write", shelf)).run()
    assert shelf.items == [1]


def test_a_pipeline_runs_once() -> None:
    pipeline = Pipeline(("read", [1]), [], ("write", Shelf()))
    pipeline.run()
    with pytest.raises(RuntimeError, match="runs once"):
        pipeline.run()


def test_impossible_lines_are_refused() -> None:
    with pytest.raises(ValueError, match="names of their own"):
        Pipeline(("a", [1]), [("a", Step("a"))], ("write", Shelf()))
    with pytest.raises(ValueError, match="2 stages have 1 channels, got 2 depths"):
        Pipeline(("a", [1]), [], ("write", Shelf()), depths=[2, 2])


def test_a_stream_gives_the_results_to_a_loop(prompt_and_clean: None) -> None:
    assert list(stream(("read", Tape()), [("step", Step("step"))])) == list(range(COUNT))


def test_leaving_a_stream_early_ends_its_stages(prompt_and_clean: None) -> None:
    tape = Tape(count=10**9)
    results = stream(("read", tape), [("step", Step("step"))])
    assert next(results) == 0
    results.close()
    assert (tape.closed, tape.closed_by) == (1, "read")


def test_a_stream_raises_the_original_error(prompt_and_clean: None) -> None:
    fault = Fault("step", 5)
    with pytest.raises(Injected) as raised:
        list(stream(("read", Tape()), [("step", Step("step", fault))]))
    assert raised.value is fault.error
    assert raised.value.__context__ is None


# ------------------------------------------------------------------------------------- Ctrl-C

PROGRAM = """
import os, signal, sys, threading, time
from vrestore.runtime.pipeline import Pipeline, stream

def numbers():
    while True:
        yield 1

class Slow:
    def push(self, item):
        time.sleep(0.02)
        return [item]
    def flush(self):
        return []

class Shelf:
    written = 0
    def write(self, item):
        self.written += 1
        if self.written == 3:
            sys.stdout.write("running\\n")
            sys.stdout.flush()
        INTERRUPT
    def close(self):
        sys.stdout.write("closed\\n")
    def abort(self):
        sys.stdout.write("aborted\\n")

try:
    RUN
except KeyboardInterrupt as error:
    sys.stdout.write(f"interrupted {threading.active_count()}\\n")
"""
RUN = 'Pipeline(("read", numbers()), [("slow", Slow())], ("write", Shelf())).run(OBSERVER)'


def program(root: Path, run: str, interrupt: str = "pass") -> subprocess.Popen[str]:
    text = PROGRAM.replace("RUN", run).replace("INTERRUPT", interrupt)
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text)],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> list[str]:
    with process:
        out, err = process.communicate(timeout=20)
    assert err == ""
    assert process.returncode == 0
    return out.splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to another process")
@pytest.mark.parametrize("observer", ["None", "lambda stats: None"], ids=["alone", "observed"])
def test_ctrl_c_in_a_real_process_ends_all_stages(root: Path, observer: str) -> None:
    process = program(root, RUN.replace("OBSERVER", observer))
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGINT)
    assert finish(process) == ["aborted", "interrupted 1"]


@pytest.mark.parametrize(
    "interrupt",
    [
        "if self.written == 3: __import__('_thread').interrupt_main()",
        "if self.written == 3: os.kill(os.getpid(), signal.SIGINT)",
        "os.kill(os.getpid(), signal.SIGINT)",
    ],
    ids=["interrupt_main", "kill", "many"],
)
def test_a_stage_may_send_the_interrupt_itself(root: Path, interrupt: str) -> None:
    run = RUN.replace("OBSERVER", "lambda stats: None")
    lines = finish(program(root, run, interrupt))
    assert [text for text in lines if text != "running"] == ["aborted", "interrupted 1"]


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to another process")
def test_ctrl_c_in_the_loop_over_a_stream_ends_all_stages(root: Path) -> None:
    loop = """
    shelf = Shelf()
    for item in stream(("read", numbers()), [("slow", Slow())]):
        shelf.write(item)
"""
    process = program(root, loop.strip())
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGINT)
    assert finish(process) == ["interrupted 1"]


@pytest.mark.parametrize("end", ["", "raise SystemExit(0)", "sys.exit(frames.close())"])
def test_a_program_may_end_with_a_stream_half_read(root: Path, end: str) -> None:
    loop = f"""
    frames = stream(("read", numbers()), [("slow", Slow())])
    next(frames)
    {end}
"""
    assert finish(program(root, loop.strip())) == []


def test_the_line_works_outside_the_main_thread(prompt_and_clean: None) -> None:
    outcome: list[list[int]] = []

    def run() -> None:
        _, pipeline, shelf = line(NO_FAULT, 2)
        pipeline.run()
        outcome.append(shelf.items)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert outcome == [list(range(COUNT))]


def test_hand_over_costs_far_less_than_a_millisecond_of_processor_time() -> None:
    shelf = Shelf()
    began = time.process_time()
    Pipeline(("read", range(2000)), [("step", Step("step"))], ("write", shelf), depths=8).run()
    assert len(shelf.items) == 2000
    assert time.process_time() - began < 2 * 2000 * 0.5e-3
