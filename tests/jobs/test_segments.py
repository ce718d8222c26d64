"""Where runs are cut: everything once, no segment too long, the same whoever asks."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrestore.jobs.segments import Handles, cut_up

TICK = Fraction(1, 1000)


def cut(times, starts=(), *, first=0, seconds=1, handles=None):
    return cut_up(
        times,
        first,
        starts,
        time_base=TICK,
        seconds=Fraction(seconds),
        handles=handles or Handles(),
    )


STEADY = list(range(0, 10_000, 40))


def test_shots_are_put_together_up_to_the_limit():
    segments = cut(STEADY, (0, 10, 20, 50, 60), seconds=2)
    assert [(s.start, s.stop) for s in segments][:2] == [(0, 50), (50, 60)]
    assert not any(s.renewal for s in segments[:2])


def test_a_long_shot_is_renewed_in_equal_parts():
    segments = cut(STEADY, (100,), seconds=3)
    assert [s.start for s in segments] == [0, 50, 100, 175]
    assert [s.renewal for s in segments] == [False, True, False, True]


def test_handles_lie_around_renewals_and_fields_look_across_cuts():
    handles = Handles(fields=(3, 2), renewal=(12, 5))
    first, second, third = cut(STEADY[:130], (50,), seconds=2, handles=handles)
    assert (first.fed_from, first.fed_to, first.read_to) == (0, 50, 52)
    assert (second.fed_from, second.read_from, second.read_pts) == (50, 47, 47 * 40)
    assert (second.stop, second.fed_to, second.read_to) == (90, 95, 97)
    assert (third.start, third.fed_from, third.read_from) == (90, 78, 75)


def test_no_frames_make_no_segments():
    assert cut([]) == ()


@given(
    st.lists(st.integers(1, 900), min_size=1, max_size=120),
    st.sets(st.integers(0, 119)),
    st.integers(1, 3000),
    st.tuples(*[st.integers(0, 40)] * 4),
    st.integers(0, 1000),
)
def test_laws(steps, marks, limit, sizes, first):
    times = [sum(steps[:n]) for n in range(len(steps))]
    starts = sorted(first + mark for mark in marks if mark < len(times))
    handles = Handles(fields=sizes[:2], renewal=sizes[2:])
    segments = cut(times, starts, first=first, seconds=Fraction(limit, 1000), handles=handles)
    stop = first + len(times)
    assert segments[0].start == first and segments[-1].stop == stop
    assert all(a.stop == b.start for a, b in pairwise(segments))
    assert [s.number for s in segments] == list(range(len(segments)))
    for a, b in pairwise(segments):
        assert a.read_from <= b.read_from, "reading goes forward"
    for s in segments:
        assert first <= s.read_from <= s.fed_from <= s.start < s.stop <= s.fed_to <= s.read_to
        assert s.read_to <= stop
        assert s.read_pts == times[s.read_from - first]
        assert s.renewal == (s.start != first and s.start not in starts)
        last = times[s.stop - first - 1] - times[s.start - first]
        assert last <= limit, "only a single frame may last longer"


@pytest.mark.parametrize("length", [1, 2, 26, 251])
def test_what_is_short_is_one_segment(length):
    assert len(cut(STEADY[:length], seconds=11)) == 1
