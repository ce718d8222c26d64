"""Parts of one piece of work, each in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from vrestore.models.compiled import Together as Parts
from vrestore.models.compiled import one_by_one
from vrestore.runtime.together import Together


def test_all_parts_are_done_at_the_same_time_by_threads_that_are_gone_afterwards():
    barrier, seen = threading.Barrier(3, timeout=20), []

    def part(number: int) -> None:
        # Nobody gets past here before all three are under way.
        barrier.wait()
        seen.append((number, torch.get_num_threads()))

    running = threading.active_count()
    Together(2)([lambda: part(0), lambda: part(1), lambda: part(2)])
    assert sorted(seen) == [(0, 1), (1, 1), (2, 1)]
    assert threading.active_count() == running
    Together(2)([])


def test_a_failure_is_raised_when_all_have_ended():
    done = []

    def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Together(2)([fails, lambda: done.append(1), lambda: done.append(2)])
    assert sorted(done) == [1, 2]


@pytest.mark.parametrize("together", [Together(3), one_by_one])
def test_parts_in_step_go_on_when_all_have_come_as_far(together: Parts):
    log: list[tuple[int, int]] = []

    def part(number: int) -> Iterator[None]:
        for step in range(3):
            log.append((step, number))
            yield

    together.in_step([part(number) for number in range(4)])
    assert [step for step, _ in log] == sorted(step for step, _ in log)
    assert sorted(log) == [(step, number) for step in range(3) for number in range(4)]
    together.in_step([])


def test_a_part_that_fails_ends_those_that_wait_for_it_and_is_what_is_raised():
    running, ended = threading.active_count(), []

    def part(number: int) -> Iterator[None]:
        yield
        if number == 1:
            raise MemoryError("of part 1")
        yield
        ended.append(number)

    with pytest.raises(MemoryError, match="of part 1"):
        Together(3).in_step([part(number) for number in range(3)])
    assert ended == []
    assert threading.active_count() == running
