"""Looking where threads are."""

from __future__ import annotations

import threading
import time
from types import FrameType

import pytest

from vrestore.runtime.sampling import StackSampler


def function(frame: FrameType) -> str:
    return frame.f_code.co_name


def test_a_busy_thread_is_found_where_it_is():
    over = threading.Event()

    def turning() -> None:
        while not over.is_set():
            sum(range(200))

    worker = threading.Thread(target=turning, name="worker")
    worker.start()
    try:
        with StackSampler(function, interval_seconds=0.002) as sampler:
            time.sleep(0.3)
    finally:
        over.set()
        worker.join()
    seen = {place: looks for (thread, place), looks in sampler.places.items() if thread == "worker"}
    assert sampler.looks > 10
    assert sum(seen.values()) == sampler.looks
    assert seen["turning"] + seen.get("is_set", 0) > 0.9 * sampler.looks
    assert not any(thread == "sampler" for thread, _ in sampler.places)


def test_it_ends_with_its_block():
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="inside"), StackSampler(function):
        raise RuntimeError("inside")
    assert threading.active_count() == before


def test_an_interval_is_positive():
    with pytest.raises(ValueError, match="interval_seconds"):
        StackSampler(function, interval_seconds=0.0)
