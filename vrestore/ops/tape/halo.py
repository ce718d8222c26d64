"""Halos: the light and dark lines that over-peaked tape decks and sharpeners draw along edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from vrestore.media import Frame
from vrestore.ops.tape.stage import OPENING, ShotStage, with_planes

__all__ = ["Halo"]

_EDGE = 0.12
"""Least step of an edge, on the unit scale, beside which halos are looked for."""

_WIDTH = 3
"""Widest halo, in samples."""

_NEAR = 5
"""Farthest from the edge."""

_MOST = 0.5
"""Largest halo, as a share of its edge; what is higher is a line of its own."""

_FLAT = 4
"""Samples beyond it that must be as even."""

_LEAST = 0.015
"""Mean halo, as a share of its edge, up to which a picture is merely sharp."""

_EDGES = 40
"""Fewest edges from which anything is concluded."""

_PLATEAU = 8
"""Distance from an edge, in samples, at which its halo is over."""


class Halo(ShotStage):
    """Op: lowers overshoots beside vertical edges to what lies beyond them.

    An overshoot is what a row's opening (or closing) by a few samples takes away.  How strong
    overshoots are is measured on the opening of the shot; a picture without them stays as it is.
    """

    key = "tape.halo"
    opening = OPENING

    def __init__(self, value: float) -> None:
        super().__init__(value)
        self._measured = 0.0

    def open(self, frames: Sequence[Frame]) -> None:
        self._measured = _overshoot([frame.planes[0].float() for frame in frames[:OPENING:3]])

    def repair(self, frames: Sequence[Frame], at: int) -> Frame:
        frame = frames[at]
        share = self.value * min(1.0, max(0.0, (self._measured - _LEAST) / _LEAST))
        if share <= 0:
            return frame
        luma = frame.planes[0].float()
        light, dark, edge = _parts(luma)
        limit = min(_MOST, 2 * self._measured) * edge
        out = luma - share * (torch.minimum(light, limit) - torch.minimum(dark, limit))
        return with_planes(frame, (out,))

    def account(self) -> tuple[Mapping[str, float], Mapping[str, tuple[float, ...]]]:
        return {"overshoot_share_of_edge": self._measured}, {}


def _parts(luma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(light overshoot, dark overshoot, step of the edge nearby; 0 away from edges)."""
    plane = luma[None]
    opened = _largest(-_largest(-plane, _WIDTH), _WIDTH)
    closed = -_largest(-_largest(plane, _WIDTH), _WIDTH)
    step = F.pad((opened[..., 3:] - opened[..., :-3]).abs(), (1, 2), mode="replicate")
    edge = _largest(step, 2 * _NEAR + 1)
    edge = edge * (edge >= _EDGE)
    return (plane - opened)[0], (closed - plane)[0], edge[0]


def _largest(plane: torch.Tensor, width: int) -> torch.Tensor:
    """Largest of an odd number of samples along the rows, edges repeated."""
    reach = width // 2
    wide = F.pad(plane, (reach, reach), mode="replicate")
    size = plane.shape[-1]
    out = wide[..., :size]
    for k in range(1, width):
        out = torch.maximum(out, wide[..., k : k + size])
    return out


def _overshoot(lumas: Sequence[torch.Tensor]) -> float:
    """Mean overshoot on both sides of vertical edges, as a share of their step.

    The mean is of the edges' profiles: the picture's own detail beside them cancels, halos do not.
    0 where too few edges stand between two even tones.
    """
    width = lumas[0].shape[1]
    if width < 6 * _PLATEAU:
        return 0.0
    profiles = torch.cat([_profiles(luma) for luma in lumas])
    if len(profiles) < _EDGES:
        return 0.0
    return max(0.0, float(profiles.mean(0).max()))


def _profiles(luma: torch.Tensor) -> torch.Tensor:
    """(edges, distances) overshoot beside each plain edge, mean of its two sides."""
    width, far = luma.shape[1], _PLATEAU + _FLAT
    step = F.pad(luma[:, 3:] - luma[:, :-3], (1, 2))
    size = step.abs()
    steepest = size == _largest(size[None], 2 * _NEAR + 1)[0]
    rows, columns = (steepest & (size >= _EDGE))[:, far : width - far].nonzero(as_tuple=True)
    columns = columns + far

    def at(offset: int) -> torch.Tensor:
        return luma[rows, columns + offset]

    before, after = at(-_PLATEAU), at(_PLATEAU)
    height = after - before
    # Only steps from one even tone to another count: beside a line, "overshoot" is its far side.
    plain = height * step[rows, columns] > 0.6 * size[rows, columns].square()
    plain &= torch.maximum((at(-far) - before).abs(), (at(far) - after).abs()) < 0.2 * height.abs()
    over = [
        0.5 * ((at(k) - after) + (before - at(-k))) / height.where(plain, torch.ones_like(height))
        for k in range(1, _NEAR)
    ]
    return torch.stack(over, 1)[plain].clamp(-1, 1)
