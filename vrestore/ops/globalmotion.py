"""Where the whole picture lies, frame by frame, in a shot.

Frames are compared (`framematch`) with an anchor for as long as they resemble it, and not each with
the one before, so that errors do not add up.  What lies at rest is followed for itself as long as
there is any, since behind much that moves it tells where the camera stood.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vrestore.media import Frame
from vrestore.ops.framematch import (
    Anchor,
    Look,
    Match,
    Numbers,
    anchor_at,
    look_at,
    match,
    nearest_start,
    outward,
)
from vrestore.ops.smallluma import small_luma

__all__ = ["FollowMotion", "Motion"]

_WIDTH = 256
"""Columns of the picture that motion is measured on."""

_MEMORY = 0.8
"""Of how far a block went along with the picture, from frame to frame."""

_LONG_MEMORY = 0.9
"""The same of what lies at rest."""

_FAINT = 2e-4
"""Contrast (mean absolute detail, on the unit scale) of a picture on which nothing can be seen."""

_SMALLEST = 14
"""Least side of the small picture."""

_KEEP_SHARE = 0.3
"""Share of the detail that must move alike for an anchor to be kept."""

_AT_REST = 1.5
"""Shift in samples of the small picture within which the camera is taken to be at rest."""

_KEEP_SHARE_AT_REST = 0.22
"""Share that keeps an anchor then: whatever else moves, some of the picture is where it was."""

_LEAST_SHARE = 0.1
"""Share below which there is no common motion to speak of."""

_UNDISPUTED = 0.6
"""Share above which what moves so is what rests, if anything does."""

_FAR_FROM_REST = 6.0
"""Shift in samples of the small picture past which nothing rests."""

_NEAR = 0.7
"""Distance in samples of the small picture from which a match is sure to be found."""

_INNER = 0.05
"""By how much nearer to the middle, as a share of the way to the edge, an actor lies."""

_BEND_AT_REST = 0.0003
"""Zoom and rotation in radians of what rests: next to none."""

_DOUBT = 0.15
"""Vote of a block that never went along."""

_KEEP_SHIFT = 0.12
"""Shift, as a share of the picture's width, past which an anchor is given up."""

_KEEP_BEND = 0.01
"""Zoom or rotation in radians past which it is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """Where the picture lies, against where it lay in the shot's first frame."""

    x: float
    """Of the picture's centre, in luma samples, to the right."""

    y: float
    """In luma samples, downwards."""

    angle: float
    """In radians, clockwise as seen (x towards y)."""

    share: float
    """Share of the picture's detail that moved so, 0..1; 0 where nothing could be measured."""

    error: float
    """Standard error of `x` and `y`, in luma samples, as far as the blocks' disagreement tells."""

    rest: Motion | None = None
    """Where what lies at rest is, if anything does while more may move."""


@dataclass(slots=True)
class _Track:
    """One of the motions that are followed."""

    base: Numbers
    """(4,): x, y in samples of the small picture, zoom, angle in the anchor's frame."""

    at: Numbers
    """(4,) in the frame before."""

    guess: Numbers
    """(4,) bends from the anchor to the frame before."""

    standing: Numbers
    """(blocks,) how far each block went along lately."""

    share: float = 1.0
    """Share of the detail that went along in the frame before."""

    error: float = 0.0
    """Standard error of x and y in it, in samples of the small picture."""

    def follow(self, found: Match, memory: float) -> None:
        self.at, self.guess = self.base + found.bends, found.bends
        self.share, self.error = found.share, found.error
        self.standing = memory * self.standing + (1 - memory) * found.weights

    def rebase(self) -> None:
        """The frame before is the anchor from now on."""
        self.base, self.guess = self.at, np.zeros(4)


def _motion(track: _Track, scale: int) -> Motion:
    x, y, _, angle = track.at.tolist()
    return Motion(
        x=x * scale, y=y * scale, angle=angle, share=track.share, error=track.error * scale
    )


class FollowMotion:
    """The motion of a shot, frame by frame.  UNIT frames of one size, 16x16 or larger."""

    def __init__(self) -> None:
        self._anchor: Anchor | None = None
        self._before: Look | None = None
        self._track = _Track(np.zeros(4), np.zeros(4), np.zeros(4), np.zeros(0))
        self._first: Anchor | None = None
        self._rest: _Track | None = None

    def push(self, frame: Frame) -> Motion:
        """Where the shot's next frame lies; where the one before did, if nothing can be seen."""
        small, scale = small_luma(frame, _WIDTH)
        look = look_at(small)
        share = error = 0.0
        if look.contrast < _FAINT or min(small.shape) < _SMALLEST:
            self._anchor = self._before = self._rest = None
        elif self._before is None:
            self._before, share = look, 1.0
        else:
            share, error = self._compare(self._before, look)
            self._before = look
        rest = None if self._rest is None else _motion(self._rest, scale)
        return replace(_motion(self._track, scale), share=share, error=error * scale, rest=rest)

    def _compare(self, before: Look, look: Look) -> tuple[float, float]:
        """The share and the standard error of the frame's match."""
        track = self._track
        found = None
        if self._anchor is not None:
            found = self._found(self._anchor, look)
            if not _keeps(found, look.detail.shape[1]):
                found = None
        if found is None:
            self._anchor = anchor_at(before)
            track.rebase()
            if len(track.standing) != len(self._anchor.energy):
                track.standing = outward(self._anchor)
            found = self._found(self._anchor, look)
        assert self._anchor is not None
        if found.share < _LEAST_SHARE:
            # Nothing to go by: the next frame is compared with this one.
            self._anchor = self._rest = None
            track.rebase()
            return 0.0, 0.0
        was = track.at
        track.follow(found, _MEMORY)
        if self._first is None:
            self._first = self._anchor
            self._rest = _Track(np.zeros(4), np.zeros(4), np.zeros(4), outward(self._anchor))
        if self._rest is not None:
            self._rest = self._rested(self._rest, self._first, look, found, track.at - was)
        return found.share, found.error

    def _found(self, anchor: Anchor, look: Look) -> Match:
        standing = _DOUBT + (1 - _DOUBT) * self._track.standing
        return match(anchor, look, nearest_start(anchor, look, self._track.guess), standing)

    def _rested(
        self, rest: _Track, first: Anchor, look: Look, found: Match, jump: Numbers
    ) -> _Track | None:
        """What still lies about where it lay in the first frame, as behind the actors of a camera
        at rest; None from the frame on where there is no such thing.

        `found` is how the greater part of the picture moved, (4,) `jump` by how much since the
        frame before.
        """
        here = found
        if self._anchor is not first or found.share < _UNDISPUTED:
            standing = np.square(rest.standing) + 1e-3
            # From the middle of the weave, or as far on as the rest of the picture was thrown.
            starts = [np.zeros(4)]
            if np.abs(jump[:2]).max() > _NEAR:
                starts.append(np.array([*(rest.guess + jump)[:2], 0.0, 0.0]))
            tries = [match(first, look, start, standing, _BEND_AT_REST) for start in starts]
            here = max(tries, key=lambda found: float((found.weights * standing).sum()))
        if here.share < _LEAST_SHARE or np.abs(here.bends[:2]).max() > _FAR_FROM_REST:
            return None
        rest.follow(here, _LONG_MEMORY)
        reach = outward(first)
        if _mean_of(reach, rest.standing) < _mean_of(reach, self._track.standing) - _INNER:
            # What is held in the middle of the picture while the rest moves is an actor.
            return None
        return rest


def _mean_of(values: Numbers, weights: Numbers) -> float:
    return float((values * weights).sum() / max(weights.sum(), 1e-6))


def _keeps(match: Match, width: int) -> bool:
    """Whether an anchor that gives this match is good for the next frame too."""
    at_rest = np.abs(match.bends[:2]).max() <= _AT_REST
    return bool(
        match.share >= (_KEEP_SHARE_AT_REST if at_rest else _KEEP_SHARE)
        and np.abs(match.bends[:2]).max() <= _KEEP_SHIFT * width
        and np.abs(match.bends[2:]).max() <= _KEEP_BEND
    )
