"""Files that mean harm: each is refused by a stated limit, in one sentence, and leads nowhere."""

from __future__ import annotations

import json
import os
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import vrestore
from vrestore import limits, preset
from vrestore.cli import main
from vrestore.errors import InputError, ModelError, PresetError
from vrestore.io.encoderfiles import options_of_files
from vrestore.io.probe import probe
from vrestore.io.selection import DecodeConfig
from vrestore.io.sequence import find_sequence
from vrestore.io.still import read_still
from vrestore.models.registry import load_weights, parse_table
from vrestore.models.single import ncnnfile
from vrestore.ops.cutlist import parse_cuts
from vrestore.review.embedded import parse_settings
from vrestore.review.page.markup import element, script_json
from vrestore.review.record import read_record
from vrestore.shotlist import read_cuts, read_shots
from vrestore.train.manifest import parse_manifest, read_manifest

IDENTITY = {"restore.model": "identity", "encode.encoder": "ffv1", "run.threads": 1}


# ------------------------------------------------------------------------------- what is read


@pytest.mark.parametrize("text", ["1e9", "1.5e999999999", "1/0", "nan", "inf", "", "9" * 41, "٣"])
def test_numbers_that_are_none_or_could_fill_the_memory_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        limits.exact(text)


def test_numbers_as_people_write_them_are_exact() -> None:
    assert limits.exact("24000/1001") == Fraction(24000, 1001)
    assert limits.exact("-12.50") == Fraction(-25, 2)


def test_no_more_is_read_than_allowed_and_no_device(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100)
    assert limits.read_bytes(file, 100) == b"x" * 100
    with pytest.raises(OSError, match="larger than 99 bytes"):
        limits.read_bytes(file, 99)
    with pytest.raises(OSError, match="device"):
        limits.read_bytes("/dev/zero", 10)
    with pytest.raises(OSError):
        limits.read_bytes("a\0b", 10)


@pytest.mark.parametrize("read", [preset.load, read_shots, read_cuts])
@pytest.mark.parametrize("kind", ["large", "device", "folder", "binary"])
def test_lists_and_presets_that_are_no_small_text_are_refused(
    tmp_path: Path, read: object, kind: str
) -> None:
    path = tmp_path / "hostile.toml"
    if kind == "large":
        with path.open("wb") as file:
            file.truncate(17 * 2**20)
    elif kind == "folder":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(b"\xff\xfe\x00" * 100)
    name = "/dev/zero" if kind == "device" else str(path)
    if kind == "device" and read is preset.load:
        path.symlink_to("/dev/zero")
        name = str(path)
    with pytest.raises(PresetError):
        read(name)  # type: ignore[operator]


# ---------------------------------------------------------------------------------- presets


@pytest.mark.parametrize(
    "base", ["../../etc/passwd", "/etc/passwd", "a/b", "..", "a\\b", "\\u0000"]
)
def test_a_preset_extends_nothing_outside_of_its_folder(tmp_path: Path, base: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'schema = 1\nextends = "{base}"\n'.replace("a\\b", "a\\\\b"))
    with pytest.raises(PresetError, match="no plain name"):
        preset.load(path)


@pytest.mark.parametrize(
    ("encoder", "key", "value"),
    [
        ("libx264", "x264-params", "pass=1:stats=/tmp/harm"),
        ("libx265", "x265-params", "csv=/tmp/harm:csv-log-level=2"),
        ("libx264", "passlogfile", "/tmp/harm"),
        ("libsvtav1", "svtav1-params", "stat-file=/tmp/harm"),
    ],
)
def test_a_preset_cannot_make_an_encoder_write_files(
    tmp_path: Path, encoder: str, key: str, value: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        f'schema = 1\n[encode]\nencoder = "{encoder}"\noptions = {{ "{key}" = "{value}" }}\n'
    )
    with pytest.raises(PresetError, match="a file of its own"):
        preset.load(path)
    # By hand it may be asked for.
    asked = preset.load("plain").override(f"encode.options.{key}", value, "flag -e")
    assert options_of_files(asked.encode.options)


def test_strengths_that_share_a_files_name_stay_allowed() -> None:
    assert options_of_files({"svtav1-params": "film-grain=8:tune=0"}) == []


def test_the_rate_of_a_sequence_cannot_fill_the_memory() -> None:
    with pytest.raises(PresetError, match="fps must be a number"):
        preset.loads('schema = 1\n[input]\nfps = "1e999999999"\n', "hostile")


def test_times_in_a_cut_list_cannot_fill_the_memory() -> None:
    for line in ("1.5e999999999", "0 0 1e999999999 0", "0 " + "9" * 50 + " 1/25 0", "1:2:3:4.0"):
        with pytest.raises(ValueError, match="line 1"):
            parse_cuts(line)


def test_a_wrong_cut_list_is_one_sentence_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "cuts.txt"
    path.write_text("0\nnonsense " + "x" * 5000)
    with pytest.raises(PresetError, match="line 2") as caught:
        read_cuts(str(path))
    assert len(str(caught.value)) < 400


# ---------------------------------------------------------- settings in files, records, pages


def settings(**changes: object) -> str:
    table = {
        "schema": 1, "version": "1", "source": "a.mov", "source_bytes": 1, "preset": "plain",
        "toml": "schema = 1\n", "model": "lite", "sha256": None,
    }  # fmt: skip
    return json.dumps(table | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": [1] * 100}, {"preset": "../../x"}, {"preset": ""}, {"preset": "a\0b"},
        {"toml": 5}, {"source_bytes": "many"}, {"sha256": ["x"]}, {"source": None},
    ],
)  # fmt: skip
def test_settings_of_a_wrong_shape_are_damaged(changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"file\.mkv"):
        parse_settings(settings(**changes), "file.mkv")
    for text in ("[", "[]", "null", "[" * 100_000, '"' + "x" * limits.SETTINGS_BYTES + '"'):
        with pytest.raises(InputError, match="damaged"):
            parse_settings(text, "file.mkv")


def test_a_file_cannot_send_rerun_to_a_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["VRESTORE_SETTINGS"] = settings(source="http://127.0.0.1:9/%41.mkv")
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 32), np.uint8), format="yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert main(["rerun", str(path)]) == 3
    assert "named by hand" in capsys.readouterr().err


def test_a_damaged_record_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.mkv.record.json"
    keys = ("vrestore", "written", "source", "output", "part", "diagnosis", "plan", "losses",
            "settings", "model", "result", "stages", "shots", "sightings", "metrics",
            "machine")  # fmt: skip
    record = {"kind": "vrestore record", "schema": 1} | dict.fromkeys(keys, 5)
    path.write_text(json.dumps(record))
    assert main(["report", str(path), "-o", str(tmp_path / "page.html")]) == 3
    assert "is damaged" in capsys.readouterr().err
    path.write_text("[" * 200_000)
    with pytest.raises(InputError):
        read_record(path)


def test_text_of_files_stays_text_in_pages() -> None:
    harm = '"><script>alert(1)</script><img src=x onerror=alert(1)>\0'
    made = element("p", harm, title=harm)
    assert "<script" not in made and "<img" not in made and "\0" not in made
    assert made.count("<") == 2
    assert script_json({harm: harm}, "data").count("</script") == 1


# ------------------------------------------------------------------------------------ pictures


def png(width: int, height: int) -> bytes:
    """A grey picture, all black: some thousand times smaller than its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    packer = zlib.compressobj(9)
    row = bytes(width + 1)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_before_it_is_unpacked_and_the_limit_can_be_raised(
    tmp_path: Path,
) -> None:
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png(2000, 1500))
    small = DecodeConfig(max_pixels=2_000_000)
    with pytest.raises(InputError, match="max_pixels"):
        probe(str(bomb), small)
    with pytest.raises(InputError, match=r"2000x1500.*max_pixels"):
        read_still(bomb, max_pixels=2_000_000)
    assert read_still(bomb, max_pixels=3_000_000)[0].width == 2000
    assert probe(str(bomb), DecodeConfig(max_pixels=3_000_000)).video.width == 2000


def test_the_default_limit_is_far_above_8k_and_stops_real_bombs(tmp_path: Path) -> None:
    assert 3 * 8192 * 4320 < limits.PICTURE_PIXELS < 2**28
    bomb = tmp_path / "bomb.png"
    # Only the head: what follows is never reached.
    bomb.write_bytes(png(16, 16)[:16] + struct.pack(">2I", 60000, 60000) + png(16, 16)[24:])
    with pytest.raises(InputError):
        probe(str(bomb))
    with pytest.raises(InputError):
        read_still(bomb)


def test_a_video_of_absurd_dimensions_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "wide.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((720, 640), np.uint8), format="yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="max_pixels"):
        probe(str(path), DecodeConfig(max_pixels=300_000))
    output = tmp_path / "out.mkv"
    with pytest.raises(InputError, match="max_pixels"):
        vrestore.restore(
            str(path), str(output), preset="plain",
            overrides=IDENTITY | {"input.max_pixels": 300_000},
        )  # fmt: skip
    assert not output.exists()
    with pytest.raises(PresetError, match="max_pixels"):
        vrestore.plan(str(path), str(output), overrides={"input.max_pixels": 0})


def test_a_picture_that_grows_within_a_sequence_is_not_unpacked(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(np.zeros((48, 64), np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "1.png").write_bytes(png(3000, 2000))
    report = vrestore.restore(
        str(tmp_path / "%d.png"), str(tmp_path / "out.mkv"), preset="plain",
        overrides=IDENTITY | {"input.max_pixels": 1_000_000},
    )  # fmt: skip
    assert report.decoded.corrupt_packets == 1
    assert report.frames == 3


def test_pictures_that_call_other_programs_are_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "program.eps"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    with pytest.raises(InputError):
        read_still(path)


def test_widths_of_numbers_in_a_pattern_are_bounded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="99 digits"):
        find_sequence(str(tmp_path / "%0999999999d.png"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile '../../../../etc/hostname'\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile 'http://127.0.0.1:9/a.mkv'\n"),
        ("list.sdp", "v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"),
    ],
)
def test_lists_that_name_other_files_and_networks_lead_nowhere(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError):
        probe(str(tmp_path / name))


# -------------------------------------------------------------------------------------- models


def test_weights_are_files_of_their_folder_and_verified(tmp_path: Path) -> None:
    row = '[m]\narch = "cell"\npurpose = "x"\nlicense = "x"\nscales = [1]\n'
    for name in ("../../secret", "/etc/passwd", "a/b.safetensors", ""):
        with pytest.raises(ModelError, match="without a folder"):
            parse_table(f'{row}weights = "{name}"\nsha256 = "00"\n')
    spec = parse_table(f'{row}weights = "w.safetensors"\nsha256 = "00"\n')["m"]
    (tmp_path / "w.safetensors").write_bytes(b"\x80\x04harm.")
    with pytest.raises(ModelError, match="damaged"):
        load_weights(spec, tmp_path)


def test_network_descriptions_that_promise_too_much_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.param"
    path.with_suffix(".bin").write_bytes(b"")
    head = f"{ncnnfile.MAGIC}\n1 1\n"
    for layer in (
        "Input", "Input in -1 5 a", "Input in 99999999999 1 a", "Convolution c 1 1 a b 0=1e308",
        "Convolution c 1 1 a b 0=99999999 1=3 6=99999999999", "PReLU p 1 1 a b 0=-1",
        "Convolution c 1 1 a b 0=nan", "Convolution c 1 1 a b x=1", "Magic m 1 1 a b",
    ):  # fmt: skip
        path.write_text(head + layer)
        with pytest.raises(ModelError):
            ncnnfile.read(path)
    path.write_text(head + "Split s 0 0\n" * (limits.NCNN_LAYERS + 1))
    with pytest.raises(ModelError, match="more than"):
        ncnnfile.read(path)


def test_lists_of_footage_stay_below_their_folder() -> None:
    for name in ("../../secret", "/etc/passwd"):
        with pytest.raises(PresetError, match="no data manifest"):
            read_manifest(name)
        text = f'description = "x"\n[[source]]\nfiles = ["{name}"]\nlicense = "x"\n'
        with pytest.raises(PresetError, match="leads out"):
            parse_manifest(text, "x")


def test_attachments_and_covers_with_hostile_names_write_no_file(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "work" / "out.mkv"
    output.parent.mkdir()
    with av.open(str(source), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        container.add_attachment("../../escaped.ttf", "font/ttf", b"\x00\x01\x00\x00" * 9)
        container.add_attachment("/tmp/escaped.png", "image/png", png(8, 8))
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 32), np.uint8), format="yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    vrestore.restore(str(source), str(output), preset="plain", overrides=IDENTITY)
    found = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"in.mkv", "out.mkv"}
    assert not os.path.exists("/tmp/escaped.png")
