"""Inverse telecine against known truth: film through pulldown and back, sample for sample."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.media import ColorModel, FieldOrder, SampleFormat
from vrestore.ops.cadence import CadenceKind, survey_fields
from vrestore.ops.fieldmatch import TICKS, MatchFields
from vrestore.ops.markfields import MarkFields
from vrestore.ops.matching import IvtcConfig, Matching, choose_matching
from vrestore.ops.patterns import Pattern
from vrestore.train.fields import (
    exact_pictures,
    interlaced,
    joined,
    shifted,
    telecine,
    weave,
    whole,
)
from vrestore.train.fieldtruth import PERIOD, as_frames, gliding, numbers

TFF, BFF, PROGRESSIVE = FieldOrder.TOP_FIRST, FieldOrder.BOTTOM_FIRST, FieldOrder.PROGRESSIVE
ORDERS = pytest.mark.parametrize("order", [TFF, BFF], ids=["tff", "bff"])
MOVING = gliding(48)
OTHER = gliding(48, seed=9)


def matched(made, run_op, plan=None):
    op = MatchFields(plan or Matching())
    out = run_op(op, made)
    assert op.report.pictures == len(out) == op.report.frames - op.report.dropped
    assert sum(item.duration for item in out) == TICKS * sum(item.duration for item in made)
    assert out[0].timestamp.seconds == made[0].timestamp.seconds
    assert all(a.timestamp.pts < b.timestamp.pts for a, b in pairwise(out))
    return out, op


@ORDERS
@pytest.mark.parametrize("position", range(5))
def test_telecined_film_comes_back_exactly_at_its_own_rate(order, position, run_op):
    pairs = telecine(35, order, position)
    out, op = matched(as_frames(weave(MOVING, pairs), order=TFF), run_op)
    assert numbers(out, MOVING) == exact_pictures(pairs)
    assert {item.field_order for item in out} == {PROGRESSIVE}
    gaps = {b.timestamp.seconds - a.timestamp.seconds for a, b in pairwise(out[1:])}
    assert gaps == {Fraction(1001, 24000)}
    assert {item.duration * item.timestamp.time_base for item in out[1:-1]} == gaps
    assert op.report.combed == 0 and op.report.woven in (6, 7, 8)


@ORDERS
def test_five_frames_become_four(order, run_op):
    out, op = matched(as_frames(weave(MOVING, telecine(40, order))), run_op)
    assert (op.report.frames, op.report.pictures, op.report.dropped) == (40, 32, 8)
    assert all(a.timestamp.pts + a.duration == b.timestamp.pts for a, b in pairwise(out))


@ORDERS
def test_film_half_a_frame_late_comes_back_exactly(order, run_op):
    pairs = shifted(30, order)
    out, op = matched(as_frames(weave(MOVING, pairs)), run_op)
    assert numbers(out, MOVING) == list(range(1, 30))
    assert {b.timestamp.pts - a.timestamp.pts for a, b in pairwise(out[1:])} == {TICKS * PERIOD}
    assert (op.report.woven, op.report.dropped, op.report.combed) == (29, 1, 0)


@pytest.mark.parametrize("flag", [TFF, BFF, PROGRESSIVE])
def test_whole_frames_pass_untouched(flag, run_op):
    made = as_frames(MOVING, order=flag)
    out, op = matched(made, run_op)
    assert all(a.planes is b.planes for a, b in zip(out, made, strict=True))
    assert [item.timestamp.seconds for item in out] == [item.timestamp.seconds for item in made]
    assert {item.field_order for item in out} == {PROGRESSIVE}
    assert op.report.dropped == 0


@ORDERS
def test_video_passes_with_the_order_that_was_measured(order, run_op):
    made = as_frames(weave(MOVING, interlaced(24, order)))
    out, op = matched(made, run_op)
    assert all(a.planes is b.planes for a, b in zip(out, made, strict=True))
    assert {item.field_order for item in out} == {order}
    assert op.report.combed == 24


@ORDERS
def test_a_mixture_is_taken_apart(order, run_op):
    pairs = joined(telecine(20, order), interlaced(20, order))
    truth = gliding(60)
    out, op = matched(as_frames(weave(truth, pairs)), run_op)
    film = [item for item in out if item.field_order is PROGRESSIVE]
    video = [item for item in out if item.field_order is order]
    assert len(film) + len(video) == len(out)
    assert numbers(film, truth) == list(range(16))
    assert len(video) == 20 and op.report.dropped == 4


# -------------------------------------------------------------------------------------- cuts


@ORDERS
@pytest.mark.parametrize("make", [telecine, shifted], ids=["telecine", "shifted"])
@pytest.mark.parametrize("cut", range(12, 16))
@pytest.mark.parametrize("marked_late", [0, 1], ids=["mixed", "after"])
def test_a_cut_in_the_film_loses_nothing(order, make, cut, marked_late, run_op):
    """The frame that holds a field of either shot may be marked, or the one after it."""
    film = [*MOVING[:cut], *OTHER[: 48 - cut]]
    pairs = make(35, order)
    first = next(t for t, pair in enumerate(pairs) if max(pair) >= cut)
    mixed = min(pairs[first]) < cut
    out, _ = matched(
        as_frames(weave(film, pairs), cuts=(0, first + (marked_late if mixed else 0))), run_op
    )
    assert numbers(out, film) == exact_pictures(pairs)
    starts = [n for n, item in zip(numbers(out, film), out, strict=True) if item.shot_start]
    assert starts == [exact_pictures(pairs)[0], cut]


@ORDERS
@pytest.mark.parametrize("before", range(12, 17))
@pytest.mark.parametrize("position", range(5))
def test_a_cut_in_the_video_breaks_the_cadence_and_mixes_no_shots(order, before, position, run_op):
    first, second = telecine(before, order), telecine(20, order, position)
    used = 1 + max(max(pair) for pair in first)
    film = [*MOVING[:used], *OTHER]
    pairs = joined(first, second)
    out, _ = matched(as_frames(weave(film, pairs), cuts=(0, before)), run_op)
    given = numbers(out, film)
    assert given == exact_pictures(pairs)
    assert [n >= used for n in given].index(True) == [item.shot_start for item in out].index(
        True, 1
    )


def test_other_shots_do_not_change_a_shot(run_op):
    pairs = telecine(20, TFF)
    cuts = (0, 20, 40)
    a = weave(MOVING, pairs)
    for before, after in ((OTHER, MOVING), (gliding(48, seed=4), OTHER)):
        made = [*weave(before, pairs), *a, *weave(after, interlaced(20, BFF))]
        out, _ = matched(as_frames(made, cuts=cuts), run_op)
        middle = [item for item in out if 20 <= item.index < 40]
        assert numbers(middle, MOVING) == list(range(16))


@given(
    parts=st.lists(
        st.tuples(
            st.sampled_from(["film", "late", "video", "whole", "still"]),
            st.integers(1, 9),
            st.sampled_from([TFF, BFF]),
        ),
        min_size=1,
        max_size=4,
    ),
    jitter=st.lists(st.integers(-20, 20), min_size=40, max_size=40),
)
@settings(max_examples=25)
def test_books_and_times_hold_for_any_mixture(parts, jitter, run_op):
    makers = {
        "film": telecine,
        "late": shifted,
        "video": interlaced,
        "whole": lambda count, _: whole(count),
        "still": lambda count, _: [(0, 0)] * count,
    }
    pairs = joined(*(makers[name](count, order) for name, count, order in parts))
    starts = [sum(count for _, count, _ in parts[:i]) for i in range(len(parts))]
    truth = gliding(1 + max(max(pair) for pair in pairs), size=(32, 32))
    made = [
        replace(
            item,
            timestamp=replace(item.timestamp, pts=item.timestamp.pts + shake),
            duration=PERIOD + shake,
        )
        for item, shake in zip(as_frames(weave(truth, pairs), cuts=starts), jitter, strict=False)
    ]
    out, op = matched(made, run_op)
    assert len(out) <= len(made)
    assert sum(item.shot_start for item in out) <= len(parts)
    assert out[0].shot_start
    assert sum(op.report.patterns.values()) == len(made)
    assert sum(note.frames for note in op.notes) == len(made)


def test_not_more_frames_are_held_than_promised():
    op = MatchFields(Matching())
    given = 0
    made = as_frames(weave(gliding(80), telecine(90, TFF)))
    for taken, frame in enumerate(made, start=1):
        given += len(list(op.push(frame)))
        # Four pictures for five frames.
        assert taken - given * Fraction(5, 4) <= op.latency + 1


@pytest.mark.parametrize(
    "form",
    [
        SampleFormat(model=ColorModel.GRAY, depth=16),
        SampleFormat(model=ColorModel.YCBCR, depth=10, log2_chroma_w=1, alpha=True),
    ],
    ids=["gray16", "yuva422p10"],
)
def test_every_plane_of_other_formats_too(form, run_op):
    film = gliding(20, form)
    out, _ = matched(as_frames(weave(film, telecine(25, BFF)), form), run_op)
    assert numbers(out, film) == list(range(20))


# --------------------------------------------------------------------------------- decisions


def test_names_of_other_tools_mean_auto():
    assert not IvtcConfig().enabled
    for name in ("auto", "detelecine", "fieldmatch", "pullup"):
        assert IvtcConfig(mode=name).enabled
    with pytest.raises(ValueError, match=r"^mode must be one of auto, off, detelecine"):
        IvtcConfig(mode="on")


def test_only_film_in_fields_is_matched():
    auto = IvtcConfig(mode="auto")
    film = survey_fields(as_frames(weave(MOVING, telecine(25, BFF))))
    assert film.kind is CadenceKind.TELECINE
    assert choose_matching(auto, film) == Matching(usual=Pattern.PULLDOWN, order=BFF)
    assert choose_matching(IvtcConfig(), film) is None
    video = survey_fields(as_frames(weave(MOVING, interlaced(20, BFF))))
    assert choose_matching(auto, video) is None
    assert choose_matching(auto, survey_fields(as_frames(MOVING))) is None
    assert choose_matching(auto, None) == Matching()


def test_a_still_scene_keeps_the_rate_of_the_film_around_it(run_op):
    still = as_frames([MOVING[0]] * 20)
    out, _ = matched(still, run_op, Matching(usual=Pattern.PULLDOWN, order=TFF))
    assert len(out) == 16
    assert len(matched(still, run_op)[0]) == 20


# ------------------------------------------------------------------------------------- flags


@ORDERS
def test_flags_are_set_right(order, run_op):
    pairs = joined(whole(16), interlaced(16, order))
    made = as_frames(weave(gliding(60), pairs), order=BFF if order is TFF else TFF, cuts=(0, 16))
    out = run_op(MarkFields(Matching()), made)
    assert [item.field_order for item in out] == [PROGRESSIVE] * 16 + [order] * 16
    assert all(a.planes is b.planes for a, b in zip(out, made, strict=True))


def test_of_telecined_frames_two_of_five_comb(run_op):
    out = run_op(MarkFields(Matching()), as_frames(weave(MOVING, telecine(20, TFF))))
    assert [item.field_order for item in out] == 4 * [
        *[PROGRESSIVE] * 2,
        *[TFF] * 2,
        PROGRESSIVE,
    ]
    assert torch.equal(out[0].planes[0], MOVING[0][0])
