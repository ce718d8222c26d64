"""The cut detector: what is a cut, what is not, and how it compares."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from vrestore.media import Coding, ColorModel, ColorSpec, Range, SampleFormat
from vrestore.ops.cuts import CutsConfig, DetectCuts

GRAY = SampleFormat(model=ColorModel.GRAY, depth=8)
RGB = SampleFormat(model=ColorModel.RGB, depth=8)


def shot(seed, frames, speed=2, height=90, width=160):
    """A textured scene panned by `speed` samples a frame: (frames, height, width) in 0..1."""
    generator = torch.Generator().manual_seed(seed)
    wide = torch.full((height, 4 * width), 0.5)
    for octave in range(5):
        # Patches with edges, each half as large and half as strong as the ones before.
        noise = torch.rand(1, 1, 3 << octave, 10 << octave, generator=generator) - 0.5
        wide += functional.interpolate(noise, wide.shape, mode="nearest")[0, 0] / (1 << octave)
    wide = wide.clamp(0, 1)
    return torch.stack([wide[:, n * speed : n * speed + width] for n in range(frames)])


def starts(pictures, make_frame, config=None, form=GRAY):
    """Numbers of the frames that the detector marks."""
    detector = DetectCuts(config or CutsConfig())
    marked, seen = [], 0

    def note(done):
        nonlocal seen
        for frame in done:
            assert frame.index == seen
            seen += 1
            if frame.shot_start:
                marked.append(frame.index)

    for index, picture in enumerate(pictures):
        planes = [picture] if form is GRAY else list(picture)
        note(detector.push(make_frame(planes, form, index=index)))
        assert seen >= index + 1 - detector.latency
    note(detector.flush())
    assert seen == len(pictures)
    return marked


def mixed(a, b, frames):
    """The last frames of `a` dissolved into the first of `b`."""
    weight = torch.linspace(0, 1, frames + 2)[1:-1, None, None]
    return torch.cat((a[:-frames], a[-frames:] * (1 - weight) + b[:frames] * weight, b[frames:]))


def test_the_first_frame_always_starts_a_shot(make_frame):
    assert starts(shot(0, 1), make_frame) == [0]
    assert starts(torch.zeros(9, 20, 30), make_frame) == [0]


@pytest.mark.parametrize("length", [6, 7, 12])
def test_short_shots_are_found(length, make_frame):
    pictures = torch.cat([shot(n, length) for n in range(5)])
    assert starts(pictures, make_frame) == [n * length for n in range(5)]


def test_a_short_shot_between_two_halves_of_another_is_found(make_frame):
    a = shot(0, 40)
    assert starts(torch.cat((a[:20], shot(1, 6), a[20:])), make_frame) == [0, 20, 26]


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
@pytest.mark.parametrize("strength", [0.5, 0.9, 1.0])
def test_a_flash_is_no_cut(frames, strength, make_frame):
    pictures = shot(3, 40)
    pictures[20 : 20 + frames] = pictures[20 : 20 + frames] * (1 - strength) + strength
    assert starts(pictures, make_frame) == [0]


def test_a_dropout_of_one_frame_is_no_cut(make_frame):
    pictures = shot(3, 40)
    pictures[20] = shot(8, 1)[0]
    assert starts(pictures, make_frame) == [0]


@pytest.mark.parametrize("frames", [8, 16, 24])
def test_a_dissolve_is_no_cut(frames, make_frame):
    assert starts(mixed(shot(0, 40), shot(1, 40), frames), make_frame) == [0]


@pytest.mark.parametrize("steps", [8, 16])
@pytest.mark.parametrize("black", [1, 3, 10])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_fade_through_black_or_white_is_one_cut_where_the_new_picture_appears(
    steps, black, level, make_frame
):
    ramp = torch.linspace(1, 0, steps)[:, None, None]
    a, b = shot(0, 30), shot(1, 30)
    a[-steps:] = a[-steps:] * ramp + level * (1 - ramp)
    b[:steps] = b[:steps] * ramp.flip(0) + level * (1 - ramp.flip(0))
    pictures = torch.cat((a, torch.full((black, *a.shape[1:]), level), b))
    marks = starts(pictures, make_frame)
    assert len(marks) == 2
    assert 30 + black <= marks[1] <= 30 + black + steps // 2


def test_the_same_picture_after_black_is_the_same_shot(make_frame):
    pictures = shot(0, 40)
    pictures[18:21] = 0
    assert starts(pictures, make_frame) == [0]


@pytest.mark.parametrize("speed", [0, 4, 12])
def test_motion_is_no_cut(speed, make_frame):
    assert starts(shot(2, 36, speed), make_frame) == [0]


def test_snow_is_not_a_thousand_shots(make_frame):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(30, 1, 24, 32, generator=generator)
    assert starts(functional.interpolate(coarse, (90, 160))[:, 0], make_frame) == [0]


def test_colour_alone_can_be_a_cut(make_frame):
    """Two scenes with the same weak texture, one red and one blue."""
    texture = 0.02 * shot(0, 20, 0)
    red = torch.stack((0.6 + texture, 0.1 + texture, 0.1 + texture), 1)
    blue = torch.stack((0.1 + texture, 0.1 + texture, 0.6 + texture), 1).flip(3)
    assert starts(torch.cat((red, blue)), make_frame, form=RGB) == [0, 20]


def test_marks_of_the_source_are_replaced(make_frame):
    frames = [
        make_frame([picture], GRAY, index=n, shot_start=n == 5)
        for n, picture in enumerate(shot(0, 10))
    ]
    detector = DetectCuts(CutsConfig())
    done = [out for frame in frames for out in detector.push(frame)] + list(detector.flush())
    assert [frame.index for frame in done if frame.shot_start] == [0]
    assert done[1] is frames[1]


def test_code_and_unit_frames_give_the_same_cuts(yuv, make_frame):
    form = yuv("420", 10)
    color = ColorSpec(range=Range.LIMITED)
    luma = torch.cat([shot(n, 9) for n in range(4)])
    chroma = torch.full((45, 80), 0.5)
    marks = []
    for coding in (Coding.UNIT, Coding.CODE):
        detector, found = DetectCuts(CutsConfig()), []
        for index, picture in enumerate(luma):
            planes = [picture, chroma, chroma]
            if coding is Coding.CODE:
                planes = [
                    (picture * 876 + 64).round().to(torch.uint16),
                    *[torch.full((45, 80), 512, dtype=torch.int32).to(torch.uint16)] * 2,
                ]
            found += detector.push(
                make_frame(planes, form, coding=coding, color=color, index=index)
            )
        found += detector.flush()
        marks.append([frame.index for frame in found if frame.shot_start])
    assert marks[0] == marks[1] == [0, 9, 18, 27]


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (177, 143), (1080, 1920)])
def test_frames_of_any_size_are_looked_at(size, make_frame):
    assert starts(torch.rand(3, *size), make_frame)[0] == 0


@settings(max_examples=20)
@given(lengths=st.lists(st.integers(6, 12), min_size=1, max_size=3), look_ahead=st.integers(2, 7))
def test_every_frame_comes_out_once_in_order(lengths, look_ahead, make_frame):
    pictures = torch.cat([shot(n, length, height=24, width=32) for n, length in enumerate(lengths)])
    marks = starts(pictures, make_frame, CutsConfig(min_shot_frames=look_ahead))
    assert marks[0] == 0


def test_a_longer_minimum_forgives_a_longer_flash(make_frame):
    pictures = shot(3, 40)
    pictures[20:26] = shot(9, 6)
    assert starts(pictures, make_frame) == [0, 20, 26]
    assert starts(pictures, make_frame, CutsConfig(min_shot_frames=12)) == [0]


@pytest.mark.parametrize(
    "fields",
    [{"min_shot_frames": 1}, {"min_shot_frames": 31}, {"sensitivity": 0.4}, {"sensitivity": 3.0}],
)
def test_settings_out_of_range_are_refused(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        CutsConfig(**fields)


# -------------------------------------------------------------------------------- real footage


@pytest.fixture(scope="module")
def cutbench():
    path = Path(__file__).with_name("cutbench.py")
    found = importlib.util.spec_from_file_location("cutbench", path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["cutbench"] = module
    found.loader.exec_module(module)
    yield module
    del sys.modules["cutbench"]


@pytest.mark.slow
def test_known_cuts_are_found_as_well_as_by_the_best_rival(cutbench, shared):
    """Real shots joined by hard cuts, dissolves, fades and flashes; none was tuned on."""
    pytest.importorskip("scenedetect")
    shots = cutbench.load_shots(shared / "data", "report")
    sequences = cutbench.sequences(shots, 2, seed=1000)
    ours = cutbench.measure(cutbench.detect, sequences)
    rival = cutbench.measure(cutbench.scenedetect_runner("HashDetector"), sequences)
    assert ours.right + ours.missed >= 50
    assert ours.f1 >= 0.95
    assert ours.f1 >= rival.f1
    assert ours.in_flash == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "old_film/a_bomb_1950s_part.mp4",
        "anime/onepiece_640x480.mp4",
        "interlaced/scte20_ntsc_704x480i.ts",
        "old_film/silent_chaplin.mp4",
    ],
)
def test_edits_of_untouched_clips_are_found(name, cutbench, shared):
    pictures = cutbench.decode(shared / "data" / name)
    assert cutbench.detect(pictures) == set(cutbench.REAL_EDITS[name])
