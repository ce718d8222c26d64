"""An op that keeps nothing between items, at work on several of them at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

from vrestore.runtime.stage import Op
from vrestore.runtime.threads import torch_threads

__all__ = ["Abreast"]

In = TypeVar("In")
Out = TypeVar("Out")


class Abreast(Generic[In, Out]):
    """Results of `op`, in order, of `count` items at a time, each in a thread of its own.

    For work that two threads do better on two items than both on one: nothing waits for the other,
    and what cannot be split overlaps.  `op.push` is called from several threads at once, must not
    depend on the items before, and must give everything at once; `op.flush` is never called.

    Args:
        threads: torch threads of each.
    """

    def __init__(self, op: Op[In, Out], count: int, threads: int) -> None:
        self._op = op
        self._count = count
        self._threads = threads
        self._begun: deque[_Work[In, Out]] = deque()
        self.latency = count - 1

    def push(self, item: In, /) -> Iterable[Out]:
        self._begun.append(_Work(self._op, item, self._threads))
        return self._oldest() if len(self._begun) == self._count else ()

    def flush(self) -> Iterable[Out]:
        results: list[Out] = []
        while self._begun:
            results += self._oldest()
        return results

    def _oldest(self) -> tuple[Out, ...]:
        try:
            return self._begun.popleft().result()
        except BaseException:
            # Nobody asks for the others any more; a thread must not outlive its failure.
            for work in self._begun:
                work.join()
            raise


class _Work(Generic[In, Out]):
    """One item in its thread."""

    def __init__(self, op: Op[In, Out], item: In, threads: int) -> None:
        self._op, self._item, self._threads = op, item, threads
        self._result: tuple[Out, ...] = ()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="abreast")
        self._thread.start()

    def _run(self) -> None:
        try:
            with torch_threads(self._threads):
                self._result = tuple(self._op.push(self._item))
        except BaseException as failure:  # noqa: BLE001 - raised again where it is asked for
            self._failure = failure

    def join(self) -> None:
        self._thread.join()

    def result(self) -> tuple[Out, ...]:
        """Waits.  Raises what the work raised."""
        self.join()
        if self._failure is not None:
            raise self._failure
        return self._result
