"""Gate weave and splice jumps taken out: the camera's own movement stays.

A projector's or scanner's worn gate lets every frame sit a little elsewhere, and a splice throws a
frame up or down.  Per shot, the picture's motion is followed (`globalmotion`), the course that the
camera meant is found in it (`steadypath`), and each frame is moved from where it lies to where the
camera meant it (`shift`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

import numpy as np
import torch

from vrestore.media import Coding, Frame
from vrestore.notes import ShotNote
from vrestore.ops.bareedges import cover_bare
from vrestore.ops.buffers import Alloc
from vrestore.ops.globalmotion import FollowMotion, Motion
from vrestore.ops.resample import Axis, Kernel, resample_plane
from vrestore.ops.shift import Displacement, displaced
from vrestore.ops.shotwise import Renewal, ShotTreatment, Shotwise, tuned
from vrestore.ops.standards import chroma_offset
from vrestore.ops.steadypath import Series, SteadyPath

__all__ = ["Stabilise", "StabiliseConfig"]

LOOKAHEAD = 12
"""Frames that the course is fitted ahead of the frame being moved."""

_PATIENCE = 4.0
"""Standard deviations of evidence that it takes for the camera to be believed to move."""

_FLOOR = 4e-5
"""Least weave assumed, as a share of the picture's width: 0.03 samples of 720.  This and the shares
below are never less than that of a picture of `_LEAST_WIDTH`, on which samples set the bound."""

_LEAST_WIDTH = 500

_STEADY = 1e-4
"""Weave below which a shot is steady and stays as it is, as a share of the width: 0.07 of 720."""

_ERRORS = 1.2
"""Weave below so many times what the measurement may be wrong by is none."""

_JUMP = 7e-4
"""Displacement, as a share of the width, that is put right even in a steady shot: 0.5 of 720."""

_NOTHING = 0.02
"""Shift in samples below which a frame's planes are left untouched."""

_WANDER = 3e-3
"""How far, as a share of the width, most of the picture must go away from what lies at rest to be
known for something that moves by itself: 2 of 720."""

_HISTORY = 36
"""Frames given out that this is still told from."""

_SURE_SHARE = 0.3
"""Share of the picture that must move alike, in most of the frames ahead."""

_SURE_ERROR = 1.5e-4
"""Standard error of what lies at rest, as a share of the width, past which it is not known."""

_MARGIN = 3.0
"""Crop, in standard deviations of the weave that a shot's first frames show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StabiliseConfig:
    """Section [stabilise] of a preset: gate weave and splice jumps."""

    strength: float = 0.0
    """How much of the weave is taken out, 0 (off) to 1."""

    max_shift: float = 5.0
    """The farthest a frame is moved, in per cent of the picture's width; 0.1 to 10."""

    edges: Literal["fill", "crop"] = "fill"
    """What becomes of the strip that a moved frame leaves bare: filled from the frame before (by
    repeating the edge where there is none), or cropped away with the picture scaled up to its size,
    by one factor for the whole shot."""

    rotation: bool = False
    """Take out the turning too, as small gauges show it."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength must be 0 to 1, got {self.strength}")
        if not 0.1 <= self.max_shift <= 10:
            raise ValueError(f"max_shift must be 0.1 to 10, got {self.max_shift}")
        if self.edges not in ("fill", "crop"):
            raise ValueError(f"edges must be fill or crop, got {self.edges!r}")


class Stabilise(Shotwise):
    """Op: UNIT frames of any format with the weave taken out, one shot at a time.

    A shot without weave comes back as it went in, the very same planes.  `stabilise.strength` and
    `stabilise.max_shift` of a shot's tuning override the configuration's.  The note's curves give,
    per frame, how far it lay and lies from the camera's course, in luma samples.
    """

    def __init__(
        self,
        config: StabiliseConfig,
        *,
        alloc: Alloc | None = None,
        renewal: Renewal | None = None,
    ) -> None:
        """`renewal` is where another one takes over, if that is within a shot."""

        def begin(frame: Frame) -> ShotTreatment:
            own = tuned(config, "stabilise", frame, "strength", "max_shift")
            return _Shot(frame, own, alloc, renewal)

        super().__init__(begin, LOOKAHEAD)


@dataclass(slots=True)
class _Curves:
    before: list[tuple[float, float, float]] = field(default_factory=list)
    after: list[tuple[float, float, float]] = field(default_factory=list)
    moved: int = 0


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What is done about one frame."""

    off: Series
    """(3,) how far it lies off its course."""

    back: Series
    """(3,) what of that is taken out."""

    place: Series | None
    """(3,) where the picture lies once that is taken out; None where it is not known."""

    crop: float

    def towards(self, other: _Verdict, share: float) -> _Verdict:
        """Between this one, 0, and another, 1."""
        back = self.back + share * (other.back - self.back)
        return _Verdict(
            off=self.off + share * (other.off - self.off),
            back=back,
            place=None if self.place is None else self.place + self.back - back,
            crop=self.crop + share * (other.crop - self.crop),
        )


class _Shot:
    """One shot: its frames moved."""

    def __init__(
        self, frame: Frame, config: StabiliseConfig, alloc: Alloc | None, renewal: Renewal | None
    ) -> None:
        self._config, self._alloc, self._renewal = config, alloc, renewal
        self._first, self._size = frame.index, (frame.width, frame.height)
        self._radius = math.hypot(*self._size) / 2
        self._held: deque[Frame] = deque()
        self._course = _Course(config, self._size)
        self._after: _Course | None = None
        self._crop = 0.0
        self._before: tuple[Frame, Series] | None = None
        self._curves = _Curves()

    def push(self, frame: Frame) -> Iterable[Frame]:
        if frame.coding is not Coding.UNIT:
            raise ValueError("Stabilise takes UNIT frames; put Normalise before it")
        if self._config.strength == 0:
            yield frame
            return
        self._held.append(frame)
        if self._after is None and self._renewal and frame.index >= self._renewal.begins:
            self._after = _Course(self._config, self._size)
        self._course.push(frame)
        if self._after is not None:
            self._after.push(frame)
        if self._course.ready:
            yield self._settle()

    def finish(self) -> Iterable[Frame]:
        while self._held:
            yield self._settle()

    def note(self) -> ShotNote | None:
        curves = self._curves
        if not curves.before:
            return None
        before, after = np.array(curves.before), np.array(curves.after)
        return ShotNote(
            stage="stabilise",
            first=self._first,
            frames=len(before),
            values={
                "moved_share": curves.moved / len(before),
                "crop_share": self._crop,
                **_rms("weave_before", before),
                **_rms("weave_after", after),
            },
            curves={
                f"{name}_{when}": tuple(values[:, axis].tolist())
                for when, values in (("before", before), ("after", after))
                for axis, name in enumerate(("weave_x", "weave_y", "turn"))
            },
        )

    def _settle(self) -> Frame:
        frame = self._held.popleft()
        verdict = self._course.settle()
        if self._after is not None and self._after.next == frame.index:
            assert self._renewal is not None
            share = self._renewal.share(frame.index, LOOKAHEAD)
            verdict = verdict.towards(self._after.settle(), share)
        off, back, self._crop = verdict.off, verdict.back, verdict.crop
        self._curves.before.append((float(off[0]), float(off[1]), float(off[2])))
        left = off - back
        self._curves.after.append((float(left[0]), float(left[1]), float(left[2])))
        out = frame
        if back.any() or self._crop:
            self._curves.moved += bool(back.any())
            by = Displacement(
                x=float(back[0]), y=float(back[1]), angle=float(back[2]) / self._radius
            )
            planes = [self._plane(frame, number, by) for number in range(len(frame.planes))]
            if not self._crop:
                self._cover(frame, planes, by, verdict.place)
            out = replace(frame, ready=None, planes=tuple(planes))
        self._before = None if verdict.place is None else (out, verdict.place)
        return out

    def _plane(self, frame: Frame, number: int, by: Displacement) -> torch.Tensor:
        form, plane = frame.format, frame.planes[number]
        log2_w, log2_h = _halvings(frame, number)
        moved = displaced(plane, by, log2_w=log2_w, log2_h=log2_h, alloc=self._alloc)
        if number >= form.color_planes:
            moved.clamp_(0, 1)
        return moved if not self._crop else self._cropped(frame, number, moved)

    def _cover(
        self, frame: Frame, planes: Sequence[torch.Tensor], by: Displacement, place: Series | None
    ) -> None:
        """Shows in the bare strips of colour what the frame before showed there."""
        if self._before is None or place is None:
            return
        before, its = self._before
        carried = Displacement(x=float(its[0] - place[0]), y=float(its[1] - place[1]))
        for number, plane in enumerate(planes[: frame.format.color_planes]):
            log2_w, log2_h = _halvings(frame, number)
            cover_bare(
                plane, before.planes[number], by, carried,
                log2_w=log2_w, log2_h=log2_h, signed=frame.format.is_chroma(number),
            )  # fmt: skip

    def _cropped(self, frame: Frame, number: int, plane: torch.Tensor) -> torch.Tensor:
        """The middle of a plane at its full size, siting kept."""
        form = frame.format
        share = Fraction(self._crop).limit_denominator(1 << 16)
        offsets = (0.5, 0.5)
        if form.is_chroma(number):
            offsets = chroma_offset(
                frame.color.chroma_location, form.log2_chroma_w, form.log2_chroma_h
            )
        horizontal, vertical = (
            Axis(
                in_size=size,
                out_size=size,
                ratio=1 / (1 - 2 * share),
                in_offset=offset - float(share) * size,
                out_offset=offset,
                kernel=Kernel.LANCZOS3,
            )
            for size, offset in zip((plane.shape[1], plane.shape[0]), offsets, strict=True)
        )
        return resample_plane(plane, vertical, horizontal, self._alloc)


class _Course:
    """The camera's course through a shot, or through the rest of one.

    Its values are x, y and the turning, in samples at the corners.
    """

    def __init__(self, config: StabiliseConfig, size: tuple[int, int]) -> None:
        """`size` is the frames' (width, height)."""
        self._config, self._width = config, size[0]
        self._scale = max(size[0], _LEAST_WIDTH)
        self._radius = math.hypot(*size) / 2
        self._motion = FollowMotion()
        # The course of what most of the picture does, and that of what lies at rest.
        self._path = SteadyPath(np.full(6, _FLOOR * self._scale), _PATIENCE, LOOKAHEAD)
        self._held: deque[tuple[int, Motion]] = deque()
        self._apart: deque[Series] = deque(maxlen=_HISTORY)
        self._settled = 0
        self._woven = False
        self._crop: float | None = None
        self._before: Motion | None = None

    def push(self, frame: Frame) -> None:
        """Measures the next frame."""
        motion = self._motion.push(frame)
        self._held.append((frame.index, motion))
        both = np.concatenate((self._where(motion, False), self._where(motion, True)))
        self._path.extend(both, np.ones(6), joined=motion.share > 0)

    @property
    def ready(self) -> bool:
        """Whether the frame to be settled has its whole lookahead."""
        return self._path.ready

    @property
    def next(self) -> int:
        """`Frame.index` of the frame to be settled."""
        return self._held[0][0]

    def settle(self) -> _Verdict:
        """What is done about the oldest frame that is not settled."""
        resting = self._is_at_rest()
        scale = self._path.tremor()
        scale = scale[3:] if resting else scale[:3]
        self._look_for_weave(scale)
        sure = self._is_sure(resting)
        courses = self._path.settle()
        _, motion = self._held.popleft()
        where = self._where(motion, resting)
        off = where - (courses[3:] if resting else courses[:3])
        back = self._taken_out(where, off, resting) if sure else np.zeros(3)
        self._before = motion
        self._settled += 1
        if self._crop is None:
            self._crop = self._margin(off, scale) if self._config.edges == "crop" else 0.0
        place = where - back if motion.share > 0 else None
        return _Verdict(off, back, place, self._crop)

    def _where(self, motion: Motion, resting: bool) -> Series:
        """x, y and the turning at the corners, in samples."""
        if resting and motion.rest is not None:
            motion = motion.rest
        return np.array([motion.x, motion.y, motion.angle * self._radius])

    def _is_at_rest(self) -> bool:
        """Whether what lies at rest tells of the camera, since most of the picture moves by
        itself: it wanders away from what rests."""
        self._apart.append(self._away(self._held[0][1]))
        if any(motion.rest is None and motion.share < 1 for _, motion in self._held):
            return False
        known = [*self._apart, *(self._away(motion) for _, motion in self._held)]
        return bool(np.ptp(np.array(known), axis=0).max() > _WANDER * self._scale)

    def _is_sure(self, resting: bool) -> bool:
        """Whether the camera's place is known well enough for frames to be moved by it."""
        if resting:
            errors = [motion.rest.error for _, motion in self._held if motion.rest is not None]
            return float(np.median(errors)) < _SURE_ERROR * self._scale
        shares = [motion.share for _, motion in self._held]
        return float(np.median(shares)) > _SURE_SHARE

    def _away(self, motion: Motion) -> Series:
        """How far most of the picture lies from where what rests does."""
        return (self._where(motion, False) - self._where(motion, True))[:2]

    def _look_for_weave(self, scale: Series) -> None:
        """Whether the shot trembles by more than measuring it does; once it did, it does."""
        if self._woven or len(self._held) + self._settled < 4:
            return
        errors = float(np.median([motion.error for _, motion in self._held]))
        least = max(_STEADY * self._scale, _ERRORS * errors)
        self._woven = bool((scale[:2] > least).any())

    def _taken_out(self, where: Series, off: Series, resting: bool) -> Series:
        """What is taken out of how far a frame lies off its course."""
        limit = self._config.max_shift / 100 * self._width
        if not (self._woven or self._jumped(where, off, resting)):
            return np.zeros(3)
        back = np.clip(off, -limit, limit) * self._config.strength
        if not self._config.rotation:
            back[2] = 0.0
        back[np.abs(back) < _NOTHING] = 0.0
        return back

    def _jumped(self, where: Series, off: Series, resting: bool) -> bool:
        """Whether a frame of a steady shot lies apart from both its neighbours, as at a splice."""
        if self._before is None or not self._held:
            return False
        _, ahead = self._held[0]
        around = self._where(self._before, resting) + self._where(ahead, resting)
        apart = (where - around / 2)[:2]
        least = _JUMP * self._scale
        return bool(((np.abs(apart) > least) & (np.abs(off[:2]) > least)).any())

    def _margin(self, off: Series, scale: Series) -> float:
        """The share of each side that is cropped away, for the whole shot."""
        if not self._woven:
            return 0.0
        reach = float(np.max(_MARGIN * scale + np.abs(off)))
        return min(reach, self._config.max_shift / 100 * self._width) / self._width


def _halvings(frame: Frame, number: int) -> tuple[int, int]:
    """log2 of a plane's subsampling, (across, down)."""
    form = frame.format
    return (form.log2_chroma_w, form.log2_chroma_h) if form.is_chroma(number) else (0, 0)


def _rms(name: str, values: Series) -> dict[str, float]:
    x, y, _ = np.sqrt(np.square(values).mean(axis=0))
    return {f"{name}_x_px": float(x), f"{name}_y_px": float(y)}
