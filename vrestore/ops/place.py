"""Moves frames to the device that the next op works on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch

from vrestore.media import Frame

__all__ = ["Place"]


class Place:
    """Op: frames with their planes on `device`; frames that are there pass unchanged."""

    latency = 0

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def push(self, frame: Frame) -> Iterable[Frame]:
        if all(plane.device == self._device for plane in frame.planes):
            yield frame
            return
        yield replace(
            frame, ready=None, planes=tuple(plane.to(self._device) for plane in frame.planes)
        )

    def flush(self) -> Iterable[Frame]:
        return ()
