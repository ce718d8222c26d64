"""Telling fast objects from dirt.

A ball or a bird that moves farther than its own size shows at each place for one frame only, like
dirt.  But it is seen in the frame before and the frame after too, on a straight way through its
place, with the same look; dirt is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vrestore.ops.regions import Regions

__all__ = ["Blobs", "Way", "blobs", "on_a_way"]

_FARTHEST = 0.2
"""Longest way from frame to frame, as a share of the picture's width."""

_NEAREST = 28.0
"""The same in samples, at least."""

_SLACK = 3.0
"""Samples by which the third place may miss the straight way, besides a share of its length."""

_BEND = 0.15
_TONE = 0.15
"""Usual difference of the mean luma, on the unit scale."""

_COLOUR = 0.08
"""The same of Cb and Cr."""

_GROWTH = 0.7
"""Usual difference of the logarithm of the area."""

_LEAST, _MOST = 4, 300
"""Samples of the smallest blob that counts, and how many blobs of a frame do."""

_TRIED = 8
"""Likeliest places in the first frame that are followed on to the second."""

_UNLIKE = 9.0
"""Cost that stands for no match."""

_ALIKE = 2.0
"""Cost up to which two blobs look alike."""


@dataclass(frozen=True, slots=True)
class Blobs:
    """Regions by their place and look, (n,) each."""

    x: torch.Tensor
    y: torch.Tensor
    area: torch.Tensor
    tone: torch.Tensor
    sign: torch.Tensor
    colour: torch.Tensor
    """(n, 2) Cb and Cr, 0 for grey."""

    def largest(self) -> Blobs:
        """At most `_MOST` of them, none below `_LEAST` samples."""
        keep = self.area.argsort(descending=True, stable=True)[:_MOST]
        keep = keep[self.area[keep] >= _LEAST]
        return Blobs(*(getattr(self, name)[keep] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Way:
    """How surely each suspect moves through other frames, (n,) each; costs of 0 to 9."""

    both: torch.Tensor
    """Of the best pair of blobs, one in each frame, on a straight way."""

    first: torch.Tensor
    """Of the blob of the first frame that looks most like it."""

    second: torch.Tensor

    alike: torch.Tensor
    """Matches that blobs strewn at random would give."""


def blobs(regions: Regions, luma: torch.Tensor, sign: torch.Tensor, colour: torch.Tensor) -> Blobs:
    """The regions as blobs; `colour` is (count, 2)."""
    return Blobs(
        x=regions.mean(regions.columns),
        y=regions.mean(regions.rows),
        area=regions.areas,
        tone=regions.mean(luma[regions.rows, regions.columns]),
        sign=sign,
        colour=colour,
    )


def on_a_way(
    suspects: Blobs,
    first: Blobs | None,
    second: Blobs | None,
    *,
    ratio: float,
    size: tuple[int, int],
) -> Way:
    """How well blobs of two other frames continue each suspect's way.

    `ratio` is the time to the second frame over that to the first: -1 for the frames before and
    after, 2 for the next two.  `size` is (width, height).  A frame that is not known is None.
    """
    reach = max(_NEAREST, _FARTHEST * size[0])
    one, two = (None if other is None else other.largest() for other in (first, second))
    near_one, near_two = (
        _nearest(suspects, other, far * reach) for other, far in ((one, 1.0), (two, abs(ratio)))
    )
    none = torch.full_like(suspects.x, _UNLIKE)
    if one is None or two is None or not (none.numel() and one.x.numel() and two.x.numel()):
        return Way(none, near_one, near_two, torch.zeros_like(none))
    distance = _distance(suspects, one)
    possible = (distance < reach) & (distance > 0.5 * suspects.area[:, None].sqrt())
    like_one = _unlike(suspects, one).where(possible, none[:, None])
    like_two = _unlike(suspects, two)
    tried = like_one.topk(min(_TRIED, like_one.shape[1]), dim=1, largest=False)
    way_x = one.x[tried.indices] - suspects.x[:, None]
    way_y = one.y[tried.indices] - suspects.y[:, None]
    x, y = suspects.x[:, None] + ratio * way_x, suspects.y[:, None] + ratio * way_y
    slack = _SLACK + _BEND * abs(ratio) * (way_x.square() + way_y.square()).sqrt()
    miss = (two.x - x[..., None]).square() + (two.y - y[..., None]).square()
    look = 0.5 * (tried.values[..., None] + like_two[:, None])
    cost = (look + miss / slack.square()[..., None]).amin(2)
    # What leaves the picture is seen no more.
    out = (x < 0) | (y < 0) | (x > size[0] - 1) | (y > size[1] - 1)
    cost = torch.where(out, tried.values + 1.0, cost)
    cost = cost.where(tried.values < _UNLIKE, none[:, None])
    density = (like_two < _ALIKE).sum(1) / (size[0] * size[1])
    usual = torch.pi * (_SLACK + 0.5 * _BEND * reach) ** 2
    return Way(
        both=cost.amin(1).clamp(max=_UNLIKE),
        first=near_one,
        second=near_two,
        alike=(like_one < _ALIKE).sum(1) * density * usual,
    )


def _nearest(suspects: Blobs, others: Blobs | None, reach: float) -> torch.Tensor:
    """(n,) cost of the likeliest of the others within reach."""
    none = torch.full_like(suspects.x, _UNLIKE)
    if others is None or not others.x.numel() or not none.numel():
        return none
    cost = _unlike(suspects, others)
    return cost.where(_distance(suspects, others) < reach, none[:, None]).amin(1)


def _distance(a: Blobs, b: Blobs) -> torch.Tensor:
    return ((b.x - a.x[:, None]).square() + (b.y - a.y[:, None]).square()).sqrt()


def _unlike(a: Blobs, b: Blobs) -> torch.Tensor:
    """(n, m) cost of taking two blobs for one thing, 0 to `_UNLIKE`."""
    tone = (a.tone[:, None] - b.tone) / _TONE
    growth = (a.area[:, None] / b.area).log() / _GROWTH
    colour = (a.colour[:, None] - b.colour).square().sum(-1) / _COLOUR**2
    cost = tone.square() + growth.square() + colour + 4.0 * (a.sign[:, None] != b.sign)
    return cost.clamp(max=_UNLIKE)
