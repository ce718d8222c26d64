"""Memory for the output of ops, and how they walk through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch

__all__ = ["Alloc", "strips", "take"]

_STRIP_SAMPLES = 1 << 20
"""4 MiB of float32: the fastest of 2^16..2^30 for both 1080p and 8K."""

Alloc: TypeAlias = Callable[[tuple[int, ...], torch.dtype], torch.Tensor]
"""(shape, dtype) to an uninitialised contiguous tensor, such as a lease of a buffer pool.

A fresh 8K plane costs more in page faults than in arithmetic, so a run hands its ops a pool; the
memory goes back to it when the last reference to the tensor dies.  It must give memory of the
device the op's frames are on.
"""


def take(
    alloc: Alloc | None, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """Memory from `alloc`, or fresh memory on `device` where there is no pool."""
    return torch.empty(shape, dtype=dtype, device=device) if alloc is None else alloc(shape, dtype)


def strips(plane: torch.Tensor, limit: int = 0) -> Iterator[slice]:
    """Row ranges of a plane that fit the cache together, top to bottom.

    `limit` is the most rows of a strip, 0 for any number.  On a device a plane is one strip (or as
    few as `limit` allows), since there launches cost more than memory.
    """
    height, width = plane.shape
    rows = height if plane.device.type != "cpu" else max(1, _STRIP_SAMPLES // max(1, width))
    rows = min(rows, limit) if limit else rows
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))
