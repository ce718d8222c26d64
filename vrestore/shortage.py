"""Telling that memory ran out from everything else that can go wrong."""

from __future__ import annotations

__all__ = ["is_shortage"]

_WORDS = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "can't start new thread",
)
"""What torch's allocators, and Python's threads, say in a RuntimeError, on the devices and systems
that are known."""


def is_shortage(error: BaseException) -> bool:
    """Whether the same work might succeed with less memory.

    What FFmpeg says (`av.error.MemoryError`) is a MemoryError.
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in _WORDS)
