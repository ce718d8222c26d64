"""What codecs leave behind: the grid of their blocks, missing fine texture, stepped gradients.

Planes are luma, (H, W) float32 on the unit scale.
"""

from __future__ import annotations

from functools import lru_cache

import torch

__all__ = ["banding", "flat", "grid", "starved"]

_PERIOD = 8
"""Side of the transform blocks of JPEG, DV, MPEG-1 to -4 and, mostly, H.264 and HEVC."""

_CODE = 1 / 255

_CLIP = 16 * _CODE
"""Steps above this are edges of the picture and say nothing of blocks."""

_QUIET = 4 * _CODE
"""Steps beside a grid line below which a step at the line would be seen."""

_MOST = 3 * _CODE
"""By how much one line of the grid may speak for it."""

_WEAK = (1.5**2, 5.5**2)
"""Power of medium frequencies, in squared 8-bit codes, of a weak texture."""

_FEWEST = 60
"""Weakly textured blocks that are needed to say anything."""

_AREA = 16
"""Side of the squares in which banding is looked for."""


def grid(luma: torch.Tensor) -> float:
    """8-bit code values by which luma jumps more at the lines of a grid of 8 than between them.

    The larger of both directions, at whichever phase shows it best; up to 0.4 in pictures that
    were never coded, and 0 where a picture is smaller than 32x32.
    """
    if min(luma.shape) < 4 * _PERIOD:
        return 0.0
    return max(_grid_step(luma), _grid_step(luma.t())) / _CODE


def _grid_step(luma: torch.Tensor) -> float:
    steps = (luma[:, 1:] - luma[:, :-1]).abs_().clamp_(max=_CLIP)
    around = 0.5 * (steps[:, :-2] + steps[:, 2:])
    quiet = (around < _QUIET).float()
    excess = ((steps[:, 1:-1] - around) * quiet).sum(dim=0)
    columns = excess / quiet.sum(dim=0).clamp_(min=_PERIOD)
    lines = columns[: columns.numel() // _PERIOD * _PERIOD].view(-1, _PERIOD)
    # Cut off, so that one long upright edge is not a grid.
    phases = lines.clamp(-_MOST, _MOST).mean(dim=0).sort().values
    return float(phases[-1] - phases[:-1].mean())


def starved(luma: torch.Tensor) -> float:
    """How little fine texture goes with weak coarse texture: 0 as in nature, 1 for none but what
    rounding to 8 bit leaves.

    Low-rate coding spends its bits on edges.  Noise hides it, and a picture that is soft
    everywhere (see `detail.resolution`) lacks fine texture without any codec.
    """
    spectrum = _spectra(luma)
    power = spectrum[:, _MEDIUM].square().mean(dim=1)
    weak = (power > _WEAK[0]) & (power < _WEAK[1])
    if int(weak.sum()) < _FEWEST:
        return 0.0
    ratio = float((spectrum[weak][:, _FINE].square().mean(dim=1) / power[weak]).median())
    # Uncoded pictures have 0.05 to 0.15; rounding alone makes 0.025 to 0.03.
    return min(1.0, max(0.0, (0.065 - ratio) / 0.035))


def _spectra(luma: torch.Tensor) -> torch.Tensor:
    """(n, 8, 8) DCT of all blocks, in 8-bit codes."""
    height, width = (size // _PERIOD * _PERIOD for size in luma.shape)
    blocks = luma[:height, :width].unfold(0, _PERIOD, _PERIOD).unfold(1, _PERIOD, _PERIOD)
    cosines = _cosines() / _CODE**0.5
    spectra: torch.Tensor = cosines @ blocks @ cosines.t()
    return spectra.reshape(-1, _PERIOD, _PERIOD)


@lru_cache(maxsize=1)
def _cosines() -> torch.Tensor:
    """(8, 8): the orthonormal DCT-II."""
    k = torch.arange(_PERIOD, dtype=torch.float32)
    table = torch.cos(torch.pi / _PERIOD * (k + 0.5) * k[:, None])
    table *= (2 / _PERIOD) ** 0.5
    table[0] *= 0.5**0.5
    return table


_ORDERS = torch.arange(_PERIOD)[:, None] + torch.arange(_PERIOD)
_MEDIUM = (_ORDERS >= 2) & (_ORDERS <= 4)
_FINE = (_ORDERS >= 6) & (_ORDERS <= 10)


def flat(luma: torch.Tensor) -> float:
    """Share of the picture's 8x8 blocks, black and white ones left out, without any texture at
    all, 0..1: under 0.2 in what a camera saw, more in drawings."""
    height, width = (size // _PERIOD * _PERIOD for size in luma.shape)
    blocks = luma[:height, :width].unfold(0, _PERIOD, _PERIOD).unfold(1, _PERIOD, _PERIOD)
    mean = blocks.mean(dim=(2, 3))
    lit = (mean > 0.04) & (mean < 0.96)
    if not bool(lit.any()):
        return 0.0
    spread = blocks.amax(dim=(2, 3)) - blocks.amin(dim=(2, 3))
    return float((spread[lit] < 1.6 * _CODE).float().mean())


def banding(luma: torch.Tensor) -> float:
    """Share of the picture, 0..1, that is a slow gradient in visible steps.

    A square counts where luma spans 1 to 4 codes and three quarters of its neighbours are equal to
    a tenth of a code: what dither or grain would hide.
    """
    height, width = (size // _AREA * _AREA for size in luma.shape)
    if not height or not width:
        return 0.0
    squares = luma[:height, :width].unfold(0, _AREA, _AREA).unfold(1, _AREA, _AREA)
    spread = squares.amax(dim=(2, 3)) - squares.amin(dim=(2, 3))
    across = (squares[..., 1:] - squares[..., :-1]).abs()
    down = (squares[..., 1:, :] - squares[..., :-1, :]).abs()
    flat = 0.5 * (
        (across < 0.1 * _CODE).float().mean(dim=(2, 3))
        + (down < 0.1 * _CODE).float().mean(dim=(2, 3))
    )
    stepped = (spread > 0.8 * _CODE) & (spread < 4.5 * _CODE) & (flat > 0.75)
    return float(stepped.float().mean())
