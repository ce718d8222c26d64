"""Films side by side: paired by time, at one size, and the numbers of known differences."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vrestore.errors import InputError
from vrestore.review.clips import Clip, common_size, luma, moments, same_shape
from vrestore.review.compare import compare
from vrestore.review.curves import Curves, measure
from vrestore.review.instants import Pick, picks, pictures
from vrestore.review.page.album import Album


def flat(codes: list[int], height: int = 32, width: int = 48) -> list[np.ndarray]:
    return [np.full((height, width), code, np.uint8) for code in codes]


def textured(count: int, seed: int = 0, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """One still picture, several times."""
    still = np.random.default_rng(seed).integers(60, 180, (height, width), dtype=np.uint8)
    return [still for _ in range(count)]


def shown_codes(paths: list[Clip]) -> list[tuple[int, ...]]:
    """Top left luma code of every clip at every moment."""
    return [tuple(int(frame.planes[0][0, 0]) for frame in m.frames) for m in moments(paths)]


# -------------------------------------------------------------------------------------- pairing


def test_a_clip_of_half_the_rate_shows_each_frame_twice(film):
    fast = Clip.of(film("fast.mkv", flat([20, 30, 40, 50, 60, 70])))
    slow = Clip.of(film("slow.mkv", flat([21, 41, 61]), tick=Fraction(2, 25)))
    assert shown_codes([fast, slow]) == [
        (20, 21), (30, 21), (40, 41), (50, 41), (60, 61), (70, 61)
    ]  # fmt: skip


def test_irregular_times_are_paired_by_time_and_not_by_number(film):
    times = [0, 40, 200, 240, 400]
    clip = Clip.of(film("a.mkv", flat([20, 30, 40, 50, 60]), pts=times, tick=Fraction(1, 1000)))
    # The same times, each rounded another way by at most 3 ms, and two pictures more.
    other = Clip.of(
        film("b.mkv", flat([20, 30, 35, 40, 50, 55, 60]), tick=Fraction(1, 1000),
             pts=[0, 43, 120, 198, 243, 320, 402])
    )  # fmt: skip
    assert shown_codes([clip, other]) == [(20, 20), (30, 30), (40, 40), (50, 50), (60, 60)]


def test_a_clip_that_begins_later_on_its_clock_is_paired_from_its_first_frame(film):
    early = Clip.of(film("a.mkv", flat([20, 30, 40])))
    late = Clip.of(film("b.mkv", flat([20, 30, 40]), pts=[50, 51, 52]))
    assert shown_codes([early, late]) == [(20, 20), (30, 30), (40, 40)]


def test_the_comparison_ends_with_the_shortest_clip(film):
    long = Clip.of(film("a.mkv", flat([20, 30, 40, 50])))
    short = Clip.of(film("b.mkv", flat([20, 30])))
    assert shown_codes([long, short]) == [(20, 20), (30, 30)]
    assert shown_codes([short, long]) == [(20, 20), (30, 30)]


def test_start_and_skip_say_which_frame_is_the_first(film):
    path = film("a.mkv", flat([20, 30, 40, 50, 60]))
    part = film("b.mkv", flat([40, 50, 60]))
    by_time = Clip.of(path, start=Fraction(7, 100))
    by_number = Clip.of(path, skip=2)
    for whole in (by_time, by_number):
        assert shown_codes([whole, Clip.of(part)]) == [(40, 40), (50, 50), (60, 60)]


def test_clips_without_a_common_instant_are_an_error_that_names_them(film):
    path = film("a.mkv", flat([20, 30]))
    with pytest.raises(InputError, match=r"no instant is shown by all of .*a\.mkv"):
        compare([Clip.of(path), Clip.of(path, start=Fraction(9))], title="")


def test_beginning_late_pairs_as_reading_from_the_start_does(film):
    """Long enough for the decoder to go straight to the place; every second of other rates."""
    codes = [16 + number % 200 for number in range(40 * 25)]
    fast = Clip.of(film("a.mkv", flat(codes, 16, 16)), start=Fraction(2))
    slow = Clip.of(
        film("b.mkv", flat(codes[50::2], 16, 16), pts=[7 + 80 * n for n in range(475)],
             tick=Fraction(1, 1000))
    )  # fmt: skip
    whole = {moment.seconds: moment for moment in moments([fast, slow])}
    for begin in (Fraction(0), Fraction(1, 2), Fraction(20), Fraction(2501, 100)):
        late = next(moments([fast, slow], begin=begin))
        assert late.seconds == min(second for second in whole if second >= begin)
        here, there = (
            [frame.planes[0][0, 0] for frame in moment.frames]
            for moment in (late, whole[late.seconds])
        )
        assert here == there


def test_a_long_film_is_measured_in_runs_spread_over_it(film):
    codes = [16 + number % 3 for number in range(100 * 25)]
    path = film("a.mkv", flat(codes, 16, 16))
    curves = measure([Clip.of(path), Clip.of(path)], most=192)
    assert curves.runs
    assert len(curves.number) == 192
    assert {int(second // 25) for second in curves.seconds} == {0, 1, 2, 3}
    assert all(math.isinf(value) for value in curves.psnr[1])
    instants, _ = pictures(
        [Clip.of(path)], [Pick(seconds=80.04, reason="")], Album(10**6, 1), size=None
    )
    assert [instant.notes[0] for instant in instants] == [["frame of 1:20.04"]]


# --------------------------------------------------------------------------------- size, colour


def test_numbers_are_taken_at_the_smallest_size_and_shapes_must_fit(film):
    small = Clip.of(film("a.mkv", flat([20])))
    large = Clip.of(film("b.mkv", flat([20], 64, 96)))
    wide = Clip.of(film("c.mkv", flat([20], 32, 96)))
    narrow = Clip.of(film("d.mkv", flat([20], 32, 24)))
    video = replace(narrow.info.video, sar=Fraction(2))
    squeezed = replace(narrow, info=replace(narrow.info, video=video))
    assert common_size([large, small]) == (48, 32)
    assert same_shape([small, large, squeezed])
    assert not same_shape([small, wide])


def test_the_same_colour_has_the_same_luma_whatever_the_matrix_it_is_stored_in(film):
    # R'G'B' = (0.8, 0.3, 0.2) in limited range: BT.709 and BT.601.
    first = Clip.of(film("a.mkv", flat([103]), chroma=(110, 178), colorspace=1))
    second = Clip.of(film("b.mkv", flat([112]), chroma=(107, 182), colorspace=6))
    (moment,) = moments([first, second])
    like = moment.frames[0].color
    sizes = common_size([first, second])
    values = [
        float(luma(frame, clip, sizes, like).mean())
        for frame, clip in zip(moment.frames, (first, second), strict=True)
    ]
    assert values[0] == pytest.approx(103, abs=1e-3)
    assert values[1] == pytest.approx(values[0], abs=1.0)


# -------------------------------------------------------------------------------------- numbers


def test_equal_clips_are_equal_in_every_number(film):
    path = film("a.mkv", textured(6))
    curves = measure([Clip.of(path), Clip.of(path)])
    assert curves.number == [0, 1, 2, 3, 4, 5]
    assert all(math.isinf(value) for value in curves.psnr[1])
    assert curves.mean_psnr == [None, math.inf]
    assert curves.flicker == [None, 0.0]
    assert curves.warping[0] == curves.warping[1]
    assert curves.sharpness[0] == curves.sharpness[1]


def test_a_constant_error_has_its_psnr_and_does_not_flicker(film):
    truth = textured(6)
    lighter = [plane + 5 for plane in truth]
    curves = measure([Clip.of(film("a.mkv", truth)), Clip.of(film("b.mkv", lighter))])
    assert curves.psnr[1] == pytest.approx([20 * math.log10(255 / 5)] * 6, abs=1e-3)
    assert curves.mean_psnr[1] == pytest.approx(20 * math.log10(255 / 5), abs=1e-3)
    assert curves.flicker[1] == pytest.approx(0, abs=1e-3)
    assert np.subtract(*curves.brightness[::-1]) == pytest.approx(5, abs=1e-3)


def test_flicker_is_measured_with_and_without_a_reference_and_a_cut_does_not_count(film):
    codes = np.random.default_rng(3).normal(0, 4, 80).round().astype(int)
    steady = [100] * 40 + [180] * 40
    trembling = [int(level + code) for level, code in zip(steady, codes, strict=True)]
    clips = [Clip.of(film("a.mkv", flat(steady))), Clip.of(film("b.mkv", flat(trembling)))]
    curves = measure(clips)
    assert curves.unsteadiness[0] == pytest.approx(0, abs=1e-3)
    assert curves.unsteadiness[1] == pytest.approx(codes.std(), rel=0.35)
    assert curves.flicker[1] == pytest.approx(codes.std(), rel=0.05)


def test_pictures_of_other_shapes_are_described_but_not_measured(film):
    clips = [Clip.of(film("a.mkv", flat([20, 30]))), Clip.of(film("b.mkv", flat([20, 30], 32, 96)))]
    curves = measure(clips)
    assert not curves.comparable
    assert curves.psnr == [[], []]
    assert len(curves.brightness[1]) == 2


# ---------------------------------------------------------------------------------------- picks


@given(
    nearness=st.lists(st.one_of(st.none(), st.just(math.inf), st.floats(10, 60)), max_size=60),
    count=st.integers(1, 12),
)
def test_picks_are_different_moments_in_order_and_as_many_as_there_can_be(nearness, count):
    seconds = [number / 25 for number in range(len(nearness))]
    chosen = [pick.seconds for pick in picks(seconds, nearness, count)]
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(seconds)
    assert len(chosen) <= min(count, len(seconds))
    if seconds:
        assert chosen


def test_the_moment_with_the_greatest_difference_is_among_the_picks():
    nearness = [40.0] * 50
    nearness[31] = 12.0
    chosen = picks([number / 25 for number in range(50)], nearness, 4)
    assert Pick(seconds=31 / 25, reason="large difference") in chosen


def test_pictures_are_of_the_moments_that_were_picked(film):
    clips = [
        Clip.of(film("a.mkv", flat([20, 80, 140, 200])), "before"),
        Clip.of(film("b.mkv", flat([20, 90, 140, 200])), "after"),
    ]
    chosen = [Pick(seconds=0.0400, reason="large difference")]
    instants, notes = pictures(clips, chosen, Album(10**6, 2), size=(48, 32))
    assert notes == ()
    (instant,) = instants
    assert (instant.label, instant.reason) == ("0:00.04", "large difference")
    assert instant.notes[0] == ["frame of 0:00.04"]
    assert instant.notes[1][:2] == ["frame of 0:00.04", f"PSNR {20 * math.log10(25.5):.2f} dB"]
    assert (instant.pictures[0].width, instant.pictures[0].height) == (48, 32)


def test_curves_know_the_farthest_clip_at_every_moment():
    curves = Curves(size=(8, 8), comparable=True, runs=False, psnr=[[], [30.0, 50.0], [40.0, 20.0]])
    assert curves.nearness == [30.0, 20.0]
    assert torch.tensor(curves.nearness).isfinite().all()
