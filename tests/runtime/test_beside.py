"""Jobs side by side."""

import os
import signal
import threading
import time

import pytest

from vrestore.runtime.beside import side_by_side


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_item_is_worked_on_once_and_so_many_at_a_time(count: int) -> None:
    lock, now, most, done = threading.Lock(), 0, 0, []

    def work(item: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1
            done.append(item)

    side_by_side(range(9), work, count)
    assert sorted(done) == list(range(9))
    assert most <= count
    if count > 1:
        assert most > 1


def test_a_failure_begins_nothing_more() -> None:
    begun = []

    def work(item: int) -> None:
        begun.append(item)
        raise ZeroDivisionError(item)

    with pytest.raises(ZeroDivisionError):
        side_by_side(range(9), work, 1)
    assert begun == [0]


def test_ctrl_c_lets_what_has_begun_end() -> None:
    ended = []

    def work(item: int) -> None:
        if item == 1:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        ended.append(item)

    with pytest.raises(KeyboardInterrupt):
        side_by_side(range(50), work, 2)
    assert 2 <= len(ended) < 50
