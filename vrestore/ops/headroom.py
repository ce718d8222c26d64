"""Brightness changed without clipping what was not clipped before."""

from __future__ import annotations

import torch

__all__ = ["keep_inside"]

_ROOMY = 0.25
"""Share of its room up to which a sample is moved as it is."""


def keep_inside(changed: torch.Tensor, source: torch.Tensor) -> None:
    """Bends `changed`, in place, so that no sample that lay between black (0) and white (1) in
    `source` leaves that range.

    A sample with room r on the side it moves to moves by d / (1 + (d / r)^4)^(1/4) in place of d,
    which is d itself until most of the room is used.  One that lay at an end or beyond it moves no
    farther out.
    """
    if not changed.numel():
        return
    # Few samples come near an end: only those are bent, and the rest moves as it should to 1e-3.
    if float(changed.max()) > 0.97:
        near = torch.sub(changed, source, alpha=1 - _ROOMY) > _ROOMY
        _bend(changed, source, near, 1.0)
    if float(changed.min()) < 0.02:
        near = changed < (1 - _ROOMY) * source
        _bend(changed, source, near | (source <= 0), 0.0)


def _bend(changed: torch.Tensor, source: torch.Tensor, near: torch.Tensor, end: float) -> None:
    sign = 1.0 if end else -1.0
    places = near.nonzero(as_tuple=True)
    before, after = source[places], changed[places]
    rise, room = (after - before).mul_(sign), (end - before).mul_(sign)
    crowded = (rise / room).square_().square_().add_(1).sqrt_().sqrt_()
    bent = (rise / crowded).masked_fill_(room <= 0, 0.0).mul_(sign).add_(before)
    changed[places] = torch.where(rise > 0, bent, after)
