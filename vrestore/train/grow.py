"""Starting a larger cell from what a smaller one learned, changing nothing it computes.

Net2Net (Chen, Goodfellow, Shlens 2016, arXiv:1511.05641) with zeros in place of copied channels:
what is new in a layer reads everything, but nothing that was there reads what is new, until
training says so.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vrestore.models.nets.cell import Cell, Convolution


def unfolded(weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The state of a folded cell as that of one in training which computes the same.

    A layer of the trunk becomes an identity, which trains as it does in a fresh net, and the rest.
    """
    state = dict(weights)
    for name in weights:
        if name.startswith(("stem.", "trunk.")) and name.endswith(".weight"):
            layer, kernel = name.removesuffix("weight"), weights[name]
            outputs, inputs = kernel.shape[:2]
            state[layer + "point"] = kernel.new_zeros(outputs, inputs, 1, 1)
            if layer != "stem.":
                state[layer + "through"] = kernel.new_ones(outputs)
                centre = torch.eye(outputs, dtype=kernel.dtype)
                state[name] = kernel.clone()
                state[name][:, :, 1, 1] -= centre
    return state


def grow(small: Mapping[str, Tensor], cell: Cell) -> None:
    """Write the unfolded state of a smaller cell into `cell`, which then gives the same pictures.

    `cell` keeps its initial weights for its new channels and must be at least as wide and as deep.
    Aligner and fusions do not depend on the size and are taken over whole.
    """
    width = small["stem.bias"].shape[0]
    depth = sum(k.startswith("trunk.") and k.endswith(".bias") for k in small)
    if width > cell.width or depth > cell.depth:
        raise ValueError(
            f"a cell of {width} channels and {depth} layers does not fit into one of "
            f"{cell.width} and {cell.depth}"
        )
    with torch.no_grad():
        _widen(cell.stem, small, "stem.", inputs=cell.stem.weight.shape[1], width=width)
        for k, layer in enumerate(cell.trunk):
            assert isinstance(layer, Convolution)
            if k < depth:
                _widen(layer, small, f"trunk.{k}.", inputs=width, width=width)
            else:
                # An identity with slope 1 gives back what came in.
                assert layer.through is not None
                layer.weight[:width].zero_()
                layer.through[:width] = 1.0
                layer.slope[:width] = 1.0
        for scale, head in cell.heads.items():
            head.weight[:, :width] = small[f"heads.{scale}.weight"]  # type: ignore[operator]
            head.bias.copy_(small[f"heads.{scale}.bias"])  # type: ignore[operator]
    shared = {
        name: value for name, value in small.items()
        if name.startswith(("align.", "fusion.", "blend."))
    }  # fmt: skip
    missing = cell.load_state_dict(shared, strict=False)
    assert not missing.unexpected_keys


def _widen(
    layer: Convolution, small: Mapping[str, Tensor], prefix: str, *, inputs: int, width: int
) -> None:
    """Put a smaller kernel into the corner of a larger one and cut its rows off from the rest."""
    layer.weight[:width].zero_()
    layer.weight[:width, :inputs] = small[prefix + "weight"]
    layer.bias[:width] = small[prefix + "bias"]
    # A checkpoint of before the slopes were learned is of plain ReLU.
    layer.slope[:width] = small.get(prefix + "slope", torch.zeros(width))
    assert layer.point is not None
    layer.point[:width, :inputs] = small[prefix + "point"]
    if layer.through is not None:
        layer.through[:width] = small[prefix + "through"]
