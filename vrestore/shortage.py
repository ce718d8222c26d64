"""Telling that memory ran out from everything else that can go wrong, and noting it."""

from __future__ import annotations

from vrestore.notes import ShotNote

__all__ = ["SHORTAGE", "is_shortage", "shortage_note"]

SHORTAGE = "out_of_memory_then_"
"""How names of what was changed begin, in notes of frames that were done again."""

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


def shortage_note(frame: int, change: str, value: float) -> ShotNote:
    """The note that memory ran out at the frame of this index, and what was changed then."""
    return ShotNote(stage="restore", first=frame, frames=1, values={SHORTAGE + change: value})
