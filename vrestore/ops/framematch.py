"""How one small picture lies on another: translation, rotation and zoom that most blocks agree on.

Coarse by phase correlation (Kuglin and Hines 1975), fine by the inverse compositional method of
Lucas and Kanade (Baker and Matthews, IJCV 56, 2004) on blocks of a small luma.  The motion is the
one that most blocks agree on (iteratively reweighted least squares with Geman-McClure weights), so
what moves by itself does not count; a residual is cut off where it is far from the noise, so dust
does not either; and pictures are compared without local means and at equal contrast, so a change
of light is no motion.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from vrestore.ops.smallluma import shrunk

__all__ = [
    "Anchor",
    "Look",
    "Match",
    "Numbers",
    "anchor_at",
    "look_at",
    "match",
    "nearest_start",
    "outward",
]

Numbers: TypeAlias = npt.NDArray[np.floating[Any]]

_COARSE = 96
"""Columns of the picture that is phase correlated."""

_BLOCK = 24
"""Side of the blocks that vote, in samples of the small picture."""

_EDGE = 4
"""Samples at the edges that are not looked at: film scans have borders there."""

_ITERATIONS = 5

_CLIP = 2.5
"""Residual, in standard deviations, past which a sample is dust or a moving thing."""

_AGREE = 0.12
"""Distance in samples of the small picture within which two blocks move alike."""

_BEND = 0.003
"""Zoom and rotation in radians that a camera's frames may have against one another."""

_LEAST_BLOCKS = 1.5
"""Blocks' worth of detail without which nothing can be measured."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is kept of a frame: detail at equal contrast, and a coarse copy's spectrum."""

    detail: torch.Tensor
    """(H, W) luma without its local mean, of unit mean absolute value."""

    coarse: torch.Tensor
    """Half spectrum of the coarse detail, windowed."""

    coarse_size: tuple[int, int]
    contrast: float
    """Mean absolute detail before it was scaled, on the unit scale."""


@dataclass(frozen=True, slots=True)
class Anchor:
    look: Look
    inner: torch.Tensor
    """(h, w): the detail that whole blocks fill."""

    energy: Numbers
    """(blocks,): sum of its squares."""

    gradient_x: torch.Tensor
    gradient_y: torch.Tensor
    """(h, w): its central differences."""

    steepness: Numbers
    """(blocks, 2, 2) sums of gradient products."""

    centres: Numbers
    """(blocks, 2): (x, y) of each block's centre, from the picture's centre."""

    grid: tuple[int, int, int]
    """Blocks down, blocks across, side of a block."""

    top: int
    left: int


@dataclass(frozen=True, slots=True)
class Match:
    bends: Numbers
    """(4,) x, y, zoom, angle from the anchor to the frame."""

    share: float
    error: float
    """Standard error of x and y, in samples of the small picture."""

    weights: Numbers
    """(blocks,) how far each block went along."""


def look_at(small: torch.Tensor) -> Look:
    detail = _blurred(_blurred(small).t()).t()
    detail = detail - _local_mean(detail)
    contrast = float(detail.abs().mean())
    detail = detail.div_(max(contrast, 1e-6)).contiguous()
    coarse = shrunk(detail, max(1, detail.shape[1] // _COARSE))
    return Look(
        detail=detail,
        coarse=torch.fft.rfft2(coarse * _window(*coarse.shape)),
        coarse_size=(coarse.shape[0], coarse.shape[1]),
        contrast=contrast,
    )


def _blurred(lines: torch.Tensor) -> torch.Tensor:
    """(1, 2, 1) / 4 down the columns, edges repeated."""
    out = lines * 0.5
    out[1:].add_(lines[:-1], alpha=0.25)
    out[:-1].add_(lines[1:], alpha=0.25)
    out[0].add_(lines[0], alpha=0.25)
    out[-1].add_(lines[-1], alpha=0.25)
    return out


def _local_mean(plane: torch.Tensor) -> torch.Tensor:
    height, width = plane.shape
    means = F.adaptive_avg_pool2d(plane[None, None], (-(-height // 12), -(-width // 12)))
    return F.interpolate(means, size=(height, width), mode="bilinear", align_corners=False)[0, 0]


@lru_cache(maxsize=8)
def _window(height: int, width: int) -> torch.Tensor:
    """Hann's, so that the edges of the picture are no edges of what it shows."""
    rows, columns = (
        torch.hann_window(size + 2, periodic=False, dtype=torch.float32)[1:-1]
        for size in (height, width)
    )
    return rows[:, None] * columns


def anchor_at(look: Look) -> Anchor:
    height, width = look.detail.shape
    inner_h, inner_w = height - 2 * _EDGE, width - 2 * _EDGE
    side = min(_BLOCK, inner_h, inner_w)
    down, across = inner_h // side, inner_w // side
    top, left = (height - down * side) // 2, (width - across * side) // 2
    detail, bottom, right = look.detail, top + down * side, left + across * side
    grid = (down, across, side)
    gradient_x = (detail[top:bottom, left + 1 : right + 1]
                  - detail[top:bottom, left - 1 : right - 1]) / 2  # fmt: skip
    gradient_y = (detail[top + 1 : bottom + 1, left:right]
                  - detail[top - 1 : bottom - 1, left:right]) / 2  # fmt: skip
    inner = detail[top:bottom, left:right]
    both = _block_sums(gradient_x * gradient_y, grid)
    steepness = np.stack(
        (_block_sums(gradient_x * gradient_x, grid), both, both,
         _block_sums(gradient_y * gradient_y, grid)), -1
    ).reshape(-1, 2, 2)  # fmt: skip
    x = left + side * (np.arange(across) + 0.5) - width / 2
    y = top + side * (np.arange(down) + 0.5) - height / 2
    return Anchor(
        look=look,
        inner=inner,
        energy=_block_sums(inner * inner, grid),
        gradient_x=gradient_x,
        gradient_y=gradient_y,
        steepness=steepness,
        centres=np.stack(np.broadcast_arrays(x[None, :], y[:, None]), -1).reshape(-1, 2),
        grid=grid,
        top=top,
        left=left,
    )


def _block_sums(plane: torch.Tensor, grid: tuple[int, int, int]) -> Numbers:
    down, across, side = grid
    sums = plane.view(down, side, across, side).sum(dim=(1, 3))
    return sums.flatten().double().numpy()


def nearest_start(anchor: Anchor, look: Look, guess: Numbers) -> Numbers:
    """(4,) bends to start from: a guess, no motion, or the shift that phase correlation says."""
    starts = [np.rint(guess[:2]), np.zeros(2), _phase_shift(anchor.look, look)]
    start = min(starts, key=lambda shift: _misfit(anchor, look, shift))
    return guess.copy() if start is starts[0] else np.array([*start, 0.0, 0.0])


def match(
    anchor: Anchor, look: Look, start: Numbers, standing: Numbers, bend: float = _BEND
) -> Match:
    """The motion from the anchor to a frame, found from (4,) bends close by.

    `standing` (blocks,), 0..1, is how far each block is believed from the outset; `bend` the
    standard deviation of zoom and of rotation in radians that is expected, for want of evidence.
    """
    height, width = look.detail.shape
    bends, weights = start, standing
    prior = np.diag([1e-6, 1e-6, bend**-2, bend**-2])
    jacobian = _jacobian(anchor.centres)
    for step in range(_ITERATIONS):
        shift = bends[:2].copy()
        votes, precision, worth = _votes(anchor, look, shift, _AGREE * max(1.0, 4.0 / 2**step))
        off = np.abs(anchor.centres + shift) + anchor.grid[2] / 2 > (width / 2, height / 2)
        worth = worth * ~off.any(axis=1)
        held = worth[:, None, None] * precision
        # Bends of the whole picture are absolute, the warp takes only the shift into account.
        votes = votes + np.einsum("bij,j->bi", jacobian[:, :, :2], shift)
        for _ in range(2):
            pull = weights[:, None, None] * np.swapaxes(jacobian, 1, 2) @ held
            normal = (pull @ jacobian).sum(0) + prior
            bends = np.linalg.solve(normal, (pull @ votes[..., None]).sum(0)[:, 0])
            miss = votes - jacobian @ bends
            distance = np.einsum("bi,bij,bj->b", miss, precision, miss)
            agreed = np.square(1 / (1 + distance / 4))
            weights = standing * agreed
    worths = worth * np.trace(precision, axis1=1, axis2=2) * _AGREE**2 / 2
    total = float(worths.sum())
    share = float((worths * agreed).sum()) / total if total > _LEAST_BLOCKS else 0.0
    spread = float((weights * distance).sum() / weights.sum())
    error = float(np.sqrt(np.linalg.inv(normal).diagonal()[:2].max() * spread))
    return Match(bends=bends, share=share, error=error, weights=agreed)


def outward(anchor: Anchor) -> Numbers:
    """(blocks,) 0..1: what stands still behind the actors reaches to the picture's edges."""
    reach = np.abs(anchor.centres).max(axis=0)
    share: Numbers = (np.abs(anchor.centres) / np.maximum(reach, 1)).max(axis=1)
    return share


def _jacobian(centres: Numbers) -> Numbers:
    """(blocks, 2, 4): how x, y, zoom and angle move each block's centre."""
    x, y = centres.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    return np.stack((np.stack((one, zero, x, -y), -1), np.stack((zero, one, y, x), -1)), axis=1)


def _votes(
    anchor: Anchor, look: Look, shift: Numbers, agree: float
) -> tuple[Numbers, Numbers, Numbers]:
    """What each block still has to move: (blocks, 2), its precision (blocks, 2, 2), and its worth
    0..1, which is how much of its detail is found again."""
    moved = _moved(anchor, look, shift)
    likeness = _block_sums(anchor.inner * moved, anchor.grid) / np.sqrt(
        anchor.energy * _block_sums(moved * moved, anchor.grid) + 1e-6
    )
    error = moved.sub_(anchor.inner)
    sigma = max(1.4826 * float(error[::4, ::4].abs().median()), 0.02)
    error.clamp_(-_CLIP * sigma, _CLIP * sigma)
    slope = np.stack(
        (_block_sums(anchor.gradient_x * error, anchor.grid),
         _block_sums(anchor.gradient_y * error, anchor.grid)), -1
    )  # fmt: skip
    steepness = anchor.steepness + 1e-3 * anchor.grid[2] ** 2 * np.eye(2)
    # Noise makes the anchor steeper than what is found again of it, and the step too short.
    found = np.clip(likeness, 0.3, 1.0)
    votes = -np.linalg.solve(steepness, slope[..., None])[..., 0] / found[:, None]
    spread = 2 * sigma**2 * np.linalg.inv(steepness) / np.square(found)[:, None, None]
    precision = np.linalg.inv(spread + agree**2 * np.eye(2))
    return votes, precision, np.clip((likeness - 0.15) / 0.35, 0.0, 1.0)


def _moved(anchor: Anchor, look: Look, shift: Numbers) -> torch.Tensor:
    """The part of a frame that should show the anchor's inner part, by cubic interpolation."""
    detail, (height, width) = look.detail, anchor.inner.shape
    whole = np.floor(shift).astype(int)
    part = shift - whole
    rows, columns = (
        torch.arange(first + int(move) - 1, first + int(move) + count + 2).clamp_(0, size - 1)
        for first, move, count, size in (
            (anchor.top, whole[1], height, detail.shape[0]),
            (anchor.left, whole[0], width, detail.shape[1]),
        )
    )
    source = detail[rows][:, columns]
    across = _taps(float(part[0]))
    lines = source[:, :width] * across[0]
    for k in range(1, 4):
        lines.add_(source[:, k : k + width], alpha=across[k])
    downward = _taps(float(part[1]))
    out = lines[:height] * downward[0]
    for k in range(1, 4):
        out.add_(lines[k : k + height], alpha=downward[k])
    return out


def _taps(t: float) -> tuple[float, float, float, float]:
    """Catmull-Rom weights of the samples at -1, 0, 1 and 2 for a point at t in 0..1."""
    return (
        ((-0.5 * t + 1.0) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((-1.5 * t + 2.0) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    )


def _phase_shift(anchor: Look, look: Look) -> Numbers:
    """(x, y) in whole samples of the small picture."""
    cross = look.coarse * anchor.coarse.conj()
    peaks = torch.fft.irfft2(cross / cross.abs().add_(1e-3).sqrt_(), s=look.coarse_size)
    height, width = look.coarse_size
    row, column = divmod(int(peaks.argmax()), width)
    y = row + _vertex(peaks[(row - 1) % height, column], peaks[row, column],
                      peaks[(row + 1) % height, column])  # fmt: skip
    x = column + _vertex(peaks[row, (column - 1) % width], peaks[row, column],
                         peaks[row, (column + 1) % width])  # fmt: skip
    y, x = (y + height / 2) % height - height / 2, (x + width / 2) % width - width / 2
    scale = max(1, look.detail.shape[1] // _COARSE)
    shift: Numbers = np.rint(np.array([x, y]) * scale)
    return shift


def _vertex(before: torch.Tensor, here: torch.Tensor, after: torch.Tensor) -> float:
    """Where a parabola through three values has its top, from the middle one."""
    bend = float(before - 2 * here + after)
    return 0.0 if bend >= 0 else float(before - after) / (2 * bend)


def _misfit(anchor: Anchor, look: Look, shift: Numbers) -> float:
    """Mean absolute difference where pictures overlap, cut off so that dust counts little."""
    height, width = look.detail.shape
    x, y = int(shift[0]), int(shift[1])
    if abs(x) > width // 2 or abs(y) > height // 2:
        return np.inf
    here = look.detail[max(0, y) : height + min(0, y), max(0, x) : width + min(0, x)]
    there = anchor.look.detail[max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)]
    return float((here[::2, ::2] - there[::2, ::2]).abs_().clamp_(max=3.0).mean())
