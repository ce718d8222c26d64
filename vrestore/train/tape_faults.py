"""Single faults of tape and composite video, each of a given size, for measuring and training.

Like `tape`, on (T, 3, H, W) YCbCr, luma 0..1, chroma about 0; what is random comes from numpy's
generator.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from vrestore.train.damage import gaussian_blur, noise_like

SUBCARRIER = {"ntsc": (227.5 / 858, 0.5, 0.5), "pal": (283.7516 / 864, 0.25, 0.75)}
"""Cycles of the subcarrier per luma sample at 13.5 MHz, and its advance per line and per frame, in
cycles; 601's 858 and 864 samples a line."""


def chroma_shift(frames: Tensor, right: float, down: float = 0.0) -> Tensor:
    """Colour moved by fractions of a luma sample."""
    moved = _resampled(frames[:, 1:], _identity(frames, right, down))
    return torch.cat((frames[:, :1], moved), 1)


def _identity(frames: Tensor, right: float | Tensor, down: float) -> Tensor:
    """A sampling grid that moves the picture; `right` may be (T, H)."""
    count, _, height, width = frames.shape
    y = (torch.arange(height) * 2 + 1) / height - 1
    x = (torch.arange(width) * 2 + 1) / width - 1
    grid = torch.empty(count, height, width, 2)
    sideways = right[..., None] if isinstance(right, Tensor) else right
    grid[..., 0] = x - sideways * (2 / width)
    grid[..., 1] = y[:, None] - down * 2 / height
    return grid


def _resampled(planes: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(planes, grid, mode="bicubic", padding_mode="border", align_corners=False)


def chroma_noise(frames: Tensor, rng: Generator, sigma: float) -> Tensor:
    """Coloured blotches, smeared along the lines."""
    count, _, height, width = frames.shape
    blotches = gaussian_blur(noise_like(rng, count, 2, height, width), 0.8, 2.5)
    noise = sigma * blotches / blotches.std().clamp_min(1e-6)
    return torch.cat((frames[:, :1], frames[:, 1:] + noise), 1)


def bleed(frames: Tensor, sigma: float) -> Tensor:
    """Colour smeared along the lines, by a Gaussian of that many luma samples."""
    return torch.cat((frames[:, :1], gaussian_blur(frames[:, 1:], 0.0, sigma)), 1)


def head_switch(frames: Tensor, rng: Generator, rows: int) -> Tensor:
    """The last rows torn sideways, farther the lower, noisy, differently in every frame."""
    count, _, height, width = frames.shape
    right = torch.zeros(count, height)
    way = float(rng.choice([-1.0, 1.0])) * float(rng.uniform(0.02, 0.09)) * width
    down = torch.linspace(0.6, 1.0, rows)
    right[:, height - rows :] = way * down + noise_like(rng, count, rows) * 1.5
    torn = _resampled(frames, _identity(frames, right, 0.0))
    noisy = torn[:, :, height - rows :]
    noisy += float(rng.uniform(0.02, 0.1)) * noise_like(rng, *noisy.shape)
    return torn


def line_jitter(frames: Tensor, rng: Generator, sigma: float) -> Tensor:
    """Every row of every frame a little to the side, `sigma` luma samples rms."""
    count, _, height, _ = frames.shape
    right = sigma * noise_like(rng, count, height)
    return _resampled(frames, _identity(frames, right, 0.0))


def dropouts(frames: Tensor, rng: Generator, rate: float) -> tuple[Tensor, Tensor]:
    """Stretches of one to three lines lost to white, black or noise; also where, (T, 1, H, W).

    `rate` is the mean count a frame.
    """
    count, _, height, width = frames.shape
    out, mask = frames.clone(), torch.zeros(count, 1, height, width)
    for t in range(count):
        for _ in range(int(rng.poisson(rate))):
            y, x = int(rng.integers(height)), int(rng.integers(-20, width - 16))
            length = int(rng.uniform(16, 0.4 * width))
            box = (slice(y, y + int(rng.integers(1, 4))), slice(max(0, x), x + length))
            shape = out[t, 0][box].shape
            fade = torch.exp(-float(rng.uniform(0, 2)) * torch.linspace(0, 1, shape[1]))
            tone = float(rng.choice([rng.uniform(0, 0.15), rng.uniform(0.8, 1.0)]))
            noise = 0.1 * noise_like(rng, *shape)
            for number, value in enumerate((tone, 0.0, 0.0)):
                part = out[t, number][box]
                part += fade * (value + (noise if number == 0 else 0.0) - part)
            mask[t, 0][box] = torch.maximum(mask[t, 0][box], fade.expand(shape))
    return out, mask


def composite(frames: Tensor, standard: str, crawl: float, rainbow: float) -> Tensor:
    """Dot crawl and rainbows of a decoder without a comb filter.

    `crawl` is the share of the colour's edges that stays in the luma as subcarrier, `rainbow` the
    share of the luma around the subcarrier's frequency that is decoded as colour.
    """
    count, _, height, width = frames.shape
    per_sample, per_line, per_frame = SUBCARRIER[standard]
    phase = (
        per_sample * torch.arange(width).view(1, 1, -1)
        + per_line * torch.arange(height).view(1, -1, 1)
        + per_frame * torch.arange(count).view(-1, 1, 1)
    ) * (2 * math.pi)
    sine, cosine = phase.sin(), phase.cos()
    luma, cb, cr = frames.unbind(1)
    # Colour of 1.3 MHz at most rides on the subcarrier; a notch leaves the sides of its band.
    edges = gaussian_blur(frames[:, 1:], 0.0, 2.0) - gaussian_blur(frames[:, 1:], 0.0, 6.0)
    dots = edges[:, 0] * sine + edges[:, 1] * cosine
    band = (gaussian_blur(frames[:, :1], 0.0, 0.6) - gaussian_blur(frames[:, :1], 0.0, 1.6))[:, 0]
    false = torch.stack((2 * band * sine, 2 * band * cosine), 1)
    false = gaussian_blur(false, 0.0, 2.0)
    return torch.stack(
        (luma + crawl * dots, cb + rainbow * false[:, 0], cr + rainbow * false[:, 1]), 1
    )


def halo(frames: Tensor, amount: float, sigma: float = 1.6) -> Tensor:
    """Luma peaked along the lines: edges overshoot by about `amount` of a third of their step."""
    luma = frames[:, :1]
    return torch.cat((luma + amount * (luma - gaussian_blur(luma, 0.0, sigma)), frames[:, 1:]), 1)
