"""Parts of one piece of work, each in a thread."""

from __future__ import annotations

import threading

import pytest
import torch

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
