"""Samples: what is promised about input, target and mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vrestore.models.nets.grid import upsample
from vrestore.train import damage
from vrestore.train.codec import photograph, recompress
from vrestore.train.fields import bobbed
from vrestore.train.footage import Footage
from vrestore.train.sample import (
    Recipe,
    _compressed,
    make_sample,
    normalise,
    quantise,
    shrink,
    subsample,
    to_rgb,
    to_ycbcr,
)
from vrestore.train.scene import real_clip, still_crop, still_in_motion
from vrestore.train.tape import tape

RECIPES = [
    Recipe(scale=scale, chroma=chroma, length=length, side=48, damaged=1.0)
    for scale in (1, 2, 4)
    for chroma, length in (("420-left", 1), ("420-center", 5), ("444", 3))
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: f"x{r.scale}-{r.chroma}-{r.length}")
def test_shapes_are_those_of_the_recipe(footage: Footage, recipe: Recipe):
    for seed in range(4):
        sample = make_sample(footage, recipe, np.random.default_rng(seed))
        side, large = recipe.side, recipe.side * recipe.scale
        half = 1 if recipe.chroma == "444" else 2
        assert sample.luma.shape == (recipe.length, 1, side, side)
        assert sample.chroma.shape == (recipe.length, 2, side // half, side // half)
        assert sample.target_luma.shape == (recipe.length, 1, large, large)
        assert sample.target_chroma.shape == (recipe.length, 2, large // half, large // half)
        assert sample.mask.shape == (recipe.length, 1, side, side)
        assert 0.0 <= float(sample.strength) <= 1.0
        assert all(torch.isfinite(t.float()).all() for t in sample)


def test_a_sample_is_a_function_of_its_seed(footage: Footage):
    recipe = RECIPES[4]
    a, b, c = (make_sample(footage, recipe, np.random.default_rng(s)) for s in (1, 1, 2))
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))
    assert not torch.equal(a.luma, c.luma)


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("chroma", ["420-left", "420-center", "444"])
def test_clean_input_lies_exactly_on_its_target(footage: Footage, scale: int, chroma: str):
    """A shift of even a quarter of a sample between input and target would teach blur."""
    recipe = Recipe(scale=scale, chroma=chroma, length=1, side=48, damaged=0.0)
    for seed in range(6):
        sample = make_sample(footage, recipe, np.random.default_rng(seed))
        again = shrink(sample.target_luma.float(), scale)
        inside = (..., slice(4, -4), slice(4, -4))
        error = (again - sample.luma)[inside].square().mean().sqrt()
        moved = (again.roll(1, -1) - sample.luma)[inside].square().mean().sqrt()
        assert float(error) < 0.25 * float(moved)
        assert float(sample.strength) <= 0.03 and int(sample.mask.sum()) == 0


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("chroma", ["420-left", "420-center"])
def test_a_chroma_ramp_is_magnified_onto_its_target(scale: int, chroma: str):
    """The recipe's shift makes the base put chroma where the target has it."""
    recipe = Recipe(scale=scale, chroma=chroma, length=1, side=48, damaged=0.0)
    ramp = torch.linspace(-0.5, 0.5, 48 * scale).view(1, 1, 1, -1).expand(1, 2, 48 * scale, -1)
    small = subsample(shrink(ramp, scale), chroma)
    base = upsample(small, scale, recipe.shift)
    assert torch.allclose(base[..., 16:-16], subsample(ramp, chroma)[..., 16:-16], atol=1e-4)


@pytest.mark.parametrize("matrix", ["601", "709"])
def test_colour_goes_there_and_back(matrix: str):
    rgb = torch.rand(2, 3, 4, 4)
    assert torch.allclose(to_rgb(to_ycbcr(rgb, matrix), matrix), rgb, atol=1e-6)


@pytest.mark.parametrize("full", [False, True])
def test_quantising_errs_by_half_a_code_at_most(full: bool):
    luma, chroma = torch.rand(1, 1, 8, 8), torch.rand(1, 2, 4, 4) * 0.9 - 0.45
    y, c = normalise(*quantise(luma, chroma, full=full), full=full)
    step = 1 / 255 if full else 1 / 219
    assert float((y - luma).abs().max()) <= step / 2 + 1e-6
    assert float((c - chroma).abs().max()) <= step / 2 + 1e-6


def test_the_flow_of_a_synthetic_scene_leads_to_the_same_picture(footage: Footage):
    errors = []
    for seed in range(12):
        scene = still_in_motion(footage, np.random.default_rng(seed), 2, 64, 1, flow=True)
        assert scene.forward is not None
        flow = scene.forward.permute(0, 2, 3, 1)
        if float(flow.abs().max()) > 8:
            continue
        y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
        grid = (torch.stack((x, y), -1) + 0.5 + flow) / 32 - 1
        moved = F.grid_sample(scene.frames[1:], grid, align_corners=False)
        inside = (grid.abs() < 0.95).all(-1)[:, None].expand_as(moved)
        gap = (moved - scene.frames[:1]).abs()[inside]
        still = (scene.frames[1:] - scene.frames[:1]).abs()[inside]
        errors.append((float(gap.median()), float(still.median())))
    assert errors and all(along <= 0.03 for along, _ in errors)
    assert sum(e[0] for e in errors) < sum(e[1] for e in errors)


def test_dust_changes_what_its_mask_covers_and_nothing_else():
    frames = torch.full((3, 3, 64, 64), 0.5)
    dusty, mask = damage.dust(frames, np.random.default_rng(3), 4000.0)
    assert int((mask > 0.5).sum()) > 0
    assert torch.equal(dusty[(mask == 0).expand_as(dusty)], frames[(mask == 0).expand_as(frames)])
    assert float((dusty - frames).abs()[(mask > 0.5).expand_as(dusty)].min()) > 0.1
    assert not torch.equal(mask[0], mask[1])


def test_grain_is_new_in_every_frame_and_strongest_in_the_mid_tones():
    rng = np.random.default_rng(0)
    mid = damage.grain(torch.full((2, 3, 64, 64), 0.5), rng, 0.05, gray=False) - 0.5
    dark = damage.grain(torch.full((2, 3, 64, 64), 0.02), rng, 0.05, gray=False) - 0.02
    assert 0.03 < float(mid.std()) < 0.09
    assert float(dark.std()) < 0.8 * float(mid.std())
    assert abs(float((mid[0] * mid[1]).mean())) < 0.1 * float(mid.var())


def test_tape_takes_more_from_chroma_than_from_luma():
    torch.manual_seed(0)
    detail = 0.5 + 0.2 * torch.randn(2, 1, 64, 64)
    frames = torch.cat((detail, detail - 0.5, detail - 0.5), 1)
    worn, _ = tape(frames, np.random.default_rng(2), 0.8)
    kept = [float(((worn - worn.mean()) * (frames - frames.mean()))[:, k].mean()) for k in (0, 1)]
    assert kept[1] < 0.6 * kept[0]


@pytest.mark.parametrize("severity", [0.0, 1.0])
def test_every_encoder_gives_every_frame_back(severity: float):
    luma = torch.randint(16, 235, (5, 1, 48, 64)).byte()
    chroma = torch.full((5, 2, 24, 32), 128).byte()
    for seed in range(12):
        y, c = recompress(luma, chroma, np.random.default_rng(seed), severity)
        assert (y.shape, c.shape) == (luma.shape, chroma.shape)
        assert float((y.float() - luma.float()).abs().mean()) < 60


@pytest.mark.parametrize("full", [False, True])
def test_a_photograph_is_worse_the_lower_its_quality(full: bool):
    generator = torch.Generator().manual_seed(3)
    luma = torch.randint(0, 256, (2, 1, 48, 64), generator=generator).byte()
    size = (48, 64) if full else (24, 32)
    chroma = torch.randint(100, 156, (2, 2, *size), generator=generator).byte()
    errors = []
    for severity in (0.0, 0.5, 1.0):
        y, c = photograph(luma, chroma, np.random.default_rng(0), severity)
        assert (y.shape, c.shape) == (luma.shape, chroma.shape)
        errors.append(float((y.float() - luma.float()).square().mean()))
    assert 0 < errors[0] < 0.5 * errors[1] < 0.5 * errors[2]


def test_what_was_compressed_twice_lies_where_it_lay(footage: Footage):
    recipe = Recipe(scale=1, chroma="420-left", length=4, side=64, damaged=1.0)
    luma = torch.full((4, 1, 64, 64), 40).byte()
    luma[..., 24:40, 20:44] = 200
    chroma = torch.full((4, 2, 32, 32), 128).byte()
    chroma[:, :, 12:20, 10:22] = 180
    for seed in range(12):
        y, c = _compressed(luma, chroma, recipe, np.random.default_rng(seed), 0.3)
        assert float((y.float() - luma.float()).abs().mean()) < 6
        assert float((c.float() - chroma.float()).abs().mean()) < 6


@pytest.mark.parametrize("height", [16, 17])
def test_a_bobbed_frame_keeps_one_field_and_the_next_frame_the_other(height: int):
    generator = torch.Generator().manual_seed(1)
    frames = torch.rand(3, 2, height, 8, generator=generator)
    for first in (0, 1):
        made = bobbed(frames, first=first)
        for t in range(3):
            kept = (first + t) % 2
            assert torch.equal(made[t, :, kept::2], frames[t, :, kept::2])
            assert not torch.allclose(made[t, :, 1 - kept :: 2], frames[t, :, 1 - kept :: 2])


def test_bobbing_leaves_a_vertical_ramp_alone():
    ramp = torch.linspace(0, 1, 24).view(1, 1, -1, 1).expand(2, 3, -1, 8)
    assert torch.allclose(bobbed(ramp, first=0)[:, :, 4:-4], ramp[:, :, 4:-4], atol=1e-6)


def test_small_pictures_fill_large_crops(footage: Footage):
    assert still_crop(footage, np.random.default_rng(0), 400, 1).frames.shape == (1, 3, 400, 400)


def test_short_clips_swing_to_length(footage: Footage):
    assert len(real_clip(footage, np.random.default_rng(0), 25, 64).frames) == 25
