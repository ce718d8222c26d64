"""Giving a cell what is compiled for it."""

from __future__ import annotations

from vrestore.models.compiled import Together
from vrestore.models.compiled.aligning import CompiledSearch
from vrestore.models.compiled.fusing import CompiledFusions
from vrestore.models.compiled.warping import CompiledWarps
from vrestore.models.compiled.winograd import Winograd, suits
from vrestore.models.nets.align import Search
from vrestore.models.nets.cell import Cell, Kernels, Steps
from vrestore.models.nets.warp import Warps

__all__ = ["SpeedUp"]


class SpeedUp:
    """Of a cell on the CPU: the same results to some 1e-5."""

    def __init__(self, cell: Cell, together: Together) -> None:
        self._together = together
        warps, fusions = CompiledWarps(together), CompiledFusions(together)
        search = CompiledSearch(together)
        cell.do_by(Steps(
            Search(warps.plain, search.correlate, search.refine),
            Warps(warps.plain, warps.sharp), fusions.fuse, fusions.blend,
        ))  # fmt: skip

    def kernels(self, kernels: Kernels) -> Kernels:
        """With Winograd's algorithm where that is faster."""
        return kernels._replace(
            layers=tuple(
                layer._replace(fast=Winograd(
                    layer.weight, layer.bias, layer.slope, pad=1, together=self._together
                ))
                if suits(layer.weight)
                else layer
                for layer in kernels.layers
            )
        )  # fmt: skip
