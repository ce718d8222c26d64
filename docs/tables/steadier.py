"""Prints the table of docs/models.md about `--steady`: a model bare and steadied.

    PYTHONPATH=. python docs/tables/steadier.py CLIP... [--model NAME] [--noise CODES] [--frames N]

Each clip is cut to its middle, shrunk by two (bicubic with antialiasing), given white noise of that
many code values in every frame (seed 0), restored at x2, and compared in luma with what it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.media import Coding, ColorModel, ColorSpec, Frame, SampleFormat, Timestamp
from vrestore.models.registry import find
from vrestore.models.restorer import RestoreConfig, build
from vrestore.review.metrics import flicker_index, luma_of_rgb, psnr, warping_error
from vrestore.review.quality.folder import middle
from vrestore.review.quality.motion import Motion, match
from vrestore.train.footage import read_clip

HEIGHT, WIDTH = 224, 288
RGB = SampleFormat(model=ColorModel.RGB, depth=8)


def frames(clip: Tensor) -> Iterator[Frame]:
    """(T, 3, H, W) in 0..1 as one shot."""
    for t, rgb in enumerate(clip):
        yield Frame(
            planes=tuple(rgb), format=RGB, coding=Coding.UNIT, color=ColorSpec(),
            timestamp=Timestamp(pts=t, time_base=Fraction(1, 25)), duration=1, index=t,
            shot_start=t == 0,
        )  # fmt: skip


def restored(model: str, clip: Tensor, *, steady: bool) -> Tensor:
    """The clip at x2, luma in rounded code values."""
    op = build(find(model), 2, RestoreConfig(steady=steady))
    made = [out for frame in frames(clip) for out in op.push(frame)]
    return torch.stack([luma(torch.stack(frame.planes)) for frame in made])


def luma(rgb: Tensor) -> Tensor:
    """(3, H, W) in 0..1 as 8-bit luma."""
    return luma_of_rgb((255 * rgb).round()).round()


def measured(result: Tensor, truth: Tensor, motion: Motion) -> tuple[float, float, float]:
    """PSNR in dB, flicker index and warping error in code values."""
    quality = [psnr(a, b) for a, b in zip(result, truth, strict=True)]
    return (
        sum(quality) / len(quality),
        flicker_index(result, truth),
        warping_error(result, motion.flow, motion.shown),
    )


def table(paths: Iterable[Path], model: str, noise: float, count: int) -> Iterator[str]:
    yield "| clip | what | PSNR-Y, dB | flicker index | warping error |"
    yield "|---|---|---|---|---|"
    for path in paths:
        large = middle(read_clip(path), HEIGHT, WIDTH, count).permute(0, 3, 1, 2).float() / 255
        small = F.interpolate(large, scale_factor=0.5, mode="bicubic", antialias=True)
        torch.manual_seed(0)
        small = (small + noise / 255 * torch.randn_like(small)).clamp(0, 1)
        truth = torch.stack([luma(rgb) for rgb in large])
        motion = match(truth)
        results = {
            model: restored(model, small, steady=False),
            f"{model} --steady": restored(model, small, steady=True),
            "the truth itself": truth,
        }
        for name, result in results.items():
            quality, flicker, warping = measured(result, truth, motion)
            shown = "" if result is truth else f"{quality:.2f}"
            yield f"| {path.stem} | {name} | {shown} | {flicker:.3f} | {warping:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--model", default="realesr-animevideov3")
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--frames", type=int, default=16)
    given = parser.parse_args()
    for line in table(given.clips, given.model, given.noise, given.frames):
        print(line)


if __name__ == "__main__":
    main()
