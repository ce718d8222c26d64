"""A contact sheet of degraded input and target, to be looked at before hours are spent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from vrestore.train.footage import read_footage
from vrestore.train.manifest import read_manifest
from vrestore.train.sample import Recipe, Sample, make_sample, to_rgb

SIDE = {1: 192, 2: 96, 4: 64}
"""Input size for each scale."""


def preview(
    data: Path, output: Path, *, manifest: str = "research", rows: int = 12, seed: int = 0
) -> Path:
    """Write a PNG: each row is a clip, three input frames, their targets, and the defect mask.

    Raises InputError where the footage cannot be read.
    """
    footage = read_footage(data, read_manifest(manifest))
    strips = []
    for row in range(rows):
        rng = np.random.default_rng((seed, row))
        scale = (1, 2, 4)[row % 3]
        chroma = ("420-left", "420-center", "444")[(row // 3) % 3]
        recipe = Recipe(
            scale=scale,
            chroma=chroma,
            length=6,
            side=SIDE[scale],
            damaged=0.0 if row % 4 == 3 else 1.0,
        )
        strips.append(_strip(make_sample(footage, recipe, rng), recipe))
    sheet = torch.cat(strips, 1)
    Image.fromarray((sheet.clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()).save(output)
    return output


def _strip(sample: Sample, recipe: Recipe) -> Tensor:
    """One row of the sheet, (3, 192, 7 * 192)."""
    shown = [0, 1, 2]
    pictures = [_visible(sample.luma[t], sample.chroma[t]) for t in shown]
    pictures += [_visible(sample.target_luma[t], sample.target_chroma[t]) for t in shown]
    pictures.append(sample.mask[1].float().expand(3, -1, -1))
    return torch.cat(
        [F.interpolate(p[None], size=(192, 192), mode="nearest")[0] for p in pictures], 2
    )


def _visible(luma: Tensor, chroma: Tensor) -> Tensor:
    """Zero-centred planes of any subsampling as RGB (3, H, W); 601 is near enough to look at."""
    full = F.interpolate(chroma[None].float(), size=luma.shape[-2:], mode="bilinear")
    return to_rgb(torch.cat((luma[None].float() + 0.5, full), 1), "601")[0]
