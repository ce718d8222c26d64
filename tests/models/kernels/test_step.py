"""Every kernel against the eager code that it stands for, within one code value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from vrestore.models.nets.cell import Cell, Memory, Neighbour
from vrestore.models.nets.grid import YUV420, Picture

MakeCell = Callable[..., Cell]

HEIGHT, WIDTH = 16, 20


def noise(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def picture(seed: int, scale: int = 1) -> Picture:
    return Picture(
        noise(seed, 1, 1, HEIGHT * scale, WIDTH * scale) - 0.5,
        noise(seed + 50, 1, 2, HEIGHT // 2 * scale, WIDTH // 2 * scale) - 0.5,
    )


def neighbour(seed: int, reach: float = 6.0) -> Neighbour:
    """Flows that leave the picture at its edges, believed here and not there."""
    h, w = HEIGHT // 2, WIDTH // 2
    flow = (noise(seed, 1, 2, h, w) - 0.5) * 2 * reach
    return Neighbour(flow, noise(seed + 1, 1, 1, h, w), torch.ones(1, 1, 1, 1))


def memory(scale: int) -> Memory:
    luma = picture(7, scale).luma if scale > 1 else None
    return Memory(picture(3), picture(4), noise(5, 1, 1, HEIGHT // 2, WIDTH // 2), luma)


MIDDLE, LEFT, TOP, LOW = (0.0, 0.0), (0.0, 0.125), (0.125, 0.125), (-0.1875, 0.0)
"""Sampling shifts of chroma that sits between, beside, above and below."""


@pytest.mark.parametrize(("scale", "neighbours", "shift"), [
    (1, "none", MIDDLE), (1, "after", TOP), (1, "both", LEFT), (2, "before", TOP),
    (2, "both", MIDDLE), (4, "both", LOW),
])  # fmt: skip
def test_a_step_is_that_of_the_eager_cell(
    make_cell: MakeCell, interpreted: Any, scale: int, neighbours: str, shift: tuple[float, float]
):
    cell = make_cell().eval().requires_grad_(False)
    kernels = cell.kernels(YUV420, scale, torch.float32)
    past = memory(scale) if neighbours in ("before", "both") else None
    before = neighbour(11) if past is not None else None
    after = neighbour(21) if neighbours in ("after", "both") else None
    following = picture(6) if after is not None else None
    knobs = torch.tensor((0.07, 0.6)).view(1, 2, 1, 1)
    arguments = (kernels, picture(1), knobs, past, before, after, following)
    with torch.no_grad():
        wanted = cell(*arguments, shift=shift)
        made = interpreted(cell)(*arguments, shift=shift)
    assert made.picture is not None and made.picture.chroma is not None
    pairs = [
        (made.picture.luma, wanted.picture.luma),
        (made.picture.chroma, wanted.picture.chroma),
        (made.memory.fused.luma, wanted.memory.fused.luma),
        (made.memory.fused.chroma, wanted.memory.fused.chroma),
        (made.memory.noise, wanted.memory.noise),
    ]
    for one, other in pairs:
        assert float((one - other).abs().max()) < 2e-5
