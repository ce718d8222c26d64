"""What a worn projector and an old print do to the whole frame: weave, flicker, fading.

Like `damage`: (T, 3, H, W) RGB in 0..1, parameters drawn by numpy's generator so that a seed names
a clip.  Everything gives its truth as well, so that a restoration can be measured against it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

MARGIN = 12
"""Samples that `moved` cuts off on each side, so that what it moves in is real picture."""

_LOBES = 6
"""Of the windowed sinc by which `moved` interpolates: finer than any restoration's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fade:
    """How a print's dyes have faded, per channel R, G, B."""

    gain: Tensor
    """(3,) what is left of each dye's density, 0..1."""

    stain: Tensor
    """(3,) density that the base has taken on."""


def weave(rng: Generator, count: int, sigma: float, *, memory: float | None = None) -> Tensor:
    """How a gate lets frames wander, (T, 2) x and y in samples: first-order autoregressive.

    `sigma` is the standard deviation of each; `memory` 0..1 the correlation with the frame before,
    drawn from 0 to 0.5 where none is given.
    """
    keep = float(rng.uniform(0, 0.5)) if memory is None else memory
    return sigma * _trembling(rng, (count, 2), keep)


def splice_jumps(rng: Generator, count: int, rate: float, reach: float) -> Tensor:
    """Single frames that a splice throws up or down, (T, 2) in samples.

    `rate` is the share of frames; a jump is `reach` / 3 to `reach`, mostly vertical.
    """
    jumps = torch.zeros(count, 2)
    for t in range(1, count - 1):
        if rng.random() < rate and float(jumps[t - 1, 1]) == 0:
            size = float(rng.uniform(reach / 3, reach)) * (1 if rng.random() < 0.5 else -1)
            jumps[t] = torch.tensor([0.15 * size * float(rng.uniform(-1, 1)), size])
    return jumps


def moved(frames: Tensor, path: Tensor) -> Tensor:
    """Each frame's contents moved by (x, y) samples, to the right and down; `MARGIN` smaller on
    each side, so no path may reach farther than that less the kernel, 5 samples."""
    if float(path.abs().max()) > MARGIN - _LOBES + 1:
        raise ValueError(f"a path may reach {MARGIN - _LOBES + 1} samples, got {path.abs().max()}")
    height, width = frames.shape[-2:]
    out = []
    for frame, (x, y) in zip(frames, path.tolist(), strict=True):
        rows = F.conv2d(frame[:, None], _sinc(-y).view(1, 1, -1, 1))
        both = F.conv2d(rows, _sinc(-x).view(1, 1, 1, -1))[:, 0]
        out.append(both)
    return torch.stack(out).reshape(len(frames), -1, height - 2 * MARGIN, width - 2 * MARGIN)


def _sinc(shift: float) -> Tensor:
    """(2 MARGIN + 1,) weights that read a line `shift` samples farther on."""
    at = torch.arange(-MARGIN, MARGIN + 1, dtype=torch.float64) - shift
    taps = torch.sinc(at) * torch.sinc(at / _LOBES) * (at.abs() < _LOBES)
    return (taps / taps.sum()).float()


def flicker_gain(
    rng: Generator, count: int, depth: float, *, memory: float | None = None
) -> Tensor:
    """(T,) gains about 1 of a light that trembles: half slow, half new in every frame.

    `depth` is their standard deviation; `memory` 0..1 of the slow half, drawn from 0.3 to 0.8.
    """
    keep = float(rng.uniform(0.3, 0.8)) if memory is None else memory
    slow, quick = _trembling(rng, (count,), keep), _trembling(rng, (count,), 0.0)
    return (1 + depth * (slow + quick) / 2**0.5).clamp_(0.5, 1.6)


def flicker_field(rng: Generator, count: int, size: tuple[int, int], depth: float) -> Tensor:
    """(T, H, W) gains that tremble unevenly over the picture, as a 3x3 grid between which they are
    interpolated; `depth` is the standard deviation at its nodes."""
    nodes = _trembling(rng, (count, 1, 3, 3), float(rng.uniform(0, 0.6)))
    return 1 + depth * F.interpolate(nodes, size=size, mode="bilinear", align_corners=True)[:, 0]


def flicker_bands(rng: Generator, count: int, size: tuple[int, int], depth: float) -> Tensor:
    """(T, H, W) gains in soft horizontal bands that wander, one to four in a picture; `depth` is
    their amplitude."""
    height, width = size
    y = torch.arange(height) / height
    bands = float(rng.uniform(1, 4))
    phase = torch.from_numpy(rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 1.5, count)))
    strength = depth * (0.6 + 0.4 * _trembling(rng, (count,), 0.5).abs())
    wave = torch.sin(2 * np.pi * bands * y + phase.float()[:, None]) * strength[:, None]
    return (1 + wave)[:, :, None].expand(count, height, width)


def flicker_gamma(rng: Generator, count: int, depth: float) -> Tensor:
    """(T,) exponents about 1 of a development that trembles, of standard deviation `depth`."""
    return (1 + depth * _trembling(rng, (count,), float(rng.uniform(0, 0.6)))).clamp_(0.5, 2.0)


def lit(frames: Tensor, gain: Tensor) -> Tensor:
    """Frames under a light of `gain`, (T,) or (T, H, W), clipped to 0..1 as a scan is."""
    return (frames * gain.view(len(frames), 1, *gain.shape[1:], *[1] * (3 - gain.dim()))).clamp(
        0, 1
    )


def dye_fade(rng: Generator, amount: float) -> Fade:
    """The fading of one print, as of Eastmancolor kept warm: cyan goes first, yellow next, magenta
    stays, so what is left is pink.  `amount` 0..1."""
    loss = torch.tensor(
        [rng.uniform(0.35, 0.6), rng.uniform(0.0, 0.08), rng.uniform(0.1, 0.3)]
    ).float()
    stain = torch.tensor([0.0, rng.uniform(0.0, 0.02), rng.uniform(0.02, 0.06)]).float()
    return Fade(gain=1 - amount * loss, stain=amount * stain)


def faded(frames: Tensor, fade: Fade) -> Tensor:
    """Frames after their dyes faded: densities scaled and the base stained."""
    density = -torch.log10(frames.clamp_min(0.01))
    left = density * fade.gain.view(1, 3, 1, 1) + fade.stain.view(1, 3, 1, 1)
    return (10.0**-left).clamp(0, 1)


def _trembling(rng: Generator, shape: tuple[int, ...], memory: float) -> Tensor:
    """First-order autoregressive along the first axis, of unit standard deviation."""
    noise = rng.standard_normal(shape)
    for t in range(1, shape[0]):
        noise[t] = memory * noise[t - 1] + (1 - memory**2) ** 0.5 * noise[t]
    return torch.from_numpy(noise).float()
