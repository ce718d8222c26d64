"""The mean over the turns and mirror images of a picture, as waifu2x's `--tta` takes it.

A network answers a little differently when a picture is turned; its errors there are partly its
own, and the mean of the eight has less of them (Timofte et al. 2016, arXiv:1511.02228, section
3.4).  What comes out no longer depends on how the picture was held.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vrestore.errors import ModelError
from vrestore.media import Frame
from vrestore.models.single.restorer import ImageRestorer
from vrestore.models.temporal import TemporalRestorer
from vrestore.notes import ShotNote

__all__ = ["TURNS", "Turn", "Turned"]


@dataclass(frozen=True, slots=True)
class Turn:
    """A mirror image or none, then quarters of a turn to the left."""

    mirrored: bool
    quarters: int

    def __call__(self, plane: Tensor) -> Tensor:
        """(H, W) turned: (H, W) or (W, H)."""
        return torch.rot90(plane.flip(-1) if self.mirrored else plane, self.quarters).contiguous()

    def back(self, plane: Tensor) -> Tensor:
        """What was turned as it was."""
        upright = torch.rot90(plane, -self.quarters)
        return upright.flip(-1) if self.mirrored else upright


TURNS = tuple(Turn(mirrored, quarters) for mirrored in (False, True) for quarters in range(4))
"""All eight symmetries of a square; the first is none."""


class Turned:
    """A restorer whose results are the mean of those for all TURNS of a frame.

    Each frame is a shot of its own, so it is for pictures and for networks without memory.  Planes
    must all be of one size: the siting of subsampled chroma is no longer its own when turned.
    Takes eight times the time.
    """

    latency = 0

    def __init__(self, inner: ImageRestorer | TemporalRestorer) -> None:
        self.spec = inner.spec
        self.scale = inner.scale
        self._inner = inner

    @property
    def notes(self) -> Sequence[ShotNote]:
        return self._inner.notes

    def push(self, item: Frame) -> Iterable[Frame]:
        if item.format.log2_chroma_w or item.format.log2_chroma_h:
            raise ModelError(f"turned pictures need chroma of their own size, got {item!r}")
        first, *others = TURNS
        made = self._restored(item, first)
        planes = [plane.to(torch.float32, copy=True) for plane in made.planes]
        for turn in others:
            for total, plane in zip(planes, self._restored(item, turn).planes, strict=True):
                total += turn.back(plane)
        return (replace(made, planes=tuple(plane / len(TURNS) for plane in planes)),)

    def flush(self) -> Iterable[Frame]:
        return ()

    def _restored(self, item: Frame, turn: Turn) -> Frame:
        turned = replace(item, planes=tuple(turn(plane) for plane in item.planes))
        (made,) = (*self._inner.push(turned), *self._inner.flush())
        return made
