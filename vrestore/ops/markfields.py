"""Flags of frames set right: whole or interlaced, and which field is first, as pictures show."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from vrestore.media import FieldOrder, Frame
from vrestore.ops.fieldmatch import LAG
from vrestore.ops.fields import FieldMeter
from vrestore.ops.matching import Matching
from vrestore.ops.patterns import FieldState, Pattern, StateTracker

__all__ = ["MarkFields"]


class MarkFields:
    """Op[Frame, Frame]: sets `Frame.field_order` to what the pictures show, against wrong flags.

    PROGRESSIVE where a frame's fields are one picture, else the order in which they were taken; a
    deinterlacer that trusts each frame then treats those that comb and no others.  Samples and
    times are untouched.  `plan` as for `MatchFields`.
    """

    latency = LAG

    def __init__(self, plan: Matching) -> None:
        self._meter = FieldMeter()
        self._tracker = StateTracker(LAG, usual=plan.usual, order=plan.order)
        self._frames: deque[Frame] = deque()

    def push(self, frame: Frame) -> Iterator[Frame]:
        self._frames.append(frame)
        seen = self._meter.measure(frame)
        for found in self._tracker.push(seen, shot_start=frame.shot_start):
            yield self._marked(found.state)

    def flush(self) -> Iterator[Frame]:
        for found in self._tracker.flush():
            yield self._marked(found.state)

    def _marked(self, state: FieldState) -> Frame:
        frame = self._frames.popleft()
        whole = state.pattern is Pattern.PULLDOWN and state.position not in (2, 3)
        return replace(frame, field_order=FieldOrder.PROGRESSIVE if whole else state.order)
