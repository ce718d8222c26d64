"""Findings lead to presets that exist, with three reasons; nothing is taken away unasked."""

import re
from dataclasses import replace
from fractions import Fraction

import pytest

from vrestore import preset
from vrestore.diagnose import Severity, as_json, as_text
from vrestore.diagnose.facts import CADENCES
from vrestore.diagnose.judge import NAMES, THRESHOLDS, judge
from vrestore.diagnose.suggest import RULES, suggest
from vrestore.diagnose.values import Diagnosis, Finding, Reading
from vrestore.media import (
    ColorModel,
    ColorSpec,
    FieldOrder,
    MediaInfo,
    SampleFormat,
    StreamInfo,
    StreamKind,
    VideoInfo,
)
from vrestore.ops.cadence import Cadence, CadenceKind

CLEAN = {
    "black": 0.02, "white": 0.98, "mean": 0.5, "clipped": 0.0, "saturation": 0.08,
    "tint_cb": 0.0, "tint_cr": 0.0, "shadow_cb": 0.0, "shadow_cr": 0.0,
    "cast_cb": 0.0, "cast_cr": 0.0, "fine_x": 1.0, "fine_y": 1.0,
    "chroma_x": 0.5, "halo": 0.01, "halo_down": 0.01, "blocks": 0.2, "starved": 0.0,
    "banding": 0.0, "flat": 0.02,
    "flicker": 0.0005, "flicker_agree": 0.9, "dyes": 0.2, "dirt_repeats": 1.0,
    "weave_x": 0.0, "weave_y": 0.0, "weave_rough": 0.0, "weave_error": 0.01,
    "moved": 0.8, "dirt": 0.0, "scratches": 0.0, "grain": 0.4, "grain_fine": 0.4, "grain_size": 1.0,
    "grain_hump": 1.0, "grain_trust": 0.2, "chroma_grain": 0.2, "chroma_shift_x": 0.0,
    "chroma_shift_y": 0.0, "chroma_shift_trust": 0.8, "head_switch": 0.0,
}  # fmt: skip
WORN = {"dirt": 8e-3, "flicker": 0.02, "weave_x": 0.7, "weave_y": 0.6, "weave_rough": 0.9}
GRAIN = {"grain": 6.0, "grain_size": 1.8, "grain_hump": 1.5, "grain_trust": 0.9}
TAPE = {"chroma_x": 0.07, "chroma_grain": 4.0, "grain": 5.0, "grain_trust": 0.9}


def info(width: int, height: int, *, codec: str = "h264", rate: int = 24) -> MediaInfo:
    return MediaInfo(
        path="in.mkv",
        container="matroska",
        video=VideoInfo(
            stream=StreamInfo(index=0, kind=StreamKind.VIDEO, codec=codec),
            width=width,
            height=height,
            format=SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1),
            pixel_format="yuv420p",
            color=ColorSpec(),
            average_rate=Fraction(rate),
        ),
        streams=(),
    )


def cadence(kind: CadenceKind = CadenceKind.PROGRESSIVE, **fields: object) -> Cadence:
    order = FieldOrder.PROGRESSIVE if kind is CadenceKind.PROGRESSIVE else FieldOrder.TOP_FIRST
    values = {"order": order, "confidence": 0.95, "frames": 100, "telling": 80.0, **fields}
    return Cadence(kind=kind, **values)


def findings(seen: Cadence, *parts: dict[str, float], media: MediaInfo | None = None):
    values = dict(CLEAN)
    for part in parts:
        values |= part
    readings = [
        Reading(first=48 * k, seconds=Fraction(48 * k, 24), frames=48, values=values)
        for k in range(4)
    ]
    return judge(media or info(720, 576), readings, seen, bars=None, shots=3, whole=True)


def chosen(media: MediaInfo, seen: Cadence, *parts: dict[str, float]) -> str:
    return suggest(media, findings(seen, *parts, media=media)).preset


PROGRESSIVE = cadence()
INTERLACED = cadence(CadenceKind.INTERLACED)


@pytest.mark.parametrize(
    ("expected", "media", "seen", "parts"),
    [
        ("plain", info(1920, 1080), PROGRESSIVE, ()),
        ("plain", info(3840, 2160), PROGRESSIVE, ()),
        ("plain", info(720, 576), PROGRESSIVE, ()),
        ("film-8mm", info(1440, 1080, rate=18), PROGRESSIVE, (WORN, GRAIN)),
        ("film-16mm", info(1440, 1080), PROGRESSIVE, (WORN,)),
        (
            "film-faded",
            info(1440, 1080),
            PROGRESSIVE,
            (WORN, GRAIN, {"black": 0.2, "cast_cr": 0.06}),
        ),
        ("film-35mm", info(1920, 1080), PROGRESSIVE, (GRAIN,)),
        ("film-bw-silent", info(720, 576, rate=18), PROGRESSIVE, (WORN, {"saturation": 0.0})),
        ("tape-vhs", info(720, 576, rate=25), INTERLACED, (TAPE,)),
        ("tape-dv", info(720, 480, codec="dvvideo"), INTERLACED, ()),
        ("dvd-interlaced", info(720, 576, codec="mpeg2video"), INTERLACED, ()),
        ("dvd-ntsc-film", info(720, 480), cadence(CadenceKind.TELECINE), ()),
        ("dvd-pal-film", info(720, 576), cadence(CadenceKind.PHASE_SHIFTED), ()),
        ("dvd-pal-film", info(720, 576, codec="mpeg2video"), PROGRESSIVE, ()),
        ("tv-old", info(720, 576), cadence(CadenceKind.BLENDED), ()),
        ("digital-early", info(320, 240, codec="mpeg4"), PROGRESSIVE, ({"blocks": 2.0},)),
        (
            "anime-digital",
            info(1280, 720),
            cadence(CadenceKind.DUPLICATES, duplicates=0.5),
            ({"flat": 0.7},),
        ),
        ("anime-cel", info(640, 480), PROGRESSIVE, ({"flat": 0.7}, GRAIN)),
    ],
)
def test_each_kind_of_source_gets_its_preset(expected, media, seen, parts):
    assert chosen(media, seen, *parts) == expected


def test_reasons_are_for_people():
    """No fact's name, one number at most (a size counts as one), nothing twice."""
    wild = {**WORN, **GRAIN, "saturation": 0.0, "blocks": 3.0, "black": 0.3, "dyes": 1.0}
    for media in (info(720, 576, codec="mpeg4"), info(1920, 1080), info(320, 240, codec="dvvideo")):
        for kind in CadenceKind:
            seen = cadence(kind, duplicates=0.3)
            for parts in ((), (WORN,), (wild,), (TAPE,), ({"flat": 0.7},)):
                said = suggest(media, findings(seen, *parts, media=media))
                assert len(set(said.reasons)) == 3
                for reason in said.reasons:
                    assert len(re.findall(r"\d+(?:[.x]\d+)?", reason.replace("MPEG-2", ""))) <= 2
                    assert not re.search(r"_|ppm|  ", reason)


@pytest.mark.parametrize("kind", [CadenceKind.INTERLACED, CadenceKind.TELECINE])
def test_fields_come_before_wear(kind):
    media = info(720, 576)
    assert chosen(media, cadence(kind), WORN, GRAIN).startswith("dvd-")


def test_what_may_be_combs_is_no_wear():
    media = info(720, 576, codec="h264")
    doubtful = cadence(CadenceKind.BLENDED, confidence=0.4)
    assert not chosen(media, doubtful, WORN, GRAIN).startswith("film-")
    assert chosen(media, replace(doubtful, confidence=0.53), WORN, GRAIN) == "tv-old"


def test_a_lamp_trembles_everywhere_and_motion_does_not():
    flicker = {"flicker": 0.02}
    names = {
        agree: [
            one.name
            for one in findings(PROGRESSIVE, flicker, {"flicker_agree": agree})
            if one.name == "flicker" and one.found
        ]
        for agree in (0.2, 0.9)
    }
    assert names == {0.2: [], 0.9: ["flicker"]}


def test_the_fainter_a_flicker_the_more_of_the_picture_must_agree():
    def found(size: float, agree: float) -> bool:
        seen = findings(PROGRESSIVE, {"flicker": size, "flicker_agree": agree})
        return next(one.found for one in seen if one.name == "flicker")

    assert found(0.003, 0.99)
    assert not found(0.003, 0.8)
    assert found(0.02, 0.8)


def test_faded_shadows_are_pink_and_warm_ones_brown():
    def cast(cb: float, cr: float) -> Severity:
        shadows = {"dyes": 0.45, "shadow_cb": cb, "shadow_cr": cr}
        seen = findings(PROGRESSIVE, shadows)
        return next(one.severity for one in seen if one.name == "colour cast")

    assert cast(0.02, 0.05) > Severity.ABSENT
    assert cast(-0.05, 0.04) is Severity.ABSENT


def test_one_shot_shows_no_more_than_a_slight_cast():
    """A red door is as red as a print that faded, until another shot is not."""

    def cast(shots: int) -> Finding:
        reading = Reading(
            first=0, seconds=Fraction(0), frames=48, values={**CLEAN, "dyes": 0.9, "cast_cr": 0.2}
        )
        found = judge(
            info(720, 576), [reading] * shots, PROGRESSIVE, bars=None, shots=shots, whole=True
        )
        return next(one for one in found if one.name == "colour cast")

    assert cast(1).severity is Severity.SLIGHT
    assert cast(4).severity is Severity.STRONG
    assert cast(1).confidence < cast(4).confidence


def test_what_overshoots_along_lines_alone_was_peaked_and_both_ways_was_sharpened():
    def halos(along: float, down: float) -> Finding:
        seen = findings(cadence(), {"halo": along, "halo_down": down})
        return next(one for one in seen if one.name == "halos")

    assert halos(0.06, 0.02).found
    assert not halos(0.06, 0.05).found
    assert not halos(0.06, 0.0).found, "there were too few edges across"
    assert halos(0.12, 0.11).found


def test_specks_that_stay_where_they_were_are_no_dirt():
    def dirt(repeats: float) -> Severity:
        found = findings(PROGRESSIVE, {"dirt": 2.5e-3, "dirt_repeats": repeats})
        return next(one.severity for one in found if one.name == "dirt")

    assert dirt(1.1) is Severity.SLIGHT
    assert dirt(2.4) is Severity.ABSENT


def test_high_definition_has_no_head_switch():
    torn = {"head_switch": 12.0}
    small, large = info(640, 480), info(1920, 1080)
    seen = [one.name for one in findings(PROGRESSIVE, torn, media=small) if one.found]
    assert "head switch" in seen
    assert not any(one.found for one in findings(PROGRESSIVE, torn, media=large))


def test_every_rule_names_a_preset_and_plain_always_fits():
    assert RULES[-1].preset == "plain"
    assert RULES[-1].needs == ()
    assert {rule.preset for rule in RULES} <= set(preset.names())


@pytest.mark.parametrize("kind", list(CadenceKind))
def test_nothing_that_changes_the_rate_is_suggested_without_sure_evidence(kind):
    unsure = cadence(kind, confidence=0.3)
    name = chosen(info(1920, 1080), unsure)
    settings = preset.load(name)
    assert settings.deinterlace.mode == "off"
    assert settings.ivtc.mode == "off"


def test_wrong_flags_are_overridden_only_where_sure():
    wrong = cadence(CadenceKind.INTERLACED, flags_agree=False)
    media = info(720, 576)
    assert dict(suggest(media, findings(wrong)).overrides) == {"deinterlace.order": "tff"}
    unsure = replace(wrong, confidence=0.4)
    assert "deinterlace.order" not in suggest(media, findings(unsure)).overrides


def test_where_nothing_calls_for_a_preset_the_network_gets_what_each_shot_needs():
    clean = suggest(info(1280, 720), findings(PROGRESSIVE, media=info(1280, 720)))
    assert (clean.preset, dict(clean.overrides)) == ("plain", {"cuts.tune": True})
    worn = suggest(info(1440, 1080), findings(PROGRESSIVE, WORN, media=info(1440, 1080)))
    assert worn.preset != "plain" and not worn.overrides


def test_there_is_one_finding_for_each_name_and_none_on_a_clean_source():
    found = findings(PROGRESSIVE, media=info(1920, 1080))
    assert tuple(one.name for one in found) == NAMES
    assert [one.name for one in found if one.found] == []
    assert all(kind in CADENCES for kind in CadenceKind)


@pytest.mark.parametrize("name", sorted(THRESHOLDS))
def test_thresholds_ascend_in_severity(name):
    rule = THRESHOLDS[name]
    got = [rule.severity(level) for level in rule.levels]
    assert got == [Severity.SLIGHT, Severity.CLEAR, Severity.STRONG]


def test_without_readings_nothing_is_claimed():
    found = judge(info(16, 16), [], cadence(CadenceKind.UNKNOWN), bars=None, shots=0, whole=True)
    measured = [one for one in found if one.name in THRESHOLDS]
    assert {one.severity for one in measured} == {Severity.UNKNOWN}
    assert suggest(info(720, 576), found).preset == "plain"


def test_text_and_json_hold_every_finding():
    found = findings(PROGRESSIVE, WORN)
    diagnosis = Diagnosis(
        path="in.mkv", whole=True, frames=9, findings=found,
        suggestion=suggest(info(720, 576), found),
    )  # fmt: skip
    text, json = as_text(diagnosis), as_json(diagnosis)
    assert all(name in text and f'"{name}"' in json for name in NAMES)
    assert text.count("because") == 3


def test_confidence_is_a_share():
    with pytest.raises(ValueError, match="confidence"):
        Finding(name="x", severity=Severity.SLIGHT, value=1, unit="", confidence=2, says="")
