"""Readings to findings: thresholds, and how sure they are.

A measure is compared with three thresholds; half-way between two of them, on a scale of ratios,
is as sure as it gets.  Where readings of one source disagree, confidence falls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from vrestore.diagnose.facts import black_bars, fields, sample_aspect, shot_count
from vrestore.diagnose.values import Finding, Reading, Severity
from vrestore.media import MediaInfo
from vrestore.ops.bars import BarsFound
from vrestore.ops.cadence import Cadence

__all__ = ["NAMES", "THRESHOLDS", "Thresholds", "judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From where on a measure is slight, clear, strong; falling numbers where less is worse."""

    levels: tuple[float, float, float]
    unit: str
    says: str
    """What is wrong, where something is."""

    quantile: float = 0.5
    """Which of the readings speaks for the source: 0.5 for what is everywhere or nowhere, more for
    what comes and goes."""

    shown: float = 1.0
    """Factor from the measure to the number that people see."""

    def severity(self, value: float) -> Severity:
        rising = self.levels[0] < self.levels[-1]
        passed = sum(value >= level if rising else value <= level for level in self.levels)
        return Severity(passed)

    def margin(self, value: float) -> float:
        """Octaves between a value and the first threshold."""
        first = self.levels[0]
        return abs(math.log2(max(abs(value), 1e-6) / first))


THRESHOLDS: Mapping[str, Thresholds] = MappingProxyType(
    {
        "weave": Thresholds(
            levels=(0.2, 0.6, 1.5), unit="px", says="the picture trembles in the gate",
            quantile=0.75,
        ),
        "flicker": Thresholds(
            levels=(0.0024, 0.012, 0.03), unit="%", says="brightness trembles", quantile=0.75,
            shown=100,
        ),
        "dirt": Thresholds(
            levels=(5e-4, 3e-3, 1.2e-2), unit="ppm", says="specks that last one frame",
            quantile=0.75, shown=1e6,
        ),
        "scratches": Thresholds(
            levels=(1.5e-3, 4e-3, 1.2e-2), unit="ppm", says="upright lines that stay",
            quantile=0.75, shown=1e6,
        ),
        "chroma shift": Thresholds(
            levels=(1.35, 2.0, 3.5), unit="px", says="colour lies beside its luma"
        ),
        "head switch": Thresholds(
            levels=(3.0, 6.0, 14.0), unit="rows", says="rows at the bottom are torn off"
        ),
        "noise": Thresholds(
            levels=(1.35, 4.0, 9.0), unit="codes", says="texture that is new in every frame"
        ),
        "chroma noise": Thresholds(
            levels=(1.6, 3.0, 6.0), unit="codes", says="colours crawl"
        ),
        "blockiness": Thresholds(
            levels=(0.62, 1.5, 2.8), unit="codes", says="the grid of a codec's blocks shows"
        ),
        "starved texture": Thresholds(
            levels=(0.55, 0.8, 1.01), unit="", says="a codec dropped weak texture"
        ),
        "halos": Thresholds(
            levels=(0.09, 0.15, 0.25), unit="%", says="edges overshoot", shown=100
        ),
        "banding": Thresholds(
            levels=(0.45, 0.6, 0.8), unit="%", says="slow gradients come in steps", shown=100
        ),
        "drawing": Thresholds(
            levels=(0.3, 0.5, 0.75), unit="%", says="flat areas, as in drawings", shown=100
        ),
        "resolution": Thresholds(
            levels=(0.84, 0.6, 0.4), unit="%", shown=100,
            says="the picture is softer than its size",
        ),
        "chroma bandwidth": Thresholds(
            levels=(0.14, 0.09, 0.05), unit="%", says="colour is smeared sideways", shown=100
        ),
        "colour cast": Thresholds(
            levels=(0.05, 0.065, 0.08), unit="codes", says="shadows and lights lean to one colour",
            shown=224,
        ),
    }
)  # fmt: skip
"""Finding -> its thresholds.  Chosen on one half of the clips, by name, that training uses."""

NAMES = (
    "field order", "cadence", "duplicates", "weave", "flicker", "dirt", "scratches", "grain",
    "noise", "chroma noise", "blockiness", "starved texture", "halos", "banding", "chroma shift",
    "chroma bandwidth", "head switch",
    "drawing", "black bars", "sample aspect", "resolution", "levels", "colour cast", "colour",
    "shots",
)  # fmt: skip
"""What is looked for, in the order of a report."""

_SHARP = 0.84
"""Resolution from which missing texture is a codec's doing and not the lens's."""

_MONO = 0.0035
"""Saturation below which a picture is monochrome."""

_LIFTED, _DIM = 0.08, 0.75
"""Black above this, white below this: the range is not used.  Both hold of 4 photographs in 100."""

_FLAT = 0.6
"""Distance from black to white below which that disturbs."""

_SEVERAL = 3
"""Readings from which one end of the range alone is no matter of haze or dusk, and a cast no matter
of what is filmed."""

_OUTSIDE = 0.025
"""Head- or footroom used by so much in 0.2 % of the picture: the range may be wrongly tagged."""


def judge(
    info: MediaInfo,
    readings: Sequence[Reading],
    cadence: Cadence,
    *,
    bars: BarsFound | None,
    shots: int,
    whole: bool,
) -> tuple[Finding, ...]:
    """One finding for each of NAMES."""
    found = {
        **fields(cadence),
        **{name: _measured(name, readings) for name in THRESHOLDS},
        **{name: _unknown(name, THRESHOLDS[name].unit) for name in _impossible(info)},
        "grain": _grain(readings),
        "black bars": black_bars(bars),
        "sample aspect": sample_aspect(info),
        "levels": _levels(readings),
        "colour": _colour(readings),
        "shots": shot_count(shots, whole=whole),
    }
    return tuple(found[name] for name in NAMES)


def _impossible(info: MediaInfo) -> tuple[str, ...]:
    """What cannot be told of such a source: tape holds no high definition, and finer steps than
    8 bit keep texture that the measure takes for lost."""
    video = info.video
    high = min(video.width, video.height) > _TAPE_LINES
    return ("head switch",) * high + ("starved texture",) * (video.format.depth > 8)


_TAPE_LINES = 620
"""Lines of standard definition, and some to spare."""


# ---------------------------------------------------------------------------- from readings


def _weave(reading: Reading) -> float | None:
    values = reading.values
    size = math.hypot(values["weave_x"], values["weave_y"])
    if values["moved"] < _SEEN:
        return None
    # A hand that holds a camera goes on where it went; a gate forgets.
    sure = size >= 2.5 * values["weave_error"] and values["weave_rough"] >= _ROUGH
    return size if sure else 0.0


_SEEN = 0.15
"""Share of the picture that must be found again for its place to be known."""

_ROUGH = 0.42


def _flicker(reading: Reading) -> float | None:
    size, agree = reading.values["flicker"], reading.values["flicker_agree"]
    return size if agree >= _TOGETHER and size * agree**4 >= _LAMP else 0.0


_TOGETHER = 0.6
"""Agreement of the parts of the picture below which motion changes the light, not a lamp."""

_LAMP = 0.0024
"""Least flicker on which all of the picture agrees; with less agreement, more is asked for."""


def _dirt(reading: Reading) -> float | None:
    share = reading.values["dirt"]
    anew = reading.values["dirt_repeats"] <= _ANEW
    return share if anew or share >= _DIRTY else 0.0


_ANEW = 1.7
"""Repeats up to which specks do not stay where they were, as moving things do."""

_DIRTY = 4e-3
"""Dirt so dense that no motion feigns it."""


def _believed(reading: Reading) -> bool:
    """Whether what is new in every frame is grain or noise: what moves is coarse."""
    values = reading.values
    power = max(values["grain_fine"] ** 2, values["grain"] ** 2 / _COARSE)
    return values["grain_trust"] * power >= _EVIDENCE_OF_NOISE


_EVIDENCE_OF_NOISE = 0.85
"""Trusted power of fine noise, in squared 8-bit codes, below which it may be motion."""

_COARSE = 12.0
"""How many times less coarse power counts than fine."""


def _noise(reading: Reading) -> float | None:
    return reading.values["grain"] if _believed(reading) else 0.0


def _chroma_noise(reading: Reading) -> float | None:
    return reading.values["chroma_grain"] if _believed(reading) else 0.0


def _resolution(reading: Reading) -> float | None:
    across, down = reading.values["fine_x"], reading.values["fine_y"]
    # Upright waves or a fence have the frequencies of detail; all blocks without fine texture
    # say that there is none.
    soft = reading.values["starved"] >= _EMPTY and min(across, down) > 0
    return (min(across, down) if soft else max(across, down)) or None


_EMPTY = 0.95
"""Lack of fine texture from which the softer direction speaks for the picture."""


def _starved(reading: Reading) -> float | None:
    fine = _resolution(reading)
    return reading.values["starved"] if fine is not None and fine >= _SHARP else 0.0


def _chroma_bandwidth(reading: Reading) -> float | None:
    return reading.values["chroma_x"] or None if reading.values["saturation"] > 0.02 else None


def _cast(reading: Reading) -> float | None:
    values = reading.values
    common = math.hypot(values["cast_cb"], values["cast_cr"])
    # The shadows of a print that lost its cyan are pink; those of a warm scene are brown.
    pink = _PINK_CB * values["shadow_cb"] + _PINK_CR * values["shadow_cr"]
    return max(_COMMON * common, _DYES * (values["dyes"] + pink))


_COMMON = 0.5
"""How much less a lean that shadows and lights share counts than faded dyes: autumn has it too."""

_DYES = 0.111
"""Cast that goes with dyes that have faded wholly."""

_PINK_CB, _PINK_CR = 3.0, 2.0
"""What Cb and Cr of the shadows add to the estimate of fading.  With them, 46 and 78 of 100
photographs that fade by 0.4 and 0.6 are told at 25 false alarms in 1000, without them 27 and 56."""


def _named(name: str) -> Callable[[Reading], float | None]:
    return lambda reading: reading.values[name]


def _chroma_shift(reading: Reading) -> float | None:
    values = reading.values
    if values["chroma_shift_trust"] < _TRUSTED_SHIFT:
        return 0.0
    return max(abs(values["chroma_shift_x"]), abs(values["chroma_shift_y"]))


_TRUSTED_SHIFT = 0.25


def _halo(reading: Reading) -> float:
    """Overshoot along the lines.  What it is more than down the columns counts threefold: a camera
    sharpens both alike, and a tape's peaking knows lines alone."""
    along, down = reading.values["halo"], reading.values["halo_down"]
    # 0 is too few edges.
    told = along >= _SEEN_OVERSHOOT and down != 0.0
    return max(along, _PEAKING * (along - down)) if told else along


_SEEN_OVERSHOOT = 0.04
_PEAKING = 3.2


_MEASURES: Mapping[str, Callable[[Reading], float | None]] = MappingProxyType(
    {
        "weave": _weave,
        "flicker": _flicker,
        "dirt": _dirt,
        "chroma shift": _chroma_shift,
        "head switch": _named("head_switch"),
        "noise": _noise,
        "chroma noise": _chroma_noise,
        "blockiness": lambda reading: reading.values["blocks"],
        "starved texture": _starved,
        "halos": _halo,
        "drawing": lambda reading: reading.values["flat"],
        "resolution": _resolution,
        "chroma bandwidth": _chroma_bandwidth,
        "colour cast": _cast,
    }
)
"""Finding -> its number in a reading, where it is not the value of the same name."""

_EVIDENCE = MappingProxyType(
    {
        "noise": "mean", "chroma noise": "saturation", "blockiness": "blocks",
        "starved texture": "starved", "halos": "halo", "drawing": "flat", "resolution": "fine_x",
        "chroma bandwidth": "chroma_x", "colour cast": "cast_cr",
    }
)  # fmt: skip


def _measured(name: str, readings: Sequence[Reading]) -> Finding:
    """A finding by thresholds."""
    rule = THRESHOLDS[name]
    measure = _MEASURES.get(name, _named(name))
    pairs = [(value, reading) for reading in readings if (value := measure(reading)) is not None]
    if not pairs:
        return _unknown(name, rule.unit)
    rising = rule.levels[0] < rule.levels[-1]
    pairs.sort(key=lambda pair: pair[0], reverse=not rising)
    value = _at(pairs, rule.quantile)
    severity = rule.severity(value)
    if name == "colour cast" and len(pairs) < _SEVERAL:
        severity = min(severity, Severity.SLIGHT)
    agree = sum(
        reading.frames
        for one, reading in pairs
        if (rule.severity(one) > Severity.ABSENT) == (severity > Severity.ABSENT)
    ) / sum(reading.frames for _, reading in pairs)
    worst = [reading for _, reading in reversed(pairs)][:3]
    key = _EVIDENCE.get(name, name)
    return Finding(
        name=name,
        severity=severity,
        value=round(rule.shown * value, 3),
        unit=rule.unit,
        confidence=round(
            min(0.98, 0.5 + 0.45 * min(1.0, rule.margin(value)))
            * _firm(agree)
            * _seen_enough(name, len(pairs)),
            3,
        ),
        says=rule.says if severity > Severity.ABSENT else _absence(name),
        evidence_frames=tuple(reading.worst.get(key, reading.first) for reading in worst),
    )


def _at(pairs: Sequence[tuple[float, Reading]], quantile: float) -> float:
    """The value that a share of all frames does not exceed."""
    total = sum(reading.frames for _, reading in pairs)
    passed = 0
    for value, reading in pairs:
        passed += reading.frames
        if passed >= quantile * total:
            return value
    return pairs[-1][0]


def _seen_enough(name: str, shots: int) -> float:
    """What one shot feigns, several shots do not: a red door, a hazy day."""
    return 1 - 0.3 / shots if name == "colour cast" else 1.0


def _firm(agree: float) -> float:
    return 0.6 + 0.4 * agree


def _absence(name: str) -> str:
    return "as fine as its size" if name == "resolution" else "none seen"


def _unknown(name: str, unit: str) -> Finding:
    return Finding(
        name=name, severity=Severity.UNKNOWN, value=None, unit=unit, confidence=0.0,
        says="nothing to tell it by",
    )  # fmt: skip


def _typical(readings: Sequence[Reading], name: str) -> float:
    pairs = sorted(((one.values[name], one) for one in readings), key=lambda pair: pair[0])
    return _at(pairs, 0.5)


def _grain(readings: Sequence[Reading]) -> Finding:
    """Whether what is new in every frame looks like film: clumped, or colour as strong as luma."""
    noise = _measured("noise", readings)
    if not readings or not noise.found:
        severity = noise.severity
        return Finding(
            name="grain", severity=severity, value=noise.value, unit="codes",
            confidence=noise.confidence, says=noise.says,
        )  # fmt: skip
    size, hump = _typical(readings, "grain_size"), _typical(readings, "grain_hump")
    film = size >= _CLUMPED or hump >= _HUMPED
    return Finding(
        name="grain",
        severity=noise.severity if film else Severity.ABSENT,
        value=noise.value,
        unit="codes",
        confidence=round(noise.confidence * 0.8, 3),
        says="clumps, strongest in the mid-tones" if film else "fine and even: noise, not grain",
        evidence_frames=noise.evidence_frames,
        detail=MappingProxyType({"size_px": round(size, 2), "hump": round(hump, 2)}),
    )


_CLUMPED = 1.35
_HUMPED = 1.2


def _levels(readings: Sequence[Reading]) -> Finding:
    if not readings:
        return _unknown("levels", "%")
    black = min(reading.values["black"] for reading in readings)
    white = max(reading.values["white"] for reading in readings)
    says, severity = "the range is used", Severity.ABSENT
    if black < -_OUTSIDE and white > 1 + _OUTSIDE:
        says, severity = "values outside the range: full range tagged limited?", Severity.CLEAR
    elif (black > _LIFTED and white < _DIM) or (
        len(readings) >= _SEVERAL and (black > _LIFTED or white < _DIM)
    ):
        parts = (["black is lifted"] if black > _LIFTED else []) + (
            ["white is dim"] if white < _DIM else []
        )
        clear = (len(parts) == 2 and white - black < _FLAT) or black > 2 * _LIFTED
        says, severity = " and ".join(parts), Severity.CLEAR if clear else Severity.SLIGHT
    return Finding(
        name="levels",
        severity=severity,
        value=round(100 * (white - black), 1),
        unit="%",
        # One dark shot is no fading.
        confidence=round(0.9 - 0.4 / len(readings), 3),
        says=says,
        evidence_frames=(min(readings, key=lambda one: one.values["black"]).first,),
        detail=MappingProxyType({"black": round(black, 4), "white": round(white, 4)}),
    )


def _colour(readings: Sequence[Reading]) -> Finding:
    if not readings:
        return _unknown("colour", "")
    saturation = max(reading.values["saturation"] for reading in readings)
    mono = saturation < _MONO
    tint = max(abs(_typical(readings, name)) for name in ("tint_cb", "tint_cr"))
    says = "in colour"
    if mono:
        says = "monochrome, tinted" if tint > _MONO else "monochrome"
    return Finding(
        name="colour",
        severity=Severity.SLIGHT if mono else Severity.ABSENT,
        value=round(saturation, 4),
        unit="",
        confidence=round(min(0.95, 0.5 + 0.25 * abs(math.log2(max(saturation, 1e-4) / _MONO))), 3),
        says=says,
    )
