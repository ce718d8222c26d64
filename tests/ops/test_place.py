"""Frames on their way between devices; a double stands in for CUDA's copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import torch

from vrestore.media import Coding, ColorModel, ColorSpec, Frame, SampleFormat, Timestamp
from vrestore.ops.place import Copied, Fetch, Place

GRAY = SampleFormat(model=ColorModel.GRAY, depth=8)


def frame(number: int, device: str) -> Frame:
    return Frame(
        planes=(torch.full((2, 2), number, dtype=torch.uint8, device=device),), format=GRAY,
        coding=Coding.CODE, color=ColorSpec(), index=number, duration=1,
        timestamp=Timestamp(pts=number, time_base=Fraction(1, 25)), ready=object(),
    )  # fmt: skip


class LateCopies:
    """A double for copies out of a device: their contents arrive when they are waited for."""

    def __init__(self) -> None:
        self.waited: list[int] = []
        self.started = 0

    def __call__(self, planes: Sequence[torch.Tensor]) -> Copied:
        number, self.started = self.started, self.started + 1
        made = tuple(torch.zeros(p.shape, dtype=p.dtype) for p in planes)

        def wait() -> None:
            self.waited.append(number)
            for plane in made:
                plane.fill_(number)

        return made, wait


def run(op: Fetch | Place, frames: Sequence[Frame]) -> list[Frame]:
    return [out for f in frames for out in op.push(f)] + list(op.flush())


def test_frames_are_handed_on_after_their_copy_has_arrived_each_once_in_order() -> None:
    copies = LateCopies()
    made = run(Fetch(copies), [frame(n, "meta") for n in range(4)])
    assert [f.index for f in made] == copies.waited == [0, 1, 2, 3]
    assert [int(f.planes[0][0, 0]) for f in made] == [0, 1, 2, 3]
    assert all(f.ready is None for f in made)


def test_a_copy_is_waited_for_when_the_next_has_begun() -> None:
    copies = LateCopies()
    op = Fetch(copies)
    assert list(op.push(frame(0, "meta"))) == [] and copies.waited == []
    (first,) = op.push(frame(1, "meta"))
    assert (first.index, copies.started, copies.waited) == (0, 2, [0])
    assert Fetch.latency == 1


def test_frames_in_main_memory_pass_in_their_turn() -> None:
    places = ("meta", "cpu", "cpu", "meta", "cpu")
    frames = [frame(n, place) for n, place in enumerate(places)]
    made = run(Fetch(LateCopies()), frames)
    assert [f.index for f in made] == [0, 1, 2, 3, 4]
    assert made[1] is frames[1]


def test_what_is_in_its_place_stays_the_same_object() -> None:
    only = replace(frame(0, "cpu"), ready=None)
    assert run(Place(torch.device("cpu")), [only]) == [only]
