"""Vertical scratches: thin lines that stay at one place of the film gate for many frames.

A line of a picture (`lines`) counts as a scratch if it is found at nearly the same place in most of
the frames around, and if it does not follow the picture where the picture moves; where the picture
rests, if it is long or changes otherwise than what lies beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F

from vrestore.media import Coding, Frame
from vrestore.notes import ShotNote
from vrestore.ops.infill import luma_of
from vrestore.ops.lines import Lines, find_lines
from vrestore.ops.unrest import Unrest, changes_by_itself, unrest_of

__all__ = ["Scratches", "ScratchesConfig"]

_AHEAD = 3
"""Frames that are looked ahead, and back."""

_CLEAR = 2.8
"""Mean height of a line in a strip, in standard errors, at strength 0.5."""

_LONG = 0.65
"""Least share of the strips that show a line where the picture stands still and cannot tell a
scratch from an upright: doors, posts and corners of houses run through half of it."""

_KEPT = 0.6
"""Share of the frames around that must show it."""

_DRIFT = 1.6
"""Largest move from one frame to the next, in samples."""

_WIDEST = 2
"""Half the width that is repaired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScratchesConfig:
    """Section [scratches] of a preset."""

    strength: float = 0.0
    """How faint a line may be to count as a scratch; 0 is off, 0.5 suits most films.  0 to 1."""

    show_mask: bool = False
    """Show what was found, in red, instead of repairing it."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength must be 0 to 1, got {self.strength}")


@dataclass(slots=True)
class _View:
    frame: Frame
    luma: torch.Tensor
    lines: Lines
    moves: torch.Tensor
    """(columns of blocks,) sideways motion from the frame before, in samples; nan for unknown."""
    unrest: Unrest


@dataclass(slots=True)
class _Tally:
    first: int = 0
    frames: int = 0
    counts: list[float] = field(default_factory=list)


class Scratches:
    """Op: marks vertical scratches in `Frame.mask` and fills them from both sides; UNIT frames."""

    def __init__(self, config: ScratchesConfig) -> None:
        self.latency = _AHEAD
        self.notes: list[ShotNote] = []
        self._config = config
        self._strength = config.strength
        self._views: list[_View] = []
        self._waiting = 0
        self._tally = _Tally()

    def push(self, frame: Frame) -> Iterable[Frame]:
        if frame.coding is not Coding.UNIT:
            raise ValueError("Scratches takes UNIT frames")
        if frame.shot_start or not self._tally.frames:
            yield from self._end()
            self._strength = frame.tuning.get("scratches.strength", self._config.strength)
            self._tally.first = frame.index
        self._tally.frames += 1
        if self._strength <= 0:
            yield frame
            return
        luma = luma_of(frame.planes, frame.format)
        clear = _CLEAR * 2 ** (2 * (0.5 - self._strength))
        before = self._views[-1].luma if self._views else luma
        lines, moves = find_lines(luma, clear), _sideways(before, luma)
        self._views.append(_View(frame, luma, lines, moves, unrest_of(before, luma)))
        self._waiting += 1
        if self._waiting > _AHEAD:
            yield self._settled()

    def flush(self) -> Iterable[Frame]:
        yield from self._end()

    def _end(self) -> Iterable[Frame]:
        while self._waiting:
            yield self._settled()
        if self._tally.frames and self._strength > 0:
            counts = self._tally.counts
            self.notes.append(
                ShotNote(
                    stage="scratches",
                    first=self._tally.first,
                    frames=self._tally.frames,
                    values={"lines_per_frame": sum(counts) / max(1, len(counts))},
                    curves={"lines": tuple(counts)},
                )
            )
        self._views.clear()
        self._tally = _Tally()

    def _settled(self) -> Frame:
        here = len(self._views) - self._waiting
        view = self._views[here]
        mask = _mask(view, self._views, here)
        self._waiting -= 1
        del self._views[: max(0, len(self._views) - self._waiting - _AHEAD)]
        self._tally.counts.append(0.0 if mask is None else float(mask.any(0).sum()) / 3)
        if mask is None:
            return view.frame
        frame = view.frame
        whole = mask if frame.mask is None else mask | frame.mask
        if self._config.show_mask:
            return replace(frame, mask=whole)
        planes = []
        for number, plane in enumerate(frame.planes):
            if number >= frame.format.color_planes:
                planes.append(plane)
                continue
            shifts = (
                (frame.format.log2_chroma_w, frame.format.log2_chroma_h)
                if frame.format.is_chroma(number)
                else (0, 0)
            )
            planes.append(_beside(plane, _shrunk(mask, *shifts)))
        return replace(frame, planes=tuple(planes), mask=whole, ready=None)


def _sideways(before: torch.Tensor, here: torch.Tensor) -> torch.Tensor:
    """(n,) how far parts of the picture moved sideways, in samples, from a few rows of each.

    Projections of eight bands onto the row, compared at whole samples in parts of 64 columns.
    """
    height, width = here.shape
    part, reach = 64, 12
    if width < part + 2 * reach or height < 16:
        return here.new_full((max(1, width // part),), torch.nan)
    bands = 8
    rows = height // bands
    a, b = (
        plane[: bands * rows].view(bands, rows, width)[:, ::2].mean(1) for plane in (before, here)
    )
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    wide = F.pad(a[None], (reach, reach), mode="replicate")[0]
    parts = width // part
    costs = []
    for shift in range(-reach, reach + 1):
        moved = wide[:, reach - shift : reach - shift + width]
        cost = (moved - b).abs()[:, : parts * part].view(bands, parts, part).mean((0, 2))
        costs.append(cost)
    cost = torch.stack(costs)
    best = cost.argmin(0)
    # What looks the same wherever it is put did not show its motion.
    told = cost.amin(0) < 0.6 * cost.amax(0)
    return torch.where(told, (best - reach).float(), torch.nan)


def _mask(view: _View, views: list[_View], here: int) -> torch.Tensor | None:
    """(H, W) bool of the scratches among a view's lines; None for none."""
    lines = view.lines
    if not lines.column.numel():
        return None
    votes = torch.ones(lines.column.numel())
    against = torch.zeros_like(votes)
    moving = torch.zeros_like(votes)
    others = [
        i for i in range(here - _AHEAD, here + _AHEAD + 1) if 0 <= i < len(views) and i != here
    ]
    for i in others:
        theirs = views[i].lines
        steps = abs(i - here)
        path = sum(
            (views[j].moves for j in range(min(i, here) + 1, max(i, here) + 1)),
            torch.zeros_like(view.moves),
        )
        block = (lines.column // 64).clamp(max=len(path) - 1)
        travelled = path[block] * (1 if i > here else -1)
        if not theirs.column.numel():
            continue
        apart = theirs.column.float() - lines.column[:, None].float()
        same = theirs.sign == lines.sign[:, None]
        stays = ((apart.abs() <= _DRIFT * steps**0.5) & same).any(1)
        follows = (((apart - travelled[:, None]).abs() <= 1.5) & same).any(1)
        tells = travelled.abs() > _DRIFT * steps**0.5 + 1.5
        votes += stays
        moving += tells & stays
        against += tells & follows & ~stays
    needed = max(2.0, _KEPT * (len(others) + 1))
    long = lines.strips.float().mean(1)
    # Where the picture stands still, only what runs through much of it is believed, and what the
    # picture does not have at rest.
    good = (votes >= needed) & (against < 2)
    unsure = good & (moving < 2) & (long < _LONG)
    lumas, unrests = [v.luma for v in views], [v.unrest for v in views]
    for number in unsure.nonzero()[:, 0].tolist():
        column = int(lines.column[number])
        good[number] = changes_by_itself(column, lines.strips[number], lumas, unrests, here)
    if not bool(good.any()):
        return None
    height, width = view.luma.shape
    mask = torch.zeros(height, width, dtype=torch.bool, device=view.luma.device)
    for number in good.nonzero()[:, 0].tolist():
        _draw(mask, view.luma, int(lines.column[number]), float(lines.sign[number]))
    return mask


def _draw(mask: torch.Tensor, luma: torch.Tensor, column: int, sign: float) -> None:
    """Mark the samples of one line where it can be seen."""
    height, width = luma.shape
    first, last = max(0, column - 6), min(width, column + 7)
    band = luma[:, first:last]
    sides = torch.cat((band[:, :2], band[:, -2:]), 1).mean(1, keepdim=True)
    above = (band - sides) * sign
    # Along the line, a quarter of the picture's height apart, it changes slowly.
    run = 2 * (min(height // 40, 12)) + 1
    smooth = F.avg_pool2d(above[None, None], (run, 1), 1, (run // 2, 0), count_include_pad=False)
    smooth = smooth[0, 0]
    peak = smooth[:, 2:-2].amax(1, keepdim=True)
    noise = above.std() / run**0.5
    core = (smooth > 0.4 * peak) & (peak > 2 * noise + 0.008)
    offset = torch.arange(first, last, device=luma.device) - column
    core &= offset.abs() <= _WIDEST + 1
    mask[:, first:last] |= core


def _shrunk(mask: torch.Tensor, log2_w: int, log2_h: int) -> torch.Tensor:
    """The mask at a plane's size: a chroma sample is damaged where any of its luma is."""
    if not (log2_w or log2_h):
        return mask
    return (
        F.max_pool2d(mask[None, None].float(), (1 << log2_h, 1 << log2_w), ceil_mode=True)[0, 0] > 0
    )


def _beside(plane: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The plane with masked runs of each row drawn from both ends, and the grain from beside."""
    rows, columns = mask.nonzero(as_tuple=True)
    if not rows.numel():
        return plane
    height, width = plane.shape
    index = torch.arange(width, device=plane.device).expand(height, -1)
    free = ~mask
    left = torch.where(free, index, -1).cummax(1).values[rows, columns]
    right = torch.where(free, index, width).flip(1).cummin(1).values.flip(1)[rows, columns]
    known_left, known_right = left >= 0, right < width
    left_at, right_at = left.clamp(min=0), right.clamp(max=width - 1)
    # One sample on: the nearest still holds the line's edge.
    far_left, far_right = (left_at - 1).clamp(min=0), (right_at + 1).clamp(max=width - 1)
    value_left = 0.5 * (plane[rows, left_at] + plane[rows, far_left])
    value_right = 0.5 * (plane[rows, right_at] + plane[rows, far_right])
    value_left = torch.where(known_left, value_left, value_right)
    value_right = torch.where(known_right, value_right, value_left)
    share = (columns - left).float() / (right - left).clamp(min=1)
    value = torch.lerp(value_left.float(), value_right.float(), share)
    # Grain: what a sample beside the run is above the mean of those around it.
    span = right - left
    donor = torch.where(known_left & (columns - span >= 2), columns - span, columns + span)
    donor = donor.clamp(2, max(2, width - 3)).clamp(max=width - 1)
    around = torch.stack(
        [plane[rows, (donor + k).clamp(0, width - 1)] for k in (-2, -1, 0, 1, 2)]
    ).float()
    fine = around[2] - around.mean(0)
    limit = 2 * around.std(0).median() + 1e-6
    out = plane.clone()
    out[rows, columns] = (value + fine.clamp(-limit, limit)).to(out.dtype)
    return out
