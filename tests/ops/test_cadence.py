"""Field order and cadence, told from the pictures against any flag."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from vrestore.media import ColorModel, FieldOrder, SampleFormat, Timestamp
from vrestore.ops.cadence import CadenceKind, survey_fields
from vrestore.ops.fields import FieldMeter
from vrestore.ops.patterns import STATES, Pattern
from vrestore.train.fields import interlaced, joined, repeated, shifted, telecine, weave, whole
from vrestore.train.fieldtruth import YUV420, as_frames, gliding

TFF, BFF, PROGRESSIVE = FieldOrder.TOP_FIRST, FieldOrder.BOTTOM_FIRST, FieldOrder.PROGRESSIVE
ORDERS = pytest.mark.parametrize("order", [TFF, BFF], ids=["tff", "bff"])
FLAGS = pytest.mark.parametrize("flag", [TFF, BFF, PROGRESSIVE], ids=["tff", "bff", "prog"])


def found(pairs, flag=PROGRESSIVE, **look):
    truth = gliding(1 + max(max(pair) for pair in pairs), **look)
    return survey_fields(as_frames(weave(truth, pairs), order=flag))


@FLAGS
@ORDERS
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (interlaced, CadenceKind.INTERLACED),
        (telecine, CadenceKind.TELECINE),
        (shifted, CadenceKind.PHASE_SHIFTED),
    ],
    ids=["interlaced", "telecine", "shifted"],
)
def test_cadence_and_order_are_measured_whatever_the_flags_say(make, kind, order, flag):
    cadence = found(make(20, order), flag)
    assert (cadence.kind, cadence.order) == (kind, order)
    assert cadence.confidence > 0.7
    assert cadence.flags_agree == (flag is order)
    assert cadence.needs_matching == (kind is not CadenceKind.INTERLACED)


@pytest.mark.parametrize("position", range(5))
def test_telecine_is_known_from_any_position(position):
    assert found(telecine(15, BFF, position)).kind is CadenceKind.TELECINE


@FLAGS
def test_whole_pictures_are_never_taken_for_interlaced(flag):
    cadence = found(whole(20), flag)
    assert cadence.kind is (CadenceKind.PROGRESSIVE if flag is PROGRESSIVE else CadenceKind.PSF)
    assert cadence.order is PROGRESSIVE
    assert cadence.usual is Pattern.WHOLE


@ORDERS
def test_a_mixture_is_called_one(order):
    cadence = found(joined(telecine(20, order), interlaced(20, order)))
    assert (cadence.kind, cadence.order) == (CadenceKind.HYBRID, order)
    assert cadence.needs_matching


@pytest.mark.parametrize("rate", ["8/24", "12/24", "16/24", "18/24", "18/25"])
def test_a_pull_up_shows_repeats(rate):
    cadence = found(repeated(36, Fraction(rate)))
    assert cadence.kind is CadenceKind.DUPLICATES
    assert cadence.duplicates == pytest.approx(1 - float(Fraction(rate)), abs=0.06)


def test_faint_motion_with_exact_repeats_is_a_pull_up():
    pairs = repeated(24, Fraction(1, 2))
    assert found(pairs, contrast=0.05, speed=0.5).duplicates == pytest.approx(0.5, abs=0.1)
    assert found(whole(24), contrast=0.05, speed=0.5).duplicates == 0


def test_a_still_scene_tells_nothing_and_is_no_pull_up():
    cadence = found([(0, 0)] * 20, TFF)
    assert (cadence.kind, cadence.order) == (CadenceKind.UNKNOWN, FieldOrder.UNKNOWN)
    assert cadence.confidence == 0 and cadence.duplicates == 0 and cadence.evidence == ()


def test_motion_that_stops_is_no_pull_up():
    pairs = [*whole(12), *[(11, 11)] * 12]
    assert found(pairs).kind is CadenceKind.PROGRESSIVE


@ORDERS
def test_a_dark_scene_is_enough(order):
    assert found(interlaced(20, order), contrast=0.15).order is order


@ORDERS
def test_noise_does_not_hide_it(order):
    made = weave(gliding(60), telecine(25, order))
    torch.manual_seed(3)
    noisy = [
        tuple(
            (plane.float() + 3 * torch.randn(plane.shape)).round().clamp(0, 255).to(torch.uint8)
            for plane in planes
        )
        for planes in made
    ]
    cadence = survey_fields(as_frames(noisy))
    assert (cadence.kind, cadence.order) == (CadenceKind.TELECINE, order)


@pytest.mark.parametrize(
    "form",
    [
        SampleFormat(model=ColorModel.GRAY, depth=8),
        SampleFormat(model=ColorModel.RGB, depth=12),
        SampleFormat(model=ColorModel.YCBCR, depth=10, log2_chroma_w=1),
    ],
    ids=["gray", "gbrp12", "yuv422p10"],
)
def test_any_format(form):
    made = weave(gliding(40, form), interlaced(16, BFF))
    cadence = survey_fields(as_frames(made, form))
    assert (cadence.kind, cadence.order) == (CadenceKind.INTERLACED, BFF)


def test_runs_from_several_places_are_not_compared_with_each_other():
    made = as_frames(weave(gliding(60), interlaced(30, TFF)))
    apart = [
        replace(
            frame,
            timestamp=Timestamp(
                pts=frame.timestamp.pts + 3_000_000 * (frame.index // 10),
                time_base=frame.timestamp.time_base,
            ),
        )
        for frame in made[20:] + made[:10]
    ]
    cadence = survey_fields(apart)
    assert (cadence.kind, cadence.order, cadence.frames) == (CadenceKind.INTERLACED, TFF, 20)
    assert cadence.telling < 19
    assert not {0, 20} & set(cadence.evidence)


def test_times_of_three_and_two_fields_are_soft_telecine():
    made = as_frames(gliding(12))
    pts = [t // 2 * 5 * 1001 + t % 2 * 3 * 1001 for t in range(12)]
    soft = [
        replace(frame, timestamp=replace(frame.timestamp, pts=at))
        for frame, at in zip(made, pts, strict=True)
    ]
    assert survey_fields(soft).kind is CadenceKind.SOFT_TELECINE
    assert survey_fields(made).kind is CadenceKind.PROGRESSIVE


def test_a_picture_too_low_for_fields_is_no_evidence():
    low = as_frames(gliding(6, size=(64, 12)))
    meter = FieldMeter()
    assert {meter.measure(frame).weight for frame in low} == {0.0}


@pytest.mark.parametrize("size", [(16, 16), (97, 63), (33, 34)])
def test_odd_and_small_sizes_are_measured(size):
    made = as_frames(weave(gliding(12, size=size), interlaced(6, TFF)), YUV420)
    meter = FieldMeter()
    assert all(meter.measure(frame).weight >= 0 for frame in made)


def test_every_state_follows_exactly_one():
    assert sorted(map(repr, STATES)) == sorted(repr(state.next) for state in STATES)
