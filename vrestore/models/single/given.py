"""A model at a path that the user gives, described as a row of models.toml would describe it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vrestore import limits
from vrestore.errors import ModelError
from vrestore.models.single import checkpoint, onnxnet, places
from vrestore.models.single.ncnnfile import digest, read
from vrestore.models.single.reach import geometry_of

__all__ = ["described", "is_path", "nets_at"]

_UNKNOWN_LICENSE = "as its author says"


def is_path(name: str) -> bool:
    """Whether a model's name is a path: it has a folder in it, or a model file's ending."""
    return "/" in name or os.sep in name or Path(name).suffix.lower() in _KINDS


def described(path: Path) -> dict[str, Any]:
    """The fields of the ModelSpec for a model at a path, without its name.

    Raises ModelError where there is none, it cannot be read, or it is no network from an RGB
    picture to one that is a whole number of times as large.
    """
    if path.is_dir():
        return _ncnn(path)
    if path.suffix.lower() not in _KINDS:
        raise ModelError(
            f"{path} is no model: it must be a folder of ncnn's .param files, or a file ending in "
            f"{', '.join(_KINDS)}"
        )
    if not path.is_file():
        raise ModelError(f"there is no model file {path}")
    return _KINDS[path.suffix.lower()](path)


def nets_at(path: Path) -> tuple[places.Net, ...]:
    """The ncnn networks at a path: of a folder those of the one family that is in it.

    Raises ModelError where there is none or the folder has several families.
    """
    if not path.is_dir():
        found = places.recognised(path) or places.Net(family="", scale=None, path=path)
        # One file is one network, whatever level of denoising its name tells of.
        return (replace(found, family="", scale=geometry_of(read(path)).scale, noise=None),)
    nets = [net for p in sorted(path.glob("*.param")) if (net := places.recognised(p)) is not None]
    families = sorted({net.family for net in nets})
    if not families:
        raise ModelError(
            f"{path} has no .param file with a name of waifu2x, Real-ESRGAN or Real-CUGAN; "
            "give the path of one .param file"
        )
    if len(families) > 1:
        raise ModelError(
            f"{path} has several models ({', '.join(families)}); give the path of one .param file"
        )
    return tuple(nets)


def _ncnn(path: Path) -> dict[str, Any]:
    nets = nets_at(path)
    scales = {net.scale or geometry_of(read(net.path)).scale for net in nets}
    whole = hashlib.sha256("".join(digest(net.path) for net in nets).encode())
    return _fields(
        path, "ncnn", whole.hexdigest(), sorted(scales),
        noise=tuple(sorted({net.noise for net in nets if net.noise is not None})),
    )  # fmt: skip


def _onnx(path: Path) -> dict[str, Any]:
    scale = onnxnet.open_net(path).geometry.scale
    return _fields(path, "onnx", _digest(path), [scale])


def _checkpoint(path: Path) -> dict[str, Any]:
    scale = checkpoint.open_net(path).geometry.scale
    return _fields(path, "checkpoint", _digest(path), [scale])


def _fields(
    path: Path, arch: str, sha256: str, scales: list[int], noise: tuple[int, ...] = ()
) -> dict[str, Any]:
    return {
        "arch": arch,
        "path": path.absolute(),
        "sha256": sha256,
        "license": _UNKNOWN_LICENSE,
        "purpose": f"{arch} model of the user",
        "scales": tuple(scales),
        "noise": noise,
        "space": "rgb",
    }


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(limits.read_bytes(path, limits.WEIGHTS_BYTES)).hexdigest()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error


_KINDS: Mapping[str, Callable[[Path], dict[str, Any]]] = MappingProxyType(
    {
        ".param": _ncnn,
        ".onnx": _onnx,
        ".safetensors": _checkpoint,
        ".pth": _checkpoint,
        ".pt": _checkpoint,
        ".ckpt": _checkpoint,
    }
)
"""Endings of model files."""
