"""Moves frames to the device that the next op works on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch

from vrestore.media import Frame

__all__ = ["Fetch", "Place", "pinned_copies"]

Copied = tuple[tuple[torch.Tensor, ...], Callable[[], None]]
"""Copies under way in main memory, and what waits for them."""


class Place:
    """Op: frames with their planes on `device`; frames that are there pass unchanged.

    To a CUDA device through pinned memory, whose copy nobody waits for.
    """

    latency = 0

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def push(self, frame: Frame) -> Iterable[Frame]:
        if all(plane.device == self._device for plane in frame.planes):
            yield frame
            return
        yield replace(frame, ready=None, planes=tuple(self._placed(p) for p in frame.planes))

    def flush(self) -> Iterable[Frame]:
        return ()

    def _placed(self, plane: torch.Tensor) -> torch.Tensor:
        if self._device.type == "cuda" and plane.device.type == "cpu":
            return plane.contiguous().pin_memory().to(self._device, non_blocking=True)
        return plane.to(self._device)


def pinned_copies(planes: Sequence[torch.Tensor]) -> Copied:
    """Starts copies of CUDA tensors to pinned memory, behind the work of the current stream."""
    made = tuple(torch.empty(p.shape, dtype=p.dtype, pin_memory=True) for p in planes)
    for host, plane in zip(made, planes, strict=True):
        host.copy_(plane, non_blocking=True)
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(planes[0].device))
    return made, event.synchronize


class Fetch:
    """Op: frames of a CUDA device in main memory, each one frame late.

    A copy runs while the next frame's work is handed to the device; it is waited for when that is
    done.  Frames that are in main memory pass in their turn.
    """

    latency = 1

    def __init__(self, copies: Callable[[Sequence[torch.Tensor]], Copied] = pinned_copies) -> None:
        self._copies = copies
        self._waiting: tuple[Frame, Copied] | None = None

    def push(self, frame: Frame) -> Iterable[Frame]:
        if all(plane.device.type == "cpu" for plane in frame.planes):
            started: Copied | None = None
        else:
            started = self._copies(frame.planes)
        yield from self.flush()
        if started is None:
            yield frame
        else:
            self._waiting = frame, started

    def flush(self) -> Iterable[Frame]:
        if self._waiting is not None:
            (frame, (planes, wait)), self._waiting = self._waiting, None
            wait()
            yield replace(frame, ready=None, planes=planes)
