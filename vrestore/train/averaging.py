"""The mean of two trainings of one net.

Weights of trainings that began alike may be averaged; the mean is often better than either on what
each was good at (Wortsman et al. 2022, "Model soups", arXiv:2203.05482, and "Robust fine-tuning of
zero-shot models", arXiv:2109.01903).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from vrestore.errors import InputError
from vrestore.models.nets.cell import Cell
from vrestore.train.checkpoint import new_cell, read, starting_weights, write
from vrestore.train.config import SIZES
from vrestore.train.footage import read_footage
from vrestore.train.grow import grow
from vrestore.train.manifest import read_manifest
from vrestore.train.watch import Watch

__all__ = ["averaged"]


def averaged(checkpoint: Path, other: str, share: float, data: Path, output: Path) -> Path:
    """Write a checkpoint whose averaged weights are `share` of `other`'s and the rest of its own.

    The last point of its learning curve is what that gives on the clips held out in `data`.  It is
    for `finish`; a training goes on from the checkpoint it was made of.

    Args:
        other: a model by its name, or a checkpoint, of the same size.
        share: 0 to 1.

    Raises InputError for files that are no checkpoints of one size of cell.
    """
    stored: dict[str, Any] = dict(read(checkpoint))
    config = stored["config"]
    mine, theirs = (new_cell(config["size"], config.get("net", "cell")) for _ in range(2))
    if not isinstance(mine, Cell) or not isinstance(theirs, Cell):
        raise InputError(f"{checkpoint} does not hold a cell; only cells are averaged")
    mine.load_state_dict(stored["average"])
    weights = starting_weights(other)
    if len(weights["stem.bias"]) != SIZES[config["size"]][0]:
        raise InputError(f"{other} is not of the size {config['size']}, as {checkpoint} is")
    grow(weights, theirs)
    with torch.no_grad():
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            a.lerp_(b, share)
    watch = Watch(read_footage(data, read_manifest(config["manifest"])))
    point = {"step": stored["step"], "share": 1.0, "phase": "averaged"}
    point |= watch.measure(mine.eval(), temporal=bool(config["temporal"]))
    stored["average"] = mine.state_dict()
    stored["curve"] = [*stored["curve"], point]
    stored["config"] = config | {"averaged_with": Path(other).name, "averaged_share": share}
    write(output, stored)
    return output
