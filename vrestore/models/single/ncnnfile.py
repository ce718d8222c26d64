"""Networks stored as ncnn's .param and .bin: the layers and their numbers.

A .param file is text: a magic number, the counts of layers and blobs, then a line a layer, `type
name inputs outputs blobs... key=value...`; the .bin holds the layers' numbers in the same order,
little endian.  Only the layers that the known single-image networks have are read.
(https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from vrestore import limits
from vrestore.errors import ModelError

__all__ = ["Layer", "NcnnFile", "digest", "read"]

MAGIC = "7767517"
HALF = 0x01306B47
"""Tag of half-precision weights; 0 is the tag of single precision."""

ARRAY = -23300
"""Keys from here downwards hold arrays: -23310 is the array of key 10."""

KINDS = frozenset(
    ("BinaryOp", "Concat", "Convolution", "Crop", "Deconvolution", "Eltwise", "InnerProduct",
     "Input", "Interp", "PReLU", "PixelShuffle", "Pooling", "ReLU", "Scale", "Sigmoid", "Split")
)  # fmt: skip
"""Layers that are known."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One line of a .param file, and its numbers."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: Mapping[int, float | tuple[float, ...]]
    tensors: tuple[Tensor, ...] = ()

    def number(self, key: int, default: float = 0.0) -> float:
        """A setting.  Raises ModelError where it is an array."""
        value = self.settings.get(key, default)
        if isinstance(value, tuple):
            raise ModelError(f"layer {self.name}: setting {key} is an array")
        return value

    def whole(self, key: int, default: int = 0) -> int:
        return int(self.number(key, default))

    def array(self, key: int) -> tuple[float, ...] | None:
        """The array of a key, None where there is none."""
        value = self.settings.get(ARRAY - key)
        return value if isinstance(value, tuple) else None


@dataclass(frozen=True, slots=True)
class NcnnFile:
    """A network of one input and one output."""

    path: Path
    """Of the .param file; the .bin lies beside it."""

    layers: tuple[Layer, ...]
    """In the order of their work."""

    @property
    def input(self) -> str:
        """The blob that takes the picture."""
        return next(layer.outputs[0] for layer in self.layers if layer.kind == "Input")

    @property
    def output(self) -> str:
        """The last blob that nothing reads."""
        used = {name for layer in self.layers for name in layer.inputs}
        made = [name for layer in self.layers for name in layer.outputs]
        return next(name for name in reversed(made) if name not in used)

    @property
    def straight(self) -> bool:
        """Whether every layer hands its result to one other and nothing but the picture is kept
        aside; ncnn's files copy by a layer what two layers read."""
        return all(layer.inputs == (self.input,) for layer in self.layers if layer.kind == "Split")

    @property
    def means(self) -> tuple[tuple[str, str], ...]:
        """(blob averaged, blob of the means) of each mean over the whole picture, in order."""
        pools = (layer for layer in self.layers if layer.kind == "Pooling")
        return tuple((pool.inputs[0], pool.outputs[0]) for pool in pools)


def digest(path: Path) -> str:
    """SHA-256 of a .param file and its .bin together, lower-case hex.  Raises ModelError."""
    whole = hashlib.sha256()
    try:
        whole.update(limits.read_bytes(path, limits.NCNN_PARAM_BYTES))
        whole.update(limits.read_bytes(path.with_suffix(".bin"), limits.NCNN_BIN_BYTES))
    except OSError as error:
        raise ModelError(f"{path} or its .bin cannot be read: {error.strerror}") from error
    return whole.hexdigest()


def read(path: Path) -> NcnnFile:
    """The network of a .param file and the .bin file beside it.

    Raises ModelError where one is absent or damaged, or has a layer that is not known here.
    """
    try:
        lines = limits.read_text(path, limits.NCNN_PARAM_BYTES).split("\n")
        data = limits.read_bytes(path.with_suffix(".bin"), limits.NCNN_BIN_BYTES)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path.name} or its .bin cannot be read: {error}") from error
    if lines[0].strip() != MAGIC:
        raise ModelError(f"{path.name} is no .param file of ncnn in text form")
    if len(lines) > limits.NCNN_LAYERS:
        raise ModelError(f"{path.name} has more than {limits.NCNN_LAYERS} layers")
    numbers = _Numbers(data, path.with_suffix(".bin").name)
    try:
        layers = tuple(_layer(line, numbers, path) for line in lines[2:] if line.strip())
        found = NcnnFile(path, layers)
        if not found.input or not found.output:
            raise ValueError("it has no input or no output")
    except (
        ValueError,
        TypeError,
        LookupError,
        RuntimeError,
        ArithmeticError,
        StopIteration,
    ) as error:
        raise ModelError(f"{path.name} is damaged: {error}") from error
    numbers.finished()
    return found


# ---------------------------------------------------------------------------------------- lines


def _layer(line: str, numbers: _Numbers, path: Path) -> Layer:
    kind, name, *rest = line.split()
    if kind not in KINDS:
        raise ModelError(f"{path.name} has a layer {kind}, which is not known")
    inputs, outputs = int(rest[0]), int(rest[1])
    if inputs < 0 or outputs < 0:
        raise ValueError(f"layer {name} has {inputs} inputs and {outputs} outputs")
    blobs, settings = rest[2 : 2 + inputs + outputs], rest[2 + inputs + outputs :]
    pairs = [setting.partition("=") for setting in settings]
    layer = Layer(
        kind=kind,
        name=name,
        inputs=tuple(blobs[:inputs]),
        outputs=tuple(blobs[inputs:]),
        settings=MappingProxyType({int(key): _value(int(key), text) for key, _, text in pairs}),
    )
    if kind not in _NUMBERS:
        return layer
    return Layer(
        kind, name, layer.inputs, layer.outputs, layer.settings, _NUMBERS[kind](layer, numbers)
    )


def _value(key: int, text: str) -> float | tuple[float, ...]:
    if key > ARRAY:
        return float(text)
    return tuple(float(part) for part in text.split(",")[1:])


# -------------------------------------------------------------------------------------- numbers


class _Numbers:
    """The .bin file, read from the front."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data, self._at, self._name = data, 0, name

    def _take(self, count: int, dtype: str) -> Tensor:
        size = count * np.dtype(dtype).itemsize
        part = self._data[self._at : self._at + size]
        if count < 0 or len(part) < size:
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


def _kernel(layer: Layer, data: _Numbers) -> tuple[Tensor, ...]:
    """(weight (outputs, inputs, k, k), bias)."""
    out, side = layer.whole(0), layer.whole(1)
    plain = layer.whole(2, 1) == 1 and layer.whole(11, side) == side
    if not plain or side < 1 or layer.whole(3, 1) < 1:
        raise ModelError(f"layer {layer.name}: only square kernels without dilation are read")
    weight = data.tagged(layer.whole(6)).view(out, -1, side, side)
    return weight, data.raw(out) if layer.whole(5) else torch.zeros(out)


def _matrix(layer: Layer, data: _Numbers) -> tuple[Tensor, ...]:
    out = layer.whole(0)
    weight = data.tagged(layer.whole(2)).view(out, -1)
    return weight, data.raw(out) if layer.whole(1) else torch.zeros(out)


_NUMBERS: Mapping[str, Callable[[Layer, _Numbers], tuple[Tensor, ...]]] = MappingProxyType(
    {
        "Convolution": _kernel,
        "Deconvolution": _kernel,
        "InnerProduct": _matrix,
        "PReLU": lambda layer, data: (data.raw(layer.whole(0)),),
    }
)
"""Layers that have any."""
