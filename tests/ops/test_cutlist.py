"""Cut lists: text and back, and frames marked by them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vrestore.media import ColorModel, SampleFormat, Timestamp
from vrestore.ops.cutlist import Cut, MarkCuts, format_cuts, parse_cuts

GRAY = SampleFormat(model=ColorModel.GRAY, depth=8)

CUTS = st.lists(
    st.builds(
        lambda frame, pts, tick: Cut(frame=frame, at=Timestamp(pts=pts, time_base=tick)),
        st.integers(0, 10**7),
        st.integers(-(10**12), 10**12),
        st.sampled_from(
            [Fraction(1, 90000), Fraction(1001, 30000), Fraction(1, 1000), Fraction(1)]
        ),
    )
)


@given(cuts=CUTS)
def test_a_list_survives_being_text(cuts):
    assert parse_cuts(format_cuts(cuts)) == tuple(cuts)


def test_a_list_may_be_written_by_hand():
    text = "# my cuts\n0\n48   # the door\n\n12.5\n1:02.25\n1:00:00.001\n"
    assert parse_cuts(text) == (
        Cut(frame=0),
        Cut(frame=48),
        Cut(seconds=Fraction(25, 2)),
        Cut(seconds=Fraction(249, 4)),
        Cut(seconds=Fraction(3600001, 1000)),
    )


@pytest.mark.parametrize(
    "line", ["-3", "x", "1 2", "0 0 0/1 0", "0 0 1/0 0", "0 1.5 1/25 0", "1e3", "-1 0 1/25 0"]
)
def test_a_line_that_cannot_be_read_is_named(line):
    with pytest.raises(ValueError, match="line 2: expected a frame number"):
        parse_cuts(f"5\n{line}\n")


def test_only_known_frames_are_exported():
    with pytest.raises(ValueError, match="known frame and time"):
        format_cuts([Cut(frame=3)])


def test_a_cut_of_nothing_is_refused():
    with pytest.raises(ValueError, match="frame number or a time"):
        Cut()


def marked(cuts, make_frame, run_op, times, first_index=0):
    frames = [
        replace(
            make_frame([torch.zeros(1, 1)], GRAY, index=first_index + n),
            timestamp=Timestamp(pts=pts, time_base=Fraction(1, 1000)),
        )
        for n, pts in enumerate(times)
    ]
    return [frame.timestamp.pts for frame in run_op(MarkCuts(cuts), frames) if frame.shot_start]


def test_frames_are_marked_by_exact_time_whatever_the_time_base(make_frame, run_op):
    cuts = [Cut(frame=999, at=Timestamp(pts=2, time_base=Fraction(1, 25)))]
    assert marked(cuts, make_frame, run_op, [0, 40, 80, 120]) == [0, 80]


def test_frames_are_marked_by_number(make_frame, run_op):
    assert marked([Cut(frame=12)], make_frame, run_op, [0, 40, 80], first_index=10) == [0, 80]


def test_a_time_marks_the_first_frame_at_or_after_it(make_frame, run_op):
    cuts = parse_cuts("0.041\n0.100\n")
    assert marked(cuts, make_frame, run_op, [0, 40, 80, 120, 160]) == [0, 40, 120]


def test_times_before_the_start_mark_nothing_but_the_start(make_frame, run_op):
    assert marked(parse_cuts("1.0\n2.0\n9.0"), make_frame, run_op, [5000, 5040]) == [5000]


def test_an_empty_list_is_one_shot(make_frame, run_op):
    assert marked([], make_frame, run_op, [3, 4, 5]) == [3]


def test_older_marks_are_replaced(make_frame, run_op):
    frames = [make_frame([torch.zeros(1, 1)], GRAY, index=n, shot_start=True) for n in range(3)]
    assert [frame.shot_start for frame in run_op(MarkCuts([Cut(frame=2)]), frames)] == [
        True,
        False,
        True,
    ]
