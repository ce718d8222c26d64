"""The nursery's promises, without a pipeline around it."""

import gc
import signal
import threading
import weakref
from collections.abc import Iterator

import pytest

from vrestore.runtime.channel import Broken, Receiver, Sender
from vrestore.runtime.group import StageGroup

pytestmark = pytest.mark.timeout(30)


class Injected(Exception):
    """A planned failure."""


def fail(error: BaseException) -> None:
    raise error


def forward(receiver: Receiver[int], sender: Sender[int]) -> None:
    for item in receiver:
        sender.send(item)
    sender.close()


@pytest.fixture
def threads_before() -> Iterator[set[threading.Thread]]:
    before = set(threading.enumerate())
    yield before
    assert set(threading.enumerate()) <= before


def test_leaving_the_block_joins_everything(threads_before: set[threading.Thread]) -> None:
    done: list[int] = []
    with StageGroup() as group:
        for number in range(5):
            group.start(f"s{number}", done.append, number)
    assert sorted(done) == [0, 1, 2, 3, 4]


def test_threads_have_their_stages_names_and_are_no_daemons(
    threads_before: set[threading.Thread],
) -> None:
    with StageGroup() as group:
        ends: tuple[Sender[int], Receiver[int]] = group.channel(1, "c")
        thread = group.start("encode", lambda: list(ends[1]) and None)
        assert thread.name == "encode"
        assert not thread.daemon
        ends[0].close()


def test_the_first_failure_is_raised_itself_with_its_cause_and_traceback(
    threads_before: set[threading.Thread],
) -> None:
    cause = OSError("disk")
    error = Injected("first")

    def body() -> None:
        try:
            raise cause
        except OSError as met:
            raise error from met

    with pytest.raises(Injected) as raised, StageGroup() as group:
        ends: tuple[Sender[int], Receiver[int]] = group.channel(1, "never used")
        group.start("waits", lambda: list(ends[1]) and None)
        group.start("fails", body)
    assert raised.value is error
    assert raised.value.__cause__ is cause
    assert raised.value.__context__ is cause
    assert raised.traceback[-1].name == "body"


def test_a_failure_reaches_a_body_that_waits_on_a_channel(
    threads_before: set[threading.Thread],
) -> None:
    error = Injected("behind the channel")
    with pytest.raises(Injected) as raised, StageGroup() as group:
        ends: tuple[Sender[int], Receiver[int]] = group.channel(1, "c")
        group.start("fails", fail, error)
        list(ends[1])
    assert raised.value is error
    assert raised.value.__context__ is None


def test_a_failure_of_the_body_ends_the_stages_and_is_raised(
    threads_before: set[threading.Thread],
) -> None:
    error = Injected("body")
    with pytest.raises(Injected) as raised, StageGroup() as group:
        left: tuple[Sender[int], Receiver[int]] = group.channel(1, "left")
        right: tuple[Sender[int], Receiver[int]] = group.channel(1, "right")
        group.start("forward", forward, left[1], right[0])
        raise error
    assert raised.value is error
    assert not hasattr(error, "__notes__")


def test_channels_opened_after_the_failure_are_cancelled_too() -> None:
    with pytest.raises(Injected), StageGroup() as group:
        group.cancel(Injected("early"))
        ends: tuple[Sender[int], Receiver[int]] = group.channel(1, "late")
        group.start("waits", lambda: list(ends[1]) and None)


def test_independent_failures_come_together_first_one_first() -> None:
    errors = [Injected("one"), OSError("two"), ValueError("three")]
    turns = [threading.Event() for _ in errors]

    def fail_in_turn(position: int) -> None:
        turns[position].wait()
        raise errors[position]

    with pytest.raises(ExceptionGroup, match="3 stages failed") as raised, StageGroup() as group:
        threads = [group.start(f"s{i}", fail_in_turn, i) for i in range(3)]
        for turn, thread in zip(turns, threads, strict=True):
            turn.set()
            thread.join()
    assert raised.value.exceptions == tuple(errors)
    assert raised.value.__context__ is None


def test_one_exception_raised_by_two_stages_is_one_failure() -> None:
    error = Injected("shared")
    with pytest.raises(Injected) as raised, StageGroup() as group:
        group.start("a", fail, error)
        group.start("b", fail, error)
    assert raised.value is error


@pytest.mark.parametrize("exit_error", [KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_exits_are_raised_alone_and_tell_what_else_failed(exit_error: BaseException) -> None:
    with pytest.raises(type(exit_error)) as raised, StageGroup() as group:
        group.cancel(exit_error)
        group.start("late", fail, Injected("too late"))
    assert raised.value is exit_error
    assert raised.value.__notes__ == ["while stopping: Injected('too late')"]


def test_an_exit_does_not_displace_an_earlier_failure() -> None:
    error = Injected("earlier")
    with pytest.raises(Injected) as raised, StageGroup() as group:
        group.cancel(error)
        group.cancel(KeyboardInterrupt())
    assert raised.value is error


def test_broken_is_shown_only_where_nothing_else_failed() -> None:
    with pytest.raises(Broken, match="receiver of 'c' is closed"), StageGroup() as group:
        ends: tuple[Sender[int], Receiver[int]] = group.channel(1, "c")
        ends[1].close()
        group.start("sends", ends[0].send, 1)


@pytest.mark.parametrize("run", range(20))
def test_ctrl_c_while_waiting_is_raised_after_all_have_ended(
    run: int, threads_before: set[threading.Thread]
) -> None:
    main = threading.get_ident()
    started = threading.Event()

    def interrupt_thrice() -> None:
        started.wait()
        for _ in range(3):
            signal.pthread_kill(main, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), StageGroup() as group, group.interrupts_as_events():
        ends: tuple[Sender[int], Receiver[int]] = group.channel(1, "c")
        group.start("waits", lambda: list(ends[1]) and None)
        group.start("interrupts", interrupt_thrice)
        started.set()
        group.wait()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_the_program_is_left_alone() -> None:
    seen: list[int] = []

    def handler(number: int, _: object) -> None:
        seen.append(number)

    before = signal.signal(signal.SIGINT, handler)
    try:
        with StageGroup() as group, group.interrupts_as_events():
            group.start("interrupts", signal.pthread_kill, threading.get_ident(), signal.SIGINT)
            group.wait()
            assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIGINT]


def test_a_failed_group_keeps_nothing_alive() -> None:
    class Big:
        """Stands for a frame in a stage's hands when it fails."""

    watched: list[weakref.ref[Big]] = []

    def body() -> None:
        big = Big()
        watched.append(weakref.ref(big))
        raise Injected("with a frame in hand")

    def attempt() -> None:
        with StageGroup() as group:
            group.start("fails", body)

    gc.disable()
    try:
        with pytest.raises(Injected) as raised:
            attempt()
        assert watched[0]() is not None
        del raised
        assert watched[0]() is None
    finally:
        gc.enable()
