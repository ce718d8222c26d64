"""What tape and composite video do: on (T, 3, H, W) YCbCr, luma 0..1, chroma about 0."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from vrestore.train.damage import gaussian_blur, noise_like


def tape(frames: Tensor, rng: Generator, amount: float) -> tuple[Tensor, Tensor]:
    """A generation of tape; `amount` 0..1.  Also where signal dropped out, (T, 1, H, W).

    Chroma loses most of its bandwidth and arrives late, luma is softened and over-peaked, lines
    jitter, noise lies along the lines, and now and then a stretch of line is missing.
    """
    count, _, height, width = frames.shape
    luma, chroma = frames[:, :1], frames[:, 1:]

    luma = gaussian_blur(luma, 0.0, 0.3 + 0.7 * amount * float(rng.uniform(0.5, 1)))
    peaking = float(rng.uniform(0, 0.8)) * amount
    luma = luma + peaking * (luma - gaussian_blur(luma, 0.0, 1.2))

    chroma = gaussian_blur(chroma, 0.5 * amount, 1.0 + 3.0 * amount * float(rng.uniform(0.4, 1)))
    late = round(float(rng.uniform(0, 3)) * amount)
    if late:
        chroma = torch.cat((chroma[..., :1].expand(-1, -1, -1, late), chroma[..., :-late]), -1)

    sigma = 0.01 + 0.03 * amount
    luma = luma + sigma * gaussian_blur(noise_like(rng, count, 1, height, width), 0.0, 0.6)
    blotches = gaussian_blur(noise_like(rng, count, 2, height, width), 0.7, 2.5)
    chroma = chroma + sigma * blotches / blotches.std().clamp_min(1e-4)

    both = torch.cat((luma, chroma), 1)
    if rng.random() < 0.6:
        both = _line_jitter(both, rng, float(rng.uniform(0.1, 0.6)) * amount)
    return _dropouts(both, rng, rate=float(rng.uniform(0, 1.2)) * amount)


def _line_jitter(frames: Tensor, rng: Generator, sigma: float) -> Tensor:
    """Each line a little to the side, correlated down the picture."""
    count, _, height, width = frames.shape
    offsets = sigma * gaussian_blur(noise_like(rng, count, 1, height, 1), 1.0, 0.0) * 1.9
    y = (torch.arange(height) * 2 + 1) / height - 1
    x = (torch.arange(width) * 2 + 1) / width - 1
    grid = torch.empty(count, height, width, 2)
    grid[..., 0] = x.view(1, 1, -1) + offsets[:, 0] * 2 / width
    grid[..., 1] = y.view(1, -1, 1)
    return F.grid_sample(frames, grid, mode="bicubic", padding_mode="border", align_corners=False)


def _dropouts(frames: Tensor, rng: Generator, rate: float) -> tuple[Tensor, Tensor]:
    """Stretches of line replaced by white or black streaks; `rate` is the mean count a frame."""
    count, _, height, width = frames.shape
    mask = torch.zeros(count, 1, height, width)
    tones = torch.zeros(count, 1, height, width)
    for t in range(count):
        for _ in range(rng.poisson(rate)):
            y, x = int(rng.integers(height)), int(rng.integers(width))
            length = int(rng.uniform(0.1, 0.6) * width)
            fade = torch.exp(-3.0 * torch.arange(min(length, width - x)) / max(1, length))
            mask[t, 0, y : y + int(rng.integers(1, 3)), x : x + length] = fade
            tones[t, 0, y : y + 2, x : x + length] = float(rng.choice([0.1, 0.95]))
    target = torch.cat((tones, torch.zeros_like(tones).expand(-1, 2, -1, -1)), 1)
    return frames + mask * (target - frames), mask
