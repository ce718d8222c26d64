"""The presets for film, tape and disc: each plans the sources it may meet, and does its kind."""

from fractions import Fraction
from pathlib import Path

import pytest

from vrestore import preset
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
from vrestore.planning import make_plan

PIPELINES = Path(__file__).resolve().parents[1] / "pipelines"
NAMES = sorted(path.stem for path in PIPELINES.glob("*.toml"))
SOURCES = {
    "480i": (720, 480, Fraction(8, 9), Fraction(30000, 1001), FieldOrder.BOTTOM_FIRST),
    "576i": (720, 576, Fraction(16, 15), Fraction(25), FieldOrder.TOP_FIRST),
    "1080p": (1920, 1080, Fraction(1), Fraction(24000, 1001), FieldOrder.PROGRESSIVE),
    "2160p": (3840, 2160, Fraction(1), Fraction(25), FieldOrder.PROGRESSIVE),
}
LONGEST = 25
"""Lines of a preset."""


def source(name: str) -> MediaInfo:
    width, height, sar, rate, order = SOURCES[name]
    base = 1 / rate / 2
    stream = StreamInfo(index=0, kind=StreamKind.VIDEO, codec="h264", time_base=base, start_pts=0)
    return MediaInfo(
        path="in.mkv",
        container="matroska",
        video=VideoInfo(
            stream=stream,
            width=width,
            height=height,
            format=SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1),
            pixel_format="yuv420p",
            color=ColorSpec(),
            sar=sar,
            time_base=base,
            average_rate=rate,
            frame_count=100,
            field_order=order,
        ),
        streams=(stream,),
        duration_seconds_from_header=100 / rate,
    )


@pytest.mark.parametrize("kind", sorted(SOURCES))
@pytest.mark.parametrize("name", NAMES)
def test_every_preset_plans_every_source(name, kind, tmp_path):
    info = source(kind)
    # Hardware encoders and the largest pictures of software ones are not this test's business.
    chosen = preset.load(name).override_all(
        [preset.Setting(key="encode.encoder", value="ffv1", origin="test")]
    )
    planned = make_plan(info, str(tmp_path / "out.mkv"), chosen)
    width, height = planned.size.output
    assert width * height >= info.video.width * info.video.height
    assert planned.model.name
    assert planned.preset.name == name


@pytest.mark.parametrize("name", NAMES)
def test_presets_are_short_and_extend_one_level(name):
    text = (PIPELINES / f"{name}.toml").read_text()
    assert len(text.splitlines()) <= LONGEST
    base = preset.load(name)
    assert base.description


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("film-")])
def test_film_presets_repair_film_and_touch_no_fields(name):
    film = preset.load(name)
    assert film.stabilise.strength > 0
    assert film.deflicker.strength > 0
    assert film.dirt.strength > 0
    assert film.scratches.strength > 0
    assert film.grain.keep > 0
    assert film.deinterlace.mode == "off"
    assert film.ivtc.mode == "off"
    assert film.size.scale is None and film.size.fit is None


def test_the_gentlest_film_preset_is_held_to_the_source():
    gentle, strong = preset.load("film-35mm"), preset.load("film-8mm")
    assert gentle.fidelity.max_change > 0
    assert gentle.dirt.strength < strong.dirt.strength
    assert gentle.grain.keep > strong.grain.keep


@pytest.mark.parametrize("name", ["tape-vhs", "tape-dv", "dvd-interlaced", "tv-old"])
def test_video_presets_make_whole_pictures_of_fields(name, tmp_path):
    video = preset.load(name)
    assert video.deinterlace.mode == "auto"
    planned = make_plan(source("576i"), str(tmp_path / "out.mkv"), video)
    assert planned.fields is not None
    assert planned.size.sar == 1


@pytest.mark.parametrize("name", ["dvd-pal-film", "dvd-ntsc-film"])
def test_film_on_disc_is_matched_and_never_doubled(name):
    film = preset.load(name)
    assert film.ivtc.mode == "auto"
    assert film.deinterlace.mode == "off"


@pytest.mark.parametrize("name", ["anime-cel", "anime-digital"])
def test_drawings_held_for_several_frames_are_restored_once(name):
    drawn = preset.load(name)
    assert drawn.duplicates.mode == "auto"
    assert drawn.ivtc.mode == "auto"


@pytest.mark.parametrize("name", ["still", "photo", "art"])
def test_presets_of_pictures_enlarge_and_add_no_stage(name, tmp_path):
    """So that large scans can be cut into tiles."""
    chosen = preset.load(name)
    assert chosen.size.scale == 2
    stream = StreamInfo(index=0, kind=StreamKind.VIDEO, codec="png")
    video = VideoInfo(
        stream=stream,
        width=6000,
        height=4000,
        format=SampleFormat(model=ColorModel.RGB, depth=8, alpha=True),
        pixel_format="rgba",
        color=ColorSpec(),
    )
    info = MediaInfo(path="in.png", container="png", video=video, streams=(stream,), is_still=True)
    planned = make_plan(info, str(tmp_path / "out.png"), chosen)
    assert planned.size.output == (12000, 8000)
    assert planned.format.alpha
    assert planned.tiles is not None
    assert not planned.losses
    flat = make_plan(info, str(tmp_path / "out.jpg"), chosen)
    assert [loss.what for loss in flat.losses] == ["transparency"]


def test_presets_of_pictures_differ_in_what_they_expect():
    strengths = [preset.load(name).restore.strength for name in ("still", "photo", "art")]
    assert strengths == sorted(set(strengths))
    assert strengths[0] == 0
