"""Sampling a source: from all over, cheaply, in the source's own layout."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vrestore.io.decode import DecodeConfig
from vrestore.io.glance import glance
from vrestore.io.probe import probe
from vrestore.io.testclip import write_test_clip
from vrestore.media import FieldOrder


def test_pictures_come_from_all_over(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    write_test_clip(clip, 64, 48, 1500)
    info = probe(str(clip))
    frames = list(glance(info, DecodeConfig(), places=6, frames=2))
    seconds = [float(frame.timestamp.seconds) for frame in frames]
    assert len(frames) == 12
    assert seconds == sorted(seconds)
    assert seconds[0] == 0 and seconds[-1] > 35
    assert all(frame.format == info.video.format for frame in frames)


def test_short_source_is_read_once_from_its_beginning(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    write_test_clip(clip, 64, 48, 5)
    frames = list(glance(probe(str(clip)), DecodeConfig(), places=6, frames=12))
    assert [frame.timestamp.pts for frame in frames] == [0, 40, 80, 120, 160]


def test_frames_are_numbered_by_their_time(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    write_test_clip(clip, 64, 48, 1500)
    frames = list(glance(probe(str(clip)), DecodeConfig(), places=6, frames=2))
    assert [frame.index for frame in frames] == [
        round(frame.timestamp.seconds * 25) for frame in frames
    ]
    assert frames[-1].index > 800


@pytest.mark.parametrize(
    ("flag", "order"), [("tff", FieldOrder.TOP_FIRST), ("bff", FieldOrder.BOTTOM_FIRST)]
)
def test_frames_carry_the_flags_of_their_fields(
    tmp_path: Path, flag: str, order: FieldOrder
) -> None:
    clip = tmp_path / "clip.mkv"
    with av.open(str(clip), "w") as out:
        stream = out.add_stream("mpeg2video", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.options = {"flags": "+ildct+ilme", "b": "2M"}
        graph = av.filter.Graph()
        source = graph.add_buffer(width=64, height=64, format="yuv420p", time_base=Fraction(1, 25))
        mark = graph.add("setfield", flag)
        sink = graph.add("buffersink")
        source.link_to(mark)
        mark.link_to(sink)
        graph.configure()
        noise = np.random.default_rng(1)
        for number in range(6):
            samples = noise.integers(16, 235, (96, 64)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(samples, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            graph.push(frame)
            out.mux(stream.encode(graph.pull()))
        out.mux(stream.encode(None))
    frames = list(glance(probe(str(clip)), DecodeConfig(), places=2, frames=4))
    assert {frame.field_order for frame in frames} == {order}
