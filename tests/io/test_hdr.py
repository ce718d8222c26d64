"""Static HDR data, in the bitstream and in the container."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from vrestore.io.encode import EncodeConfig, VideoTarget
from vrestore.io.hdr import svtav1_parameters, x264_parameters, x265_parameters
from vrestore.io.probe import probe
from vrestore.media import (
    ChromaLocation,
    ColorModel,
    ColorSpec,
    ContentLight,
    Frame,
    MasteringDisplay,
    Matrix,
    Primaries,
    Range,
    SampleFormat,
    Transfer,
)

DISPLAY = MasteringDisplay(
    red=(Fraction(34000, 50000), Fraction(16000, 50000)),
    green=(Fraction(13250, 50000), Fraction(34500, 50000)),
    blue=(Fraction(7500, 50000), Fraction(3000, 50000)),
    white=(Fraction(15635, 50000), Fraction(16450, 50000)),
    min_luminance=Fraction(1, 10000),
    max_luminance=Fraction(1000),
)
LIGHT = ContentLight(max_content=1000, max_average=400)
YUV420P10 = SampleFormat(model=ColorModel.YCBCR, depth=10, log2_chroma_w=1, log2_chroma_h=1)
PQ = ColorSpec(
    matrix=Matrix.BT2020_NCL,
    primaries=Primaries.BT2020,
    transfer=Transfer.PQ,
    range=Range.LIMITED,
    chroma_location=ChromaLocation.TOPLEFT,
)


def hdr_target(**fields: Any) -> VideoTarget:
    values: dict[str, Any] = {
        "width": 128, "height": 96, "format": YUV420P10, "color": PQ,
        "time_base": Fraction(1, 25), "rate": Fraction(25), "threads": 1,
        "mastering_display": DISPLAY, "content_light": LIGHT,
    }  # fmt: skip
    return VideoTarget(**values | fields)


def test_parameters_are_in_each_library_s_own_units() -> None:
    integers = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    assert x265_parameters(DISPLAY, LIGHT) == {
        "master-display": integers, "max-cll": "1000,400", "hdr10": "1",
    }  # fmt: skip
    assert x264_parameters(DISPLAY, LIGHT) == {"mastering-display": integers, "cll": "1000,400"}
    assert svtav1_parameters(DISPLAY, LIGHT) == {
        "mastering-display": "G(0.265000,0.690000)B(0.150000,0.060000)R(0.680000,0.320000)"
                             "WP(0.312700,0.329000)L(1000.0000,0.000100)",
        "content-light": "1000,400",
    }  # fmt: skip
    assert x265_parameters(None, None) == {}


@pytest.mark.parametrize("encoder", ["libx265", "libx264", "libsvtav1"])
def test_the_bitstream_alone_carries_it(
    encoder: str, write_frames: Callable[..., Any], make_noise: Callable[..., Frame],
    tmp_path: Path,
) -> None:  # fmt: skip
    wanted = hdr_target()
    output = tmp_path / "out.mkv"
    frames = [make_noise(wanted, index) for index in range(3)]
    write_frames(output, wanted, EncodeConfig(encoder=encoder, speed="ultrafast"), frames)
    with av.open(str(output)) as container:
        packet = next(container.demux(video=0))
        decoder = av.CodecContext.create(container.streams.video[0].codec_context.name, "r")
        decoder.extradata = container.streams.video[0].codec_context.extradata
        (frame,) = [*decoder.decode(packet), *decoder.decode(None)]
    names = {data.type.name for data in frame.side_data}
    assert {"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"} <= names


@pytest.mark.parametrize(
    ("encoder", "extension"),
    [("libx265", "mkv"), ("libx265", "mp4"), ("libx265", "mov"), ("libsvtav1", "mkv"),
     ("libsvtav1", "mp4"), ("libx264", "mkv"), ("ffv1", "mkv"), ("ffv1", "mp4"),
     ("prores_ks", "mov"), ("prores_ks", "mkv")],
)  # fmt: skip
def test_the_container_carries_it_whatever_the_codec(
    encoder: str, extension: str, write_frames: Callable[..., Any],
    make_noise: Callable[..., Frame], tmp_path: Path,
) -> None:  # fmt: skip
    format = replace(YUV420P10, log2_chroma_h=0) if encoder == "prores_ks" else YUV420P10
    wanted = hdr_target(format=format)
    output = tmp_path / f"out.{extension}"
    write_frames(output, wanted, EncodeConfig(encoder=encoder), [make_noise(wanted, 0)])
    video = probe(str(output)).video
    assert video.content_light == LIGHT
    found = video.mastering_display
    assert found is not None
    assert found.max_luminance == 1000
    for point in ("red", "green", "blue", "white"):
        for a, b in zip(getattr(found, point), getattr(DISPLAY, point), strict=True):
            assert abs(a - b) < Fraction(1, 10000)
    assert video.color.transfer is Transfer.PQ


@pytest.mark.parametrize(
    "name", ["hdr10_pq_prores_meridian.mov", "hdr10_av1_portrait.mp4", "fall_hlg_1080p.mov"]
)
def test_real_hdr_keeps_its_tags_and_static_data(
    name: str, shared: Path, transcode: Callable[..., Any], tmp_path: Path
) -> None:
    from vrestore.io.decode import DecodeConfig

    source = shared / "data/hdr" / name
    output = tmp_path / "out.mkv"
    transcode(source, output, "libx265", speed="ultrafast", decode=DecodeConfig(frames="0:3"))
    before, after = probe(str(source)).video, probe(str(output)).video
    assert after.color.transfer == before.color.transfer
    assert after.color.primaries == before.color.primaries
    assert after.content_light == before.content_light
    assert (after.mastering_display is None) == (before.mastering_display is None)
