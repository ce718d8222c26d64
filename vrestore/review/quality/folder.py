"""The folder of pictures and clips that is measured on, and which of them are taken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from vrestore.errors import InputError
from vrestore.train.footage import read_clip

__all__ = ["Media", "Source", "middle"]


@dataclass(frozen=True, slots=True)
class Source:
    name: str
    frames: Tensor
    """(T, H, W, 3) uint8 RGB."""


@dataclass(frozen=True, slots=True)
class Media:
    """`Set5/`, `Kodak/` (stills), `Vid4/`, `video/` (clips) below one folder; any may be absent."""

    folder: Path

    def __post_init__(self) -> None:
        if not any((self.folder / name).is_dir() for name in ("Set5", "Kodak", "Vid4", "video")):
            raise InputError(f"{self.folder} has none of Set5, Kodak, Vid4, video to measure on")

    def stills(self, name: str) -> list[Source]:
        return self._read(name)

    def clips(self, *names: str) -> list[Source]:
        return [source for name in names for source in self._read(name)]

    def _read(self, name: str) -> list[Source]:
        files = sorted(path for path in (self.folder / name).glob("*.*") if path.is_file())
        return [Source(path.stem.removesuffix("_GT"), read_clip(path)) for path in files]


def middle(frames: Tensor, height: int, width: int, count: int) -> Tensor:
    """The first `count` frames, cut to the middle `height` x `width` where they are larger."""
    height, width = min(height, frames.shape[1]), min(width, frames.shape[2])
    top, left = (frames.shape[1] - height) // 2, (frames.shape[2] - width) // 2
    return frames[:count, top : top + height, left : left + width]
