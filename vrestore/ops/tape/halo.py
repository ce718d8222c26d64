"""Halos: the light and dark lines that over-peaked tape decks and sharpeners draw along edges.

Peaking is a filter along the line, y = x + a (x - G x) with a Gaussian G.  What it makes of an edge
is known, so a and the width of G are read off the mean profile of many edges, and the filter is
inverted.  The inverse nowhere amplifies: it has a gain of 1 for flat areas and of 1 / (1 + a) for
the finest detail, so it brings noise down as well as the peaking had brought it up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F

from vrestore.media import Frame
from vrestore.ops.tape.stage import OPENING, ShotStage, with_planes

__all__ = ["Halo", "Peaking", "measure_peaking"]

_EDGE = 0.12
"""Least step of an edge, on the unit scale, beside which halos are looked for."""

_NEAR = 5
"""Samples on either side of an edge within which no other may be steeper."""

_FLAT = 4
"""Samples beyond the plateau that must be as even."""

_EDGES = 60
"""Fewest edges from which anything is concluded."""

_PLATEAU = 9
"""Distance from an edge, in samples, at which its halo is over."""

_LEAST = 0.3
"""Peaking up to which a picture is merely sharp."""

_HUMP, _CLEAR_HUMP = 0.08, 0.1
"""How far the profile must stand out beside the edge above what follows, as a share of the step:
with a model that fits well, and in any case."""

_OVERSHOOT = 0.02
"""Least height of the profile beside the edge above the plateau, as a share of the step."""

_BETTER = 0.45
"""What the model may leave of the profile, as a share of what it leaves without peaking (rms)."""

_COST = 0.01
"""Of an amount of 1, in rms of the profile: of peakings that fit nearly alike the smaller one."""

_AMOUNTS = tuple(0.05 * n for n in range(31))
_WIDTHS = tuple(0.25 * n for n in range(4, 17))
"""Of the peaking: what is tried; standard deviations of G in samples."""

_BLURS = (0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5)
_TAILS = (4.0, 7.0)
_TAIL_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Of the edges themselves: a steep part and one that comes slowly, as light falls on round things,
by standard deviation; and the share of the slow one."""

_REACH = 24
"""Samples to either side that the inverse filter looks at."""


class Peaking(NamedTuple):
    """y = x + amount (x - G x) along the line."""

    amount: float
    """0 where none was found."""

    sigma: float
    """Standard deviation of G, in samples."""


class Halo(ShotStage):
    """Op: takes the peaking of luma along the line back, by the share that its value says.

    How strong it is and how wide is measured on the opening of the shot; a picture in which too few
    edges tell, or tell of none, stays as it is.
    """

    key = "tape.halo"
    opening = OPENING

    def __init__(self, value: float) -> None:
        super().__init__(value)
        self._found = Peaking(0.0, 1.0)

    def open(self, frames: Sequence[Frame]) -> None:
        self._found = measure_peaking([frame.planes[0].float() for frame in frames[:OPENING:3]])

    def repair(self, frames: Sequence[Frame], at: int) -> Frame:
        frame, amount = frames[at], self._found.amount * self.value
        if amount <= 0:
            return frame
        kernel = _inverse(Peaking(amount, self._found.sigma)).to(frame.planes[0].device)
        rows = F.pad(frame.planes[0].float()[:, None], (_REACH, _REACH), mode="replicate")
        return with_planes(frame, (F.conv1d(rows, kernel[None, None])[:, 0],))

    def account(self) -> tuple[Mapping[str, float], Mapping[str, tuple[float, ...]]]:
        return {"peaking": self._found.amount, "width_samples": self._found.sigma}, {}


def _inverse(peaking: Peaking) -> torch.Tensor:
    """(2 * _REACH + 1,) taps of x from y."""
    size = 16 * _REACH
    angle = 2 * math.pi * torch.fft.rfftfreq(size, dtype=torch.float64)
    smooth = torch.exp(-0.5 * (angle * peaking.sigma).square())
    taps = torch.fft.irfft(1 / (1 + peaking.amount * (1 - smooth)), n=size).roll(_REACH)
    taps = taps[: 2 * _REACH + 1]
    kernel: torch.Tensor = taps / taps.sum()
    return kernel.float()


def measure_peaking(lumas: Sequence[torch.Tensor]) -> Peaking:
    """The peaking of (H, W) pictures, luma 0..1.

    The mean is of the edges' profiles: the picture's own detail beside them cancels, halos do not.
    """
    none = Peaking(0.0, 1.0)
    if lumas[0].shape[1] < 6 * _PLATEAU:
        return none
    profiles = torch.cat([_profiles(luma) for luma in lumas])
    if len(profiles) < _EDGES:
        return none
    seen = profiles.double().mean(0)
    amounts, sigmas, models = _models()
    left = (models - seen).square().mean(-1).sqrt().amin((2, 3, 4))
    at = int((left + _COST * left.new_tensor(amounts)[:, None]).argmin())
    found = Peaking(amounts[at // len(sigmas)], sigmas[at % len(sigmas)])
    fits = float(left.flatten()[at]) <= _BETTER * float(left[0].min())
    stands_out = float(seen[:3].max() - seen[2:6].min()) >= (_HUMP if fits else _CLEAR_HUMP)
    over = float(seen[:3].max()) >= _OVERSHOOT
    return found if found.amount >= _LEAST and stands_out and over else none


@lru_cache(maxsize=1)
def _models() -> tuple[Sequence[float], Sequence[float], torch.Tensor]:
    """Amounts, widths, and (amounts, widths, blurs, tails, shares, distances) mean profiles."""
    distance = torch.arange(1, _PLATEAU + 1, dtype=torch.float64) - 0.5
    shape = [torch.tensor(v, dtype=torch.float64) for v in
             (_AMOUNTS, _WIDTHS, _BLURS, _TAILS, _TAIL_SHARES)]  # fmt: skip
    amount, sigma, blur, tail, share = (
        v.view([-1 if k == axis else 1 for k in range(6)]) for axis, v in enumerate(shape)
    )

    def peaked(own: torch.Tensor) -> torch.Tensor:
        edge = _step(distance, own)
        return edge + amount * (edge - _step(distance, (own.square() + sigma.square()).sqrt()))

    profile = (1 - share) * peaked(blur) + share * peaked(tail)
    plateau = profile[..., -1:]
    return _AMOUNTS, _WIDTHS, ((profile - plateau) / (2 * plateau - 1))[..., :-1]


def _step(distance: torch.Tensor, blur: torch.Tensor) -> torch.Tensor:
    """An edge from 0 to 1 that a Gaussian blurs, at distances from it."""
    return 0.5 * (1 + torch.erf(distance / (blur * math.sqrt(2))))


def _largest(plane: torch.Tensor, width: int) -> torch.Tensor:
    """Largest of an odd number of samples along the rows, edges repeated."""
    reach = width // 2
    wide = F.pad(plane, (reach, reach), mode="replicate")
    size = plane.shape[-1]
    out = wide[..., :size]
    for k in range(1, width):
        out = torch.maximum(out, wide[..., k : k + size])
    return out


def _profiles(luma: torch.Tensor) -> torch.Tensor:
    """(edges, distances) overshoot beside each plain edge, as a share of its step, mean of its two
    sides; at half a sample's distance, one and a half, and so on."""
    width, far = luma.shape[1], _PLATEAU + _FLAT
    step = F.pad(luma[:, 1:] - luma[:, :-1], (0, 1))
    size = F.pad(luma[:, 3:] - luma[:, :-3], (1, 2)).abs()
    steepest = step.abs() == _largest(step.abs()[None], 2 * _NEAR + 1)[0]
    rows, columns = (steepest & (size >= _EDGE))[:, far : width - far].nonzero(as_tuple=True)
    columns = columns + far

    def at(offset: int) -> torch.Tensor:
        return luma[rows, columns + offset]

    before, after = at(1 - _PLATEAU), at(_PLATEAU)
    height = after - before
    # Only steps from one even tone to another count: beside a line, "overshoot" is its far side.
    plain = height.abs() >= _EDGE
    plain &= height * step[rows, columns] > 0
    plain &= (
        torch.maximum((at(1 - far) - before).abs(), (at(far) - after).abs()) < 0.1 * height.abs()
    )
    height = height.where(plain, torch.ones_like(height))
    over = [0.5 * ((at(k) - after) + (before - at(1 - k))) / height for k in range(1, _PLATEAU)]
    return torch.stack(over, 1)[plain].clamp(-1, 2)
