from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from tests.ops.shots import GRAY, RGB, YUV420, frames_of, given, second_shot_alone, texture
from vrestore.media import Coding
from vrestore.ops.deflicker import Deflicker, DeflickerConfig
from vrestore.review.metrics import flicker_index
from vrestore.train.film import flicker_bands, flicker_field, flicker_gain, flicker_gamma, lit

COUNT, SIZE = 28, (96, 128)


def clean(count: int = COUNT) -> torch.Tensor:
    """(T, 1, H, W): a still scene with grain, and something dark that crosses it."""
    scene = texture(*SIZE).repeat(count, 1, 1)
    for t in range(count):
        scene[t, 30:60, 4 * t : 4 * t + 16] = 0.2
    noise = torch.randn(scene.shape, generator=torch.Generator().manual_seed(1))
    return (scene + 0.008 * noise).clamp(0, 1).unsqueeze(1)


def deflickered(clip: torch.Tensor, strength: float = 1.0) -> torch.Tensor:
    op = Deflicker(DeflickerConfig(strength=strength))
    out = given(op, frames_of([frame[0] for frame in clip]))
    return torch.stack([frame.planes[0] for frame in out])


def index(clip: torch.Tensor, truth: torch.Tensor) -> float:
    return flicker_index(clip.reshape(len(clip), *SIZE) * 255, truth[:, 0] * 255)


@pytest.mark.parametrize("kind", ["gain", "field", "bands", "gamma"])
def test_flicker_is_down_by_four_fifths(kind):
    rng, truth = np.random.default_rng(2), clean()
    damaged = {
        "gain": lambda: lit(truth, flicker_gain(rng, COUNT, 0.06)),
        "field": lambda: lit(truth, flicker_field(rng, COUNT, SIZE, 0.06)),
        "bands": lambda: lit(truth, flicker_bands(rng, COUNT, SIZE, 0.06)),
        "gamma": lambda: truth ** flicker_gamma(rng, COUNT, 0.06).view(-1, 1, 1, 1),
    }[kind]()
    assert index(deflickered(damaged), truth) < 0.2 * index(damaged, truth)


def test_strength_sets_how_much():
    truth = clean()
    damaged = lit(truth, flicker_gain(np.random.default_rng(3), COUNT, 0.06))
    left = index(deflickered(damaged, 0.5), truth) / index(damaged, truth)
    assert 0.4 < left < 0.6
    frames = frames_of([frame[0] for frame in damaged])
    off = given(Deflicker(DeflickerConfig()), frames)
    assert all(a is b for a, b in zip(off, frames, strict=True))
    tuned = frames_of([frame[0] for frame in damaged], tuning={"deflicker.strength": 1.0})
    op = Deflicker(DeflickerConfig())
    given(op, tuned)
    (note,) = op.notes
    assert np.std(note.curves["gain_after"]) < 0.2 * np.std(note.curves["gain_before"])


@pytest.mark.parametrize("kind", ["nothing", "fade out", "fade in", "lamp", "flash", "dip"])
def test_what_the_light_means_to_do_stays(kind):
    t = torch.arange(COUNT).float()
    gain = {
        "nothing": torch.ones(COUNT),
        "fade out": (1 - t / (COUNT - 1)).clamp_min(0),
        "fade in": (t / 16).clamp_max(1),
        "lamp": 0.7 + 0.3 * (t >= 13),
        "flash": 0.6 + 0.4 * ((t == 9) | (t == 10)),
        "dip": 1 - 0.3 * torch.exp(-(((t - 14) / 6) ** 2)),
    }[kind]
    truth = lit(clean(), gain)
    change = (deflickered(truth) - truth[:, 0]).abs().mean((1, 2)) * 255
    assert change.mean() < 0.5
    assert change.max() < 2.0


def test_a_lamp_is_kept_and_the_flicker_around_it_goes():
    t = torch.arange(COUNT)
    truth = lit(clean(), 0.65 + 0.35 * (t >= 13))
    damaged = lit(truth, flicker_gain(np.random.default_rng(4), COUNT, 0.02))
    result = deflickered(damaged)
    for side in (slice(0, 13), slice(13, COUNT)):
        assert index(result[side], truth[side]) < 0.35 * index(damaged[side], truth[side])


@pytest.mark.parametrize("form", [GRAY, RGB, YUV420])
def test_all_planes_get_the_same_light(form):
    damaged = lit(clean() * 0.9, flicker_gain(np.random.default_rng(5), COUNT, 0.05))
    frames = frames_of([frame[0] for frame in damaged], form)
    # As a change of exposure does it: chroma scales with luma.
    out = given(Deflicker(DeflickerConfig(strength=1)), frames)
    for before, after in zip(frames, out, strict=True):
        ratio = after.planes[0].mean() / before.planes[0].mean()
        for number in range(1, form.plane_count):
            zero = 0.5 if form.is_chroma(number) else 0.0
            other = (after.planes[number] - zero).mean() / (before.planes[number] - zero).mean()
            assert other == pytest.approx(float(ratio), abs=0.02)


def test_nothing_is_clipped_that_was_not():
    scene = (texture(*SIZE) * 1.4 - 0.1).clamp(0, 1)
    damaged = lit(scene.repeat(COUNT, 1, 1, 1), flicker_gain(np.random.default_rng(6), COUNT, 0.1))
    result = deflickered(damaged)
    inside = (damaged[:, 0] < 1) & (damaged[:, 0] > 0)
    assert float(result[inside].max()) < 1
    assert float(result[inside].min()) > 0
    headroom = damaged + 0.05
    assert float(deflickered(headroom).max()) <= float(headroom.max()) + 1e-6


def test_dirt_does_not_change_the_light():
    truth = clean()
    dirty = truth.clone()
    for t in range(0, COUNT, 3):
        dirty[t, 0, 10:26, 40:70] = 0.95
    change = (deflickered(dirty) - dirty[:, 0]).abs().mean() * 255
    assert change < 0.1


def test_a_shot_knows_nothing_of_the_one_before():
    rng = np.random.default_rng(7)
    first, second = (
        frames_of([f[0] for f in lit(clean(18), flicker_gain(rng, 18, 0.05))], YUV420)
        for _ in range(2)
    )
    assert second_shot_alone(lambda: Deflicker(DeflickerConfig(strength=1)), first, second)


@settings(max_examples=8)
@examples(
    width=st.integers(16, 40), height=st.integers(16, 40), count=st.integers(1, 15),
    seed=st.integers(0, 99), form=st.sampled_from([GRAY, RGB, YUV420]),
)  # fmt: skip
def test_any_size_and_length_goes_through(width, height, count, seed, form):
    lumas = torch.rand(count, height, width, generator=torch.Generator().manual_seed(seed))
    frames = frames_of(list(lumas), form)
    before = [plane.clone() for frame in frames for plane in frame.planes]
    out = given(Deflicker(DeflickerConfig(strength=1)), frames)
    assert all(bool(p.isfinite().all()) for frame in out for p in frame.planes)
    after = [plane for frame in frames for plane in frame.planes]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_wrong_settings_and_code_values_are_refused():
    with pytest.raises(ValueError, match="strength must be 0 to 1, got -1"):
        DeflickerConfig(strength=-1)
    (frame,) = frames_of([texture(16, 16)])
    with pytest.raises(ValueError, match="UNIT"):
        list(Deflicker(DeflickerConfig(strength=1)).push(replace(frame, coding=Coding.CODE)))
