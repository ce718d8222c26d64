"""From one end of the network to the other: every frame of a shot gets that shot's grain."""

from collections import deque
from dataclasses import replace

import pytest
import torch

from vrestore.media import Coding, ColorModel, SampleFormat
from vrestore.ops.grain import GrainConfig, GrainTap, Regrain, ShotGrains, frames_held
from vrestore.ops.grainmeasure import measure_grain
from vrestore.ops.resample import Resample
from vrestore.train import damage

GRAY = SampleFormat(model=ColorModel.GRAY, depth=8)
CODE = 1 / 255


class Cleaning:
    """What a network does: takes all grain away, magnifies by two, holds a frame back."""

    def __init__(self, scene):
        self.scene = scene
        self.held = deque()

    def push(self, frame):
        (large,) = Resample(2 * frame.width, 2 * frame.height).push(
            replace(frame, planes=(self.scene,))
        )
        self.held.append(large)
        if len(self.held) > 1:
            yield self.held.popleft()

    def flush(self):
        while self.held:
            yield self.held.popleft()


def scene():
    return torch.linspace(0.1, 0.9, 128).expand(112, 128).contiguous()


def grainy(make_frame, strengths, **fields):
    """One frame for each strength, in code values."""
    random = torch.Generator().manual_seed(0)
    for index, strength in enumerate(strengths):
        noise = torch.randn(112, 128, generator=random)
        yield make_frame([scene() + strength * CODE * noise], GRAY, index=index, **fields)


def run(frames, config, latency=10, network=None):
    """(results, Regrain, the most frames that were held by the tap)."""
    shots = ShotGrains()
    tap = GrainTap(config, shots, latency=latency)
    inner = network or Cleaning(scene())
    regrain = Regrain(config, shots)
    results, most, given = [], 0, 0
    for taken, frame in enumerate(frames, start=1):
        for passed in tap.push(frame):
            given += 1
            for restored in inner.push(passed):
                results += regrain.push(restored)
        most = max(most, taken - given)
    for passed in tap.flush():
        for restored in inner.push(passed):
            results += regrain.push(restored)
    for restored in inner.flush():
        results += regrain.push(restored)
    results += regrain.flush()
    assert not shots.by_first
    return results, regrain, most


def strengths_of(results):
    """Standard deviation of each frame's grain, in code values."""
    inner = Cleaning(scene())
    (clean,) = [*inner.push(replace(results[0], planes=(scene(),))), *inner.flush()]
    return [float((r.planes[0] - clean.planes[0]).std()) / CODE for r in results]


def test_every_frame_gets_the_grain_of_its_shot(make_frame):
    frames = list(grainy(make_frame, [4] * 14 + [1.5] * 14))
    frames[0] = replace(frames[0], shot_start=True)
    frames[14] = replace(frames[14], shot_start=True)
    results, regrain, most = run(frames, GrainConfig(keep=0.5))
    assert [r.index for r in results] == list(range(28))
    assert [r.timestamp for r in results] == [f.timestamp for f in frames]
    made = strengths_of(results)
    assert made[:14] == pytest.approx([2.0] * 14, rel=0.15)
    assert made[14:] == pytest.approx([0.75] * 14, rel=0.15)
    assert most <= 10
    first, second = regrain.notes
    assert (first.first, first.frames, second.first, second.frames) == (0, 14, 14, 14)
    assert first.values["y_strength_codes"] == pytest.approx(4, rel=0.1)
    assert second.values["y_strength_codes"] == pytest.approx(1.5, rel=0.1)


def test_a_shot_does_not_know_the_one_before(make_frame):
    frames = list(grainy(make_frame, [6] * 5 + [2] * 12))
    frames[5] = replace(frames[5], shot_start=True)
    together, _, _ = run(frames, GrainConfig(keep=1))
    alone, _, _ = run(frames[5:], GrainConfig(keep=1))
    for a, b in zip(together[5:], alone, strict=True):
        assert torch.equal(a.planes[0], b.planes[0])


def test_a_known_measurement_holds_nothing(make_frame):
    frames = list(grainy(make_frame, [3] * 12))
    tuning = {**measure_grain(frames).to_mapping(), "grain.keep": 1.0}
    tuned = [replace(frame, tuning=tuning) for frame in frames]
    results, _, most = run(tuned, GrainConfig(keep=0.2), latency=12)
    assert most == 0
    assert strengths_of(results) == pytest.approx([3.0] * 12, rel=0.15)
    measured, _, _ = run(frames, GrainConfig(keep=1), latency=12)
    for a, b in zip(results, measured, strict=True):
        assert torch.equal(a.planes[0], b.planes[0])


def test_without_a_share_nothing_is_held_or_added(make_frame):
    frames = list(grainy(make_frame, [3] * 6))
    results, regrain, most = run(frames, GrainConfig(keep=0))
    assert most == 0
    assert strengths_of(results) == [0] * 6
    assert regrain.notes[0].values["keep"] == 0


def test_a_shot_of_one_frame_gets_none(make_frame):
    results, _, _ = run(list(grainy(make_frame, [3])), GrainConfig(keep=1))
    assert strengths_of(results) == [0]


def test_motion_alone_makes_no_grain(make_frame):
    texture = damage.gaussian_blur(torch.rand(1, 1, 112, 200), 2.0, 2.0)[0, 0] * 3 - 1
    frames = [make_frame([texture[:, 3 * i : 3 * i + 128]], GRAY, index=i) for i in range(12)]
    results, regrain, _ = run(frames, GrainConfig(keep=1))
    assert max(strengths_of(results)) == 0
    assert regrain.notes[0].values["confidence"] < 0.2


@pytest.mark.parametrize(("size", "ratio"), [("source", 4.0), (0.5, 1.0)])
def test_size_is_a_choice(make_frame, size, ratio):
    """Grain as large on the picture has twice the extent in samples at twice the size."""
    frames = list(grainy(make_frame, [4] * 12))
    flat = [replace(f, planes=(f.planes[0] - scene() + 0.5,)) for f in frames]
    network = Cleaning(torch.full((112, 128), 0.5))
    results, _, _ = run(flat, GrainConfig(keep=1, size=size), network=network)
    made = torch.stack([r.planes[0] - 0.5 for r in results])
    neighbours = float((made[..., 1:] * made[..., :-1]).mean() / made.square().mean())
    # Ideal magnification by two: sinc(1/2) = 2 / pi between neighbours; white noise: none.
    assert neighbours == pytest.approx(0.637 if ratio > 1 else 0.0, abs=0.05)
    assert float(made.std()) / CODE == pytest.approx(4, rel=0.1)


def test_a_shot_that_passed_no_tap_is_told(make_frame):
    (frame,) = grainy(make_frame, [1])
    with pytest.raises(ValueError, match="no GrainTap"):
        list(Regrain(GrainConfig(keep=1), ShotGrains()).push(frame))


def test_code_values_are_refused(make_frame):
    (frame,) = grainy(make_frame, [1], coding=Coding.CODE)
    shots = ShotGrains()
    for op in (GrainTap(GrainConfig(), shots, latency=4), Regrain(GrainConfig(), shots)):
        with pytest.raises(ValueError, match="UNIT"):
            list(op.push(frame))


@pytest.mark.parametrize(
    ("size", "frames"), [((720, 576), 24), ((1920, 1080), 16), ((7680, 4320), 4)]
)
def test_large_pictures_hold_few_frames(size, frames):
    assert frames_held(*size) == frames


@pytest.mark.parametrize(
    "fields", [{"keep": 1.5}, {"keep": -0.1}, {"size": 0.1}, {"size": "large"}, {"seed": -1}]
)
def test_settings_out_of_range_are_refused(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        GrainConfig(**fields)
