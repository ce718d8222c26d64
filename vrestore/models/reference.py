"""Restorers without a network: the references for everything around one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vrestore.errors import ModelError
from vrestore.media import Coding, Frame
from vrestore.models.registry import ModelSpec

Resample = Callable[[Frame, int], Frame]
"""(frame of Coding.UNIT, magnification) -> the frame with each plane that many times as large."""


def require_unit(frame: Frame) -> None:
    """Raise ModelError unless the frame is what a restorer takes."""
    if frame.coding is not Coding.UNIT:
        raise ModelError(f"a restorer takes normalised frames, got {frame!r}")


class IdentityRestorer:
    """Gives every frame back as it came."""

    latency = 0
    scale = 1

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def push(self, item: Frame) -> Iterable[Frame]:
        require_unit(item)
        return (item,)

    def flush(self) -> Iterable[Frame]:
        return ()


class ResizeRestorer:
    """Resamples every frame by itself; the resampler is handed in."""

    latency = 0

    def __init__(self, spec: ModelSpec, scale: int, resample: Resample) -> None:
        self.spec = spec
        self.scale = scale
        self._resample = resample

    def push(self, item: Frame) -> Iterable[Frame]:
        require_unit(item)
        return (item if self.scale == 1 else self._resample(item, self.scale),)

    def flush(self) -> Iterable[Frame]:
        return ()
