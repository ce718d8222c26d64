"""The least time that a network can take: its operations counted, the machine's peaks measured.

Williams, Waterman and Patterson 2009 (doi:10.1145/1498765.1498785), operation by operation: each
takes at least its multiplications at the peak of a large matrix product, and at least its bytes at
the peak of a large copy; both peaks are taken here, with the network's threads and number format.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from vrestore.media import Frame
from vrestore.runtime.stage import Op
from vrestore.runtime.threads import torch_threads

__all__ = ["Peaks", "Roofline", "peaks", "roofline", "tensors_in"]

_MATRIX, _COPY = 1536, 64 * 2**20
"""Side of the matrices; numbers copied."""

_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """Of this machine."""

    macs: float
    """Multiply-accumulates a second of a matrix product, in the network's number format."""

    macs_fp32: float
    bytes: float
    """Read and written a second by a copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roofline:
    """Of one frame."""

    macs: int
    bytes: int
    """Read and written by all operations, if nothing stayed in a cache."""

    compute_seconds: float
    """Of the multiplications alone, at the peak."""

    least_seconds: float
    """The sum over operations of the larger of both times.  What stays in a cache may be faster."""


@dataclass(slots=True)
class _Count:
    macs: int = 0
    bytes: int = 0
    compute: float = 0.0
    least: float = 0.0


class _Counter(TorchDispatchMode):
    """Counts what every operation multiplies, reads and writes."""

    def __init__(self, limits: Peaks) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = _Count()
        self._limits = limits

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.is_view:
            return result
        formula = flop_registry.get(func.overloadpacket)
        macs = 0 if formula is None else int(formula(*args, **(kwargs or {}), out_val=result)) // 2
        moved = sum(t.numel() * t.element_size() for t in tensors_in((*args, result)))
        half = any(t.dtype in (torch.bfloat16, torch.float16) for t in tensors_in(args))
        peak = self._limits.macs if half else self._limits.macs_fp32
        self.count.macs += macs
        self.count.bytes += moved
        self.count.compute += macs / peak
        self.count.least += max(macs / peak, moved / self._limits.bytes)
        return result


def tensors_in(values: Sequence[Any]) -> Iterator[Tensor]:
    """All tensors among arguments or results, in lists and tuples too."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from tensors_in(value)


def peaks(dtype: torch.dtype, threads: int) -> Peaks:
    """Measured now, the best of a few tries."""
    with torch_threads(threads):
        plain = _matrix_peak(torch.float32)
        source = torch.zeros(_COPY)
        target = torch.empty_like(source)
        copy = _best(lambda: target.copy_(source))
        return Peaks(
            macs=plain if dtype is torch.float32 else _matrix_peak(dtype),
            macs_fp32=plain,
            bytes=2 * source.numel() * source.element_size() / copy,
        )


def _matrix_peak(dtype: torch.dtype) -> float:
    a = torch.rand(_MATRIX, _MATRIX).to(dtype)
    return float(_MATRIX**3 / _best(lambda: a @ a))


def _best(work: Any) -> float:
    work()
    taken = []
    for _ in range(_TRIES):
        began = perf_counter()
        work()
        taken.append(perf_counter() - began)
    return min(taken)


def roofline(op: Op[Frame, Frame], frames: Sequence[Frame], limits: Peaks) -> Roofline:
    """Of a network in the middle of a shot: what is counted is the last but one frame's share.

    `frames` are at least four of one shot, as the op takes them.
    """
    with _counting(limits) as counter:
        totals = []
        for frame in frames:
            for _ in op.push(frame):
                pass
            totals.append(_Count(**{k: getattr(counter.count, k) for k in _Count.__slots__}))
    before, after = totals[-2], totals[-1]
    return Roofline(
        macs=after.macs - before.macs,
        bytes=after.bytes - before.bytes,
        compute_seconds=after.compute - before.compute,
        least_seconds=after.least - before.least,
    )


@contextmanager
def _counting(limits: Peaks) -> Iterator[_Counter]:
    with torch_threads(1), _Counter(limits) as counter:
        yield counter
