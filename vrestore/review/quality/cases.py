"""What is measured on: a picture or clip, what was made of it, and what it should become.

All planes are 8-bit limited range, luma 16..235, as float32 code values: published numbers are on
this scale, and a damaged case is what an 8-bit file would hold.
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
from vrestore.train.sample import normalise, quantise, shrink, subsample, to_rgb, to_ycbcr
from vrestore.train.tape import tape

__all__ = [
    "DAMAGES",
    "Case",
    "Damage",
    "chroma_resized",
    "clean",
    "damaged",
    "from_rgb",
    "resized",
    "rgb_of",
    "ycbcr_of",
]

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
    """(T, 2, h, w) or, subsampled and sited to the left, (T, 2, h/2, w/2), about 128."""

    truth: Tensor
    """(T, h * scale, w * scale)"""

    truth_chroma: Tensor
    """`scale` times as large as `chroma`, and sited alike."""

    strength: float
    """What the models are told."""

    mask: Tensor | None = None
    """(T, h * scale, w * scale) bool, true on the defects that were drawn; None for none."""

    @property
    def subsampled(self) -> bool:
        """4:2:0, else 4:4:4."""
        return self.chroma.shape[-1] < self.luma.shape[-1]


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


def resized(
    plane: Tensor, height: int, width: int, kernel: Kernel, *, left: bool = False
) -> Tensor:
    """A plane (h, w) resampled to that size, antialiased, edges mirrored as MATLAB does.

    `left` for chroma whose first column sits on the first column of luma, before and after.
    """
    offset = 0.25 if left else 0.5

    def axis(size: int, wanted: int, offset: float) -> Axis:
        return Axis(
            in_size=size, out_size=wanted, ratio=Fraction(wanted, size),
            in_offset=offset, out_offset=offset, kernel=kernel,
        )  # fmt: skip

    rows, columns = axis(plane.shape[0], height, 0.5), axis(plane.shape[1], width, offset)
    return resample_plane(plane, rows, columns)


def chroma_resized(case: Case, chroma: Tensor, kernel: Kernel) -> Tensor:
    """Chroma (T, 2, ...) sited as that of the case, at the size of its truth."""
    height, width = case.truth_chroma.shape[-2:]
    planes = [resized(p, height, width, kernel, left=case.subsampled) for p in chroma.flatten(0, 1)]
    return torch.stack(planes).view(len(chroma), 2, height, width)


def rgb_of(luma: Tensor, chroma: Tensor) -> Tensor:
    """8-bit R'G'B' (T, 3, h, w) in 0..1 of code values; 4:2:0 is magnified by the cubic."""
    planes = [chroma[:, 0], chroma[:, 1]]
    if chroma.shape[-1] < luma.shape[-1]:
        height, width = luma.shape[-2:]
        # Left siting: the first sample of chroma, 2 wide, is centred on the first of luma.
        columns = Axis(
            in_size=chroma.shape[-1], out_size=width, ratio=Fraction(2),
            in_offset=0.25, out_offset=0.5,
        )  # fmt: skip
        rows = Axis(in_size=chroma.shape[-2], out_size=height, ratio=Fraction(2))
        planes = [torch.stack([resample_plane(p, rows, columns) for p in c]) for c in planes]
    unit = torch.stack(((luma - 16) / 219, *((c - 128) / 224 for c in planes)), 1)
    return (255 * to_rgb(unit, MATRIX)).round().clamp(0, 255) / 255


def ycbcr_of(rgb: Tensor, *, subsampled: bool) -> tuple[Tensor, Tensor]:
    """Code values (T, h, w) and (T, 2, ...) of R'G'B' 0..1."""
    planes = to_ycbcr(rgb, MATRIX)
    chroma = subsample(planes[:, 1:], "420-left" if subsampled else "444")
    return 16 + 219 * planes[:, 0], 128 + 224 * chroma


def _divisible(frames: Tensor, step: int) -> Tensor:
    """(T, H, W, 3) cut at the right and below to multiples of `step`."""
    height, width = (size // step * step for size in frames.shape[1:3])
    return frames[:, :height, :width]


def clean(name: str, frames: Tensor, scale: int, *, strength: float = 0.0) -> Case:
    """The published way: R'G'B' shrunk by MATLAB's bicubic, rounded; full chroma.

    `frames` (T, H, W, 3) uint8.
    """
    rgb = _divisible(frames, scale).permute(0, 3, 1, 2)
    height, width = rgb.shape[-2] // scale, rgb.shape[-1] // scale
    small = rgb.float()
    if scale > 1:
        planes = [resized(p, height, width, Kernel.BICUBIC) for p in small.flatten(0, 1)]
        small = torch.stack(planes).view(-1, 3, height, width).round().clamp(0, 255)
    return from_rgb(name, small, rgb, scale, strength=strength)


def from_rgb(
    name: str, small: Tensor, rgb: Tensor, scale: int, *, strength: float, subsampled: bool = False
) -> Case:
    """A case of R'G'B' 0..255, (T, 3, h, w), and its truth (T, 3, H, W)."""
    luma, chroma = ycbcr_of(small.float() / 255, subsampled=subsampled)
    _, truth_chroma = ycbcr_of(rgb.float() / 255, subsampled=subsampled)
    return Case(
        name=name,
        scale=scale,
        luma=luma,
        chroma=chroma,
        truth=luma_of_rgb(rgb).round().float(),
        truth_chroma=truth_chroma.round(),
        strength=strength,
    )


def damaged(name: str, frames: Tensor, scale: int, wear: Damage) -> Case:
    """An 8-bit 4:2:0 clip as worn as told, shrunk by `scale` before the wear.

    `frames` (T, H, W, 3) uint8.  All that is random follows from name, scale and damage.
    """
    digest = hashlib.sha256(f"{name} x{scale} {wear.name}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    rgb = _divisible(frames, 2 * scale).permute(0, 3, 1, 2).float() / 255
    truth, truth_chroma = ycbcr_of(rgb, subsampled=True)
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
        truth=truth.round(),
        truth_chroma=truth_chroma.round(),
        strength=wear.strength,
        mask=spots if bool(spots.any()) else None,
    )
