"""What an output cannot keep, said before the first frame is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vrestore.errors import LossError

__all__ = ["Loss", "require_lossless"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Something of the source that will not be in the output."""

    what: str
    """The thing, as its owner would call it: "subtitle track #5 (ass, jpn)"."""

    why: str
    """The reason, as a clause: "mp4 holds no fonts"."""

    remedy: str
    """What to do to keep it, as a command: "write to .mkv"."""

    def __str__(self) -> str:
        return f"{self.what}: {self.why}; {self.remedy}"


def require_lossless(losses: Sequence[Loss]) -> None:
    """Raises LossError naming every loss, if there is one (`--strict`)."""
    if losses:
        listed = "; ".join(f"{loss.what} ({loss.why})" for loss in losses)
        raise LossError(f"--strict: {len(losses)} thing(s) would be lost: {listed}")
