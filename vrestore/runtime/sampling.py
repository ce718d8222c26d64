"""Where the threads of a run are, looked up many times a second."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import FrameType, TracebackType

__all__ = ["StackSampler"]

_GRACE_SECONDS = 5.0


class StackSampler:
    """Counts, within a block, the places that the other threads are found at.

    A place is what `where` makes of a thread's innermost frame.  Nothing is slowed but by the looks
    themselves, and what a library does inside one call counts for the caller.
    """

    def __init__(self, where: Callable[[FrameType], str], *, interval_seconds: float = 0.004):
        if interval_seconds <= 0:
            raise ValueError(f"interval_seconds must be positive, got {interval_seconds}")
        self.places: Counter[tuple[str, str]] = Counter()
        """(thread's name, place) -> looks."""

        self.looks = 0
        self._where, self._interval = where, interval_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="sampler")

    def __enter__(self) -> StackSampler:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(_GRACE_SECONDS)

    def _look(self) -> None:
        own = threading.get_ident()
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._interval, time.monotonic())
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            self.looks += 1
            for ident, frame in sys._current_frames().items():
                if ident != own and ident in names:
                    self.places[names[ident], self._where(frame)] += 1
