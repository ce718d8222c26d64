"""What an encoder is given comes back: samples, times, tags, side data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.errors import EncodeError
from vrestore.io.choose import choose_encoder
from vrestore.io.decode import DecodeConfig, Decoder
from vrestore.io.encode import EncodeConfig, VideoTarget, configure
from vrestore.io.encoders import ENCODERS
from vrestore.io.formats import planes_of, sample_format, video_frame
from vrestore.io.probe import probe
from vrestore.media import (
    ChromaLocation,
    ColorModel,
    ColorSpec,
    Frame,
    Matrix,
    Primaries,
    Range,
    SampleFormat,
    Timestamp,
    Transfer,
)

Write = Callable[..., Any]
Noise = Callable[..., Frame]

HD = ColorSpec(
    matrix=Matrix.BT709,
    primaries=Primaries.BT709,
    transfer=Transfer.BT709,
    range=Range.LIMITED,
    chroma_location=ChromaLocation.LEFT,
)
RGB = ColorSpec(matrix=Matrix.RGB, range=Range.FULL)
YUV420 = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)


def target(format: SampleFormat = YUV420, width: int = 64, height: int = 48,
           **fields: Any) -> VideoTarget:  # fmt: skip
    color = RGB if format.model is ColorModel.RGB else HD
    return VideoTarget(
        **{"width": width, "height": height, "format": format, "color": color,
           "time_base": Fraction(1, 1000), "rate": Fraction(25), "threads": 1} | fields
    )  # fmt: skip


def layout(name: str) -> SampleFormat:
    found = sample_format(name)
    assert found is not None
    return found


@pytest.mark.parametrize("size", [(64, 48), (177, 143), (33, 17), (1, 1)])
@pytest.mark.parametrize("name", sorted(ENCODERS["ffv1"].feeds))
def test_ffv1_gives_back_every_sample(
    name: str, size: tuple[int, int], write_frames: Write, make_noise: Noise, tmp_path: Path
) -> None:
    wanted = target(layout(name), *size)
    frames = [make_noise(wanted, index) for index in range(3)]
    plan = write_frames(tmp_path / "out.mkv", wanted, EncodeConfig(encoder="ffv1"), frames)
    assert plan.choice.format == wanted.format
    with Decoder(str(tmp_path / "out.mkv"), DecodeConfig()) as decoder:
        decoded = list(decoder)
    assert [frame.timestamp.pts for frame in decoded] == [0, 1, 2]
    for before, after in zip(frames, decoded, strict=True):
        # 8-bit RGB is stored with a fourth byte that means nothing.
        assert replace(after.format, alpha=before.format.alpha) == before.format
        for plane, kept in zip(before.planes, after.planes, strict=False):
            assert torch.equal(plane, kept)


@pytest.mark.parametrize(
    ("pattern", "encoder", "name"),
    [
        ("%03d.png", "png", "gbrp"),
        ("%03d.png", "png", "gbrap16le"),
        ("%03d.png", "png", "gray"),
        ("%03d.png", "png", "gray16le"),
        ("%03d.png", "png", "ya8"),
        ("%03d.tiff", "tiff16", "gbrp16le"),
        ("%03d.tiff", "tiff16", "gray16le"),
        ("%03d.dpx", "dpx", "gbrp10le"),
        ("%03d.dpx", "dpx", "gbrp12le"),
        ("%03d.dpx", "dpx", "gbrp16le"),
        ("%03d.exr", "exr", "gbrpf32le"),
        ("%03d.exr", "exr", "grayf32le"),
    ],
)
def test_pictures_give_back_every_sample(
    pattern: str, encoder: str, name: str, write_frames: Write, make_noise: Noise, tmp_path: Path
) -> None:
    wanted = target(layout(name), 34, 18)
    frames = [make_noise(wanted, index) for index in range(3)]
    output = tmp_path / "frames" / pattern
    write_frames(output, wanted, EncodeConfig(encoder=encoder), frames)
    assert sorted(path.name for path in output.parent.iterdir()) == [
        pattern % number for number in (1, 2, 3)
    ]
    assert not (tmp_path / "frames.part").exists()
    with Decoder(str(output), DecodeConfig(fps="25")) as decoder:
        for before, after in zip(frames, decoder, strict=True):
            for plane, kept in zip(before.planes, after.planes, strict=False):
                assert torch.equal(plane.to(torch.float64), kept.to(torch.float64))


REARRANGED = sorted(
    {
        (native, taken)
        for spec in ENCODERS.values()
        for native, taken in spec.feeds.items()
        if native != taken
    }
)


@pytest.mark.parametrize(("native", "taken"), REARRANGED)
def test_what_encoders_are_fed_is_a_mere_rearrangement(
    native: str, taken: str, make_noise: Noise
) -> None:
    wanted = target(layout(native), 34, 18)
    frame = make_noise(wanted, 0)
    picture = video_frame(frame.planes, frame.format).reformat(format=taken, threads=1)
    back = picture.reformat(format=native, threads=1)
    assert all(torch.equal(a, b) for a, b in zip(frame.planes, planes_of(back), strict=True))


@pytest.mark.parametrize("name", sorted(ENCODERS["y4m"].feeds))
def test_y4m_gives_back_every_sample(
    name: str, write_frames: Write, make_noise: Noise, tmp_path: Path
) -> None:
    wanted = target(layout(name), 34, 18)
    frames = [make_noise(wanted, index) for index in range(2)]
    write_frames(tmp_path / "out.y4m", wanted, EncodeConfig(), frames)
    with Decoder(str(tmp_path / "out.y4m"), DecodeConfig()) as decoder:
        for before, after in zip(frames, decoder, strict=True):
            for plane, kept in zip(before.planes, after.planes, strict=True):
                assert torch.equal(plane, kept)


@pytest.mark.parametrize("extension", ["mkv", "mp4"])
@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libsvtav1"])
def test_lossy_encoders_keep_each_time_and_duration(
    encoder: str, extension: str, write_frames: Write, make_noise: Noise, torture: ModuleType,
    tmp_path: Path,
) -> None:  # fmt: skip
    ticks = torture.vfr_ticks(40, start=1234)
    wanted = target(width=128, height=96)
    frames = []
    for index, (pts, following) in enumerate(zip(ticks, [*ticks[1:], ticks[-1] + 40], strict=True)):
        stamp = Timestamp(pts=pts, time_base=wanted.time_base)
        frames.append(replace(make_noise(wanted, 0), timestamp=stamp, duration=following - pts,
                              index=index))  # fmt: skip
    output = tmp_path / f"out.{extension}"
    write_frames(output, wanted, EncodeConfig(encoder=encoder, speed="ultrafast"), frames)
    with Decoder(str(output), DecodeConfig()) as decoder:
        decoded = list(decoder)
    assert [frame.timestamp.pts for frame in decoded] == ticks
    assert {frame.timestamp.time_base for frame in decoded} == {Fraction(1, 1000)}


@pytest.mark.parametrize("count", range(1, 8))
def test_streams_shorter_than_the_reordering_delay_are_whole(
    count: int, write_frames: Write, make_noise: Noise, tmp_path: Path
) -> None:
    wanted = target(width=128, height=96)
    frames = [make_noise(wanted, index) for index in range(count)]
    write_frames(tmp_path / "out.mp4", wanted, EncodeConfig(encoder="libx265"), frames)
    with Decoder(str(tmp_path / "out.mp4"), DecodeConfig()) as decoder:
        assert [frame.timestamp.pts for frame in decoder] == list(range(count))


@given(
    width=st.integers(1, 96),
    height=st.integers(1, 96),
    name=st.sampled_from(["yuv420p", "yuv422p", "yuv440p", "yuv411p", "yuv410p", "yuva420p"]),
)
@settings(max_examples=60, deadline=None)
def test_ffv1_is_lossless_at_any_size(width: int, height: int, name: str) -> None:
    wanted = target(layout(name), width, height)
    choice = choose_encoder(EncodeConfig(encoder="ffv1"), wanted, exact=True)
    context = av.CodecContext.create("ffv1", "w")
    configure(context, choice, wanted, EncodeConfig(encoder="ffv1"))
    generator = torch.Generator().manual_seed(width * height)
    sizes = [wanted.format.plane_size(i, width, height) for i in range(wanted.format.plane_count)]
    planes = [torch.randint(0, 256, size, generator=generator).to(torch.uint8) for size in sizes]
    picture = video_frame(planes, wanted.format)
    picture.pts, picture.time_base = 0, wanted.time_base
    (packet,) = [*context.encode(picture), *context.encode(None)]
    decoder = av.CodecContext.create("ffv1", "r")
    decoder.extradata, decoder.width, decoder.height = context.extradata, width, height
    (decoded,) = [*decoder.decode(packet), *decoder.decode(None)]
    assert all(torch.equal(a, b) for a, b in zip(planes, planes_of(decoded), strict=True))


@pytest.mark.parametrize("denominator", [24, 600, 30000, 90000, 705600000])
def test_mp4_takes_the_clock_of_the_source(
    denominator: int, write_frames: Write, make_noise: Noise, tmp_path: Path
) -> None:
    wanted = target(time_base=Fraction(1, denominator))
    frames = [make_noise(wanted, index) for index in range(5)]
    output = tmp_path / "out.mp4"
    write_frames(output, wanted, EncodeConfig(encoder="libx264"), frames)
    assert probe(str(output)).video.time_base == Fraction(1, denominator)


def test_a_frame_on_another_clock_is_rounded_once(
    write_frames: Write, make_noise: Noise, tmp_path: Path
) -> None:
    wanted = target()
    tick = Fraction(1001, 30000)
    frames = [
        replace(make_noise(wanted, index), timestamp=Timestamp(pts=index, time_base=tick))
        for index in range(20)
    ]
    write_frames(tmp_path / "out.mkv", wanted, EncodeConfig(encoder="ffv1"), frames)
    with Decoder(str(tmp_path / "out.mkv"), DecodeConfig()) as decoder:
        times = [frame.timestamp.seconds for frame in decoder]
    assert all(abs(time - i * tick) <= Fraction(1, 2000) for i, time in enumerate(times))


TAGS = [
    HD,
    ColorSpec(matrix=Matrix.SMPTE170M, primaries=Primaries.SMPTE170M,
              transfer=Transfer.SMPTE170M, range=Range.LIMITED,
              chroma_location=ChromaLocation.LEFT),
    ColorSpec(matrix=Matrix.BT470BG, primaries=Primaries.BT470BG, transfer=Transfer.SMPTE170M,
              range=Range.FULL, chroma_location=ChromaLocation.CENTER),
    ColorSpec(matrix=Matrix.BT2020_NCL, primaries=Primaries.BT2020, transfer=Transfer.PQ,
              range=Range.LIMITED, chroma_location=ChromaLocation.TOPLEFT),
    ColorSpec(matrix=Matrix.BT2020_NCL, primaries=Primaries.BT2020, transfer=Transfer.HLG,
              range=Range.LIMITED, chroma_location=ChromaLocation.TOPLEFT),
]  # fmt: skip


@pytest.mark.parametrize("color", TAGS, ids=lambda color: f"{color.matrix.name}-{color.range.name}")
@pytest.mark.parametrize(
    ("encoder", "extension"),
    [("libx264", "mkv"), ("libx264", "mp4"), ("libx265", "mkv"), ("libx265", "mov"),
     ("libsvtav1", "mp4"), ("libsvtav1", "mkv"), ("ffv1", "mkv"), ("libx264", "ts")],
)  # fmt: skip
def test_colour_tags_are_in_the_file(
    encoder: str, extension: str, color: ColorSpec, write_frames: Write, make_noise: Noise,
    tmp_path: Path,
) -> None:  # fmt: skip
    wanted = target(replace(YUV420, depth=10), color=color, width=128, height=96)
    output = tmp_path / f"out.{extension}"
    frames = [make_noise(wanted, index) for index in range(3)]
    speed = None if encoder == "ffv1" else "ultrafast"
    write_frames(output, wanted, EncodeConfig(encoder=encoder, speed=speed), frames)
    found = probe(str(output)).video.color
    assert (found.matrix, found.primaries, found.transfer) == (
        color.matrix, color.primaries, color.transfer,
    )  # fmt: skip
    assert found.range == color.range


@pytest.mark.parametrize("extension", ["mkv", "mp4"])
@pytest.mark.parametrize(
    "color",
    [ColorSpec(range=Range.LIMITED), ColorSpec(matrix=Matrix.SMPTE170M), ColorSpec()],
    ids=["range", "matrix", "nothing"],
)
def test_unknown_tags_stay_unknown_beside_known_ones(
    color: ColorSpec, extension: str, write_frames: Write, make_noise: Noise, tmp_path: Path
) -> None:
    wanted = target(color=color)
    output = tmp_path / f"out.{extension}"
    write_frames(output, wanted, EncodeConfig(encoder="ffv1"), [make_noise(wanted, 0)])
    found = probe(str(output)).video.color
    assert (found.matrix, found.primaries, found.transfer) == (
        color.matrix, color.primaries, color.transfer,
    )  # fmt: skip
    assert color.range is Range.UNSPECIFIED or found.range is color.range


@pytest.mark.parametrize(
    ("encoder", "extension"),
    [("libx264", "mkv"), ("libx265", "mp4"), ("libsvtav1", "mkv"), ("libsvtav1", "mp4"),
     ("ffv1", "mkv"), ("ffv1", "mp4"), ("prores_ks", "mov"), ("prores_ks", "mkv")],
)  # fmt: skip
def test_the_sample_aspect_ratio_is_in_the_file(
    encoder: str, extension: str, write_frames: Write, make_noise: Noise, tmp_path: Path
) -> None:
    format = replace(YUV420, depth=10, log2_chroma_h=0) if encoder == "prores_ks" else YUV420
    wanted = target(format, width=720, height=576, sar=Fraction(64, 45))
    output = tmp_path / f"out.{extension}"
    write_frames(output, wanted, EncodeConfig(encoder=encoder), [make_noise(wanted, 0)])
    assert probe(str(output)).video.sar == Fraction(64, 45)


@pytest.mark.parametrize("extension", ["mkv", "mp4", "mov"])
def test_the_rotation_is_kept_as_a_tag(
    extension: str, write_frames: Write, make_noise: Noise, tmp_path: Path
) -> None:
    turned = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    matrix = b"".join(value.to_bytes(4, "little", signed=True) for value in turned)
    wanted = target(display_matrix=matrix)
    output = tmp_path / f"out.{extension}"
    write_frames(output, wanted, EncodeConfig(encoder="libx264"), [make_noise(wanted, 0)])
    info = probe(str(output))
    assert info.video.rotation == 90
    assert (info.video.width, info.video.height) == (64, 48)


def test_frames_of_another_format_are_refused(
    write_frames: Write, make_noise: Noise, tmp_path: Path
) -> None:
    wanted = target()
    other = make_noise(replace(wanted, format=replace(YUV420, depth=10)), 0)
    with pytest.raises(EncodeError, match="was set up for"):
        write_frames(tmp_path / "out.mkv", wanted, EncodeConfig(encoder="ffv1"), [other])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_captions_in_the_video_survive(
    encoder: str, shared: Path, transcode: Callable[..., Any], tmp_path: Path
) -> None:
    source = shared / "data/odd/streams_subs_chapters/fragmented_captions.mp4"
    plan = transcode(source, tmp_path / "out.mkv", encoder, decode=DecodeConfig(frames="0:8"))
    assert plan.losses == ()
    assert captions(tmp_path / "out.mkv", 8) == captions(source, 8)


def captions(path: Path, count: int) -> list[bytes]:
    """The A53 side data of the first frames."""
    found = []
    with av.open(str(path)) as container:
        for _, frame in zip(range(count), container.decode(video=0), strict=False):
            found += [bytes(data) for data in frame.side_data if data.type.name == "A53_CC"]
    assert found or count == 0
    return found


def test_threads_do_not_change_what_is_written(
    write_frames: Write, make_noise: Noise, tmp_path: Path
) -> None:
    wanted = target(width=320, height=240)
    frames = [make_noise(wanted, index) for index in range(6)]
    written = []
    for run in range(2):
        output = tmp_path / f"{run}.mkv"
        config = EncodeConfig(encoder="libx264", speed="veryfast")
        write_frames(output, replace(wanted, threads=2), config, frames)
        with av.open(str(output)) as container:
            written.append([bytes(packet) for packet in container.demux()])
    assert written[0] == written[1]
