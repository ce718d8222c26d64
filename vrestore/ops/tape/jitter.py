"""Line jitter: rows a little to the side of each other, anew in every frame, for want of a time
base corrector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from vrestore.media import Frame
from vrestore.ops.infill import luma_of
from vrestore.ops.tape.stage import OPENING, ShotStage, box, with_planes

__all__ = ["LineJitter", "row_offsets"]

_SMOOTH = 6
"""Half the number of rows over which offsets that belong to the picture change."""

_LONGEST = 3.0
"""Largest offset that is corrected, in samples."""

_LEAST = 0.1
"""Change of the offsets from frame to frame, rms in samples, below which nothing is done."""


def row_offsets(luma: torch.Tensor) -> torch.Tensor:
    """(H,) how far each row of a (H, W) plane lies to the right of the rows around it, in samples.

    Gauss-Newton against a vertically smoothed picture, repeated; slants and bends of the picture,
    which change slowly down the rows, are taken out.
    """
    height = luma.shape[0]
    offset = luma.new_zeros(height)
    for _ in range(4):
        straight = _moved(luma, -offset)
        around = _around(straight)
        slope = torch.zeros_like(straight)
        slope[:, 1:-1] = 0.5 * (around[:, 2:] - around[:, :-2])
        error = around - straight
        weight = 1 / (1 + (error / 0.06).square())
        step = (weight * slope * error).sum(1) / ((weight * slope * slope).sum(1) + 2e-3)
        offset = (offset + 0.9 * step.clamp(-1, 1)).clamp(-_LONGEST, _LONGEST)
        offset = offset - box(offset[None, :], 0, _SMOOTH)[0]
    return offset


def _around(plane: torch.Tensor) -> torch.Tensor:
    """Mean of the two rows above and the two below."""
    wide = F.pad(plane[None], (0, 0, 2, 2), mode="replicate")[0]
    height = plane.shape[0]
    one = wide[1 : height + 1] + wide[3 : height + 3]
    two = wide[:height] + wide[4:]
    return one / 3 + two / 6


def _moved(plane: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Each row moved by its own fraction of samples, Catmull-Rom, edges repeated."""
    width = plane.shape[1]
    whole = (-right).floor()
    t = (-right - whole)[:, None]
    index = torch.arange(width, device=plane.device) + whole.long()[:, None]
    weights = (
        -0.5 * t + t * t - 0.5 * t**3,
        1 - 2.5 * t * t + 1.5 * t**3,
        0.5 * t + 2 * t * t - 1.5 * t**3,
        -0.5 * t * t + 0.5 * t**3,
    )
    taps = [
        plane.gather(1, (index + k - 1).clamp_(0, width - 1)) * weight
        for k, weight in enumerate(weights)
    ]
    return taps[0] + taps[1] + taps[2] + taps[3]


class LineJitter(ShotStage):
    """Op: moves every row back by the share `value` of its offset from the rows around.

    Offsets that stay from frame to frame are the picture's own (a fence, a striped shirt) and are
    left; a shot whose offsets do not change from frame to frame is not touched at all.
    """

    key = "tape.line_jitter"
    opening = OPENING

    def __init__(self, value: float) -> None:
        super().__init__(value)
        self._own: torch.Tensor | None = None
        self._unsteady = 0.0
        self._curve: list[float] = []

    def open(self, frames: Sequence[Frame]) -> None:
        self._curve = []
        self._own, self._unsteady = None, 0.0
        first = frames[:OPENING]
        if len(first) < 2 or min(first[0].width, first[0].height) < 4 * _SMOOTH:
            return
        every = torch.stack([row_offsets(luma_of(f.planes, f.format)) for f in first])
        own = every.median(0).values
        change = every[1:] - every[:-1]
        # Neighbouring rows that change together are motion; a bar or a blank sky does not change.
        self._unsteady = float(change.abs().flatten().quantile(0.6)) * 1.19 / 2**0.5
        share = (every - own).square().mean(0)
        self._own = own * (own.square() > 2 * share)

    def repair(self, frames: Sequence[Frame], at: int) -> Frame:
        frame = frames[at]
        if self._own is None or self._unsteady < _LEAST or len(self._own) != frame.height:
            return frame
        offset = self.value * (row_offsets(luma_of(frame.planes, frame.format)) - self._own)
        self._curve.append(float(offset.square().mean().sqrt()))
        form = frame.format
        planes = []
        for number, plane in enumerate(frame.planes[: form.color_planes]):
            mine = offset
            if form.is_chroma(number):
                step = 1 << form.log2_chroma_h
                mine = F.avg_pool1d(offset[None], step, ceil_mode=True, count_include_pad=False)[0]
                mine = mine / (1 << form.log2_chroma_w)
            planes.append(_moved(plane.float(), -mine))
        return with_planes(frame, planes)

    def account(self) -> tuple[Mapping[str, float], Mapping[str, tuple[float, ...]]]:
        return {"unsteadiness_samples": self._unsteady}, {
            "corrected_rms_samples": tuple(self._curve)
        }
