"""Numbered pictures as a video stream."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from vrestore.errors import InputError
from vrestore.io.decode import DecodeConfig, Decoder
from vrestore.io.dpx import read_dpx_header
from vrestore.io.probe import probe
from vrestore.io.sequence import find_sequence, is_pattern
from vrestore.media import ColorModel, Matrix, Primaries, Provenance, Transfer

PIXELS = np.random.default_rng(0).integers(0, 2**16, (5, 18, 36, 3)).astype(np.uint16)


def write_images(folder: Path, codec: str, format: str, suffix: str, first: int = 1) -> Path:
    """Five random pictures, numbered from `first`; the pattern that names them."""
    folder.mkdir(exist_ok=True)
    pattern = folder / f"shot_%04d.{suffix}"
    options = {"start_number": str(first)}
    with av.open(str(pattern), "w", format="image2", options=options) as container:
        stream = container.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 36, 18, format
        for pixels in PIXELS:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb48le")
            for packet in stream.encode(frame.reformat(format=format, threads=1)):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return pattern


@pytest.mark.parametrize(
    ("codec", "format", "suffix", "depth"),
    [
        ("png", "rgb24", "png", 8),
        ("png", "rgb48be", "png", 16),
        ("tiff", "rgb48le", "tif", 16),
        ("dpx", "gbrp10le", "dpx", 10),
        ("dpx", "gbrp12le", "dpx", 12),
        ("dpx", "rgb48be", "dpx", 16),
        ("exr", "gbrpf32le", "exr", 32),
    ],
)
def test_pictures_keep_every_bit_of_their_depth(
    tmp_path: Path, codec: str, format: str, suffix: str, depth: int
) -> None:
    pattern = write_images(tmp_path, codec, format, suffix)
    with Decoder(str(pattern)) as decoder:
        frames = list(decoder)
    assert len(frames) == 5
    assert {frame.format.depth for frame in frames} == {depth}
    assert {frame.format.model for frame in frames} == {ColorModel.RGB}
    assert {frame.color.matrix for frame in frames} == {Matrix.RGB}
    if depth == 16:
        for frame, pixels in zip(frames, PIXELS, strict=True):
            for i, plane in enumerate(frame.planes):
                assert torch.equal(plane, torch.from_numpy(pixels[..., i].copy()))


def test_times_are_exact_multiples_of_the_given_rate(tmp_path: Path) -> None:
    pattern = write_images(tmp_path, "png", "rgb24", "png", first=100)
    config = DecodeConfig(fps="24000/1001")
    with Decoder(str(pattern), config) as decoder:
        seconds = [frame.timestamp.seconds for frame in decoder]
    assert seconds == [n * Fraction(1001, 24000) for n in range(5)]
    info = probe(str(pattern), config)
    assert (info.video.frame_count, info.video.frame_count_from) == (5, Provenance.MEASURED)
    assert info.video.average_rate == Fraction(24000, 1001)
    assert info.guesses == ()
    assert not info.is_still


def test_a_rate_that_nobody_gave_is_a_recorded_guess(tmp_path: Path) -> None:
    info = probe(str(write_images(tmp_path, "png", "rgb24", "png")))
    assert info.video.average_rate == 25
    assert any("--fps" in guess for guess in info.guesses)


def test_a_folder_stands_for_the_sequence_in_it(tmp_path: Path) -> None:
    write_images(tmp_path / "a", "png", "rgb24", "png", first=7)
    (tmp_path / "a" / "notes.txt").write_text("not a picture")
    found = find_sequence(str(tmp_path / "a"))
    assert (found.start, found.count) == (7, 5)
    assert found.path(4).name == "shot_0011.png"
    with Decoder(str(tmp_path / "a")) as decoder:
        assert len(list(decoder)) == 5


def test_a_start_number_leaves_earlier_pictures_out(tmp_path: Path) -> None:
    pattern = write_images(tmp_path, "png", "rgb24", "png", first=1)
    with Decoder(str(pattern), DecodeConfig(start_number=3)) as decoder:
        frames = list(decoder)
    assert len(frames) == 3
    with Image.open(tmp_path / "shot_0003.png") as image:
        assert np.array_equal(frames[0].planes[0].numpy(), np.array(image)[..., 0])


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    pattern = write_images(tmp_path, "png", "rgb24", "png", first=1)
    (tmp_path / "shot_0003.png").unlink()
    with pytest.raises(InputError, match="number 3 is missing"):
        Decoder(str(pattern))
    with pytest.raises(InputError, match="number 3 is missing"):
        probe(str(tmp_path))


def test_two_sequences_in_a_folder_must_be_told_apart(tmp_path: Path) -> None:
    write_images(tmp_path, "png", "rgb24", "png")
    write_images(tmp_path, "tiff", "rgb24", "tif")
    with pytest.raises(InputError, match="2 image sequences"):
        find_sequence(str(tmp_path))


@pytest.mark.parametrize("name", ["none_%04d.png", "%d_%d.png"])
def test_a_pattern_without_pictures_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"pattern|no picture"):
        find_sequence(str(tmp_path / name))


def test_numbers_without_leading_zeros_are_a_sequence(tmp_path: Path) -> None:
    for number in range(8, 13):
        Image.new("L", (4, 4), number).save(tmp_path / f"{number}.png")
    found = find_sequence(str(tmp_path))
    assert (found.start, found.count) == (8, 5)
    with Decoder(str(tmp_path)) as decoder:
        assert [int(frame.planes[0][0, 0]) for frame in decoder] == [8, 9, 10, 11, 12]


def test_a_file_with_a_percent_sign_is_a_file(tmp_path: Path) -> None:
    assert is_pattern("a/%05d.png")
    path = tmp_path / "100%d.png"
    Image.new("L", (4, 4)).save(path)
    assert not is_pattern(str(path))
    with Decoder(str(path)) as decoder:
        assert len(list(decoder)) == 1


def test_a_dpx_header_tells_log_timecode_and_rate(tmp_path: Path) -> None:
    pattern = write_images(tmp_path, "dpx", "gbrp10le", "dpx")
    for number in range(1, 6):
        path = tmp_path / f"shot_{number:04d}.dpx"
        data = bytearray(path.read_bytes())
        order = ">" if data[:4] == b"SDPX" else "<"
        data[801], data[802] = 3, 6
        struct.pack_into(f"{order}I", data, 1920, 0x01020304)
        struct.pack_into(f"{order}f", data, 1724, 23.976)
        path.write_bytes(data)
    header = read_dpx_header(tmp_path / "shot_0001.dpx")
    assert header is not None
    assert header.timecode == "01:02:03:04"
    info = probe(str(pattern))
    assert info.video.color.transfer is Transfer.LOG
    assert info.video.color.primaries is Primaries.BT709
    assert info.video.average_rate == Fraction(24000, 1001)
    assert info.metadata["timecode"] == "01:02:03:04"
    assert info.guesses == ()
    with Decoder(str(pattern)) as decoder:
        assert {frame.color.transfer for frame in decoder} == {Transfer.LOG}
    assert read_dpx_header(__file__) is None
