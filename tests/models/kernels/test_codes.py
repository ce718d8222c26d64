"""Code values in, code values out: the kernels against Normalise, the eager step and Quantise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

from vrestore.devicepath import codes_of
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
from vrestore.models.nets.cell import Cell
from vrestore.models.registry import ModelSpec
from vrestore.models.temporal import TemporalRestorer
from vrestore.ops.dither import Dither
from vrestore.ops.levels import Normalise, Quantise

SPEC = ModelSpec(
    name="lively", arch="cell", license="MIT", purpose="a net for tests", scales=(1, 2, 4),
    lookahead=1, min_size=16, multiple_of=2,
)  # fmt: skip


def yuv420(depth: int) -> SampleFormat:
    return SampleFormat(model=ColorModel.YCBCR, depth=depth, log2_chroma_w=1, log2_chroma_h=1)


def decoded(form: SampleFormat, color: ColorSpec, width: int, height: int) -> list[Frame]:
    """Three frames of noise over all code values; chroma of every second one as in NV12."""
    generator = torch.Generator().manual_seed(form.depth)
    frames = []
    for t in range(3):
        codes = []
        for plane in range(3):
            size = form.plane_size(plane, width, height)
            values = torch.randint(0, 1 << form.depth, size, generator=generator)
            codes.append(values.to(torch.int32).to(form.code_dtype))
        if t % 2:
            both = torch.stack([c.to(torch.int32) for c in codes[1:]], -1).to(form.code_dtype)
            codes[1:] = both[..., 0], both[..., 1]
        frames.append(Frame(
            planes=tuple(codes), format=form, coding=Coding.CODE, color=color,
            timestamp=Timestamp(pts=40 * t, time_base=Fraction(1, 1000)), duration=40, index=t,
            shot_start=t == 0,
        ))  # fmt: skip
    return frames


def run(ops: Sequence[object], frames: Sequence[Frame]) -> list[Frame]:
    items = list(frames)
    for op in ops:
        items = [out for f in items for out in op.push(f)] + list(op.flush())  # type: ignore[attr-defined]
    return items


@pytest.mark.parametrize(
    ("depth", "out", "levels", "out_levels", "location", "matrix", "scale", "size"),
    [
        (8, 8, Range.LIMITED, Range.LIMITED, ChromaLocation.LEFT, Matrix.BT709, 1, (20, 16)),
        (8, 10, Range.FULL, Range.LIMITED, ChromaLocation.CENTER, Matrix.BT470BG, 2, (17, 13)),
        (10, 8, Range.LIMITED, Range.FULL, ChromaLocation.TOPLEFT, Matrix.BT2020_NCL, 1, (20, 16)),
        (10, 10, Range.LIMITED, Range.LIMITED, ChromaLocation.BOTTOM, Matrix.FCC, 2, (16, 16)),
        (12, 12, Range.FULL, Range.FULL, ChromaLocation.TOP, Matrix.SMPTE170M, 1, (16, 18)),
        (16, 8, Range.FULL, Range.LIMITED, ChromaLocation.BOTTOMLEFT, Matrix.YCGCO, 1, (22, 16)),
    ],
)  # fmt: skip
def test_code_values_are_within_one_of_the_eager_ones(
    make_cell: Callable[..., Cell], interpreted: Any,
    depth: int, out: int, levels: Range, out_levels: Range,
    location: ChromaLocation, matrix: Matrix, scale: int, size: tuple[int, int],
):  # fmt: skip
    source = ColorSpec(matrix=matrix, range=levels, chroma_location=location)
    target = replace(source, range=out_levels)
    form, made_form = yuv420(depth), yuv420(out)
    frames = decoded(form, source, *size)
    dither = Dither(5)

    def restorer(cell: Cell, fused: bool) -> TemporalRestorer:
        codes = codes_of((form, source), (made_form, target), dither) if fused else None
        return TemporalRestorer(
            SPEC, cell, scale, strength=0.6, tile=0, dtype=torch.float32,
            device=torch.device("cpu"), fused=interpreted(cell) if fused else None, codes=codes,
        )  # fmt: skip

    eager = (
        Normalise(source),
        restorer(make_cell(), False),
        Quantise(made_form, target, source_depth=depth, dither=dither),
    )
    wanted = run(eager, frames)
    made = run((restorer(make_cell(), True),), frames)
    assert len(made) == len(wanted)
    for one, other in zip(made, wanted, strict=True):
        assert (one.format, one.color, one.coding) == (other.format, other.color, other.coding)
        assert (one.timestamp, one.index) == (other.timestamp, other.index)
        for mine, theirs in zip(one.planes, other.planes, strict=True):
            assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
            assert worst(mine, theirs) <= 1


def worst(one: Tensor, other: Tensor) -> int:
    return int((one.to(torch.int32) - other.to(torch.int32)).abs().max())
