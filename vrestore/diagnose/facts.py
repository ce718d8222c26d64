"""Findings that others measured: fields and cadence, black bars, sample aspect, shots."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from vrestore.diagnose.values import Finding, Severity
from vrestore.media import FieldOrder, MediaInfo
from vrestore.ops.bars import BarsFound
from vrestore.ops.cadence import Cadence, CadenceKind

__all__ = ["CADENCES", "black_bars", "fields", "sample_aspect", "shot_count"]

CADENCES: Mapping[CadenceKind, tuple[Severity, str]] = MappingProxyType(
    {
        CadenceKind.UNKNOWN: (Severity.UNKNOWN, "too little moves to tell"),
        CadenceKind.PROGRESSIVE: (Severity.ABSENT, "whole pictures"),
        CadenceKind.PSF: (Severity.ABSENT, "whole pictures, flagged interlaced"),
        CadenceKind.INTERLACED: (Severity.CLEAR, "interlaced video"),
        CadenceKind.TELECINE: (Severity.CLEAR, "3:2 pulldown of film"),
        CadenceKind.SOFT_TELECINE: (Severity.SLIGHT, "3:2 pulldown by flags alone"),
        CadenceKind.PHASE_SHIFTED: (Severity.CLEAR, "2:2 film, half a frame late"),
        CadenceKind.DUPLICATES: (Severity.CLEAR, "whole pictures, some shown twice or more"),
        CadenceKind.BLENDED: (Severity.STRONG, "fields that mix two pictures"),
        CadenceKind.HYBRID: (Severity.CLEAR, "several cadences in turn"),
    }
)
"""Cadence -> how bad it is, and what it is called.  Severity says that something must be done to
have whole pictures."""

_MANY = 0.08
"""Share of repeats that is worth naming: 23 pictures in 25 frames."""

_SQUARE_SD = {(720, 576), (720, 480), (704, 576), (704, 480), (720, 486)}
"""Sizes of standard definition, whose samples are never square."""


def fields(cadence: Cadence) -> dict[str, Finding]:
    """ "field order", "cadence" and "duplicates"."""
    severity, says = CADENCES[cadence.kind]
    scanned = cadence.order.has_fields
    order = "top field first" if cadence.order is FieldOrder.TOP_FIRST else "bottom field first"
    wrong = scanned and not cadence.flags_agree
    if not scanned:
        order_says = "progressive" if severity is not Severity.UNKNOWN else says
    else:
        order_says = f"{order}, but flagged otherwise" if wrong else order
    unknown = severity is Severity.UNKNOWN
    detail = MappingProxyType({f"{name}_share": share for name, share in cadence.shares.items()})
    return {
        "field order": Finding(
            name="field order",
            severity=Severity.UNKNOWN if unknown else Severity(int(scanned) + int(wrong)),
            value=None,
            unit="",
            confidence=cadence.confidence,
            says=order_says,
            evidence_frames=cadence.evidence[:3],
        ),
        "cadence": Finding(
            name="cadence",
            severity=severity,
            value=None,
            unit="",
            confidence=cadence.confidence,
            says=says,
            evidence_frames=cadence.evidence[:3],
            detail=detail,
        ),
        "duplicates": Finding(
            name="duplicates",
            severity=Severity.CLEAR if cadence.duplicates >= _MANY else Severity.ABSENT,
            value=round(100 * cadence.duplicates, 1),
            unit="%",
            confidence=cadence.confidence,
            says="pictures are repeated" if cadence.duplicates >= _MANY else "none seen",
        ),
    }


def black_bars(bars: BarsFound | None) -> Finding:
    """None for a source in which nothing was looked at."""
    if bars is None:
        return Finding(
            name="black bars", severity=Severity.UNKNOWN, value=None, unit="%", confidence=0.0,
            says="nothing to tell it by",
        )  # fmt: skip
    width, height = bars.size
    picture = bars.picture
    share = 1 - picture.width * picture.height / (width * height)
    says = "none seen"
    if bars.found:
        says = f"picture {picture.width}x{picture.height} at {picture.x},{picture.y}"
    seen = max(bars.evidence) / bars.frames
    return Finding(
        name="black bars",
        severity=Severity.CLEAR if bars.found else Severity.ABSENT,
        value=round(100 * share, 2),
        unit="%",
        confidence=round(min(0.98, 0.6 + 0.4 * seen) if bars.found else 0.9, 3),
        says=says,
        detail=MappingProxyType(
            {"x": picture.x, "y": picture.y, "width": picture.width, "height": picture.height}
        ),
    )


def sample_aspect(info: MediaInfo) -> Finding:
    """From the header: whether samples are square, and whether that can be true."""
    video = info.video
    sar = video.sar
    suspicious = sar == 1 and (video.width, video.height) in _SQUARE_SD
    says = f"samples {sar.numerator}:{sar.denominator}"
    if suspicious:
        says = f"{video.width}x{video.height} with square samples: the tag is likely missing"
    return Finding(
        name="sample aspect",
        severity=Severity.SLIGHT if sar != 1 or suspicious else Severity.ABSENT,
        value=round(float(sar), 4),
        unit="",
        confidence=0.6 if suspicious else 0.95,
        says=says,
    )


def shot_count(shots: int, *, whole: bool) -> Finding:
    """Of the shots that were seen."""
    plural = "s" * (shots != 1)
    return Finding(
        name="shots",
        severity=Severity.ABSENT,
        value=float(shots),
        unit="",
        confidence=0.9 if whole else 0.5,
        says=f"{shots} shot{plural}" if whole else f"{shots} shot{plural} in the parts looked at",
    )
