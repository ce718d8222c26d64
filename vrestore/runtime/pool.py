"""Tensors whose memory is used again.

A fresh tensor of an 8K frame costs more in page faults than the arithmetic on it.  A pool lends
memory that has been touched before, and gets it back by itself, when the last reference to it dies:
of a view, of a NumPy array, of FFmpeg's frame on the far side of DLPack, in whatever thread.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["BufferPool", "PoolStats"]

Buffer = npt.NDArray[np.uint8]

ALIGNMENT = 64
"""Bytes; what torch's own allocator gives and FFmpeg's widest vector code wants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStats:
    """One look at a pool."""

    limit_bytes: int | None
    leased_bytes: int
    """Lent out now."""

    idle_bytes: int
    """Waiting to be lent again."""

    allocated: int
    """Buffers that had to be made."""

    reused: int
    """Leases that were served from idle memory."""

    evicted: int
    """Idle buffers that were freed for the limit's sake."""


class BufferPool:
    """Lends CPU tensors.  Any number of threads may take and let go.

    Args:
        limit_bytes: bound on lent and idle memory together, kept at each `take` by freeing idle
            buffers, longest unused first.  A lease is never refused, even where lent memory alone
            exceeds the limit: how much is out is bounded by the channels, not here.
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        if limit_bytes is not None and limit_bytes < 0:
            raise ValueError(f"limit_bytes must not be negative, got {limit_bytes}")
        self._limit = limit_bytes
        self._mutex = threading.Lock()
        # Filled by finalizers, which run wherever the last reference dies, even in a thread that
        # holds the mutex: so they only append, and whoever has the mutex sorts in what came back.
        self._returned: deque[Buffer] = deque()
        self._idle: list[Buffer] = []
        """Longest unused first; tens of buffers at most."""
        self._leased_bytes = 0
        self._idle_bytes = 0
        self._allocated = 0
        self._reused = 0
        self._evicted = 0

    def take(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """A contiguous CPU tensor with unspecified contents, aligned to `ALIGNMENT`.

        Its memory comes back to the pool after the last reference to it, or to anything that
        shares it, is gone.
        """
        size = math.prod(shape) * dtype.itemsize
        if size == 0:
            return torch.empty(tuple(shape), dtype=dtype)
        with self._mutex:
            self._collect()
            buffer = self._reuse(size)
            evicted = self._evict(0 if buffer is not None else size)
        # Outside the mutex: unmapping and mapping large memory takes milliseconds.
        evicted.clear()
        if buffer is None:
            buffer = _aligned(size)
            with self._mutex:
                self._leased_bytes += size
                self._allocated += 1
        # A new view for each lease.  Torch keeps this object until the storage is freed, so its
        # death is the storage's, whoever else shared it meanwhile.
        lease = buffer.view()
        weakref.finalize(lease, self._returned.append, buffer).atexit = False
        return torch.from_numpy(lease).view(dtype).reshape(tuple(shape))

    def clear(self) -> None:
        """Free all idle memory."""
        with self._mutex:
            self._collect()
            idle, self._idle = self._idle, []
            self._idle_bytes = 0
        idle.clear()

    def stats(self) -> PoolStats:
        """A consistent snapshot, from any thread."""
        with self._mutex:
            self._collect()
            return PoolStats(
                limit_bytes=self._limit,
                leased_bytes=self._leased_bytes,
                idle_bytes=self._idle_bytes,
                allocated=self._allocated,
                reused=self._reused,
                evicted=self._evicted,
            )

    def _collect(self) -> None:
        """Sort in what came back."""
        while self._returned:
            buffer = self._returned.popleft()
            self._leased_bytes -= buffer.nbytes
            self._idle_bytes += buffer.nbytes
            self._idle.append(buffer)

    def _reuse(self, size: int) -> Buffer | None:
        """An idle buffer of just this size, the one used last: it may still be in the caches."""
        for position in range(len(self._idle) - 1, -1, -1):
            if self._idle[position].nbytes == size:
                self._idle_bytes -= size
                self._leased_bytes += size
                self._reused += 1
                return self._idle.pop(position)
        return None

    def _evict(self, needed: int) -> list[Buffer]:
        """Take idle buffers out until the limit holds with `needed` bytes more."""
        evicted: list[Buffer] = []
        if self._limit is None:
            return evicted
        while self._idle and self._leased_bytes + self._idle_bytes + needed > self._limit:
            buffer = self._idle.pop(0)
            self._idle_bytes -= buffer.nbytes
            self._evicted += 1
            evicted.append(buffer)
        return evicted


def _aligned(size: int) -> Buffer:
    raw = np.empty(size + ALIGNMENT, dtype=np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]
