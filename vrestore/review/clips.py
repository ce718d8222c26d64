"""Several videos read side by side: at every instant of the first, what each of them shows."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import PurePath

import torch

from vrestore.errors import InputError
from vrestore.io.approach import find_landing
from vrestore.io.decode import DecodeConfig, Decoder
from vrestore.media import (
    ChromaLocation,
    ColorModel,
    ColorSpec,
    Frame,
    Matrix,
    MediaInfo,
    Primaries,
    SampleFormat,
)
from vrestore.ops.convert import Convert
from vrestore.ops.levels import Normalise
from vrestore.ops.resample import Resample
from vrestore.ops.standards import curve, luma_weights
from vrestore.review.screen import resolved, upright
from vrestore.survey import look_up

__all__ = ["Clip", "Moment", "can_jump", "common_size", "luma", "moments", "same_shape"]

_LATE = Fraction(5, 1000)
"""Seconds by which a frame may begin late and still be what is shown, since containers round times;
never more than a quarter of the time since the frame before."""

_LEAD = Fraction(1)
"""Seconds before `begin` from which frames are read: what is shown then may have begun earlier."""

_LONG = Fraction(60)
"""Seconds of film up to which nothing is gained by going straight to a place."""

_GRAY = SampleFormat(model=ColorModel.GRAY, depth=8)
_FULL = SampleFormat(model=ColorModel.YCBCR, depth=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A video, or a part of one."""

    info: MediaInfo
    label: str
    start: Fraction = Fraction(0)
    """Seconds after its first picture; the first picture at or after it is at instant 0."""

    skip: int = 0
    """Pictures from `start` on that are left out before instant 0."""

    @classmethod
    def of(
        cls, path: str, label: str | None = None, start: Fraction = Fraction(0), skip: int = 0
    ) -> Clip:
        """A file as a clip; its name is the label unless another is given.  Raises InputError."""
        info = look_up(path, DecodeConfig())
        return cls(info=info, label=label or PurePath(path).name or path, start=start, skip=skip)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in samples as a player turns the picture."""
        video = self.info.video
        turned = video.rotation % 180 != 0
        return (video.height, video.width) if turned else (video.width, video.height)

    @property
    def shape(self) -> Fraction:
        """Width over height on the screen."""
        width, height = self.size
        sar = self.info.video.sar
        return Fraction(width, height) * (1 / sar if self.info.video.rotation % 180 else sar)

    @property
    def frames_expected(self) -> int | None:
        """As the header claims, from `start` on."""
        video, length = self.info.video, self.info.duration_seconds_from_header
        count = video.frame_count
        if count is None and length is not None and video.average_rate is not None:
            count = int(length * video.average_rate)
        if count is None:
            return None
        return max(0, count - self.skip - int(self.start * (video.average_rate or 0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An instant, and the frame that each clip shows then; code values, colours resolved."""

    seconds: Fraction
    """Since the clips' starts."""

    frames: tuple[Frame, ...]


def moments(
    clips: Sequence[Clip], *, begin: Fraction = Fraction(0), length: Fraction | None = None
) -> Iterator[Moment]:
    """Every frame of the first clip with what the others show at its time.

    From the first frame at or after `begin` on, to the end of the shortest clip or before `length`
    seconds; `begin` and `length` count from instant 0.  A clip of another rate shows the same frame
    several times or skips some; times are compared, never numbers.  Raises InputError.
    """
    with contextlib.ExitStack() as stack:
        tracks = [_Track(clip, begin, stack) for clip in clips]
        first, *others = tracks
        for frame in first.frames:
            now = first.seconds(frame)
            if now < begin:
                continue
            if length is not None and now >= length:
                return
            shown = [track.at(now) for track in others]
            if any(other is None for other in shown):
                return
            yield Moment(
                seconds=now,
                frames=(resolved(frame), *(resolved(other) for other in shown if other)),
            )


def can_jump(clips: Sequence[Clip]) -> bool:
    """Whether a late `begin` is reached without reading all that lies before it."""
    return all(
        find_landing(clip.info.path, clip.info.video.stream.index, length / 2) is not None
        for clip in clips
        if (length := clip.info.duration_seconds_from_header or Fraction(0)) > _LONG
    )


class _Track:
    """One clip while it is read, from `begin` seconds after instant 0 or a little earlier."""

    def __init__(self, clip: Clip, begin: Fraction, stack: contextlib.ExitStack) -> None:
        self._clip = clip
        self._zero: Fraction | None = None
        """Time of instant 0 on the stream's clock; None until the first frame is read."""
        start, skip = clip.start, clip.skip
        if begin > _LEAD:
            origin, self._zero = _anchor(clip)
            start, skip = self._zero - origin + begin - _LEAD, 0
        decoder = _opened(clip, start)
        stack.callback(decoder.close)
        self.frames = self._from(decoder, skip)
        self._current: Frame | None = None
        self._next: Frame | None = None

    def seconds(self, frame: Frame) -> Fraction:
        """Time of a frame since instant 0."""
        assert self._zero is not None, "no frame was read yet"
        return frame.timestamp.seconds - self._zero

    def at(self, seconds: Fraction) -> Frame | None:
        """The frame shown then, None after the last; times asked for may not go back."""
        if self._current is None:
            self._current = next(self.frames, None)
            self._next = next(self.frames, None)
            if self._current is None:
                return None
        while self._next is not None and self._begun(self._current, self._next, seconds):
            self._current, self._next = self._next, next(self.frames, None)
        end = self.seconds(self._current) + _duration(self._current)
        return None if self._next is None and seconds >= end else self._current

    def _begun(self, current: Frame, following: Frame, seconds: Fraction) -> bool:
        begin = self.seconds(following)
        return begin - min(_LATE, (begin - self.seconds(current)) / 4) <= seconds

    def _from(self, decoder: Decoder, skip: int) -> Iterator[Frame]:
        for frame in islice(decoder, skip, None):
            if self._zero is None:
                self._zero = frame.timestamp.seconds
            yield frame


def _anchor(clip: Clip) -> tuple[Fraction, Fraction]:
    """Times of a file's first picture and of the clip's instant 0, on the stream's clock."""
    found = []
    for start, skip in ((Fraction(0), 0), (clip.start, clip.skip)):
        with _opened(clip, start) as decoder:
            frame = next(islice(decoder, skip, None), None)
        if frame is None:
            raise InputError(f"{clip.info.path} has no picture from {float(clip.start):g} s on")
        found.append(frame.timestamp.seconds)
    return found[0], found[1]


def _opened(clip: Clip, start: Fraction) -> Decoder:
    config = DecodeConfig(start=_decimal(start) if start > 0 else None)
    return Decoder(clip.info.path, config, stream=clip.info.video.stream.index)


def _decimal(seconds: Fraction) -> str:
    """A time as settings have it, never later than it is: the picture at it must be found."""
    return f"{math.floor(seconds * 10**9) / 10**9:.9f}"


def _duration(frame: Frame) -> Fraction:
    return frame.duration * frame.timestamp.time_base


# ------------------------------------------------------------------------------ one size for all


def common_size(clips: Sequence[Clip]) -> tuple[int, int]:
    """The size at which numbers are taken: the smallest clip's, (width, height), upright."""
    return min((clip.size for clip in clips), key=lambda size: size[0] * size[1])


def same_shape(clips: Sequence[Clip]) -> bool:
    """Whether all pictures have one shape on the screen, within 2 %."""
    shapes = [clip.shape for clip in clips]
    return max(shapes) <= min(shapes) * Fraction(102, 100)


def luma(frame: Frame, clip: Clip, size: tuple[int, int], like: ColorSpec) -> torch.Tensor:
    """Luma (height, width) float32 at `size`, 16..235 nominal: what `metrics` take.

    Brought down by Lanczos where the frame is larger.  Where `like`, the colour of what it is
    compared with, has another matrix or other primaries, it is luma in that standard: the same
    picture has other luma in 601 than in 709.
    """
    rotation = clip.info.video.rotation
    width, height = size if rotation % 180 == 0 else size[::-1]
    (unit,) = Normalise(frame.color).push(frame)
    if not _needs_conversion(unit, like):
        unit = replace(unit, planes=unit.planes[:1], format=_GRAY)
    (fitted,) = Resample(width, height).push(unit)
    if _needs_conversion(fitted, like):
        (fitted,) = Convert(
            fitted.format, fitted.color, to_form=_FULL, to_color=_luma_standard(fitted, like)
        ).push(fitted)
    return upright(fitted.planes[0], rotation) * 219 + 16


def _needs_conversion(unit: Frame, like: ColorSpec) -> bool:
    if unit.format.model is ColorModel.GRAY:
        return False
    if unit.format.model is ColorModel.RGB:
        return True
    color = unit.color
    return color.matrix is not _standard_matrix(like) and luma_weights(color.matrix) is not None


def _standard_matrix(like: ColorSpec) -> Matrix:
    """A matrix that gives luma: of RGB the one that fits its primaries."""
    if luma_weights(like.matrix) is not None:
        return like.matrix
    return Matrix.BT2020_NCL if like.primaries is Primaries.BT2020 else Matrix.BT709


def _luma_standard(unit: Frame, like: ColorSpec) -> ColorSpec:
    """The other's matrix, and its primaries where light may be converted."""
    both_sdr = curve(unit.color.transfer) is not None and curve(like.transfer) is not None
    return replace(
        unit.color,
        matrix=_standard_matrix(like),
        primaries=like.primaries if both_sdr else unit.color.primaries,
        chroma_location=ChromaLocation.UNSPECIFIED,
    )
