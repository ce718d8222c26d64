"""How surely a region is dirt, by its features: a small network fitted by `train.dirtfit`.

Fitted on synthetic dirt, fast objects and flicker in training clips at one to three times their
speed; regions weigh by how much harm a false alarm of their size does.
"""

from __future__ import annotations

import base64
from functools import cache

import numpy as np
import torch

from vrestore.ops.dirtweights import SIZES, WEIGHTS

__all__ = ["FAR", "score"]

FAR = 4.0
"""Features farther than this many standard deviations from their mean count no more."""


def score(features: torch.Tensor) -> torch.Tensor:
    """Logits (count,) of `marks.describe`'s rows."""
    mean, spread, *layers = _parameters(features.device)
    values = ((features - mean) / spread).clamp_(-FAR, FAR)
    while layers:
        weight, bias, *layers = layers
        values = torch.addmm(bias, values, weight.t())
        if layers:
            values = values.relu_()
    return values[:, 0]


@cache
def _parameters(device: torch.device) -> tuple[torch.Tensor, ...]:
    """Mean, standard deviation, then the layers' weights and biases."""
    numbers = np.frombuffer(base64.b85decode(WEIGHTS), "<f2").astype(np.float32)
    flat = torch.from_numpy(numbers).to(device)
    shapes: list[tuple[int, ...]] = [(SIZES[0],), (SIZES[0],)]
    for narrow, wide in zip(SIZES[1:], SIZES, strict=False):
        shapes += [(narrow, wide), (narrow,)]
    parts = flat.split([int(np.prod(shape)) for shape in shapes])
    return tuple(part.view(shape) for part, shape in zip(parts, shapes, strict=True))
