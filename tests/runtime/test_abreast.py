"""Several items at a time: in order, truly side by side, and a failure ends all of them."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from vrestore.runtime.abreast import Abreast

WAIT = 10.0


class Meeting:
    """An op whose items wait for each other in pairs; the earlier of a pair takes longer."""

    def __init__(self) -> None:
        self._pair = threading.Barrier(2, timeout=WAIT)
        self.threads: set[int] = set()

    def push(self, item: int) -> tuple[int, int]:
        self._pair.wait()
        time.sleep(0.05 * (item % 2 == 0))
        self.threads.add(torch.get_num_threads())
        return item, -item

    def flush(self) -> tuple[int, ...]:
        raise AssertionError("nothing is kept, so nothing is flushed")


def test_two_items_are_at_work_at_once_and_come_out_in_order():
    inner = Meeting()
    op = Abreast(inner, 2, threads=1)
    assert op.latency == 1
    # Each would wait for its partner for ever if it were alone.
    assert list(op.push(0)) == []
    assert list(op.push(1)) == [0, 0]
    assert list(op.flush()) == [1, -1]
    assert list(op.push(2)) == []
    assert list(op.push(3)) == [2, -2]
    assert list(op.flush()) == [3, -3]
    assert inner.threads == {1}


class Failing:
    def __init__(self) -> None:
        self.done: list[int] = []

    def push(self, item: int) -> tuple[int]:
        if item == 1:
            raise ValueError("item 1 cannot be done")
        time.sleep(0.1)
        self.done.append(item)
        return (item,)

    def flush(self) -> tuple[int, ...]:
        return ()


def test_a_failure_is_raised_where_its_result_is_due_and_leaves_no_thread():
    inner = Failing()
    op = Abreast(inner, 3, threads=1)
    assert [list(op.push(item)) for item in (0, 1)] == [[], []]
    assert list(op.push(2)) == [0]
    with pytest.raises(ValueError, match="item 1"):
        op.push(3)
    # Those that had begun have ended; the fixture of all tests looks for threads.
    assert inner.done == [0, 2, 3] and threading.active_count() < 3
