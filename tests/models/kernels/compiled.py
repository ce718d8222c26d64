"""Compiles every kernel, as it is launched, to machine code: needs Triton and no GPU.

A launch is kept instead of run; then its kernel is compiled for the types it was given.  Prints a
line for each: module, kernel, scale, architecture, bytes of machine code.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction, mangle_type

from vrestore.media import ColorModel, ColorSpec, SampleFormat
from vrestore.models.kernels.codes import Codes, Scale
from vrestore.models.kernels.step import FusedStep
from vrestore.models.nets.cell import Cell, Memory, Neighbour
from vrestore.models.nets.grid import YUV420, Picture

Launch = tuple[JITFunction, tuple[Any, ...], dict[str, Any]]


def launches(scale: int, depth: int) -> list[Launch]:
    """What one step with both neighbours launches, from code values to code values."""
    kept: list[Launch] = []

    def keep(self: JITFunction, *args: Any, grid: Any, warmup: bool, **options: Any) -> None:
        kept.append((self, args, options))

    JITFunction.run = keep
    cell = Cell(16, 1).requires_grad_(False)
    form = SampleFormat(model=ColorModel.YCBCR, depth=depth, log2_chroma_w=1, log2_chroma_h=1)
    levels = (Scale(219.0, 16.0), Scale(224.0, 16.0))
    codes = Codes(
        source=levels, target=levels, color=ColorSpec(), format=form,
        dither=torch.zeros(128, 128), place=lambda pts, plane: (pts, plane),
    )  # fmt: skip
    step = FusedStep(cell)
    dtype = form.code_dtype
    planes = (torch.zeros(16, 32, dtype=dtype), *torch.zeros(2, 8, 16, dtype=dtype))
    picture = step.unpack(planes, levels, 16, 32)
    flow = Neighbour(torch.zeros(1, 2, 8, 16), torch.zeros(1, 1, 8, 16), torch.ones(1, 1, 1, 1))
    old = None if scale == 1 else torch.zeros(1, 1, 16 * scale, 32 * scale)
    memory = Memory(picture, picture, torch.zeros(1, 1, 8, 16), old)
    for packing in (None, codes.packing(0)):
        step(
            cell.kernels(YUV420, scale, torch.float16), picture, torch.zeros(1, 2, 1, 1), memory,
            flow, flow, Picture(*picture), shift=(0.0, 0.125), packing=packing,
        )  # fmt: skip
    return kept


def compiled(launch: Launch, capability: int) -> Any:
    function, args, options = launch
    names = function.arg_names
    given = dict(zip(names, args, strict=False)) | {k: v for k, v in options.items() if k in names}
    constants = {k: v for k, v in given.items() if k in options}
    types = {k: "constexpr" if k in constants else mangle_type(v) for k, v in given.items()}
    source = ASTSource(fn=function, signature=types, constexprs=constants)
    return triton.compile(
        source, target=GPUTarget("cuda", capability, 32), options={"enable_fp_fusion": False}
    )


def main() -> None:
    done = set()
    for scale, depth in ((1, 8), (2, 10), (4, 8)):
        for launch in launches(scale, depth):
            name = launch[0].fn.__name__, launch[0].fn.__module__.rsplit(".", 1)[1]
            key = *name, str(sorted((k, str(v)) for k, v in launch[2].items()))
            if key in done:
                continue
            done.add(key)
            for capability in map(int, sys.argv[1:]):
                made = compiled(launch, capability)
                line = *reversed(name), f"x{scale}", f"sm_{capability}", str(len(made.asm["cubin"]))
                sys.stdout.write(" ".join(line) + "\n")


if __name__ == "__main__":
    main()
