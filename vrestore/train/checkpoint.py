"""Where a training stands, as a file that is always whole."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from vrestore.errors import InputError
from vrestore.models.nets.cell import Cell
from vrestore.models.registry import load_weights, registered
from vrestore.train.config import SIZES, TrainConfig
from vrestore.train.grow import grow, unfolded
from vrestore.train.rivals import NETS, Net

FORMAT = 1

FUSION_RATE = 0.4
"""Learning rate of the fusions relative to the trunk's; they start from a good prior."""

Point = dict[str, float | str]
"""One line of the learning curve."""


@dataclass(slots=True, kw_only=True)
class TrainState:
    """Everything a training continues from."""

    cell: Net
    average: Net
    """Exponential moving average of the weights: what is measured and shipped."""

    optimisers: dict[str, torch.optim.Adam]
    """`align` and `restore`."""

    step: int = 0
    elapsed_seconds: float = 0.0
    """Spent in training so far, over all runs."""

    curve: list[Point] = field(default_factory=list)


def new_cell(size: str, net: str = "cell", *, folded: bool = False) -> Net:
    """An untrained cell of one of the sizes, or one of its rivals.  Raises InputError."""
    if net not in NETS:
        raise InputError(f"unknown net {net!r}; there are {', '.join(NETS)}")
    width, depth = SIZES[size]
    return NETS[net](width, depth, folded)


def starting_weights(start: str) -> Mapping[str, Tensor]:
    """The unfolded state that a training grows from.

    Args:
        start: the name of a cell of models.toml, whose weights are taken, or else the path of a
            checkpoint, whose averaged weights are.

    Raises InputError for a model that is no cell and a file that is no checkpoint, ModelError for
    weights that are damaged.
    """
    spec = registered().get(start)
    if spec is None:
        average: Mapping[str, Tensor] = read(Path(start))["average"]
        return average
    if spec.arch != "cell":
        raise InputError(f"{start} is no cell; only a cell can be grown from")
    return unfolded({name: value.float() for name, value in load_weights(spec).items()})


def fresh_state(config: TrainConfig) -> TrainState:
    """An untrained state, a function of the seed and of what it grows from."""
    torch.manual_seed(config.seed)
    cell = new_cell(config.size, config.net)
    if config.start is not None:
        if not isinstance(cell, Cell):
            raise InputError(f"{config.net} cannot start from another net; only a cell can")
        grow(starting_weights(config.start), cell)
    cell = cell.to(config.device)
    average = new_cell(config.size, config.net).to(config.device).requires_grad_(False)
    average.load_state_dict(cell.state_dict())
    groups: dict[str, list[Parameter]] = {"align": [], "fusion": [], "rest": []}
    for name, parameter in cell.named_parameters():
        part = name.partition(".")[0]
        group = "align" if part == "align" else "fusion" if part in ("fusion", "blend") else "rest"
        groups[group].append(parameter)
    restore = [{"params": groups["rest"], "factor": 1.0}]
    if groups["fusion"]:
        restore.append({"params": groups["fusion"], "factor": FUSION_RATE})
    optimisers = {"restore": torch.optim.Adam(restore, config.learning_rate, (0.9, 0.99))}
    if groups["align"]:
        optimisers["align"] = torch.optim.Adam(
            [{"params": groups["align"], "factor": 1.0}], config.learning_rate, (0.9, 0.99)
        )
    return TrainState(cell=cell, average=average, optimisers=optimisers)


def save(path: Path, state: TrainState, config: TrainConfig, manifest_digest: str) -> None:
    """Write the checkpoint of a training."""
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(config).items()}
    write(
        path,
        {
            "format": FORMAT,
            "config": settings,
            "manifest_digest": manifest_digest,
            "step": state.step,
            "elapsed_seconds": state.elapsed_seconds,
            "curve": state.curve,
            "cell": state.cell.state_dict(),
            "average": state.average.state_dict(),
            "optimisers": {k: o.state_dict() for k, o in state.optimisers.items()},
        },
    )


def write(path: Path, contents: Mapping[str, Any]) -> None:
    """A checkpoint's contents, beside `path` and then renamed into place."""
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with part.open("wb") as file:
        torch.save(dict(contents), file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def read(path: Path) -> Mapping[str, Any]:
    """The contents of a checkpoint; tensors and plain values only.  Raises InputError."""
    try:
        stored: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise InputError(f"{path} is no readable checkpoint: {error}") from error
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise InputError(f"{path} is no checkpoint of format {FORMAT}")
    return stored


def resume(path: Path, config: TrainConfig, manifest_digest: str) -> TrainState:
    """The state to continue from: that of the file, or a fresh one where there is no file.

    Raises InputError where the file belongs to another size, kind or data manifest.
    """
    state = fresh_state(config if not path.exists() else replace(config, start=None))
    if not path.exists():
        return state
    stored = read(path)
    settings = {"net": "cell", **stored["config"]}
    for key in ("size", "net", "temporal", "seed", "manifest"):
        if settings[key] != getattr(config, key):
            raise InputError(
                f"{path} was trained with {key} = {settings[key]!r}, "
                f"not {getattr(config, key)!r}; choose another checkpoint file"
            )
    if stored["manifest_digest"] != manifest_digest:
        raise InputError(
            f"{path} was trained with another version of manifest "
            f"{config.manifest!r}; choose another checkpoint file"
        )
    state.cell.load_state_dict(stored["cell"])
    state.average.load_state_dict(stored["average"])
    for name, optimiser in state.optimisers.items():
        optimiser.load_state_dict(stored["optimisers"][name])
    state.step = int(stored["step"])
    state.elapsed_seconds = float(stored["elapsed_seconds"])
    state.curve = list(stored["curve"])
    return state


def average_into(average: Net, cell: Net, step: int) -> None:
    """One step of the moving average; young averages follow faster."""
    decay = min(0.999, (1 + step) / (10 + step))
    with torch.no_grad():
        targets: list[Tensor] = list(average.parameters())
        torch._foreach_lerp_(targets, list(cell.parameters()), 1 - decay)
