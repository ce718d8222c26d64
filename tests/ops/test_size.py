"""How large the output is."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vrestore.media import ColorModel, SampleFormat
from vrestore.ops.size import Pad, Rect, SizeConfig, parse_size, plan_size

EVEN = (2, 2)


def planned(width, height, samples=Fraction(1), scales=(1, 2, 3, 4), multiple=EVEN, **config):
    return plan_size(
        SizeConfig(**config), width, height, samples, network_scales=scales, multiple=multiple
    )


@pytest.mark.parametrize(
    ("source", "config", "picture", "scale", "sar"),
    [
        ((640, 480), {"fit": "4k"}, (2880, 2160), 4, 1),
        ((1920, 1080), {"fit": "4k"}, (3840, 2160), 2, 1),
        ((1920, 1080), {"fit": "8k"}, (7680, 4320), 4, 1),
        ((1080, 1920), {"fit": "4k"}, (2160, 3840), 2, 1),
        ((1920, 800), {"fit": "4k"}, (3840, 1600), 2, 1),
        ((854, 480), {"fit": "4k"}, (3840, 2158), 4, 1),
        ((3840, 2160), {"fit": "1080p"}, (1920, 1080), 1, 1),
        ((1280, 720), {"fit": "1280x720"}, (1280, 720), 1, 1),
        ((640, 360), {"fit": "1000x1000"}, (1000, 562), 2, 1),
        ((720, 576, Fraction(16, 15)), {"fit": "4k"}, (2700, 2160), 4, Fraction(16, 15)),
        ((720, 576, Fraction(16, 15)), {"fit": "4k", "sar": "square"}, (2880, 2160), 4, 1),
        ((720, 480, Fraction(8, 9)), {"fit": "4k"}, (3240, 2160), 4, Fraction(8, 9)),
        ((720, 480, Fraction(8, 9)), {"fit": "4k", "sar": "square"}, (2880, 2160), 4, 1),
        ((720, 480, Fraction(32, 27)), {"fit": "4k"}, (3240, 2160), 4, Fraction(32, 27)),
        ((720, 480, Fraction(8, 9)), {"scale": 2, "sar": "square"}, (1440, 1080), 3, 1),
        ((720, 576, Fraction(16, 15)), {"scale": 2}, (1440, 1152), 2, Fraction(16, 15)),
        ((320, 240), {"scale": 4}, (1280, 960), 4, 1),
        ((320, 240), {}, (320, 240), 1, 1),
    ],
)
def test_sizes_that_people_ask_for(source, config, picture, scale, sar):
    plan = planned(*source, **config)
    assert plan.picture == plan.output == picture
    assert plan.network_scale == scale
    assert plan.network == (source[0] * scale, source[1] * scale)
    assert plan.sar == sar
    assert not plan.pads


def test_beyond_the_network_the_resampler_goes_on():
    plan = planned(720, 576, fit="8k")
    assert (plan.network_scale, plan.network, plan.resamples) == (4, (2880, 2304), True)
    assert plan.picture == (5400, 4320)


@pytest.mark.parametrize(
    ("scales", "asked", "chosen"),
    [((1, 2, 4), 3, 4), ((2,), 1, 2), ((1, 2), 4, 2), ((4, 2), 2, 2), ((1,), 1, 1)],
)
def test_the_smallest_scale_that_reaches_is_chosen(scales, asked, chosen):
    plan = planned(100, 80, scale=asked, scales=scales)
    assert plan.network_scale == chosen
    assert plan.picture == (100 * asked, 80 * asked)
    assert plan.resamples == (chosen != asked)


def test_padding_fills_the_box_and_centres_the_picture():
    plan = planned(640, 480, fit="4k", pad=True)
    assert (plan.picture, plan.output, plan.offset) == ((2880, 2160), (3840, 2160), (480, 0))
    wide = planned(720, 576, Fraction(16, 15), fit="4k", pad=True)
    assert (wide.picture, wide.output) == ((2700, 2160), (3600, 2160))
    upright = planned(480, 640, fit="4k", pad=True)
    assert upright.output == (2160, 3840)


def test_odd_sizes_stay_where_the_encoder_takes_them():
    assert planned(177, 143, multiple=(1, 1)).output == (177, 143)
    grown = planned(177, 143)
    assert (grown.picture, grown.output, grown.offset) == ((177, 143), (178, 144), (0, 0))


@given(
    width=st.integers(16, 4096),
    height=st.integers(16, 4096),
    box=st.tuples(st.integers(64, 8192), st.integers(64, 8192)),
    sar=st.sampled_from([Fraction(1), Fraction(8, 9), Fraction(16, 15), Fraction(64, 45)]),
    square=st.booleans(),
    pad=st.booleans(),
)
def test_a_fitted_picture_is_inside_touches_and_keeps_its_shape(
    width, height, box, sar, square, pad
):
    plan = plan_size(
        SizeConfig(fit=f"{box[0]}x{box[1]}", sar="square" if square else "keep", pad=pad),
        width,
        height,
        sar,
        multiple=EVEN,
    )
    shown = plan.picture[0] * plan.sar, Fraction(plan.picture[1])
    for size in (shown, plan.picture):
        assert size[0] <= max(box[0], 2) and size[1] <= max(box[1], 2)
    if not pad:
        left = [box[i] - max(shown[i], plan.picture[i]) for i in (0, 1)]
        assert min(left) < 4 * max(plan.sar, 1)
    assert all(n % 2 == 0 for n in (*plan.picture, *plan.offset))
    # To within the rounding of either side to a multiple of 2.
    exact = width * sar / height
    low = (plan.picture[0] - 2) * plan.sar / (plan.picture[1] + 2)
    high = (plan.picture[0] + 2) * plan.sar / max(plan.picture[1] - 2, 1)
    assert low <= exact <= high or min(plan.picture) == 2
    assert all(plan.offset[i] + plan.picture[i] <= plan.output[i] for i in (0, 1))
    assert pad or plan.output == plan.picture


@pytest.mark.parametrize("text", ["", "4K5", "0x100", "100", "1920*1080", "-1x5", "100x", "16K"])
def test_sizes_that_make_no_sense_are_refused(text):
    with pytest.raises(ValueError, match="fit must be one of"):
        parse_size(text)


def test_names_may_be_written_in_capitals():
    assert parse_size("4K") == (3840, 2160)
    assert parse_size("640X480") == (640, 480)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scale": 5}, "scale must be"),
        ({"scale": 2, "fit": "4k"}, "exclude each other"),
        ({"pad": True}, "pad needs fit"),
        ({"sar": "round"}, "sar must be keep or square"),
        ({"bars": "crop"}, "bars must be"),
    ],
)
def test_settings_that_contradict_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        SizeConfig(**fields)


def test_parts_of_a_picture_scale_with_it():
    rect = Rect(x=0, y=140, width=1920, height=800)
    assert rect.scaled((1920, 1080), (3840, 2160), EVEN) == Rect(
        x=0, y=280, width=3840, height=1600
    )
    odd = Rect(x=8, y=0, width=704, height=575).scaled((720, 575), (1353, 1081), EVEN)
    assert (odd.x, odd.y, odd.x + odd.width, odd.y + odd.height) == (16, 0, 1338, 1081)


# ----------------------------------------------------------------------------------------- pad


def test_padding_is_black_and_leaves_the_picture_alone(yuv, make_frame, run_op):
    form = yuv("420", alpha=True)
    plan = planned(40, 40, fit="80x40", pad=True)
    planes = [torch.rand(form.plane_size(n, 40, 40)) for n in range(4)]
    (out,) = run_op(Pad(plan), [make_frame(planes, form)])
    assert (out.width, out.height) == (80, 40)
    assert torch.equal(out.planes[0][:, 20:60], planes[0])
    assert torch.equal(out.planes[1][:, 10:30], planes[1])
    for plane, black in zip(out.planes, (0.0, 0.5, 0.5, 1.0), strict=True):
        edge = plane.shape[1] // 4
        assert set(plane[:, :edge].flatten().tolist()) == {black}
        assert set(plane[:, -edge:].flatten().tolist()) == {black}


def test_a_picture_made_even_repeats_its_edge(yuv, make_frame, run_op):
    form = yuv("444")
    planes = [torch.rand(5, 7) for _ in range(3)]
    (out,) = run_op(Pad(planned(7, 5)), [make_frame(planes, form)])
    for before, after in zip(planes, out.planes, strict=True):
        assert torch.equal(after[:5, :7], before)
        assert torch.equal(after[:5, 7], before[:, 6])
        assert torch.equal(after[5], after[4])


def test_frames_of_another_size_are_refused(make_frame):
    frame = make_frame([torch.rand(4, 4)], SampleFormat(model=ColorModel.GRAY, depth=8))
    with pytest.raises(ValueError, match="Pad takes"):
        list(Pad(planned(7, 5)).push(frame))
