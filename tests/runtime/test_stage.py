"""Composition of ops, and what a stage tells about itself."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrestore.runtime.channel import Receiver, Sender, open_channel
from vrestore.runtime.stage import Op, compose, latency_of, run_op, run_sink, run_source
from vrestore.runtime.stats import StageMeter

pytestmark = pytest.mark.timeout(30)


class Delay:
    """Hands each item on `latency` items later."""

    def __init__(self, latency: int) -> None:
        self.latency = latency
        self._held: list[int] = []

    def push(self, item: int, /) -> list[int]:
        self._held.append(item)
        return [self._held.pop(0)] if len(self._held) > self.latency else []

    def flush(self) -> list[int]:
        held, self._held = self._held, []
        return held


class Repeat:
    """Each item `times` times, lazily."""

    def __init__(self, times: int) -> None:
        self._times = times

    def push(self, item: int, /) -> Iterator[int]:
        for _ in range(self._times):
            yield item

    def flush(self) -> Iterable[int]:
        return ()


class Total:
    """The running sum, and its negative at the end."""

    def __init__(self) -> None:
        self._sum = 0

    def push(self, item: int, /) -> tuple[int]:
        self._sum += item
        return (self._sum,)

    def flush(self) -> tuple[int]:
        return (-self._sum,)


RECIPES = st.one_of(
    st.tuples(st.just(Delay), st.integers(0, 3)),
    st.tuples(st.just(Repeat), st.integers(0, 3)),
    st.tuples(st.just(Total)),
)


def make(recipe: tuple[Any, ...]) -> Op[int, int]:
    op: Op[int, int] = recipe[0](*recipe[1:])
    return op


def apply(op: Op[int, int], items: Sequence[int]) -> list[int]:
    return [*chain.from_iterable(op.push(item) for item in items), *op.flush()]


@given(recipes=st.lists(RECIPES, max_size=4), items=st.lists(st.integers(0, 99), max_size=8))
def test_a_composition_does_what_its_parts_do_in_turn(
    recipes: list[tuple[Any, ...]], items: list[int]
) -> None:
    expected = items
    for recipe in recipes:
        expected = apply(make(recipe), expected)
    assert apply(compose(*map(make, recipes)), items) == expected


@given(
    recipes=st.lists(RECIPES, min_size=2, max_size=5),
    items=st.lists(st.integers(0, 99), max_size=8),
    data=st.data(),
)
def test_composition_is_associative(
    recipes: list[tuple[Any, ...]], items: list[int], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(recipes)))
    grouped = compose(compose(*map(make, recipes[:cut])), compose(*map(make, recipes[cut:])))
    assert apply(grouped, items) == apply(compose(*map(make, recipes)), items)


def test_latency_adds_up_and_is_zero_where_nothing_is_said() -> None:
    assert latency_of(compose(Delay(2), Repeat(1), Delay(3))) == 5
    assert latency_of(Total()) == 0


def test_results_flow_through_a_composition_one_at_a_time() -> None:
    made: list[int] = []

    class Noting(Repeat):
        def push(self, item: int, /) -> Iterator[int]:
            for _ in range(self._times):
                made.append(item)
                yield item

    results = iter(compose(Noting(3), Repeat(1)).push(5))
    next(results)
    assert made == [5]


def filled(items: Sequence[int]) -> Receiver[int]:
    ends: tuple[Sender[int], Receiver[int]] = open_channel(max(1, len(items)), "in")
    with ends[0] as sender:
        for item in items:
            sender.send(item)
    return ends[1]


def roomy() -> tuple[Sender[int], Receiver[int]]:
    return open_channel(100, "out")


def test_an_op_stage_pushes_flushes_and_closes() -> None:
    sender, receiver = roomy()
    meter = StageMeter("delay")
    run_op(compose(Delay(2), Repeat(2)), filled([1, 2, 3]), sender, meter)
    assert list(receiver) == [1, 1, 2, 2, 3, 3]
    assert (meter.items_in, meter.items_out) == (3, 6)


def test_a_source_stage_closes_the_iterator_and_the_source_once_each() -> None:
    closed: list[str] = []

    class Tape:
        def __iter__(self) -> Iterator[int]:
            try:
                yield from (1, 2)
            finally:
                closed.append("iterator")

        def close(self) -> None:
            closed.append("source")

    sender, receiver = roomy()
    run_source(Tape(), sender, StageMeter("read"))
    assert list(receiver) == [1, 2]
    assert closed == ["iterator", "source"]


def test_a_source_that_cannot_be_iterated_is_closed_all_the_same() -> None:
    closed: list[str] = []

    class Broken:
        def __iter__(self) -> Iterator[int]:
            raise OSError("no tape")

        def close(self) -> None:
            closed.append("source")

    sender, _ = roomy()
    with pytest.raises(OSError, match="no tape"):
        run_source(Broken(), sender, StageMeter("read"))
    assert closed == ["source"]


def test_plain_iterables_are_sources() -> None:
    sender, receiver = roomy()
    run_source([1, 2, 3], sender, StageMeter("read"))
    assert list(receiver) == [1, 2, 3]


class Shy:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (7, "in stage 'write', handling item 0: 7"),
        (Shy(), "in stage 'write', handling item 0: Shy whose repr raised RuntimeError"),
        ("x" * 1000, "in stage 'write', handling item 0: '" + "x" * 296 + "..."),
    ],
    ids=["plain", "broken repr", "long repr"],
)
def test_a_note_shows_the_item_whatever_its_repr_does(item: object, told: str) -> None:
    class Refusing:
        def write(self, item: object, /) -> None:
            raise OSError("disk full")

        def close(self) -> None:
            raise AssertionError("closed after a failure")

    ends: tuple[Sender[object], Receiver[object]] = open_channel(1, "in")
    ends[0].send(item)
    with pytest.raises(OSError, match="disk full") as raised:
        run_sink(Refusing(), ends[1], StageMeter("write"))
    assert raised.value.__notes__ == [told]
