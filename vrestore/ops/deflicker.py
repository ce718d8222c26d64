"""Flicker taken out: what trembles in the light goes, what the light means to do stays.

Per shot, the light on each frame is followed (`lightfield`), the course it means to take is found
in it (`steadypath`), and each frame is brought from its light to the course's.  A fade is a course
with a slope; a lamp that is switched on is a course that begins anew; a flash is far brighter than
flicker ever is, and is left alone.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch

from vrestore.media import Coding, ColorModel, Frame
from vrestore.notes import ShotNote
from vrestore.ops.buffers import Alloc, strips, take
from vrestore.ops.headroom import keep_inside
from vrestore.ops.lightfield import (
    ACROSS,
    DARK,
    DOWN,
    MIDDLE,
    ROWS,
    SHAPES,
    FollowLight,
    Light,
    hats,
    hats_mean,
)
from vrestore.ops.shotwise import Renewal, ShotTreatment, Shotwise
from vrestore.ops.steadypath import Habits, Series, SteadyPath, tremor

__all__ = ["Deflicker", "DeflickerConfig"]

LOOKAHEAD = 12
"""Frames that the course is fitted ahead of the frame being corrected."""

_PATIENCE = 3.0
"""Standard deviations of evidence that it takes for the light to be believed to change."""

_HABITS = Habits(memory=0.5, persistence=0.8)
"""Flicker has a slow half; a change of light ends sooner or later."""

_FLOOR = np.array([5e-4] + [1e-3] * (ACROSS * DOWN) + [1e-3] * ROWS + [3e-3])
"""Least trembling assumed of each coefficient."""

_ERRORS = 1.2
"""Trembling below so many times what the measurement may be wrong by is none."""

_UNSEEN = np.array([2e-3] + [3e-3] * (ACROSS * DOWN) + [2.5e-3] * ROWS + [5e-3])
"""Trembling of each coefficient that nobody sees."""

_CALMER = 1.5
"""How many times less than before what comes next must tremble for the flicker to be over."""

_BOUND = 0.45
"""The strongest correction, as a logarithm: a gain of 0.64 to 1.57."""

_FLASH = 0.15
"""Brightness above the course, as a logarithm, from which on a frame may be a flash..."""

_FLASH_TREMORS = 7.0
"""...if it is so many times brighter than the light trembles."""

_STEP = 0.05
"""The least change of light, as a logarithm, that may be a lamp..."""

_STEP_TREMORS = 4.0
"""...if it is so many times what the light trembles."""

_STEP_FRAMES = 5
"""Frames for which the new light must last."""

_STEEP = 2.0
"""Slope of the course, in tremblings per frame, past which flicker is lost in a fade and left;
corrections become less from one less on.  A new course begins where it ends."""

_NOTHING = 6e-4
"""Correction, as a logarithm, below which a frame's planes are left untouched: 0.15 codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeflickerConfig:
    """Section [deflicker] of a preset."""

    strength: float = 0.0
    """How much of the flicker is taken out, 0 (off) to 1."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength must be 0 to 1, got {self.strength}")


class Deflicker(Shotwise):
    """Op: UNIT frames of any format with the flicker taken out, one shot at a time.

    A frame that needs no correction comes back as it went in, the very same planes.
    `deflicker.strength` of a shot's tuning overrides the configuration's.  The note's curves give,
    per frame, the gain on the whole picture against the shot's first frame, before and after.
    """

    def __init__(
        self,
        config: DeflickerConfig,
        *,
        alloc: Alloc | None = None,
        renewal: Renewal | None = None,
    ) -> None:
        """`renewal` is where another one takes over, if that is within a shot."""

        def begin(frame: Frame) -> ShotTreatment:
            strength = frame.tuning.get("deflicker.strength", config.strength)
            return _Shot(frame, strength, alloc, renewal)

        super().__init__(begin, LOOKAHEAD)


class _Shot:
    """One shot: its frames relit."""

    def __init__(
        self, frame: Frame, strength: float, alloc: Alloc | None, renewal: Renewal | None
    ) -> None:
        self._strength, self._alloc, self._renewal = strength, alloc, renewal
        self._first = frame.index
        self._held: deque[Frame] = deque()
        self._course = _Course()
        self._next: _Course | None = None
        self._before: list[float] = []
        self._after: list[float] = []
        self._uneven: list[tuple[float, float]] = []

    def push(self, frame: Frame) -> Iterable[Frame]:
        if frame.coding is not Coding.UNIT:
            raise ValueError("Deflicker takes UNIT frames; put Normalise before it")
        if self._strength == 0:
            yield frame
            return
        self._held.append(frame)
        if self._next is None and self._renewal and frame.index >= self._renewal.begins:
            self._next = _Course()
        self._course.push(frame)
        if self._next is not None:
            self._next.push(frame)
        if self._course.ready:
            yield self._settle()

    def finish(self) -> Iterable[Frame]:
        while self._held:
            yield self._settle()

    def note(self) -> ShotNote | None:
        if not self._before:
            return None
        before, after = np.array(self._before), np.array(self._after)
        uneven = np.array(self._uneven)
        return ShotNote(
            stage="deflicker",
            first=self._first,
            frames=len(before),
            values={
                "flicker_before_percent": _trembling(before),
                "flicker_after_percent": _trembling(after),
                "uneven_before_percent": _trembling(uneven[:, 0]),
                "uneven_after_percent": _trembling(uneven[:, 1]),
            },
            curves={
                "gain_before": tuple(np.exp(before).tolist()),
                "gain_after": tuple(np.exp(after).tolist()),
            },
        )

    def _settle(self) -> Frame:
        frame = self._held.popleft()
        light, correction = self._course.settle()
        if self._next is not None and self._next.at == frame.index:
            assert self._renewal is not None
            share = self._renewal.share(frame.index, LOOKAHEAD)
            correction = correction + share * (self._next.settle()[1] - correction)
        correction = correction * self._strength
        self._before.append(float(light.field[0]))
        self._after.append(float(light.field[0] + correction[0]))
        self._uneven.append(
            (float(light.field[1 + ACROSS]), float((light.field + correction)[1 + ACROSS]))
        )
        if np.abs(correction).max() < _NOTHING:
            return frame
        return replace(frame, ready=None, planes=self._relit(frame, correction))

    def _relit(self, frame: Frame, correction: Series) -> tuple[torch.Tensor, ...]:
        form, planes = frame.format, list(frame.planes)
        gain = _Gain(correction, frame.planes[0].device)
        slope = float(correction[-1])
        if form.model is ColorModel.YCBCR:
            planes[0] = self._lit(planes[0], planes[0], gain, slope)
            for number in (1, 2):
                planes[number] = self._saturated(planes[number], gain)
        elif form.model is ColorModel.GRAY:
            planes[0] = self._lit(planes[0], planes[0], gain, slope)
        else:
            luma = 0.2126 * planes[0] + 0.7152 * planes[1] + 0.0722 * planes[2]
            planes[:3] = [self._lit(plane, luma, gain, slope) for plane in planes[:3]]
        return tuple(planes)

    def _lit(
        self, plane: torch.Tensor, tone: torch.Tensor, gain: _Gain, slope: float
    ) -> torch.Tensor:
        """A plane times its gain, which leans on `tone`; what was below white stays below it."""
        out = take(self._alloc, tuple(plane.shape), torch.float32, plane.device)
        for rows in strips(plane):
            exponent = gain.exponent(rows, plane.shape)
            if abs(slope) > _NOTHING:
                level = tone[rows].float().clamp_min(0).add_(DARK).log_()
                exponent.add_(level, alpha=slope).sub_(slope * math.log(MIDDLE + DARK))
            source = plane[rows].float()
            lit = torch.mul(source, exponent.clamp_(-_BOUND, _BOUND).exp_(), out=out[rows])
            keep_inside(lit, source)
        return out

    def _saturated(self, plane: torch.Tensor, gain: _Gain) -> torch.Tensor:
        """Cb or Cr with its distance from 0.5 times the gain."""
        out = take(self._alloc, tuple(plane.shape), torch.float32, plane.device)
        for rows in strips(plane):
            factor = gain.exponent(rows, plane.shape).clamp_(-_BOUND, _BOUND).exp_()
            torch.sub(plane[rows].float(), 0.5, out=out[rows]).mul_(factor).add_(0.5)
        return out


class _Course:
    """The course that the light means to take through a shot, or through the rest of one."""

    def __init__(self) -> None:
        self._light = FollowLight()
        self._path = SteadyPath(_FLOOR, _PATIENCE, LOOKAHEAD, _HABITS)
        self._held: deque[tuple[int, Light]] = deque()
        self._fading = False

    def push(self, frame: Frame) -> None:
        """Measures the next frame."""
        light = self._light.push(frame)
        self._held.append((frame.index, light))
        self._path.extend(light.field, np.ones(SHAPES), joined=light.share > 0)
        self._part_at_step()

    @property
    def ready(self) -> bool:
        """Whether the frame to be settled has its whole lookahead."""
        return self._path.ready

    @property
    def at(self) -> int:
        """`Frame.index` of the frame to be settled."""
        return self._held[0][0]

    def settle(self) -> tuple[Light, Series]:
        """The light on the oldest frame that is not settled, and (SHAPES,) what brings it to its
        course."""
        scale, near = self._path.tremor(), self._path.tremor(near=True)
        course = self._path.settle()
        steep = float(np.abs(self._path.slope[0]) / scale[0])
        if self._fading and steep < _STEEP and self._path.ahead:
            self._path.part(0)
        self._fading = steep >= _STEEP
        _, light = self._held.popleft()
        off = light.field - course
        error = np.median([other.error for _, other in self._held] + [light.error], axis=0)
        nothing = np.square(_ERRORS * error) + np.square(_UNSEEN)
        # What trembled before a fade's end is no flicker after it.
        seen = np.square(np.minimum(scale, _CALMER * near))
        sure = np.clip(1 - nothing / seen, 0, 1) * min(max(_STEEP - steep, 0.0), 1.0)
        flash = max(_FLASH, _FLASH_TREMORS * scale[0])
        if off[0] >= flash or light.share <= 0:
            return light, np.zeros(SHAPES)
        return light, -np.clip(off * sure, -_BOUND, _BOUND)

    def _part_at_step(self) -> None:
        """A new course where, `_STEP_FRAMES` ago, the light changed at once and stayed so."""
        known, settled = self._path.recent()
        level = known[:, 0]
        at = len(level) - _STEP_FRAMES
        if at < _STEP_FRAMES or at <= settled:
            return
        if abs(level[at] - level[at - 1]) < 0.6 * _STEP:
            return
        before, after = level[at - _STEP_FRAMES : at], level[at:]
        step = float(np.median(after) - np.median(before))
        jump = float(level[at] - level[at - 1])
        others = np.delete(np.diff(level), at - 1)
        trembling = 1.4826 * float(np.median(np.abs(others - np.median(others))))
        least = max(_STEP, _STEP_TREMORS * trembling)
        if abs(step) > least and jump * step > 0 and abs(jump) > 0.6 * abs(step):
            self._path.part(at - settled)


class _Gain:
    """The field of a correction without its slope by tone, for planes of any size."""

    def __init__(self, correction: Series, device: torch.device) -> None:
        values = torch.from_numpy(correction).float().to(device)
        self._grid = values[1 : 1 + ACROSS * DOWN].view(DOWN, ACROSS)
        self._profile = values[1 + ACROSS * DOWN : -1]
        means = hats_mean(DOWN).to(device), hats_mean(ACROSS).to(device), hats_mean(ROWS).to(device)
        self._grid = self._grid + values[0] - means[0] @ self._grid @ means[1]
        self._profile = self._profile - means[2] @ self._profile
        self._device = device

    def exponent(self, rows: slice, shape: torch.Size) -> torch.Tensor:
        """(rows, W) logarithm of the gain."""
        height, width = shape
        down = hats(height, DOWN)[rows].to(self._device)
        across = hats(width, ACROSS).to(self._device)
        profile = hats(height, ROWS)[rows].to(self._device) @ self._profile
        # The columns of hats sum to one, so the profile rides on the product.
        return (down @ self._grid + profile[:, None]) @ across.t()


def _trembling(curve: Series) -> float:
    """Trembling of logarithmic gains, in per cent."""
    if len(curve) < 4:
        return 0.0
    return 100 * (math.exp(float(tremor(curve[:, None])[0])) - 1)
