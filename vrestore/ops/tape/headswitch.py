"""Head-switching noise: the last rows of a tape's picture, torn sideways where the heads change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from vrestore.media import Frame
from vrestore.ops.infill import luma_of
from vrestore.ops.tape.stage import OPENING, ShotStage, box, with_planes

__all__ = ["HeadSwitch", "measure_head_switch"]

_ZONE = 0.06
"""Share of the height, from the bottom, that is looked at; at least 24 rows."""

_TORN = 0.45
"""Share of the usual likeness of neighbouring rows below which rows are torn."""

_ROUGHER = 1.4
"""How many times rougher than all rows above them, to the last, rows are that noise of the heads
lies on: a blank bottom, a moving sea show no tear but this."""

_STILL_ROUGH = 1 / 255
"""Roughness below which a row is blank."""

_ABOVE = 16
"""Rows above with which they are compared."""

_REACH = 0.12
"""Farthest that torn rows are looked for sideways, as a share of the width."""

_FOUND = 0.8
"""Correlation with the row above from which a torn row, put back, is believed."""


def measure_head_switch(frames: Frame | Sequence[Frame]) -> int:
    """How many rows at the bottom are torn off from the picture above them; 0 for none.

    A row belongs to the picture if its luma resembles the row above it (or the one above that, in
    woven fields) about as much as rows elsewhere do, and if it is not all at once much rougher.
    The verdict is the median over the frames.
    """
    several = [frames] if isinstance(frames, Frame) else list(frames)
    counts = sorted(_torn_rows(luma_of(f.planes, f.format)) for f in several)
    return counts[(len(counts) - 1) // 2] if counts else 0


def _zone(height: int) -> int:
    return min(height // 3, max(24, round(_ZONE * height)))


def _torn_rows(luma: torch.Tensor) -> int:
    height, width = luma.shape
    zone = _zone(height)
    if zone < 8 or width < 32:
        return 0
    likeness = _likeness(luma[-3 * zone :])
    usual = likeness[: 2 * zone].median()
    spread = (likeness[: 2 * zone] - usual).abs().median()
    low = torch.minimum(_TORN * usual, usual - 5 * spread)
    torn = likeness[-zone:] < low
    # Rows above the last two always are picture; a bar or a blank bottom resembles itself.
    if usual >= 0.4 and bool(torn.any()):
        count = zone - int(torn.nonzero()[0])
        # A cut through the picture is torn all the way down, or once where all of it is displaced.
        if count <= zone * 3 // 4:
            return count
    return _rough_rows(luma, zone * 3 // 4)


def _rough_rows(luma: torch.Tensor, most: int) -> int:
    """How many rows at the bottom, 2 to `most`, are all at once rougher than those above."""
    rows = luma[-(most + _ABOVE) :]
    rough = (2 * rows[:, 1:-1] - rows[:, 2:] - rows[:, :-2]).abs().mean(1).clamp(min=_STILL_ROUGH)
    for count in range(most, 1, -1):
        above = rough[-count - _ABOVE : -count]
        if float(rough[-count:].min()) > _ROUGHER * float(above.max()):
            return count
    return 0


def _likeness(rows: torch.Tensor) -> torch.Tensor:
    """(H,) correlation of each row with the better of the two above it."""
    fine = rows - box(rows, 0, 12)
    unit = fine / (fine.square().sum(1, keepdim=True) + 1e-4).sqrt()
    one = (unit[1:] * unit[:-1]).sum(1)
    two = (unit[2:] * unit[:-2]).sum(1)
    best = torch.maximum(one[1:], two)
    return torch.cat((best[:1], best[:1], best))


class HeadSwitch(ShotStage):
    """Op: puts torn rows back sideways where they can be recognised, else fills them from above.

    The value is the number of rows; nan measures it on the first 12 frames of each shot.  Filled
    rows are set in `Frame.mask`.
    """

    key = "tape.head_switch"

    def __init__(self, value: float) -> None:
        self.opening = OPENING if value != value else 0
        super().__init__(value)
        self._rows = 0
        self._filled: list[float] = []

    def open(self, frames: Sequence[Frame]) -> None:
        self._filled = []
        measured = self.value != self.value
        rows = measure_head_switch(frames[:OPENING]) if measured else round(self.value)
        self._rows = min(rows, frames[0].height // 3)

    def repair(self, frames: Sequence[Frame], at: int) -> Frame:
        frame = frames[at]
        if not self._rows:
            return frame
        luma = luma_of(frame.planes, frame.format)
        moves, known = _recognised(luma, self._rows)
        planes = [
            _put_back(plane, frame, number, moves, known)
            for number, plane in enumerate(frame.planes[: frame.format.color_planes])
        ]
        mask = torch.zeros(luma.shape, dtype=torch.bool, device=luma.device)
        mask[-self._rows :] = ~known[:, None]
        self._filled.append(float((~known).sum()))
        if frame.mask is not None:
            mask |= frame.mask
        return replace(with_planes(frame, planes), mask=mask)

    def account(self) -> tuple[Mapping[str, float], Mapping[str, tuple[float, ...]]]:
        return {"head_switch_rows": float(self._rows)}, {"rows_filled": tuple(self._filled)}


def _recognised(luma: torch.Tensor, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """((rows,) int64 how far each torn row lies to the right, (rows,) bool whether that is known).

    Each row is correlated with the last known one above it.
    """
    height, width = luma.shape
    reach = round(_REACH * width)
    moves = torch.zeros(rows, dtype=torch.int64, device=luma.device)
    known = torch.zeros(rows, dtype=torch.bool, device=luma.device)
    above = luma[height - rows - 1]
    for number in range(rows):
        row = luma[height - rows + number]
        curve = _circular(row, above)
        lags = torch.cat((curve[: reach + 1], curve[-reach:]))
        at = int(lags.argmax())
        move = at if at <= reach else at - len(lags)
        put = torch.roll(row, -move)
        inner = slice(reach, width - reach)
        if _alike(put[inner], above[inner]) >= _FOUND:
            moves[number], known[number] = move, True
            above = torch.where(_valid(width, move, luma.device), put, above)
    return moves, known


def _circular(row: torch.Tensor, above: torch.Tensor) -> torch.Tensor:
    """Circular cross-correlation: entry k is high where `row` is `above` moved k to the right."""
    a, b = row - row.mean(), above - above.mean()
    curve: torch.Tensor = torch.fft.irfft(
        torch.fft.rfft(a) * torch.fft.rfft(b).conj(), n=row.numel()
    )
    return curve


def _alike(a: torch.Tensor, b: torch.Tensor) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / ((a * a).sum() * (b * b).sum() + 1e-9).sqrt())


def _valid(width: int, move: int, device: torch.device) -> torch.Tensor:
    index = torch.arange(width, device=device) + move
    return (index >= 0) & (index < width)


def _put_back(
    plane: torch.Tensor, frame: Frame, number: int, moves: torch.Tensor, known: torch.Tensor
) -> torch.Tensor:
    """The plane with its torn rows moved, or mirrored from above."""
    form = frame.format
    log2_w, log2_h = (form.log2_chroma_w, form.log2_chroma_h) if form.is_chroma(number) else (0, 0)
    step = 1 << log2_h
    rows = -(-len(moves) // step)
    height, width = plane.shape
    out = plane.clone()
    index = torch.arange(width, device=plane.device)
    whole = height - rows
    for k in range(rows):
        mine = slice(max(0, len(moves) - (rows - k) * step), len(moves) - (rows - k - 1) * step)
        if bool(known[mine].all()):
            move = float(moves[mine].float().mean()) / (1 << log2_w)
            source = index + round(move)
            inside = (source >= 0) & (source < width)
            row = plane[whole + k, source.clamp(0, width - 1)]
            out[whole + k] = torch.where(inside, row, out[whole + k - 1])
        else:
            out[whole + k] = out[max(0, whole - 1 - k)]
    return out
