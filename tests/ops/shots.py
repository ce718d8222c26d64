"""Shots with known truth for the ops that steady a whole frame: textures, and running an op."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from vrestore.media import (
    ChromaLocation,
    Coding,
    ColorModel,
    ColorSpec,
    Frame,
    Matrix,
    Range,
    SampleFormat,
    Timestamp,
)

GRAY = SampleFormat(model=ColorModel.GRAY, depth=8)
RGB = SampleFormat(model=ColorModel.RGB, depth=8)
YUV420 = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)
COLOR = ColorSpec(range=Range.LIMITED, matrix=Matrix.BT709, chroma_location=ChromaLocation.LEFT)


def texture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """(H, W) 0.15..0.75 with detail of all sizes, as pictures have it."""
    generator = torch.Generator().manual_seed(seed)
    picture = torch.zeros(1, 1, height, width)
    for cells in (4, 9, 24, 60):
        nodes = torch.randn(1, 1, cells, cells, generator=generator)
        picture += F.interpolate(nodes, (height, width), mode="bicubic", align_corners=False) / (
            cells**0.4
        )
    low, high = picture.min(), picture.max()
    return (0.15 + 0.6 * (picture - low) / (high - low))[0, 0]


def frames_of(
    lumas: Sequence[torch.Tensor], form: SampleFormat = GRAY, **fields: Any
) -> list[Frame]:
    """UNIT frames of one shot; chroma, where there is any, is a part of luma."""
    shot = []
    for index, luma in enumerate(lumas):
        planes = [luma.contiguous()]
        for number in range(1, form.plane_count):
            height, width = form.plane_size(number, luma.shape[1], luma.shape[0])
            part = F.adaptive_avg_pool2d(luma[None, None], (height, width))[0, 0]
            planes.append(0.5 + 0.2 * part if form.is_chroma(number) else part)
        shot.append(
            Frame(
                planes=tuple(planes),
                format=form,
                coding=Coding.UNIT,
                color=COLOR,
                timestamp=Timestamp(pts=index * 3, time_base=Fraction(1, 75)),
                duration=3,
                index=index,
                shot_start=index == 0,
                **fields,
            )
        )
    return shot


def given(op: Any, frames: Sequence[Frame]) -> list[Frame]:
    """Everything an op makes of the frames; checks order, times and latency on the way."""
    out: list[Frame] = []
    for number, frame in enumerate(frames):
        out += op.push(frame)
        assert number + 1 - len(out) <= op.latency
    out += op.flush()
    assert [f.timestamp for f in out] == [f.timestamp for f in frames]
    assert [(f.index, f.shot_start) for f in out] == [(f.index, f.shot_start) for f in frames]
    return out


def second_shot_alone(make: Callable[[], Any], first: list[Frame], second: list[Frame]) -> bool:
    """Whether the second of two shots comes out as if it were the only one."""
    alone = given(make(), second)
    op = make()
    both = [*(f for frame in [*first, *second] for f in op.push(frame)), *op.flush()]
    return all(
        torch.equal(a, b)
        for one, other in zip(both[len(first) :], alone, strict=True)
        for a, b in zip(one.planes, other.planes, strict=True)
    )


def band(path: Any) -> float:
    """Rms over time of what is faster than half a second at 24 frames, in the path's units."""
    path = np.asarray(path, dtype=float)
    slow = np.array([path[max(0, i - 6) : i + 7].mean(0) for i in range(len(path))])
    return float(np.sqrt(np.square(path - slow).mean(0)).max())
