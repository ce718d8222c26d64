"""Warping and the aligner."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from vrestore.models.nets.align import Aligner, crop, gauss_newton, global_shift
from vrestore.models.nets.warp import local_range, sample, sample_sharp, sampling_grid, validity


def constant_flow(x: float, y: float, h: int = 8, w: int = 10) -> torch.Tensor:
    return torch.tensor((float(x), float(y))).view(1, 2, 1, 1).expand(1, 2, h, w).contiguous()


def test_a_whole_displacement_moves_samples_exactly():
    plane = torch.rand(1, 1, 16, 20)
    moved = sample(plane, sampling_grid(constant_flow(3, -2), 16, 20))
    assert torch.allclose(moved[..., 2:, :-3], plane[..., :-2, 3:], atol=1e-5)


def test_chroma_moves_half_as_many_of_its_samples():
    chroma = torch.rand(1, 2, 8, 10)
    moved = sample(chroma, sampling_grid(constant_flow(4, 2), 8, 10))
    assert torch.allclose(moved[..., :-1, :-2], chroma[..., 1:, 2:], atol=1e-5)


def test_no_displacement_is_the_identity():
    plane = torch.rand(1, 2, 16, 20)
    grid = sampling_grid(constant_flow(0, 0), 16, 20)
    assert torch.allclose(sample_sharp(plane, grid), plane, atol=1e-5)


def test_coordinates_stay_exact_at_eight_thousand_columns():
    ramp = torch.arange(8192.0).view(1, 1, 1, -1).expand(1, 1, 2, -1)
    flow = constant_flow(0.25, 0, 1, 4096)
    moved = sample(ramp, sampling_grid(flow, 2, 8192))
    assert (moved[..., :-1] - ramp[..., :-1] - 0.25).abs().max() < 0.01


def test_a_sharp_reading_never_leaves_the_range_around_it():
    plane = (torch.rand(1, 1, 16, 20) > 0.5).float()
    read = sample_sharp(plane, sampling_grid(constant_flow(0.5, 0.3), 16, 20))
    assert float(read.min()) >= 0.0 and float(read.max()) <= 1.0


def test_the_local_range_is_that_of_a_pool():
    plane = torch.rand(2, 3, 7, 9)
    low, high = local_range(plane)
    assert torch.equal(high, F.max_pool2d(plane, 3, 1, 1))
    assert torch.equal(low, -F.max_pool2d(-plane, 3, 1, 1))


def test_a_flow_is_believed_where_it_leads_back_and_stays_inside():
    there = constant_flow(4, 0)
    trust = validity(there, -there)
    assert float(trust[..., :-2].min()) > 0.99
    assert float(trust[..., -2:].max()) == 0.0
    assert float(validity(there, there)[..., :-2].max()) < 0.01


def test_the_whole_picture_is_found_a_hundred_samples_away():
    torch.manual_seed(0)
    field = torch.rand(1, 1, 9, 24)
    first, second = field[..., 4:20], field[..., 7:23]
    assert global_shift(first, second).flatten().tolist() == [-3.0, 0.0]
    assert global_shift(first, first).flatten().tolist() == [0.0, 0.0]


def test_a_step_finds_the_fraction_of_a_sample():
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")

    def seen(dx: float, dy: float) -> torch.Tensor:
        u, v = x + dx, y + dy
        return (torch.sin(0.3 * u + 0.1 * v) + torch.cos(0.25 * v - 0.05 * u)).view(1, 1, 48, 64)

    step = gauss_newton(seen(0, 0), seen(-0.3, 0.2), torch.tensor(1e-4))
    inside = step[..., 4:-4, 4:-4]
    assert torch.allclose(inside[:, 0], torch.tensor(0.3), atol=0.05)
    assert torch.allclose(inside[:, 1], torch.tensor(-0.2), atol=0.05)


def test_flows_cover_any_size_of_picture():
    aligner = Aligner()
    first = aligner.pyramid(torch.rand(1, 1, 34, 50))
    flows = aligner(first, aligner.pyramid(torch.rand(1, 1, 34, 50)))
    assert crop(flows[-1], 17, 25).shape == (1, 2, 17, 25)
    assert all(torch.isfinite(f).all() for f in flows)


def test_a_flat_picture_has_finite_flow():
    aligner = Aligner()
    flat = aligner.pyramid(torch.zeros(1, 1, 32, 32))
    assert all(torch.isfinite(f).all() for f in aligner(flat, flat))
