"""Chroma that lies beside its luma: measured by where the edges of both agree, and moved back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from vrestore.media import ColorModel, Frame
from vrestore.ops.standards import chroma_offset
from vrestore.ops.tape.stage import OPENING, ShotStage, box, shifted, with_planes

__all__ = ["AUTO", "ChromaShift", "measure_chroma_shift"]

AUTO = float("nan")
"""Value of the setting that stands for "auto"."""

_REACH_X, _REACH_Y = 12, 6
"""Farthest shifts that are looked for, in luma samples."""

_LEAST = 0.6
"""A measured shift below this, in luma samples, is left alone."""

_SURE = 0.3
"""Least confidence that is acted upon."""


def measure_chroma_shift(frames: Sequence[Frame]) -> tuple[float, float, float]:
    """How far chroma lies right of and below its luma, in luma samples, and a confidence 0..1.

    The peak of the correlation of edge strengths over all UNIT frames given; the siting in
    `Frame.color` is taken into account.  (0, 0, 0) without chroma or without coloured edges.
    """
    across, down = _Correlation(_REACH_X), _Correlation(_REACH_Y)
    for frame in frames:
        if frame.format.model is not ColorModel.YCBCR:
            return 0.0, 0.0, 0.0
        form = frame.format
        site_x, site_y = chroma_offset(
            frame.color.chroma_location, form.log2_chroma_w, form.log2_chroma_h
        )
        luma = frame.planes[0].float()
        chroma = torch.stack([plane.float() for plane in frame.planes[1:3]])
        # Columns of luma at full width, rows at the chroma's, and the other way round.
        columns = _stretched(chroma, luma.shape[1], 1 << form.log2_chroma_w, site_x)
        across.add(_rows_reduced(luma, 1 << form.log2_chroma_h), columns)
        rows = _stretched(chroma.mT, luma.shape[0], 1 << form.log2_chroma_h, site_y)
        down.add(_rows_reduced(luma.t(), 1 << form.log2_chroma_w), rows)
    shift_x, sure_x = across.peak()
    shift_y, sure_y = down.peak()
    # The vertical edge decides how much is known; a vertical shift needs evidence of its own.
    return shift_x, shift_y if sure_y >= _SURE else 0.0, sure_x


def _rows_reduced(luma: torch.Tensor, step: int) -> torch.Tensor:
    if step == 1:
        return luma
    return F.avg_pool2d(luma[None], (step, 1), ceil_mode=True, count_include_pad=False)[0]


def _stretched(chroma: torch.Tensor, width: int, step: int, site: float) -> torch.Tensor:
    """(2, h, w) chroma read at every luma column, linear."""
    at = (torch.arange(width, device=chroma.device) + 0.5) / step - site
    at = at.clamp(0, chroma.shape[-1] - 1)
    left = at.floor().long()
    right = (left + 1).clamp(max=chroma.shape[-1] - 1)
    return torch.lerp(chroma[..., left], chroma[..., right], at - left)


class _Correlation:
    """Normalised correlation of two edge maps over sideways shifts."""

    def __init__(self, reach: int) -> None:
        self._reach = reach
        self._both = torch.zeros(2 * reach + 1, dtype=torch.float64)
        self._squares = torch.zeros(2, dtype=torch.float64)

    def add(self, luma: torch.Tensor, chroma: torch.Tensor) -> None:
        """(h, W) luma and (2, h, W) chroma."""
        # Both at the bandwidth of chroma, or the sharper one would place its edges more finely.
        edges = [_edges(box(luma, 0, 2))[None], _edges(box(chroma, 0, 1))]
        one, two = edges[0], edges[1].sum(0, keepdim=True)
        if one.shape[-1] <= 4 * self._reach or one.shape[-2] < 2:
            return
        one, two = one - box(one, 0, 16), two - box(two, 0, 16)
        inner = two[..., self._reach : -self._reach]
        size = inner.shape[-1]
        self._both += (
            torch.stack(
                [(one[..., k : k + size] * inner).sum() for k in range(2 * self._reach + 1)]
            )
            .double()
            .cpu()
        )
        self._squares += torch.stack((one.square().sum(), two.square().sum())).double().cpu()

    def peak(self) -> tuple[float, float]:
        """(shift of the chroma to the right, confidence)."""
        scale = float(self._squares.prod()) ** 0.5
        if scale < 1e-9:
            return 0.0, 0.0
        curve = self._both / scale
        # Luma at x + k against chroma at x: chroma lies right of luma where k is negative.
        at = int(curve.argmax())
        if not 0 < at < len(curve) - 1:
            return 0.0, 0.0
        low, top, high = (float(v) for v in curve[at - 1 : at + 2])
        bend = low - 2 * top + high
        fraction = 0.5 * (low - high) / bend if bend < 0 else 0.0
        rest = float(curve.quantile(0.25))
        return self._reach - at - fraction, max(0.0, min(1.0, 2 * (top - rest)))


def _edges(plane: torch.Tensor) -> torch.Tensor:
    return (plane[..., 2:] - plane[..., :-2]).abs()


class ChromaShift(ShotStage):
    """Op: moves Cb and Cr sideways onto their luma.

    The value is how far they lie to the right, in luma samples; nan measures both directions on the
    first 12 frames of each shot and does nothing where the measure is not sure.
    """

    key = "tape.chroma_shift"
    colour_only = True

    def __init__(self, value: float) -> None:
        self.opening = OPENING if value != value else 0
        super().__init__(value)
        self._shift = (0.0, 0.0)
        self._sure = 1.0

    def open(self, frames: Sequence[Frame]) -> None:
        self._shift, self._sure = (self.value, 0.0), 1.0
        if self.value != self.value:
            right, below, self._sure = measure_chroma_shift(frames[:OPENING])
            sure = self._sure >= _SURE
            self._shift = (
                right if sure and abs(right) >= _LEAST else 0.0,
                below if sure and abs(below) >= _LEAST else 0.0,
            )

    def repair(self, frames: Sequence[Frame], at: int) -> Frame:
        frame, (right, below) = frames[at], self._shift
        if not right and not below:
            return frame
        form = frame.format
        moves = -right / (1 << form.log2_chroma_w), -below / (1 << form.log2_chroma_h)
        chroma = [shifted(plane, *moves) for plane in frame.planes[1:3]]
        return with_planes(frame, (frame.planes[0], *chroma))

    def account(self) -> tuple[Mapping[str, float], Mapping[str, tuple[float, ...]]]:
        right, below = self._shift
        return {
            "chroma_shift_x_samples": right,
            "chroma_shift_y_samples": below,
            "confidence": self._sure,
        }, {}
