"""How alike two devices of different kinds make the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from math import inf, log10

import numpy as np

from vrestore.jobs.making import InSegments, ReadSegments, StopRequest
from vrestore.jobs.segments import Segment
from vrestore.media import Frame
from vrestore.planning import Plan
from vrestore.runtime.pipeline import stream

__all__ = ["LEAST_DB", "alike", "make_trial"]

LEAST_DB = 50.0
"""Of devices that may work on one film."""

_FRAMES = 12
"""Of the source: what differs in the memory of a network adds up over as many."""

_COMPARED = 2


def make_trial(
    plan: Plan, segments: Sequence[Segment], *, steady: bool, zero: float
) -> tuple[np.ndarray, ...]:
    """Planes of the last pictures of a short piece from the middle of a film, as code values.

    `steady` and `zero` as `ReadSegments` and `InSegments`; raises what they raise.
    """
    whole = segments[len(segments) // 2]
    end = min(whole.stop, whole.read_from + _FRAMES)
    piece = replace(whole, start=whole.read_from, fed_from=whole.read_from, stop=end, fed_to=end,
                    read_to=end, next_from=end, renewal=False)  # fmt: skip
    stop = StopRequest()
    line = stream(
        ("decode", ReadSegments(plan, [piece], stop, steady=steady)),
        [("restore", InSegments(plan, [piece], stop, None, zero=zero))],
        depths=plan.memory.depth,
        device=plan.device,
    )
    kept: list[Frame] = []
    with closing(line):
        for item in line:
            kept = [*kept, item][-_COMPARED:] if isinstance(item, Frame) else kept
    return tuple(plane.numpy().copy() for frame in kept for plane in frame.planes)


def alike(one: Sequence[np.ndarray], other: Sequence[np.ndarray], *, depth: int) -> float:
    """PSNR in dB over all samples of `depth` bits; infinite where all are equal, 0 where the
    pictures are not of the same form."""
    if [plane.shape for plane in one] != [plane.shape for plane in other]:
        return 0.0
    total = sum(plane.size for plane in one)
    errors = sum(float(np.sum((a.astype("f8") - b) ** 2)) for a, b in zip(one, other, strict=True))
    return 10 * log10((2**depth - 1) ** 2 * total / errors) if errors else inf
