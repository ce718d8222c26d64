"""The manifest tells the truth about the clips."""

import hashlib
import tomllib
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

FOLDER = Path(__file__).resolve().parents[1] / "sample_media"
MANIFEST = tomllib.loads((FOLDER / "manifest.toml").read_text(encoding="utf-8"))


@pytest.fixture(params=sorted(MANIFEST))
def facts(request: pytest.FixtureRequest) -> dict[str, Any]:
    return MANIFEST[request.param]


def test_every_clip_in_the_folder_has_its_facts_written_down():
    clips = {path.name for path in FOLDER.iterdir() if path.suffix not in (".py", ".toml", ".md")}
    assert clips == {facts["file"] for facts in MANIFEST.values()}


def test_the_file_is_the_one_described(facts):
    data = (FOLDER / facts["file"]).read_bytes()
    assert len(data) == facts["bytes"] <= 1.5 * 2**20
    assert hashlib.sha256(data).hexdigest() == facts["sha256"]


def test_the_picture_is_as_described(facts):
    with av.open(FOLDER / facts["file"]) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
    assert {(f.width, f.height, f.format.name) for f in frames} == {
        (facts["width"], facts["height"], facts["pixel_format"])
    }
    assert len(frames) == facts["frames"]
    assert stream.sample_aspect_ratio == Fraction(facts["sar"])
    times = [frame.pts * frame.time_base for frame in frames]
    assert times[0] == Fraction(facts["first_pts_seconds"])
    assert not facts["variable_rate"]
    assert {b - a for a, b in pairwise(times)} == {1 / Fraction(facts["rate"])}


def test_the_colour_tags_are_as_described(facts):
    with av.open(FOLDER / facts["file"]) as container:
        frame = next(container.decode(video=0))
    assert facts["matrix"] == "BT709"
    assert frame.colorspace == Colorspace.ITU709
    assert (facts["range"], frame.color_range) == ("LIMITED", ColorRange.MPEG)
    assert (facts["primaries"], frame.color_primaries) == ("BT709", ColorPrimaries.BT709)
    assert (facts["transfer"], frame.color_trc) == ("BT709", ColorTrc.BT709)


def test_the_streams_and_chapters_are_as_described(facts):
    with av.open(FOLDER / facts["file"]) as container:
        streams = [_stream_facts(stream) for stream in container.streams]
        chapters = [
            {
                "start_ms": chapter["start"] * chapter["time_base"] * 1000,
                "end_ms": chapter["end"] * chapter["time_base"] * 1000,
                "title": chapter["metadata"]["title"],
            }
            for chapter in container.chapters()
        ]
    assert streams == facts["streams"]
    assert chapters == facts["chapters"]


def _stream_facts(stream: Any) -> dict[str, Any]:
    found = {"kind": stream.type, "codec": stream.codec_context.codec.canonical_name}
    found |= {key: stream.metadata[key] for key in ("language", "title") if key in stream.metadata}
    if stream.type == "audio":
        found["channels"] = stream.codec_context.channels
    return found
