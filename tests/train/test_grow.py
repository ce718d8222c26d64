"""A larger net that starts from a smaller one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vrestore.errors import InputError
from vrestore.models.nets.cell import Cell
from vrestore.models.nets.grid import YUV420, YUV444, Picture
from vrestore.models.registry import find, load_weights
from vrestore.train.checkpoint import fresh_state, starting_weights
from vrestore.train.config import TrainConfig
from vrestore.train.grow import grow


@pytest.fixture
def small() -> Cell:
    torch.manual_seed(3)
    cell = Cell(8, 2, folded=False)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return cell


def restored(cell: Cell, scale: int, layout: str) -> Picture:
    torch.manual_seed(5)
    side = 32 if layout == "444" else 16
    picture = Picture(torch.rand(1, 1, 32, 32) - 0.5, torch.rand(1, 2, side, side) - 0.5)
    knobs = torch.tensor((0.2, 0.5)).view(1, 2, 1, 1)
    kernels = cell.kernels(YUV444 if layout == "444" else YUV420, scale)
    with torch.inference_mode():
        return cell(kernels, picture, knobs).picture


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("layout", ["420", "444"])
def test_growing_changes_nothing_that_is_computed(small: Cell, scale: int, layout: str):
    large = Cell(24, 5, folded=False)
    grow(small.state_dict(), large)
    a, b = restored(small, scale, layout), restored(large, scale, layout)
    assert torch.allclose(a.luma, b.luma, atol=1e-5)
    assert a.chroma is not None and b.chroma is not None
    assert torch.allclose(a.chroma, b.chroma, atol=1e-5)


def test_every_new_channel_can_learn(small: Cell):
    large = Cell(24, 5, folded=False)
    grow(small.state_dict(), large)
    picture = Picture(torch.rand(2, 1, 32, 32) - 0.5, torch.rand(2, 2, 16, 16) - 0.5)
    knobs = torch.full((2, 2, 1, 1), 0.3)
    optimiser = torch.optim.SGD(large.parameters(), 0.1)
    for _ in range(2):
        # The first step opens the way out of the new channels, the second reaches into them.
        optimiser.zero_grad()
        result = large(large.kernels(YUV420, 2), picture, knobs).picture
        (result.luma - 0.1).square().mean().backward()
        optimiser.step()
    for layer in (large.stem, *large.trunk):
        assert layer.weight.grad is not None  # type: ignore[union-attr]
        assert float(layer.weight.grad[8:].abs().sum()) > 0  # type: ignore[union-attr,index]


def test_aligner_and_fusions_are_taken_over(small: Cell):
    large = Cell(24, 5, folded=False)
    grow(small.state_dict(), large)
    for name, value in small.state_dict().items():
        if name.startswith(("align.", "fusion.", "blend.")):
            assert torch.equal(large.state_dict()[name], value), name


def test_a_checkpoint_without_slopes_is_taken_for_plain_relu(small: Cell):
    old = {k: v for k, v in small.state_dict().items() if not k.endswith(".slope")}
    for layer in (small.stem, *small.trunk):
        layer.slope.data.zero_()  # type: ignore[union-attr,operator]
    large = Cell(8, 2, folded=False)
    grow(old, large)
    assert torch.equal(restored(small, 2, "420").luma, restored(large, 2, "420").luma)


def test_a_net_does_not_grow_into_a_smaller_one(small: Cell):
    with pytest.raises(ValueError, match="does not fit"):
        grow(small.state_dict(), Cell(4, 2, folded=False))


@pytest.mark.parametrize("size", ["lite", "base"])
def test_a_training_starts_from_a_model_that_ships_as_that_model(size: str):
    spec = find("lite")
    shipped = Cell(spec.arch_args["width"], spec.arch_args["depth"])
    shipped.load_state_dict({k: v.float() for k, v in load_weights(spec).items()})
    config = TrainConfig(data=Path(), checkpoint=Path("none.pt"), size=size, start="lite", steps=1)
    started = fresh_state(config).cell
    assert isinstance(started, Cell)
    a, b = restored(shipped, 2, "420"), restored(started, 2, "420")
    # The weights are up to 1, and taking the identity out and in rounds them at 6e-8.
    assert torch.allclose(a.luma, b.luma, atol=1e-5)


def test_a_training_does_not_start_from_what_is_no_cell():
    with pytest.raises(InputError, match="no cell"):
        starting_weights("resize")
    with pytest.raises(InputError, match="no readable checkpoint"):
        starting_weights("nothing-of-that-name.pt")
