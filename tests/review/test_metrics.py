"""Metrics against what is known: laws, hand-made cases, published numbers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vrestore.review.metrics import (
    cropped,
    defect_recall,
    false_change,
    flicker_index,
    gmsd,
    gradient_flicker,
    luma_of_rgb,
    psnr,
    ssim,
    temporal_noise,
    warping_error,
)


def picture(seed: int = 0, height: int = 40, width: int = 48) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 1, height // 4, width // 4, generator=generator) * 200 + 20
    return F.interpolate(coarse, size=(height, width), mode="bilinear")[0, 0]


@given(offset=st.floats(0.5, 100))
def test_psnr_of_a_constant_error_is_its_formula(offset: float):
    truth = picture()
    assert psnr(truth + offset, truth) == pytest.approx(20 * math.log10(255 / offset), abs=1e-4)


def test_equal_pictures_are_perfect():
    truth = picture()
    assert psnr(truth, truth) == math.inf
    assert ssim(truth, truth) == pytest.approx(1.0)
    assert gmsd(truth, truth) == pytest.approx(0.0, abs=1e-9)


def test_more_noise_is_worse_by_every_measure():
    truth = picture()
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    little, much = truth + 2 * noise, truth + 10 * noise
    assert psnr(little, truth) > psnr(much, truth)
    assert ssim(little, truth) > ssim(much, truth)
    assert gmsd(little, truth) < gmsd(much, truth)


def test_ssim_forgives_a_change_of_brightness_more_than_noise_of_equal_error():
    truth = picture()
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    noise = 8 * noise / noise.square().mean().sqrt()
    assert ssim(truth + 8, truth) > ssim(truth + noise, truth)


def test_luma_spans_the_limited_range():
    ends = torch.tensor(((0.0, 255.0),) * 3).view(3, 1, 2)
    assert luma_of_rgb(ends).flatten().tolist() == pytest.approx([16.0, 235.0], abs=0.01)


def test_cropping_takes_the_border_from_all_sides():
    assert cropped(torch.zeros(10, 12), 3).shape == (4, 6)
    assert cropped(torch.zeros(10, 12), 0).shape == (10, 12)


def moving(count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture sliding by two samples a frame, and its flow."""
    wide = picture(3, 40, 64)
    clip = torch.stack([wide[:, 2 * t : 2 * t + 48] for t in range(count)])
    flow = torch.zeros(count - 1, 2, 40, 48)
    flow[:, 0] = -2
    return clip, flow


def test_a_clip_that_only_moves_has_no_warping_error():
    clip, flow = moving()
    assert warping_error(clip, flow) == pytest.approx(0.0, abs=1e-4)
    assert warping_error(clip, torch.zeros_like(flow)) > 0.5


def test_warping_error_is_the_mean_change_along_the_motion():
    clip, flow = moving()
    trembling = clip + torch.tensor((0.0, 4.0, 0.0, 4.0)).view(-1, 1, 1)
    assert warping_error(trembling, flow) == pytest.approx(4.0, abs=1e-3)


def test_hidden_samples_do_not_count():
    clip, flow = moving()
    spoilt = clip.clone()
    spoilt[1:, 10:20, 10:20] += 90
    shown = torch.ones(3, 40, 48, dtype=torch.bool)
    shown[:, 8:22, 10:24] = False
    shown[:, :, :4] = True
    assert warping_error(spoilt, flow) > 0.5
    assert warping_error(spoilt, flow, shown) < 0.5 * warping_error(spoilt, flow)


def test_a_constant_error_does_not_flicker():
    clip, _ = moving()
    assert flicker_index(clip + 7, clip) == pytest.approx(0.0, abs=1e-5)
    pumping = clip + torch.tensor((1.0, -1.0, 1.0, -1.0)).view(-1, 1, 1)
    assert flicker_index(pumping, clip) == pytest.approx(1.0, abs=1e-4)


def test_gradients_that_change_more_than_the_truth_does_count_as_flicker():
    clip, _ = moving()
    noise = torch.randn(clip.shape, generator=torch.Generator().manual_seed(1))
    assert gradient_flicker(clip, clip) == 0.0
    assert gradient_flicker(clip + noise, clip) < gradient_flicker(clip + 8 * noise, clip)
    # The same error in every frame adds no change of its own.
    steady = gradient_flicker(clip + 8 * noise[:1], clip)
    assert steady < gradient_flicker(clip + 8 * noise, clip)


def test_temporal_noise_is_the_deviation_over_time():
    still = picture().expand(2, -1, -1)
    swing = torch.tensor((3.0, -3.0)).view(2, 1, 1)
    assert temporal_noise(still) == 0.0
    assert temporal_noise(still + swing) == pytest.approx(3.0, abs=1e-4)


def test_recall_counts_defects_whose_error_halved():
    truth, mask = torch.zeros(2, 2), torch.ones(2, 2)
    damaged = torch.full((2, 2), 10.0)
    result = torch.tensor(((0.0, 5.0), (6.0, 10.0)))
    assert defect_recall(result, damaged, truth, mask) == 0.5
    assert math.isnan(defect_recall(result, damaged, truth, torch.zeros(2, 2)))


def test_false_change_counts_samples_beyond_the_threshold():
    clean = torch.zeros(4)
    assert false_change(torch.tensor((0.0, 3.0, 3.1, -9.0)), clean) == 0.5


@pytest.mark.parametrize(("scale", "decibels", "similarity"), [
    (2, 33.66, 0.9299), (3, 30.39, 0.8682), (4, 28.42, 0.8104),
])  # fmt: skip
def test_bicubic_on_set5_measures_what_the_papers_say(
    shared: Path, scale: int, decibels: float, similarity: float
):
    scores = []
    for path in sorted((shared / "data" / "benchmark" / "Set5").iterdir()):
        with Image.open(path) as still:
            rgb = torch.from_numpy(np.array(still.convert("RGB"))).permute(2, 0, 1)
        height, width = (n // scale * scale for n in rgb.shape[1:])
        truth = luma_of_rgb(rgb[:, :height, :width]).round()
        small = F.interpolate(
            truth[None, None], scale_factor=1 / scale, mode="bicubic", antialias=True
        ).round()
        large = F.interpolate(small, size=(height, width), mode="bicubic", antialias=True)
        pair = [cropped(p, scale) for p in (large.round().clamp(0, 255)[0, 0], truth)]
        scores.append((psnr(*pair), ssim(*pair)))
    assert len(scores) == 5
    assert np.mean([s[0] for s in scores]) == pytest.approx(decibels, abs=0.02)
    assert np.mean([s[1] for s in scores]) == pytest.approx(similarity, abs=0.0005)
