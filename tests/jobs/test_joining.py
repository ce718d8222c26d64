"""Decoding times across segments."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrestore.errors import VRestoreError
from vrestore.jobs.joining import in_decoding_order
from vrestore.jobs.keeping import reorder_depth


def packets(times):
    for pts in times:
        packet = av.Packet(b"x")
        packet.pts, packet.duration, packet.time_base = pts, 40, Fraction(1, 1000)
        yield packet


def reordered(times, group):
    """As encoders do it: the last of each group first, each segment's first picture first."""
    made = times[:1]
    for at in range(1, len(times), group):
        part = times[at : at + group]
        made += [part[-1], *part[:-1]]
    return made


@given(
    st.lists(
        st.tuples(st.lists(st.integers(1, 200), min_size=1, max_size=30), st.integers(1, 5)),
        min_size=1,
        max_size=5,
    )
)
def test_times_rise_and_no_picture_is_decoded_after_it_is_shown(segments):
    at, order, depth = 0, [], 0
    for steps, group in segments:
        times = []
        for step in steps:
            times.append(at)
            at += step
        decoded = reordered(times, group)
        depth = max(depth, reorder_depth(decoded))
        order += decoded
    done = list(in_decoding_order(packets(order), depth))
    assert [p.pts for p in done] == order
    assert all(a.dts < b.dts for a, b in pairwise(done))
    assert all(p.dts <= p.pts for p in done)


def test_pictures_that_overlap_are_refused():
    with pytest.raises(VRestoreError, match="overlap"):
        list(in_decoding_order(packets([0, 40, 80, 40, 120]), 0))
