"""How fine a picture really is, and whether its edges ring.

Planes are (H, W) float32 on the unit scale.
"""

from __future__ import annotations

import torch

__all__ = ["halo", "resolution"]

_LINE = 256
"""Longest stretch of a line whose spectrum is taken."""

_LINES = 512
"""Lines looked at, spread over the picture."""

_DROP = 0.09
"""Power, relative to the usual fall with the square of the frequency, below which there is no
detail any more (-10.5 dB)."""

_REACH = 8
"""Samples on each side of an edge that belong to its profile."""

_EDGES = 4000
_LEAST_EDGES = 40
_STEP = 0.18
"""Luma by which a step is an edge that could ring visibly."""


def resolution(plane: torch.Tensor) -> float:
    """Highest horizontal frequency with detail, 0..1 of what the samples could carry.

    1 for a picture as sharp as its size, about 0.5 for one enlarged to twice its width, 0 where
    there is too little contrast to tell.  Noise is told from detail by its flat spectrum.  Take
    the transposed plane for the vertical one.
    """
    height, width = plane.shape
    length = min(_LINE, width) // 2 * 2
    if length < 32:
        return 0.0
    rows = plane[:: max(1, height // _LINES)]
    lines = torch.cat([part for part in rows.split(length, dim=1) if part.shape[1] == length])
    # The step from a line's end to its start would look like detail.
    lines = (lines - lines.mean(dim=1, keepdim=True)) * torch.hann_window(length)
    power = torch.fft.rfft(lines).abs().square_()
    contrast = power.sum(dim=1)
    lively = power[contrast >= contrast.quantile(0.5)]
    spectrum = lively.mean(dim=0)
    if float(spectrum[1 : length // 4].max()) < 1e-6 * length:
        return 0.0
    frequency = torch.linspace(0, 1, length // 2 + 1)
    smooth = torch.nn.functional.avg_pool1d(
        spectrum[None, None], 5, stride=1, padding=2, count_include_pad=False
    )[0, 0]
    low = (frequency >= 0.04) & (frequency <= 0.2)
    expected = (smooth[low] * frequency[low] ** 2).mean() / frequency.clamp(min=0.01) ** 2
    floor = _floor(smooth, frequency)
    seen = (smooth - 1.6 * floor > _DROP * expected) & (frequency > 0.02)
    # The first frequency from which on nothing is seen for a while; lone peaks are aliases.
    window = max(3, length // 32)
    share = seen.float().unfold(0, window, 1).mean(dim=1)
    dead = (share < 0.35).nonzero()
    return float(frequency[int(dead[0])]) if dead.numel() else 1.0


def _floor(spectrum: torch.Tensor, frequency: torch.Tensor) -> torch.Tensor:
    """Power of white noise: the level of a spectrum that does not fall any more at its end."""
    near, far = (frequency > 0.65) & (frequency < 0.8), frequency > 0.85
    first, last = spectrum[near].median(), spectrum[far].median()
    return last if float(last) > 0.7 * float(first) else torch.zeros(())


def halo(luma: torch.Tensor) -> float:
    """Overshoot beside upright edges as a share of their height; 0 where there are too few.

    Sampled edges overshoot by about 0.03, sharpened ones by 0.1 and more.
    """
    height, width = luma.shape
    if width < 4 * _REACH or height < 16:
        return 0.0
    slope = luma[:, 2:] - luma[:, :-2]
    inner = slope[:, _REACH:-_REACH]
    steep = inner.abs()
    peak = (
        (steep > _STEP)
        & (steep >= slope[:, _REACH - 1 : -_REACH - 1].abs())
        & (steep > slope[:, _REACH + 1 : width - 2 - _REACH + 1].abs())
    )
    found = peak.nonzero()
    if found.shape[0] < _LEAST_EDGES:
        return 0.0
    found = found[:: max(1, found.shape[0] // _EDGES)]
    at = found[:, 1:] + _REACH + 1 + torch.arange(-_REACH, _REACH + 1)
    profile = luma[found[:, :1], at]
    falling = inner[found[:, 0], found[:, 1]] < 0
    profile = torch.where(falling[:, None], -profile, profile)
    low, high = profile[:, :4], profile[:, -4:]
    height_of = high.mean(dim=1) - low.mean(dim=1)
    level = (high.amax(1) - high.amin(1)).maximum(low.amax(1) - low.amin(1))
    clear = (height_of > _STEP) & (level < 0.25 * height_of)
    if int(clear.sum()) < _LEAST_EDGES:
        return 0.0
    profile, height_of = profile[clear], height_of[clear]
    centre = _REACH
    over = profile[:, centre + 2 : centre + 5].amax(dim=1) - high[clear].mean(dim=1)
    under = low[clear].mean(dim=1) - profile[:, centre - 4 : centre - 1].amin(dim=1)
    return float((0.5 * (over + under) / height_of).median())
