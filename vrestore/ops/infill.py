"""Putting picture where damage was: from the neighbouring frames, or from beside it in the row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from vrestore.media import SampleFormat
from vrestore.ops.blockmotion import CELL, read_at
from vrestore.ops.regions import Regions, connected

__all__ = ["Reference", "fill_from_neighbours", "grown", "luma_of"]

_RING = 2
"""Width of the border, in cells of 2x2 samples, in which a reference shows how well it fits; one
sample of each such cell is read."""

_SOFT = 0.5
"""Share of the repair in the samples just outside the mask."""

_APART = 4.0
"""References that differ by more than this many times their usual difference do not both show the
background."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A neighbouring frame of the same shot, and where things are in it."""

    planes: Sequence[torch.Tensor]

    flow: torch.Tensor
    """(1, 2, h, w) from the damaged frame to this one, as `blockmotion.estimate` gives it."""


def luma_of(planes: Sequence[torch.Tensor], form: SampleFormat) -> torch.Tensor:
    """The (H, W) float32 plane on which damage is looked for: Y, gray, or 709's mix of R, G, B."""
    if form.color_planes == 1 or form.is_chroma(1):
        return planes[0].float()
    red, green, blue = (plane.float() for plane in planes[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def grown(mask: torch.Tensor, by: int = 1) -> torch.Tensor:
    """A (H, W) bool mask and all samples within `by` of it, diagonals included."""
    for _ in range(by):
        wide = F.pad(mask, (1, 1, 1, 1))
        rows = wide[:-2] | wide[1:-1] | wide[2:]
        mask = rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
    return mask


def fill_from_neighbours(
    planes: Sequence[torch.Tensor],
    form: SampleFormat,
    mask: torch.Tensor,
    references: Sequence[Reference],
) -> tuple[torch.Tensor, ...]:
    """The colour planes with what `mask` (H, W) bool covers taken from the references; alpha stays.

    Each region comes from the one reference that fits best around it, brightness matched there, so
    that grain keeps its strength.  Where that reference is damaged too, the sample is the median of
    both and of the mean around.
    """
    if not bool(mask.any()):
        return tuple(planes)
    soft = grown(mask)
    around = _surroundings(mask, soft)
    out = []
    for number, plane in enumerate(planes):
        if number >= form.color_planes:
            out.append(plane)
            continue
        shift_x, shift_y = (
            (form.log2_chroma_w, form.log2_chroma_h) if form.is_chroma(number) else (0, 0)
        )
        out.append(_filled(plane, around, mask, soft, references, number, (shift_x, shift_y)))
    return tuple(out)


def _surroundings(mask: torch.Tensor, soft: torch.Tensor) -> Regions:
    """The samples of `soft` (H, W) and of the border around them, by regions."""
    height, width = mask.shape
    cells = F.max_pool2d(soft[None].float(), 2, ceil_mode=True)[0] > 0
    coarse = connected(grown(cells, _RING))
    inner = cells[coarse.rows, coarse.columns]
    rows, columns, labels = [2 * coarse.rows], [2 * coarse.columns], [coarse.labels]
    for down, across in ((0, 1), (1, 0), (1, 1)):
        rows.append(2 * coarse.rows[inner] + down)
        columns.append(2 * coarse.columns[inner] + across)
        labels.append(coarse.labels[inner])
    row, column, label = torch.cat(rows), torch.cat(columns), torch.cat(labels)
    there = (row < height) & (column < width)
    return Regions(row[there], column[there], label[there], coarse.count)


def _filled(
    plane: torch.Tensor,
    around: Regions,
    mask: torch.Tensor,
    soft: torch.Tensor,
    references: Sequence[Reference],
    number: int,
    shift: tuple[int, int],
) -> torch.Tensor:
    rows, columns = around.rows, around.columns
    share = mask[rows, columns].float() + _SOFT * (soft & ~mask)[rows, columns]
    labels = around.labels
    if shift != (0, 0):
        # A chroma sample is as damaged as the worst luma sample that it covers.
        place = (rows >> shift[1]) * plane.shape[1] + (columns >> shift[0])
        place, member = torch.unique(place, return_inverse=True)
        worst = torch.zeros(place.numel(), device=plane.device)
        share = worst.scatter_reduce_(0, member, share, "amax")
        labels = torch.zeros_like(place).scatter_(0, member, labels)
        rows, columns = place // plane.shape[1], place % plane.shape[1]
    regions = Regions(rows, columns, labels, around.count)
    here = plane[rows, columns].float()
    outside = (share == 0).float()
    weight = regions.total(outside).clamp_min(1e-6)
    candidates, errors = [], []
    for reference in references:
        value = _fetched(reference, number, rows, columns, shift)
        offset = regions.total((here - value) * outside) / weight
        value = value + offset[labels]
        errors.append(regions.total((here - value).abs() * outside) / weight)
        candidates.append(value)
    error = torch.stack(errors)
    best = error.argmin(0)[labels]
    value = torch.stack(candidates).gather(0, best[None])[0]
    if len(candidates) == 2:
        apart = (candidates[0] - candidates[1]).abs()
        mean = (regions.total(here * outside) / weight)[labels]
        both = torch.stack((candidates[0], candidates[1], mean)).median(0).values
        limit = _APART * (error.mean(0)[labels] + 0.004)
        value = torch.where(apart > limit, both, value)
    # A region that fills the picture has nothing around it to be matched with.
    known = (regions.total(outside) > 0)[labels]
    mixed = torch.where(known, here + share * (value - here), here)
    out = plane.clone()
    out[rows, columns] = mixed.to(out.dtype)
    return out


def _fetched(
    reference: Reference,
    number: int,
    rows: torch.Tensor,
    columns: torch.Tensor,
    shift: tuple[int, int],
) -> torch.Tensor:
    """What a plane of the reference shows at these samples' places."""
    flow = reference.flow[0]
    down, across = flow.shape[-2:]
    y = ((rows << shift[1]).float() + 0.5) / CELL - 0.5
    x = ((columns << shift[0]).float() + 0.5) / CELL - 0.5
    vector_x, vector_y = (_bilinear(part, x, y, across, down) for part in flow)
    return read_at(
        reference.planes[number],
        columns + vector_x / (1 << shift[0]),
        rows + vector_y / (1 << shift[1]),
    )


def _bilinear(
    plane: torch.Tensor, x: torch.Tensor, y: torch.Tensor, width: int, height: int
) -> torch.Tensor:
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    left, top = x.floor().long(), y.floor().long()
    right, bottom = (left + 1).clamp_(max=width - 1), (top + 1).clamp_(max=height - 1)
    u, v = x - left, y - top
    upper = torch.lerp(plane[top, left], plane[top, right], u)
    lower = torch.lerp(plane[bottom, left], plane[bottom, right], u)
    return torch.lerp(upper, lower, v)
