"""Sampling a source: from all over, cheaply, in the source's own layout."""

from __future__ import annotations

from pathlib import Path

from vrestore.io.decode import DecodeConfig
from vrestore.io.glance import glance
from vrestore.io.probe import probe
from vrestore.io.testclip import write_test_clip


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
