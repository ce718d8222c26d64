"""Channels: order, the three ends, back-pressure, and what they measure."""

import gc
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from vrestore.runtime.channel import (
    Broken,
    Cancelled,
    Closed,
    Receiver,
    Sender,
    depth_for,
    open_channel,
)

pytestmark = pytest.mark.timeout(30)


def ints(capacity: int) -> tuple[Sender[int], Receiver[int]]:
    return open_channel(capacity, "left > right")


def blocked(start: Callable[[], object], waits: Callable[[], float]) -> Future[object]:
    """Run `start` in a thread and return once it waits, as the channel's own clock tells."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(start)
    pool.shutdown(wait=False)
    while waits() == 0:
        time.sleep(0.001)
    return future


@given(items=st.lists(st.integers(), max_size=60), capacity=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_everything_arrives_once_and_in_order(items: list[int], capacity: int) -> None:
    sender, receiver = ints(capacity)

    def send_all() -> None:
        with sender:
            for item in items:
                sender.send(item)

    thread = threading.Thread(target=send_all)
    thread.start()
    arrived = list(receiver)
    thread.join()
    assert arrived == items
    stats = receiver.stats()
    assert stats.items == len(items)
    assert stats.peak <= capacity
    assert stats.depth == 0


class ChannelModel(RuleBasedStateMachine):
    """Whatever is called in whatever order, a channel behaves like a list with three flags.

    One thread, so calls that would block are left out.
    """

    @initialize(capacity=st.integers(1, 4))
    def open(self, capacity: int) -> None:
        self.sender, self.receiver = ints(capacity)
        self.capacity = capacity
        self.inside: list[int] = []
        self.next = 0
        self.sender_closed = self.receiver_closed = self.cancelled = False

    def expected_of_send(self) -> type[Exception] | None:
        if self.cancelled:
            return Cancelled
        if self.sender_closed:
            return Closed
        return Broken if self.receiver_closed else None

    def expected_of_receive(self) -> type[Exception] | None:
        if self.cancelled:
            return Cancelled
        if self.receiver_closed:
            return Closed
        return StopIteration if self.sender_closed and not self.inside else None

    @precondition(lambda self: self.expected_of_send() or len(self.inside) < self.capacity)
    @rule()
    def send(self) -> None:
        expected = self.expected_of_send()
        if expected is not None:
            with pytest.raises(expected):
                self.sender.send(self.next)
        else:
            self.sender.send(self.next)
            self.inside.append(self.next)
            self.next += 1

    @precondition(lambda self: self.expected_of_receive() or self.inside)
    @rule()
    def receive(self) -> None:
        expected = self.expected_of_receive()
        if expected is not None:
            with pytest.raises(expected):
                next(self.receiver)
        else:
            assert next(self.receiver) == self.inside.pop(0)

    @rule()
    def close_sender(self) -> None:
        self.sender.close()
        self.sender_closed = True

    @rule()
    def close_receiver(self) -> None:
        self.receiver.close()
        self.receiver_closed = True
        self.inside.clear()

    @rule(by_sender=st.booleans())
    def cancel(self, by_sender: bool) -> None:
        (self.sender if by_sender else self.receiver).cancel()
        self.cancelled = True
        self.inside.clear()

    @rule()
    def look(self) -> None:
        assert self.sender.stats().depth == len(self.inside)


TestChannelModel = ChannelModel.TestCase
TestChannelModel.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_send_blocks_while_full_and_the_wait_is_measured() -> None:
    sender, receiver = ints(2)
    sender.send(0)
    sender.send(1)
    waiting = blocked(lambda: sender.send(2), lambda: sender.stats().send_blocked_seconds)
    assert not waiting.done()
    time.sleep(0.05)
    assert next(receiver) == 0
    waiting.result()
    stats = sender.stats()
    assert stats.send_blocked_seconds >= 0.05
    assert stats.receive_blocked_seconds == 0
    assert (stats.depth, stats.peak, stats.items) == (2, 2, 1)


def test_receive_blocks_while_empty_and_the_wait_is_measured() -> None:
    sender, receiver = ints(2)
    waiting = blocked(lambda: next(receiver), lambda: sender.stats().receive_blocked_seconds)
    time.sleep(0.05)
    sender.send(7)
    assert waiting.result() == 7
    assert sender.stats().receive_blocked_seconds >= 0.05
    assert sender.stats().send_blocked_seconds == 0


@pytest.mark.parametrize(
    ("end", "error"), [("close", Broken), ("cancel", Cancelled)], ids=["receiver gone", "cancelled"]
)
def test_a_blocked_send_is_woken(end: str, error: type[Exception]) -> None:
    sender, receiver = ints(1)
    sender.send(0)
    waiting = blocked(lambda: sender.send(1), lambda: sender.stats().send_blocked_seconds)
    getattr(receiver, end)()
    with pytest.raises(error):
        waiting.result()


def test_a_blocked_receive_is_woken_by_cancel_and_ends_on_close() -> None:
    sender, receiver = ints(1)
    waiting = blocked(lambda: next(receiver), lambda: sender.stats().receive_blocked_seconds)
    sender.cancel()
    with pytest.raises(Cancelled):
        waiting.result()

    sender, receiver = ints(1)
    ending = blocked(lambda: list(receiver), lambda: sender.stats().receive_blocked_seconds)
    sender.close()
    assert ending.result() == []


def test_what_was_sent_before_the_close_still_arrives() -> None:
    sender, receiver = ints(3)
    with sender:
        sender.send(1)
        sender.send(2)
    assert list(receiver) == [1, 2]
    assert list(receiver) == []


def test_a_failure_of_the_sender_never_looks_like_the_end() -> None:
    sender, receiver = ints(3)
    with pytest.raises(KeyError), sender:
        sender.send(1)
        raise KeyError("lost")
    with pytest.raises(Cancelled):
        list(receiver)


class Item:
    """Something whose death can be watched."""


@pytest.mark.parametrize("end", ["close", "cancel"])
def test_items_inside_die_when_nobody_will_take_them(end: str) -> None:
    ends: tuple[Sender[Item], Receiver[Item]] = open_channel(2, "items")
    sender, receiver = ends
    item = Item()
    watched = weakref.ref(item)
    sender.send(item)
    del item
    gc.disable()
    try:
        getattr(receiver, end)()
        assert watched() is None
    finally:
        gc.enable()


def test_an_item_may_ask_for_stats_while_it_dies() -> None:
    ends: tuple[Sender[object], Receiver[object]] = open_channel(2, "items")
    sender, receiver = ends
    seen = []

    class Curious:
        def __del__(self) -> None:
            seen.append(sender.stats().depth)

    sender.send(Curious())
    receiver.cancel()
    assert seen == [0]


def test_a_channel_holds_at_least_one_item() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        open_channel(0, "none")


@given(item=st.integers(1, 10**9), budget=st.integers(0, 10**12), channels=st.integers(1, 20))
def test_depth_keeps_the_budget_within_its_bounds(item: int, budget: int, channels: int) -> None:
    depth = depth_for(item, budget, channels)
    assert 2 <= depth <= 8
    assert depth == 2 or depth * item * channels <= budget
    assert depth == 8 or (depth + 1) * item * channels > budget


@pytest.mark.parametrize(("item_mb", "budget_gb", "depth"), [(199, 1, 2), (100, 2, 5), (2.5, 1, 8)])
def test_depth_examples_with_four_channels(item_mb: float, budget_gb: int, depth: int) -> None:
    assert depth_for(int(item_mb * 10**6), budget_gb * 10**9, 4) == depth


@pytest.mark.parametrize(("item", "channels"), [(0, 1), (1, 0), (-5, 1)])
def test_depth_refuses_sizes_that_mean_nothing(item: int, channels: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        depth_for(item, 100, channels)
