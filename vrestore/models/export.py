"""One step of our network as an ONNX model, with its state as inputs and outputs.

Whoever runs it feeds the state that one call gives to the next call, and zeros with
`has_previous` 0 at the start of each shot.  4:2:0 video; width and height even and at least
`LEAST`; everything is float32.

    input            shape                  what
    luma, chroma     1x1xHxW, 1x2xH/2xW/2   the frame: Y in 0..1, Cb and Cr in 0..1 about 0.5
    next_luma, next_chroma                  the frame after it; the frame itself at a shot's end
    has_previous     1x1x1x1                1 inside a shot, 0 for its first frame
    has_next         1x1x1x1                1 inside a shot, 0 for its last frame
    strength         1x1x1x1                how much damage to expect, 0..1
    state_*                                 what the call before gave as next_state_*

    restored_luma, restored_chroma are the frame, `scale` times as large.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.onnx import symbolic_helper
from torch.onnx.utils import register_custom_op_symbolic, unregister_custom_op_symbolic

from vrestore.errors import ModelError, OutputError
from vrestore.models.anysize import grid_of_any_size, regions_of_any_size, shift_of_any_size
from vrestore.models.nets import ARCHITECTURES, align, fusion, warp
from vrestore.models.nets.align import Pyramid, crop
from vrestore.models.nets.cell import Cell, Memory, Neighbour, noise_level
from vrestore.models.nets.grid import YUV420, Picture
from vrestore.models.nets.warp import validity
from vrestore.models.registry import ModelSpec, load_weights
from vrestore.models.single import extras

__all__ = ["LEAST", "STATE", "ExportedCell", "export", "exported", "first_state"]

OPSET = 20
"""The first in which GridSample reads bicubically."""

LEAST = 16
"""Smallest width and height, as the restorer pads to."""

STATE = ("state_luma", "state_chroma", "state_fused_luma", "state_fused_chroma", "state_noise")
"""Names of the state's tensors; magnifying models have `state_restored_luma` too."""

_FRAMES = ("luma", "chroma", "next_luma", "next_chroma", "has_previous", "has_next", "strength")
_RESULTS = ("restored_luma", "restored_chroma")
_EXAMPLE = (512, 416)
"""Width and height that the step is traced with; they leave no trace in the model."""


class ExportedCell(nn.Module):
    """A cell's step for one magnification of 4:2:0, on plain tensors; see the module."""

    def __init__(self, cell: Cell, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self._cell = cell
        self._kernels = cell.kernels(YUV420, scale)

    def forward(
        self,
        luma: Tensor,
        chroma: Tensor,
        next_luma: Tensor,
        next_chroma: Tensor,
        has_previous: Tensor,
        has_next: Tensor,
        strength: Tensor,
        *state: Tensor,
    ) -> tuple[Tensor, ...]:
        now = Picture(luma - 0.5, chroma - 0.5)
        following = Picture(next_luma - 0.5, next_chroma - 0.5)
        # What is not there is the frame itself, of which nothing is believed.
        before, fused = (
            Picture(
                torch.lerp(luma - 0.5, state[i], has_previous),
                torch.lerp(chroma - 0.5, state[i + 1], has_previous),
            )
            for i in (0, 2)
        )
        memory = Memory(
            before,
            fused,
            torch.lerp(torch.ones_like(state[4]), state[4], has_previous),
            state[5] if self.scale > 1 else None,
        )
        ways = self._ways(now, before, following, has_previous, has_next)
        knobs = torch.cat((noise_level(now.luma), strength), 1)
        result = self._cell(
            self._kernels, now, knobs, memory, *ways, following,
            shift=(0.0, 0.25 - 0.25 / self.scale),
        )  # fmt: skip
        kept = result.memory
        made = [result.picture.luma + 0.5, result.picture.chroma + 0.5]
        made += [kept.frame.luma, kept.frame.chroma, kept.fused.luma, kept.fused.chroma, kept.noise]
        return tuple(made if kept.luma is None else [*made, kept.luma])

    def _ways(
        self, now: Picture, before: Picture, after: Picture, *present: Tensor
    ) -> tuple[Neighbour, Neighbour]:
        """To the frame before and the frame after, found in one pass to keep the model small."""
        here, *there = (self._cell.align.pyramid(p.luma) for p in (now, before, after))
        pairs = [(here, there[0]), (there[0], here), (here, there[1]), (there[1], here)]
        first, second = (
            Pyramid(*(torch.cat(maps) for maps in zip(*side, strict=True)))
            for side in zip(*pairs, strict=True)
        )
        flows = self._cell.align(first, second)[-1]
        height, width = now.luma.shape[-2:]
        flows = crop(flows, height // 2, width // 2)
        previous, following = (
            Neighbour(flow[:1] * here, validity(flow[:1], flow[1:]) * here, here)
            for flow, here in ((flows[:2], present[0]), (flows[2:], present[1]))
        )
        return previous, following


def first_state(height: int, width: int, scale: int) -> tuple[Tensor, ...]:
    """The state before a shot's first frame, all zeros; sizes are those of luma."""
    h, w = height // 2, width // 2
    shapes = [(1, height, width), (2, h, w), (1, height, width), (2, h, w), (1, h, w)]
    if scale > 1:
        shapes.append((1, height * scale, width * scale))
    return tuple(torch.zeros(1, *shape) for shape in shapes)


def export(spec: ModelSpec, scale: int, path: Path) -> None:
    """Writes a model's step for one magnification as an ONNX file.

    Raises ModelError where the model is not one of ours, has no such scale, or the ONNX library is
    absent, and OutputError where the file cannot be written.
    """
    if spec.arch not in ARCHITECTURES:
        raise ModelError(f"only networks of ours are exported, and {spec.name!r} is none")
    if scale not in spec.scales:
        raise ModelError(f"{spec.name!r} has no x{scale}")
    extras.onnx()
    cell = ARCHITECTURES[spec.arch](**spec.arch_args)
    cell.load_state_dict({k: v.float() for k, v in load_weights(spec).items()})
    data = exported(cell, scale)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error


def exported(cell: Cell, scale: int) -> bytes:
    """A cell's step as the bytes of an ONNX file."""
    step = ExportedCell(cell.eval().requires_grad_(False), scale).eval()
    width, height = _EXAMPLE
    luma, chroma = torch.rand(1, 1, height, width), torch.rand(1, 2, height // 2, width // 2)
    one = torch.ones(1, 1, 1, 1)
    state = first_state(height, width, scale)
    given = (luma, chroma, luma, chroma, one, one, 0.5 * one, *state)
    names = list(STATE) + (["state_restored_luma"] if scale > 1 else [])
    inputs = [*_FRAMES, *names]
    outputs = [*_RESULTS, *(f"next_{name}" for name in names)]
    free = {
        name: {2: f"{name}_height", 3: f"{name}_width"}
        for name in (*inputs, *outputs)
        if name not in ("has_previous", "has_next", "strength")
    }
    file: Any = io.BytesIO()
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            step, given, file, input_names=inputs, output_names=outputs, dynamic_axes=free,
            opset_version=OPSET, dynamo=False,
        )  # fmt: skip
    return bytes(file.getvalue())


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), ExitStack() as patches:
        warnings.simplefilter("ignore")
        patches.enter_context(_replaced(warp, "sampling_grid", grid_of_any_size))
        patches.enter_context(_replaced(align, "global_shift", shift_of_any_size))
        patches.enter_context(_replaced(fusion, "over_regions", regions_of_any_size))
        for name, symbol in _SYMBOLS.items():
            register_custom_op_symbolic(name, symbol, OPSET)
        try:
            yield
        finally:
            for name in _SYMBOLS:
                unregister_custom_op_symbolic(name, OPSET)


@contextmanager
def _replaced(module: ModuleType, name: str, value: object) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


# ------------------------------------------------------------- operations that torch cannot write


def _kth_value(graph: Any, values: Any, rank: Any, axis: Any, keep: Any) -> tuple[Any, Any]:
    """torch.kthvalue along the last axis, as the last of the smallest."""
    count = graph.op("Reshape", rank, _whole(graph, [1]))
    smallest, places = graph.op(
        "TopK", values, count, outputs=2, axis_i=-1, largest_i=0, sorted_i=1
    )
    last = _whole(graph, [-1])
    found = (
        graph.op("Squeeze", graph.op("Slice", x, last, _whole(graph, [2**31]), last), last)
        for x in (smallest, places)
    )
    value, place = found
    return value, place


def _bicubic(graph: Any, plane: Any, size: Any, align: Any, factors: Any) -> Any:
    """torch's antialiased bicubic magnification by given factors, whose cubic has a = -0.5."""
    both = symbolic_helper._maybe_get_const(factors, "fs")
    scales = torch.tensor([1.0, 1.0, *both])
    return graph.op(
        "Resize", plane, graph.op("Constant", value_t=torch.tensor([])),
        graph.op("Constant", value_t=scales), mode_s="cubic", cubic_coeff_a_f=-0.5,
        exclude_outside_i=1, coordinate_transformation_mode_s="half_pixel",
    )  # fmt: skip


def _whole(graph: Any, values: list[int]) -> Any:
    return graph.op("Constant", value_t=torch.tensor(values))


_SYMBOLS: Mapping[str, Any] = {
    "aten::kthvalue": _kth_value,
    "aten::_upsample_bicubic2d_aa": _bicubic,
}
