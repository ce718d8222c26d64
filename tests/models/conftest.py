"""Nets with random weights and frames with moving content, for every test of the models."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch

from vrestore.media import Coding, ColorModel, ColorSpec, Frame, SampleFormat, Timestamp
from vrestore.models.nets.cell import Cell
from vrestore.models.registry import ModelSpec, Tiling
from vrestore.models.temporal import TemporalRestorer

YUV420 = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)


def lively_cell(width: int = 8, depth: int = 3, *, folded: bool = True) -> Cell:
    """A cell in which every part does something, unlike an untrained one with its zeros."""
    torch.manual_seed(1)
    cell = Cell(width, depth, folded=folded)
    with torch.no_grad():
        for name, parameter in cell.named_parameters():
            if name.startswith(("heads", "blend", "fusion.net")) or "through" in name:
                parameter.add_(0.02 * torch.randn_like(parameter))
            elif name.startswith("align.at_") and parameter.dim() == 4:
                parameter.add_(0.01 * torch.randn_like(parameter))
    return cell


SPEC = ModelSpec(
    name="lively", arch="cell", license="MIT", purpose="a net for tests", scales=(1, 2, 4),
    lookahead=1, min_size=16, multiple_of=2, tiling=Tiling.BANDS, dtypes=("fp32", "bf16"),
)  # fmt: skip


@pytest.fixture
def make_restorer() -> Callable[..., TemporalRestorer]:
    def make(
        scale: int = 1,
        *,
        strength: float = 0.6,
        tile: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> TemporalRestorer:
        return TemporalRestorer(
            SPEC,
            lively_cell(),
            scale,
            strength=strength,
            tile=tile,
            dtype=dtype,
            device=torch.device("cpu"),
        )

    return make


def moving_frames(
    count: int,
    width: int = 48,
    height: int = 36,
    form: SampleFormat = YUV420,
    *,
    seed: int = 0,
    speed: int = 2,
    cuts: tuple[int, ...] = (0,),
) -> list[Frame]:
    """A smooth random picture sliding to the left, with new noise in every frame."""
    generator = torch.Generator().manual_seed(seed)
    frames = []
    wide = width + speed * count
    canvas = []
    for plane in range(form.plane_count):
        rows, columns = form.plane_size(plane, wide, height)
        coarse = torch.rand(1, 1, max(2, rows // 6), max(2, columns // 6), generator=generator)
        canvas.append(
            torch.nn.functional.interpolate(coarse, size=(rows, columns), mode="bilinear")[0, 0]
        )
    for t in range(count):
        planes = []
        for plane in range(form.plane_count):
            rows, columns = form.plane_size(plane, width, height)
            left = speed * t // (1 << form.log2_chroma_w if form.is_chroma(plane) else 1)
            piece = canvas[plane][:rows, left : left + columns]
            planes.append(piece + 0.03 * torch.randn(rows, columns, generator=generator))
        frames.append(Frame(
            planes=tuple(planes), format=form, coding=Coding.UNIT, color=ColorSpec(),
            timestamp=Timestamp(pts=7 + 3 * t, time_base=Fraction(1, 90)), duration=3, index=t,
            shot_start=t in cuts,
        ))  # fmt: skip
    return frames


@pytest.fixture
def make_cell() -> Callable[..., Cell]:
    return lively_cell


@pytest.fixture
def make_frames() -> Callable[..., list[Frame]]:
    return moving_frames
