"""Frames that are mixtures of the two around them: made anew from what became of these.

Film of 16 or 18 pictures a second is often brought to 24 or 25 by laying two pictures over each
other wherever none was taken.  Such a frame shows everything twice and half as strong, also dust:
what one picture had alone is then seen in three frames, and a stabiliser cannot put two places of a
gate right at once.  So the stages see the pictures alone, and each mixture is mixed again, in the
same shares, from their results.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F

from vrestore.media import Coding, Frame
from vrestore.notes import ShotNote
from vrestore.ops.blockmotion import displace, estimate, pyramid

__all__ = ["Remixed", "mixture_of"]

_BLOCK = 8
_SPARSE = 4
"""Every so manieth sample of every so manieth row gives the first answer."""

_MOVES = 2 / 255
"""Least difference of the two pictures (rms) from which a mixture is told from one of them."""

_LEAST_SHARE = 0.2
"""Of either picture."""

_TELLING, _LEAST_TELLING = 8 / 255, 0.02
"""Difference of the two pictures (mean) from which a block tells, and how many of them must."""

_LEFT = ((50, 0.3), (90, 0.5), (99, 0.62))
"""What a mixture leaves at most, coding included, of the two pictures' difference, in so many per
cent of the blocks.  An edge that moves leaves half, finer things more."""

_BETTER = 0.9
"""What it leaves at most of what the better of the two pictures leaves, its parts moved."""

_FAR = 1.5
"""Samples that things must move from the one picture to the other: less is hardly seen twice."""


class _FrameOp(Protocol):
    """An op from frames to frames, each given back once and in order."""

    def push(self, item: Frame, /) -> Iterable[Frame]: ...

    def flush(self) -> Iterable[Frame]: ...


@dataclass(frozen=True, slots=True)
class _Mixture:
    share: float
    """Of the picture after it; the other is that before it."""

    frame: Frame
    """Without its samples."""


def mixture_of(frame: Frame, before: Frame, after: Frame) -> float | None:
    """The share of `after` in a UNIT frame that is a mixture of two others; None for a picture.

    Little motion makes a picture nearly a mixture of its neighbours, so there must be more of it,
    and it must explain the frame worse than a mixture does.
    """
    if not _alike(frame, before, after):
        return None
    mixed, one, two = (each.planes[0].float() for each in (frame, before, after))
    apart, own = (plane[::_SPARSE, ::_SPARSE] - one[::_SPARSE, ::_SPARSE] for plane in (two, mixed))
    energy = float(apart.square().mean())
    if energy < _MOVES**2:
        return None
    share = float((own * apart).mean()) / energy
    if not _LEAST_SHARE <= share <= 1 - _LEAST_SHARE:
        return None
    left, size = _blocks(mixed - torch.lerp(one, two, share)), _blocks(two - one)
    telling = size >= _TELLING
    if float(telling.float().mean()) < _LEAST_TELLING:
        return None
    ratios = (left[telling] / size[telling]).sort().values
    if any(float(ratios[len(ratios) * part // 100]) > most for part, most in _LEFT):
        return None
    here, first, second = (pyramid(luma) for luma in (mixed, one, two))
    way = estimate(second, first)[0].square().sum(0).sqrt()
    if float(way[telling].median()) < _FAR:
        return None
    moved = torch.minimum(
        _blocks(mixed - displace(one[None, None], estimate(here, first))[0, 0]),
        _blocks(mixed - displace(two[None, None], estimate(here, second))[0, 0]),
    )
    return share if float(left[telling].sum()) < _BETTER * float(moved[telling].sum()) else None


def _alike(*frames: Frame) -> bool:
    """Whether frames can be compared sample by sample."""
    forms = {(f.format, f.color, tuple(plane.shape for plane in f.planes)) for f in frames}
    return len(forms) == 1


def _blocks(plane: torch.Tensor) -> torch.Tensor:
    """Mean absolute value of each block."""
    size = min(_BLOCK, *plane.shape)
    return F.avg_pool2d(plane.abs()[None], size, ceil_mode=True, count_include_pad=False)[0]


class Remixed:
    """Op: runs another op on the frames that are pictures, and mixes its results where a frame is a
    mixture of the pictures before and after it.  UNIT frames in, and whatever the other makes.

    The first and the last frame of a shot are pictures, and so are the neighbours of a mixture.
    """

    def __init__(self, inner: _FrameOp) -> None:
        self.notes: list[ShotNote] = []
        self.latency: int = 2 * (getattr(inner, "latency", 0) + 1)
        self._inner = inner
        self._before: Frame | None = None
        """A picture, the frame before `_held`."""
        self._held: Frame | None = None
        self._order: deque[_Mixture | None] = deque()
        """What is to come out: mixtures, and None for pictures."""
        self._result: Frame | None = None
        """Of the last picture that came out."""
        self._shot = 0
        self._frames = self._mixtures = 0

    def push(self, frame: Frame) -> Iterator[Frame]:
        if frame.coding is not Coding.UNIT:
            raise ValueError("Remixed takes UNIT frames; put Normalise before it")
        held, self._held = self._held, frame
        if held is not None:
            yield from self._settled(held, frame)
        if frame.shot_start or held is None:
            self._end_shot()
            self._shot = frame.index

    def flush(self) -> Iterator[Frame]:
        held, self._held = self._held, None
        if held is not None:
            yield from self._settled(held, None)
        for result in self._inner.flush():
            yield from self._give(result)
        self._end_shot()

    def _settled(self, frame: Frame, after: Frame | None) -> Iterator[Frame]:
        """A frame whose follower is known, `after`; None for none."""
        before, self._before = self._before, None
        self._frames += 1
        share = None
        if before is not None and after is not None and not after.shot_start:
            share = None if frame.shot_start else mixture_of(frame, before, after)
        if share is not None:
            self._mixtures += 1
            empty = tuple(plane.new_empty(0) for plane in frame.planes)
            self._order.append(_Mixture(share, replace(frame, planes=empty)))
            return
        self._before = frame
        self._order.append(None)
        for result in self._inner.push(frame):
            yield from self._give(result)

    def _give(self, result: Frame) -> Iterator[Frame]:
        while (mixture := self._order.popleft()) is not None:
            assert self._result is not None, "a mixture came before any picture"
            yield _mixed(mixture, self._result, result)
        self._result = result
        yield result

    def _end_shot(self) -> None:
        if self._mixtures:
            self.notes.append(
                ShotNote(
                    stage="mixtures",
                    first=self._shot,
                    frames=self._frames,
                    values={"mixtures_share": self._mixtures / self._frames},
                )
            )
        self._frames = self._mixtures = 0


def _mixed(mixture: _Mixture, before: Frame, after: Frame) -> Frame:
    """What became of the pictures, in the shares of the mixture, at its time."""
    frame = mixture.frame
    mask = before.mask
    if mask is not None and after.mask is not None:
        mask = mask | after.mask
    return replace(
        after,
        ready=None,
        planes=tuple(
            torch.lerp(one.float(), two.float(), mixture.share)
            for one, two in zip(before.planes, after.planes, strict=True)
        ),
        mask=after.mask if mask is None else mask,
        timestamp=frame.timestamp,
        duration=frame.duration,
        index=frame.index,
        shot_start=False,
        origin=frame.origin,
    )
