"""From a scene to a training sample: degraded input, clean target, mask of the defects.

The order of damage is that of life: scene, lens, film, print, scan, tape, codec.  Parameters are
drawn once per clip; grain, dust and the like are new in every frame.  Most sources have a life of
their own kind, so a damaged sample is mostly film, or tape, or a file that was only compressed,
and now and then all of it together; some were compressed twice, some made from single fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from vrestore.train import damage, film
from vrestore.train.codec import photograph, recompress
from vrestore.train.fields import bobbed
from vrestore.train.footage import Footage, one_of
from vrestore.train.lookalikes import with_lookalikes
from vrestore.train.scene import Scene, real_clip, still_crop, still_in_motion
from vrestore.train.tape import tape

LIVES = {"film": 0.4, "tape": 0.16, "compressed": 0.24, "anything": 0.2}
"""Kinds of damaged sources, with the share of each."""

CODED = {"film": 0.4, "tape": 0.6, "compressed": 1.0, "anything": 0.5}
"""How many of each were compressed as well."""

TWICE = 0.2
"""Share of the compressed that were compressed, moved by a fraction and compressed again."""

BOBBED = 0.12
"""Share of damaged clips of tape or anything whose every frame was made from one field."""

WOVEN = 0.12
"""Share of clips that tremble as a whole, target and all, as in a worn gate."""

LUMA = {"601": (0.299, 0.114), "709": (0.2126, 0.0722)}
"""Kr and Kb of ITU-R BT.601 and BT.709."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What kind of sample is wanted."""

    scale: int
    chroma: str
    """`420-left`, `420-center` or `444`."""

    length: int
    """Frames."""

    side: int
    """Of the input, in luma samples; even."""

    damaged: float
    """Probability that there is more wrong than the sampling."""

    @property
    def shift(self) -> tuple[float, float]:
        """Chroma sampling shift of `nets.grid.upsample`, (vertical, horizontal)."""
        return (0.0, 0.25 - 0.25 / self.scale if self.chroma == "420-left" else 0.0)


class Sample(NamedTuple):
    """One clip, or a batch of clips with a leading N; zero-centred planes."""

    luma: Tensor
    """(T, 1, side, side) float32"""
    chroma: Tensor
    """(T, 2, side/2 or side, ...)"""
    target_luma: Tensor
    """(T, 1, side*scale, side*scale)"""
    target_chroma: Tensor
    mask: Tensor
    """(T, 1, side, side) uint8, 1 where a defect lies."""
    strength: Tensor
    """(1,) in 0..1."""


def to_ycbcr(frames: Tensor, matrix: str) -> Tensor:
    """(T, 3, H, W) R'G'B' 0..1 -> Y' 0..1, Cb and Cr -0.5..0.5 (H.273 equations 38-40)."""
    kr, kb = LUMA[matrix]
    r, g, b = frames.unbind(1)
    y = kr * r + (1 - kr - kb) * g + kb * b
    return torch.stack((y, (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)), 1)


def to_rgb(planes: Tensor, matrix: str) -> Tensor:
    """The inverse of `to_ycbcr`."""
    kr, kb = LUMA[matrix]
    y, cb, cr = planes.unbind(1)
    r, b = y + (2 - 2 * kr) * cr, y + (2 - 2 * kb) * cb
    return torch.stack((r, (y - kr * r - kb * b) / (1 - kr - kb), b), 1)


def subsample(chroma: Tensor, kind: str) -> Tensor:
    """Full chroma (T, 2, H, W) as the recipe's `chroma` wants it."""
    if kind == "444":
        return chroma
    if kind == "420-center":
        return F.avg_pool2d(chroma, 2)
    taps = chroma.new_tensor((0.25, 0.5, 0.25)).view(1, 1, 1, 3).repeat(2, 1, 1, 1)
    sited = F.conv2d(F.pad(chroma, (1, 1, 0, 0), mode="replicate"), taps, stride=(1, 2), groups=2)
    return F.avg_pool2d(sited, (2, 1))


def quantise(luma: Tensor, chroma: Tensor, *, full: bool) -> tuple[Tensor, Tensor]:
    """8-bit code values of zero-centred chroma and luma 0..1, as uint8."""
    if full:
        return (
            (luma * 255).round().clamp(0, 255).byte(),
            (chroma * 255 + 128).round().clamp(0, 255).byte(),
        )
    return (
        (luma * 219 + 16).round().clamp(1, 254).byte(),
        (chroma * 224 + 128).round().clamp(1, 254).byte(),
    )


def normalise(luma: Tensor, chroma: Tensor, *, full: bool) -> tuple[Tensor, Tensor]:
    """The inverse of `quantise`, luma 0..1."""
    if full:
        return luma.float() / 255, (chroma.float() - 128) / 255
    return (luma.float() - 16) / 219, (chroma.float() - 128) / 224


def shrink(frames: Tensor, scale: int, mode: str = "bicubic") -> Tensor:
    """Magnified by 1/scale with an antialiased kernel; `bicubic` is the a = -0.5 of the papers."""
    if scale == 1:
        return frames
    if mode == "area":
        return F.avg_pool2d(frames, scale)
    size = (frames.shape[-2] // scale, frames.shape[-1] // scale)
    return F.interpolate(frames, size=size, mode=mode, antialias=True)


def scene_for(footage: Footage, rng: Generator, recipe: Recipe) -> Scene:
    """A scene of the recipe's size, turned and mirrored at random."""
    side, draw = recipe.side * recipe.scale, rng.random()
    woven = recipe.length > 1 and rng.random() < WOVEN
    side += 2 * film.MARGIN if woven else 0
    fits = [c for c in footage.clips if min(c.frames.shape[1:3]) >= side]
    if recipe.length == 1:
        scene = still_crop(footage, rng, side, recipe.scale)
    elif draw < 0.55 and fits:
        scene = real_clip(footage, rng, recipe.length, side, clip=one_of(fits, rng).frames)
        if rng.random() < 0.12:
            still = with_lookalikes(scene.frames[0], rng, recipe.scale)
            scene = Scene(frames=still.expand(recipe.length, -1, -1, -1))
    else:
        scene = still_in_motion(footage, rng, recipe.length, side, recipe.scale)
    frames = scene.frames
    if rng.random() < 0.5:
        frames = frames.flip(3)
    if rng.random() < 0.5:
        frames = frames.transpose(2, 3)
    if rng.random() < 0.2:
        frames = frames.flip(2)
    if rng.random() < 0.15:
        frames = frames[:, torch.from_numpy(rng.permutation(3))]
    if woven:
        path = film.weave(rng, len(frames), float(rng.uniform(0.1, 0.6)) * recipe.scale)
        frames = film.moved(frames, path.clamp(-6, 6))
    return Scene(frames=frames.contiguous())


def make_sample(footage: Footage, recipe: Recipe, rng: Generator) -> Sample:
    """One sample; everything random comes from `rng`."""
    frames = scene_for(footage, rng, recipe).frames
    gray = rng.random() < 0.15
    matrix = str(rng.choice(list(LUMA)))
    full = rng.random() < 0.3
    if gray:
        frames = to_ycbcr(frames, matrix)[:, :1].expand(-1, 3, -1, -1)
    target = to_ycbcr(frames, matrix)
    mask = torch.zeros(len(frames), 1, recipe.side, recipe.side)
    severity, codec = 0.0, None
    if rng.random() < recipe.damaged:
        life = str(rng.choice(list(LIVES), p=list(LIVES.values())))
        planes, mask, severity = _damage(frames, recipe, rng, matrix, life, gray=gray)
        codec = float(rng.uniform(0, 1)) ** 1.5 if rng.random() < CODED[life] else None
    else:
        planes = _sampled(target, recipe, rng)
    luma, chroma = quantise(planes[:, :1], subsample(planes[:, 1:], recipe.chroma), full=full)
    if codec is not None:
        luma, chroma = _compressed(luma, chroma, recipe, rng, codec)
        severity = max(severity, 0.2 + 0.8 * codec)
    y, c = normalise(luma, chroma, full=full)
    target_y, target_c = target[:, :1], subsample(target[:, 1:], recipe.chroma)
    if recipe.length > 3 and rng.random() < 0.1:
        at = int(rng.integers(1, recipe.length))
        y, c, mask, target_y, target_c = (_held(t, at) for t in (y, c, mask, target_y, target_c))
    strength = severity + float(rng.normal(0, 0.06)) if severity else float(rng.uniform(0, 0.03))
    return Sample(
        luma=y - 0.5,
        chroma=c,
        target_luma=(target_y - 0.5).half(),
        target_chroma=target_c.half(),
        mask=(mask > 0.15).byte(),
        strength=torch.tensor([float(np.clip(strength, 0, 1))]),
    )


def _compressed(
    luma: Tensor, chroma: Tensor, recipe: Recipe, rng: Generator, severity: float
) -> tuple[Tensor, Tensor]:
    """Once or twice through a codec: clips through those of video, pictures mostly through JPEG,
    full chroma always."""
    if recipe.chroma == "444" or (recipe.length == 1 and rng.random() < 0.6):
        return photograph(luma, chroma, rng, severity)
    luma, chroma = recompress(luma, chroma, rng, severity)
    if rng.random() < TWICE:
        # A block grid that the second codec's does not lie on.
        rows, columns = (2 * int(v) for v in rng.integers(1, 4, 2))
        luma, chroma = (
            t.roll((rows // k, columns // k), (2, 3)) for t, k in ((luma, 1), (chroma, 2))
        )
        luma, chroma = recompress(luma, chroma, rng, severity * float(rng.uniform(0.3, 1)))
        luma, chroma = (
            t.roll((-rows // k, -columns // k), (2, 3)) for t, k in ((luma, 1), (chroma, 2))
        )
    return luma, chroma


def _held(planes: Tensor, at: int) -> Tensor:
    """The clip with frame `at` replaced by the one before: a repeated frame."""
    return torch.cat((planes[:at], planes[at - 1 : at], planes[at + 1 :]))


def _sampled(target: Tensor, recipe: Recipe, rng: Generator) -> Tensor:
    """Clean input: mostly bicubic sampling, now and then another kernel."""
    if rng.random() < 0.85:
        return shrink(target, recipe.scale)
    return shrink(target, recipe.scale, str(rng.choice(["area", "bilinear"])))


def _damage(
    frames: Tensor, recipe: Recipe, rng: Generator, matrix: str, life: str, *, gray: bool
) -> tuple[Tensor, Tensor, float]:
    """YCbCr of input size with all but quantisation and codec, defect mask, severity 0..1."""
    severity = 0.1
    if rng.random() < (0.3 if life == "compressed" else 0.6):
        sigma = float(rng.uniform(0.2, 0.9))
        frames = damage.gaussian_blur(
            frames, sigma * recipe.scale, sigma * recipe.scale * float(rng.uniform(0.8, 1.25))
        )
        severity = max(severity, 0.3 * sigma)
    small = shrink(frames, recipe.scale, str(rng.choice(["bicubic", "bicubic", "bilinear"])))
    mask = torch.zeros_like(small[:, :1])
    if life in ("film", "anything"):
        small, mask, severity = _filmed(small, rng, severity, gray=gray)
    elif rng.random() < 0.25:
        sigma = float(rng.uniform(0.004, 0.04))
        small = damage.camera_noise(small, rng, sigma)
        severity = max(severity, sigma / 0.07)
    planes = to_ycbcr(small, matrix)
    if life == "tape" or (life == "anything" and rng.random() < 0.35):
        amount = float(rng.uniform(0.1, 1))
        planes, dropped = tape(planes, rng, amount)
        mask = torch.maximum(mask, dropped)
        severity = max(severity, 0.3 + 0.7 * amount)
    if life in ("tape", "anything") and rng.random() < BOBBED:
        planes = bobbed(planes, first=int(rng.integers(2)))
        severity = max(severity, 0.5)
    return planes, mask, min(1.0, severity)


def _filmed(
    small: Tensor, rng: Generator, severity: float, *, gray: bool
) -> tuple[Tensor, Tensor, float]:
    """R'G'B' after film, print and projector; the mask of specks and scratches; severity."""
    if rng.random() < 0.8:
        sigma = float(rng.uniform(0.004, 0.09)) * float(rng.uniform(0.3, 1))
        if rng.random() < 0.35:
            small = damage.camera_noise(small, rng, sigma)
        else:
            small = damage.grain(small, rng, sigma, gray=gray)
        severity = max(severity, sigma / 0.07)
    mask = torch.zeros_like(small[:, :1])
    if rng.random() < 0.45:
        small, mask = damage.dust(small, rng, float(10 ** rng.uniform(1.5, 3.0)))
        severity = max(severity, 0.4)
    if rng.random() < 0.15:
        small, lines = damage.scratches(small, rng, int(rng.integers(1, 3)))
        mask = torch.maximum(mask, lines)
        severity = max(severity, 0.5)
    if rng.random() < 0.35:
        small = damage.flicker(small, rng, float(rng.uniform(0, 0.03)))
    return small, mask, severity
