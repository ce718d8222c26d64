"""From what many blocks of a shot say to the grain of one plane.

Grain is a floor under everything that changes: found in the calmest blocks of each intensity, and
believed where it looks like grain there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from vrestore.ops.grainmodel import BANDS, INTENSITIES, WHITE, ChannelGrain

__all__ = ["Evidence", "correlations", "fit", "joined"]

_CHOSEN = (0.15, 0.05, 0.02)
"""Shares of the blocks of one intensity that may be believed: the flattest and stillest."""

_FEWEST = 24
"""Blocks of one intensity that are needed to say anything about it."""

_ENOUGH = 60
"""Blocks of one intensity at which half the trust is earned."""

_PLATEAU = 1.15
"""How much more variance a larger share of the blocks may have and still show the same grain."""

_PLAUSIBLE = 1.7
"""How many times as strong as elsewhere grain may be at one intensity."""

_SMOOTH = 0.03
"""How firmly the strengths of neighbouring intensities hold together."""

_SPREAD = 2.5
"""Standard deviations above what is usual at which a block's variance must have another cause."""

_NOTHING = (0.1 / 255) ** 2
"""A variance too small to be compared."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What three frames say, one number a block."""

    intensity: torch.Tensor
    variance: torch.Tensor
    """Of the second difference, without the block's mean."""
    doubt: torch.Tensor
    """`motion` plus texture: about twice `variance` where there is neither."""
    motion: torch.Tensor
    """Variance of the difference between the outer two frames; as `variance` for grain alone."""
    power: torch.Tensor
    """(n, bands squared) mean squared DCT coefficients."""
    products: torch.Tensor
    """(n, 3) covariances of the planes' second differences; empty where their sizes differ."""


def joined(parts: Sequence[Evidence]) -> Evidence:
    """All blocks of several triples of frames."""
    return Evidence(
        *(
            torch.cat([getattr(part, name) for part in parts])
            for name in ("intensity", "variance", "doubt", "motion", "power", "products")
        )
    )


def fit(name: str, found: Evidence) -> tuple[ChannelGrain, float, torch.Tensor]:
    """Strength over intensity, the spectrum, how far to trust them (0..1), and the blocks used."""
    nearest = (found.intensity * (len(INTENSITIES) - 1)).round().long()
    curve = torch.zeros(len(INTENSITIES), dtype=torch.float64)
    # Strength changes within the reach of one intensity too, where calm must not mean weak: the
    # second pass compares blocks by what the first found at each one's own intensity.
    for _ in range(2):
        own = _at(curve, found.intensity)
        scale = (curve.to(own)[nearest] / own).nan_to_num(1.0).clamp_(0.25, 4.0)
        evened = replace(
            found,
            variance=found.variance * scale,
            doubt=found.doubt * scale,
            motion=found.motion * scale,
        )
        order = evened.doubt.argsort()
        tones = [_tone(evened, order[nearest[order] == k]) for k in range(len(INTENSITIES))]
        trust = _trust(tones)
        curve = _curve(tones, trust)
    chosen = torch.cat([tone.blocks for tone in tones])
    if not len(chosen):
        return ChannelGrain(name=name, strength=(0.0,) * len(tones)), 0.0, chosen
    power = torch.zeros(len(WHITE), dtype=torch.float64)
    for tone, weight in zip(tones, trust.tolist(), strict=True):
        if weight and tone.variance > 0:
            blocks = found.power[tone.blocks].mean(0).cpu().double()
            power += weight * len(tone.blocks) * blocks / tone.variance
    area = _areas()
    total = float((power * area).sum() / area.sum())
    share = torch.tensor([tone.seen for tone in tones], dtype=torch.float64)
    return (
        ChannelGrain(
            name=name,
            strength=tuple(curve.sqrt().tolist()),
            power=tuple((power / total).tolist()) if total > 0 else WHITE,
        ),
        float((trust * share).sum() / share.sum()),
        chosen,
    )


def correlations(
    found: Sequence[Sequence[Evidence]], chosen: torch.Tensor
) -> tuple[float, float, float]:
    """Between three planes of one size, over the blocks chosen for the first of them.

    `found` holds for each triple of frames what every plane says.
    """
    products = torch.cat([planes[0].products for planes in found])[chosen].mean(0)
    own = [torch.cat([planes[k].variance for planes in found])[chosen].mean() for k in range(3)]
    first, second, third = (
        float((products[k] / (own[i] * own[j]).sqrt().clamp(min=1e-12)).clamp(-1, 1))
        for k, (i, j) in enumerate(((0, 1), (0, 2), (1, 2)))
    )
    return first, second, third


# ----------------------------------------------------------------------------------- intensities


@dataclass(frozen=True, slots=True)
class _Tone:
    """What the blocks of one intensity say."""

    blocks: torch.Tensor
    """Indices of those that are believed."""
    seen: int
    """Blocks of this intensity there are."""
    variance: float = 0.0
    """At most this is grain."""
    trust: float = 0.0
    """That all of it is, 0..1."""


def _tone(found: Evidence, here: torch.Tensor) -> _Tone:
    """What the blocks `here`, the calmest first, say.

    The calmest fiftieth has as much grain as the calmest seventh; and grain is as strong in the
    second difference as in the first, where what moves steadily is weaker and what jumps is
    stronger.
    """
    if len(here) < _FEWEST:
        return _Tone(here[:0], len(here))
    candidates = []
    for part in _CHOSEN:
        calm = here[: max(_FEWEST, round(part * len(here)))]
        variance = found.variance[calm]
        spread = _scatter(found.power[calm].mean(0))
        # A fifth of normally distributed values lie 0.84 standard deviations below their mean.
        usual = float(variance.quantile(0.2)) / max(0.3, 1 - 0.84 * spread)
        kept = calm[variance <= (1 + _SPREAD * spread) * usual]
        candidates.append((float(found.variance[kept].mean()), kept, len(kept) / len(calm), spread))
    floor = min(level for level, *_ in candidates)
    level, kept, pure, spread = next(one for one in candidates if one[0] <= _PLATEAU * floor)
    flat = (floor + _NOTHING) / (candidates[0][0] + _NOTHING)
    new = (level + _NOTHING) / (float(found.motion[kept].mean()) + _NOTHING)
    # Blocks were chosen for little motion: of grain alone, the calmest seventh has 1.5 standard
    # deviations less of it than all.
    jump = new * max(0.3, 1 - 1.5 * spread)
    trust = _ramp(flat, 0.3, 0.85) * _ramp(new, 0.6, 0.95) * _ramp(1 / jump, 0.6, 0.8)
    return _Tone(kept, len(here), level, trust * _ramp(pure, 0.0, 0.9) * _enough(len(here)))


def _ramp(value: float, none: float, full: float) -> float:
    """0 up to `none`, 1 from `full`, linear between."""
    return min(1.0, max(0.0, (value - none) / (full - none)))


def _enough(count: int) -> float:
    return count / (count + _ENOUGH)


def _scatter(power: torch.Tensor) -> float:
    """Relative standard deviation of a block's variance, for noise of this banded power: the
    coarser the grain, the fewer grains in a block."""
    area = _areas().to(power)
    return float((2 * (power.square() * area).sum()).sqrt() / (power * area).sum().clamp(min=1e-20))


@lru_cache(maxsize=1)
def _areas() -> torch.Tensor:
    """(bands squared,) float64 coefficients of the DCT in each pair of bands."""
    sizes = torch.tensor([len(band) for band in BANDS], dtype=torch.float64)
    return (sizes[:, None] * sizes).flatten()


# ----------------------------------------------------------------------------------------- curve


def _trust(tones: Sequence[_Tone]) -> torch.Tensor:
    """(intensities,) how far to believe each, 0..1.

    Grain varies with intensity, but not wildly, and no intensity has more of it than it has
    variance: what stands far above the rest is a thing that moves and is found nowhere else.
    """
    trust = torch.tensor([tone.trust for tone in tones], dtype=torch.float64)
    level = torch.tensor([tone.variance for tone in tones], dtype=torch.float64)
    known = [len(tone.blocks) > 0 for tone in tones]
    if not any(known):
        return trust
    weight = torch.tensor([_enough(tone.seen) for tone in tones], dtype=torch.float64)
    usual = _low_quartile(level[known], weight[known])
    return trust * (_PLAUSIBLE**2 * usual / level.clamp(min=1e-12)).clamp(max=1) ** 3


def _curve(tones: Sequence[_Tone], trust: torch.Tensor) -> torch.Tensor:
    """(intensities,) variance, carried on smoothly to where nothing is known."""
    if not bool((trust > 0).any()):
        return torch.zeros_like(trust)
    level = torch.tensor([tone.variance for tone in tones], dtype=torch.float64)
    slope = torch.diff(torch.eye(len(tones), dtype=torch.float64), dim=0)
    held = torch.diag(trust) + _SMOOTH * slope.t() @ slope
    solved: torch.Tensor = torch.linalg.solve(held, trust * level)
    return solved.clamp_(min=0)


def _at(curve: torch.Tensor, intensity: torch.Tensor) -> torch.Tensor:
    """A curve over INTENSITIES at other intensities, linear between."""
    curve = curve.to(intensity)
    place = intensity * (len(INTENSITIES) - 1)
    low = place.floor().clamp_(max=len(INTENSITIES) - 2).long()
    return torch.lerp(curve[low], curve[low + 1], place - low)


def _low_quartile(level: torch.Tensor, weight: torch.Tensor) -> float:
    """The value below which a quarter of the weight lies."""
    ordered, order = level.sort()
    passed = weight[order].cumsum(0)
    return float(ordered[int((passed >= 0.25 * passed[-1]).to(torch.uint8).argmax())])
