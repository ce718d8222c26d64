"""How steadily light and place are kept from frame to frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from vrestore.ops.steadypath import tremor

__all__ = ["LightCurve", "trembling", "weave"]

_DOWN, _ACROSS = 6, 8
"""Cells in which the light is compared."""

_DARK = 0.03
"""Luma below which a cell says nothing of light."""

_FEWEST = 7
"""Points of a curve that are needed."""


class LightCurve:
    """The brightness of a shot, frame by frame, whatever moves in it."""

    def __init__(self) -> None:
        self._cells: torch.Tensor | None = None
        self._log_gains: list[float] = []
        self._cell_gains: list[npt.NDArray[np.float64]] = []

    def push(self, small: torch.Tensor) -> None:
        """(H, W) small luma of the next frame, unit scale, 16x16 or more."""
        cells = torch.nn.functional.adaptive_avg_pool2d(small[None, None], (_DOWN, _ACROSS))[0, 0]
        if self._cells is not None:
            usable = (self._cells > _DARK) & (cells > _DARK)
            gain = 0.0
            gains = (cells.clamp(min=_DARK) / self._cells.clamp(min=_DARK)).log()
            if int(usable.sum()) >= _ACROSS:
                # Most cells hold no moving thing, and the median asks no other.
                gain = float(gains[usable].median())
            self._log_gains.append(gain)
            self._cell_gains.append(gains.flatten().double().numpy())
        self._cells = cells

    def curve(self) -> npt.NDArray[np.float64]:
        """The logarithm of brightness against the first frame's: 0.01 is one per cent."""
        return np.cumsum([0.0, *self._log_gains])

    def agreement(self) -> float:
        """How much the parts of the picture brighten and darken together, 0..1.

        Near 1 where a lamp or a shutter trembles; low where the curve moves because of what the
        picture shows.  The median of the correlations of each cell's steps with all cells'.
        """
        if len(self._log_gains) < _FEWEST:
            return 0.0
        common = np.array(self._log_gains)
        common = common - common.mean()
        cells = np.stack(self._cell_gains)
        cells = cells - cells.mean(axis=0)
        scale = np.sqrt(np.square(cells).sum(axis=0) * np.square(common).sum())
        lit = scale > 1e-9
        if int(lit.sum()) < _ACROSS:
            return 0.0
        together = (cells * common[:, None]).sum(axis=0)[lit] / scale[lit]
        return float(np.clip(np.median(together), 0.0, 1.0))


def trembling(curve: npt.NDArray[np.float64]) -> tuple[float, int]:
    """Standard deviation of what is not smooth in a curve with one value a frame, and the position
    of the frame that sticks out most; (0, 0) for fewer than 7 values."""
    if len(curve) < _FEWEST:
        return 0.0, 0
    bent = curve[1:-1] - 0.5 * (curve[:-2] + curve[2:])
    return float(tremor(curve[:, None])[0]), 1 + int(np.abs(bent).argmax())


def weave(places: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """How (n, 2) places tremble: size in x and y, and roughness.

    The size is that of white trembling, from second differences, which steady motion does not
    touch.  Roughness is near 1 where every frame is thrown anew, as in a worn gate, and under 0.5
    where places follow a smooth course, as of a camera that is held or moved.
    """
    if len(places) < _FEWEST:
        return 0.0, 0.0, 0.0
    first = np.diff(places, axis=0)
    wide = _spread(first - np.median(first, axis=0)) / np.sqrt(2)
    narrow = _spread(np.diff(first, axis=0)) / np.sqrt(6)
    total = float(np.hypot(*wide))
    rough = min(1.0, float(np.hypot(*narrow)) / total) if total > 0 else 0.0
    return float(narrow[0]), float(narrow[1]), rough


def _spread(centred: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(1.4826 * np.median(np.abs(centred), axis=0))
