"""Pictures and the half-resolution grid that the trunk works on.

One cell of the grid is a block of 2x2 luma samples, so in 4:2:0 a cell is one chroma sample.  With
other subsamplings a cell holds more of them; kernels made for 4:4:4 then *fold*: a stem that sees
four equal chroma samples may add its weights, a head may average them.  4:2:0 is therefore exactly
4:4:4 with chroma repeated, and one set of weights serves both.

    N batch   H, W luma size, even   h, w = H/2, W/2   s scale
    chroma samples per cell: Layout.rows x Layout.columns, each 1 or 2
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


@lru_cache(maxsize=64)
def constant(values: tuple[Any, ...], device: torch.device) -> Tensor:
    """Numbers as fp32 on a device, made once: to copy them there waits for all its work.

    Not to be written.
    """
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=torch.float32, device=device)


class Layout(NamedTuple):
    """Chroma samples of one kind in one cell."""

    rows: int
    """2 without vertical subsampling, 1 with; 0 for gray."""

    columns: int

    @property
    def samples(self) -> int:
        return self.rows * self.columns


YUV420 = Layout(1, 1)
YUV422 = Layout(2, 1)
YUV444 = Layout(2, 2)
GRAY = Layout(0, 0)


class Picture(NamedTuple):
    """Luma (N, 1, H, W) and chroma (N, 2, h*rows, w*columns), zero-centred; no chroma for gray."""

    luma: Tensor
    chroma: Tensor | None


def to_cells(plane: Tensor, rows: int, columns: int) -> Tensor:
    """(N, C, h*rows, w*columns) -> (N, C*rows*columns, h, w), sub-samples row by row."""
    n, c, height, width = plane.shape
    if rows == columns:
        return F.pixel_unshuffle(plane, rows) if rows > 1 else plane
    cells = plane.view(n, c, height // rows, rows, width // columns, columns)
    return cells.permute(0, 1, 3, 5, 2, 4).reshape(
        n, c * rows * columns, height // rows, width // columns
    )


def from_cells(cells: Tensor, rows: int, columns: int) -> Tensor:
    """The inverse of `to_cells`."""
    n, _, h, w = cells.shape
    if rows == columns == 1:
        return cells
    # One copy of what a convolution leaves, neighbouring channels side by side.
    blocks = cells.permute(0, 2, 3, 1).reshape(n, h, w, -1, rows, columns)
    return blocks.permute(0, 3, 1, 4, 2, 5).reshape(n, -1, h * rows, w * columns)


def picture_to_cells(picture: Picture, layout: Layout) -> Tensor:
    """(N, 4 + 2*samples, h, w): four luma samples, then those of Cb, then of Cr."""
    luma = to_cells(picture.luma, 2, 2)
    if picture.chroma is None:
        return luma
    return torch.cat((luma, to_cells(picture.chroma, layout.rows, layout.columns)), 1)


def cells_to_picture(cells: Tensor, layout: Layout) -> Picture:
    """The inverse of `picture_to_cells`."""
    luma = from_cells(cells[:, :4], 2, 2)
    if not layout.samples:
        return Picture(luma, None)
    return Picture(luma, from_cells(cells[:, 4:], layout.rows, layout.columns))


def fold_inputs(kernel: Tensor, layout: Layout) -> Tensor:
    """Chroma part of a stem kernel, (O, 2*4, k, k) for 4:4:4, as (O, 2*samples, k, k)."""
    out, _, kh, kw = kernel.shape
    parts = kernel.view(out, 2, 2, 2, kh, kw)
    if layout.rows == 1:
        parts = parts.sum(2, keepdim=True)
    if layout.columns == 1:
        parts = parts.sum(3, keepdim=True)
    return parts.reshape(out, -1, kh, kw)[:, : 2 * layout.samples]


def fold_outputs(kernel: Tensor, layout: Layout, scale: int) -> Tensor:
    """Chroma part of a head, (2*(2*scale)**2, ...) for 4:4:4, as (2*samples*scale**2, ...).

    Output sample order is `to_cells` with rows*scale by columns*scale.
    """
    rest = kernel.shape[1:]
    parts = kernel.view(2, scale, 2, scale, 2, *rest)
    if layout.rows == 1:
        parts = parts.mean(2, keepdim=True)
    if layout.columns == 1:
        parts = parts.mean(4, keepdim=True)
    return parts.reshape(-1, *rest)[: 2 * layout.samples * scale * scale]


def samples_of_luma(per_luma: Tensor, layout: Layout) -> Tensor:
    """Means of what belongs to the four luma samples of a cell, one for each chroma sample.

    (..., 4, h, w) -> (..., samples, h, w).
    """
    *lead, _, h, w = per_luma.shape
    parts = per_luma.view(*lead, 2, 2, h, w)
    if layout.rows == 1:
        parts = parts.mean(-4, keepdim=True)
    if layout.columns == 1:
        parts = parts.mean(-3, keepdim=True)
    return parts.reshape(*lead, layout.samples, h, w)


def halved(plane: Tensor) -> Tensor:
    """Means of 2x2 samples, (N, C, H, W) -> (N, C, H/2, W/2); even sizes.

    Five times as fast on a CPU as the pooling that it is.
    """
    rows = plane[..., ::2, :] + plane[..., 1::2, :]
    return 0.25 * (rows[..., ::2] + rows[..., 1::2])


def box_mean(plane: Tensor, radius: int) -> Tensor:
    """Means over `2 * radius + 1` samples a side around each sample, of those that there are.

    Ten times as fast on a CPU as the pooling that it is.
    """
    for axis in (2, 3):
        size = plane.shape[axis]
        reach = (0, 0, radius, radius) if axis == 2 else (radius, radius, 0, 0)
        padded = F.pad(plane, reach)
        total = padded.narrow(axis, 0, size) + padded.narrow(axis, 1, size)
        for step in range(2, 2 * radius + 1):
            total = total.add_(padded.narrow(axis, step, size))
        place = torch.arange(size, device=plane.device)
        count = 1 + place.clamp(max=radius) + (size - 1 - place).clamp(max=radius)
        plane = total * (1.0 / count).view((-1, 1) if axis == 2 else (1, -1))
    return plane


@lru_cache(maxsize=16)
def _cubic_kernel(scale: int, shift: tuple[float, float], device: torch.device) -> Tensor:
    """(scale**2, 1, 5, 5): the taps of both directions for each phase."""
    with torch.inference_mode(False):
        vertical, horizontal = (
            cubic_phases(scale, s).to(device, torch.float32)[:, 1:6] for s in shift
        )
        return torch.einsum("ai,bj->abij", vertical, horizontal).reshape(scale * scale, 1, 5, 5)


def cubic_phases(scale: int, shift: float) -> Tensor:
    """Taps of the a = -0.5 cubic for each of `scale` phases, (scale, 7), centred.

    Output sample j lies at (j + 0.5) / scale - 0.5 + shift in input samples.
    """
    taps = torch.arange(-3, 4, dtype=torch.float64)
    phases = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5 + shift
    distance = (taps[None] - phases[:, None]).abs()
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    kernel = torch.where(distance <= 1, near, torch.where(distance < 2, far, 0.0))
    return kernel / kernel.sum(1, keepdim=True)


def upsample(plane: Tensor, scale: int, shift: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    """Bicubic (a = -0.5) magnification in fp32, (N, C, H, W) -> (N, C, H*scale, W*scale).

    `shift` (vertical, horizontal, in input samples, below 1) moves the output's sampling points,
    for chroma that does not sit in the middle of its luma samples.  Edges are repeated.
    """
    if scale == 1:
        return plane
    if shift == (0.0, 0.0):
        return F.interpolate(plane.float(), scale_factor=scale, mode="bicubic", antialias=True)
    n, c, height, width = plane.shape
    padded = F.pad(plane.float(), (2, 2, 2, 2), mode="replicate").view(
        n * c, 1, height + 4, width + 4
    )
    kernel = _cubic_kernel(scale, shift, plane.device)
    return F.pixel_shuffle(F.conv2d(padded, kernel), scale).view(
        n, c, height * scale, width * scale
    )
