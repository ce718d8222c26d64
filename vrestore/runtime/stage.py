"""Stages: what one thread does between two channels.

Everything that turns items into items is an `Op`; the ends of the line are a source (an iterable)
and a `Sink`.  The three loops here are the only places where work meets channels.  A loop closes
its sender as its last act and only on success, so an end of stream always means a complete stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Protocol, TypeVar

from vrestore.runtime.channel import Broken, Cancelled, Receiver, Sender
from vrestore.runtime.device import Lane
from vrestore.runtime.stats import StageMeter

__all__ = ["Op", "Sink", "compose", "latency_of", "run_op", "run_sink", "run_source"]

T = TypeVar("T")
In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)

NOTE_LENGTH = 300
"""Characters of an item's repr that fit into a note on an exception."""


class Op(Protocol[In_contra, Out_co]):
    """A transform of a stream: zero or more results for each item, and the rest at the end.

    Used by one thread.  What `push` returns is exhausted before the next call, so it may be lazy.
    An op may have an attribute `latency`, the number of items it can hold back (default 0).
    """

    def push(self, item: In_contra, /) -> Iterable[Out_co]: ...

    def flush(self) -> Iterable[Out_co]:
        """The rest; called once, after the last `push` of a complete stream."""
        ...


class Sink(Protocol[In_contra]):
    """The right end of a line.

    May have `abort()`, called instead when the line did not end well (see `Pipeline.run`).
    """

    def write(self, item: In_contra, /) -> None: ...

    def close(self) -> None:
        """Finish; called once, only after everything was written and nothing had failed."""
        ...


def latency_of(op: Op[Any, Any]) -> int:
    """Items that an op can hold back, 0 where it does not say."""
    return int(getattr(op, "latency", 0))


class _Chain:
    """Several ops as one; results flow through singly, so nothing piles up between them."""

    def __init__(self, ops: tuple[Op[Any, Any], ...]) -> None:
        self._ops = ops
        self.latency = sum(latency_of(op) for op in ops)

    def push(self, item: Any, /) -> Iterator[Any]:
        return self._feed(0, item)

    def flush(self) -> Iterator[Any]:
        for position, op in enumerate(self._ops, start=1):
            for result in op.flush():
                yield from self._feed(position, result)

    def _feed(self, position: int, item: Any) -> Iterator[Any]:
        if position == len(self._ops):
            yield item
            return
        for result in self._ops[position].push(item):
            yield from self._feed(position + 1, result)


def compose(*ops: Op[Any, Any]) -> Op[Any, Any]:
    """One op that does what `ops` do from left to right; of none, the identity."""
    return ops[0] if len(ops) == 1 else _Chain(ops)


class _Work:
    """Brackets a stage's own work: clocks it, and tells a failure where it happened."""

    __slots__ = ("_doing", "_item", "_meter")

    def __init__(self, meter: StageMeter, doing: str, *item: object) -> None:
        self._meter = meter
        self._doing = doing
        self._item = item

    def __enter__(self) -> None:
        self._meter.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._meter.stop()
        if exc is not None and not isinstance(exc, Broken | Cancelled):
            exc.add_note(f"in stage {self._meter.name!r}, {self._where()}")

    def _where(self) -> str:
        if self._item:
            return f"{self._doing} item {self._meter.items_in - 1}: {_shown(self._item[0])}"
        return f"{self._doing} after {self._meter.items_in or self._meter.items_out} items"


def _shown(item: object) -> str:
    """A short repr; never raises, since it must not hide the failure that it describes."""
    try:
        text = repr(item)
    except Exception as error:  # noqa: BLE001 (told in its place)
        text = f"{type(item).__name__} whose repr raised {type(error).__name__}"
    return text if len(text) <= NOTE_LENGTH else text[: NOTE_LENGTH - 3] + "..."


def _forward(results: Iterable[T], sender: Sender[T], meter: StageMeter, lane: Lane | None) -> None:
    """Send what a stage made; the time in `send` is not the stage's own."""
    for result in results:
        marked = result if lane is None else lane.hand_over(result)
        meter.stop()
        sender.send(marked)
        meter.start()
        meter.items_out += 1
        # It belongs to the next stage now; held here, it would be one more frame in memory.
        del result, marked


def run_source(
    source: Iterable[T], sender: Sender[T], meter: StageMeter, lane: Lane | None = None
) -> None:
    """Send all that `source` gives, then close the source and the sender.

    The iterator's `close()` (every generator has one) and the source's own, where they exist, are
    called in this thread however the iteration ends, once each.
    """
    items: Iterable[T] = source
    try:
        with _Work(meter, "reading"):
            items = iter(source)
            _forward(items, sender, meter, lane)
    except BaseException as error:
        try:
            _close_source(items, source)
        except Exception as closing_error:  # noqa: BLE001 (told by the error under way)
            error.add_note(f"in stage {meter.name!r}, closing failed too: {closing_error!r}")
        raise
    with _Work(meter, "closing"):
        _close_source(items, source)
    sender.close()


def _close_source(items: Iterable[Any], source: Iterable[Any]) -> None:
    try:
        if items is not source:
            _close(items)
    finally:
        _close(source)


def _close(end: Iterable[Any]) -> None:
    close = getattr(end, "close", None)
    if close is not None:
        close()


def run_op(
    op: Op[Any, T],
    receiver: Receiver[Any],
    sender: Sender[T],
    meter: StageMeter,
    lane: Lane | None = None,
) -> None:
    """Push every item received and send what comes of it, then flush, then close the sender."""
    for item in receiver:
        if lane is not None:
            lane.take_over(item)
        meter.items_in += 1
        with _Work(meter, "handling", item):
            _forward(op.push(item), sender, meter, lane)
        # Waiting for the next item must not keep this one alive.
        del item
    with _Work(meter, "flushing"):
        _forward(op.flush(), sender, meter, lane)
    sender.close()


def run_sink(
    sink: Sink[T], receiver: Receiver[T], meter: StageMeter, lane: Lane | None = None
) -> None:
    """Write every item received; close the sink after the end of a complete stream."""
    for item in receiver:
        if lane is not None:
            lane.take_over(item)
        meter.items_in += 1
        with _Work(meter, "handling", item):
            sink.write(item)
        del item
    with _Work(meter, "closing"):
        sink.close()
