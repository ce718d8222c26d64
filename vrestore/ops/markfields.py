"""Flags of frames set right: whole or interlaced, and which field is first, as pictures show."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from vrestore.media import FieldOrder, Frame
from vrestore.ops.fieldfound import LAG, FieldFinder, FieldRun, FindFields, KnownFields
from vrestore.ops.matching import Matching
from vrestore.ops.patterns import FieldState, Pattern

__all__ = ["MarkFields"]


class MarkFields:
    """Op[Frame, Frame]: sets `Frame.field_order` to what the pictures show, against wrong flags.

    PROGRESSIVE where a frame's fields are one picture, else the order in which they were taken; a
    deinterlacer that trusts each frame then treats those that comb and no others.  Samples and
    times are untouched.  `plan` as for `MatchFields`.
    """

    latency = LAG + 1

    def __init__(self, plan: Matching, known: Sequence[FieldRun] | None = None) -> None:
        """`known` is what was decided before; None to decide by what comes."""
        self._finder: FieldFinder = FindFields(plan) if known is None else KnownFields(known)
        self._frames: deque[Frame] = deque()

    def push(self, frame: Frame) -> Iterator[Frame]:
        self._frames.append(frame)
        for found in self._finder.push(frame):
            yield self._marked(found.state)

    def flush(self) -> Iterator[Frame]:
        for found in self._finder.flush():
            yield self._marked(found.state)

    def _marked(self, state: FieldState) -> Frame:
        frame = self._frames.popleft()
        whole = state.pattern is Pattern.PULLDOWN and state.position not in (2, 3)
        return replace(frame, field_order=FieldOrder.PROGRESSIVE if whole else state.order)
