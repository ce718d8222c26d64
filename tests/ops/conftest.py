"""Frames made of given planes, and colour bars in any standard, for the tests of ops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from vrestore.media import Coding, ColorModel, ColorSpec, Frame, Range, SampleFormat, Timestamp

FULL = ColorSpec(range=Range.FULL)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Planes here are small, and waking a second thread on a busy machine takes milliseconds."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _frame(
    planes: Sequence[torch.Tensor],
    form: SampleFormat,
    *,
    coding: Coding = Coding.UNIT,
    color: ColorSpec = FULL,
    index: int = 0,
    **fields: Any,
) -> Frame:
    return Frame(
        planes=tuple(planes),
        format=form,
        coding=coding,
        color=color,
        index=index,
        timestamp=Timestamp(pts=index, time_base=Fraction(1, 25)),
        duration=1,
        **fields,
    )


@pytest.fixture(scope="session")
def make_frame() -> Callable[..., Frame]:
    """make_frame(planes, format, coding=, color=, index=)."""
    return _frame


def _random_codes(form: SampleFormat, width: int, height: int, seed: int = 0) -> list[torch.Tensor]:
    generator = np.random.default_rng(seed)
    dtype = np.uint8 if form.depth == 8 else np.uint16
    return [
        torch.from_numpy(
            generator.integers(0, 1 << form.depth, form.plane_size(plane, width, height)).astype(
                dtype
            )
        )
        for plane in range(form.plane_count)
    ]


@pytest.fixture(scope="session")
def random_codes() -> Callable[..., list[torch.Tensor]]:
    """random_codes(format, width, height, seed): planes of every code value there is."""
    return _random_codes


@pytest.fixture(scope="session")
def run_op() -> Callable[..., list[Frame]]:
    """run_op(op, frames): everything it gives, flush included."""

    def run(op: Any, frames: Iterable[Frame]) -> list[Frame]:
        out: list[Frame] = []
        for frame in frames:
            out.extend(op.push(frame))
        out.extend(op.flush())
        return out

    return run


@pytest.fixture(scope="session")
def yuv() -> Callable[..., SampleFormat]:
    """yuv("420", depth): a YCbCr format."""
    shifts = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "411": (2, 0), "440": (0, 1)}

    def make(name: str, depth: int = 8, alpha: bool = False) -> SampleFormat:
        log2_w, log2_h = shifts[name]
        return SampleFormat(
            model=ColorModel.YCBCR,
            depth=depth,
            log2_chroma_w=log2_w,
            log2_chroma_h=log2_h,
            alpha=alpha,
        )

    return make
