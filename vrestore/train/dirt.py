"""Damage of film with its truth: specks, hairs, persistent scratches, splices; and fast objects,
which look like dirt and are none.

As in `damage`, everything works on (T, 3, H, W) RGB in 0..1, one clip at a time, and is drawn from
numpy's generator.  Each function gives the damaged clip and a matte (T, 1, H, W) in 0..1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from vrestore.train.damage import gaussian_blur, noise_like


class Defects(NamedTuple):
    """A clip, and what was painted into it."""

    frames: Tensor
    matte: Tensor
    """Opacity, (T, 1, H, W)."""
    labels: Tensor
    """(T, H, W) int32: 0, or the number of the object whose core covers the sample."""


def specks(
    frames: Tensor,
    rng: Generator,
    per_megapixel: float,
    *,
    opacity: tuple[float, float] = (0.2, 1.0),
    hairs: float = 0.1,
) -> Defects:
    """Dust, blobs and hairs, each with its own tone and opacity, that live for one frame.

    `hairs` is the mean number of fibres a frame.
    """
    count, _, height, width = frames.shape
    matte = torch.zeros(count, 1, height, width)
    labels = torch.zeros(count, height, width, dtype=torch.int32)
    picture = frames.clone()
    number = 0
    mostly_bright = float(rng.choice([0.1, 0.5, 0.9]))
    for t in range(count):
        shapes = [_speck] * int(rng.poisson(per_megapixel * height * width / 1e6))
        shapes += [_fibre] * int(rng.poisson(hairs))
        for shape in shapes:
            top, left, one = shape(rng, height, width)
            if not one.numel():
                continue
            number += 1
            seen = one * float(rng.uniform(*opacity))
            bright = rng.random() < mostly_bright
            tone = float(rng.uniform(0.85, 1.0) if bright else rng.uniform(0.0, 0.12))
            _paint(picture[t], seen, (top, left), torch.full((3,), tone))
            _mark(matte[t, 0], labels[t], one, seen, (top, left), number)
    return Defects(picture, matte, labels)


def _paint(picture: Tensor, matte: Tensor, at: tuple[int, int], tone: Tensor) -> None:
    """Blend a tone (3,) into a (3, H, W) picture."""
    (top, left), (rows, columns) = at, matte.shape
    part = picture[:, top : top + rows, left : left + columns]
    part += matte * (tone.view(3, 1, 1) - part)


def _mark(
    matte: Tensor, labels: Tensor, shape: Tensor, seen: Tensor, at: tuple[int, int], number: int
) -> None:
    (top, left), (rows, columns) = at, shape.shape
    box = (slice(top, top + rows), slice(left, left + columns))
    matte[box] = torch.maximum(matte[box], seen)
    labels[box][shape > 0.4] = number


def _window(
    rng: Generator, height: int, width: int, reach: float
) -> tuple[int, int, Tensor, Tensor]:
    """A random place: (top, left, rows from its centre, columns from its centre)."""
    y, x = rng.uniform(0, height), rng.uniform(0, width)
    top, bottom = max(0, int(y - reach)), min(height, int(y + reach) + 2)
    left, right = max(0, int(x - reach)), min(width, int(x + reach) + 2)
    rows = torch.arange(top, bottom).view(-1, 1) - y
    columns = torch.arange(left, right).view(1, -1) - x
    return top, left, rows, columns


def _speck(rng: Generator, height: int, width: int) -> tuple[int, int, Tensor]:
    """A ragged, stretched blob of 0.8 to 9 pixels radius, small ones far more often."""
    radius = float(np.exp(rng.triangular(np.log(0.8), np.log(1.2), np.log(9.0))))
    top, left, rows, columns = _window(rng, height, width, 3 * radius + 2)
    stretch, angle = float(rng.uniform(1.0, 2.2)), float(rng.uniform(0, np.pi))
    u = (columns * np.cos(angle) + rows * np.sin(angle)) / stretch
    v = -columns * np.sin(angle) + rows * np.cos(angle)
    around = torch.atan2(v, u)
    ragged = radius * (
        1 + 0.2 * torch.sin(3 * around + float(rng.uniform(0, 6)))
        + 0.12 * torch.sin(5 * around + float(rng.uniform(0, 6)))
    )  # fmt: skip
    hardness = float(rng.uniform(1.5, 5.0))
    return top, left, torch.sigmoid((ragged - (u * u + v * v).sqrt()) * hardness)


def _fibre(rng: Generator, height: int, width: int) -> tuple[int, int, Tensor]:
    """A curved hair of 10 to 90 pixels, 0.8 to 2 wide."""
    length = float(rng.uniform(10, 90))
    top, left, rows, columns = _window(rng, height, width, length / 2 + 3)
    heading, bend = float(rng.uniform(0, 2 * np.pi)), float(rng.normal(0, 1.5)) / length
    along = torch.linspace(-length / 2, length / 2, int(length) + 1)
    angle = heading + bend * along
    x, y = torch.cumsum(torch.cos(angle), 0), torch.cumsum(torch.sin(angle), 0)
    x, y = x - x.mean(), y - y.mean()
    near = ((rows[..., None] - y) ** 2 + (columns[..., None] - x) ** 2).amin(-1).sqrt()
    return top, left, torch.sigmoid((float(rng.uniform(0.4, 1.0)) - near) * 3.0)


def drifting_scratches(
    frames: Tensor, rng: Generator, lines: int, *, opacity: tuple[float, float] = (0.15, 0.9)
) -> Defects:
    """Vertical lines that stay for the clip, drift slowly, tremble, lean a little and have gaps."""
    count, _, height, width = frames.shape
    matte = torch.zeros(count, 1, height, width)
    labels = torch.zeros(count, height, width, dtype=torch.int32)
    picture = frames.clone()
    columns = torch.arange(width).view(1, 1, -1)
    rows = torch.arange(height).view(1, -1, 1)
    for number in range(1, lines + 1):
        drift = np.cumsum(rng.normal(0, rng.uniform(0.02, 0.3), count))
        position = rng.uniform(6, width - 6) + drift + rng.normal(0, rng.uniform(0, 0.25), count)
        lean = float(rng.normal(0, 0.003))
        centre = torch.from_numpy(position).float().view(-1, 1, 1) + lean * (rows - height / 2)
        half = float(rng.uniform(0.3, 1.5))
        line = torch.sigmoid((half - (columns - centre).abs()) * 4.0)
        gaps = gaussian_blur(noise_like(rng, count, 1, height, 1), height / 12, 0.0)
        gaps = gaps / gaps.std().clamp_min(1e-6)
        # The gaps hold for several frames: film is scratched in long strokes.
        gaps = gaps[torch.arange(count) // int(rng.integers(4, 12))]
        present = torch.sigmoid(6 * (gaps[:, 0] + float(rng.uniform(0.5, 2.5))))
        seen = line * present * float(rng.uniform(*opacity))
        tone = float(rng.choice([rng.uniform(0.0, 0.15), rng.uniform(0.85, 1.0)]))
        picture = picture + seen[:, None] * (tone - picture)
        matte = torch.maximum(matte, seen[:, None])
        labels[(line > 0.4) & (present > 0.5)] = number
    return Defects(picture, matte, labels)


def splice(frames: Tensor, rng: Generator, *, at_end: bool) -> Defects:
    """The bar of cement that a splice leaves along one edge of a shot's first or last frame."""
    count, _, height, width = frames.shape
    matte = torch.zeros(count, 1, height, width)
    labels = torch.zeros(count, height, width, dtype=torch.int32)
    picture = frames.clone()
    t = count - 1 if at_end else 0
    thick = float(rng.uniform(0.012, 0.06)) * height
    centre = thick / 2 + float(rng.uniform(0, 0.03)) * height
    centre = height - centre if at_end else centre
    rows = torch.arange(height).view(-1, 1).float()
    bar = torch.sigmoid((thick / 2 - (rows - centre).abs()) * 1.5)
    uneven = gaussian_blur(noise_like(rng, 1, 1, 1, width), 0.0, 20.0)[0, 0]
    bar = bar * (1 + 0.2 * uneven / uneven.std().clamp_min(1e-6)).clamp(0.5, 1.2)
    seen = (bar * float(rng.uniform(0.35, 0.9))).clamp(0, 1)
    tone = float(rng.choice([0.05, 0.95]))
    picture[t] += seen * (tone - picture[t])
    matte[t, 0], labels[t] = seen, (bar > 0.5).int()
    return Defects(picture, matte, labels)


def fast_objects(frames: Tensor, rng: Generator, count: int) -> Defects:
    """Balls and birds that cross the picture so fast that each place sees them for one frame.

    No damage: what a detector of dirt has to leave alone.  They are blurred along their way, have
    a colour of their own, and birds beat their wings.
    """
    length, _, height, width = frames.shape
    matte = torch.zeros(length, 1, height, width)
    labels = torch.zeros(length, height, width, dtype=torch.int32)
    picture = frames.clone()
    rows = torch.arange(height).view(-1, 1).float()
    columns = torch.arange(width).view(1, -1).float()
    for number in range(1, count + 1):
        radius = float(rng.uniform(2.5, 10))
        speed = float(rng.uniform(max(14.0, 2.5 * radius), 60))
        heading = float(rng.uniform(-0.5, 0.5)) + (np.pi if rng.random() < 0.5 else 0.0)
        vx, vy = speed * np.cos(heading), speed * np.sin(heading)
        when = float(rng.uniform(0.2, 0.8)) * (length - 1)
        x0, y0 = rng.uniform(0.3, 0.7) * width, rng.uniform(0.2, 0.8) * height
        fall = float(rng.uniform(0, 0.6))
        shutter = float(rng.uniform(0.0, 0.5))
        tone = torch.from_numpy(rng.uniform(0, 1, 3)).float()
        if rng.random() < 0.5:
            tone = torch.full((3,), float(rng.choice([rng.uniform(0, 0.2), rng.uniform(0.8, 1)])))
        bird = rng.random() < 0.4
        for t in range(length):
            seen = torch.zeros(height, width)
            wing = float(rng.uniform(0.4, 1.0))
            for step in np.linspace(-0.5, 0.5, 7) * shutter:
                u = t + step - when
                x, y = columns - (x0 + u * vx), rows - (y0 + u * vy + 0.5 * fall * u * u)
                near = (x * x + y * y).sqrt()
                if bird:
                    near = (x / 1.6).square().add((y + wing * 0.4 * x.abs()).square() * 4).sqrt()
                seen += torch.sigmoid((radius - near) * 2.0) / 7
            picture[t] += seen * (tone.view(3, 1, 1) - picture[t])
            matte[t, 0] = torch.maximum(matte[t, 0], seen)
            labels[t][seen > 0.4] = number
    return Defects(picture, matte, labels)
