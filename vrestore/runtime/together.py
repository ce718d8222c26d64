"""Parts of one piece of work, each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from vrestore.runtime.threads import torch_threads

__all__ = ["Together"]


class Together:
    """Does all parts at the same time, the first in the calling thread, each with one torch thread.

    Comes back when all have ended, and raises the first failure.  Threads are started anew: that
    takes some 50 us, and none must be ended later.

    Args:
        threads: how many parts to make of what can be cut anywhere.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def __call__(self, parts: Sequence[Callable[[], None]], /) -> None:
        failures: list[BaseException] = []

        def do(part: Callable[[], None]) -> None:
            try:
                with torch_threads(1):
                    part()
            except BaseException as failure:  # noqa: BLE001 - raised again by the caller
                failures.append(failure)

        first, *others = parts or [lambda: None]
        threads = [threading.Thread(target=do, args=(part,), name="together") for part in others]
        for thread in threads:
            thread.start()
        do(first)
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def in_step(self, parts: Sequence[Iterator[None]], /) -> None:
        """Each part goes on from where it yields when all others have come as far; all yield
        equally often.  A part that fails ends the others where they wait."""
        meeting = threading.Barrier(max(1, len(parts)))

        def go(part: Iterator[None]) -> None:
            try:
                for _ in part:
                    meeting.wait()
            except threading.BrokenBarrierError:
                # Another part failed, and says so itself.
                return
            except BaseException:
                meeting.abort()
                raise

        self([partial(go, part) for part in parts])
