"""Colour under transparency: what is cut out keeps its own colour to the rim."""

from fractions import Fraction

import pytest
import torch

from vrestore.media import Coding, ColorModel, ColorSpec, Frame, Matrix, SampleFormat, Timestamp
from vrestore.models.nets.grid import upsample
from vrestore.ops.underlay import REACH, Underlay


def a_frame(*planes: torch.Tensor) -> Frame:
    return Frame(
        planes=planes,
        format=SampleFormat(model=ColorModel.RGB, depth=8, alpha=len(planes) == 4),
        coding=Coding.UNIT,
        color=ColorSpec(matrix=Matrix.RGB),
        timestamp=Timestamp(pts=0, time_base=Fraction(1)),
        duration=1,
        index=0,
    )


def a_disc(size: int = 48, radius: int = 12) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return ((y - size / 2) ** 2 + (x - size / 2) ** 2 < radius**2).float()


def test_black_under_transparency_does_not_darken_the_rim() -> None:
    alpha = a_disc()
    orange = (0.9, 0.6, 0.2)
    (laid,) = Underlay().push(a_frame(*(c * alpha for c in orange), alpha))
    large = upsample(alpha[None, None], 2)[0, 0]
    for color, plane, bare in zip(orange, laid.planes, orange, strict=False):
        shown = upsample(plane[None, None], 2)[0, 0][large > 0.02]
        assert (shown - color).abs().max() < 0.01
        rim = upsample((bare * alpha)[None, None], 2)[0, 0][large > 0.02]
        assert (rim - color).abs().max() > 0.3 * color


def test_what_is_seen_is_not_touched_nor_what_is_far_away() -> None:
    alpha = a_disc(96, 10)
    colors = torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(1))
    (laid,) = Underlay().push(a_frame(*colors, alpha))
    far = torch.nn.functional.max_pool2d(alpha[None], 2 * REACH + 1, 1, REACH)[0] == 0
    assert far.any()
    for plane, before in zip(laid.planes, colors, strict=False):
        assert torch.equal(plane[alpha > 0], before[alpha > 0])
        assert torch.equal(plane[far], before[far])
    assert torch.equal(laid.planes[3], alpha)


@pytest.mark.parametrize("alpha", [torch.zeros(8, 8), torch.ones(8, 8)])
def test_opaque_and_empty_pictures_pass(alpha: torch.Tensor) -> None:
    frame = a_frame(*torch.rand(3, 8, 8), alpha)
    assert tuple(Underlay().push(frame)) == (frame,)
    plain = a_frame(*torch.rand(3, 8, 8))
    assert tuple(Underlay().push(plain)) == (plain,)
    with pytest.raises(ValueError, match="UNIT"):
        Underlay().push(Frame(**{**_fields(plain), "coding": Coding.CODE}))


def _fields(frame: Frame) -> dict[str, object]:
    names = ("planes", "format", "color", "timestamp", "duration", "index")
    return {name: getattr(frame, name) for name in names}
