"""Black bars: found only with evidence, and put back as they were."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vrestore.media import ChromaLocation, Coding, ColorModel, ColorSpec, Range, SampleFormat
from vrestore.ops.bars import BarsAround, find_bars, profile
from vrestore.ops.resample import Resample
from vrestore.ops.size import Rect

GRAY = SampleFormat(model=ColorModel.GRAY, depth=8)
LIMITED = ColorSpec(range=Range.LIMITED, chroma_location=ChromaLocation.LEFT)
WHOLE = Rect(x=0, y=0, width=160, height=90)


def scene(seed, top=0, bottom=0, left=0, right=0, brightness=1.0):
    """A textured picture of 160x90 with bars of black noise."""
    generator = torch.Generator().manual_seed(seed)
    plane = 0.02 * torch.rand(90, 160, generator=generator)
    inside = torch.rand(90 - top - bottom, 160 - left - right, generator=generator)
    plane[top : 90 - bottom, left : 160 - right] = brightness * (0.2 + 0.6 * inside)
    return plane


def found(planes, make_frame, multiple=(2, 2)):
    return find_bars([profile(make_frame([plane], GRAY)) for plane in planes], multiple)


@pytest.mark.parametrize(
    "bars",
    [
        {"top": 12, "bottom": 12},
        {"left": 20, "right": 20},
        {"top": 8, "bottom": 14},
        {"left": 4},
        {"top": 10, "bottom": 10, "left": 16, "right": 16},
        {"right": 8},
    ],
)
def test_bars_are_found_to_the_sample(bars, make_frame):
    result = found([scene(n, **bars) for n in range(12)], make_frame)
    sides = [bars.get(side, 0) for side in ("left", "top", "right", "bottom")]
    left, top, right, bottom = sides
    assert result.found
    assert result.picture == Rect(x=left, y=top, width=160 - left - right, height=90 - top - bottom)
    assert [seen > 0 for seen in result.evidence] == [side > 0 for side in sides]


def test_edges_move_into_the_bar_to_a_multiple(make_frame):
    result = found([scene(n, top=11, bottom=13, left=7) for n in range(8)], make_frame)
    assert result.picture == Rect(x=6, y=10, width=154, height=68)


@pytest.mark.parametrize("brightness", [0.0, 0.02, 0.05])
def test_a_dark_film_is_never_cropped(brightness, make_frame):
    result = found(
        [scene(n, top=12, bottom=12, brightness=brightness) for n in range(20)], make_frame
    )
    assert not result.found
    assert result.picture == WHOLE


def test_a_dark_scene_with_a_lamp_is_not_cropped_to_the_lamp(make_frame):
    planes = []
    for n in range(20):
        plane = 0.02 * torch.rand(90, 160)
        plane[30 + n : 50 + n, 60 + 2 * n : 90 + 2 * n] = 0.8
        planes.append(plane)
    assert not found(planes, make_frame).found


def test_one_bright_frame_is_no_evidence(make_frame):
    planes = [torch.zeros(90, 160) for _ in range(20)] + [scene(0, top=12, bottom=12)]
    assert not found(planes, make_frame).found


def test_the_widest_picture_wins(make_frame):
    """A film of two formats is cropped to the larger one only."""
    planes = [scene(n, top=12, bottom=12) for n in range(10)] + [
        scene(n, top=6, bottom=6) for n in range(10)
    ]
    assert found(planes, make_frame).picture == Rect(x=0, y=6, width=160, height=78)


def test_subtitles_in_a_bar_are_picture(make_frame):
    planes = [scene(n, top=12, bottom=12) for n in range(20)]
    planes[7][82:86, 40:120] = 0.9
    picture = found(planes, make_frame).picture
    assert picture.y == 12
    assert picture.y + picture.height >= 86


def test_profiles_are_the_same_for_every_coding(yuv, make_frame):
    form = yuv("420", 10)
    unit = scene(0, top=12, bottom=12)
    codes = (unit * 876 + 64).round()
    chroma = torch.zeros(45, 80)
    planes = [codes.to(torch.uint16), chroma.to(torch.uint16), chroma.to(torch.uint16)]
    by_code = profile(make_frame(planes, form, coding=Coding.CODE, color=LIMITED))
    by_unit = profile(make_frame([unit, chroma, chroma], form, color=LIMITED))
    assert torch.allclose(by_code.rows, by_unit.rows, atol=1e-3)
    assert torch.allclose(by_code.columns, by_unit.columns, atol=1e-3)


def test_no_profiles_are_refused():
    with pytest.raises(ValueError, match="at least one profile"):
        find_bars([])


# ------------------------------------------------------------------------------------ put back


class Delayed:
    """Holds back one frame and inverts the picture, which makes it easy to tell apart."""

    latency = 1

    def __init__(self, inner=None):
        self.inner, self.held, self.sizes = inner, [], set()

    def push(self, frame):
        self.sizes.add((frame.width, frame.height))
        self.held.append(replace(frame, planes=tuple(1 - plane for plane in frame.planes)))
        if len(self.held) == 2:
            yield from self.inner.push(self.held.pop(0))

    def flush(self):
        while self.held:
            yield from self.inner.push(self.held.pop(0))


class Same:
    latency = 0

    def push(self, frame):
        yield frame

    def flush(self):
        return ()


@pytest.mark.parametrize("layout", ["420", "422", "444"])
def test_bars_come_back_bit_for_bit_at_scale_one(layout, yuv, make_frame, run_op):
    form = yuv(layout)
    picture = Rect(x=6, y=10, width=40, height=20)
    frames = [
        make_frame(
            [torch.rand(form.plane_size(n, 51, 37)) for n in range(3)], form, color=LIMITED, index=i
        )
        for i in range(4)
    ]
    inner = Delayed(Same())
    around = BarsAround(inner, picture, to_picture=picture, to_size=(51, 37))
    assert around.latency == 1
    out = run_op(around, frames)
    assert inner.sizes == {(40, 20)}
    assert [frame.index for frame in out] == [0, 1, 2, 3]
    for before, after in zip(frames, out, strict=True):
        for number, (a, b) in enumerate(zip(before.planes, after.planes, strict=True)):
            chroma = number and layout != "444"
            x, y = (6 >> (1 if chroma else 0)), (10 >> (1 if number and layout == "420" else 0))
            w, h = (40 >> (1 if chroma else 0)), (20 >> (1 if number and layout == "420" else 0))
            inside = torch.zeros_like(a, dtype=torch.bool)
            inside[y : y + h, x : x + w] = True
            assert torch.equal(b[~inside], a[~inside])
            assert torch.equal(b[inside], (1 - a)[inside])


def test_bars_are_scaled_without_the_picture_bleeding_in(yuv, make_frame, run_op):
    form = yuv("420")
    planes = [torch.full((48, 64), 0.05), torch.full((24, 32), 0.45), torch.full((24, 32), 0.55)]
    planes[0][8:40, 16:48] = 0.9
    planes[1][4:20, 8:24] = 0.1
    picture = Rect(x=16, y=8, width=32, height=32)
    to_picture = picture.scaled((64, 48), (150, 112), (2, 2))
    inner = Resample(to_picture.width, to_picture.height)
    around = BarsAround(inner, picture, to_picture=to_picture, to_size=(150, 112))
    (out,) = run_op(around, [make_frame(planes, form, color=LIMITED)])
    assert (out.width, out.height) == (150, 112)
    inside = torch.zeros(112, 150, dtype=torch.bool)
    inside[
        to_picture.y : to_picture.y + to_picture.height,
        to_picture.x : to_picture.x + to_picture.width,
    ] = True
    assert torch.allclose(out.planes[0][~inside], torch.tensor(0.05), atol=1e-6)
    assert torch.allclose(out.planes[0][inside], torch.tensor(0.9), atol=1e-6)
    assert torch.allclose(out.planes[1][~inside[::2, ::2]], torch.tensor(0.45), atol=1e-6)
    assert torch.allclose(out.planes[1][inside[::2, ::2]], torch.tensor(0.1), atol=1e-6)


def test_frames_that_do_not_fit_the_hole_are_refused(make_frame):
    picture = Rect(x=0, y=2, width=8, height=4)
    around = BarsAround(
        Same(), picture, to_picture=Rect(x=0, y=4, width=16, height=8), to_size=(16, 16)
    )
    with pytest.raises(ValueError, match="expected a picture"):
        list(around.push(make_frame([torch.rand(8, 8)], GRAY)))


def test_bars_that_the_source_does_not_have_are_refused(make_frame):
    around = BarsAround(
        Same(),
        Rect(x=0, y=0, width=8, height=8),
        to_picture=Rect(x=0, y=2, width=8, height=8),
        to_size=(8, 12),
    )
    with pytest.raises(ValueError, match=r"Rect\.scaled"):
        list(around.push(make_frame([torch.rand(8, 8)], GRAY)))
