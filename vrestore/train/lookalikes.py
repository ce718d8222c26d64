"""What looks like damage of film and is none: posts, cords, joints, small lights, pebbles.

They belong to the scene, so they are painted before anything moves it, blurs it or damages it.  A
net that never sees them takes every thin upright line for a scratch and every small light for dust:
crops of real clips hold few of either, damaged samples many scratches and specks.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from vrestore.train.damage import blobs, gaussian_blur, noise_like

LINED, DOTTED = 0.3, 0.2
"""Share of pictures that get lines, and dots."""

_PER_SAMPLE = 1 / 90
"""Lines, or groups of lines, along a side of the picture."""


def with_lookalikes(picture: Tensor, rng: Generator, scale: int) -> Tensor:
    """A picture (3, H, W) in 0..1 with lines and dots in it, or as it was.

    `scale` is how much the picture will be shrunk: lines are 0.7 to 4 samples wide after that.
    """
    if rng.random() < LINED:
        picture = picture.clone()
        # Level ones too, since scenes are turned: half of what is painted ends upright.
        for turned in (picture, picture.transpose(1, 2)):
            for _ in range(1 + int(rng.poisson(turned.shape[2] * _PER_SAMPLE / scale))):
                paint_lines(turned, rng, scale)
    if rng.random() < DOTTED:
        height, width = picture.shape[1:]
        count = int(rng.poisson(10 ** rng.uniform(1.5, 3.0) * height * width / 1e6 / scale))
        matte = blobs(rng, height, width, min(count, 60))
        tone = torch.full((3,), float(rng.uniform(0.8, 1) if rng.random() < 0.6 else 0.1))
        tone = tone * (1 - float(rng.uniform(0, 0.3)) * torch.from_numpy(rng.random(3)).float())
        picture = picture + matte * (tone.view(3, 1, 1) - picture)
    return picture


def paint_lines(picture: Tensor, rng: Generator, scale: int) -> None:
    """One near-upright line, or a row of equal ones, blended into a (3, H, W) picture."""
    _, height, width = picture.shape
    half = scale * float(np.exp(rng.uniform(np.log(0.35), np.log(2.0))))
    hardness = float(rng.uniform(1.5, 4.0)) / scale
    lean = float(rng.normal(0, 0.03)) if rng.random() < 0.6 else 0.0
    bow = float(rng.normal(0, 0.5)) * scale if rng.random() < 0.3 else 0.0
    length = int(height * min(1.0, float(rng.uniform(0.15, 1.4))))
    top = int(rng.integers(height - length + 1))
    rows = torch.linspace(-1, 1, length)
    path = lean * rows * length / 2 + bow * (1 - rows.square())
    opacity, shade = float(rng.uniform(0.25, 1.0)), float(rng.uniform(-0.4, 0.4))
    grained = gaussian_blur(noise_like(rng, 1, 1, length, 1), float(rng.uniform(1, 6)), 0.0)
    uneven = 1 + float(rng.uniform(0, 0.3)) * grained.view(-1, 1)
    count = int(rng.integers(2, 7)) if rng.random() < 0.25 else 1
    pitch = 2 * half + scale * float(rng.uniform(3, 20))
    neutral, bright = rng.random() < 0.5, rng.random() < 0.5
    level = float(rng.uniform(0.75, 1.0) if bright else rng.uniform(0.0, 0.25))
    reach = half + 3 / hardness + float(path.abs().max())
    first = float(rng.uniform(0, width))
    for k in range(count):
        x = first + k * pitch
        left, right = max(0, int(x - reach)), min(width, int(x + reach) + 2)
        if right <= left:
            break
        off = torch.arange(left, right).view(1, -1) - x - path.view(-1, 1)
        part = picture[:, top : top + length, left:right]
        tone = torch.full((3, 1, 1), level)
        if not neutral:
            around = part.mean((1, 2), keepdim=True)
            tone = around + 0.7 * (tone - around)
        tone = (tone * (1 + shade * (off / (half + 1)).clamp(-1, 1)) * uneven).clamp(0, 1)
        part += opacity * torch.sigmoid((half - off.abs()) * 4 * hardness) * (tone - part)
