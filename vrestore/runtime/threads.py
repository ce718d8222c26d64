"""How many threads the libraries use inside the stages; the only place that decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from vrestore.runtime.posix import usable_cores
from vrestore.runtime.stage import Op, latency_of

__all__ = ["ThreadBudget", "Threaded", "torch_threads"]

In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)

MOST_DECODE_THREADS = 16
"""FFmpeg's own bound: it warns above, and more only hold more frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadBudget:
    """How many threads each kind of library may use inside its stage.

    Codecs and torch bring pools of their own, which share the same cores with the stages' threads.
    """

    decode: int
    """For the decoder's `thread_count`."""

    torch: int
    """For the network; everything else that torch does in a stage runs on the stage's own thread.

    OpenMP keeps a team of threads for each thread that asks for one, and lets none of them spin
    once there are more than processors; waking them then costs more than they bring to anything
    but a network: on two cores, 480x270 to 960x540 by resampling took 10 ms a frame with two
    threads and 1.6 ms with one, 1080p to 2160p 48 ms and 26 ms.
    """

    encode: int
    """For the encoder's `thread_count`; part of what makes an output reproducible."""

    def __post_init__(self) -> None:
        if min(self.decode, self.torch, self.encode) < 1:
            raise ValueError(f"each kind needs at least one thread, got {self}")

    @classmethod
    def split(cls, total: int | None = None) -> ThreadBudget:
        """Share `total` threads, None for one per usable core.

        Torch and the encoder may each fill the machine: the one that bounds the run then does, and
        the other waits for it in the channels.  Decoding is cheap beside them, and each of its
        threads holds a frame; on two cores one thread was as fast as two, with and without a
        network behind it.
        """
        total = usable_cores() if total is None else total
        if total < 1:
            raise ValueError(f"threads must be at least 1, got {total}")
        return cls(decode=max(1, min(total // 2, MOST_DECODE_THREADS)), torch=total, encode=total)

    @staticmethod
    def beside(total: int | None, jobs: int) -> tuple[int, int]:
        """(jobs at a time, threads of each) for jobs of one picture, which nothing else splits.

        A network alone does not fill many cores while its picture is read, packed and written.
        """
        total = usable_cores() if total is None else total
        count = max(1, min(total, jobs))
        return count, max(1, total // count)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Within, torch's operations in the calling thread use `count` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Threaded(Generic[In_contra, Out_co]):
    """An op whose work may use several torch threads, inside a stage that uses one."""

    def __init__(self, op: Op[In_contra, Out_co], threads: int) -> None:
        self._op = op
        self._threads = threads
        self.latency = latency_of(op)

    def push(self, item: In_contra, /) -> Iterable[Out_co]:
        with torch_threads(self._threads):
            return tuple(self._op.push(item))

    def flush(self) -> Iterable[Out_co]:
        with torch_threads(self._threads):
            return tuple(self._op.flush())
