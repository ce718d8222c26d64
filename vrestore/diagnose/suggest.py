"""Which preset suits a source: rules as data, tried against the findings.

A rule's conditions are all required; among the rules that hold, the one with most conditions, then
the first, is chosen.  Nothing that takes something away (strong denoising, another frame rate, a
crop) is chosen unless the findings that call for it are there with `_SURE` confidence, and no
preset that enlarges a clean picture is: how large is the user's wish.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import TypeAlias

from vrestore.diagnose.values import Finding, Severity, Suggestion
from vrestore.media import MediaInfo

__all__ = ["RULES", "Facts", "Rule", "facts_of", "suggest"]

_SURE = 0.55
"""Confidence from which a finding may decide."""

_SURE_CADENCE = 0.5
"""The same for the cadence, of which the plan asks no more (`fieldplan`)."""

Facts: TypeAlias = Mapping[str, str]
"""Name of a fact that holds -> the clause that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a preset is the right one."""

    preset: str

    needs: tuple[str, ...] = ()
    """Facts that must hold; "a|b" where one of them is enough, "!a" where it must not."""


RULES = (
    Rule(preset="still", needs=("still",)),
    Rule(preset="tape-dv", needs=("dv", "interlaced")),
    Rule(preset="dvd-ntsc-film", needs=("sd|hd", "telecine")),
    Rule(preset="dvd-pal-film", needs=("sd|hd", "phase-shifted")),
    Rule(preset="dvd-pal-film", needs=("mpeg2", "pal size", "whole pictures", "!worn")),
    Rule(preset="dvd-ntsc-film", needs=("mpeg2", "ntsc size", "whole pictures", "!worn")),
    Rule(preset="tv-old", needs=("blended",)),
    Rule(preset="tape-vhs", needs=("sd", "interlaced", "chroma noise|smeared colour", "noise")),
    Rule(preset="tape-vhs", needs=("sd", "head switch")),
    Rule(preset="tape-vhs", needs=("sd", "interlaced", "displaced colour", "smeared colour|noise")),
    Rule(preset="dvd-interlaced", needs=("interlaced",)),
    Rule(preset="dvd-interlaced", needs=("sd", "hybrid")),
    Rule(preset="film-bw-silent", needs=("worn", "monochrome")),
    Rule(preset="film-bw-silent", needs=("worn", "monochrome", "slow|flicker|held pictures")),
    Rule(preset="film-bw-silent", needs=("monochrome", "held pictures", "!drawn")),
    Rule(preset="film-faded", needs=("faded", "worn|grain", "!monochrome")),
    Rule(preset="film-faded", needs=("faded", "colour cast", "worn|grain", "!monochrome")),
    Rule(preset="film-8mm", needs=("worn", "weave", "grain", "slow|sd")),
    Rule(preset="film-16mm", needs=("worn", "grain|noise|flicker|weave")),
    Rule(preset="film-16mm", needs=("worn",)),
    Rule(preset="film-35mm", needs=("hd|uhd", "grain", "!flicker", "!weave")),
    Rule(preset="anime-cel", needs=("drawn", "grain|noise|dirt", "!hdr")),
    Rule(preset="anime-digital", needs=("drawn", "held pictures", "!noise", "!hdr")),
    Rule(preset="screen-cg", needs=("drawn", "full chroma", "!noise")),
    Rule(preset="digital-early", needs=("small", "coded", "whole pictures|still scene", "!film")),
    Rule(
        preset="digital-early",
        needs=("small", "noise", "whole pictures|still scene", "!film"),
    ),
    Rule(preset="digital-early", needs=("old codec", "coded|noise|soft", "!interlaced", "!film")),
    Rule(preset="plain"),
)
"""In the order in which they are tried where equally many of their conditions hold."""

_OLD_CODECS = frozenset(
    {"mpeg4", "msmpeg4v2", "msmpeg4v3", "h263", "mjpeg", "wmv1", "wmv2", "wmv3", "rv30", "rv40",
     "flv1", "svq1", "svq3", "cinepak", "mpeg1video", "vp6", "vp6f", "indeo5"}
)  # fmt: skip


def suggest(info: MediaInfo, findings: Sequence[Finding]) -> Suggestion:
    """The preset for a source with these findings; `plain` where nothing is sure."""
    facts = facts_of(info, findings)
    fitting = [rule for rule in RULES if all(_holds(need, facts) for need in rule.needs)]
    rule = max(fitting, key=lambda one: len(one.needs))
    named = [_clause(need, facts) for need in rule.needs]
    reasons = [clause for clause in dict.fromkeys(named) if clause]
    spare = [clause for clause in _told(facts) if clause not in reasons]
    if any(clause in _sizes(facts) for clause in reasons):
        spare = [clause for clause in spare if clause not in _sizes(facts)]
    filled = [*reasons, *spare, *_FILLERS][:3]
    deciding = [f.confidence for f in findings if f.found and f.confidence >= _SURE]
    return Suggestion(
        preset=rule.preset,
        reasons=(filled[0], filled[1], filled[2]),
        overrides=MappingProxyType(_overrides(rule.preset, findings)),
        confidence=round(min(0.95, 0.4 + 0.1 * len(rule.needs)), 2)
        if not deciding
        else round(min(0.95, sum(deciding) / len(deciding)), 2),
    )


_SIZES = ("pal size", "ntsc size", "small", "sd", "hd", "uhd")
"""Facts that say how large the picture is, the most telling first."""


def _sizes(facts: Facts) -> list[str]:
    return [facts[name] for name in _SIZES if name in facts]


def _told(facts: Facts) -> list[str]:
    """What is worth telling, the findings before the header, the size once."""
    header = ("still", "dv", "mpeg2", "old codec", "slow", "hdr", "full chroma")
    seen = [clause for name, clause in facts.items() if name not in (*_SIZES, *header) and clause]
    return [*seen, *(facts[name] for name in header if name in facts), *_sizes(facts)[:1]]


_FILLERS = (
    "nothing was found that would need treatment",
    "nothing is taken away without evidence",
    "its size and rate are kept",
)


def _overrides(preset: str, findings: Sequence[Finding]) -> dict[str, object]:
    """What the findings say against the file's own flags, and against a preset's strengths: where
    nothing calls for a preset of its own, the network gets what each shot needs and no more, or it
    takes glints and pebbles for dust."""
    changes: dict[str, object] = {"cuts.tune": True} if preset == "plain" else {}
    for one in findings:
        if one.name == "field order" and one.severity is Severity.CLEAR and _sure(one):
            changes["deinterlace.order"] = "tff" if one.says.startswith("top") else "bff"
    return changes


def _sure(finding: Finding) -> bool:
    return finding.confidence >= _SURE


def _holds(need: str, facts: Facts) -> bool:
    if need.startswith("!"):
        return need[1:] not in facts
    return any(name in facts for name in need.split("|"))


def _clause(need: str, facts: Facts) -> str:
    return next((facts[name] for name in need.split("|") if name in facts), "")


def facts_of(info: MediaInfo, findings: Sequence[Finding]) -> Facts:
    """What holds of a source, each with its clause; findings that are not sure hold nothing."""
    found = {one.name: one for one in findings}
    return MappingProxyType({**_of_header(info), **_of_pictures(found)})


def _of_header(info: MediaInfo) -> dict[str, str]:
    video = info.video
    facts: dict[str, str] = {}
    size = f"{video.width}x{video.height}"
    lines = min(video.width, video.height)
    if info.is_still:
        facts["still"] = "it is a single picture"
    if lines <= 600 and max(video.width, video.height) <= 1024:
        facts["sd"] = f"standard definition, {size}"
    elif lines < 1400:
        facts["hd"] = f"high definition, {size}"
    else:
        facts["uhd"] = f"ultra high definition, {size}"
    if lines <= 484 and max(video.width, video.height) <= 864:
        facts["small"] = f"a small picture, {size}"
    if video.height == 576:
        facts["pal size"] = f"the size of PAL, {size}"
    if video.height in (480, 486):
        facts["ntsc size"] = f"the size of NTSC, {size}"
    codec = video.stream.codec
    if codec == "dvvideo":
        facts["dv"] = "coded as DV, as by camcorders"
    if codec == "mpeg2video":
        facts["mpeg2"] = "coded as MPEG-2, as on DVD"
    if codec in _OLD_CODECS:
        facts["old codec"] = f"coded as {codec}, as by early digital cameras and on the early web"
    if video.average_rate is not None and video.average_rate <= Fraction(41, 2):
        facts["slow"] = f"{float(video.average_rate):.4g} pictures a second"
    if video.color.transfer.name in ("PQ", "HLG"):
        facts["hdr"] = f"its range is high ({video.color.transfer.name})"
    if video.format.log2_chroma_w == 0 and video.format.color_planes == 3:
        facts["full chroma"] = "colour at full resolution"
    return facts


_BY_FINDING: Mapping[str, tuple[str, Severity]] = MappingProxyType(
    {
        "weave": ("weave", Severity.SLIGHT),
        "flicker": ("flicker", Severity.SLIGHT),
        "dirt": ("dirt", Severity.SLIGHT),
        "scratches": ("scratches", Severity.SLIGHT),
        "chroma shift": ("displaced colour", Severity.SLIGHT),
        "head switch": ("head switch", Severity.SLIGHT),
        "grain": ("grain", Severity.SLIGHT),
        "noise": ("noise", Severity.SLIGHT),
        "chroma noise": ("chroma noise", Severity.SLIGHT),
        "chroma bandwidth": ("smeared colour", Severity.SLIGHT),
        "blockiness": ("coded", Severity.SLIGHT),
        "starved texture": ("coded", Severity.CLEAR),
        "resolution": ("soft", Severity.SLIGHT),
        "colour cast": ("colour cast", Severity.CLEAR),
        "levels": ("faded", Severity.CLEAR),
        "colour": ("monochrome", Severity.SLIGHT),
        "duplicates": ("held pictures", Severity.CLEAR),
        "drawing": ("drawn", Severity.SLIGHT),
    }
)
"""Finding -> the fact that it makes, from which severity on."""

_CADENCE_FACTS: Mapping[str, str] = MappingProxyType(
    {
        "interlaced video": "interlaced",
        "3:2 pulldown of film": "telecine",
        "3:2 pulldown by flags alone": "telecine",
        "2:2 film, half a frame late": "phase-shifted",
        "fields that mix two pictures": "blended",
        "several cadences in turn": "hybrid",
        "whole pictures": "whole pictures",
        "whole pictures, flagged interlaced": "whole pictures",
        "whole pictures, some shown twice or more": "whole pictures",
        "too little moves to tell": "still scene",
    }
)


_CADENCE_CLAUSES: Mapping[str, str] = MappingProxyType(
    {
        "interlaced video": "its fields are of different times: interlaced video",
        "3:2 pulldown of film": "its fields repeat as film does on NTSC",
        "3:2 pulldown by flags alone": "film whose repeats are flags alone",
        "2:2 film, half a frame late": "its frames pair fields of two film pictures",
        "fields that mix two pictures": "its fields mix two pictures",
        "several cadences in turn": "its fields follow several cadences in turn",
        "whole pictures": "its frames are whole pictures",
        "whole pictures, flagged interlaced": "its frames are whole, whatever the flags say",
        "whole pictures, some shown twice or more": "some of its pictures are shown twice or more",
        "too little moves to tell": "too little moves to tell fields from frames",
    }
)
"""The same as reasons."""


_FIELDS = frozenset({"interlaced", "telecine", "phase-shifted", "blended", "hybrid"})
"""Facts that say that fields must be put right before anything is judged by its frames."""

_HELD = 45.0
"""Per cent of repeats from which pictures are drawn on twos or threes, not filmed slowly."""


def _of_pictures(found: Mapping[str, Finding]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for name, (fact, least) in _BY_FINDING.items():
        one = found[name]
        if one.severity >= least and _sure(one):
            facts.setdefault(fact, _said(one))
    cadence = found["cadence"]
    layout = _CADENCE_FACTS[cadence.says]
    if cadence.confidence >= _SURE_CADENCE or cadence.severity <= Severity.ABSENT:
        facts[layout] = _CADENCE_CLAUSES.get(cadence.says, cadence.says)
    repeated = found["duplicates"].value or 0.0
    if "held pictures" in facts and repeated >= _HELD and "monochrome" not in facts:
        facts.setdefault("drawn", f"pictures are held as in animation ({repeated:.0f} % repeat)")
    # Drawn lines stay and drawn light jumps; fields that differ tremble and comb, even where it is
    # not sure how they do.
    marks = ["dirt"] if "drawn" in facts else ["dirt", "scratches", "flicker", "weave"]
    marks = [name for name in marks if name in facts and layout not in _FIELDS]
    if _is_worn(found, marks, monochrome="monochrome" in facts):
        facts["worn"] = facts[marks[0]]
    kept_slowly = "monochrome" in facts and "held pictures" in facts
    if "worn" in facts or "drawn" in facts or kept_slowly:
        # Said by the facts themselves; rules for video ask that it is not there.
        facts["film"] = ""
    troubles = ("noise", "coded", "soft", "dirt", "scratches", "flicker", "weave")
    if not any(name in facts for name in troubles):
        facts["clean"] = "no noise, blocks, softness, dirt, flicker or weave was seen"
    return facts


def _is_worn(found: Mapping[str, Finding], marks: Sequence[str], *, monochrome: bool) -> bool:
    """Two marks of film, or one that disturbs, or one on what was shot in black and white.

    One alone may be the lines of a court, leaves in the wind, or a hand that holds the camera.
    """
    strong = any(found[name].severity is Severity.STRONG for name in marks)
    return len(marks) >= 2 or strong or (monochrome and bool(marks))


_NUMBERED = frozenset(
    {"weave", "flicker", "noise", "chroma noise", "chroma shift", "head switch", "blockiness",
     "duplicates", "resolution", "halos"}
)  # fmt: skip
"""Findings whose number says something to people."""

_UNITS = MappingProxyType({"codes": " of 255 steps", "px": " pixels", "rows": " rows", "%": " %"})


def _said(finding: Finding) -> str:
    if finding.value is None or finding.name not in _NUMBERED:
        return finding.says
    number = f"{finding.value:.2g}" if finding.value < 10 else f"{finding.value:.0f}"
    return f"{finding.says} ({number}{_UNITS.get(finding.unit, '')})"
