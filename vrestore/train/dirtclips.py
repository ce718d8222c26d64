"""Footage with painted damage as frames for the ops, and which of the damage can be seen."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import torch
from numpy.random import Generator
from torch import Tensor

from vrestore.media import (
    ChromaLocation,
    Coding,
    ColorModel,
    ColorSpec,
    Frame,
    Range,
    SampleFormat,
    Timestamp,
)
from vrestore.train import damage
from vrestore.train.dirt import Defects
from vrestore.train.footage import read_clip
from vrestore.train.sample import normalise, quantise, subsample, to_ycbcr

HELD_BACK = (
    "bbb_b", "bbb_meadow_60", "cups", "davis_tennis", "flower_macro", "gopro_walk_a", "juggle_a",
    "motorway", "phone_rooftop", "rollercoaster",
)  # fmt: skip
"""Clips of `train/video` on which no threshold of dirt, scratches or tape was chosen."""

VISIBLE = 10 / 255
"""Least difference of luma that counts as damage."""

GRAINS = (0.0, 0.01, 0.02, 0.035)
"""Standard deviations of the grain that clips get."""

YUV420 = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)


def tuning_clips(data: Path) -> list[Path]:
    """The clips on which thresholds are chosen and weights are fitted."""
    train = sorted((data / "train" / "video").glob("*.mkv"))
    return [path for path in train if path.stem not in HELD_BACK]


def excerpt(path: Path, rng: Generator, length: int, step: int = 1) -> Tensor:
    """(T, 3, H, W) RGB 0..1 of every `step`th frame, even sides, the middle 480 by 360 at most."""
    clip = read_clip(path)[::step]
    start = int(rng.integers(0, max(1, len(clip) - length + 1)))
    part = clip[start : start + length].permute(0, 3, 1, 2).float() / 255
    height, width = min(360, part.shape[2]) & ~1, min(480, part.shape[3]) & ~1
    top = (part.shape[2] - height) // 2
    left = (part.shape[3] - width) // 2
    return part[:, :, top : top + height, left : left + width]


def grained(frames: Tensor, rng: Generator) -> tuple[Tensor, float]:
    """The clip with one of `GRAINS`, and which."""
    sigma = float(rng.choice(GRAINS))
    if sigma == 0:
        return frames, 0.0
    return damage.grain(frames, rng, sigma, gray=True), sigma


def unpainted(frames: Tensor, rng: Generator) -> Defects:
    """No damage at all; draws nothing."""
    count, _, height, width = frames.shape
    return Defects(
        frames,
        torch.zeros(count, 1, height, width),
        torch.zeros(count, height, width, dtype=torch.int32),
    )


def visible(labels: Tensor, painted: Tensor, clean: Tensor, sigma: float) -> Tensor:
    """(H, W) bool: where a mark changes the luma by 10 of 255 and by twice the grain."""
    return (labels > 0) & ((painted - clean).abs() >= max(VISIBLE, 2 * sigma))


def frames_of(rgb: Tensor) -> list[Frame]:
    """UNIT frames of (T, 3, H, W) RGB, as after 8-bit 4:2:0."""
    return frames_of_ycbcr(to_ycbcr(rgb.clamp(0, 1), "601"))


def frames_of_ycbcr(planes: Tensor) -> list[Frame]:
    """UNIT frames of (T, 3, H, W) YCbCr, chroma about 0, as after 8-bit 4:2:0."""
    luma, chroma = quantise(planes[:, :1], subsample(planes[:, 1:], "420-left"), full=True)
    y, c = normalise(luma, chroma, full=True)
    return [
        Frame(
            planes=(y[t, 0], c[t, 0] + 0.5, c[t, 1] + 0.5),
            format=YUV420,
            coding=Coding.UNIT,
            color=ColorSpec(range=Range.FULL, chroma_location=ChromaLocation.LEFT),
            timestamp=Timestamp(pts=t, time_base=Fraction(1, 25)),
            duration=1,
            index=t,
            shot_start=t == 0,
        )
        for t in range(len(y))
    ]
