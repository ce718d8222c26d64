"""Showing what was found: damage painted over the picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
import torch.nn.functional as F

from vrestore.media import Coding, ColorModel, Frame

__all__ = ["ShowMask"]

_RED = {
    ColorModel.YCBCR: (0.35, 0.35, 1.0),
    ColorModel.RGB: (1.0, 0.0, 0.0),
    ColorModel.GRAY: (1.0,),
}


class ShowMask:
    """Op: paints `Frame.mask` in red (white where there is no colour) on UNIT frames.

    Frames without a mask, and masks of another size than the picture, pass unchanged.
    """

    latency = 0

    def push(self, frame: Frame) -> Iterable[Frame]:
        if frame.coding is not Coding.UNIT:
            raise ValueError("ShowMask takes UNIT frames")
        if frame.mask is None or frame.mask.shape != frame.planes[0].shape:
            yield frame
            return
        colour = _RED[frame.format.model]
        planes = list(frame.planes)
        for number, value in enumerate(colour):
            plane = planes[number]
            cover = frame.mask.to(plane.dtype)
            if plane.shape != cover.shape:
                step = (1 << frame.format.log2_chroma_h, 1 << frame.format.log2_chroma_w)
                cover = F.avg_pool2d(
                    cover[None, None], step, ceil_mode=True, count_include_pad=False
                )[0, 0]
            planes[number] = torch.lerp(plane, torch.full_like(plane, value), cover)
        yield replace(frame, planes=tuple(planes), ready=None)

    def flush(self) -> Iterable[Frame]:
        return ()
