"""Small jobs side by side, each in a thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

from vrestore.runtime.group import StageGroup

__all__ = ["side_by_side"]

T = TypeVar("T")


def side_by_side(items: Iterable[T], work: Callable[[T], None], count: int) -> None:
    """Call `work` for every item, in order and at most `count` at a time.

    The first exception of `work` is raised when those at work have ended; no other is begun.
    Ctrl-C does the same: what has been begun is finished, then KeyboardInterrupt is raised.
    """
    waiting = deque(items)
    stopping = threading.Event()

    def take() -> None:
        while not stopping.is_set():
            try:
                item = waiting.popleft()
            except IndexError:
                return
            try:
                work(item)
            except BaseException:
                stopping.set()
                raise

    interrupted = False

    def ask() -> bool:
        nonlocal interrupted
        interrupted = True
        stopping.set()
        return True

    with StageGroup() as group, group.interrupts_as_events(ask):
        for number in range(min(count, len(waiting))):
            group.start(f"job {number + 1}", take)
        group.wait()
    if interrupted:
        raise KeyboardInterrupt
