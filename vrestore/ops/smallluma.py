"""A frame's luma made small by whole-number averages: what motion and light are measured on."""

from __future__ import annotations

import torch

from vrestore.media import ColorModel, Frame

__all__ = ["shrunk", "small_luma"]


def small_luma(frame: Frame, width: int) -> tuple[torch.Tensor, int]:
    """(luma, scale): luma of a UNIT frame averaged over scale x scale samples, float32, on the CPU.

    The scale is the largest that leaves at least `width` columns, or 1.  Rows and columns that do
    not fill a whole square at the bottom and right are left out.  Of RGB, luma as in BT.709.
    """
    scale = max(1, min(frame.width // width, frame.height))
    if frame.format.model is not ColorModel.RGB:
        return shrunk(frame.planes[0], scale).cpu(), scale
    red, green, blue = (shrunk(plane, scale) for plane in frame.planes[:3])
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue).cpu(), scale


def shrunk(plane: torch.Tensor, scale: int) -> torch.Tensor:
    """(H // scale, W // scale) means of a plane's scale x scale squares, float32."""
    height, width = plane.shape[0] // scale, plane.shape[1] // scale
    if scale == 1:
        return plane.float()
    # Added up by strided slices: ten times as fast as torch's pooling on a CPU.
    rows = plane[: height * scale].float()
    summed = rows[0::scale].clone()
    for row in range(1, scale):
        summed.add_(rows[row::scale])
    summed = summed[:, : width * scale]
    total = summed[:, 0::scale].clone()
    for column in range(1, scale):
        total.add_(summed[:, column::scale])
    return total.div_(scale * scale)
