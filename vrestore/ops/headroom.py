"""Brightness changed without clipping what was not clipped before."""

from __future__ import annotations

import torch

__all__ = ["keep_inside"]


def keep_inside(changed: torch.Tensor, source: torch.Tensor) -> None:
    """Bends `changed`, in place, so that no sample that lay between black (0) and white (1) in
    `source` leaves that range.

    A sample with room r on the side it moves to moves by d / (1 + (d / r)^4)^(1/4) in place of d,
    which is d itself until most of the room is used.  One that lay at an end or beyond it moves no
    farther out.
    """
    if changed.numel() and float(changed.max()) > 0.97:
        _bend(changed, source, 1.0)
    if changed.numel() and float(changed.min()) < 0.02:
        _bend(changed, source, 0.0)


def _bend(changed: torch.Tensor, source: torch.Tensor, end: float) -> None:
    sign = 1.0 if end else -1.0
    rise = (changed - source).mul_(sign)
    room = (end - source).mul_(sign)
    crowded = (rise / room).square_().square_().add_(1).sqrt_().sqrt_()
    bent = (rise / crowded).masked_fill_(room <= 0, 0.0).mul_(sign).add_(source)
    torch.where(rise > 0, bent, changed, out=changed)
