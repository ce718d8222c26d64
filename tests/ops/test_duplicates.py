"""Repeats: restored once, given again sample for sample, never taken for what they are not."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vrestore.media import Coding, Frame
from vrestore.ops.duplicates import DuplicatesConfig, Once, is_repeat
from vrestore.train.fields import repeated, weave
from vrestore.train.fieldtruth import as_frames, gliding, numbers

FILM = gliding(40)


class Restorer:
    """An op that holds `latency` frames back and gives samples that were never given before."""

    def __init__(self, latency: int) -> None:
        self.latency = latency
        self.seen: list[int] = []
        self._held: deque[Frame] = deque()

    def push(self, frame: Frame) -> list[Frame]:
        self.seen.append(frame.index)
        planes = (*frame.planes[:-1], torch.full_like(frame.planes[-1], len(self.seen)))
        self._held.append(replace(frame, planes=planes))
        return [self._held.popleft()] if len(self._held) > self.latency else []

    def flush(self) -> list[Frame]:
        return list(self._held)


def noisy(made, sigma, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        tuple(
            (plane + sigma * torch.randn(plane.shape, generator=generator))
            .round()
            .clamp(0, 255)
            .to(torch.uint8)
            for plane in planes
        )
        for planes in made
    ]


@pytest.mark.parametrize("latency", [0, 3])
@pytest.mark.parametrize("rate", ["8/24", "16/24", "18/25"])
def test_every_picture_is_restored_once_and_repeated_exactly(latency, rate, run_op):
    pairs = repeated(36, Fraction(rate))
    made = as_frames(weave(FILM, pairs))
    inner = Restorer(latency)
    op = Once(inner, noisy=False)
    out = run_op(op, made)
    distinct = sorted({top for top, _ in pairs})
    assert inner.seen == [[top for top, _ in pairs].index(n) for n in distinct]
    assert [(item.timestamp, item.duration, item.index) for item in out] == [
        (item.timestamp, item.duration, item.index) for item in made
    ]
    assert [int(item.planes[2][0, 0]) for item in out] == [top + 1 for top, _ in pairs]
    assert (op.report.frames, op.report.repeats) == (36, 36 - len(distinct))
    assert [note.values["repeats_share"] * 36 for note in op.notes] == [36 - len(distinct)]


def test_nearly_equal_repeats_are_known_where_noise_is_expected(run_op):
    made = as_frames(noisy(weave(FILM, repeated(36, Fraction(16, 24))), 0.7))
    exact, near = Once(Restorer(1), noisy=False), Once(Restorer(1), noisy=True)
    assert len(run_op(exact, made)) == len(run_op(near, made)) == 36
    # The very first repeat comes before any motion to compare it with.
    assert (exact.report.repeats, near.report.repeats) == (0, 11)


def test_floating_point_frames_are_measured_alike(run_op):
    made = as_frames(noisy(weave(FILM, repeated(24, Fraction(1, 2))), 0.7))
    unit = [
        replace(
            item, coding=Coding.UNIT, planes=tuple(plane.float() / 255 for plane in item.planes)
        )
        for item in made
    ]
    op = Once(Restorer(0), noisy=True)
    run_op(op, unit)
    assert op.report.repeats == 11


@pytest.mark.parametrize("speed", [0.05, 0.2])
def test_slow_motion_is_no_repeat(speed, run_op):
    op = Once(Restorer(0), noisy=True)
    slow = noisy(gliding(30, speed=speed), 0.5)
    run_op(op, as_frames(slow))
    assert op.report.repeats == 0


def test_a_small_thing_that_moves_is_no_repeat(run_op):
    still = [tuple(plane.clone() for plane in FILM[0]) for _ in range(12)]
    for t, planes in enumerate(still):
        planes[0][20:26, 4 * t : 4 * t + 6] = 255
    op = Once(Restorer(0), noisy=True)
    out = run_op(op, as_frames(noisy(still, 0.5)))
    assert op.report.repeats == 0 and len(out) == 12


def test_a_shot_never_begins_with_a_repeat(run_op):
    made = as_frames([FILM[0]] * 6, cuts=(0, 3))
    inner = Restorer(2)
    out = run_op(Once(inner, noisy=True), made)
    assert inner.seen == [0, 3]
    assert [item.shot_start for item in out] == [True, False, False] * 2


@given(
    shown=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    latency=st.integers(0, 4),
    cut=st.integers(0, 40),
)
def test_every_frame_comes_out_once_in_order_within_the_latency(shown, latency, cut):
    op = Once(Restorer(latency), noisy=True)
    made = as_frames([FILM[5 * n] for n in shown], cuts=(0, cut))
    out: list[Frame] = []
    for count, frame in enumerate(made, start=1):
        out += op.push(frame)
        assert count - len(out) <= op.latency
    out += op.flush()
    assert [item.index for item in out] == list(range(len(shown)))
    assert [item.timestamp for item in out] == [item.timestamp for item in made]
    luma = [FILM[5 * n][:1] for n in range(4)]
    only = [replace(item, planes=item.planes[:1], format=_gray(item)) for item in out]
    assert numbers(only, luma) == shown


def _gray(frame):
    return replace(
        frame.format, model=type(frame.format.model).GRAY, log2_chroma_w=0, log2_chroma_h=0
    )


def test_what_coding_may_change():
    assert is_repeat(0.0, 0.0) and is_repeat(1.0, 10.0)
    assert not is_repeat(1.0, 4.0) and not is_repeat(2.0, 100.0)


def test_a_wrong_mode_is_refused_by_its_name():
    with pytest.raises(ValueError, match=r"^mode must be"):
        DuplicatesConfig(mode="on")
