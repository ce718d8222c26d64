"""Soft telecine: times of three and two fields in turn become those of film."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vrestore.media import Timestamp
from vrestore.ops.pulldown import EVEN_TICKS, EvenPulldown
from vrestore.train.fieldtruth import as_frames, gliding

PICTURE = gliding(1, size=(16, 16))[0]


def timed(durations, time_base=Fraction(1, 60000)):
    """Frames one after the other, of the given durations."""
    return [
        replace(
            frame,
            timestamp=Timestamp(pts=sum(durations[:t]) - 5, time_base=time_base),
            duration=durations[t],
        )
        for t, frame in enumerate(as_frames([PICTURE] * len(durations)))
    ]


def test_soft_telecine_becomes_film_exactly(run_op):
    made = timed([3 * 1001, 2 * 1001] * 12)
    op = EvenPulldown()
    out = run_op(op, made)
    assert {b.timestamp.seconds - a.timestamp.seconds for a, b in pairwise(out)} == {
        Fraction(1001, 24000)
    }
    assert all(a.planes is b.planes for a, b in zip(out, made, strict=True))
    assert op.evened == 24


def test_clocks_of_milliseconds_too(run_op):
    op = EvenPulldown()
    out = run_op(op, timed([50, 33, 50, 34, 50, 33], Fraction(1, 1000)))
    assert op.evened == 6
    gaps = [b.timestamp.pts - a.timestamp.pts for a, b in pairwise(out)]
    assert max(gaps) - min(gaps) <= EVEN_TICKS


def test_other_cadences_keep_their_times(run_op):
    for durations in ([40] * 8, [16, 33, 16, 50, 20], [1001, 1001, 2002]):
        op = EvenPulldown()
        made = timed(durations)
        out = run_op(op, made)
        assert op.evened == 0
        assert [item.timestamp.seconds for item in out] == [item.timestamp.seconds for item in made]


@given(durations=st.lists(st.sampled_from([20, 30, 31, 50]), min_size=1, max_size=20))
def test_durations_add_up_and_times_increase(durations):
    op = EvenPulldown()
    made = timed(durations)
    out = [*(done for frame in made for done in op.push(frame)), *op.flush()]
    assert sum(item.duration for item in out) == EVEN_TICKS * sum(durations)
    assert all(a.timestamp.pts + a.duration == b.timestamp.pts for a, b in pairwise(out))
    assert [item.index for item in out] == list(range(len(durations)))
