"""What numba compiles for the CPU at hand, where `vrestore[cpu]` is installed.

The other modules of this package cannot be imported without numba; ask `installed` first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from typing import Protocol

__all__ = ["COMPILER", "Compiler", "Together", "in_parts", "installed", "one_by_one", "version"]


class Compiler:
    """Whether something is being compiled, which nothing but the first run has to wait for."""

    def __init__(self) -> None:
        self.depth = 0
        """Functions begun and not done; one asks for the next."""

    @property
    def works(self) -> bool:
        return self.depth > 0


COMPILER = Compiler()
"""Of this process."""


class Together(Protocol):
    """Does several things at the same time and comes back when all are done."""

    threads: int
    """How many at a time are worth while."""

    def __call__(self, parts: Sequence[Callable[[], None]], /) -> None: ...

    def in_step(self, parts: Sequence[Iterator[None]], /) -> None:
        """Each part goes on from where it yields when all others have come as far; all yield
        equally often."""


def installed() -> bool:
    """Whether numba is there."""
    return find_spec("numba") is not None


def version() -> str:
    """Of the compiler; results of two compilers may differ in their last bits."""
    return f"numba {metadata.version('numba')}"


class _OneByOne:
    threads = 1

    def __call__(self, parts: Sequence[Callable[[], None]], /) -> None:
        for part in parts:
            part()

    def in_step(self, parts: Sequence[Iterator[None]], /) -> None:
        for _ in zip(*parts, strict=True):
            pass


one_by_one: Together = _OneByOne()


def in_parts(together: Together, count: int, work: Callable[[int, int], None]) -> None:
    """`work(first, last)` for even parts of 0..count, at the same time."""
    parts = min(together.threads, count)
    ends = [count * k // max(1, parts) for k in range(parts + 1)]
    together([partial(work, ends[k], ends[k + 1]) for k in range(parts)])
