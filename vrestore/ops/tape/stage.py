"""What the stages for tape have in common: a window of frames that never leaves the shot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F

from vrestore.media import Coding, ColorModel, Frame
from vrestore.notes import ShotNote

__all__ = ["OPENING", "ShotStage", "box", "shifted", "with_planes"]

OPENING = 12
"""Frames at the start of a shot from which automatic values are taken."""


class ShotStage(ABC):
    """Op over UNIT frames that sees `behind` frames back and `ahead` frames on, inside the shot.

    `opening` frames are waited for at the start of a shot, where something is measured on them.
    Subclasses repair one frame of a window and account for the shot.
    """

    behind = 0
    ahead = 0
    opening = 0
    colour_only = False
    """Frames that are not YCbCr pass unchanged."""

    key = ""
    """Of the setting: "tape.halo"."""

    def __init__(self, value: float) -> None:
        """`value` of the setting where the frames' tuning has none; 0 is off."""
        self.latency = max(self.ahead, self.opening - 1)
        self.notes: list[ShotNote] = []
        self.value = value
        self._configured = value
        self._held: list[Frame] = []
        self._next = 0
        """Position in `_held` of the next frame to give."""
        self._frames = 0
        self._given = 0
        self._first = 0

    def push(self, frame: Frame) -> Iterable[Frame]:
        if frame.coding is not Coding.UNIT:
            raise ValueError(f"{type(self).__name__} takes UNIT frames")
        if frame.shot_start or not self._frames:
            yield from self._end()
            self.value = frame.tuning.get(self.key, self._configured)
            self._first = frame.index
        self._frames += 1
        wrong = self.colour_only and frame.format.model is not ColorModel.YCBCR
        if wrong or not self.value:
            self._given += 1
            yield frame
            return
        self._held.append(frame)
        wait = self.ahead if self._given else max(self.ahead, self.opening - 1)
        while len(self._held) - self._next > wait:
            yield self._give()
            wait = self.ahead

    def flush(self) -> Iterable[Frame]:
        yield from self._end()

    def _end(self) -> Iterable[Frame]:
        while self._next < len(self._held):
            yield self._give()
        if self._held:
            values, curves = self.account()
            self.notes.append(
                ShotNote(
                    stage=self.key,
                    first=self._first,
                    frames=self._frames,
                    values=values,
                    curves=curves,
                )
            )
        self._held.clear()
        self._next = self._frames = self._given = 0

    def _give(self) -> Frame:
        if not self._given:
            self.open(self._held)
        frame = self.repair(self._held, self._next)
        self._next += 1
        self._given += 1
        spare = self._next - max(1, self.behind)
        if spare > 0:
            del self._held[:spare]
            self._next -= spare
        return frame

    @abstractmethod
    def open(self, frames: Sequence[Frame]) -> None:
        """A shot begins with these frames: forget the last one, measure."""

    @abstractmethod
    def repair(self, frames: Sequence[Frame], at: int) -> Frame:
        """The frame at that place of the window, repaired.

        `ahead` frames after it are there, but for the end of the shot, and `behind` before it.
        """

    @abstractmethod
    def account(self) -> tuple[Mapping[str, float], Mapping[str, tuple[float, ...]]]:
        """Values and curves of the shot that ends, for its note."""


def with_planes(frame: Frame, planes: Sequence[torch.Tensor]) -> Frame:
    """The frame with its first planes replaced; the others stay."""
    return replace(frame, planes=(*planes, *frame.planes[len(planes) :]), ready=None)


def shifted(plane: torch.Tensor, right: float, down: float = 0.0) -> torch.Tensor:
    """A (..., H, W) plane moved by a fraction of samples, Catmull-Rom, edges repeated."""
    for axis, move in ((-1, right), (-2, down)):
        if abs(move) < 1e-4:
            continue
        size = plane.shape[axis]
        whole = int(torch.tensor(-move).floor())
        t = -move - whole
        weights = (
            -0.5 * t + t * t - 0.5 * t**3,
            1 - 2.5 * t * t + 1.5 * t**3,
            0.5 * t + 2 * t * t - 1.5 * t**3,
            -0.5 * t * t + 0.5 * t**3,
        )
        index = torch.arange(size, device=plane.device) + whole
        taps = [
            plane.index_select(plane.dim() + axis, (index + k - 1).clamp_(0, size - 1)) * weight
            for k, weight in enumerate(weights)
        ]
        plane = torch.stack(taps).sum(0)
    return plane


def box(plane: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Mean of (2 rows + 1) by (2 columns + 1) samples of a (..., H, W) plane, edges repeated."""
    shape = plane.shape
    flat = plane.reshape(-1, 1, *shape[-2:])
    flat = _running_mean(F.pad(flat, (columns, columns, 0, 0), mode="replicate"), -1, columns)
    flat = _running_mean(F.pad(flat, (0, 0, rows, rows), mode="replicate"), -2, rows)
    return flat.reshape(shape)


def _running_mean(plane: torch.Tensor, dim: int, reach: int) -> torch.Tensor:
    if not reach:
        return plane
    size = plane.shape[dim] - 2 * reach
    total = plane.narrow(dim, 0, size).clone()
    for k in range(1, 2 * reach + 1):
        total += plane.narrow(dim, k, size)
    return total.div_(2 * reach + 1)
