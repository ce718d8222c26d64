"""Moments of a film that are worth a look, and their pictures in every version."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import torch.nn.functional as F
from torch import Tensor

from vrestore.review import metrics
from vrestore.review.clips import Clip, Moment, can_jump, luma, moments
from vrestore.review.page.album import Album, Picture, thumbnail
from vrestore.review.page.plot import clock
from vrestore.review.page.viewer import Instant
from vrestore.review.screen import how_shown, shown

__all__ = ["PAGE_BYTES", "PICTURE_BYTES", "Pick", "picks", "pictures", "screen_shape"]

PAGE_BYTES = 32 * 2**20
"""Largest size of a page."""

PICTURE_BYTES = PAGE_BYTES - 3 * 2**20
"""What all pictures of a page may take; the rest is for curves and tables."""

_SSIM_WINDOW = 11

_TICK = Fraction(1, 1000)
"""Seconds by which a moment may be early: times in records are rounded."""

_FAR = 60.0
"""Seconds from which on pictures are gone to directly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A moment worth looking at."""

    seconds: float
    """Since instant 0; the first moment from then on is shown."""

    reason: str
    mask: str | None = None
    """Data URI of what was found damaged, to lay over the picture."""


def picks(seconds: Sequence[float], nearness: Sequence[float | None], count: int) -> list[Pick]:
    """Up to `count` moments in order: half spread evenly, half where the clips differ most.

    `seconds` are the moments there are; `nearness` falls with the difference (PSNR), and None,
    infinity or nothing at all says that there is none to speak of: then all are spread.
    """
    count = min(count, len(seconds))
    differing = [
        (value, place)
        for place, value in enumerate(nearness)
        if value is not None and math.isfinite(value)
    ]
    spread = count - count // 2 if differing else count
    chosen = {int((at + 0.5) * len(seconds) / spread): "evenly spread" for at in range(spread)}
    gap = max(1, len(seconds) // (3 * count)) if count else 1
    for _, place in sorted(differing):
        if len(chosen) == count:
            break
        if all(abs(place - other) >= gap for other in chosen):
            chosen[place] = "large difference"
    return [Pick(seconds=seconds[place], reason=chosen[place]) for place in sorted(chosen)]


def pictures(
    clips: Sequence[Clip],
    chosen: Sequence[Pick],
    album: Album,
    *,
    size: tuple[int, int] | None,
    length: Fraction | None = None,
) -> tuple[list[Instant], tuple[str, ...]]:
    """The moments with all pictures, and sentences on how these are shown.

    They are called by their time in the first clip's file.  `size` is where the clips are compared
    in numbers, None where they are not.  Raises InputError.
    """
    found: list[Instant] = []
    notes: dict[str, None] = {}
    for pick, moment in _met(clips, sorted(chosen, key=lambda pick: pick.seconds), length):
        for clip, frame in zip(clips, moment.frames, strict=True):
            if (how := how_shown(frame.color)) is not None:
                notes[f"{clip.label}: {how}."] = None
        found.append(_instant(clips, moment, pick, album, size))
    return found, tuple(notes)


def _met(
    clips: Sequence[Clip], chosen: Sequence[Pick], length: Fraction | None
) -> Iterator[tuple[Pick, Moment]]:
    """Each pick, in order, with its moment; picks that fall on one moment are one."""
    if chosen and chosen[-1].seconds > _FAR and can_jump(clips):
        for pick in chosen:
            begin = max(Fraction(0), Fraction(pick.seconds) - _TICK)
            for moment in islice(moments(clips, begin=begin, length=length), 1):
                yield pick, moment
        return
    left = list(chosen)
    for moment in moments(clips, length=length):
        due = [pick for pick in left if Fraction(pick.seconds) - _TICK <= moment.seconds]
        if due:
            del left[: len(due)]
            yield due[0], moment
        if not left:
            return


def screen_shape(clips: Sequence[Clip]) -> tuple[int, int]:
    """(width, height) of the largest clip with square samples, none of its own lost."""
    largest = max(clips, key=lambda clip: clip.size[0] * clip.size[1])
    width, height = largest.size
    return max(width, round(height * largest.shape)), max(height, round(width / largest.shape))


def _instant(
    clips: Sequence[Clip],
    moment: Moment,
    pick: Pick,
    album: Album,
    size: tuple[int, int] | None,
) -> Instant:
    texts = [[f"frame of {clock(float(frame.timestamp.seconds))}"] for frame in moment.frames]
    focus = (0.5, 0.5)
    if size is not None:
        like = moment.frames[0].color
        planes = [
            luma(frame, clip, size, like) for frame, clip in zip(moment.frames, clips, strict=True)
        ]
        for words, plane in zip(texts[1:], planes[1:], strict=True):
            words += [_psnr_words(plane, planes[0]), _ssim_words(plane, planes[0])]
        focus = _most_different(planes[0], planes[-1])
    stored: list[Picture] = []
    small = ""
    for frame, clip in zip(moment.frames, clips, strict=True):
        pixels = shown(frame, clip.info.video.rotation)
        small = small or thumbnail(pixels)
        stored.append(album.add(pixels, focus))
    time = float(clips[0].start + moment.seconds)
    return Instant(
        seconds=time,
        label=clock(time),
        reason=pick.reason,
        thumbnail=small,
        pictures=stored,
        notes=texts,
        mask=pick.mask,
    )


def _psnr_words(plane: Tensor, truth: Tensor) -> str:
    value = metrics.psnr(plane, truth)
    return "equal to the first" if math.isinf(value) else f"PSNR {value:.2f} dB"


def _ssim_words(plane: Tensor, truth: Tensor) -> str:
    small = min(plane.shape) < _SSIM_WINDOW
    return "too small for SSIM" if small else f"SSIM {metrics.ssim(plane, truth):.4f}"


def _most_different(first: Tensor, last: Tensor) -> tuple[float, float]:
    """Centre of the part where two pictures differ most, (x, y) in 0..1; the middle if nowhere."""
    height, width = first.shape
    block = max(1, min(height, width) // 6)
    step = max(1, block // 2)
    change = F.avg_pool2d((last - first).abs()[None], block, stride=step)[0]
    if not float(change.max()):
        return 0.5, 0.5
    row, column = divmod(int(change.argmax()), change.shape[1])
    return (column * step + block / 2) / width, (row * step + block / 2) / height
