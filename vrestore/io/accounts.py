"""The books of a decoder: what came in, what went out, and why they differ."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["LATE", "OUTSIDE", "DecodeReport"]

OUTSIDE = "outside the selection"
LATE = "came after its time was filled"
"""Reasons in `DecodeReport.dropped`."""


@dataclass(slots=True)
class DecodeReport:
    """What became of everything the source held.  Grows while a `Decoder` is iterated."""

    packets: int = 0
    """Packets of the video stream given to the decoder."""

    discarded_packets: int = 0
    """Packets among them that an edit list hides."""

    decoded: int = 0
    """Pictures the decoder gave."""

    emitted: int = 0
    """Frames handed out."""

    inserted: int = 0
    """Frames that repeat the last good picture where one was lost."""

    replaced: int = 0
    """Damaged pictures for which the last good one was shown."""

    corrupt_packets: int = 0
    """Packets the decoder refused."""

    corrupt_pictures: int = 0
    """Pictures the decoder gave but marked as damaged."""

    lost: int = 0
    """Announced pictures that never came and had no good picture before them to repeat."""

    dropped: Counter[str] = field(default_factory=Counter)
    """Decoded or inserted pictures not handed out, by reason."""

    repaired_pts: int = 0
    """Frames whose time is not the one in the file."""

    rescaled: int = 0
    """Pictures brought to the size and format of the first one."""

    truncated: str | None = None
    """Why reading ended before the end of the source, in FFmpeg's words."""

    errors: list[str] = field(default_factory=list)
    """The first few decode errors, one sentence each."""

    @property
    def repeated(self) -> int:
        """Frames that show a picture a second time."""
        return self.inserted + self.replaced

    @property
    def balanced(self) -> bool:
        """Whether pictures in equal frames out, once the Decoder has ended."""
        return self.decoded + self.inserted == self.emitted + self.dropped.total()
