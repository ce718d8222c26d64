"""What grain is, as numbers: how strong at each intensity, how its power lies over frequency.

Grain here is whatever is new in every frame: film grain, sensor and tape noise alike.  Strength
depends on intensity, as film density makes it; the shape of the spectrum does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = [
    "BANDS",
    "BAND_CENTRES",
    "INTENSITIES",
    "NO_GRAIN",
    "SIDE",
    "WHITE",
    "ChannelGrain",
    "Grain",
    "network_strength",
]

SIDE = 16
"""Rows and columns of the blocks whose DCT gives the spectrum."""

BANDS = ((0, 1), (2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12), (13, 14, 15))
"""Orders of the DCT that make up each band of frequencies, the same for both axes."""

BAND_CENTRES = tuple(sum(band) / len(band) / (2 * SIDE) for band in BANDS)
"""Frequency of each band, cycles per sample of the source; 0.5 is the finest there is."""

INTENSITIES = tuple(step / 8 for step in range(9))
"""Where strength is given, on the unit scale; linear between, constant outside."""

WHITE = (1.0,) * len(BANDS) ** 2
"""The power of noise without any shape."""

_PREFIX = "grain"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelGrain:
    """The grain of one plane."""

    name: str
    """"y", "cb", "cr", "r", "g" or "b"; gray is "y"."""

    strength: tuple[float, ...]
    """Standard deviation on the unit scale at each of INTENSITIES: of the plane's own value, but
    for chroma, of the luma at its place."""

    power: tuple[float, ...] = WHITE
    """Power density in each pair of BANDS (vertical, horizontal), row by row; the mean over all
    frequencies is 1."""

    def __post_init__(self) -> None:
        if len(self.strength) != len(INTENSITIES) or len(self.power) != len(WHITE):
            raise ValueError(
                f"grain of {self.name!r} needs {len(INTENSITIES)} strengths and {len(WHITE)} "
                f"powers, got {len(self.strength)} and {len(self.power)}"
            )
        if not all(math.isfinite(x) and x >= 0 for x in (*self.strength, *self.power)):
            raise ValueError(f"grain of {self.name!r} must be finite and not negative")

    @property
    def typical(self) -> float:
        """Standard deviation in the mid-tones (intensities 0.25 to 0.75), root mean square."""
        middle = self.strength[2:7]
        return math.sqrt(sum(x * x for x in middle) / len(middle))

    @property
    def size(self) -> tuple[float, float]:
        """(vertical, horizontal) extent in samples: the sum of the autocorrelation along an axis.

        1 for white noise, 3.5 sigma for a Gaussian blur of `sigma` samples.
        """
        count = len(BANDS)
        rows = [_band_mean(self.power[i * count : (i + 1) * count]) for i in range(count)]
        columns = [_band_mean(self.power[i::count]) for i in range(count)]
        return rows[0] / (_band_mean(rows) or 1.0), columns[0] / (_band_mean(columns) or 1.0)


def _band_mean(values: tuple[float, ...] | list[float]) -> float:
    """The mean over all orders of the DCT of what is given per band."""
    return sum(x * len(band) for x, band in zip(values, BANDS, strict=True)) / SIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class Grain:
    """The grain of one shot."""

    channels: tuple[ChannelGrain, ...] = ()
    """One for each colour plane, in their order; none where nothing was measured."""

    correlation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Between planes 0 and 1, 0 and 2, 1 and 2 of one size; -1..1.  A print of black-and-white
    film scanned in RGB has 1."""

    confidence: float = field(default=0.0)
    """0 (a guess, or nothing to see) to 1: how sure it is that this is grain and not motion."""

    def __post_init__(self) -> None:
        if not 0 <= self.confidence <= 1:
            raise ValueError(f"confidence must be in 0..1, got {self.confidence}")
        if not all(-1 <= x <= 1 for x in self.correlation):
            raise ValueError(f"correlations must be in -1..1, got {self.correlation}")

    def to_mapping(self) -> dict[str, float]:
        """Flat, with keys such as "grain.y.strength.4", as `Frame.tuning` holds them."""
        flat = {f"{_PREFIX}.confidence": self.confidence}
        if any(self.correlation):
            flat |= {f"{_PREFIX}.correlation.{i}": x for i, x in enumerate(self.correlation)}
        for channel in self.channels:
            stem = f"{_PREFIX}.{channel.name}"
            flat |= {f"{stem}.strength.{i}": x for i, x in enumerate(channel.strength)}
            flat |= {f"{stem}.power.{i}": x for i, x in enumerate(channel.power)}
        return flat

    @classmethod
    def from_mapping(cls, flat: Mapping[str, float], names: tuple[str, ...]) -> Grain | None:
        """What `to_mapping` wrote, for planes of these names; None where it holds no measurement
        of theirs.  ValueError where one is incomplete."""
        channels = []
        for name in names:
            stem = f"{_PREFIX}.{name}"
            if f"{stem}.strength.0" not in flat:
                continue
            try:
                channels.append(
                    ChannelGrain(
                        name=name,
                        strength=tuple(
                            flat[f"{stem}.strength.{i}"] for i in range(len(INTENSITIES))
                        ),
                        power=tuple(flat.get(f"{stem}.power.{i}", 1.0) for i in range(len(WHITE))),
                    )
                )
            except KeyError as error:
                raise ValueError(f"the measurement of grain lacks {error.args[0]}") from error
        if not channels:
            return None
        if len(channels) < len(names):
            raise ValueError(
                f"the measurement of grain has {', '.join(c.name for c in channels)} "
                f"but the picture has {', '.join(names)}"
            )
        first, second, third = (flat.get(f"{_PREFIX}.correlation.{i}", 0.0) for i in range(3))
        return cls(
            channels=tuple(channels),
            correlation=(first, second, third),
            confidence=flat.get(f"{_PREFIX}.confidence", 1.0),
        )


NO_GRAIN = Grain()


def network_strength(grain: Grain) -> float:
    """The network's `strength` for a source whose only damage is this grain, 0..1.

    Training (`train.sample`) drew grain of standard deviation sigma in R'G'B' and told the network
    sigma / 0.07, at most 1, with an error of 0.06; clean clips were told 0 to 0.03.  Here sigma is
    that of the mid-tones, the mean over R, G and B: planes of Y, Cb and Cr are taken through the
    BT.601 matrix as if independent (BT.709's differs by less than the error).
    """
    by_name = {channel.name: channel.typical**2 for channel in grain.channels}
    if not by_name:
        return 0.0
    if "r" in by_name:
        variance = sum(by_name.values()) / len(by_name)
    else:
        blue, red = by_name.get("cb", 0.0), by_name.get("cr", 0.0)
        variance = by_name["y"] + 1.086 * blue + 0.825 * red
    return min(1.0, math.sqrt(variance) / 0.07)
