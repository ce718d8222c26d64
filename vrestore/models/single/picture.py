"""What a single-image network is to the rest: a function of pictures, and its geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from torch import Tensor

__all__ = ["Geometry", "PictureNet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """How the sizes of a network's input and output belong together, in samples of the input."""

    scale: int
    """Magnification."""

    reach: int
    """How far from its place a sample of the result depends on the input; what a tile needs around
    it.  Where a network looks so far that tiles would be mostly that, its effective reach."""

    eaten: int = 0
    """What is lost at each side: the result shows `size - 2 * eaten` samples of the input.  Such a
    network is given a picture that goes on that far."""

    mirrored: bool = False
    """Beyond its edge a picture goes on as its mirror image about the last sample; else that sample
    is repeated.  What a network was trained with cannot be seen from its layers."""

    step: int = 1
    """Widths and heights, without what is eaten, must be multiples of this."""

    least: int = 1
    """Smallest width and height."""

    fixed: tuple[int, int] | None = None
    """The only (height, width) that it takes; None for any."""

    square: bool = False
    """Width and height must be equal."""

    whole: bool = False
    """It must see the whole picture: tiles would change the result, or it makes its own."""

    means: tuple[Fraction, ...] = ()
    """Where a network takes means over the whole picture, as squeeze and excitation does (Hu et al.
    2018, arXiv:1709.01507): for each, in order, samples of what is averaged per sample of input."""

    bytes_per_sample: int = 0
    """Memory of its features at their largest, per sample of the picture; 0 where unknown."""

    def __post_init__(self) -> None:
        if self.scale < 1 or self.step < 1 or self.least < 1 or self.eaten < 0:
            raise ValueError(f"no network has such a geometry: {self}")
        if self.reach < self.eaten:
            raise ValueError(f"a network reaches at least as far as it eats: {self}")


class PictureNet(Protocol):
    """A network from a picture to a larger one.

    Pictures are (1, 3, H, W) float32 R'G'B' in 0..1 on one device; results are not clamped.
    """

    @property
    def geometry(self) -> Geometry: ...

    def __call__(self, picture: Tensor, means: Sequence[Tensor] = ()) -> Tensor:
        """The result; with `means`, one (C,) for each of `geometry.means`, those are taken in place
        of the picture's own."""
        ...

    def features(self, picture: Tensor, means: Sequence[Tensor]) -> Tensor:
        """What the mean after the given ones is taken over, (1, C, h, w)."""
        ...
