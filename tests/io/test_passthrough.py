"""Everything in the file but the picture comes out as it went in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrestore.io.decode import DecodeConfig
from vrestore.io.streams import StreamsConfig
from vrestore.io.trim import Span, nearest

Transcode = Callable[..., Any]
Packets = dict[int, list[tuple[int | None, int | None, bytes]]]


def streams_of(path: Path) -> list[tuple[Any, ...]]:
    """What can be said of each stream but the video's codec."""
    with av.open(str(path)) as container:
        return [
            (
                stream.type,
                None if stream.index == 0 else getattr(stream, "name", None),
                stream.time_base,
                stream.start_time,
                stream.disposition,
                {key: value for key, value in stream.metadata.items() if key != "DURATION"},
            )
            for stream in container.streams
        ]


def packets_of(path: Path) -> Packets:
    """(pts, dts, bytes) by stream; an attachment counts as one packet."""
    packets: Packets = defaultdict(list)
    with av.open(str(path)) as container:
        for stream in container.streams:
            if stream.type == "attachment":
                packets[stream.index].append((None, None, stream.data))
        for packet in container.demux():
            if packet.size:
                packets[packet.stream_index].append((packet.pts, packet.dts, bytes(packet)))
    return packets


def seconds_of(path: Path) -> dict[int, list[Fraction]]:
    """Exact times of all timed packets."""
    times: dict[int, list[Fraction]] = defaultdict(list)
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size and packet.pts is not None:
                times[packet.stream_index].append(packet.pts * packet.time_base)
    return times


def chapters_of(path: Path) -> list[tuple[Fraction, Fraction, dict[str, str]]]:
    with av.open(str(path)) as container:
        return [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"])
            for c in container.chapters()
        ]


@pytest.mark.parametrize("container", ["mkv", "mov"])
def test_the_same_container_differs_in_the_video_stream_alone(
    container: str,
    request: pytest.FixtureRequest,
    transcode: Transcode,
    tmp_path: Path,
) -> None:
    source = request.getfixturevalue(f"torture_{container}")
    output = tmp_path / f"out.{container}"
    plan = transcode(source, output, "libx264")
    assert plan.losses == ()
    assert streams_of(output) == streams_of(source)
    assert chapters_of(output) == chapters_of(source)
    before, after = packets_of(source), packets_of(output)
    assert len(before) == (11 if container == "mkv" else 5)  # A chapter track shows no packets.
    for index in before:
        if index:
            assert after[index] == before[index], f"stream #{index}"
    assert sorted(p[0] for p in after[0]) == sorted(p[0] for p in before[0])


def test_container_metadata_survives(
    torture_mkv: Path, transcode: Transcode, tmp_path: Path
) -> None:
    transcode(torture_mkv, tmp_path / "out.mkv")
    with av.open(str(torture_mkv)) as before, av.open(str(tmp_path / "out.mkv")) as after:
        kept = dict(after.metadata)
        for key, value in before.metadata.items():
            if key != "ENCODER":
                assert kept[key] == value


def test_the_timecode_track_keeps_its_rate(
    torture_mov: Path, transcode: Transcode, tmp_path: Path
) -> None:
    transcode(torture_mov, tmp_path / "out.mov", "libx264")
    with av.open(str(tmp_path / "out.mov")) as container:
        assert container.streams[0].metadata["timecode"] == "01:00:00:00"
        assert container.streams[4].metadata["timecode"] == "01:00:00:00"


def test_mov_into_mkv_rounds_each_exact_time_once(
    torture_mov: Path, transcode: Transcode, tmp_path: Path
) -> None:
    transcode(torture_mov, tmp_path / "out.mkv", "libx264")
    before, after = seconds_of(torture_mov), seconds_of(tmp_path / "out.mkv")
    for index in (0, 1, 2):
        wanted = sorted(Fraction(nearest(time * 1000), 1000) for time in before[index])
        assert sorted(after[index]) == wanted
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.streams.video[0].metadata["TIMECODE"] == "01:00:00:00"


def test_text_subtitles_keep_words_and_times_in_mp4_and_back(
    torture_mkv: Path, torture: ModuleType, transcode: Transcode, tmp_path: Path
) -> None:
    transcode(torture_mkv, tmp_path / "out.mp4", "libx264")
    transcode(tmp_path / "out.mp4", tmp_path / "back.mkv", "libx264")
    texts = packets_of(tmp_path / "back.mkv")[4]
    assert [(pts, text.decode()) for pts, _, text in texts] == [
        (150, "<i>one</i>"),
        (950, "two\nlines"),
        (2100, "three"),
    ]


def test_a_cut_moves_audio_and_subtitles_with_the_picture(
    torture_mkv: Path, transcode: Transcode, tmp_path: Path
) -> None:
    start, stop = Fraction(13, 10), Fraction(22, 10)
    transcode(
        torture_mkv,
        tmp_path / "cut.mkv",
        "libx264",
        span=Span(start=start, stop=stop),
        decode=DecodeConfig(start="0.8", stop="1.7"),
    )
    before, after = seconds_of(torture_mkv), seconds_of(tmp_path / "cut.mkv")
    origin = min(time for time in before[0] if time >= start)
    assert min(after[0]) == 0
    for index in (1, 2, 3):
        kept = [time - origin for time in before[index] if origin <= time < stop]
        assert after[index] == kept
        assert len(kept) > 30
    # "two lines" was shown from 0.95 to 1.7 s: what is left of it begins with the picture.
    with av.open(str(tmp_path / "cut.mkv")) as container:
        shown = [p for p in container.demux(container.streams[4]) if p.size]
        assert [(p.pts, p.duration) for p in shown] == [
            (0, 1700 - int(origin * 1000)),
            (2100 - int(origin * 1000), 500),
        ]
    (chapter,) = chapters_of(tmp_path / "cut.mkv")
    assert chapter == (0, stop - origin, {"title": "Second half"})


def test_frames_without_a_stop_time_end_the_audio_with_the_last_picture(
    torture_mkv: Path, transcode: Transcode, tmp_path: Path
) -> None:
    transcode(
        torture_mkv,
        tmp_path / "cut.mkv",
        "libx264",
        span=Span(stop_with_picture=True),
        decode=DecodeConfig(frames="0:10"),
    )
    times = seconds_of(tmp_path / "cut.mkv")
    assert len(times[0]) == 10
    assert max(times[1]) < max(times[0]) + Fraction(1, 10)


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        (StreamsConfig(audio=False), "video subtitle subtitle subtitle subtitle "
                                     "attachment attachment video"),
        (StreamsConfig(subtitles=False), "video audio audio audio attachment attachment video"),
        (StreamsConfig(attachments=False, subtitles=False), "video audio audio audio video"),
        (StreamsConfig(map=("0:a:1", "s:0")), "video audio subtitle"),
        (StreamsConfig(map=("3",)), "video audio"),
    ],
)  # fmt: skip
def test_streams_that_are_not_wanted_are_left_out(
    config: StreamsConfig, kept: str, torture_mkv: Path, transcode: Transcode, tmp_path: Path
) -> None:
    plan = transcode(torture_mkv, tmp_path / "out.mkv", "libx264", streams=config)
    assert plan.losses == ()
    assert " ".join(stream[0] for stream in streams_of(tmp_path / "out.mkv")) == kept


@pytest.mark.parametrize("entry", ["", "x", "a:b", "0:", "1:2:3", "a:1:2"])
def test_a_map_entry_that_cannot_be_meant_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="map must hold"):
        StreamsConfig(map=(entry,))


def audio_with_times(path: Path, ticks: list[int]) -> None:
    """A Matroska file of one picture and of audio packets at these milliseconds."""
    with av.open(str(path), "w", container_options={"avoid_negative_ts": "disabled"}) as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width = video.height = 32
        audio = container.add_stream("aac", rate=8000)
        container.mux(video.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(video.encode(None))
        for number, tick in enumerate(ticks):
            packet = av.Packet(bytes([number]) * 8)
            packet.stream, packet.time_base = audio, Fraction(1, 1000)
            packet.pts = packet.dts = tick
            container.mux(packet)


def test_packets_that_share_a_tick_keep_it_in_matroska(
    transcode: Transcode, tmp_path: Path
) -> None:
    ticks = [0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 7, 8]
    audio_with_times(tmp_path / "in.mkv", ticks)
    transcode(tmp_path / "in.mkv", tmp_path / "out.mkv")
    assert [packet[0] for packet in packets_of(tmp_path / "out.mkv")[1]] == ticks


def test_packets_that_share_a_tick_are_one_tick_apart_in_mp4_without_drift(
    transcode: Transcode, tmp_path: Path
) -> None:
    ticks = [0, 10, 20, 20, 30, 40, 50, 50, 60]
    audio_with_times(tmp_path / "in.mkv", ticks)
    transcode(tmp_path / "in.mkv", tmp_path / "out.mp4", "libx264")
    written = [packet[0] for packet in packets_of(tmp_path / "out.mp4")[1]]
    moved = {3: 1, 7: 1}
    wanted = [8 * tick + moved.get(i, 0) for i, tick in enumerate(ticks)]
    # The made-up packets have no duration, so the edit list ends where the last one begins.
    assert written == wanted[: len(written)]
    assert len(written) >= len(wanted) - 1


def test_a_track_without_packets_is_no_reason_to_fail(
    torture: ModuleType, transcode: Transcode, tmp_path: Path
) -> None:
    with av.open(str(tmp_path / "in.mkv"), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width = video.height = 32
        container.add_stream("flac", rate=8000)
        container.mux(video.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(video.encode(None))
    transcode(tmp_path / "in.mkv", tmp_path / "out.mp4", "libx264")
    assert "video" in [stream[0] for stream in streams_of(tmp_path / "out.mp4")]


@pytest.mark.slow
def test_three_hours_of_ntsc_do_not_drift(
    torture: ModuleType, transcode: Transcode, tmp_path: Path, make_target: Callable[..., Any]
) -> None:
    from vrestore.io.encode import EncodeConfig
    from vrestore.io.output import open_output, plan_output
    from vrestore.io.probe import probe

    tick, hours = Fraction(1001, 30000), 3
    source = tmp_path / "long.mov"
    torture.ffmpeg(
        "-f", "lavfi", "-i", "color=black:s=16x16:r=30000/1001:d=0.2",
        "-f", "lavfi", "-i", f"anullsrc=r=8000:cl=mono:d={hours * 3600}",
        "-c:v", "mpeg4", "-c:a", "aac", "-video_track_timescale", "30000", source,
    )  # fmt: skip
    info = probe(str(source))
    plan = plan_output(str(tmp_path / "out.mkv"), info, make_target(info),
                       EncodeConfig(encoder="ffv1"), StreamsConfig(), exact=True)  # fmt: skip
    _, muxer = open_output(plan, info)
    frames = int(hours * 3600 / tick)
    for index in range(frames):
        packet = av.Packet(b"\0\0\0\0")
        packet.pts = packet.dts = index * 1001
        packet.duration, packet.time_base = 1001, Fraction(1, 30000)
        packet.is_keyframe = index % 250 == 0
        muxer.write(packet)
    muxer.close()
    muxer.commit()
    after, before = seconds_of(tmp_path / "out.mkv"), seconds_of(source)
    assert len(after[0]) == frames
    half_tick = Fraction(1, 2000)
    assert max(abs(time - index * tick) for index, time in enumerate(after[0])) <= half_tick
    errors = [abs(a - b) for a, b in zip(after[1], before[1], strict=True)]
    assert max(errors) <= half_tick
    offset = after[0][-1] - after[1][-1]
    assert abs(offset - ((frames - 1) * tick - before[1][-1])) <= 2 * half_tick


@given(st.fractions(min_value=-(10**9), max_value=10**9))
def test_rounding_is_to_the_nearest_tick_and_symmetric(exact: Fraction) -> None:
    assert abs(nearest(exact) - exact) <= Fraction(1, 2)
    assert nearest(-exact) == -nearest(exact)
    assert nearest(Fraction(nearest(exact))) == nearest(exact)
