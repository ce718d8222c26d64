"""Mixtures of two pictures: told from pictures, and mixed anew from what became of both."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.media import Coding, Frame
from vrestore.ops.dirt import Dirt, DirtConfig
from vrestore.ops.mixtures import Remixed, mixture_of
from vrestore.train.fieldtruth import as_frames, gliding

SHARE = 0.45


def unit(pictures, cuts=(0,), noise=0.0):
    """UNIT frames, after 8-bit coding with some noise."""
    generator = torch.Generator().manual_seed(3)

    def coded(plane):
        spoilt = plane.float() + noise * torch.randn(plane.shape, generator=generator)
        return spoilt.round().clamp(0, 255) / 255

    return [
        replace(frame, coding=Coding.UNIT, planes=tuple(coded(plane) for plane in frame.planes))
        for frame in as_frames(pictures, cuts=cuts)
    ]


def mixed(one, two, share=SHARE):
    return tuple(torch.lerp(a.float(), b.float(), share) for a, b in zip(one, two, strict=True))


def transferred(film):
    """Film of 16 pictures a second at 24: of three frames one is a mixture; and which are."""
    frames, mixtures = [], set()
    for number in range(0, len(film) - 1, 2):
        frames += [film[number], mixed(film[number], film[number + 1]), film[number + 1]]
        mixtures.add(len(frames) - 2)
    return frames, mixtures


class Restorer:
    """An op that holds frames back and adds to their samples; it knows which it saw."""

    def __init__(self, latency: int = 0) -> None:
        self.latency, self.seen = latency, []
        self._held: deque[Frame] = deque()

    def push(self, frame: Frame) -> list[Frame]:
        self.seen.append(frame.index)
        planes = tuple(plane + len(self.seen) for plane in frame.planes)
        self._held.append(replace(frame, planes=planes))
        return [self._held.popleft()] if len(self._held) > self.latency else []

    def flush(self) -> list[Frame]:
        return list(self._held)


@pytest.mark.parametrize("noise", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("latency", [0, 3])
def test_mixtures_are_mixed_from_the_results_and_only_pictures_are_restored(noise, latency, run_op):
    frames, mixtures = transferred(gliding(16, speed=4.0))
    source = unit(frames, noise=noise)
    inner = Restorer(latency)
    op = Remixed(inner)
    out = run_op(op, source)
    assert set(range(24)) - set(inner.seen) == mixtures
    assert [(f.index, f.timestamp, f.duration) for f in out] == [
        (f.index, f.timestamp, f.duration) for f in source
    ]
    for at in mixtures:
        share = mixture_of(source[at], source[at - 1], source[at + 1])
        assert share == pytest.approx(SHARE, abs=0.03)
        for plane, one, two in zip(*(f.planes for f in out[at : at + 2] + out[at - 1 : at]),
                                   strict=True):  # fmt: skip
            assert torch.allclose(plane, torch.lerp(two, one, share), atol=1e-6)
    assert [note.values["mixtures_share"] * 24 for note in op.notes] == [len(mixtures)]


@pytest.mark.parametrize("noise", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("speed", [0.0, 0.2, 0.5, 1.0, 3.0, 8.0])
def test_a_picture_between_two_others_is_no_mixture(speed, noise, run_op):
    inner = Restorer()
    run_op(Remixed(inner), unit(gliding(16, size=(160, 96), speed=speed), noise=noise))
    assert inner.seen == list(range(16))


def test_a_thing_that_moves_over_a_mixture_is_not_lost(run_op):
    frames, mixtures = transferred(gliding(16, speed=4.0))
    for at in mixtures:
        frames[at][0][16:40, 30:50] = 255.0
    inner = Restorer()
    run_op(Remixed(inner), unit(frames))
    assert inner.seen == list(range(24))


def test_nothing_is_mixed_across_a_cut(run_op):
    film = gliding(12, speed=4.0)
    frames = [film[0], film[3], mixed(film[3], film[6]), film[6]]
    for cut in (2, 3):
        inner = Restorer()
        run_op(Remixed(inner), unit(frames, cuts=(0, cut)))
        assert inner.seen == [0, 1, 2, 3]


def test_dust_that_a_mixture_shows_twice_goes_from_all_three_frames(run_op):
    film = gliding(12, size=(160, 96), speed=2.0)
    truth, _ = transferred(film)
    dusty = [tuple(plane.clone() for plane in planes) for planes in film]
    dusty[4][0][40:52, 60:74] = 10
    dusty[5][0][20:28, 100:108] = 250
    source, _ = transferred(dusty)

    def error(out):
        pairs = zip(out, unit(truth), strict=True)
        return max(float((a.planes[0] - b.planes[0]).abs().amax()) for a, b in pairs)

    config = DirtConfig(strength=0.6)
    alone = run_op(Dirt(config), unit(source))
    within = run_op(Remixed(Dirt(config)), unit(source))
    assert error(within) < 0.6 * error(alone)


@settings(max_examples=15)
@given(
    kinds=st.lists(st.booleans(), min_size=1, max_size=24),
    latency=st.integers(0, 3),
    cut=st.integers(0, 24),
)
def test_every_frame_comes_out_once_in_order_within_the_latency(kinds, latency, cut):
    film = gliding(26, speed=4.0)
    shown = [mixed(film[t], film[t + 1]) if kind else film[t] for t, kind in enumerate(kinds)]
    op = Remixed(Restorer(latency))
    out: list[Frame] = []
    for count, frame in enumerate(unit(shown, cuts=(0, cut)), start=1):
        out += op.push(frame)
        assert count - len(out) <= op.latency + 1
    out += op.flush()
    assert [frame.index for frame in out] == list(range(len(kinds)))
