"""The rule that repairs times."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrestore.io.timestamps import (
    JUMP_SECONDS,
    SourceTime,
    Timed,
    TimeRepair,
    parse_seconds,
    rounded,
)

TICK = Fraction(1, 1000)
maybe = st.none() | st.integers(-(10**6), 10**6)
times = st.lists(
    st.builds(SourceTime, pts=maybe, dts=maybe, duration=st.none() | st.integers(-2, 5000))
)
rates = st.none() | st.sampled_from([Fraction(24000, 1001), Fraction(25), Fraction(1000)])


def repaired(
    source: list[SourceTime], rate: Fraction | None = None, tick: Fraction = TICK
) -> list[Timed[int]]:
    repair: TimeRepair[int] = TimeRepair(tick, rate)
    out: list[Timed[int]] = []
    for number, time in enumerate(source):
        out += repair.push(number, time)
    return [*out, *repair.flush()]


@given(times, rates)
def test_every_picture_comes_out_once_in_order_with_growing_time(
    source: list[SourceTime], rate: Fraction | None
) -> None:
    out = repaired(source, rate)
    assert [timed.item for timed in out] == list(range(len(source)))
    assert all(a.pts < b.pts for a, b in pairwise(out))
    assert all(timed.duration > 0 for timed in out)


@given(st.lists(st.integers(-(10**9), 10**9), unique=True).map(sorted), rates, st.integers(1, 99))
def test_valid_times_are_never_touched(
    pts: list[int], rate: Fraction | None, duration: int
) -> None:
    out = repaired([SourceTime(pts=p, duration=duration) for p in pts], rate)
    assert [timed.pts for timed in out] == pts
    assert all(timed.duration == duration and not timed.repaired for timed in out)


@given(st.lists(st.integers(0, JUMP_SECONDS * 1000 - 1), min_size=1))
def test_small_disorder_is_repaired_by_the_smallest_possible_change(pts: list[int]) -> None:
    smallest = [pts[0]]
    for value in pts[1:]:
        smallest.append(max(value, smallest[-1] + 1))
    out = repaired([SourceTime(pts=p, duration=1) for p in pts])
    if max(smallest) - min(pts) < JUMP_SECONDS * 1000:
        assert [timed.pts for timed in out] == smallest
        assert [timed.repaired for timed in out] == [
            a != b for a, b in zip(pts, smallest, strict=True)
        ]


@given(st.integers(1, 3000), st.sampled_from([Fraction(24000, 1001), Fraction(25), Fraction(15)]))
def test_a_stream_without_times_gets_those_of_its_rate_without_drift(
    count: int, rate: Fraction
) -> None:
    out = repaired([SourceTime(pts=None)] * count, rate)
    assert [timed.pts for timed in out] == [rounded(n / (rate * TICK)) for n in range(count)]


def test_a_missing_pts_comes_from_the_dts_at_the_known_distance() -> None:
    source = [
        SourceTime(pts=80, dts=40, duration=40),
        SourceTime(pts=None, dts=90, duration=40),
        SourceTime(pts=None, dts=None, duration=40),
        SourceTime(pts=220, dts=180, duration=40),
    ]
    assert [timed.pts for timed in repaired(source)] == [80, 130, 170, 220]


def test_a_missing_duration_is_the_distance_to_the_next_picture() -> None:
    out = repaired([SourceTime(pts=0), SourceTime(pts=33), SourceTime(pts=100)])
    assert [timed.duration for timed in out] == [33, 67, 67]


def test_a_single_picture_lasts_one_period() -> None:
    assert repaired([SourceTime(pts=7)], Fraction(25))[0].duration == 40
    assert repaired([SourceTime(pts=7)])[0].duration == 1


def test_a_known_duration_is_given_at_once() -> None:
    repair: TimeRepair[str] = TimeRepair(TICK)
    assert [t.item for t in repair.push("a", SourceTime(pts=0, duration=40))] == ["a"]
    assert list(repair.push("b", SourceTime(pts=40))) == []
    assert [t.item for t in repair.push("c", SourceTime(pts=80, duration=40))] == ["b", "c"]


def test_a_clock_that_was_reset_goes_on_where_it_was() -> None:
    first = [SourceTime(pts=90_000 + 40 * n, duration=40) for n in range(3)]
    second = [SourceTime(pts=40 * n, duration=40) for n in range(3)]
    out = repaired(first + second)
    assert [timed.pts for timed in out] == [90_000 + 40 * n for n in range(6)]
    assert [timed.repaired for timed in out] == [False] * 3 + [True] * 3


def test_pauses_stay() -> None:
    source = [SourceTime(pts=p, duration=40) for p in (0, 40, 60_000, 60_040)]
    assert [timed.pts for timed in repaired(source)] == [0, 40, 60_000, 60_040]


@given(st.fractions(-1000, 1000))
def test_rounding_goes_to_the_nearest_and_halves_away_from_zero(value: Fraction) -> None:
    assert abs(rounded(value) - value) <= Fraction(1, 2)
    assert rounded(-value) == -rounded(value)
    assert rounded(Fraction(1, 2)) == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("12.5", "12.5"), ("0", "0"), ("1:02.25", "62.25"), ("01:00:02", "3602"), ("90", "90")],
)
def test_times_are_read_exactly(text: str, seconds: str) -> None:
    assert parse_seconds(text) == Fraction(seconds)


@pytest.mark.parametrize("text", ["", "-1", "1:2:3:4", "1e3", "1:60", "1.5:00", "a", "1/3", "1..2"])
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_seconds(text)
