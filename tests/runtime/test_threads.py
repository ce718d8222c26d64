"""Thread counts: the network gets its share, everything else stays on its stage's own thread."""

from __future__ import annotations

import pytest
import torch

from vrestore.runtime.pipeline import stream
from vrestore.runtime.posix import usable_cores
from vrestore.runtime.threads import ThreadBudget, Threaded, torch_threads


@pytest.mark.parametrize("total", [1, 2, 3, 8, 64])
def test_every_kind_of_work_gets_threads_and_none_more_than_there_are(total: int) -> None:
    budget = ThreadBudget.split(total)
    for threads in (budget.decode, budget.torch, budget.encode):
        assert 1 <= threads <= total


def test_by_default_the_usable_cores_are_shared() -> None:
    assert ThreadBudget.split() == ThreadBudget.split(usable_cores())


def test_no_threads_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        ThreadBudget.split(0)
    with pytest.raises(ValueError, match="at least one thread"):
        ThreadBudget(decode=1, torch=0, encode=1)


class Ask:
    """Tells how many threads torch would use where it runs."""

    latency = 3

    def push(self, item: int, /) -> list[int]:
        # The first parallel operation of a thread is what makes it look at the setting.
        torch.ones(100_000).add_(1)
        return [torch.get_num_threads()]

    def flush(self) -> list[int]:
        return [torch.get_num_threads()]


def test_a_stage_uses_one_torch_thread_and_a_threaded_op_its_own_number() -> None:
    with torch_threads(4):
        plain = list(stream(("read", [0, 1]), [("ask", Ask())]))
        wide = list(stream(("read", [0, 1]), [("ask", Threaded(Ask(), 3))]))
    assert plain == [1, 1, 1]
    assert wide == [3, 3, 3]


def test_a_threaded_op_leaves_the_number_as_it_was() -> None:
    with torch_threads(2):
        assert list(Threaded(Ask(), 3).push(0)) == [3]
        assert torch.get_num_threads() == 2


def test_a_threaded_op_holds_back_what_its_op_does() -> None:
    assert Threaded(Ask(), 2).latency == 3
