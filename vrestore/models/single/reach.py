"""The geometry of a network, worked out from its layers.

For each blob, in samples of the input: its size is `ratio * size - lost`, and a sample of it
depends on the input as far as `radius` from its place.  What is lost at the end is lost equally at
both sides, as in every network without padding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from vrestore.errors import ModelError
from vrestore.models.single.ncnnfile import Layer, NcnnFile
from vrestore.models.single.picture import Geometry

__all__ = ["FARTHEST", "geometry_of"]

FARTHEST = 64
"""A tile has at most this much around it.  The deep RRDB networks could see 350 samples far; with
48 around tiles of 64, x4plus-anime differed from the whole by 1.7/255 at most (docs/models.md)."""

_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    channels: int
    ratio: Fraction = Fraction(1)
    """Samples per sample of the input."""

    lost: Fraction = Fraction(0)
    """Samples fewer than `ratio` times the input's size."""

    radius: Fraction = Fraction(0)
    """In samples of the input."""

    is_vector: bool = False
    """One value per channel, of the whole picture."""

    @property
    def bytes_per_sample(self) -> Fraction:
        return Fraction(0) if self.is_vector else self.channels * self.ratio**2 * _FLOAT_BYTES


def geometry_of(file: NcnnFile) -> Geometry:
    """Scale, reach and sizes.  Raises ModelError where it is not from picture to picture."""
    shapes: dict[str, _Shape] = {}
    for layer in file.layers:
        inputs = [shapes[name] for name in layer.inputs]
        try:
            shape = _shape(layer, inputs)
        except (IndexError, ValueError, ZeroDivisionError) as error:
            raise ModelError(
                f"{file.path.name}: layer {layer.name} does not fit: {error}"
            ) from error
        shapes.update(dict.fromkeys(layer.outputs, shape))
    last = shapes[file.output]
    eaten = last.lost / (2 * last.ratio)
    if last.channels != 3 or last.ratio.denominator != 1 or eaten.denominator != 1 or eaten < 0:
        raise ModelError(f"{file.path.name} is no network from an RGB picture to a larger one")
    # Without padding nothing outside of what is eaten can matter.
    padded = any(layer.kind == "Convolution" and layer.whole(4) for layer in file.layers)
    radius = math.ceil(last.radius) if padded else int(eaten)
    return Geometry(
        scale=int(last.ratio),
        reach=max(min(radius, FARTHEST), int(eaten)),
        eaten=int(eaten),
        step=math.lcm(*(shape.ratio.denominator for shape in shapes.values())),
        means=tuple(shapes[source].ratio for source, _ in file.means),
        bytes_per_sample=math.ceil(_peak(file, shapes)),
    )


def _peak(file: NcnnFile, shapes: dict[str, _Shape]) -> Fraction:
    """The most bytes that are alive at once, per sample of the input."""
    last_use = {name: i for i, layer in enumerate(file.layers) for name in layer.inputs}
    alive: dict[str, Fraction] = {}
    most = Fraction(0)
    for i, layer in enumerate(file.layers):
        if layer.kind == "Split":
            # All outputs are the one input.
            size = alive.pop(layer.inputs[0], Fraction(0))
            longest = max(layer.outputs, key=lambda name: last_use.get(name, i))
            alive[longest] = size
            last_use[longest] = max(last_use.get(name, i) for name in layer.outputs)
            continue
        for name in layer.outputs:
            alive[name] = shapes[name].bytes_per_sample
        most = max(most, sum(alive.values(), Fraction(0)))
        alive = {name: size for name, size in alive.items() if last_use.get(name, i + 1) > i}
    return most


# ----------------------------------------------------------------------------- layer by layer


def _shape(layer: Layer, inputs: list[_Shape]) -> _Shape:
    kind = layer.kind
    if kind == "Input":
        return _Shape(channels=3)
    first = inputs[0]
    if kind == "Convolution":
        return _convolved(layer, first)
    if kind == "Deconvolution":
        return _deconvolved(layer, first)
    if kind == "Crop":
        return _cropped(layer, inputs)
    if kind == "PixelShuffle":
        factor = layer.whole(0)
        return replace(_enlarged(first, Fraction(factor)), channels=first.channels // factor**2)
    if kind == "Interp":
        return _interpolated(layer, first)
    if kind == "InnerProduct":
        return _Shape(channels=layer.whole(0), is_vector=True)
    if kind == "Pooling":
        if layer.whole(0) != 1 or not layer.whole(4):
            raise ModelError(f"layer {layer.name}: only the mean of the whole picture is known")
        return _Shape(channels=first.channels, is_vector=True)
    if kind in ("BinaryOp", "Eltwise", "Concat", "Scale"):
        return _combined(layer, inputs)
    return first


def _convolved(layer: Layer, first: _Shape) -> _Shape:
    side, stride, padding = layer.whole(1), layer.whole(3, 1), layer.whole(4)
    return _Shape(
        channels=layer.whole(0),
        ratio=first.ratio / stride,
        lost=(first.lost - 2 * padding + side) / stride - 1,
        radius=first.radius + Fraction(side - 1, 2) / first.ratio,
    )


def _deconvolved(layer: Layer, first: _Shape) -> _Shape:
    side, stride, padding = layer.whole(1), layer.whole(3, 1), layer.whole(4)
    return _Shape(
        channels=layer.whole(0),
        ratio=first.ratio * stride,
        lost=first.lost * stride + stride - side + 2 * padding,
        radius=first.radius + Fraction(side - 1, 2 * stride) / first.ratio,
    )


def _enlarged(shape: _Shape, factor: Fraction) -> _Shape:
    return replace(shape, ratio=shape.ratio * factor, lost=shape.lost * factor)


def _interpolated(layer: Layer, first: _Shape) -> _Shape:
    factors = [Fraction(layer.number(key, 1)).limit_denominator(64) for key in (1, 2)]
    if factors[0] != factors[1] or layer.whole(0) not in (1, 2, 3):
        raise ModelError(f"layer {layer.name}: only nearest, linear and cubic of one factor")
    taps = {1: Fraction(0), 2: Fraction(1), 3: Fraction(2)}[layer.whole(0)]
    reached = replace(first, radius=first.radius + taps / first.ratio)
    return _enlarged(reached, factors[0])


def _cropped(layer: Layer, inputs: list[_Shape]) -> _Shape:
    first = inputs[0]
    if len(inputs) > 1:
        return replace(first, lost=inputs[1].lost)
    starts, ends, axes = (layer.array(key) or () for key in (9, 10, 11))
    if {int(axis) for axis in axes} != {-1, -2} or len(set(starts)) > 1 or len(set(ends)) > 1:
        raise ModelError(f"layer {layer.name}: only equal borders are cropped")
    if ends[0] >= 0 or starts[0] < 0:
        raise ModelError(f"layer {layer.name}: only borders are cropped")
    return replace(first, lost=first.lost + int(starts[0]) - int(ends[0]))


def _combined(layer: Layer, inputs: list[_Shape]) -> _Shape:
    pictures = [shape for shape in inputs if not shape.is_vector]
    first = pictures[0]
    if any((shape.ratio, shape.lost) != (first.ratio, first.lost) for shape in pictures):
        raise ModelError(f"layer {layer.name}: pictures of unequal sizes")
    channels = sum(s.channels for s in pictures) if layer.kind == "Concat" else first.channels
    return replace(first, channels=channels, radius=max(shape.radius for shape in pictures))
