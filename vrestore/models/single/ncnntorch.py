"""ncnn's networks computed by torch: on every device that torch knows, without the ncnn wheel.

On a CPU most of the work of these networks is 3x3 convolutions with many channels; with numba they
are computed by Winograd's algorithm, and what rectifies their results along with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vrestore.errors import ModelError
from vrestore.models.compiled import Together
from vrestore.models.single.ncnnfile import Layer, NcnnFile
from vrestore.models.single.picture import Geometry
from vrestore.models.single.reach import geometry_of

__all__ = ["TorchNet"]


def _activated(layer: Layer, x: Tensor) -> Tensor:
    kind = layer.whole(9)
    if kind == 0:
        return x
    if kind == 1:
        return x.relu_()
    if kind == 2:
        return F.leaky_relu_(x, (layer.array(10) or (0.0,))[0])
    if kind == 4:
        return x.sigmoid_()
    raise ModelError(f"layer {layer.name}: activation {kind} is not known")


def _convolution(layer: Layer, numbers: Sequence[Tensor], x: Tensor) -> Tensor:
    weight, bias = numbers
    made = F.conv2d(x, weight, bias, stride=layer.whole(3, 1), padding=layer.whole(4))
    return _activated(layer, made)


def _deconvolution(layer: Layer, numbers: Sequence[Tensor], x: Tensor) -> Tensor:
    weight, bias = numbers
    made = F.conv_transpose2d(
        x, weight.transpose(0, 1), bias, stride=layer.whole(3, 1), padding=layer.whole(4)
    )
    return _activated(layer, made)


def _inner_product(layer: Layer, numbers: Sequence[Tensor], x: Tensor) -> Tensor:
    weight, bias = numbers
    return _activated(layer, F.linear(x.flatten(1), weight, bias))[..., None, None]


def _cropped(layer: Layer, numbers: Sequence[Tensor], x: Tensor, *like: Tensor) -> Tensor:
    if like:
        left, top = layer.whole(0), layer.whole(1)
        height, width = like[0].shape[-2:]
        return x[..., top : top + height, left : left + width]
    starts, ends, axes = (layer.array(key) or () for key in (9, 10, 11))
    for start, end, axis in zip(starts, ends, axes, strict=True):
        size = x.shape[int(axis)]
        stop = int(end) if end > 0 else size + int(end)
        x = x.narrow(int(axis), int(start), stop - int(start))
    return x


def _interpolated(layer: Layer, numbers: Sequence[Tensor], x: Tensor) -> Tensor:
    mode = {1: "nearest", 2: "bilinear", 3: "bicubic"}[layer.whole(0)]
    if mode == "nearest":
        # A third of the time that it takes with channels last.
        x = x.contiguous()
    return F.interpolate(x, scale_factor=[layer.number(1, 1), layer.number(2, 1)], mode=mode)


def _shuffled(x: Tensor, factor: int) -> Tensor:
    """PixelShuffle; channels come first in the result, which what follows is faster with."""
    parts = x.unflatten(1, (-1, factor, factor)).permute(0, 1, 4, 2, 5, 3)
    made: Tensor = parts.reshape(*parts.shape[:2], -1, x.shape[-1] * factor)
    return made


def _shuffled_on(factor: int, *blobs: Tensor) -> Tensor:
    """The one with more channels shuffled, and added to the other, a picture, magnified by
    repeating its samples; the first is used up.  Added before it is shuffled, so that the picture
    is never made larger."""
    picture, deep = sorted(blobs, key=lambda blob: blob.shape[1])
    deep.unflatten(1, (picture.shape[1], -1)).add_(picture[:, :, None])
    return _shuffled(deep, factor)


def _combined(layer: Layer, numbers: Sequence[Tensor], *blobs: Tensor) -> Tensor:
    product, total = (0, 1) if layer.kind == "Eltwise" else (2, 0)
    kind = layer.whole(0)
    if kind not in (product, total) or (layer.kind == "BinaryOp" and len(blobs) != 2):
        raise ModelError(f"layer {layer.name}: operation {kind} is not known")
    if kind == product:
        return blobs[0] * blobs[1]
    factors = layer.array(1) or (1.0,) * len(blobs)
    made = blobs[0] if factors[0] == 1.0 else factors[0] * blobs[0]
    for factor, blob in zip(factors[1:], blobs[1:], strict=True):
        made = torch.add(made, blob, alpha=factor)
    return made


_ARITHMETIC: Mapping[str, Callable[..., Tensor]] = MappingProxyType(
    {
        "BinaryOp": _combined,
        "Concat": lambda layer, numbers, *blobs: torch.cat(blobs, 1),
        "Convolution": _convolution,
        "Crop": _cropped,
        "Deconvolution": _deconvolution,
        "Eltwise": _combined,
        "InnerProduct": _inner_product,
        "Interp": _interpolated,
        "PReLU": lambda layer, numbers, x: F.prelu(x, numbers[0]),
        "PixelShuffle": lambda layer, numbers, x: _shuffled(x, layer.whole(0)),
        "Pooling": lambda layer, numbers, x: x.mean((2, 3), keepdim=True),
        "ReLU": lambda layer, numbers, x: F.leaky_relu(x, layer.number(0)),
        "Scale": lambda layer, numbers, x, factors: x * factors,
        "Sigmoid": lambda layer, numbers, x: x.sigmoid(),
        "Split": lambda layer, numbers, x: x,
    }
)


def _is_plain(layer: Layer) -> bool:
    """Whether a convolution is a 3x3 of step 1 with at most a row of zeros around the picture, and
    rectified at most."""
    return (
        layer.tensors[0].shape[-2:] == (3, 3)
        and layer.whole(3, 1) == 1
        and layer.whole(4) in (0, 1)
        and layer.whole(9) in (0, 1, 2)
    )


def _slope(layer: Layer) -> Tensor | None:
    """Of the negative side, by what a layer does to each sample; None where it does anything else
    or nothing."""
    if layer.kind == "PReLU":
        return layer.tensors[0]
    if layer.kind == "ReLU":
        return torch.tensor([layer.number(0)])
    if layer.kind == "Convolution" and layer.whole(9) in (1, 2):
        return torch.tensor([(layer.array(10) or (0.0,))[0] if layer.whole(9) == 2 else 0.0])
    return None


@dataclass(slots=True)
class _Blobs:
    """What has been made and is still needed."""

    uses: dict[str, int]
    values: dict[str, Tensor] = field(default_factory=dict)

    def take(self, name: str) -> Tensor:
        self.uses[name] -= 1
        return self.values[name] if self.uses[name] else self.values.pop(name)

    def put(self, name: str, value: Tensor) -> None:
        if self.uses.get(name):
            self.values[name] = value


class TorchNet(nn.Module):
    """A PictureNet out of ncnn's files.  Computes in fp32; its parameters are not trainable.

    Args:
        fast: with what `vrestore.models.compiled` has, which must be installed, by this for the
            parts of a picture; for the CPU alone.
    """

    def __init__(self, file: NcnnFile, *, fast: Together | None = None) -> None:
        super().__init__()
        self._file = file
        self._layers = file.layers
        self._output, self._means = file.output, file.means
        for number, layer in enumerate(file.layers):
            for which, tensor in enumerate(layer.tensors):
                self.register_buffer(f"layer{number}_{which}", tensor)
        self._fast: dict[int, Callable[..., Tensor]] = {}
        """By the number of a layer that is done otherwise, mostly along with others."""
        self._done: set[int] = set()
        """Numbers of the layers whose work others do."""
        self._readers: dict[str, list[int]] = {}
        """Numbers of the layers that read a blob."""
        for number, layer in enumerate(self._layers):
            for name in layer.inputs:
                self._readers.setdefault(name, []).append(number)
        self._join_shuffles()
        if fast is not None:
            self._speed_up(fast)

    @cached_property
    def geometry(self) -> Geometry:
        """Raises ModelError where the network is not from picture to picture."""
        return geometry_of(self._file)

    def forward(self, picture: Tensor, means: Sequence[Tensor] = ()) -> Tensor:
        return self._made(self._output, picture, means)

    def features(self, picture: Tensor, means: Sequence[Tensor]) -> Tensor:
        return self._made(self._means[len(means)][0], picture, means)

    @torch.no_grad()
    def _made(self, wanted: str, picture: Tensor, means: Sequence[Tensor]) -> Tensor:
        """The blob of that name; only what it needs is computed."""
        known = {name: mean for (_, name), mean in zip(self._means, means, strict=False)}
        needed = self._needed(wanted, frozenset(known))
        uses: dict[str, int] = {wanted: 1}
        for number in needed:
            for name in self._inputs(number, known):
                uses[name] = uses.get(name, 0) + 1
        blobs = _Blobs(uses)
        for number in needed:
            layer = self._layers[number]
            if layer.kind == "Input":
                made = picture.contiguous(memory_format=torch.channels_last)
            elif layer.outputs[0] in known:
                made = known[layer.outputs[0]].view(1, -1, 1, 1)
            else:
                numbers = [getattr(self, f"layer{number}_{i}") for i in range(len(layer.tensors))]
                inputs = [blobs.take(name) for name in layer.inputs]
                if number in self._fast:
                    made = self._fast[number](*inputs)
                elif number in self._done:
                    made = inputs[0]
                else:
                    made = _ARITHMETIC[layer.kind](layer, numbers, *inputs)
            for name in layer.outputs:
                blobs.put(name, made)
            # A blob that nobody reads any more must not outlive its layer.
            inputs = []
        return blobs.take(wanted)

    def _read_once(self, name: str) -> bool:
        return len(self._readers.get(name, ())) == 1 and name != self._output

    def _join_shuffles(self) -> None:
        """Where a convolution is shuffled and added to the picture made as large."""
        makers = {name: n for n, layer in enumerate(self._layers) for name in layer.outputs}
        for number, layer in enumerate(self._layers):
            if layer.kind != "BinaryOp" or layer.whole(0) != 0 or len(layer.inputs) != 2:
                continue
            both = {self._layers[makers[name]].kind: makers[name] for name in layer.inputs}
            if both.keys() != {"PixelShuffle", "Interp"}:
                continue
            shuffle, larger = (self._layers[both[kind]] for kind in ("PixelShuffle", "Interp"))
            factor, deep = shuffle.whole(0), shuffle.inputs[0]
            alike = larger.whole(0) == 1 and larger.number(1, 1) == larger.number(2, 1) == factor
            own = self._layers[makers[deep]].kind == "Convolution"
            if alike and own and all(map(self._read_once, (deep, *layer.inputs))):
                self._done.update(both.values())
                self._fast[number] = partial(_shuffled_on, factor)

    def _speed_up(self, together: Together) -> None:
        from vrestore.models.compiled.bands import Bands
        from vrestore.models.compiled.winograd import Winograd, suits

        fast: dict[int, Winograd] = {}
        """By the number of the last layer that each does."""
        chains: list[list[int]] = []
        """Such numbers, of what can be written over each other."""
        ends: dict[str, list[int]] = {}
        """Chains by what comes of them and one layer reads."""
        for number, layer in enumerate(self._layers):
            if layer.kind != "Convolution" or not _is_plain(layer) or not suits(layer.tensors[0]):
                continue
            last, slope = self._rectifier(number)
            padded = layer.whole(4) == 1
            weight, bias = layer.tensors
            fast[last] = Winograd(weight, bias, slope, pad=int(padded), together=together)
            chain = ends.pop(layer.inputs[0], [])
            if not (chain and padded and fast[chain[0]].outputs == fast[last].inputs):
                chain = []
                chains.append(chain)
            chain.append(last)
            if last != number:
                self._done.add(number)
            result = self._layers[last].outputs[0]
            if padded and self._read_once(result):
                ends[result] = chain
        for *others, last in chains:
            self._done.update(others)
            layers = [fast[number] for number in (*others, last)]
            self._fast[last] = Bands(layers, together) if others else layers[0]

    def _rectifier(self, number: int) -> tuple[int, Tensor]:
        """The last layer that can be done along with a convolution, and the slope of its negative
        side."""
        layer = self._layers[number]
        slope = _slope(layer)
        if slope is None and self._read_once(layer.outputs[0]):
            after = self._readers[layer.outputs[0]][0]
            slope = _slope(self._layers[after])
            if slope is not None:
                return after, slope
        return number, torch.ones(1) if slope is None else slope

    def _inputs(self, number: int, known: Mapping[str, Tensor] | frozenset[str]) -> tuple[str, ...]:
        layer = self._layers[number]
        return () if layer.outputs[0] in known else layer.inputs

    def _needed(self, wanted: str, known: frozenset[str]) -> list[int]:
        """Numbers of the layers that a blob depends on, in order."""
        names, layers = {wanted}, []
        for number in range(len(self._layers) - 1, -1, -1):
            if names.intersection(self._layers[number].outputs):
                layers.append(number)
                names.update(self._inputs(number, known))
        return layers[::-1]
