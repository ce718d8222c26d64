"""What numba compiles for the CPU at hand, where `vrestore[cpu]` is installed.

The other modules of this package cannot be imported without numba; ask `installed` first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import metadata
from importlib.util import find_spec
from typing import TypeAlias

import torch

__all__ = ["Together", "in_parts", "installed", "one_by_one", "version"]

Together: TypeAlias = Callable[[Sequence[Callable[[], None]]], None]
"""Does several things, perhaps at the same time, and comes back when all are done."""


def installed() -> bool:
    """Whether numba is there."""
    return find_spec("numba") is not None


def version() -> str:
    """Of the compiler; results of two compilers may differ in their last bits."""
    return f"numba {metadata.version('numba')}"


def one_by_one(parts: Sequence[Callable[[], None]]) -> None:
    for part in parts:
        part()


def in_parts(together: Together, count: int, work: Callable[[int, int], None]) -> None:
    """`work(first, last)` for as many even parts of 0..count as torch has threads here."""
    parts = min(torch.get_num_threads(), count)
    ends = [count * k // max(1, parts) for k in range(parts + 1)]

    def part(k: int) -> Callable[[], None]:
        return lambda: work(ends[k], ends[k + 1])

    together([part(k) for k in range(parts)])
