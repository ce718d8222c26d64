"""Checkpoints of single-image networks, their architecture recognised by spandrel."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vrestore.errors import ModelError
from vrestore.models.single import extras
from vrestore.models.single.picture import Geometry
from vrestore.models.single.reach import FARTHEST

__all__ = ["CheckpointNet", "open_net"]


class CheckpointNet:
    """A PictureNet that is one of spandrel's models.

    Scale and sizes are what its descriptor says; it does not say how far a network looks, so tiles
    have FARTHEST around them, and those that divide the picture by themselves get none.
    """

    def __init__(self, model: Any, name: str, device: torch.device) -> None:
        if model.input_channels != 3 or model.output_channels != 3:
            raise ModelError(
                f"{name} is from {model.input_channels} to {model.output_channels} channels; "
                "only networks from RGB to RGB run here"
            )
        self._model = model.to(device).float().eval()
        self._name = name
        sizes = model.size_requirements
        tiles = str(getattr(model.tiling, "name", "SUPPORTED"))
        self.geometry = Geometry(
            scale=int(model.scale),
            reach=FARTHEST,
            step=max(1, int(sizes.multiple_of)),
            least=max(1, int(sizes.minimum)),
            # A network that needs squares, or cuts the picture by itself, is given the whole.
            square=bool(sizes.square),
            whole=tiles != "SUPPORTED",
        )

    @torch.no_grad()
    def __call__(self, picture: Tensor, means: Sequence[Tensor] = ()) -> Tensor:
        # spandrel computes in inference mode, whose tensors may not be changed.
        made: Tensor = self._model(picture).clone()
        return made

    def features(self, picture: Tensor, means: Sequence[Tensor]) -> Tensor:
        raise ModelError(f"{self._name} shows no features")


def open_net(path: Path, device: torch.device | str = "cpu") -> CheckpointNet:
    """The network of a checkpoint: .safetensors, or .pth, .pt, .ckpt that hold tensors alone.

    No code of the file is run.  Raises ModelError where spandrel or torchvision are absent or do
    not load, where the file cannot be read, holds more than tensors, or is of an architecture that
    spandrel does not know or that is no network of single pictures.
    """
    spandrel = extras.spandrel()
    try:
        model = spandrel.ModelLoader(device="cpu").load_from_state_dict(_tensors(path))
    except spandrel.UnsupportedModelError as error:
        raise ModelError(
            f"{path.name} is of an architecture that spandrel does not know"
        ) from error
    except (RuntimeError, KeyError, ValueError, TypeError, AssertionError) as error:
        raise ModelError(f"{path.name} does not fit its architecture: {error}") from error
    if not isinstance(model, spandrel.ImageModelDescriptor):
        raise ModelError(f"{path.name} is no network of single pictures")
    return CheckpointNet(model, path.name, torch.device(device))


def _tensors(path: Path) -> dict[str, Any]:
    try:
        if path.suffix.lower() == ".safetensors":
            return dict(load_file(path))
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, SafetensorError, RuntimeError, EOFError, OSError) as error:
        first = str(error).split("\n")[0]
        raise ModelError(
            f"{path.name} cannot be read as tensors alone, and nothing else is loaded: {first}"
        ) from error
    if not isinstance(loaded, dict):
        raise ModelError(f"{path.name} holds no tensors by name")
    # As trainers wrap them.
    for key in ("params_ema", "params", "state_dict", "model"):
        if isinstance(loaded.get(key), dict):
            return dict(loaded[key])
    return loaded
