"""What a probe says, and where it has it from."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vrestore.errors import InputError
from vrestore.io.decode import DecodeConfig, Decoder
from vrestore.io.probe import ProbeOptions, probe
from vrestore.media import (
    ChromaLocation,
    ContentLight,
    Matrix,
    MediaInfo,
    Primaries,
    Provenance,
    Range,
    StreamKind,
    Transfer,
)


def write(path: Path, count: int = 12, tracks: int = 1, start: int = 0) -> Path:
    """A file with several grey video tracks, told apart by their brightness, and one of sound."""
    with av.open(str(path), "w") as container:
        videos = []
        for number in range(tracks):
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 62 + 2 * number, 48, "yuv420p"
            stream.metadata["title"] = f"camera {number}"
            videos.append(stream)
        sound = container.add_stream("aac", rate=48000, layout="mono")
        for number in range(count):
            for track, stream in enumerate(videos):
                frame = av.VideoFrame(stream.width, stream.height, "yuv420p")
                for plane in frame.planes:
                    np.frombuffer(memoryview(plane), np.uint8)[:] = 50 * (track + 1)
                frame.pts, frame.time_base = start + number, Fraction(1, 25)
                container.mux(stream.encode(frame))
        audio = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), "fltp", "mono")
        audio.sample_rate = 48000
        container.mux(sound.encode(audio))
        for stream in (*videos, sound):
            container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("probe") / "clip.mkv", tracks=2)


@pytest.fixture(scope="module")
def info(clip: Path) -> MediaInfo:
    return probe(str(clip))


def test_every_stream_is_listed_and_the_first_video_chosen(info: MediaInfo) -> None:
    kinds = [stream.kind for stream in info.streams]
    assert kinds == [StreamKind.VIDEO, StreamKind.VIDEO, StreamKind.AUDIO]
    assert [stream.codec for stream in info.streams] == ["h264", "h264", "aac"]
    assert info.container == "matroska"
    assert info.video.stream == info.streams[0]
    assert info.video.stream.title == "camera 0"
    assert (info.video.width, info.video.height) == (62, 48)
    assert info.video.pixel_format == "yuv420p"
    assert info.video.average_rate == 25
    assert not info.is_still


def test_another_video_stream_can_be_asked_for(clip: Path) -> None:
    config = DecodeConfig(video=1)
    assert probe(str(clip), config).video.width == 64
    with Decoder(str(clip), config) as decoder:
        assert {int(frame.planes[0][0, 0]) for frame in decoder} == {100}
    with Decoder(str(clip), stream=1) as decoder:
        assert {int(frame.planes[0][0, 0]) for frame in decoder} == {100}
    with pytest.raises(InputError, match="no video stream 2"):
        probe(str(clip), DecodeConfig(video=2))


def test_a_count_is_a_header_claim_until_it_was_counted(tmp_path: Path) -> None:
    path = str(write(tmp_path / "a.mp4", count=30))
    claimed, counted = probe(path), probe(path, options=ProbeOptions(count=True))
    assert (claimed.video.frame_count, claimed.video.frame_count_from) == (30, Provenance.HEADER)
    assert (counted.video.frame_count, counted.video.frame_count_from) == (30, Provenance.MEASURED)


def test_the_extension_decides_nothing(clip: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "clip.avi"
    renamed.write_bytes(clip.read_bytes())
    assert probe(str(renamed)).container == "matroska"


def test_tags_of_the_stream_are_reported_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        options = {
            "x265-params": "log-level=none:colorprim=9:transfer=16:colormatrix=9:range=limited:"
            "chromaloc=2:max-cll=1000,400:"
            "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
        }
        stream = container.add_stream("libx265", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 11)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p10le")))
        container.mux(stream.encode(None))
    video = probe(str(path)).video
    assert video.color.matrix is Matrix.BT2020_NCL
    assert video.color.primaries is Primaries.BT2020
    assert video.color.transfer is Transfer.PQ
    assert video.color.range is Range.LIMITED
    assert video.color.chroma_location is ChromaLocation.TOPLEFT
    assert video.sar == Fraction(16, 11)
    assert video.content_light == ContentLight(max_content=1000, max_average=400)
    display = video.mastering_display
    assert display is not None
    assert display.red == (Fraction(34000, 50000), Fraction(16000, 50000))
    assert (display.min_luminance, display.max_luminance) == (Fraction(1, 10000), 1000)


def test_untagged_colour_stays_unspecified(info: MediaInfo) -> None:
    color = info.video.color
    assert color.matrix is Matrix.UNSPECIFIED
    assert color.primaries is Primaries.UNSPECIFIED
    assert color.transfer is Transfer.UNSPECIFIED


@pytest.mark.parametrize(("degrees", "clockwise"), [(-90, 90), (90, 270), (180, 180)])
def test_rotation_is_told_clockwise_and_kept_as_a_matrix(
    tmp_path: Path, degrees: int, clockwise: int
) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(degrees)
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    video = probe(str(path)).video
    assert video.rotation == clockwise
    assert video.display_matrix is not None
    assert len(video.display_matrix) == 36
    assert (video.width, video.height) == (64, 48)


def test_a_start_away_from_zero_is_reported(tmp_path: Path) -> None:
    stream = probe(str(write(tmp_path / "a.mkv", start=250))).video.stream
    assert stream.start_pts is not None
    assert stream.time_base is not None
    assert stream.start_pts * stream.time_base == 10


def test_a_raw_stream_without_times_is_a_recorded_guess(tmp_path: Path) -> None:
    path = tmp_path / "a.264"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    info = probe(str(path))
    assert any("no times" in guess for guess in info.guesses)
    assert info.video.frame_count_from is Provenance.MEASURED


def test_sound_alone_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="has no video: it has only audio streams"):
        probe(str(path))


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="pictures"):
        ProbeOptions(pictures=0)
