"""Reads up to 48 frames of one shot and says in numbers what they show.

    tone        black, white, mean (luma, unit scale); clipped (share); saturation; tint_cb,
                tint_cr; shadow_cb, shadow_cr; cast_cb, cast_cr; dyes (see `Tone`)
    detail      fine_x, fine_y (share of the sampled frequencies), chroma_x (the same, of luma's),
                halo, halo_down (along lines, and down columns; share of an edge's height)
    coding      blocks (8-bit codes), starved (share), banding (share)
    drawing     flat (share of the picture without any texture)
    damage      dirt (share of the picture, or of its calmer cells), dirt_repeats (1 where specks
                fall anew in every frame, more where they stay), scratches (share of the picture)
    tape        chroma_shift_x, chroma_shift_y (samples), chroma_shift_trust, head_switch (rows)
    noise       grain (8-bit codes, mid-tones), grain_size (samples), grain_hump (mid-tones against
                shadows and lights), grain_trust (0..1), grain_fine (8-bit codes of white noise as
                strong as its finer half), chroma_grain (8-bit codes)
    steadiness  flicker (share of the light), flicker_agree (0..1), weave_x, weave_y, weave_error
                (samples), weave_rough (0..1), moved (share of the picture that was found again);
                see `Flicker` and `Weave`

Spatial measures are taken of a few of the frames, and their median is kept; the others of all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from statistics import median
from types import MappingProxyType

import torch
import torch.nn.functional as F

from vrestore.diagnose.compression import banding, flat, grid, starved
from vrestore.diagnose.detail import halo, resolution
from vrestore.diagnose.steadiness import CellTracks
from vrestore.diagnose.tapefaults import displaced_colour, torn_rows
from vrestore.diagnose.tone import Tone, tone
from vrestore.diagnose.values import Reading
from vrestore.media import Coding, ColorModel, Frame
from vrestore.ops.dirt import Dirt, DirtConfig
from vrestore.ops.grainmeasure import GrainMeter
from vrestore.ops.grainmodel import BANDS, INTENSITIES, ChannelGrain, Grain
from vrestore.ops.mixtures import mixture_of
from vrestore.ops.scratches import Scratches, ScratchesConfig
from vrestore.ops.smallluma import small_luma

__all__ = ["LONGEST", "RunReader", "field_picture"]

LONGEST = 48
"""Frames of a shot that are read."""

_SPACING = 6
"""Every so many frames one is looked at by itself."""

_GRAINY = 24
"""Frames of which grain is measured; more say no more."""

_LEAST_FOR_GRAIN = 48
"""Rows and columns that hold enough blocks."""

_DIRTY = 9
"""Frames in which dirt is looked for."""

_DIRT_STRENGTH = 0.05
"""Only what is surely dirt: a diagnosis may miss specks, but must not see them where none are."""

_SCRATCH_STRENGTH = 0.3

_KEPT = 4
"""Frames that the measures of tape look at together."""

_CELLS = (6, 8)
"""Dirt lies everywhere, moving things lie somewhere: the calmer cells of the picture count."""

_CALM = 0.75
"""Share of the cells that count."""

_ALL_OVER = 0.27
"""Share of the cells with dirt in any frame that no moving thing reaches: of 40 clean clips one
has as many, with a fifth of the dirt that counts."""

_PRIOR = 10
"""Marked cells' worth of belief that dirt falls anew: a few marks do not show where they fall."""

_LINED = 5
"""Frames in which a line must be looked for before it is one that stays."""

_UNCHANGED = 2.5 / 255
"""Standard deviation of a sample of a picture at rest up to which it did not change."""

_BESIDE = 8
"""Samples from a line to where things that pass it change the picture as much."""

_SIDE = 5
"""Samples on each side of a line with which it is compared, and between two lines."""

_STRIPS = 24
"""Parts of a line that are compared with those in the frame before."""

_FILMED = 0.985
"""Their correlation from which a line belongs to what is filmed."""

_SMALL = 256
"""Columns of the picture on which light and place are measured."""

_CODES = 255

_WANTED = 2.2e6
"""Luma samples of a picture that are looked at by themselves: the middle of a larger one."""

_WANTED_FOR_DIRT = 2.2e5


def field_picture(frame: Frame) -> Frame:
    """The upper field of a frame as a picture of half the height, chroma too."""
    planes = tuple(plane[0::2] for plane in frame.planes)
    if frame.format.log2_chroma_h and planes[0].shape[0] % 2:
        # Rows of chroma are those of luma in pairs; a row too many has none.
        planes = (planes[0][:-1], *(p[: planes[0].shape[0] // 2] for p in planes[1:]))
    return replace(frame, planes=planes, ready=None)


class RunReader:
    """Reads one run: UNIT frames of one shot and size, in order, at most `LONGEST`."""

    def __init__(self) -> None:
        self._first: Frame | None = None
        self._times: list[Fraction] = []
        self._indices: list[int] = []
        self._looks: list[tuple[int, dict[str, float]]] = []
        self._dirt = Dirt(DirtConfig(strength=_DIRT_STRENGTH, fill="network"))
        self._lines = Scratches(ScratchesConfig(strength=_SCRATCH_STRENGTH))
        self._picture: Frame | None = None
        """The frame before `_unsettled`, if it is no mixture."""
        self._unsettled: Frame | None = None
        self._dirty: list[tuple[int, torch.Tensor]] = []
        self._lined: list[tuple[int, torch.Tensor]] = []
        self._cores: list[torch.Tensor] = []
        self._kept: list[Frame] = []
        self._pairs: list[tuple[Frame, Frame]] = []
        self._before: Frame | None = None
        self._tracks = CellTracks()
        self._scale = 1
        self._grain = GrainMeter()

    def __len__(self) -> int:
        return len(self._times)

    def push(self, frame: Frame) -> None:
        """The next frame; ValueError for CODE frames or more than `LONGEST`."""
        if frame.coding is not Coding.UNIT:
            raise ValueError("RunReader takes UNIT frames")
        if len(self) == LONGEST:
            raise ValueError(f"a run has at most {LONGEST} frames")
        self._first = self._first or frame
        part = _middle(frame, _WANTED)
        if len(self) % _SPACING == 2 or not self._looks:
            self._looks.append((frame.index, _look(part)))
            if len(self._kept) < _KEPT:
                self._kept.append(frame)
                if self._before is not None:
                    self._pairs.append((self._before, frame))
        self._before = frame
        self._times.append(frame.timestamp.seconds)
        self._indices.append(frame.index)
        small, self._scale = small_luma(frame, _SMALL)
        self._tracks.push(small)
        if len(self) <= _GRAINY and min(part.width, part.height) >= _LEAST_FOR_GRAIN:
            self._grain.push(part)
        if len(self) <= _DIRTY:
            core = replace(_middle(part, _WANTED_FOR_DIRT), shot_start=len(self) == 1)
            self._cores.append(_luma(core))
            self._look_for_dirt(core)
            self._note_lines(self._lines.push(core))

    def _look_for_dirt(self, after: Frame | None) -> None:
        """Looks at the frame before `after`, None for the end, unless it is a mixture of two
        pictures: what one of them had alone is then seen in three frames."""
        before, frame = self._picture, self._unsettled
        self._picture, self._unsettled = None, after
        if frame is None:
            return
        if before is None or after is None or mixture_of(frame, before, after) is None:
            self._picture = frame
            self._note_dirt(self._dirt.push(frame))

    def _note_dirt(self, judged: Iterable[Frame]) -> None:
        for frame in judged:
            mask = frame.mask
            self._dirty.append((frame.index, torch.zeros(_CELLS) if mask is None else _cells(mask)))

    def _note_lines(self, judged: Iterable[Frame]) -> None:
        for frame in judged:
            mask = frame.mask
            if mask is None:
                mask = torch.zeros(frame.height, frame.width, dtype=torch.bool)
            self._lined.append((frame.index, mask))

    def reading(self) -> Reading:
        """What the run shows.  ValueError where nothing was pushed."""
        if self._first is None:
            raise ValueError("nothing was read")
        values, worst = _medians(self._looks)
        values |= self._steadiness(worst)
        values |= self._marks(worst)
        values |= self._tape()
        values |= _grain_values(self._grain.result())
        return Reading(
            first=self._first.index,
            seconds=self._times[0],
            frames=len(self),
            values=MappingProxyType(values),
            worst=MappingProxyType(worst),
        )

    def _steadiness(self, worst: dict[str, int]) -> dict[str, float]:
        flicker, weave = self._tracks.flicker(), self._tracks.weave()
        worst["flicker"] = self._indices[flicker.worst]
        worst["weave"] = self._indices[weave.worst]
        return {
            "flicker": flicker.size,
            "flicker_agree": flicker.agree,
            "weave_x": weave.x * self._scale,
            "weave_y": weave.y * self._scale,
            "weave_rough": weave.rough,
            "weave_error": weave.error * self._scale,
            "moved": weave.seen,
        }

    def _tape(self) -> dict[str, float]:
        shift_x, shift_y, trust = displaced_colour([_middle(f, _WANTED) for f in self._kept])
        return {
            "chroma_shift_x": shift_x,
            "chroma_shift_y": shift_y,
            "chroma_shift_trust": trust,
            "head_switch": float(torn_rows(self._pairs)),
        }

    def _marks(self, worst: dict[str, int]) -> dict[str, float]:
        """Shares of damaged samples; the first and last frame are judged from one side only."""
        self._look_for_dirt(None)
        self._note_dirt(self._dirt.flush())
        self._note_lines(self._lines.flush())
        dirty = self._dirty[1:-1] or self._dirty
        lined = self._lined[1:-1] or self._lined
        worst["dirt"] = max(dirty, key=lambda pair: float(pair[1].mean()))[0]
        worst["scratches"] = max(lined, key=lambda pair: float(pair[1].float().mean()))[0]
        return {
            "dirt": _density(torch.stack([share for _, share in dirty])),
            "dirt_repeats": _repeats([share for _, share in self._dirty[1:-1]]),
            "scratches": self._scratched([mask for _, mask in lined], self._cores),
        }

    def _scratched(self, masks: list[torch.Tensor], cores: list[torch.Tensor]) -> float:
        """Share of the picture under lines that are no part of what is filmed."""
        if len(masks) < _LINED:
            return 0.0
        lines, shown = torch.stack(masks), torch.stack(cores)
        if self._tracks.at_rest():
            lines = lines & _changed(shown.std(dim=0))
        return float((lines & ~_unchanging(shown, lines)).float().mean())


def _changed(spread: torch.Tensor) -> torch.Tensor:
    """Where (H, W) samples changed by themselves and not with those beside them."""
    left, right = spread.roll(_BESIDE, dims=1), spread.roll(-_BESIDE, dims=1)
    return (spread > _UNCHANGED) & (spread > 2 * torch.minimum(left, right))


def _unchanging(frames: torch.Tensor, lines: torch.Tensor) -> torch.Tensor:
    """(W,) columns whose line, of (T, H, W) `lines`, looks all along it as it did in the frame
    before: what scratches a film has another stretch of it under it in every frame."""
    height, width = frames.shape[1:]
    filmed = torch.zeros(width, dtype=torch.bool)
    columns = lines.flatten(0, 1).any(0).nonzero().flatten().tolist()
    while columns:
        first = last = columns.pop(0)
        while columns and columns[0] - last <= _SIDE:
            last = columns.pop(0)
        left, right = (
            frames[:, :, max(0, first - _SIDE) : first],
            frames[:, :, last + 1 :][..., :_SIDE],
        )
        contrast = frames[:, :, first : last + 1].mean(2) - torch.cat((left, right), 2).mean(2)
        along = F.avg_pool1d(contrast[:, None], max(1, height // _STRIPS))[:, 0]
        along = F.normalize(along - along.mean(1, keepdim=True))
        alike = (along[1:] * along[:-1]).sum(1).median()
        filmed[first : last + 1] = bool(alike >= _FILMED)
    return filmed


def _look(frame: Frame) -> dict[str, float]:
    """The spatial measures of one frame."""
    luma = _luma(frame)
    chroma, finest = None, 0.0
    if frame.format.model is ColorModel.YCBCR:
        chroma = (frame.planes[1], frame.planes[2])
    elif frame.format.model is ColorModel.RGB:
        red, _, blue = frame.planes[:3]
        chroma = ((blue - luma) / 1.8556 + 0.5, (red - luma) / 1.5748 + 0.5)
    if chroma is not None:
        finest = max(resolution(plane) for plane in chroma) / (1 << frame.format.log2_chroma_w)
    return {
        **_tone_values(tone(luma, chroma)),
        "fine_x": resolution(luma),
        "fine_y": resolution(luma.t()),
        "chroma_x": finest,
        "halo": halo(luma),
        "halo_down": halo(luma.t().contiguous()),
        "blocks": grid(luma),
        # What it is held against is what rounding to 8 bit leaves.
        "starved": starved(luma) if frame.format.depth <= 8 else 0.0,
        "banding": banding(luma),
        "flat": flat(luma),
    }


def _luma(frame: Frame) -> torch.Tensor:
    if frame.format.model is not ColorModel.RGB:
        return frame.planes[0]
    red, green, blue = frame.planes[:3]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _middle(frame: Frame, wanted: float) -> Frame:
    """The middle `wanted` samples of a large frame, beginning at a whole block."""
    if frame.height * frame.width <= wanted:
        return frame
    share = (wanted / (frame.height * frame.width)) ** 0.5
    down, across = (int(size * share) // 32 * 32 for size in (frame.height, frame.width))
    top, left = (frame.height - down) // 64 * 32, (frame.width - across) // 64 * 32
    planes = []
    for number, plane in enumerate(frame.planes):
        chroma = frame.format.is_chroma(number)
        log2_h = frame.format.log2_chroma_h if chroma else 0
        log2_w = frame.format.log2_chroma_w if chroma else 0
        rows = slice(top >> log2_h, (top + down) >> log2_h)
        planes.append(plane[rows, left >> log2_w : (left + across) >> log2_w])
    return replace(frame, planes=tuple(planes), ready=None)


def _cells(mask: torch.Tensor) -> torch.Tensor:
    """Share of damaged samples in each of _CELLS."""
    return F.adaptive_avg_pool2d(mask[None, None].float(), _CELLS)[0, 0]


def _density(shares: torch.Tensor) -> float:
    """Of dirt, from (T, rows, columns) shares: all of it where it lies all over the picture, else
    that of the calmer cells."""
    cells = shares.mean(dim=0).flatten().sort().values
    if float((cells > 0).float().mean()) >= _ALL_OVER:
        return float(cells.mean())
    return float(cells[: round(_CALM * len(cells))].mean())


def _repeats(shares: list[torch.Tensor]) -> float:
    """How much more often a cell is damaged where it was in the frame before: 1 for dirt, which
    falls anew on every frame, more for what moves; 0 where there is none."""
    if len(shares) < 2:
        return 0.0
    marked = torch.stack(shares) > 0
    usual = float(marked.float().mean())
    if usual == 0:
        return 0.0
    again = float((marked[1:] & marked[:-1]).sum()) + _PRIOR * usual
    return again / (float(marked[1:].sum()) + _PRIOR) / usual


def _tone_values(seen: Tone) -> dict[str, float]:
    return {
        "black": seen.black,
        "white": seen.white,
        "mean": seen.mean,
        "clipped": seen.clipped,
        "saturation": seen.saturation,
        "dyes": seen.dyes,
        "tint_cb": seen.tint[0],
        "tint_cr": seen.tint[1],
        "shadow_cb": seen.shadows[0],
        "shadow_cr": seen.shadows[1],
        "cast_cb": _common(seen.shadows[0], seen.lights[0]),
        "cast_cr": _common(seen.shadows[1], seen.lights[1]),
    }


def _common(a: float, b: float) -> float:
    """What two numbers have in common: the smaller of one sign, else 0."""
    return 0.0 if a * b <= 0 else min(a, b, key=abs)


def _grain_values(grain: Grain) -> dict[str, float]:
    if not grain.channels:
        first, others = ChannelGrain(name="y", strength=(0.0,) * len(INTENSITIES)), []
    else:
        first, *others = grain.channels
    ends = 0.5 * (first.strength[1] + first.strength[-2])
    return {
        "grain": _CODES * first.typical,
        "grain_fine": _CODES * first.typical * _fineness(first.power),
        "grain_size": sum(first.size) / 2,
        "grain_hump": first.typical / ends if ends > 0 else 1.0,
        "grain_trust": grain.confidence,
        "chroma_grain": _CODES * max((one.typical for one in others), default=0.0),
    }


def _fineness(power: tuple[float, ...]) -> float:
    """Amplitude of a spectrum's finer half, against its mean."""
    total = area = 0.0
    for index, density in enumerate(power):
        row, column = divmod(index, len(BANDS))
        if row + column >= len(BANDS) - 1:
            total += density * len(BANDS[row]) * len(BANDS[column])
            area += len(BANDS[row]) * len(BANDS[column])
    return math.sqrt(total / area)


def _medians(looks: list[tuple[int, dict[str, float]]]) -> tuple[dict[str, float], dict[str, int]]:
    """The median of each measure, and the frame that shows most of it."""
    values: dict[str, float] = {}
    worst: dict[str, int] = {}
    for name in looks[0][1]:
        numbers = [look[name] for _, look in looks]
        values[name] = median(numbers)
        worst[name] = looks[max(range(len(looks)), key=lambda k: abs(numbers[k]))][0]
    return values, worst
