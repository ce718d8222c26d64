"""Networks stored as ncnn's .param and .bin, as torch modules.

For measuring what others published, so only the layers that those networks have.  A .param file is
text: a magic number, the counts of layers and blobs, then a line a layer, `type name inputs outputs
blobs... key=value...`; the .bin holds the layers' numbers in the same order, little endian.
(https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vrestore.errors import ModelError

__all__ = ["NcnnNet", "read"]

MAGIC = "7767517"
HALF = 0x01306B47
"""Tag of half-precision weights; 0 is the tag of single precision."""

ARRAY = -23300
"""Keys from here downwards hold arrays: -23310 is the array of key 10."""

FROM_BLOB = -233
"""A size that is another blob's."""


@dataclass(slots=True)
class _Layer:
    """One line of a .param file, and its numbers."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: Mapping[int, float | tuple[float, ...]]
    tensors: tuple[Tensor, ...] = ()

    def number(self, key: int, default: float = 0.0) -> float:
        value = self.settings.get(key, default)
        assert not isinstance(value, tuple)
        return value

    def whole(self, key: int, default: int = 0) -> int:
        return int(self.number(key, default))


class _Numbers:
    """The .bin file, read from the front."""

    def __init__(self, path: Path) -> None:
        self._data, self._at, self._name = path.read_bytes(), 0, path.name

    def _take(self, count: int, dtype: str) -> Tensor:
        size = count * np.dtype(dtype).itemsize
        part = self._data[self._at : self._at + size]
        if len(part) < size:
            raise ModelError(f"{self._name} ends in the middle of a layer")
        self._at += size
        return torch.from_numpy(np.frombuffer(part, dtype).astype(np.float32))

    def raw(self, count: int) -> Tensor:
        return self._take(count, "<f4")

    def tagged(self, count: int) -> Tensor:
        """Weights behind the tag that names their precision; padded to four bytes."""
        tag = int.from_bytes(self._data[self._at : self._at + 4], "little")
        self._at += 4
        if tag == HALF:
            values = self._take(count, "<f2")
            self._at += 2 * (count % 2)
            return values
        if tag:
            raise ModelError(f"{self._name} holds weights of a kind that is not read ({tag:#x})")
        return self.raw(count)

    def finished(self) -> None:
        if self._at != len(self._data):
            raise ModelError(f"{self._name} holds more than its .param names")


# ---------------------------------------------------------------------------- numbers of layers


def _kernel(layer: _Layer, data: _Numbers) -> tuple[Tensor, ...]:
    """(weight (outputs, inputs, k, k), bias)."""
    out, side = layer.whole(0), layer.whole(1)
    if layer.whole(2, 1) != 1 or layer.whole(11, side) != side:
        raise ModelError(f"layer {layer.name}: only square kernels without dilation are read")
    weight = data.tagged(layer.whole(6)).view(out, -1, side, side)
    return weight, data.raw(out) if layer.whole(5) else torch.zeros(out)


def _matrix(layer: _Layer, data: _Numbers) -> tuple[Tensor, ...]:
    out = layer.whole(0)
    weight = data.tagged(layer.whole(2)).view(out, -1)
    return weight, data.raw(out) if layer.whole(1) else torch.zeros(out)


_NUMBERS: Mapping[str, Callable[[_Layer, _Numbers], tuple[Tensor, ...]]] = MappingProxyType(
    {
        "Convolution": _kernel,
        "Deconvolution": _kernel,
        "InnerProduct": _matrix,
        "PReLU": lambda layer, data: (data.raw(layer.whole(0)),),
    }
)
"""Layers that have any."""


# -------------------------------------------------------------------------- arithmetic of layers


def _activated(layer: _Layer, x: Tensor) -> Tensor:
    kind = layer.whole(9)
    if kind == 0:
        return x
    if kind == 1:
        return x.relu()
    if kind == 2:
        slope = layer.settings[ARRAY - 10]
        assert isinstance(slope, tuple)
        return F.leaky_relu(x, slope[0])
    if kind == 4:
        return x.sigmoid()
    raise ModelError(f"layer {layer.name}: activation {kind} is not known")


def _convolution(layer: _Layer, x: Tensor) -> Tensor:
    weight, bias = layer.tensors
    made = F.conv2d(x, weight, bias, stride=layer.whole(3, 1), padding=layer.whole(4))
    return _activated(layer, made)


def _deconvolution(layer: _Layer, x: Tensor) -> Tensor:
    weight, bias = layer.tensors
    made = F.conv_transpose2d(
        x, weight.transpose(0, 1), bias, stride=layer.whole(3, 1), padding=layer.whole(4)
    )
    return _activated(layer, made)


def _inner_product(layer: _Layer, x: Tensor) -> Tensor:
    weight, bias = layer.tensors
    return _activated(layer, F.linear(x.flatten(1), weight, bias))


def _pooling(layer: _Layer, x: Tensor) -> Tensor:
    if layer.whole(0) != 1 or not layer.whole(4):
        raise ModelError(f"layer {layer.name}: only the mean of the whole picture is known")
    return x.mean((2, 3), keepdim=True)


def _scale(layer: _Layer, x: Tensor, factors: Tensor) -> Tensor:
    return x * factors.view(len(x), -1, 1, 1)


def _crop(layer: _Layer, x: Tensor, like: Tensor) -> Tensor:
    left, top = layer.whole(0), layer.whole(1)
    height, width = like.shape[-2:]
    return x[..., top : top + height, left : left + width]


def _interpolation(layer: _Layer, x: Tensor) -> Tensor:
    mode = {1: "nearest", 2: "bilinear", 3: "bicubic"}[layer.whole(0)]
    factors = [layer.number(1, 1), layer.number(2, 1)]
    return F.interpolate(x, scale_factor=factors, mode=mode)


def _combined(layer: _Layer, *blobs: Tensor) -> Tensor:
    product, total = (0, 1) if layer.kind == "Eltwise" else (2, 0)
    kind = layer.whole(0)
    if kind not in (product, total):
        raise ModelError(f"layer {layer.name}: operation {kind} is not known")
    made = blobs[0]
    for blob in blobs[1:]:
        made = made * blob if kind == product else made + blob
    return made


_ARITHMETIC: Mapping[str, Callable[..., Tensor]] = MappingProxyType(
    {
        "BinaryOp": _combined,
        "Concat": lambda layer, *blobs: torch.cat(blobs, 1),
        "Convolution": _convolution,
        "Crop": _crop,
        "Deconvolution": _deconvolution,
        "Eltwise": _combined,
        "InnerProduct": _inner_product,
        "Interp": _interpolation,
        "PReLU": lambda layer, x: F.prelu(x, layer.tensors[0]),
        "PixelShuffle": lambda layer, x: F.pixel_shuffle(x, layer.whole(0)),
        "Pooling": _pooling,
        "ReLU": lambda layer, x: F.leaky_relu(x, layer.number(0)),
        "Scale": _scale,
        "Sigmoid": lambda layer, x: x.sigmoid(),
        "Split": lambda layer, x: x,
    }
)


# ------------------------------------------------------------------------------------ the network


@dataclass(slots=True)
class _Blobs:
    """What has been made and is still needed."""

    uses: dict[str, int]
    values: dict[str, Tensor] = field(default_factory=dict)

    def take(self, name: str) -> Tensor:
        self.uses[name] -= 1
        return self.values[name] if self.uses[name] else self.values.pop(name)


class NcnnNet(nn.Module):
    """A network of one input (N, C, H, W) and one output, whatever numbers it was made for.

    Computes in fp32.  Its parameters are not trainable.
    """

    def __init__(self, layers: list[_Layer]) -> None:
        super().__init__()
        self._layers = layers
        outputs = [name for layer in layers for name in layer.outputs]
        used = {name for layer in layers for name in layer.inputs}
        self._last = next(name for name in reversed(outputs) if name not in used)
        for number, layer in enumerate(layers):
            for which, tensor in enumerate(layer.tensors):
                self.register_buffer(f"layer{number}_{which}", tensor)

    def forward(self, picture: Tensor) -> Tensor:
        uses: dict[str, int] = {self._last: 1}
        for layer in self._layers:
            for name in layer.inputs:
                uses[name] = uses.get(name, 0) + 1
        blobs = _Blobs(uses)
        for layer in self._layers:
            if layer.kind == "Input":
                made = picture.contiguous(memory_format=torch.channels_last)
            else:
                made = _ARITHMETIC[layer.kind](layer, *map(blobs.take, layer.inputs))
            blobs.values.update(dict.fromkeys(layer.outputs, made))
        return blobs.take(self._last)


def read(path: Path) -> NcnnNet:
    """The network of a .param file and the .bin file beside it.

    Raises ModelError where one is absent or damaged, or has a layer that is not known here.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        numbers = _Numbers(path.with_suffix(".bin"))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path.name} cannot be read: {error}") from error
    if lines[0].strip() != MAGIC:
        raise ModelError(f"{path.name} is no .param file of ncnn in text form")
    layers = [_layer(line, path) for line in lines[2:] if line.strip()]
    for layer in layers:
        if layer.kind in _NUMBERS:
            layer.tensors = _NUMBERS[layer.kind](layer, numbers)
    numbers.finished()
    return NcnnNet(layers)


def _layer(line: str, path: Path) -> _Layer:
    kind, name, *rest = line.split()
    if kind != "Input" and kind not in _ARITHMETIC:
        raise ModelError(f"{path.name} has a layer {kind}, which is not known")
    inputs, outputs = int(rest[0]), int(rest[1])
    blobs, settings = rest[2 : 2 + inputs + outputs], rest[2 + inputs + outputs :]
    return _Layer(
        kind=kind,
        name=name,
        inputs=tuple(blobs[:inputs]),
        outputs=tuple(blobs[inputs:]),
        settings={int(key): _value(int(key), text) for key, text in map(_split, settings)},
    )


def _split(setting: str) -> tuple[str, str]:
    key, _, text = setting.partition("=")
    return key, text


def _value(key: int, text: str) -> float | tuple[float, ...]:
    if key > ARRAY:
        return float(text)
    return tuple(float(part) for part in text.split(",")[1:])
