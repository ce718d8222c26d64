"""Pictures of known motion as frames, and frames told apart again: truth for fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F

from vrestore.media import (
    Coding,
    ColorModel,
    ColorSpec,
    FieldOrder,
    Frame,
    SampleFormat,
    Timestamp,
)
from vrestore.train.damage import gaussian_blur, noise_like
from vrestore.train.fields import Picture

__all__ = ["PERIOD", "YUV420", "as_frames", "gliding", "numbers"]

YUV420 = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)

PERIOD = 1001
"""Ticks of a frame, of 1/30000 s."""


def gliding(
    count: int,
    form: SampleFormat = YUV420,
    *,
    size: tuple[int, int] = (96, 64),
    speed: float = 2.0,
    contrast: float = 1.0,
    seed: int = 0,
) -> list[Picture]:
    """A soft random texture that glides to the right and a third as fast downwards.

    `size` is (width, height), `speed` in samples a picture.
    """
    width, height = size
    far = int(count * speed) + 8
    noise = noise_like(np.random.default_rng(seed), 1, 1, height + far // 2 + 8, width + far + 8)
    soft = gaussian_blur(noise, 1.0, 1.0)[0, 0]
    soft = soft / soft.std()
    peak = (1 << form.depth) - 1
    result = []
    for t in range(count):
        way = far - t * speed
        part = _window(soft, way / 3, way, height, width)[None, None]
        planes = []
        for number in range(form.plane_count):
            share = F.interpolate(part, size=form.plane_size(number, width, height), mode="area")
            values = (0.45 + 0.12 * contrast * share[0, 0]).clamp(0, 1) * peak
            planes.append(values.round().to(form.code_dtype))
        result.append(tuple(planes))
    return result


def _window(plane: torch.Tensor, y: float, x: float, height: int, width: int) -> torch.Tensor:
    """(height, width) samples from (y, x) on, bilinear."""
    top, left = int(y), int(x)
    down, across = y - top, x - left
    part = plane[top : top + height + 1, left : left + width + 1]
    rows = (1 - down) * part[:-1] + down * part[1:]
    return (1 - across) * rows[:, :-1] + across * rows[:, 1:]


def as_frames(
    made: Iterable[Picture],
    form: SampleFormat = YUV420,
    *,
    order: FieldOrder = FieldOrder.PROGRESSIVE,
    cuts: Sequence[int] = (0,),
    time_base: Fraction = Fraction(1, 30000),
    period: int = PERIOD,
) -> list[Frame]:
    """Code value frames, `period` ticks each from tick 90 on; `order` is their flag, and `cuts` are
    the numbers of those that start a shot."""
    return [
        Frame(
            planes=planes,
            format=form,
            coding=Coding.CODE,
            color=ColorSpec(),
            timestamp=Timestamp(pts=90 + t * period, time_base=time_base),
            duration=period,
            index=t,
            field_order=order,
            shot_start=t in cuts,
        )
        for t, planes in enumerate(made)
    ]


def numbers(frames: Iterable[Frame], truth: Sequence[Picture]) -> list[int | None]:
    """Which picture of `truth` each frame is, sample for sample; None for none of them."""
    return [
        next(
            (
                n
                for n, planes in enumerate(truth)
                if all(torch.equal(a, b) for a, b in zip(frame.planes, planes, strict=True))
            ),
            None,
        )
        for frame in frames
    ]
