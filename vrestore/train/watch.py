"""Progress on clips that are never trained on, the same damage every time."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vrestore.models.nets.grid import upsample
from vrestore.train.footage import Footage
from vrestore.train.rivals import Net
from vrestore.train.sample import Recipe, Sample, make_sample
from vrestore.train.unroll import unroll

FRAMES = 7

CASES = {
    "clean-x2": Recipe(scale=2, chroma="420-left", length=FRAMES, side=96, damaged=0.0),
    "clean-x4": Recipe(scale=4, chroma="420-left", length=FRAMES, side=56, damaged=0.0),
    "damaged-x1": Recipe(scale=1, chroma="420-left", length=FRAMES, side=128, damaged=1.0),
    "damaged-x2": Recipe(scale=2, chroma="420-left", length=FRAMES, side=96, damaged=1.0),
}


def psnr(error: Tensor) -> float:
    """Of luma 0..1, in dB."""
    return float(-10 * torch.log10(error.double().square().mean().clamp_min(1e-12)))


class Watch:
    """A fixed set of samples from the clips that were held out."""

    def __init__(self, footage: Footage) -> None:
        self._samples: dict[str, list[Sample]] = {}
        for name, recipe in CASES.items():
            made = []
            for k, clip in enumerate(footage.watched):
                only = Footage(stills=(), clips=(clip,), watched=())
                # Two draws of damage from each clip; the first 0.55 of scene_for's draw is real.
                for draw in range(2):
                    sample = make_sample(only, recipe, np.random.default_rng((7, k, draw)))
                    made.append(Sample(*(t.float().unsqueeze(0) for t in sample)))
            self._samples[name] = made

    def measure(self, cell: Net, *, temporal: bool) -> dict[str, float]:
        """Mean luma PSNR gain over bicubic in dB, whole and against the same net without memory."""
        device = next(cell.parameters()).device
        results: dict[str, float] = {}
        with torch.inference_mode():
            for name, samples in self._samples.items():
                recipe = CASES[name]
                gains, still_gains, inside = [], [], []
                for held in samples:
                    sample = Sample(*(t.to(device) for t in held))
                    base = upsample(sample.luma[0], recipe.scale)
                    before = psnr(base - sample.target_luma[0])
                    still = unroll(cell, sample, recipe, temporal=False).luma
                    still_gains.append(psnr(still - sample.target_luma) - before)
                    if temporal:
                        moving = unroll(cell, sample, recipe, temporal=True).luma
                        gains.append(psnr(moving - sample.target_luma) - before)
                        spot = sample.mask.bool() if recipe.scale == 1 else None
                        if spot is not None and int(spot.sum()) > 50:
                            inside.append(
                                psnr((moving - sample.target_luma)[spot])
                                - psnr((still - sample.target_luma)[spot])
                            )
                results[f"{name}/still"] = float(np.mean(still_gains))
                if gains:
                    results[name] = float(np.mean(gains))
                if inside:
                    results[f"{name}/defects-over-still"] = float(np.mean(inside))
        return {k: round(v, 3) for k, v in results.items()}
