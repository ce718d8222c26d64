from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.ops.shots import COLOR, GRAY, RGB, YUV420, frames_of, given, second_shot_alone, texture
from vrestore.media import Coding, Frame
from vrestore.ops.fading import Fading, FadingConfig
from vrestore.ops.standards import rgb_to_ycbcr
from vrestore.train.film import dye_fade, faded

COUNT = 5


def scene(seed: int = 0) -> torch.Tensor:
    """(3, 64, 96) R, G, B of muted colours from black to white."""
    layers = torch.stack([texture(64, 96, seed + n) for n in range(4)])
    # As much of each tone: nobody can tell where black was in a scene that has none.
    luma = layers[0].flatten().argsort().argsort().view(64, 96) / (64 * 96)
    tint = (layers[1:] - layers[1:].mean((1, 2), keepdim=True)) * 4 * luma * (1 - luma)
    return (0.03 + 0.88 * luma + 0.3 * tint).clamp(0, 1)


def shot(picture: torch.Tensor, count: int = COUNT) -> list[Frame]:
    frames = frames_of([picture[0]] * count, RGB)
    return [replace(frame, planes=tuple(picture)) for frame in frames]


def off_gray(picture: torch.Tensor, truth: torch.Tensor) -> float:
    """Mean error of colour differences, in codes."""
    error = picture - truth
    return float((error - error.mean(0)).abs().mean()) * 255


def result(picture: torch.Tensor, config: FadingConfig) -> torch.Tensor:
    return torch.stack(given(Fading(config), shot(picture))[0].planes)


@pytest.mark.parametrize(("amount", "left"), [(0.5, 0.85), (1.0, 0.6)])
def test_the_cast_of_faded_dyes_goes_down(amount, left):
    truth = scene()
    pink = faded(truth[None], dye_fade(np.random.default_rng(1), amount))[0]
    assert off_gray(result(pink, FadingConfig(cast=1)), truth) < left * off_gray(pink, truth)


def test_faded_levels_are_brought_back():
    truth = scene()
    pale = 0.16 + 0.6 * truth
    back = result(pale, FadingConfig(levels=1))
    assert (back - truth).abs().mean() < 0.3 * (pale - truth).abs().mean()


def test_a_picture_that_is_not_faded_is_hardly_changed():
    truth = scene()
    change = result(truth, FadingConfig(levels=1, cast=1)) - truth
    assert change.abs().mean() * 255 < 3


def test_ycbcr_comes_out_as_rgb_does():
    pink = faded(scene()[None], dye_fade(np.random.default_rng(2), 1.0))[0]
    smooth = F.avg_pool2d(pink[None], 9, stride=1, padding=4, count_include_pad=False)[0]
    to = rgb_to_ycbcr(COLOR.matrix).float()
    mixed = torch.einsum("ij,jyx->iyx", to, smooth)
    chroma = [0.5 + F.avg_pool2d(plane[None, None], 2)[0, 0] for plane in mixed[1:]]
    frames = [
        replace(frame, planes=(mixed[0], *chroma))
        for frame in frames_of([mixed[0]] * COUNT, YUV420)
    ]
    config = FadingConfig(levels=1, cast=1)
    out = given(Fading(config), frames)[0]
    wanted = torch.einsum("ij,jyx->iyx", to, result(smooth, config))
    assert (out.planes[0] - wanted[0]).abs().mean() < 0.01
    for plane, want in zip(out.planes[1:], wanted[1:], strict=True):
        assert (plane - 0.5 - F.avg_pool2d(want[None, None], 2)[0, 0]).abs().mean() < 0.01


def test_a_shot_has_one_correction_measured_on_its_first_frames():
    pale = 0.16 + 0.6 * scene()
    frames = shot(pale, 30)
    later = [replace(f, planes=tuple(p * 0.3 for p in f.planes)) for f in shot(pale, 6)]
    op = Fading(FadingConfig(levels=1, cast=1))
    one_shot = [replace(frame, shot_start=False) for frame in [*frames, *later]]
    out = [*(f for frame in one_shot for f in op.push(frame)), *op.flush()]
    short = result(pale, FadingConfig(levels=1, cast=1))
    assert torch.allclose(torch.stack(out[0].planes), short, atol=1e-5)
    assert torch.equal(out[0].planes[0], out[29].planes[0])
    assert len(op.notes) == 1


def test_nothing_is_clipped_that_was_not():
    pale = 0.1 + 0.8 * scene()
    back = result(pale, FadingConfig(levels=1, cast=1))
    assert float(back.min()) > 0
    assert float(back.max()) < 1


def test_gray_has_levels_only_and_blank_shots_are_left():
    frames = frames_of([0.2 + 0.5 * texture(48, 64)] * COUNT, GRAY)
    (out, *_) = given(Fading(FadingConfig(levels=1, cast=1)), frames)
    assert float(out.planes[0].std()) > 1.2 * float(frames[0].planes[0].std())
    blank = frames_of([torch.full((48, 64), 0.4)] * COUNT, YUV420)
    out = given(Fading(FadingConfig(levels=1, cast=1)), blank)
    assert all(a is b for a, b in zip(out, blank, strict=True))
    out = given(Fading(FadingConfig()), frames)
    assert all(a is b for a, b in zip(out, frames, strict=True))


def test_a_shot_knows_nothing_of_the_one_before():
    first, second = shot(0.2 + 0.5 * scene(), 26), shot(0.1 + 0.6 * scene(5), 4)
    assert second_shot_alone(lambda: Fading(FadingConfig(levels=1, cast=1)), first, second)


def test_wrong_settings_and_code_values_are_refused():
    with pytest.raises(ValueError, match="levels must be 0 to 1, got 3"):
        FadingConfig(levels=3)
    with pytest.raises(ValueError, match="cast"):
        FadingConfig(cast=-0.1)
    (frame,) = frames_of([texture(16, 16)])
    with pytest.raises(ValueError, match="UNIT"):
        list(Fading(FadingConfig(cast=1)).push(replace(frame, coding=Coding.CODE)))
