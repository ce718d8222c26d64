"""What is known of each region that may be dirt: a row of numbers, from which `dirtscore` judges.

Everything is read at a few samples of each region, never over the whole picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from vrestore.media import ColorModel, Frame
from vrestore.ops.blockmotion import CELL
from vrestore.ops.flyers import Way
from vrestore.ops.regions import Regions
from vrestore.ops.spikes import Spikes

__all__ = ["FEATURES", "Neighbour", "colourless", "describe", "region_colour"]

_INSIDE = 16
"""Samples read inside each region, evenly in the order of its rows."""

_RING = 12
"""Samples read on an ellipse around it."""

_APART = 2.5
"""Distance of that ellipse from the region, in samples."""

_QUIET = 0.004
"""Contrast, on the unit scale, that is nothing."""

_GREY = 0.01
"""Mean of |Cb| and |Cr| below which a picture has no colour."""

FEATURES = (
    "strength", "contrast", "disagreement", "texture", "area", "noise", "width",
    "height", "filled", "tone", "uniform", "uneven", "rim", "sharp", "bend", "motion",
    "return", "known_return", "elsewhere_best", "elsewhere_worst", "beyond_here",
    "beyond_apart", "beyond_known", "one_side", "lopsided", "saturation", "chroma", "crowd",
    "way", "way_first", "way_second", "alike", "solid", "busy", "sign",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A frame by which another one is judged."""

    frame: Frame
    luma: torch.Tensor
    aligned: torch.Tensor
    """(H, W) its luma as it lies in the judged frame."""
    flow: torch.Tensor
    """(1, 2, h, w) from the judged frame to it."""
    back: torch.Tensor | None
    """The other way round."""
    beyond: tuple[torch.Tensor, torch.Tensor] | None
    """Vectors from it to the frame after it on the same side, and that frame's luma."""


def describe(
    spikes: Spikes,
    frame: Frame,
    luma: torch.Tensor,
    neighbours: Sequence[Neighbour],
    ratio: float,
    way: Way,
) -> torch.Tensor:
    """(count, len(FEATURES)) float32.

    `ratio` is the time to the second neighbour over that to the first; negative between both.
    """
    regions = spikes.regions
    rows, columns = _inside(regions)
    one, two = neighbours
    contrast = spikes.contrast
    scale = contrast[:, None] + _QUIET
    areas = regions.areas
    centre_y, centre_x, tall, wide = _extent(regions)
    ring_y, ring_x = _ring(centre_y, centre_x, tall, wide, luma.shape)
    here, left, right = (p[rows, columns] for p in (luma, one.aligned, two.aligned))
    middle = 0.5 * (left + right)
    ring_here, ring_left, ring_right = (p[ring_y, ring_x] for p in (luma, one.aligned, two.aligned))
    ring_error = torch.maximum((ring_here - ring_left).abs(), (ring_here - ring_right).abs())
    tone = here.mean(1)
    above = here - middle
    bright = spikes.sign > 0
    flows = [_at(n.flow, rows, columns) for n in neighbours]
    bend = (flows[1] - ratio * flows[0]).square().sum(-1).sqrt().mean(1)
    motion = torch.maximum(*(f.square().sum(-1).sqrt().mean(1) for f in flows))
    returned, known = _returned(neighbours, flows, rows, columns, luma.shape)
    elsewhere = [_elsewhere(n, luma, (rows, columns), (ring_y, ring_x)) for n in neighbours]
    best, worst = (pick(*elsewhere) / scale[:, 0] for pick in (torch.minimum, torch.maximum))
    beyond_here, beyond_apart, beyond_known = _beyond(
        neighbours, flows, rows, columns, here, middle, scale
    )
    saturation, chroma = _colour(frame, neighbours, flows, rows, columns)
    sides = torch.stack(((here - left).mean(1).abs(), (here - right).mean(1).abs()))
    cover = _cells(regions, luma.shape)
    own = areas / (CELL * CELL * 25)
    cell = rows[:, _INSIDE // 2] // CELL, columns[:, _INSIDE // 2] // CELL
    columns_of = {
        "strength": spikes.strength.log(),
        "contrast": (contrast + 1e-3).log(),
        "disagreement": (contrast / ((left - right).abs().mean(1) + _QUIET)).log(),
        "texture": (_contrast_at(one.aligned, rows, columns).mean(1) / scale[:, 0] + 0.05).log(),
        "area": areas.log(),
        "noise": spikes.noise[rows, columns].mean(1).log(),
        "width": wide.log(),
        "height": tall.log(),
        "filled": areas / (wide * tall),
        "tone": torch.where(bright, 1 - tone, tone),
        "uniform": (here.std(1) / scale[:, 0] + 0.02).log(),
        "uneven": (above.std(1) / scale[:, 0] + 0.02).log(),
        "rim": (ring_error.mean(1) / scale[:, 0] + 0.02).log(),
        "sharp": ((ring_here - tone[:, None]).abs().mean(1) / scale[:, 0] + 0.02).log(),
        "bend": bend.log1p(),
        "motion": motion.log1p(),
        "return": returned.log1p(),
        "known_return": known,
        "elsewhere_best": (best + 0.02).log(),
        "elsewhere_worst": (worst + 0.02).log(),
        "beyond_here": (beyond_here + 0.02).log() * (beyond_known > 0),
        "beyond_apart": (beyond_apart + 0.02).log() * (beyond_known > 0),
        "beyond_known": beyond_known,
        "one_side": torch.full_like(areas, float(ratio > 0)),
        "lopsided": sides.amin(0) / (sides.amax(0) + _QUIET),
        "saturation": saturation * 10,
        "chroma": (chroma + 0.005).log(),
        "crowd": ((cover[cell] - own).clamp(min=0) + 0.003).log(),
        "way": way.both,
        "way_first": way.first,
        "way_second": way.second,
        "alike": way.alike.log1p(),
        "solid": ((above * spikes.sign[:, None] > 0.5 * contrast[:, None]).float().mean(1)),
        "busy": torch.full_like(areas, float((cover.mean() + 1e-4).log())),
        "sign": spikes.sign,
    }
    return torch.stack([columns_of[name] for name in FEATURES], 1)


def colourless(frame: Frame) -> bool:
    """Whether a frame is black and white, whatever its format."""
    form = frame.format
    if form.color_planes == 1:
        return True
    step = 8
    rows = torch.arange(0, frame.height, step, device=frame.planes[0].device)
    columns = torch.arange(0, frame.width, step, device=frame.planes[0].device)
    return float(_chroma(frame, rows[:, None], columns).abs().mean()) < _GREY


def region_colour(frame: Frame, regions: Regions) -> torch.Tensor:
    """(count, 2) mean Cb and Cr of each region, 0 for grey."""
    if frame.format.color_planes == 1:
        return torch.zeros(regions.count, 2, device=regions.rows.device)
    chroma = _chroma(frame, regions.rows, regions.columns)
    return torch.stack([regions.mean(part) for part in chroma], 1)


def _contrast_at(plane: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """(...) difference of the largest and the least of the 3x3 samples around each place."""
    height, width = plane.shape
    down, across = rows.clamp(1, height - 2), columns.clamp(1, width - 2)
    steps = torch.arange(-1, 2, device=plane.device)
    at = (down * width + across)[..., None] + (steps[:, None] * width + steps).flatten()
    around = plane.reshape(-1)[at]
    return around.amax(-1) - around.amin(-1)


def _inside(regions: Regions) -> tuple[torch.Tensor, torch.Tensor]:
    """(count, _INSIDE) rows and columns of samples of each region."""
    order = regions.labels.argsort(stable=True)
    areas = torch.bincount(regions.labels, minlength=regions.count)
    start = areas.cumsum(0) - areas
    part = (torch.arange(_INSIDE, device=order.device) + 0.5) / _INSIDE
    index = order[start[:, None] + (areas[:, None] * part).long()]
    return regions.rows[index], regions.columns[index]


def _extent(regions: Regions) -> tuple[torch.Tensor, ...]:
    """(count,) middle row and column, height and width."""
    out = []
    for at in (regions.rows, regions.columns):
        high, low = regions.peak(at), -regions.peak(-at)
        out.append((0.5 * (high + low), high - low + 1))
    (y, tall), (x, wide) = out
    return y, x, tall, wide


def _ring(
    y: torch.Tensor, x: torch.Tensor, tall: torch.Tensor, wide: torch.Tensor, shape: torch.Size
) -> tuple[torch.Tensor, torch.Tensor]:
    turn = torch.arange(_RING, device=y.device) * (2 * torch.pi / _RING)
    rows = y[:, None] + (0.5 * tall[:, None] + _APART) * turn.sin()
    columns = x[:, None] + (0.5 * wide[:, None] + _APART) * turn.cos()
    return (
        rows.round().long().clamp_(0, shape[0] - 1),
        columns.round().long().clamp_(0, shape[1] - 1),
    )


def _at(flow: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """(..., 2) vectors of the cells that hold these samples."""
    return flow[0, :, rows // CELL, columns // CELL].movedim(0, -1)


def _clamped(
    rows: torch.Tensor, columns: torch.Tensor, shape: torch.Size
) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        rows.round().long().clamp_(0, shape[0] - 1),
        columns.round().long().clamp_(0, shape[1] - 1),
    )


def _returned(
    neighbours: Sequence[Neighbour],
    flows: Sequence[torch.Tensor],
    rows: torch.Tensor,
    columns: torch.Tensor,
    shape: torch.Size,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(count,) how far, in samples, there and back again misses the start; how many are known."""
    worst, known = torch.zeros(len(rows), device=rows.device), 0
    for neighbour, flow in zip(neighbours, flows, strict=True):
        if neighbour.back is None:
            continue
        there = _clamped(rows + flow[..., 1], columns + flow[..., 0], shape)
        miss = (flow + _at(neighbour.back, *there)).square().sum(-1).sqrt().mean(1)
        worst, known = torch.maximum(worst, miss), known + 1
    return worst, torch.full_like(worst, float(known))


_SHIFTS = tuple((3 * y, 3 * x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))
_AROUND = tuple((2 * y, 2 * x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))


def _elsewhere(
    neighbour: Neighbour,
    luma: torch.Tensor,
    inside: tuple[torch.Tensor, torch.Tensor],
    ring: tuple[torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """(count,) how badly the region is found in the neighbour with the best of other vectors.

    Tried are those of cells around, none, the usual one, and places around its own.
    """
    rows, columns = (
        torch.cat((a[:, ::2], b[:, ::2]), 1) for a, b in zip(inside, ring, strict=True)
    )
    flow = neighbour.flow
    down, across = flow.shape[-2:]
    y, x = inside[0][:, _INSIDE // 2] // CELL, inside[1][:, _INSIDE // 2] // CELL
    own = flow[0, :, y, x].t()
    usual = flow[0].flatten(1).median(1).values
    vectors = [torch.zeros_like(own), usual.expand_as(own), own]
    for step_y, step_x in _AROUND:
        vectors.append(
            flow[0, :, (y + step_y).clamp(0, down - 1), (x + step_x).clamp(0, across - 1)].t()
        )
    vectors += [own + own.new_tensor((x, y)) for y, x in _SHIFTS]
    vector = torch.stack(vectors, 1)
    here = luma[rows, columns]
    found = _linear(
        neighbour.luma,
        rows[:, None] + vector[..., 1:],
        columns[:, None] + vector[..., :1],
    )
    apart = (found - here[:, None]).abs()
    # The inside and the surroundings count alike.
    error = apart[..., : _INSIDE // 2].mean(-1) + apart[..., _INSIDE // 2 :].mean(-1)
    return error.amin(1)


def _linear(plane: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    height, width = plane.shape
    y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    top, left = y.long().clamp_(max=height - 2), x.long().clamp_(max=width - 2)
    at = top * width + left
    flat = plane.reshape(-1)
    u, v = x - left, y - top
    upper = torch.lerp(flat[at], flat[at + 1], u)
    lower = torch.lerp(flat[at + width], flat[at + width + 1], u)
    return torch.lerp(upper, lower, v)


def _beyond(
    neighbours: Sequence[Neighbour],
    flows: Sequence[torch.Tensor],
    rows: torch.Tensor,
    columns: torch.Tensor,
    here: torch.Tensor,
    middle: torch.Tensor,
    scale: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(count,) how far the frames two away are from this one, from its neighbours; how many are."""
    like = torch.full((len(rows),), 9.0, device=rows.device)
    apart = torch.zeros(len(rows), device=rows.device)
    known = 0
    for neighbour, flow in zip(neighbours, flows, strict=True):
        if neighbour.beyond is None:
            continue
        on, luma = neighbour.beyond
        y, x = rows + flow[..., 1], columns + flow[..., 0]
        further = _at(on, *_clamped(y, x, luma.shape))
        there = _linear(luma, y + further[..., 1], x + further[..., 0])
        like = torch.minimum(like, ((there - here).abs() / scale).mean(1))
        apart = torch.maximum(apart, ((there - middle).abs() / scale).mean(1))
        known += 1
    return like, apart, torch.full_like(like, float(known))


def _colour(
    frame: Frame,
    neighbours: Sequence[Neighbour],
    flows: Sequence[torch.Tensor],
    rows: torch.Tensor,
    columns: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(count,) how much farther from grey than the neighbours, and how far from their colour."""
    if frame.format.color_planes == 1:
        none = torch.zeros(len(rows), device=rows.device)
        return none, none
    here = _chroma(frame, rows, columns)
    there = torch.zeros_like(here)
    for neighbour, flow in zip(neighbours, flows, strict=True):
        at = _clamped(rows + flow[..., 1], columns + flow[..., 0], frame.planes[0].shape)
        there += 0.5 * _chroma(neighbour.frame, *at)
    length_here, length_there = (c.square().sum(0).sqrt() for c in (here, there))
    apart = (here - there).square().sum(0).sqrt()
    return (length_here - length_there).mean(1), apart.mean(1)


def _chroma(frame: Frame, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """(2, ...) colour at luma positions, 0 for grey, in units of Cb and Cr."""
    form = frame.format
    if form.model is ColorModel.RGB:
        red, green, blue = (plane[rows, columns].float() for plane in frame.planes[:3])
        luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        return torch.stack(((blue - luma) / 1.8556, (red - luma) / 1.5748))
    at = rows >> form.log2_chroma_h, columns >> form.log2_chroma_w
    return torch.stack([plane[at].float() - 0.5 for plane in frame.planes[1:3]])


def _cells(regions: Regions, shape: torch.Size) -> torch.Tensor:
    """(h, w) share of the samples around each cell, 5x5 cells, that lie in regions."""
    height, width = -(-shape[0] // CELL), -(-shape[1] // CELL)
    at = (regions.rows // CELL) * width + regions.columns // CELL
    count = torch.bincount(at, minlength=height * width).float().view(1, 1, height, width)
    return F.avg_pool2d(count / (CELL * CELL), 5, 1, 2, count_include_pad=False)[0, 0]
