"""What is measured on: a picture or clip, what was made of it, and what it should become.

All luma is 8-bit limited range, 16..235, as float32 code values: published numbers are on this
scale, and a damaged case is what an 8-bit file would hold.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.ops.resample import Axis, Kernel, resample_plane
from vrestore.review.metrics import luma_of_rgb
from vrestore.train import damage
from vrestore.train.codec import recompress
from vrestore.train.sample import normalise, quantise, shrink, subsample, to_ycbcr
from vrestore.train.tape import tape

__all__ = ["DAMAGES", "Case", "Damage", "clean", "damaged", "resized"]

MATRIX = "601"
FULL_MASK = 0.15
"""Share of a sample that a defect covers, from which it counts as one; as in training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One degraded picture or clip of T frames, and its truth."""

    name: str
    scale: int
    luma: Tensor
    """(T, h, w)"""

    chroma: Tensor
    """(T, 2, h, w) or, subsampled, (T, 2, h/2, w/2), limited range about 128."""

    truth: Tensor
    """(T, h * scale, w * scale)"""

    strength: float
    """What the models are told."""

    mask: Tensor | None = None
    """(T, h * scale, w * scale) bool, true on the defects that were drawn; None for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One kind of wear, with the amounts of `vrestore.train.damage`, `tape` and `codec`."""

    name: str
    strength: float
    """What the models are told: what training told them for about this much."""

    blur: float = 0.0
    """Sigma in samples of the input."""

    noise: float = 0.0
    grain: float = 0.0
    dust: float = 0.0
    """Specks per megapixel."""

    scratches: int = 0
    flicker: float = 0.0
    tape: float = 0.0
    codec: float = 0.0


DAMAGES = (
    Damage(name="film-light", strength=0.4, blur=0.3, grain=0.02, dust=60, flicker=0.01),
    Damage(
        name="film-heavy", strength=0.7, blur=0.6, grain=0.05, dust=400, scratches=1, flicker=0.025
    ),
    Damage(name="tape", strength=0.7, blur=0.4, tape=0.6, codec=0.15),
    Damage(name="compressed", strength=0.6, codec=0.5),
)
"""Fixed before anything was measured with them."""


def resized(plane: Tensor, height: int, width: int, kernel: Kernel) -> Tensor:
    """A plane (h, w) resampled to that size, antialiased, edges mirrored as MATLAB does."""

    def axis(size: int, wanted: int) -> Axis:
        return Axis(in_size=size, out_size=wanted, ratio=Fraction(wanted, size), kernel=kernel)

    return resample_plane(plane, axis(plane.shape[0], height), axis(plane.shape[1], width))


def _divisible(frames: Tensor, step: int) -> Tensor:
    """(T, H, W, 3) cut at the right and below to multiples of `step`."""
    height, width = (size // step * step for size in frames.shape[1:3])
    return frames[:, :height, :width]


def clean(name: str, frames: Tensor, scale: int, *, strength: float = 0.0) -> Case:
    """The published way: R'G'B' shrunk by MATLAB's bicubic, rounded; full chroma.

    `frames` (T, H, W, 3) uint8.
    """
    frames = _divisible(frames, scale)
    rgb = frames.permute(0, 3, 1, 2)
    height, width = rgb.shape[-2] // scale, rgb.shape[-1] // scale
    small = rgb.float()
    if scale > 1:
        planes = [resized(p, height, width, Kernel.BICUBIC) for p in small.flatten(0, 1)]
        small = torch.stack(planes).view(-1, 3, height, width).round().clamp(0, 255)
    planes_small = to_ycbcr(small / 255, MATRIX)
    return Case(
        name=name,
        scale=scale,
        luma=16 + 219 * planes_small[:, 0],
        chroma=128 + 224 * planes_small[:, 1:],
        truth=luma_of_rgb(rgb).round().float(),
        strength=strength,
    )


def damaged(name: str, frames: Tensor, scale: int, wear: Damage) -> Case:
    """An 8-bit 4:2:0 clip as worn as told, shrunk by `scale` before the wear.

    `frames` (T, H, W, 3) uint8.  All that is random follows from name, scale and damage.
    """
    digest = hashlib.sha256(f"{name} x{scale} {wear.name}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    rgb = _divisible(frames, 2 * scale).permute(0, 3, 1, 2).float() / 255
    truth = to_ycbcr(rgb, MATRIX)[:, 0]
    small = shrink(damage.gaussian_blur(rgb, wear.blur * scale, wear.blur * scale), scale)
    mask = torch.zeros_like(small[:, :1])
    if wear.grain:
        small = damage.grain(small, rng, wear.grain, gray=False)
    if wear.noise:
        small = damage.camera_noise(small, rng, wear.noise)
    if wear.dust:
        small, mask = damage.dust(small, rng, wear.dust)
    if wear.scratches:
        small, lines = damage.scratches(small, rng, wear.scratches)
        mask = torch.maximum(mask, lines)
    if wear.flicker:
        small = damage.flicker(small, rng, wear.flicker)
    planes = to_ycbcr(small, MATRIX)
    if wear.tape:
        planes, dropped = tape(planes, rng, wear.tape)
        mask = torch.maximum(mask, dropped)
    luma, chroma = quantise(planes[:, :1], subsample(planes[:, 1:], "420-left"), full=False)
    if wear.codec:
        luma, chroma = recompress(luma, chroma, rng, wear.codec)
    spots = F.interpolate(mask, scale_factor=scale)[:, 0] > FULL_MASK
    y, c = normalise(luma, chroma, full=False)
    return Case(
        name=name,
        scale=scale,
        luma=16 + 219 * y[:, 0],
        chroma=128 + 224 * c,
        truth=(16 + 219 * truth).round(),
        strength=wear.strength,
        mask=spots if bool(spots.any()) else None,
    )
