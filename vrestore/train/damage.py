"""What film does to a picture: grain, dust and hairs, scratches, flicker.

Everything works on (T, 3, H, W) RGB in 0..1, one clip at a time, with parameters drawn once per
clip by numpy's generator so that a seed names a clip.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor


def noise_like(rng: Generator, *shape: int) -> Tensor:
    """Standard normal samples."""
    seed = int(rng.integers(2**62))
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def gaussian_blur(frames: Tensor, sigma_y: float, sigma_x: float) -> Tensor:
    """Separable Gaussian blur, edges repeated; sigmas in pixels, 0 for none."""
    channels = frames.shape[1]
    for axis, sigma in ((2, sigma_y), (3, sigma_x)):
        if sigma <= 0.05:
            continue
        radius = max(1, int(np.ceil(2.5 * sigma)))
        taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
        taps = (taps / taps.sum()).to(frames.dtype)
        shape = (1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1)
        pad = (0, 0, radius, radius) if axis == 2 else (radius, radius, 0, 0)
        kernel = taps.view(shape).repeat(channels, 1, 1, 1)
        frames = F.conv2d(F.pad(frames, pad, mode="replicate"), kernel, groups=channels)
    return frames


def grain(frames: Tensor, rng: Generator, strength: float, *, gray: bool) -> Tensor:
    """Film grain: strongest in the mid-tones, clumped, new in every frame.

    `strength` is the standard deviation at mid-grey.  Colour film has three weakly correlated
    layers, black-and-white film one.
    """
    count, _, height, width = frames.shape
    layers = noise_like(rng, count, 1 if gray else 3, height, width)
    if not gray:
        shared = float(rng.uniform(0.3, 0.9))
        common = noise_like(rng, count, 1, height, width)
        layers = shared * common + (1 - shared**2) ** 0.5 * layers
    size = float(rng.uniform(0.0, 0.9))
    if size > 0.3:
        fine = gaussian_blur(layers, size, size)
        layers = fine / fine.std().clamp_min(1e-4)
    if rng.random() < 0.3:
        coarse = gaussian_blur(noise_like(rng, *layers.shape), 1.5, 1.5)
        layers = 0.85 * layers + 0.5 * coarse / coarse.std().clamp_min(1e-4)
    density = 2.0 * (frames.clamp(0.01, 0.99) * (1 - frames.clamp(0.01, 0.99))).sqrt()
    return frames + strength * (0.35 + 0.65 * density) * layers


def camera_noise(frames: Tensor, rng: Generator, strength: float) -> Tensor:
    """White noise, as of sensors and analogue chains."""
    return frames + strength * noise_like(rng, *frames.shape)


def blobs(rng: Generator, height: int, width: int, count: int) -> Tensor:
    """Ragged specks as a matte, (H, W)."""
    matte = torch.zeros(height, width)
    for _ in range(count):
        radius = float(rng.choice([rng.uniform(0.6, 1.6), rng.uniform(1.5, 4.0)], p=[0.65, 0.35]))
        box = int(np.ceil(2 * radius)) + 2
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        top, left = max(0, int(y) - box), max(0, int(x) - box)
        bottom, right = min(height, int(y) + box + 1), min(width, int(x) + box + 1)
        rows = torch.arange(top, bottom).view(-1, 1) - y
        columns = torch.arange(left, right).view(1, -1) - x
        stretch, angle = float(rng.uniform(1.0, 2.0)), float(rng.uniform(0, np.pi))
        u = (columns * np.cos(angle) + rows * np.sin(angle)) / stretch
        v = -columns * np.sin(angle) + rows * np.cos(angle)
        around = torch.atan2(v, u)
        ragged = radius * (
            1 + 0.22 * torch.sin(3 * around + float(rng.uniform(0, 6)))
            + 0.12 * torch.sin(5 * around + float(rng.uniform(0, 6)))
        )  # fmt: skip
        speck = torch.sigmoid((ragged - (u * u + v * v).sqrt()) * 3.0)
        speck = speck * float(rng.uniform(0.6, 1.0))
        matte[top:bottom, left:right] = torch.maximum(matte[top:bottom, left:right], speck)
    return matte


def _hair(rng: Generator, height: int, width: int) -> Tensor:
    """A curved fibre as a matte, (H, W)."""
    knots = np.cumsum(rng.normal(0, 0.16 * min(height, width), (4, 2)), 0)
    knots += rng.uniform(0, 1, 2) * (height, width) - knots[0]
    t = np.linspace(0, 1, 48)[:, None]
    curve = sum(
        w * knots[k]
        for k, w in enumerate(((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3))
    )
    points = torch.from_numpy(np.asarray(curve)).float()
    rows = torch.arange(height).view(-1, 1, 1)
    columns = torch.arange(width).view(1, -1, 1)
    near = ((rows - points[:, 0]) ** 2 + (columns - points[:, 1]) ** 2).amin(-1).sqrt()
    return torch.sigmoid((float(rng.uniform(0.4, 1.1)) - near) * 3.0) * float(rng.uniform(0.5, 1))


def dust(frames: Tensor, rng: Generator, per_megapixel: float) -> tuple[Tensor, Tensor]:
    """Specks and hairs that live for one frame; also where they are, (T, 1, H, W) in 0..1."""
    count, _, height, width = frames.shape
    mattes, tones = [], []
    for _ in range(count):
        specks = int(rng.poisson(per_megapixel * height * width / 1e6))
        matte = blobs(rng, height, width, min(specks, 40))
        if rng.random() < min(0.5, 0.002 * per_megapixel * height * width / 1e4):
            matte = torch.maximum(matte, _hair(rng, height, width))
        mattes.append(matte)
        white = rng.random() < 0.5
        tones.append(float(rng.uniform(0.85, 1.0) if white else rng.uniform(0.0, 0.15)))
    mask = torch.stack(mattes).unsqueeze(1)
    tone = torch.tensor(tones).view(-1, 1, 1, 1)
    return frames + mask * (tone - frames), mask


def scratches(frames: Tensor, rng: Generator, lines: int) -> tuple[Tensor, Tensor]:
    """Vertical scratches that wander and outlive frames; also where they are."""
    count, _, height, width = frames.shape
    mask = torch.zeros(count, 1, height, width)
    picture = frames
    columns = torch.arange(width).view(1, 1, 1, -1)
    for _ in range(lines):
        position = rng.uniform(0, width) + np.cumsum(rng.normal(0, rng.uniform(0, 0.6), count))
        x = torch.from_numpy(position).float().view(-1, 1, 1, 1)
        half = float(rng.uniform(0.3, 1.2))
        line = torch.sigmoid((half - (columns - x).abs()) * 4.0)
        gaps = F.interpolate(noise_like(rng, count, 1, 6, 1), size=(height, 1), mode="bicubic")
        line = line * torch.sigmoid(3 * (gaps + 1.0)) * float(rng.uniform(0.3, 0.9))
        tone = float(rng.choice([0.05, 0.95]))
        picture = picture + line * (tone - picture)
        mask = torch.maximum(mask, line.expand(-1, -1, height, -1))
    return picture, mask


def flicker(frames: Tensor, rng: Generator, depth: float) -> Tensor:
    """Gain that trembles from frame to frame, a little uneven over the picture."""
    count = len(frames)
    gains = 1 + depth * noise_like(rng, count, 1, 1, 1)
    uneven = F.interpolate(
        noise_like(rng, count, 1, 3, 3), size=frames.shape[-2:], mode="bilinear",
        align_corners=True,
    )  # fmt: skip
    return frames * (gains + 0.5 * depth * uneven)
