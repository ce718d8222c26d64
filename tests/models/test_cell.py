"""The cell: folding, bands, bounds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from vrestore.models.nets.cell import Cell, Neighbour, folded_weights, noise_level, run_layers
from vrestore.models.nets.fusion import PREVIOUS_AT_MOST, Candidates, InputFusion, OutputBlend
from vrestore.models.nets.grid import YUV420, YUV444, Picture

MakeCell = Callable[..., Cell]


def knobs(strength: float = 0.5) -> torch.Tensor:
    return torch.tensor((0.2, strength)).view(1, 2, 1, 1)


def neighbour(h: int, w: int) -> Neighbour:
    return Neighbour(
        torch.full((1, 2, h, w), 0.4), torch.full((1, 1, h, w), 0.8), torch.ones(1, 1, 1, 1)
    )


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_420_is_444_with_repeated_chroma(make_cell: MakeCell, scale: int):
    cell = make_cell()
    torch.manual_seed(0)
    luma, chroma = 0.3 * torch.randn(1, 1, 16, 20), 0.3 * torch.randn(1, 2, 8, 10)
    full = chroma.repeat_interleave(2, 2).repeat_interleave(2, 3)
    with torch.no_grad():
        small = cell(cell.kernels(YUV420, scale), Picture(luma, chroma), knobs()).picture
        large = cell(cell.kernels(YUV444, scale), Picture(luma, full), knobs()).picture
    assert torch.allclose(small.luma, large.luma, atol=1e-5)
    if scale == 1:
        assert torch.allclose(
            small.chroma, torch.nn.functional.avg_pool2d(large.chroma, 2), atol=1e-5
        )


@pytest.mark.parametrize("rows", [1, 3, 8, 31])
def test_bands_give_what_the_whole_gives(make_cell: MakeCell, rows: int):
    cell = make_cell()
    features = torch.randn(1, 16, 30, 12)
    layers = cell.kernels(YUV420, 2).layers
    with torch.no_grad():
        banded, whole = (run_layers(layers, features, band) for band in (rows, None))
    assert torch.allclose(banded, whole, atol=1e-5)


def test_folded_weights_compute_what_the_branches_compute(make_cell: MakeCell):
    cell = make_cell(folded=False)
    folded = Cell(8, 3, folded=True)
    folded.load_state_dict(folded_weights(cell))
    picture = Picture(torch.randn(1, 1, 16, 20), torch.randn(1, 2, 8, 10))
    with torch.no_grad():
        a = cell(cell.kernels(YUV420, 2), picture, knobs()).picture
        b = folded(folded.kernels(YUV420, 2), picture, knobs()).picture
    assert torch.allclose(a.luma, b.luma, atol=1e-6)


def test_an_untrained_cell_magnifies_like_its_bicubic_base():
    torch.manual_seed(0)
    cell = Cell(8, 2)
    picture = Picture(torch.rand(1, 1, 16, 20) - 0.5, torch.rand(1, 2, 8, 10) - 0.5)
    with torch.no_grad():
        result = cell(cell.kernels(YUV420, 2), picture, knobs()).picture
    base = torch.nn.functional.interpolate(
        picture.luma, scale_factor=2, mode="bicubic", antialias=True
    )
    assert torch.equal(result.luma, base)


def candidates(h: int = 6, w: int = 7, **changes: torch.Tensor) -> Candidates:
    torch.manual_seed(3)
    cells = {k: torch.rand(1, 6, h, w) for k in ("now", "state", "before", "after")}
    one = torch.ones(1, 1, h, w)
    values = {
        **cells,
        "trust_before": one,
        "trust_after": one,
        "noise": one,
        "has_before": torch.ones(1, 1, 1, 1),
        "has_after": torch.ones(1, 1, 1, 1),
    }
    return Candidates(**{**values, **changes})


def test_the_fused_picture_lies_between_its_candidates(make_cell: MakeCell):
    fusion = make_cell().fusion
    c = candidates()
    with torch.no_grad():
        fused = fusion(c, knobs(), YUV420)
    everything = torch.stack((c.now, c.state, c.before, c.after))
    assert (fused.cells >= everything.amin(0) - 1e-6).all()
    assert (fused.cells <= everything.amax(0) + 1e-6).all()
    assert (fused.noise > 0).all() and (fused.noise <= 1 + 1e-6).all()


def test_the_past_never_gets_more_than_its_share():
    fusion = InputFusion()
    with torch.no_grad():
        fusion.bias.copy_(torch.tensor((-50.0, 50.0, -50.0, -50.0)))
        zero = torch.zeros(1, 6, 6, 7)
        fused = fusion(
            candidates(now=zero, before=zero, after=zero, state=zero + 1), knobs(), YUV420
        )
    assert torch.allclose(fused.cells, torch.full_like(zero, PREVIOUS_AT_MOST), atol=1e-4)


def test_an_absent_neighbour_counts_for_nothing(make_cell: MakeCell):
    fusion = make_cell().fusion
    none = torch.zeros(1, 1, 1, 1)
    c = candidates(
        has_before=none,
        has_after=none,
        trust_before=torch.zeros(1, 1, 6, 7),
        trust_after=torch.zeros(1, 1, 6, 7),
    )
    with torch.no_grad():
        assert torch.equal(fusion(c, knobs(), YUV420).cells, c.now)


def test_where_no_flow_can_be_believed_the_frame_itself_comes_first():
    nothing = torch.zeros(1, 1, 6, 7)
    c = candidates(trust_before=nothing, trust_after=nothing)
    with torch.no_grad():
        fused = InputFusion()(c, knobs(), YUV420).cells
    gaps = [float((fused - x).abs().mean()) for x in (c.now, c.state, c.after)]
    assert gaps[0] < 0.5 * min(gaps[1:])


def dirtied(rows: slice, columns: slice) -> tuple[torch.Tensor, torch.Tensor]:
    """A flat picture of 96x112 luma samples, and the same with something else in a rectangle."""
    clean = torch.full((1, 6, 48, 56), 0.2)
    dirty = clean.clone()
    dirty[:, :, rows, columns] = 0.8
    return clean, dirty


def fused_without_flow(now: torch.Tensor, both: torch.Tensor) -> torch.Tensor:
    nothing = torch.zeros(1, 1, 48, 56)
    c = candidates(
        48, 56, now=now, state=both, before=both, after=both, trust_before=nothing,
        trust_after=nothing,
    )  # fmt: skip
    with torch.no_grad():
        return InputFusion()(c, knobs(1.0), YUV420).cells


def test_neighbours_that_agree_outvote_a_speck_even_where_no_flow_is_believed():
    spot = (slice(20, 32), slice(30, 42))
    clean, dirty = dirtied(*spot)
    inside = fused_without_flow(dirty, clean)[:, :, spot[0], spot[1]]
    assert float((inside - 0.2).abs().mean()) < 0.2


@pytest.mark.parametrize("share", [1.0, 0.7])
def test_what_differs_over_a_whole_region_is_no_dirt(share: float):
    """A flash, or a picture that alternates with another: the frame keeps what it shows."""
    clean, other = dirtied(slice(0, 48), slice(0, int(56 * share)))
    assert torch.equal(fused_without_flow(other, clean), other)
    other = clean.clone()
    other[:, 4:] = 0.8
    assert torch.equal(fused_without_flow(other, clean), other)


def test_a_speck_in_one_frame_is_replaced_by_its_neighbours():
    fusion = InputFusion()
    clean = torch.full((1, 6, 6, 7), 0.2)
    dirty = clean.clone()
    dirty[:, :, 2:4, 3:5] = 0.9
    with torch.no_grad():
        fused = fusion(
            candidates(now=dirty, state=clean, before=clean, after=clean), knobs(), YUV420
        )
    assert float((fused.cells - clean).abs().max()) < 0.02


def test_the_blend_stays_between_old_and_new_and_needs_trust():
    blend = OutputBlend(2)
    new, old = torch.zeros(1, 1, 24, 28), torch.full((1, 1, 24, 28), 0.01)
    learned, one = torch.full((1, 16, 6, 7), 50.0), torch.ones(1, 1, 6, 7)
    with torch.no_grad():
        kept = blend(new, old, learned, one, one)
        assert float(kept.min()) > 0.0 and float(kept.max()) <= PREVIOUS_AT_MOST * 0.01 + 1e-7
        assert torch.equal(blend(new, old, learned, torch.zeros_like(one), one), new)


def test_a_step_with_neighbours_is_differentiable_everywhere(make_cell: MakeCell):
    cell = make_cell(folded=False)
    kernels = cell.kernels(YUV420, 2)
    pictures = [
        Picture(0.2 * torch.randn(1, 1, 16, 20), 0.2 * torch.randn(1, 2, 8, 10)) for _ in range(3)
    ]
    near = neighbour(8, 10)
    first = cell(kernels, pictures[0], knobs(), None, None, near, pictures[1])
    second = cell(kernels, pictures[1], knobs(), first.memory, near, near, pictures[2])
    second.picture.luma.square().mean().backward()
    for name in ("fusion.net.0.weight", "blend.2.net.weight", "stem.weight", "heads.2.weight"):
        gradient = dict(cell.named_parameters())[name].grad
        assert gradient is not None and float(gradient.abs().sum()) > 0, name


def test_the_noise_level_of_white_noise_is_near_its_deviation():
    torch.manual_seed(0)
    level = noise_level(0.05 * torch.randn(2, 1, 128, 128)) / 10
    assert ((level > 0.035) & (level < 0.06)).all()
    assert float(noise_level(torch.zeros(1, 1, 16, 16))) == 0.0
