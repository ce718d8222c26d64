"""Parts of one piece of work, each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from vrestore.runtime.threads import torch_threads

__all__ = ["together"]


def together(parts: Sequence[Callable[[], None]]) -> None:
    """Does all parts at the same time, the first in the calling thread, each with one torch thread.

    Comes back when all have ended, and raises the first failure.  Threads are started anew: that
    takes some 50 us, and none must be ended later.
    """
    failures: list[BaseException] = []

    def do(part: Callable[[], None]) -> None:
        try:
            with torch_threads(1):
                part()
        except BaseException as failure:  # noqa: BLE001 - raised again by the caller
            failures.append(failure)

    if not parts:
        return
    others = [threading.Thread(target=do, args=(part,), name="together") for part in parts[1:]]
    for thread in others:
        thread.start()
    do(parts[0])
    for thread in others:
        thread.join()
    if failures:
        raise failures[0]
