"""Motion between two pictures."""

import pytest
import torch
import torch.nn.functional as F

from vrestore.ops.blockmotion import displace, estimate, pyramid, read_at


def texture(height=120, width=160, seed=0):
    noise = torch.rand(1, 1, height // 4, width // 4, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, size=(height, width), mode="bicubic")[0, 0]


@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, -2), (14, 6)])
def test_a_pan_is_found_to_a_quarter_of_a_sample(right, down):
    wide = texture(200, 240)
    here = wide[40:160, 40:200]
    there = wide[40 - down : 160 - down, 40 - right : 200 - right]
    flow = estimate(pyramid(here), pyramid(there))
    inner = flow[0, :, 4:-4, 4:-4]
    assert inner[0].median().item() == pytest.approx(right, abs=0.25)
    assert inner[1].median().item() == pytest.approx(down, abs=0.25)


def test_dirt_does_not_bend_the_motion():
    wide = texture(200, 240)
    here, there = wide[40:160, 40:200].clone(), wide[40:160, 37:197]
    here[50:60, 70:80] = 1.0
    flow = estimate(pyramid(here), pyramid(there))
    assert flow[0, 0, 5:9, 7:12].median().item() == pytest.approx(3, abs=0.5)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 31), (50, 33)])
def test_odd_and_tiny_pictures_have_vectors_for_every_cell(height, width):
    picture = texture(64, 64)[:height, :width]
    flow = estimate(pyramid(picture), pyramid(picture))
    assert flow.shape == (1, 2, -(-height // 8), -(-width // 8))
    assert displace(picture[None, None], flow).shape == (1, 1, height, width)
    assert flow.abs().max() < 0.05


def test_reading_between_samples_is_exact_on_a_ramp_and_never_overshoots():
    ramp = torch.arange(20.0).expand(20, 20)
    x, y = torch.tensor([3.25, 10.5]), torch.tensor([4.0, 7.75])
    assert torch.allclose(read_at(ramp, x, y), x)
    step = (torch.arange(20) > 9).float().expand(20, 20)
    values = read_at(step, torch.linspace(6, 13, 50), torch.full((50,), 5.0))
    assert values.min() >= 0
    assert values.max() <= 1
