"""One step of a cell with kernels in place of eager torch; the same arguments, the same result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vrestore.models.captured import Tapes
from vrestore.models.kernels import blend, gather
from vrestore.models.kernels.codes import Packing, Scale
from vrestore.models.kernels.enlarge import Surface, enlarge_chroma, enlarge_luma, surface_in
from vrestore.models.kernels.unpack import unpack
from vrestore.models.kernels.weigh import Weighed, weigh
from vrestore.models.nets.align import Pyramid
from vrestore.models.nets.cell import Cell, Kernels, Memory, Neighbour, run_layers
from vrestore.models.nets.fusion import OutputBlend, over_regions
from vrestore.models.nets.grid import YUV420, Picture

__all__ = ["FusedStep", "Stepped"]


class Stepped(NamedTuple):
    """What `nets.cell.Result` holds; instead of the picture its code values where they are asked
    for."""

    picture: Picture | None
    memory: Memory
    codes: tuple[Tensor, Tensor, Tensor] | None
    """Y, Cb and Cr, the last two samples of one plane (NV12)."""


class FusedStep:
    """`Cell.forward` for 4:2:0 on the device that the cell is on, and what comes before it.

    With `tapes` what is done again and again in the middle of a shot is recorded and replayed.
    """

    def __init__(self, cell: Cell, tapes: Tapes | None = None) -> None:
        self._cell = cell
        self._tapes = tapes
        first, second, last = _convolutions(cell.fusion.net)
        self._fusion = (_padded(first, gather.FEATURES), _plain(second), _plain(last))
        self._blends = {
            int(scale): _padded(module.net, blend.FEATURES)
            for scale, module in cell.blend.items()
            if isinstance(module, OutputBlend)
        }

    def __call__(
        self,
        kernels: Kernels,
        now: Picture,
        knobs: Tensor,
        memory: Memory | None = None,
        before: Neighbour | None = None,
        after: Neighbour | None = None,
        following: Picture | None = None,
        *,
        shift: tuple[float, float] = (0.0, 0.0),
        band: int | None = None,
        packing: Packing | None = None,
    ) -> Stepped:
        """One frame, as `Cell.forward` says; with `packing` its code values.

        Every neighbour that is given is there: `Neighbour.present` is not looked at.
        """
        if kernels.layout != YUV420:
            raise ValueError(f"the kernels are for 4:2:0, got {kernels.layout}")
        codes = None if packing is None else packing.codes
        noise = (None, None) if packing is None else (packing.tile, packing.places)

        def run(now: Any, knobs: Any, memory: Any, before: Any, after: Any, following: Any,
                noise: Any) -> tuple[Memory, Picture | None, Tensor | None]:  # fmt: skip
            told = None if codes is None else Packing(codes, *noise)
            return self._run(
                kernels, now, knobs, memory, before, after, following, shift, band, told
            )

        given = (now, knobs, memory, before, after, following, noise)
        if self._tapes is None or memory is None or after is None:
            kept, picture, rows = run(*given)
        else:
            key = "step", kernels.scale, id(kernels), id(codes), shift, band
            kept, picture, rows = self._tapes(key, run, *given)
        if rows is None:
            return Stepped(picture, kept, None)
        made = surface_in(rows)
        return Stepped(None, kept, (made.luma, made.chroma[..., 0], made.chroma[..., 1]))

    def pyramid(self, luma: Tensor) -> Pyramid:
        """`Aligner.pyramid`."""
        make = self._cell.align.pyramid
        return make(luma) if self._tapes is None else self._tapes("pyramid", make, luma)

    def flows(self, one: Pyramid, other: Pyramid) -> Tensor:
        """The finest flows from `one` to `other`."""

        def run(one: Any, other: Any) -> Tensor:
            return self._cell.align(one, other)[-1]

        return run(one, other) if self._tapes is None else self._tapes("flows", run, one, other)

    def _run(
        self, kernels: Kernels, now: Picture, knobs: Tensor, memory: Memory | None,
        before: Neighbour | None, after: Neighbour | None, following: Picture | None,
        shift: tuple[float, float], band: int | None, packing: Packing | None,
    ) -> tuple[Memory, Picture | None, Tensor | None]:  # fmt: skip
        """What is remembered, and the picture or with `packing` the rows of its surface."""
        if memory is None:
            before = None
        gathered = distances = learned = region = None
        if before is not None or after is not None:
            gathered = gather.gather(now, memory, before, after, following)
            known, distances = gather.features(now, gathered, before, after, knobs)
            learned = self._learned(known)
            if before is not None and after is not None:
                region = over_regions(gathered[25:26, None])
        fused = weigh(
            self._cell.fusion, now, gathered, distances, learned, region,
            (None if before is None else before.trust, None if after is None else after.trust),
            knobs, kernels.layers[0].weight.dtype,
        )  # fmt: skip
        head = run_layers(kernels.layers, fused.stem, band, widen=False)
        head = head.contiguous(memory_format=torch.channels_last)
        rows = made = None
        if packing is not None:
            height, width = (size * kernels.scale for size in now.luma.shape[-2:])
            form = packing.codes.format
            rows = now.luma.new_empty((height + height // 2, width), dtype=form.code_dtype)
            made = surface_in(rows)
        luma = self._luma(kernels.scale, fused, head, memory, before, region, packing, made)
        chroma = enlarge_chroma(
            fused.picture,
            head,
            kernels.scale,
            shift,
            packing,
            None if made is None else made.chroma,
        )
        remembered = luma if kernels.scale > 1 else None
        kept = Memory(now, fused.picture, fused.noise, remembered)
        if rows is not None:
            return kept, None, rows
        assert luma is not None
        return kept, Picture(luma, chroma), None

    def unpack(
        self, planes: tuple[Tensor, ...], scales: tuple[Scale, Scale], height: int, width: int
    ) -> Picture:
        """Code values as a picture; see `kernels.unpack`."""
        return unpack(planes, scales, height, width)

    def _learned(self, known: Tensor) -> Tensor:
        """What the fusion's net says, (1, 16, h, w), channels last."""
        (w1, b1), (w2, b2), (w3, b3) = self._fusion
        known = F.conv2d(known, w1, b1, padding=1).relu_()
        known = F.conv2d(known, w2, b2, padding=1).relu_()
        return F.conv2d(known, w3, b3, padding=1)

    def _luma(
        self, scale: int, fused: Weighed, head: Tensor, memory: Memory | None,
        before: Neighbour | None, region: Tensor | None, packing: Packing | None,
        made: Surface | None,
    ) -> Tensor | None:  # fmt: skip
        """Luma in fp32, None where only codes are wanted; its codes go into `made`."""
        codes = None if made is None else made.luma
        old = None if memory is None else memory.luma
        if old is None or before is None:
            keep = scale > 1 or packing is None
            return enlarge_luma(fused.picture, head, scale, packing, codes, keep=keep)
        new = enlarge_luma(fused.picture, head, scale, keep=True)
        assert new is not None
        change = blend.difference(new, old, before.flow, scale)
        known = blend.features(change, before.trust, region, fused.noise, scale)
        weight, bias = self._blends[scale]
        logits = F.conv2d(known[0], weight, bias, padding=1)
        logits = logits.contiguous(memory_format=torch.channels_last)
        module = self._cell.blend[str(scale)]
        assert isinstance(module, OutputBlend)
        return blend.blend(module, new, change, logits, head, known, scale, packing, codes)


def _convolutions(net: nn.Sequential) -> Sequence[nn.Conv2d]:
    return [layer for layer in net if isinstance(layer, nn.Conv2d)]


def _plain(layer: nn.Conv2d) -> tuple[Tensor, Tensor]:
    assert layer.bias is not None
    weight = layer.weight.detach().contiguous(memory_format=torch.channels_last)
    return weight, layer.bias.detach()


def _padded(layer: nn.Conv2d, inputs: int) -> tuple[Tensor, Tensor]:
    """Weight and bias with as many inputs, the added ones without effect."""
    weight, bias = _plain(layer)
    grown = F.pad(weight, (0, 0, 0, 0, 0, inputs - weight.shape[1]))
    return grown.contiguous(memory_format=torch.channels_last), bias
