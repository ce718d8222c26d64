"""What unspecified tags mean, and which standard the output has."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from vrestore.errors import PlanError
from vrestore.media import (
    ChromaLocation,
    ColorModel,
    ColorSpec,
    Matrix,
    Primaries,
    Range,
    SampleFormat,
    Transfer,
)
from vrestore.ops.color import ColorConfig, is_sd, resolve, target_color

AUTO = ColorConfig()
YUV420 = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)
YUV444 = SampleFormat(model=ColorModel.YCBCR, depth=8)
RGB = SampleFormat(model=ColorModel.RGB, depth=8)
GRAY = SampleFormat(model=ColorModel.GRAY, depth=8)
NTSC, PAL = Fraction(30000, 1001), Fraction(25)
SD525 = ColorSpec(
    matrix=Matrix.SMPTE170M,
    primaries=Primaries.SMPTE170M,
    transfer=Transfer.SMPTE170M,
    range=Range.LIMITED,
    chroma_location=ChromaLocation.LEFT,
)
SD625 = replace(SD525, matrix=Matrix.BT470BG, primaries=Primaries.BT470BG)
HD = replace(SD525, matrix=Matrix.BT709, primaries=Primaries.BT709, transfer=Transfer.BT709)
UHD = replace(
    SD525, matrix=Matrix.BT2020_NCL, primaries=Primaries.BT2020, transfer=Transfer.BT2020_10
)
PQ = replace(UHD, transfer=Transfer.PQ)


def known(color, form=YUV420, width=1920, height=1080):
    return resolve(color, AUTO, form, width, height, PAL)


@pytest.mark.parametrize(
    ("width", "height", "rate", "expected"),
    [
        (720, 576, PAL, SD625),
        (720, 480, NTSC, SD525),
        (352, 288, NTSC, SD625),
        (352, 240, NTSC, SD525),
        (720, 480, PAL, SD525),
        (640, 360, PAL, SD625),
        (640, 360, Fraction(50), SD625),
        (640, 360, NTSC, SD525),
        (640, 360, None, SD525),
        (640, 360, Fraction(24), SD525),
        (360, 640, PAL, SD625),
        (1280, 720, PAL, HD),
        (1920, 1080, NTSC, HD),
        (3840, 2160, PAL, HD),
        (720, 1280, PAL, HD),
        (1024, 768, PAL, HD),
    ],
)
def test_untagged_video_follows_size_and_rate(width, height, rate, expected):
    choice = resolve(ColorSpec(), AUTO, YUV420, width, height, rate)
    assert choice.working == expected
    assert choice.tag == ColorSpec()
    assert len(choice.notes) == 5


def test_tagged_video_is_believed():
    for color in (SD525, SD625, HD, UHD, PQ, replace(HD, range=Range.FULL)):
        choice = resolve(color, AUTO, YUV420, 720, 576, PAL)
        assert (choice.working, choice.tag, choice.notes) == (color, color, ())


@pytest.mark.parametrize(
    ("tags", "matrix", "primaries", "transfer"),
    [
        ({"primaries": Primaries.BT2020}, Matrix.BT2020_NCL, Primaries.BT2020, Transfer.BT2020_10),
        ({"transfer": Transfer.PQ}, Matrix.BT2020_NCL, Primaries.BT2020, Transfer.PQ),
        ({"transfer": Transfer.HLG}, Matrix.BT2020_NCL, Primaries.BT2020, Transfer.HLG),
        ({"primaries": Primaries.BT470BG}, Matrix.BT470BG, Primaries.BT470BG, Transfer.SMPTE170M),
        ({"matrix": Matrix.SMPTE170M}, Matrix.SMPTE170M, Primaries.SMPTE170M, Transfer.SMPTE170M),
        ({"matrix": Matrix.RGB}, Matrix.BT709, Primaries.BT709, Transfer.BT709),
    ],
)
def test_what_is_known_decides_what_is_not(tags, matrix, primaries, transfer):
    working = known(ColorSpec(**tags)).working
    assert (working.matrix, working.primaries, working.transfer) == (matrix, primaries, transfer)


def test_rgb_and_gray_are_full_range():
    rgb, gray = known(ColorSpec(), RGB).working, known(ColorSpec(), GRAY).working
    assert (rgb.matrix, rgb.range, rgb.transfer) == (Matrix.RGB, Range.FULL, Transfer.SRGB)
    assert rgb.chroma_location is ChromaLocation.UNSPECIFIED
    assert (gray.matrix, gray.range) == (Matrix.BT709, Range.FULL)


def test_chroma_location_matters_only_where_chroma_is_subsampled():
    assert known(ColorSpec()).working.chroma_location is ChromaLocation.LEFT
    assert known(ColorSpec(), YUV444).working.chroma_location is ChromaLocation.UNSPECIFIED


def test_overrides_win_over_tags_and_are_written():
    config = ColorConfig(
        in_matrix="601-625",
        in_range="full",
        in_primaries="709",
        in_transfer="709",
        in_chroma_location="topleft",
    )
    choice = resolve(HD, config, YUV420, 1920, 1080, PAL)
    assert (
        choice.working
        == choice.tag
        == ColorSpec(
            matrix=Matrix.BT470BG,
            primaries=Primaries.BT709,
            transfer=Transfer.BT709,
            range=Range.FULL,
            chroma_location=ChromaLocation.TOPLEFT,
        )
    )
    assert choice.notes == ()


def test_one_override_leaves_the_other_tags_unspecified():
    choice = resolve(ColorSpec(), ColorConfig(in_matrix="709"), YUV420, 720, 576, PAL)
    assert choice.tag == ColorSpec(matrix=Matrix.BT709)
    assert choice.working.primaries is Primaries.BT709


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("in_matrix", "bt601"),
        ("in_range", "medium"),
        ("in_primaries", "x"),
        ("in_transfer", "gamma"),
        ("in_chroma_location", "middle"),
        ("out", "rec709"),
    ],
)
def test_unknown_names_are_refused_with_the_legal_ones(field, value):
    with pytest.raises(ValueError, match=f"{field} must be one of auto, .*'{value}'"):
        ColorConfig(**{field: value})


@pytest.mark.parametrize(
    ("width", "height", "sd"),
    [
        (1279, 576, True),
        (1280, 576, False),
        (1024, 577, False),
        (576, 1279, True),
        (176, 144, True),
    ],
)
def test_sd_is_small_either_way_up(width, height, sd):
    assert is_sd(width, height) is sd


# ------------------------------------------------------------------------------ output standard


def target(source, form=YUV420, to_form=YUV420, size=(720, 576), to_size=(2880, 2304), config=AUTO):
    return target_color(source, config, form=form, to_form=to_form, size=size, to_size=to_size)


@pytest.mark.parametrize("color", [SD525, SD625])
def test_sd_that_becomes_hd_becomes_709_and_says_so(color):
    choice = target(known(color))
    assert choice.working == choice.tag == HD
    assert choice.notes == ("colour is converted to 709",)


def test_untagged_sd_that_becomes_hd_is_tagged_709():
    choice = target(resolve(ColorSpec(), AUTO, YUV420, 720, 576, PAL))
    assert choice.working == HD
    assert (choice.tag.matrix, choice.tag.primaries) == (Matrix.BT709, Primaries.BT709)
    assert choice.tag.range is Range.UNSPECIFIED


@pytest.mark.parametrize(
    ("color", "size", "to_size"),
    [
        (SD625, (720, 576), (720, 576)),
        (SD625, (320, 240), (640, 480)),
        (HD, (720, 576), (2880, 2304)),
        (HD, (1920, 1080), (7680, 4320)),
        (SD525, (1920, 1080), (3840, 2160)),
        (UHD, (3840, 2160), (7680, 4320)),
        (PQ, (640, 480), (2560, 1920)),
        (HD, (1920, 1080), (640, 360)),
    ],
)
def test_everything_else_keeps_its_standard(color, size, to_size):
    source = known(color)
    choice = target(source, size=size, to_size=to_size)
    assert (choice.working, choice.tag, choice.notes) == (color, color, ())


def test_unknown_tags_stay_unknown_where_nothing_is_converted():
    choice = target(known(ColorSpec()), size=(1920, 1080), to_size=(3840, 2160))
    assert choice.tag == ColorSpec()


def test_a_guess_is_written_where_players_would_guess_another():
    down = target(known(ColorSpec()), size=(1920, 1080), to_size=(640, 360))
    assert (down.working.matrix, down.tag.matrix) == (Matrix.BT709, Matrix.BT709)
    sd = resolve(ColorSpec(), AUTO, YUV420, 720, 576, PAL)
    kept = target(sd, config=ColorConfig(out="keep"))
    assert kept.working == sd.working
    assert kept.tag.matrix is Matrix.BT470BG


@pytest.mark.parametrize(
    ("out", "expected"), [("601-525", SD525), ("601-625", SD625), ("709", HD), ("2020", UHD)]
)
@pytest.mark.parametrize("color", [SD525, SD625, HD, UHD])
def test_any_standard_may_be_asked_for(color, out, expected):
    assert target(known(color), config=ColorConfig(out=out)).working == expected


def test_hdr_is_never_tone_mapped():
    with pytest.raises(PlanError, match="never maps tones"):
        target(known(PQ), config=ColorConfig(out="709"))
    assert target(known(PQ), config=ColorConfig(out="2020")).working == PQ


def test_gray_has_no_colour_to_convert():
    source = known(ColorSpec(range=Range.FULL), GRAY, 720, 576)
    choice = target(source, form=GRAY, to_form=GRAY)
    assert choice.working == source.working
    as_video = target(source, form=GRAY, to_form=YUV420)
    assert (as_video.working.range, as_video.tag.range) == (Range.LIMITED, Range.LIMITED)
    assert as_video.tag.chroma_location is ChromaLocation.LEFT


def test_rgb_becomes_tagged_limited_ycbcr_and_the_reverse():
    rgb = known(ColorSpec(), RGB)
    as_video = target(rgb, form=RGB, to_form=YUV420, size=(1920, 1080), to_size=(3840, 2160))
    assert as_video.working == replace(HD, transfer=Transfer.SRGB)
    assert (as_video.tag.matrix, as_video.tag.range) == (Matrix.BT709, Range.LIMITED)
    as_picture = target(known(HD), to_form=RGB, size=(1920, 1080), to_size=(1920, 1080))
    assert (as_picture.working.matrix, as_picture.working.range) == (Matrix.RGB, Range.FULL)
    assert as_picture.working.chroma_location is ChromaLocation.UNSPECIFIED


def test_full_range_that_was_guessed_is_tagged_since_players_would_take_it_for_limited():
    form = SampleFormat(model=ColorModel.GRAY, depth=8)
    source = resolve(ColorSpec(), ColorConfig(), form, 64, 48, None)
    assert source.working.range is Range.FULL and source.tag.range is Range.UNSPECIFIED
    target = target_color(
        source, ColorConfig(), form=form, to_form=form, size=(64, 48), to_size=(64, 48)
    )
    assert target.tag.range is Range.FULL
    assert any("full range" in note for note in target.notes)
