"""What FFmpeg's decoder drops of DPX files."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vrestore.errors import InputError
from vrestore.media import Primaries, Transfer

__all__ = ["DpxHeader", "parse_dpx_header", "read_dpx_header"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DpxHeader:
    """What FFmpeg's decoder drops of a DPX header (SMPTE ST 268)."""

    transfer: Transfer
    """`LOG` for printing density and logarithmic samples."""

    primaries: Primaries
    timecode: str | None
    """HH:MM:SS:FF."""

    rate: Fraction | None


_DPX_TRANSFER = {
    1: Transfer.LOG,
    2: Transfer.LINEAR,
    3: Transfer.LOG,
    5: Transfer.SMPTE240M,
    6: Transfer.BT709,
    7: Transfer.GAMMA28,
    8: Transfer.SMPTE170M,
}
_DPX_PRIMARIES = {
    5: Primaries.SMPTE240M,
    6: Primaries.BT709,
    7: Primaries.BT470BG,
    8: Primaries.SMPTE170M,
}
_COMMON_RATES = (
    *(Fraction(nominal * 1000, base) for nominal in (24, 30, 60) for base in (1000, 1001)),
    Fraction(25),
    Fraction(50),
)


def read_dpx_header(path: str | Path) -> DpxHeader | None:
    """Transfer, primaries, timecode and rate of a DPX file; None if it is not one.

    Raises InputError where the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            header = file.read(2048)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return parse_dpx_header(header)


def parse_dpx_header(header: bytes) -> DpxHeader | None:
    """What the first 2048 bytes of a DPX file say; None if it is not one."""
    if len(header) < 2048 or header[:4] not in (b"SDPX", b"XPDS"):
        return None
    order = ">" if header[:4] == b"SDPX" else "<"
    transfer, colorimetric = header[801], header[802]
    (timecode,) = struct.unpack_from(f"{order}I", header, 1920)
    digits = f"{timecode & 0x3F7F7F3F:08x}"
    stamped = timecode != 0xFFFFFFFF and digits.isdecimal()
    return DpxHeader(
        transfer=_DPX_TRANSFER.get(transfer, Transfer.UNSPECIFIED),
        primaries=_DPX_PRIMARIES.get(colorimetric, Primaries.UNSPECIFIED),
        timecode=":".join(digits[i : i + 2] for i in range(0, 8, 2)) if stamped else None,
        rate=_dpx_rate(struct.unpack_from(f"{order}f", header, 1724)[0])
        or _dpx_rate(struct.unpack_from(f"{order}f", header, 1940)[0]),
    )


def _dpx_rate(value: float) -> Fraction | None:
    """A header's float as the broadcast rate it stands for; None where unset (NaN, 0)."""
    if not 1 <= value <= 1000:
        return None
    for rate in _COMMON_RATES:
        if abs(value - float(rate)) < 0.005:
            return rate
    return Fraction(value).limit_denominator(1001)
