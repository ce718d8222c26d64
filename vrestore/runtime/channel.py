"""Bounded channels between threads: two ends over one private state.

    sender, receiver = open_channel(4, "decode > restore")

A channel ends in exactly one of three ways, and they are different things:

- the sender was closed: the receiver's iteration stops after the last item, so the end of a
  stream always means that the stream is complete;
- the receiver was closed: `send` raises `Broken`;
- the channel was cancelled: every blocked or later call on either end raises `Cancelled` at once,
  and the items still inside are dropped.

Each end may be used from one thread at a time; `cancel` and `stats` from any thread.  Waiting is on
conditions, never on a clock.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Generic, TypeVar

__all__ = [
    "Broken",
    "Cancelled",
    "ChannelStats",
    "Closed",
    "Receiver",
    "Sender",
    "depth_for",
    "open_channel",
]

T = TypeVar("T")

MIN_DEPTH = 2
"""Fewer items and the two sides of a channel cannot overlap."""

MAX_DEPTH = 8
"""More items only cost memory: the slowest stage sets the pace."""


class Broken(Exception):
    """The receiver is gone, nobody will take what is sent.  Internal to `runtime`."""


class Cancelled(Exception):
    """The channel was cancelled because something failed elsewhere.  Internal to `runtime`."""


class Closed(Exception):
    """This end was used after it had been closed: a mistake of the caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStats:
    """One look at a channel.  Near full: the receiver bounds; near empty: the sender does."""

    name: str
    capacity: int

    depth: int
    """Items inside now."""

    peak: int
    """Most items that were ever inside."""

    items: int
    """Items that the receiver has taken."""

    send_blocked_seconds: float
    """Time the sender waited for room, a wait that is still going on included."""

    receive_blocked_seconds: float
    """Time the receiver waited for an item, a wait that is still going on included."""


class _Waited:
    """Total time spent in one kind of wait; used with the channel's mutex held."""

    __slots__ = ("_seconds", "_since")

    def __init__(self) -> None:
        self._seconds = 0.0
        self._since: float | None = None

    def __enter__(self) -> None:
        self._since = perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds = self.seconds
        self._since = None

    @property
    def seconds(self) -> float:
        if self._since is None:
            return self._seconds
        return self._seconds + perf_counter() - self._since


class _Channel(Generic[T]):
    """What both ends share."""

    def __init__(self, capacity: int, name: str) -> None:
        self.capacity = capacity
        self.name = name
        # A plain Lock: no signal can come between its being taken and the `with` knowing of it.
        self.mutex = threading.Lock()
        self.not_full = threading.Condition(self.mutex)
        self.not_empty = threading.Condition(self.mutex)
        self.items: deque[T] = deque()
        self.sender_closed = False
        self.receiver_closed = False
        self.cancelled = False
        self.peak = 0
        self.taken = 0
        self.send_waited = _Waited()
        self.receive_waited = _Waited()

    def send(self, item: T) -> None:
        with self.mutex:
            if not self._accepts():
                with self.send_waited:
                    while not self._accepts():
                        self.not_full.wait()
            self.items.append(item)
            self.peak = max(self.peak, len(self.items))
            self.not_empty.notify()

    def _accepts(self) -> bool:
        """Whether there is room; raises where nothing can be sent any more."""
        if self.cancelled:
            raise Cancelled(self.name)
        if self.sender_closed:
            raise Closed(f"send on the closed sender of {self.name!r}")
        if self.receiver_closed:
            raise Broken(f"the receiver of {self.name!r} is closed")
        return len(self.items) < self.capacity

    def receive(self) -> T:
        with self.mutex:
            if not self._provides():
                with self.receive_waited:
                    while not self._provides():
                        self.not_empty.wait()
            item = self.items.popleft()
            self.taken += 1
            self.not_full.notify()
        return item

    def _provides(self) -> bool:
        """Whether there is an item; raises StopIteration at the end."""
        if self.cancelled:
            raise Cancelled(self.name)
        if self.receiver_closed:
            raise Closed(f"receive on the closed receiver of {self.name!r}")
        if not self.items and self.sender_closed:
            raise StopIteration
        return bool(self.items)

    def close_sender(self) -> None:
        with self.mutex:
            self.sender_closed = True
            self.not_empty.notify_all()
            self.not_full.notify_all()

    def close_receiver(self) -> None:
        with self.mutex:
            self.receiver_closed = True
            dropped, self.items = self.items, deque()
            self.not_full.notify_all()
            self.not_empty.notify_all()
        # Outside the mutex: the death of an item may run any code.
        dropped.clear()

    def cancel(self) -> None:
        with self.mutex:
            self.cancelled = True
            dropped, self.items = self.items, deque()
            self.not_full.notify_all()
            self.not_empty.notify_all()
        dropped.clear()

    def stats(self) -> ChannelStats:
        with self.mutex:
            return ChannelStats(
                name=self.name,
                capacity=self.capacity,
                depth=len(self.items),
                peak=self.peak,
                items=self.taken,
                send_blocked_seconds=self.send_waited.seconds,
                receive_blocked_seconds=self.receive_waited.seconds,
            )


class _End(Generic[T]):
    """What one can do from either end."""

    def __init__(self, channel: _Channel[T]) -> None:
        self._channel = channel

    @property
    def name(self) -> str:
        return self._channel.name

    def cancel(self) -> None:
        """Wake both ends with `Cancelled` and drop what is inside.  Idempotent, from any thread."""
        self._channel.cancel()

    def stats(self) -> ChannelStats:
        """A consistent snapshot, from any thread."""
        return self._channel.stats()


class Sender(_End[T]):
    """The end that items go into.

    As a context manager it closes on success and cancels on an exception, so that a failure can
    never look like the end of the stream.
    """

    def send(self, item: T) -> None:
        """Hand an item over; blocks while the channel is full.

        Raises:
            Broken: the receiver is closed.
            Cancelled: the channel was cancelled.
            Closed: this end is closed.
        """
        self._channel.send(item)

    def close(self) -> None:
        """Say that the stream is complete.  Idempotent."""
        self._channel.close_sender()

    def __enter__(self) -> Sender[T]:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None:
            self.close()
        else:
            self.cancel()


class Receiver(_End[T]):
    """The end that items come out of: iterate it.

    Iteration blocks while the channel is empty, stops after the last item once the sender is
    closed, and raises `Cancelled` or `Closed`.  As a context manager it closes in every case.
    """

    def __iter__(self) -> Receiver[T]:
        return self

    def __next__(self) -> T:
        return self._channel.receive()

    def close(self) -> None:
        """Take nothing more and drop what is inside; the sender sees `Broken`.  Idempotent."""
        self._channel.close_receiver()

    def __enter__(self) -> Receiver[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_channel(capacity: int, name: str) -> tuple[Sender[T], Receiver[T]]:
    """A new channel that holds up to `capacity` items, at least 1; `name` is for people."""
    if capacity < 1:
        raise ValueError(f"capacity of channel {name!r} must be at least 1, got {capacity}")
    channel: _Channel[T] = _Channel(capacity, name)
    return Sender(channel), Receiver(channel)


def depth_for(item_bytes: int, budget_bytes: int, channels: int) -> int:
    """How many items each of `channels` equal channels may hold within a byte budget.

    Always `MIN_DEPTH` to `MAX_DEPTH`: a budget that is too small for the minimum is exceeded, which
    the caller can see by multiplying.  Items in the stages' own hands (up to two a stage) come on
    top.
    """
    if item_bytes < 1 or channels < 1:
        raise ValueError(f"need positive sizes, got {item_bytes} bytes and {channels} channels")
    return max(MIN_DEPTH, min(MAX_DEPTH, budget_bytes // (item_bytes * channels)))
