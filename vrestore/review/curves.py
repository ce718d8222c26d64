"""Numbers along the film: how near each clip is to the first, how bright, how sharp, how steady."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.review import metrics
from vrestore.review.clips import Clip, Moment, can_jump, common_size, luma, moments, same_shape
from vrestore.review.quality.motion import match

__all__ = ["Curves", "measure"]

MOST_FRAMES = 1200
"""Frames that are measured in all; of longer films, evenly spread runs."""

RUN = 48
"""Frames of a run."""

_FLICKER_FRAMES = 240
"""Frames whose block means are kept for the flicker index, at most."""

_BLOCK = 8
_PAIRS = 10
"""Pairs of successive frames on which the warping error is taken."""

_PAIR_SIZE = (320, 240)
"""Width and height of the part in the middle on which it is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """What was measured; every list of lists has one entry for each clip."""

    size: tuple[int, int]
    """(width, height) at which all numbers were taken."""

    comparable: bool
    """Whether the pictures have one shape; if not, `psnr`, `flicker` and `warping` are unknown."""

    runs: bool
    """Whether only runs of frames were measured, since the film is long."""

    number: list[int] = field(default_factory=list)
    """Of the moments; those that follow one another directly have successive numbers."""

    seconds: list[float] = field(default_factory=list)
    brightness: list[list[float]] = field(default_factory=list)
    """Mean luma in code values."""

    sharpness: list[list[float]] = field(default_factory=list)
    """Root mean square of the luma's Laplacian, in code values: detail, and noise as well."""

    psnr: list[list[float]] = field(default_factory=list)
    """dB of luma against the first clip, infinite where equal; its own list is empty."""

    unsteadiness: list[float | None] = field(default_factory=list)
    """Flicker of mean luma in code values: the median distance of a frame's mean from that of its
    two neighbours, scaled to be the standard deviation of random flicker; cuts and fades do not
    move it.  None for fewer than three successive frames."""

    flicker: list[float | None] = field(default_factory=list)
    """`metrics.flicker_index` against the first clip; None for the first."""

    warping: list[float | None] = field(default_factory=list)
    """`metrics.warping_error` along the first clip's motion."""

    @property
    def nearness(self) -> list[float]:
        """PSNR of the clip that is farthest from the first, for each moment."""
        return [min(values) for values in zip(*(row for row in self.psnr if row), strict=True)]

    @property
    def mean_psnr(self) -> list[float | None]:
        """Over the frames, in dB, of the mean squared error; None for the first clip."""
        return [_mean_psnr(values) if values else None for values in self.psnr]


def measure(
    clips: Sequence[Clip],
    *,
    length: Fraction | None = None,
    most: int = MOST_FRAMES,
) -> Curves:
    """Takes the numbers of all clips together, at `most` frames or a few more.

    Raises InputError.
    """
    shortest = _shortest(clips, length)
    expected = _expected(clips[0], shortest)
    taker = _Taker(clips, min(expected, most) or most)
    runs = expected > most
    if runs and shortest is not None and can_jump(clips):
        chosen = _in_runs(clips, shortest, max(1, most // RUN))
    else:
        chosen = _all_or_some(clips, length, max(1, math.ceil(expected / most)))
    for number, moment in chosen:
        taker.take(number, moment)
    return taker.curves(runs=runs)


def _expected(first: Clip, length: Fraction | None) -> int:
    """Frames of the first clip within `length` seconds, 0 where nobody knows."""
    expected = first.frames_expected or 0
    if length is None:
        return expected
    return min(expected, int(length * (first.info.video.average_rate or 25)))


def _shortest(clips: Sequence[Clip], length: Fraction | None) -> Fraction | None:
    """Seconds that all clips last, as their headers say; `length` where one does not say."""
    lengths = [clip.info.duration_seconds_from_header for clip in clips]
    known = [
        whole - clip.start for whole, clip in zip(lengths, clips, strict=True) if whole is not None
    ]
    if len(known) < len(clips):
        return length
    return min(known) if length is None else min(*known, length)


def _in_runs(clips: Sequence[Clip], length: Fraction, count: int) -> Iterator[tuple[int, Moment]]:
    """Evenly spread runs of moments; their numbers follow one another within a run alone."""
    for run in range(count):
        begin = length * run / count
        for place, moment in enumerate(islice(moments(clips, begin=begin, length=length), RUN)):
            yield run * (RUN + 1) + place, moment


def _all_or_some(
    clips: Sequence[Clip], length: Fraction | None, every: int
) -> Iterator[tuple[int, Moment]]:
    """Every moment, or one run in `every`: all are read, where nothing can be skipped."""
    for number, moment in enumerate(moments(clips, length=length)):
        if (number // RUN) % every == 0:
            yield number, moment


class _Taker:
    """Takes the numbers of one moment after the other."""

    def __init__(self, clips: Sequence[Clip], frames: int) -> None:
        self._clips = clips
        self._size = common_size(clips)
        self._comparable = same_shape(clips)
        self._number: list[int] = []
        self._seconds: list[float] = []
        self._brightness: list[list[float]] = [[] for _ in clips]
        self._sharpness: list[list[float]] = [[] for _ in clips]
        self._psnr: list[list[float]] = [[] for _ in clips]
        self._blocks: list[list[Tensor]] = [[] for _ in clips]
        self._blocks_every = max(1, math.ceil(frames / _FLICKER_FRAMES))
        self._pairs_every = max(1, frames // _PAIRS)
        self._pairs: list[list[Tensor]] = [[] for _ in clips]
        self._before: list[Tensor] = []

    def take(self, number: int, moment: Moment) -> None:
        like = moment.frames[0].color
        planes = [
            luma(frame, clip, self._size, like)
            for frame, clip in zip(moment.frames, self._clips, strict=True)
        ]
        taken = len(self._number)
        follows = taken > 0 and self._number[-1] == number - 1
        self._number.append(number)
        self._seconds.append(float(moment.seconds))
        for place, plane in enumerate(planes):
            self._brightness[place].append(float(plane.mean()))
            self._sharpness[place].append(_laplacian(plane))
        if not self._comparable:
            return
        for place, plane in enumerate(planes[1:], 1):
            self._psnr[place].append(metrics.psnr(plane, planes[0]))
        if taken % self._blocks_every == 0:
            for place, plane in enumerate(planes):
                self._blocks[place].append(F.avg_pool2d(plane[None], _BLOCK, ceil_mode=True)[0])
        if taken % self._pairs_every == min(1, self._pairs_every - 1) and follows and self._before:
            for place, plane in enumerate(planes):
                self._pairs[place].append(torch.stack((self._before[place], _middle(plane))))
        self._before = [_middle(plane).clone() for plane in planes]

    def curves(self, *, runs: bool) -> Curves:
        flicker: list[float | None] = [None] * len(self._clips)
        if len(self._blocks[0]) > 1:
            truth = torch.stack(self._blocks[0])
            for place in range(1, len(self._clips)):
                blocks = torch.stack(self._blocks[place])
                flicker[place] = metrics.flicker_index(blocks, truth, block=1)
        return Curves(
            size=self._size,
            comparable=self._comparable,
            runs=runs,
            number=self._number,
            seconds=self._seconds,
            brightness=self._brightness,
            sharpness=self._sharpness,
            psnr=self._psnr,
            unsteadiness=[_unsteadiness(self._number, values) for values in self._brightness],
            flicker=flicker,
            warping=self._warping(),
        )

    def _warping(self) -> list[float | None]:
        errors: list[list[float]] = [[] for _ in self._clips]
        for number, truth in enumerate(self._pairs[0]):
            motion = match(truth)
            if not bool(motion.shown.any()):
                continue
            for place in range(len(self._clips)):
                clip = self._pairs[place][number]
                error = metrics.warping_error(clip, motion.flow, motion.shown)
                if math.isfinite(error):
                    errors[place].append(error)
        return [statistics.fmean(values) if values else None for values in errors]


def _middle(plane: Tensor) -> Tensor:
    height, width = plane.shape
    wide, high = min(width, _PAIR_SIZE[0]), min(height, _PAIR_SIZE[1])
    left, top = (width - wide) // 2, (height - high) // 2
    return plane[top : top + high, left : left + wide]


def _laplacian(plane: Tensor) -> float:
    inner = 4 * plane[1:-1, 1:-1]
    inner = inner - plane[:-2, 1:-1] - plane[2:, 1:-1] - plane[1:-1, :-2] - plane[1:-1, 2:]
    return float(inner.square().mean().sqrt())


def _unsteadiness(number: Sequence[int], means: Sequence[float]) -> float | None:
    distances = [
        abs(means[at] - (means[at - 1] + means[at + 1]) / 2)
        for at in range(1, len(means) - 1)
        if number[at + 1] - number[at - 1] == 2
    ]
    # White flicker of deviation s gives distances of deviation s * sqrt(1.5).
    return 1.4826 * statistics.median(distances) / math.sqrt(1.5) if distances else None


def _mean_psnr(values: Sequence[float]) -> float:
    error = statistics.fmean(0.0 if math.isinf(value) else 10 ** (-value / 10) for value in values)
    return math.inf if error == 0 else -10 * math.log10(error)
