"""Telling that memory ran out from everything else that can go wrong."""

from __future__ import annotations

import torch

__all__ = ["is_shortage"]

_WORDS = ("can't allocate memory", "not enough memory", "out of memory")
"""What torch's CPU allocator says in a plain RuntimeError, on the systems it knows."""


def is_shortage(error: BaseException) -> bool:
    """Whether the same work might succeed with less memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in _WORDS)
