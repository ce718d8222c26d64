"""The numbers behind the colour enums: ITU-T H.273 (01/2024), tables 2 to 4, and chroma siting.

Everything here is plain double precision; ops round to float32 once, when they build their tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

import torch

from vrestore.media import ChromaLocation, Matrix, Primaries, Range, Transfer

__all__ = [
    "CHROMA_LOCATIONS",
    "MATRICES",
    "PRIMARIES",
    "RANGES",
    "STANDARDS",
    "TRANSFERS",
    "Curve",
    "Standard",
    "chroma_offset",
    "curve",
    "from_linear",
    "luma_weights",
    "rgb_to_xyz",
    "rgb_to_ycbcr",
    "to_linear",
]

# ------------------------------------------------------------------------------------- names

MATRICES: Mapping[str, Matrix] = MappingProxyType(
    {
        "601-525": Matrix.SMPTE170M,
        "601-625": Matrix.BT470BG,
        "709": Matrix.BT709,
        "2020": Matrix.BT2020_NCL,
        "240m": Matrix.SMPTE240M,
        "fcc": Matrix.FCC,
        "rgb": Matrix.RGB,
    }
)
"""Names a user may give for a matrix."""

PRIMARIES: Mapping[str, Primaries] = MappingProxyType(
    {
        "601-525": Primaries.SMPTE170M,
        "601-625": Primaries.BT470BG,
        "709": Primaries.BT709,
        "2020": Primaries.BT2020,
        "240m": Primaries.SMPTE240M,
        "470m": Primaries.BT470M,
        "film": Primaries.FILM,
        "p3-dci": Primaries.SMPTE431,
        "p3-d65": Primaries.SMPTE432,
        "ebu3213": Primaries.EBU3213,
    }
)
"""Names a user may give for primaries."""

TRANSFERS: Mapping[str, Transfer] = MappingProxyType(
    {
        "601": Transfer.SMPTE170M,
        "709": Transfer.BT709,
        "2020": Transfer.BT2020_10,
        "240m": Transfer.SMPTE240M,
        "srgb": Transfer.SRGB,
        "gamma22": Transfer.GAMMA22,
        "gamma28": Transfer.GAMMA28,
        "linear": Transfer.LINEAR,
        "log": Transfer.LOG,
        "pq": Transfer.PQ,
        "hlg": Transfer.HLG,
    }
)
"""Names a user may give for transfer characteristics."""

RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "limited": Range.LIMITED,
        "full": Range.FULL,
        "tv": Range.LIMITED,
        "pc": Range.FULL,
    }
)
"""Names a user may give for a range."""

CHROMA_LOCATIONS: Mapping[str, ChromaLocation] = MappingProxyType(
    {
        "left": ChromaLocation.LEFT,
        "center": ChromaLocation.CENTER,
        "topleft": ChromaLocation.TOPLEFT,
        "top": ChromaLocation.TOP,
        "bottomleft": ChromaLocation.BOTTOMLEFT,
        "bottom": ChromaLocation.BOTTOM,
    }
)
"""Names a user may give for the siting of chroma."""


@dataclass(frozen=True, slots=True)
class Standard:
    """What a television standard fixes together."""

    matrix: Matrix
    primaries: Primaries
    transfer: Transfer


STANDARDS: Mapping[str, Standard] = MappingProxyType(
    {
        "601-525": Standard(Matrix.SMPTE170M, Primaries.SMPTE170M, Transfer.SMPTE170M),
        "601-625": Standard(Matrix.BT470BG, Primaries.BT470BG, Transfer.SMPTE170M),
        "709": Standard(Matrix.BT709, Primaries.BT709, Transfer.BT709),
        "2020": Standard(Matrix.BT2020_NCL, Primaries.BT2020, Transfer.BT2020_10),
    }
)
"""The output standards; H.273 gives 601 of both line counts one transfer, value 6."""

# ---------------------------------------------------------------------------------- matrices

_LUMA_WEIGHTS: Mapping[Matrix, tuple[float, float]] = MappingProxyType(
    {
        Matrix.BT709: (0.2126, 0.0722),
        Matrix.FCC: (0.30, 0.11),
        Matrix.BT470BG: (0.299, 0.114),
        Matrix.SMPTE170M: (0.299, 0.114),
        Matrix.SMPTE240M: (0.212, 0.087),
        Matrix.BT2020_NCL: (0.2627, 0.0593),
    }
)


def luma_weights(matrix: Matrix) -> tuple[float, float] | None:
    """(Kr, Kb) of a matrix made from luma weights, None for every other (H.273 table 4)."""
    return _LUMA_WEIGHTS.get(matrix)


def rgb_to_ycbcr(matrix: Matrix) -> torch.Tensor:
    """3x3 float64 from R'G'B' in 0..1 to Y' in 0..1 and Cb, Cr in -0.5..0.5 (H.273 eq. 38-40).

    The identity for `Matrix.RGB`.  Raises ValueError for a matrix that is not linear in R'G'B' or
    not made from luma weights.
    """
    if matrix is Matrix.RGB:
        return torch.eye(3, dtype=torch.float64)
    weights = luma_weights(matrix)
    if weights is None:
        raise ValueError(f"matrix {matrix.name} cannot be converted")
    kr, kb = weights
    luma = torch.tensor([kr, 1 - kr - kb, kb], dtype=torch.float64)
    blue, red = torch.eye(3, dtype=torch.float64)[[2, 0]]
    return torch.stack((luma, (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))))


# --------------------------------------------------------------------------------- primaries

_D65 = (0.3127, 0.3290)
_C = (0.310, 0.316)
_DCI = (0.314, 0.351)

# Red, green, blue, white as CIE 1931 (x, y).
_CHROMATICITIES: Mapping[Primaries, tuple[tuple[float, float], ...]] = MappingProxyType(
    {
        Primaries.BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
        Primaries.BT470M: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
        Primaries.BT470BG: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
        Primaries.SMPTE170M: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
        Primaries.SMPTE240M: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
        Primaries.FILM: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
        Primaries.BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
        Primaries.SMPTE431: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _DCI),
        Primaries.SMPTE432: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
        Primaries.EBU3213: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
    }
)

_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))


def _xyz(x: float, y: float) -> torch.Tensor:
    return torch.tensor([x / y, 1.0, (1 - x - y) / y], dtype=torch.float64)


def rgb_to_xyz(primaries: Primaries) -> torch.Tensor:
    """3x3 float64 from linear RGB to CIE XYZ under D65 (other whites adapted by Bradford).

    Raises ValueError for primaries without chromaticities.
    """
    if primaries not in _CHROMATICITIES:
        raise ValueError(f"primaries {primaries.name} cannot be converted")
    *rgb, white = (_xyz(*point) for point in _CHROMATICITIES[primaries])
    columns = torch.stack(rgb, dim=1)
    native = columns * torch.linalg.solve(columns, white)
    cone = torch.tensor(_BRADFORD, dtype=torch.float64)
    gain = torch.diag((cone @ _xyz(*_D65)) / (cone @ white))
    adapted: torch.Tensor = torch.linalg.inv(cone) @ gain @ cone @ native
    return adapted


# ---------------------------------------------------------------------------------- transfer


class Curve(Enum):
    """How R'G'B' become light on the reference display."""

    BT1886 = "bt1886"
    """Exponent 2.4 (BT.1886 with zero black): every camera curve of the 601/709/2020 family.

    The display's curve rather than the inverse of the camera's: what a viewer sees is kept, as
    zscale does by default.
    """
    GAMMA22 = "gamma22"
    GAMMA28 = "gamma28"
    SRGB = "srgb"
    LINEAR = "linear"


_CURVES: Mapping[Transfer, Curve] = MappingProxyType(
    {
        Transfer.BT709: Curve.BT1886,
        Transfer.SMPTE170M: Curve.BT1886,
        Transfer.SMPTE240M: Curve.BT1886,
        Transfer.IEC61966_2_4: Curve.BT1886,
        Transfer.BT1361: Curve.BT1886,
        Transfer.BT2020_10: Curve.BT1886,
        Transfer.BT2020_12: Curve.BT1886,
        Transfer.GAMMA22: Curve.GAMMA22,
        Transfer.GAMMA28: Curve.GAMMA28,
        Transfer.SRGB: Curve.SRGB,
        Transfer.LINEAR: Curve.LINEAR,
    }
)

_EXPONENTS: Mapping[Curve, float] = MappingProxyType(
    {
        Curve.BT1886: 2.4,
        Curve.GAMMA22: 2.2,
        Curve.GAMMA28: 2.8,
        Curve.LINEAR: 1.0,
    }
)


def curve(transfer: Transfer) -> Curve | None:
    """The display curve of an SDR transfer; None for PQ, HLG, log and unknown ones."""
    return _CURVES.get(transfer)


def to_linear(signal: torch.Tensor, curve: Curve) -> torch.Tensor:
    """Light from R'G'B', in place (float, nominal 0..1); odd about 0, so nothing is clamped."""
    if curve is Curve.SRGB:
        size = signal.abs()
        low = size <= 0.04045
        light = torch.where(low, size / 12.92, ((size + 0.055) / 1.055).pow_(2.4))
        return signal.copy_(light.copysign_(signal))
    return _odd_power(signal, _EXPONENTS[curve])


def from_linear(light: torch.Tensor, curve: Curve) -> torch.Tensor:
    """R'G'B' from light, in place: the inverse of `to_linear`."""
    if curve is Curve.SRGB:
        size = light.abs()
        low = size <= 0.04045 / 12.92
        signal = torch.where(low, size * 12.92, size.pow(1 / 2.4).mul_(1.055).sub_(0.055))
        return light.copy_(signal.copysign_(light))
    return _odd_power(light, 1 / _EXPONENTS[curve])


def _odd_power(value: torch.Tensor, exponent: float) -> torch.Tensor:
    if exponent == 1:
        return value
    return value.copy_(value.abs().pow_(exponent).copysign_(value))


# ------------------------------------------------------------------------------------ siting

_CO_SITED_LEFT = (ChromaLocation.LEFT, ChromaLocation.TOPLEFT, ChromaLocation.BOTTOMLEFT)
_CO_SITED_TOP = (ChromaLocation.TOPLEFT, ChromaLocation.TOP)
_CO_SITED_BOTTOM = (ChromaLocation.BOTTOMLEFT, ChromaLocation.BOTTOM)


def chroma_offset(location: ChromaLocation, log2_w: int, log2_h: int) -> tuple[float, float]:
    """Where the first chroma sample lies, (x, y) from the picture's top left corner.

    In units of the distance between chroma samples: 0.5 is between the luma samples it stands for
    (and is what a plane without subsampling has), 0.25 is on the first of two.  Exact.  Raises
    ValueError while the location is unspecified and it matters.
    """
    if location is ChromaLocation.UNSPECIFIED and (log2_w or log2_h):
        raise ValueError("the chroma location must be resolved before chroma is resampled")
    first_x, first_y = 0.5 / (1 << log2_w), 0.5 / (1 << log2_h)
    x = first_x if location in _CO_SITED_LEFT else 0.5
    y = 0.5
    if location in _CO_SITED_TOP:
        y = first_y
    elif location in _CO_SITED_BOTTOM:
        y = 1 - first_y
    return x, y
