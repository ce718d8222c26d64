"""Grain measured from the frames of one shot.

Three neighbouring frames a, b, c give (2b - a - c) / sqrt(6): noise that is new in every frame
keeps its variance there, while a picture that stands still, brightens evenly or moves steadily
over a slope cancels out.  (a - c) / sqrt(2), which shows motion, and a + b + c, which shows
texture, are orthogonal to it: choosing blocks by them that are flat and still does not bias what
is then measured in those blocks.  Blocks are chosen within each intensity, so that a dark flat sky
does not speak for a bright crowd.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F

from vrestore.media import Coding, ColorModel, Frame, SampleFormat
from vrestore.ops.grainfit import Evidence, correlations, fit, joined
from vrestore.ops.grainmodel import BANDS, NO_GRAIN, SIDE, Grain

__all__ = ["GrainMeter", "channel_names", "measure_grain"]

_MAX_BLOCKS = 1200
"""Blocks of a plane that are looked at in one frame, spread evenly over it."""

_REPEAT = 0.35
"""A frame whose calm blocks differ from the one before by less than this share of what they did
lately repeats it and holds no new grain."""

_MOST_REPEATS = 3
"""After as many repeats it was something else that had become quiet."""

_SAME = 1e-4
"""Mean difference on the unit scale below which frames are the same in any case."""


def channel_names(form: SampleFormat) -> tuple[str, ...]:
    """Names of the colour planes as `ChannelGrain.name` has them."""
    match form.model:
        case ColorModel.GRAY:
            return ("y",)
        case ColorModel.RGB:
            return ("r", "g", "b")
        case _:
            return ("y", "cb", "cr")


def measure_grain(frames: Iterable[Frame]) -> Grain:
    """The grain of UNIT frames of one shot, all of one size and format.

    Needs three frames that differ, better ten; `NO_GRAIN` where there is nothing to go by.
    """
    meter = GrainMeter()
    for frame in frames:
        meter.push(frame)
    return meter.result()


@dataclass(frozen=True, slots=True)
class _Look:
    """Some blocks of one frame."""

    samples: tuple[torch.Tensor, ...]
    """For each plane (n, SIDE, SIDE) float32."""

    intensity: tuple[torch.Tensor, ...]
    """For each plane (n,) the mean of its own value, but for chroma, of the luma at its place."""

    damaged: tuple[torch.Tensor, ...]
    """For each plane (n,) bool: the frame's mask touches the block."""

    shapes: tuple[tuple[int, ...], ...]
    """Of the planes."""


class GrainMeter:
    """Measures while frames come in; holds blocks of two frames and some numbers of the rest."""

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._looks: list[_Look] = []
        self._steps: deque[float] = deque(maxlen=3)
        self._repeats = 0
        self._evidence: list[list[Evidence]] = []

    def push(self, frame: Frame) -> None:
        """One frame of the shot.  ValueError for CODE frames."""
        if frame.coding is not Coding.UNIT:
            raise ValueError("grain is measured on UNIT frames")
        self._names = channel_names(frame.format)
        look = _look(frame)
        if self._looks and look.shapes != self._looks[-1].shapes:
            self._looks.clear()
        if self._looks and self._repeated(look):
            return
        self._looks.append(look)
        if len(self._looks) == 3:
            self._evidence.append(_compare(*self._looks))
            del self._looks[0]

    def _repeated(self, look: _Look) -> bool:
        blocks = (look.samples[0] - self._looks[-1].samples[0]).abs().mean((1, 2))
        step = float(blocks.quantile(0.2)) if len(blocks) else 0.0
        usual = max(self._steps, default=0.0)
        if float(blocks.sum()) <= _SAME * len(blocks) or (
            step < _REPEAT * usual and self._repeats < _MOST_REPEATS
        ):
            self._repeats += 1
            return True
        if self._steps and self._steps[-1] < _REPEAT * step:
            # The first step was already a repeat, which only shows now.
            self._evidence.clear()
            del self._looks[:-1]
        self._repeats = 0
        self._steps.append(step)
        return False

    def result(self) -> Grain:
        """The grain of all that was pushed."""
        if not self._evidence:
            return NO_GRAIN
        channels, trusts = [], []
        correlation = (0.0, 0.0, 0.0)
        for number, name in enumerate(self._names):
            found = joined([evidence[number] for evidence in self._evidence])
            channel, trust, chosen = fit(name, found)
            channels.append(channel)
            trusts.append(trust)
            if number == 0 and found.products.numel() and len(chosen):
                correlation = correlations(self._evidence, chosen)
        return Grain(channels=tuple(channels), correlation=correlation, confidence=trusts[0])


# -------------------------------------------------------------------------------------- blocks


def _look(frame: Frame) -> _Look:
    form = frame.format
    luma = frame.planes[0]
    samples, intensity, damaged = [], [], []
    for number in range(form.color_planes):
        blocks = _blocks(frame.planes[number])
        chroma = form.is_chroma(number)
        step_h, step_w = (1 << form.log2_chroma_h, 1 << form.log2_chroma_w) if chroma else (1, 1)
        own = _blocks(luma[::step_h, ::step_w]) if chroma else blocks
        samples.append(blocks)
        intensity.append(own.mean((1, 2)))
        damaged.append(_touched(frame, number, step_h, step_w, len(blocks)))
    shapes = tuple(tuple(plane.shape) for plane in frame.planes[: form.color_planes])
    return _Look(tuple(samples), tuple(intensity), tuple(damaged), shapes)


def _blocks(plane: torch.Tensor) -> torch.Tensor:
    """(n, SIDE, SIDE) float32: every block, or every few where there are many."""
    if min(plane.shape) < SIDE:
        return torch.empty((0, SIDE, SIDE), device=plane.device)
    tiles = plane.unfold(0, SIDE, SIDE).unfold(1, SIDE, SIDE)
    every = max(1, math.ceil(math.sqrt(tiles.shape[0] * tiles.shape[1] / _MAX_BLOCKS)))
    return tiles[::every, ::every].reshape(-1, SIDE, SIDE).float()


def _touched(frame: Frame, number: int, step_h: int, step_w: int, count: int) -> torch.Tensor:
    mask = frame.mask
    plane = frame.planes[number]
    if mask is None or tuple(mask.shape) != (frame.height, frame.width):
        return torch.zeros(count, dtype=torch.bool, device=plane.device)
    cells = mask.to(plane.device, torch.float32)[None, None]
    if step_h > 1 or step_w > 1:
        cells = F.max_pool2d(cells, (step_h, step_w), ceil_mode=True)
    return _blocks(cells[0, 0]).amax((1, 2)) > 0


def _compare(first: _Look, middle: _Look, last: _Look) -> list[Evidence]:
    news, found = [], []
    for a, b, c in zip(first.samples, middle.samples, last.samples, strict=True):
        news.append((2 * b - a - c) / math.sqrt(6))
    alike = len(news) == 3 and len(set(middle.shapes)) == 1
    for number, new in enumerate(news):
        a, b, c = (look.samples[number] for look in (first, middle, last))
        bad = first.damaged[number] | middle.damaged[number] | last.damaged[number]
        good = ~bad
        motion = _variance((a - c) / math.sqrt(2))
        total = a + b + c
        # Half the mean squared step to the next sample is the variance of white noise; the sum of
        # three frames has three times it.
        slopes = total.diff(dim=1).square().mean((1, 2)) + total.diff(dim=2).square().mean((1, 2))
        pairs = (
            torch.stack(
                [(news[i] * news[j]).mean((1, 2)) for i, j in ((0, 1), (0, 2), (1, 2))], dim=1
            )
            if alike and number == 0
            else new.new_empty((len(new), 0))
        )
        intensity = torch.stack([look.intensity[number] for look in (first, middle, last)]).mean(0)
        found.append(
            Evidence(
                intensity=intensity[good].clamp(0, 1),
                variance=_variance(new)[good],
                doubt=(motion + slopes / 12)[good],
                motion=motion[good],
                power=_banded(new[good]),
                products=pairs[good],
            )
        )
    return found


def _variance(blocks: torch.Tensor) -> torch.Tensor:
    return blocks.flatten(1).var(1) if len(blocks) else blocks.new_empty(0)


def _banded(blocks: torch.Tensor) -> torch.Tensor:
    """(n, bands squared) mean of the squared coefficients of an orthonormal DCT-II, without the
    block's mean."""
    transform, pool = _transform(blocks.device)
    squares = (transform @ blocks @ transform.t()).square_()
    return squares.flatten(1) @ pool


@lru_cache(maxsize=2)
def _transform(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The DCT's matrix, and (SIDE squared, bands squared) which takes the mean of each band."""
    order = torch.arange(SIDE, dtype=torch.float64)
    matrix = torch.cos(math.pi / SIDE * (order[None] + 0.5) * order[:, None])
    matrix *= math.sqrt(2 / SIDE)
    matrix[0] /= math.sqrt(2)
    member = torch.zeros(len(BANDS), SIDE, dtype=torch.float64)
    for band, orders in enumerate(BANDS):
        member[band, list(orders)] = 1
    pool = torch.einsum("au,bv->uvab", member, member)
    pool[0, 0] = 0
    pool = pool.reshape(SIDE * SIDE, len(BANDS) ** 2)
    return matrix.float().to(device), (pool / pool.sum(0)).float().to(device)
