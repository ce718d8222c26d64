"""Whether a file is as long as its container says."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from vrestore.io.cutoff import missing_bytes


def write(path: Path, pictures: int = 30) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(pictures):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov", "a.avi"])
def test_a_whole_file_misses_nothing_and_a_cut_one_what_was_cut(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    assert missing_bytes(path) == 0
    whole = path.read_bytes()
    path.write_bytes(whole + b"\x00garbage at the end")
    assert missing_bytes(path) == 0
    # MP4 and MOV end with their index, so the last box is the one that is cut.
    path.write_bytes(whole[:-100])
    assert missing_bytes(path) == 100


@pytest.mark.parametrize(
    "contents", [b"", b"\x1a\x45\xdf\xa3", b"RIFF\0\0\0\0AVI ", b"\0\0\0\0ftyp", b"\0" * 64]
)
def test_what_says_no_length_misses_nothing(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(contents)
    assert missing_bytes(path) == 0
    assert missing_bytes(tmp_path) == 0
