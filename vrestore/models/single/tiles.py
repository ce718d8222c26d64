"""Pictures cut into tiles, each with as much around it as the network looks at.

A tile's surroundings come from the picture, never from a border of its own, so the cut cannot be
seen: the result is that of the whole picture, but for networks whose reach is cut short.  Means
over the whole picture are collected from all tiles first; every sample counts once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.models.single.picture import Geometry, PictureNet

__all__ = ["magnified", "side_for"]


@dataclass(frozen=True, slots=True)
class _Part:
    """One axis of a tile, in samples of the prepared picture without what is eaten."""

    start: int
    stop: int
    """Of what the tile answers for, half-open."""

    low: int
    high: int
    """Of what it is made from, half-open."""

    last: bool


@dataclass(frozen=True, slots=True)
class _Tile:
    rows: _Part
    columns: _Part


def side_for(geometry: Geometry, height: int, width: int, budget: int) -> int:
    """Side of the largest tile whose features take `budget` bytes at most; 0 for no tiles."""
    each = geometry.bytes_per_sample
    if not each or height * width * each <= budget:
        return 0
    around = 2 * geometry.reach
    return max(MIN_SIDE, int((budget / each) ** 0.5) - around)


MIN_SIDE = 32
"""Tiles are no smaller than this, since they would be mostly surroundings."""


def magnified(net: PictureNet, picture: Tensor, side: int) -> Tensor:
    """The network's result for a picture (1, 3, H, W), in tiles of `side` samples; 0 for whole."""
    geometry, (height, width) = net.geometry, picture.shape[-2:]
    prepared = _prepared(geometry, picture)
    tiles = list(_tiles(geometry, prepared, side))
    scale = geometry.scale
    if len(tiles) == 1:
        made = net(prepared)
        return made[..., : height * scale, : width * scale]
    means: list[Tensor] = []
    for ratio in geometry.means:
        means.append(_mean(net, prepared, tiles, ratio, means))
    result = picture.new_empty((1, 3, height * scale, width * scale))
    for tile in tiles:
        made = net(_window(geometry, prepared, tile), means)
        _paste(result, made, tile, scale)
    return result


def _prepared(geometry: Geometry, picture: Tensor) -> Tensor:
    """The picture made to go on to a legal size, and as far as the network eats."""
    height, width = (_legal(geometry, size, axis) for axis, size in enumerate(picture.shape[-2:]))
    if geometry.square:
        height = width = max(height, width)
    h, w = picture.shape[-2:]
    eaten = geometry.eaten
    if (height, width, eaten) == (h, w, 0):
        return picture
    if geometry.mirrored:
        rows, columns = (
            _mirrored(size, eaten, eaten + whole - size, picture.device)
            for size, whole in ((h, height), (w, width))
        )
        return picture[..., rows, :][..., columns]
    return F.pad(picture, (eaten, eaten + width - w, eaten, eaten + height - h), mode="replicate")


def _mirrored(size: int, before: int, after: int, device: torch.device) -> Tensor:
    """Indices of an axis that goes on as its mirror image, however far."""
    period = max(1, 2 * (size - 1))
    places = torch.arange(-before, size + after, device=device).remainder(period)
    return torch.minimum(places, period - places) if size > 1 else torch.zeros_like(places)


def _legal(geometry: Geometry, size: int, axis: int) -> int:
    least = geometry.least if geometry.fixed is None else geometry.fixed[axis]
    return -(-max(size, least) // geometry.step) * geometry.step


def _tiles(geometry: Geometry, prepared: Tensor, side: int) -> Iterator[_Tile]:
    height, width = (length - 2 * geometry.eaten for length in prepared.shape[-2:])
    fixed = geometry.fixed or (None, None)
    if geometry.square or geometry.whole:
        side = 0
    for rows in _parts(geometry, height, side, fixed[0]):
        for columns in _parts(geometry, width, side, fixed[1]):
            yield _Tile(rows, columns)


def _parts(geometry: Geometry, length: int, side: int, fixed: int | None) -> Iterator[_Part]:
    """One axis cut into parts, whose starts are multiples of the step."""
    step = geometry.step
    around = -(-(geometry.reach - geometry.eaten) // step) * step
    if fixed is not None:
        # What such a network answers for is what lies far enough inside its only size.
        side = length if fixed >= length else max(1, fixed - 2 * around)
    else:
        side = length if side <= 0 else -(-side // step) * step
    for start in range(0, length, side):
        stop = min(start + side, length)
        low, high = max(0, start - around), min(length, stop + around)
        if fixed is not None:
            low = max(0, min(low, length - fixed))
            high = low + fixed
        yield _Part(start, stop, low, high, stop == length)


def _window(geometry: Geometry, prepared: Tensor, tile: _Tile) -> Tensor:
    rows, columns, border = tile.rows, tile.columns, 2 * geometry.eaten
    return prepared[..., rows.low : rows.high + border, columns.low : columns.high + border]


def _paste(result: Tensor, made: Tensor, tile: _Tile, scale: int) -> None:
    rows, columns = tile.rows, tile.columns
    height, width = result.shape[-2:]
    bottom, right = min(rows.stop * scale, height), min(columns.stop * scale, width)
    top, left = rows.start * scale, columns.start * scale
    if bottom <= top or right <= left:
        return
    down, across = (rows.start - rows.low) * scale, (columns.start - columns.low) * scale
    result[..., top:bottom, left:right] = made[
        ..., down : down + bottom - top, across : across + right - left
    ]


def _mean(
    net: PictureNet,
    prepared: Tensor,
    tiles: list[_Tile],
    ratio: Fraction,
    before: list[Tensor],
) -> Tensor:
    """The mean of features over the whole picture, (C,)."""
    total, count = torch.zeros(()), 0
    for tile in tiles:
        features = net.features(_window(net.geometry, prepared, tile), before)[0]
        own = [
            slice(
                int((part.start - part.low) * ratio),
                None if part.last else int((part.stop - part.low) * ratio),
            )
            for part in (tile.rows, tile.columns)
        ]
        mine = features[:, own[0], own[1]]
        total = total + mine.double().sum((1, 2)).cpu()
        count += mine.shape[1] * mine.shape[2]
    return (total / count).float().to(prepared.device)
