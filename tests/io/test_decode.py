"""Decoding real files made for the purpose, whole and damaged."""

import gc
import io
import subprocess
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vrestore.errors import InputError
from vrestore.io.accounts import OUTSIDE
from vrestore.io.decode import DecodeConfig, Decoder
from vrestore.io.formats import planes_of, sample_format, video_frame
from vrestore.media import Coding, FieldOrder, Frame, Range

CLOCK = Fraction(1, 1000)
IRREGULAR = (500, 533, 567, 640, 641, 900, 1000, 1040, 1080, 1200, 1201, 1300)


def picture(number: int, name: str = "yuv420p", size: tuple[int, int] = (64, 48)) -> av.VideoFrame:
    """A picture that differs from all others, with some detail."""
    layout = sample_format(name)
    assert layout is not None
    generator = torch.Generator().manual_seed(number)
    planes = []
    for i in range(layout.plane_count):
        shape = layout.plane_size(i, *size)
        codes = torch.randint(0, 2**layout.depth, shape, generator=generator)
        planes.append(codes.to(layout.code_dtype))
    return video_frame(planes, layout)


def write(
    path: Path,
    pts: Sequence[int] = IRREGULAR,
    *,
    codec: str = "ffv1",
    name: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    options: dict[str, str] | None = None,
    sizes: Sequence[tuple[int, int]] | None = None,
) -> Path:
    """A video with these times in milliseconds; the path, for calls in a line."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, name
        stream.time_base = stream.codec_context.time_base = CLOCK
        for number, time in enumerate(pts):
            frame = picture(number, name, size if sizes is None else sizes[number])
            frame.pts, frame.time_base = time, CLOCK
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def decoded(path: Path, **settings: object) -> list[Frame]:
    with Decoder(str(path), DecodeConfig(**settings)) as decoder:  # type: ignore[arg-type]
        return list(decoder)


def spoil(path: Path, which: Sequence[int]) -> Path:
    """Overwrite the middle of the packets with these numbers, in the order of the file."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        places = [(packets[n].pos, packets[n].size) for n in which]
        contents = [bytes(packets[n]) for n in which]
    data = bytearray(path.read_bytes())
    for (pos, size), content in zip(places, contents, strict=True):
        start = data.find(content, max(0, pos))
        assert start >= 0
        data[start : start + size] = b"\xff" * size
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("size", [(64, 48), (177, 143)])
@pytest.mark.parametrize(
    "name", ["yuv420p", "yuv422p10le", "yuv444p12le", "gray", "gray16le", "gbrp16le", "yuva420p"]
)
def test_lossless_video_comes_out_bit_exact(
    tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    frames = decoded(write(tmp_path / "a.mkv", range(0, 120, 40), name=name, size=size))
    assert len(frames) == 3
    for number, frame in enumerate(frames):
        assert frame.coding is Coding.CODE
        assert frame.format == sample_format(name)
        expected = video_frame_planes(number, name, size)
        assert all(torch.equal(a, b) for a, b in zip(frame.planes, expected, strict=True))


def video_frame_planes(number: int, name: str, size: tuple[int, int]) -> tuple[torch.Tensor, ...]:
    return planes_of(picture(number, name, size))


def test_planes_are_views_of_the_decoders_memory(tmp_path: Path) -> None:
    (frame,) = decoded(write(tmp_path / "a.mkv", [0]))
    plane = frame.planes[0]
    assert frame.origin.planes[0].buffer_ptr == plane.data_ptr()
    assert plane.stride(0) * plane.element_size() == frame.origin.planes[0].line_size


def test_frames_outlive_the_decoder(tmp_path: Path) -> None:
    frames = decoded(write(tmp_path / "a.mkv"))
    gc.collect()
    assert torch.equal(frames[3].planes[0], video_frame_planes(3, "yuv420p", (64, 48))[0])


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("codec", "container"),
    [("ffv1", "mkv"), ("libx264", "mkv"), ("libx264", "mp4"), ("libx265", "mkv"), ("mpeg4", "mkv")],
)
def test_irregular_times_are_kept_exactly(
    tmp_path: Path, codec: str, container: str, threads: int
) -> None:
    path = tmp_path / f"a.{container}"
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    write(path, codec=codec, options=options)
    with Decoder(str(path), threads=threads) as decoder:
        frames = list(decoder)
    assert [frame.timestamp.seconds * 1000 for frame in frames] == list(IRREGULAR)
    assert [frame.index for frame in frames] == list(range(len(IRREGULAR)))
    report = decoder.report
    assert (report.decoded, report.emitted, report.repaired_pts) == (len(IRREGULAR),) * 2 + (0,)
    assert report.balanced
    assert not report.errors


# ----------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("bad", [[3], [5, 6], [11]])
def test_a_damaged_picture_is_replaced_by_the_one_before_at_its_own_time(
    tmp_path: Path, bad: list[int], threads: int
) -> None:
    times = list(range(0, 480, 40))
    path = spoil(write(tmp_path / "a.mkv", times, codec="mjpeg", name="yuvj420p"), bad)
    with Decoder(str(path), threads=threads) as decoder:
        frames = list(decoder)
    assert [frame.timestamp.seconds * 1000 for frame in frames] == times
    good = max(set(range(min(bad))))
    for number in bad:
        assert torch.equal(frames[number].planes[0], frames[good].planes[0])
    assert not torch.equal(frames[good].planes[0], frames[good - 1].planes[0])
    report = decoder.report
    assert report.balanced
    assert report.repeated == len(bad)
    assert report.corrupt_packets + report.corrupt_pictures == len(bad)
    assert report.errors


def test_fail_names_the_time_of_the_damage(tmp_path: Path) -> None:
    times = list(range(0, 480, 40))
    path = spoil(write(tmp_path / "a.mkv", times, codec="mjpeg", name="yuvj420p"), [5])
    with pytest.raises(InputError, match=r"damaged at 0\.200 s"):
        decoded(path, on_error="fail")


def test_damage_before_the_first_picture_is_counted_as_lost(tmp_path: Path) -> None:
    times = list(range(0, 240, 40))
    path = spoil(write(tmp_path / "a.mkv", times, codec="mjpeg", name="yuvj420p"), [0, 1])
    with Decoder(str(path), threads=1) as decoder:
        frames = list(decoder)
    assert [frame.timestamp.seconds * 1000 for frame in frames] == times[2:]
    assert decoder.report.lost == 2
    assert decoder.report.repeated == 0


def test_a_truncated_file_gives_what_there_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", range(0, 2000, 40))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with Decoder(str(path)) as decoder:
        frames = list(decoder)
    assert 15 < len(frames) < 35
    assert decoder.report.balanced
    assert "shorter than its container says" in str(decoder.report.truncated)
    with pytest.raises(InputError, match="shorter than its container says"):
        decoded(path, on_error="fail")


def test_nothing_decodable_is_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", range(0, 120, 40), codec="mjpeg", name="yuvj420p")
    with pytest.raises(InputError, match="none of the 3 packets") as caught:
        decoded(spoil(path, [0, 1, 2]))
    assert "\n" not in str(caught.value)


# -------------------------------------------------------------------------- changes in the middle


def test_another_size_in_the_middle_is_scaled_to_the_first_and_counted(tmp_path: Path) -> None:
    parts = [
        write(tmp_path / f"{n}.mjpeg", [0, 40], codec="mjpeg", name="yuvj420p", size=size)
        for n, size in enumerate([(64, 48), (96, 80)])
    ]
    path = tmp_path / "both.mjpeg"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with Decoder(str(path)) as decoder:
        frames = list(decoder)
    assert [(frame.width, frame.height) for frame in frames] == [(64, 48)] * 4
    assert decoder.report.rescaled == 2
    assert {frame.color.range for frame in frames} == {Range.FULL}


def test_raw_streams_get_the_times_of_their_rate(tmp_path: Path) -> None:
    path = write(tmp_path / "a.264", range(0, 400, 40), codec="libx264")
    with Decoder(str(path)) as decoder:
        frames = list(decoder)
    seconds = [frame.timestamp.seconds for frame in frames]
    assert len(frames) == 10
    assert len({b - a for a, b in pairwise(seconds)}) == 1
    assert decoder.report.repaired_pts == 10


def test_avi_with_b_frames_keeps_an_even_pace(tmp_path: Path) -> None:
    path = write(tmp_path / "a.avi", range(0, 1200, 40), codec="libx264")
    with Decoder(str(path)) as decoder:
        seconds = [frame.timestamp.seconds for frame in decoder]
    steps = [b - a for a, b in pairwise(seconds)]
    assert len(seconds) == 30
    assert set(steps) == {Fraction(1, 25)}
    assert decoder.report.repeated == 0


@pytest.mark.parametrize("order", [FieldOrder.TOP_FIRST, FieldOrder.BOTTOM_FIRST])
def test_interlaced_frames_say_which_field_is_first(tmp_path: Path, order: FieldOrder) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        options = {"flags": "+ilme+ildct"}
        stream = container.add_stream("mpeg2video", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=64, height=48, format=picture(0).format, time_base=Fraction(1, 25)
        )
        fields = graph.add("setfield", order.value)
        sink = graph.add("buffersink")
        source.link_to(fields)
        fields.link_to(sink)
        graph.configure()
        for number in range(4):
            frame = picture(number)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            graph.push(frame)
            container.mux(stream.encode(graph.pull()))
        container.mux(stream.encode(None))
    assert {frame.field_order for frame in decoded(path)} == {order}
    progressive = write(tmp_path / "b.mkv", [0, 40], codec="libx264")
    assert {frame.field_order for frame in decoded(progressive)} == {FieldOrder.PROGRESSIVE}


# ----------------------------------------------------------------------------------- selection


@pytest.mark.parametrize("container", ["mkv", "mp4"])
@pytest.mark.parametrize(("codec", "options"), [
    ("libx264", {"g": "48", "bf": "3"}),
    ("libx264", {"g": "30", "bf": "3", "x264-params": "open-gop=1"}),
    ("libx265", {"preset": "ultrafast", "x265-params": "keyint=40:open-gop=1:log-level=error"}),
])  # fmt: skip
def test_a_late_start_is_sought_and_gives_the_same_frames(
    tmp_path: Path, container: str, codec: str, options: dict[str, str]
) -> None:
    path = write(tmp_path / f"a.{container}", range(500, 30_500, 50), codec=codec, options=options)
    reports, frames = [], []
    for seek in (True, False):
        with Decoder(str(path), DecodeConfig(start="25.03", seek=seek)) as decoder:
            frames.append(list(decoder))
            reports.append(decoder.report)
    sought, read = frames
    assert [f.timestamp for f in sought] == [f.timestamp for f in read]
    assert sought[0].timestamp.seconds == Fraction("25.55") and len(sought) == 99
    assert all(
        torch.equal(p, q)
        for a, b in zip(sought, read, strict=True)
        for p, q in zip(a.planes, b.planes, strict=True)
    )
    assert reports[0].decoded < 200 < reports[1].decoded
    assert reports[0].balanced and reports[0].lost == 0 and not reports[0].errors


def test_a_container_without_exact_places_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = write(tmp_path / "a.avi", range(0, 20_000, 40), codec="mpeg4")
    with Decoder(str(path), DecodeConfig(start="15")) as decoder:
        frames = list(decoder)
    assert frames[0].index == 375
    assert decoder.report.decoded == 500


@pytest.mark.parametrize(
    ("settings", "chosen"),
    [
        ({"start": "0.1"}, lambda n, t: t >= 100),
        ({"stop": "0.14"}, lambda n, t: t < 140),
        ({"start": "0.067", "stop": "0:00.7"}, lambda n, t: 67 <= t < 700),
        ({"frames": "2:5"}, lambda n, t: 2 <= n < 5),
        ({"frames": ":3"}, lambda n, t: n < 3),
        ({"frames": "9:"}, lambda n, t: n >= 9),
        ({"frames": "1:8", "start": "0.1"}, lambda n, t: 1 <= n < 8 and t >= 100),
        ({"frames": "50:60"}, lambda n, t: False),
    ],
)
def test_a_selection_keeps_times_and_numbers_of_the_source(
    tmp_path: Path, settings: dict[str, str], chosen: Callable[[int, int], bool]
) -> None:
    path = write(tmp_path / "a.mkv", codec="libx264")
    with Decoder(str(path), DecodeConfig(**settings)) as decoder:  # type: ignore[arg-type]
        frames = list(decoder)
    expected = [
        (number, pts) for number, pts in enumerate(IRREGULAR) if chosen(number, pts - IRREGULAR[0])
    ]
    assert [(f.index, f.timestamp.seconds * 1000) for f in frames] == expected
    assert decoder.report.balanced
    dropped = decoder.report.dropped
    assert set(dropped) <= {OUTSIDE}


@given(
    st.dictionaries(
        st.sampled_from(["start", "stop", "frames", "fps", "on_error"]),
        st.text(alphabet="0123456789:./-aft", max_size=8),
    )
)
def test_settings_are_right_or_refused_by_name(settings: dict[str, str]) -> None:
    try:
        config = DecodeConfig(**settings)  # type: ignore[arg-type]
    except ValueError as error:
        assert any(key in str(error) for key in (*settings, "time", "minutes"))
        return
    first, end = config.times
    assert end is None or end > first
    low, high = config.numbers
    assert high is None or high > low
    assert config.rate is None or config.rate > 0


# -------------------------------------------------------------------------- ends and file objects


@pytest.mark.parametrize("taken", [0, 1, 5, 99])
def test_a_decoder_can_be_closed_at_any_moment(tmp_path: Path, taken: int) -> None:
    decoder = Decoder(str(write(tmp_path / "a.mkv", codec="libx264")))
    if taken:
        for count, _ in enumerate(decoder, 1):
            if count == taken:
                break
    decoder.close()
    decoder.close()
    assert list(iter(decoder)) == [] if not taken else True
    (tmp_path / "a.mkv").unlink()


def test_a_decoder_is_iterated_once(tmp_path: Path) -> None:
    with Decoder(str(write(tmp_path / "a.mkv", [0, 40]))) as decoder:
        list(decoder)
        with pytest.raises(RuntimeError, match="once"):
            iter(decoder)


def test_any_binary_stream_is_a_source(tmp_path: Path) -> None:
    data = write(tmp_path / "a.mkv").read_bytes()
    with Decoder(io.BytesIO(data)) as decoder:
        assert len(list(decoder)) == len(IRREGULAR)


class Pipe:
    """Bytes that can be read once, a few at a time."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(min(size, 1000) if size > 0 else size)


def test_y4m_needs_no_seeking(tmp_path: Path) -> None:
    path = write(tmp_path / "a.y4m", range(0, 400, 40), codec="wrapped_avframe")
    with Decoder(Pipe(path.read_bytes())) as decoder:
        frames = list(decoder)
    assert len(frames) == 10
    assert torch.equal(frames[9].planes[2], video_frame_planes(9, "yuv420p", (64, 48))[2])


def test_standard_input_can_be_probed_and_then_decoded(tmp_path: Path, root: Path) -> None:
    path = write(tmp_path / "a.y4m", range(0, 400, 40), codec="wrapped_avframe")
    program = (
        "from vrestore.io.decode import Decoder\n"
        "from vrestore.io.probe import probe\n"
        "info = probe('-')\n"
        "again = probe('-')\n"
        "assert again.video == info.video\n"
        "with Decoder('-') as decoder:\n"
        "    total = sum(int(frame.planes[0].sum()) for frame in decoder)\n"
        "import sys\n"
        "sys.stdout.write(f'{info.path} {info.container} {decoder.report.emitted} {total}')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
    ) as child:
        out, _ = child.communicate(path.read_bytes(), timeout=60)
    total = sum(int(video_frame_planes(n, "yuv420p", (64, 48))[0].sum()) for n in range(10))
    assert out.decode() == f"- yuv4mpegpipe 10 {total}"


def test_what_does_not_exist_or_is_no_media_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Decoder(str(tmp_path / "absent.mkv"))
    (tmp_path / "text.mkv").write_text("not a film")
    with pytest.raises(InputError, match="cannot be opened"):
        Decoder(str(tmp_path / "text.mkv"))
    with pytest.raises(InputError, match="no video stream 3"):
        Decoder(str(write(tmp_path / "a.mkv", [0])), DecodeConfig(video=3))


def test_the_clock_is_known_after_the_source_was_closed(sample: Path) -> None:
    with Decoder(sample) as decoder:
        before = decoder.time_base
        for _ in decoder:
            pass
    assert decoder.time_base == before == Fraction(1, 1000)
