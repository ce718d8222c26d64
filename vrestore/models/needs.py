"""What models of others need and depend on, told before they run: files, engines and memory."""

from __future__ import annotations

from importlib import metadata

import torch

from vrestore.models.registry import ModelSpec
from vrestore.models.restorer import RestoreConfig, nets_of, require_fitting, runs_compiled
from vrestore.models.single import places
from vrestore.models.single.ncnn import engine_on
from vrestore.models.single.ncnnfile import digest, read
from vrestore.models.single.reach import geometry_of
from vrestore.models.single.restorer import TILE_BYTES
from vrestore.models.single.tiles import side_for

__all__ = ["engine", "files_digest", "frames_abreast", "network_bytes"]

UNTOLD_BYTES = 1024
"""Features a sample of the picture for networks that do not tell: 64 channels four times over."""

_FOREIGN = 2.0, 32 * 2**20
"""What an engine of its own needs beside the features: the transformed copies of its convolutions
as a share of them (measured for the ncnn wheel: 0.3 to 2), and bytes of the library itself."""

ENGINES = {"ncnn": _FOREIGN, "torch": (0.5, 0), "numba": (0.25, 0)}
"""The same for each engine of ncnn's files; torch is there anyway, and numba's compiler is counted
where it is asked for."""

_FLOATS = 3 * 4
"""Bytes of an R'G'B' sample."""

TURNED_COPIES = 2
"""Results that are held beside the present one: their sum, and the mean."""

STEADY_COPIES = 10, 16
"""Pictures that the steadier holds at once: of the result's size and of the source's."""


def files_digest(spec: ModelSpec, scale: int, config: RestoreConfig) -> str:
    """SHA-256 of what the network of a model is made from, lower-case hex; "" for none.

    Of a packaged model the one file that is taken for the magnification and the level.  Raises
    ModelError where that is not installed.
    """
    if spec.sha256 is not None or spec.package is None:
        return spec.sha256 or ""
    return digest(_chosen(spec, scale, config).path)


def engine(spec: ModelSpec, device: torch.device) -> str:
    """The library that computes a model, or helps torch to, with its version; "" for torch alone.

    Results of two engines differ in their last bits.
    """
    name = ""
    if runs_compiled(spec, device):
        name = "numba"
    elif spec.arch == "ncnn":
        name = engine_on(device)
    elif spec.is_single_image:
        name = {"onnx": "onnxruntime", "checkpoint": "spandrel"}[spec.arch]
    return "" if name in ("", "torch") else f"{name} {metadata.version(name)}"


def frames_abreast(
    spec: ModelSpec, scale: int, config: RestoreConfig, device: torch.device, threads: int
) -> int:
    """Frames that a model of others restores at a time: two of ncnn's on a CPU of several cores.

    Two threads at one frame wait for each other at every layer and both for what one alone does:
    cunet takes 1.3 times as long.  A straight network is computed in bands that seldom wait, and
    one frame at a time takes the memory of one.

    Raises PresetError and ModelError as `network_bytes`.
    """
    alone = config.steady or config.tta or spec.arch != "ncnn" or device.type != "cpu"
    if alone or threads == 1:
        return 1
    require_fitting(spec, config)
    in_bands = engine_on(device) == "numba" and read(_chosen(spec, scale, config).path).straight
    return 1 if in_bands else 2


def network_bytes(
    spec: ModelSpec,
    scale: int,
    config: RestoreConfig,
    height: int,
    width: int,
    *,
    device: torch.device,
    abreast: int = 1,
) -> int:
    """Memory that a model of others takes on a device for pictures of that size, `abreast` of them
    at a time; 0 for other models.

    Counted from the layers of ncnn's files for the largest tile; an ONNX file or a checkpoint does
    not tell its layers here and is taken for UNTOLD_BYTES.  Raises PresetError and ModelError as
    `restorer.build`.
    """
    if not spec.is_single_image:
        return 0
    require_fitting(spec, config)
    each, around, weights, side = UNTOLD_BYTES, 0, 0, 0
    share, library = _FOREIGN
    if spec.arch == "ncnn":
        share, library = ENGINES[engine_on(device)]
        file = read(_chosen(spec, scale, config).path)
        geometry = geometry_of(file)
        each, around = geometry.bytes_per_sample, geometry.reach
        weights = sum(t.nbytes for layer in file.layers for t in layer.tensors)
        side = side_for(geometry, height, width, TILE_BYTES)
    if config.tile != "auto":
        side = config.tile
    rows, columns = (min(side or size, size) + 2 * around for size in (height, width))
    features = round(each * rows * columns * (1.0 + share))
    # The engine keeps the weights arranged for its own arithmetic beside those of the file.
    planes = 2 * height * width * _FLOATS * (scale**2 + 1)
    total = library + 4 * weights + abreast * (features + planes)
    if config.tta:
        total += TURNED_COPIES * height * width * _FLOATS * scale**2
    if config.steady:
        of_result, of_source = STEADY_COPIES
        total += height * width * _FLOATS * (of_result * scale**2 + of_source)
    return total


def _chosen(spec: ModelSpec, scale: int, config: RestoreConfig) -> places.Net:
    return places.picked(nets_of(spec), scale, config.denoise, spec.name)
