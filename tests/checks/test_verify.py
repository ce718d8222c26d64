"""`vrestore verify`: a sound file passes, and each damage is named for what it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

import vrestore
from vrestore.checks import Outcome, Verdict, verify
from vrestore.cli import main
from vrestore.errors import InputError

VIDEO, AAC, OPUS, ASS = 0, 1, 2, 5
"""Streams of the torture file."""

Copy = Callable[..., Path]


def failed(verdict: Verdict) -> dict[str, str]:
    """Name and sentence of each failed check."""
    return {check.name: check.told for check in verdict.failures}


def against(finished: Any, path: Path) -> dict[str, str]:
    return failed(verify(str(path), str(finished.source)))


def dropping(stream: int, wanted: int) -> Callable[[int, int, Any], Any]:
    return lambda index, number, packet: None if (index, number) == (stream, wanted) else packet


def later(stream: int, ticks: int, first: int = 0) -> Callable[[int, int, Any], Any]:
    """Packets of a stream from number `first` on, moved."""

    def moved(index: int, number: int, packet: Any) -> Any:
        if index == stream and number >= first:
            packet.pts += ticks
            packet.dts += ticks
        return packet

    return moved


# ------------------------------------------------------------------------------- sound files


def test_a_file_that_holds_everything_passes_every_check(finished: Any) -> None:
    verdict = verify(str(finished.output), str(finished.source))
    assert failed(verdict) == {}
    names = {check.name for check in verdict.checks if check.outcome is Outcome.OK}
    assert names >= {
        "file", "frames", "picture", "order", "against: frames", "against: times",
        "against: picture", "against: colour", "chapters", "tags", "audio #1", "audio #2",
        "audio #3", "subtitle #4", "subtitle #5", "subtitle #6", "subtitle #7", "attached",
        "settings",
    }  # fmt: skip


def test_a_copy_packet_for_packet_passes_too(finished: Any, copy_with: Copy) -> None:
    assert against(finished, copy_with()) == {}


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".ts", ".mkv"])
def test_every_container_passes(finished: Any, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out{suffix}"
    settings = {"restore.model": "resize", "run.threads": 1}
    made = vrestore.restore(
        str(finished.source),
        str(output),
        preset="plain",
        overrides=settings | {"encode.encoder": "libx264", "encode.speed": "ultrafast"},
    )
    verdict = verify(str(output), str(finished.source), preset=made.plan.preset)
    assert failed(verdict) == {}
    assert "against: times" in {check.name for check in verdict.checks}


@pytest.mark.parametrize(
    "part", [{"input.start": "0.3", "input.stop": "1.1"}, {"input.frames": "5:30"}]
)
def test_a_part_passes_with_everything_moved_to_zero(
    finished: Any, tmp_path: Path, part: dict[str, str]
) -> None:
    output = tmp_path / "part.mkv"
    settings = {"restore.model": "identity", "encode.encoder": "ffv1", "run.threads": 1}
    vrestore.restore(str(finished.source), str(output), preset="plain", overrides=settings | part)
    assert against(finished, output) == {}


# ------------------------------------------------------------------------------- the picture


def test_a_truncated_file_is_named_with_its_end(finished: Any, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mkv"
    data = finished.output.read_bytes()
    cut.write_bytes(data[: len(data) * 6 // 10])
    alone = failed(verify(str(cut)))
    assert "the end is missing" in alone["file"]
    assert "frames missing" in against(finished, cut)["against: times"]


def test_a_file_that_is_cut_off_in_its_header_cannot_be_read(finished: Any, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(finished.output.read_bytes()[:300])
    with pytest.raises(InputError):
        verify(str(cut))


def test_a_dropped_frame_is_named_by_its_time(finished: Any, copy_with: Copy) -> None:
    wrong = against(finished, copy_with(packet=dropping(VIDEO, 20)))
    assert wrong["against: frames"] == "71 frames, and the source gives 72"
    assert wrong["against: times"] == "1 frame missing, the first is that of 1.350 s"
    assert "audio #1" not in wrong


def test_a_repeated_frame_is_one_too_many(finished: Any, copy_with: Copy) -> None:
    def twice(index: int, number: int, packet: Any) -> Any:
        if (index, number) == (VIDEO, 71):
            packet.pts = packet.dts = packet.pts + 40
        return packet

    assert "should be at" in against(finished, copy_with(packet=twice))["against: times"]


def test_shifted_pictures_are_told_apart_from_shifted_sound(finished: Any, copy_with: Copy) -> None:
    wrong = against(finished, copy_with(packet=later(VIDEO, 40)))
    assert wrong == {"against: times": "all frames are +0.040 s from their places"}
    wrong = against(finished, copy_with(packet=later(AAC, 40)))
    assert list(wrong) == ["audio #1"]
    assert "packet 0 is at 0.019 s and should be at -0.021 s" in wrong["audio #1"]


def test_sound_that_drifts_from_one_point_on_is_found(finished: Any, copy_with: Copy) -> None:
    wrong = against(finished, copy_with(packet=later(AAC, 5, first=100)))
    assert "packet 100 is at" in wrong["audio #1"]


def test_a_flipped_bit_in_a_picture_does_not_decode(
    finished: Any, copy_with: Copy, contents: Callable[[Any, bytes], Any]
) -> None:
    def flipped(index: int, number: int, packet: Any) -> Any:
        if (index, number) != (VIDEO, 30):
            return packet
        data = bytearray(bytes(packet))
        data[len(data) // 2] ^= 0x10
        return contents(packet, bytes(data))

    wrong = failed(verify(str(copy_with(packet=flipped))))
    assert "frames" in wrong and "decode" in wrong["frames"]


@pytest.mark.parametrize(
    ("overrides", "name", "words"),
    [
        ({"size.scale": 2, "restore.model": "resize"}, "against: picture", "should be 128x96"),
        ({"color.in_matrix": "709"}, "against: colour", "the matrix tag is 1"),
        ({"input.frames": "0:50"}, "against: frames", "50 frames, and the source gives 72"),
        ({"encode.pixel_format": "yuv420p10le"}, "against: picture", "should be 8-bit ycbcr"),
    ],
)
def test_what_other_settings_made_is_not_what_these_make(
    finished: Any, tmp_path: Path, overrides: dict[str, object], name: str, words: str
) -> None:
    wrong = against(finished, finished.run(tmp_path / "other.mkv", **overrides))
    assert words in wrong[name]


# --------------------------------------------------------------------- what goes with the picture


def test_a_missing_stream_is_named_with_codec_language_and_title(
    finished: Any, copy_with: Copy
) -> None:
    wrong = against(finished, copy_with(without=(OPUS,)))
    assert wrong == {"audio #2": "audio (opus, deu, Kommentar) of the source is missing"}


def test_a_dropped_packet_of_sound_is_named_by_its_time(finished: Any, copy_with: Copy) -> None:
    wrong = against(finished, copy_with(packet=dropping(AAC, 50)))
    assert list(wrong) == ["audio #1"]
    assert wrong["audio #1"].startswith("1 of 137 packets are missing") or (
        "packet 50" in wrong["audio #1"]
    )


def test_a_flipped_bit_in_the_sound_is_found(
    finished: Any, copy_with: Copy, contents: Callable[[Any, bytes], Any]
) -> None:
    def flipped(index: int, number: int, packet: Any) -> Any:
        if (index, number) != (AAC, 60):
            return packet
        data = bytearray(bytes(packet))
        data[len(data) // 2] ^= 1
        return contents(packet, bytes(data))

    wrong = against(finished, copy_with(packet=flipped))
    assert list(wrong) == ["audio #1"]
    assert "packet 60" in wrong["audio #1"] and "other contents" in wrong["audio #1"]


def test_a_lost_subtitle_is_found(finished: Any, copy_with: Copy) -> None:
    wrong = against(finished, copy_with(packet=dropping(ASS, 1)))
    assert list(wrong) == ["subtitle #5"]


def test_changed_properties_are_named(finished: Any, copy_with: Copy) -> None:
    changed = copy_with(stream_metadata={AAC: {"language": "ita"}, OPUS: {"title": "Other"}})
    wrong = against(finished, changed)
    assert wrong["audio #1"] == "its language is ita and was eng"
    assert wrong["audio #2"] == "its title is 'Other' and was 'Kommentar'"


def test_changed_tags_and_chapters_are_named(finished: Any, copy_with: Copy) -> None:
    def moved(chapters: list[Any]) -> list[Any]:
        return [*chapters[:1], chapters[1] | {"start": chapters[1]["start"] + 100_000_000}]

    wrong = against(finished, copy_with(metadata={"title": "Another"}, chapters=moved))
    assert wrong["tags"] == "tag 'title' is 'Another' and was 'Torture'"
    assert wrong["chapters"] == "chapter 2 begins at 1.300 s and should at 1.200 s"
    wrong = against(finished, copy_with(chapters=lambda chapters: chapters[:1]))
    assert wrong["chapters"] == "1 chapters, and there should be 2"


def test_a_changed_font_and_a_missing_one_are_named(finished: Any, copy_with: Copy) -> None:
    def swapped(name: str, data: bytes) -> tuple[str, bytes]:
        return name, data[::-1] if name == "Second.ttf" else data

    wrong = against(finished, copy_with(attachment=swapped))
    assert wrong["attached"].startswith("attachment #9 (Second.ttf)")
    assert "attached" in against(finished, copy_with(without=(8,)))


def test_damaged_settings_are_a_failure_and_none_are_not(
    finished: Any, copy_with: Copy, tmp_path: Path
) -> None:
    wrong = failed(verify(str(copy_with(metadata={"VRESTORE_SETTINGS": "{"}))))
    assert "damaged" in wrong["settings"]
    verdict = verify(str(finished.source))
    assert verdict.ok
    unknown = {check.name for check in verdict.checks if check.outcome is Outcome.UNKNOWN}
    assert unknown == {"settings", "source"}


# ---------------------------------------------------------------------------- pictures and stills


def test_numbered_pictures_are_counted_and_each_is_read(finished: Any, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    settings = {"restore.model": "resize", "input.frames": "0:6", "run.threads": 1}
    made = vrestore.restore(
        str(finished.source), str(folder / "%03d.png"), preset="plain", overrides=settings
    )
    pattern, source = str(folder / "%03d.png"), str(finished.source)
    assert failed(verify(pattern, source, preset=made.plan.preset)) == {}
    last = sorted(folder.iterdir())[-1]
    data = last.read_bytes()
    last.write_bytes(data[: len(data) // 2])
    assert str(last.name) in failed(verify(pattern))["pictures"]
    last.unlink()
    wrong = failed(verify(pattern, source, preset=made.plan.preset))
    assert wrong["against: frames"] == "5 pictures, and the source gives 6"


def test_a_still_keeps_its_shape_and_profile(tmp_path: Path) -> None:
    source, output = tmp_path / "a.png", tmp_path / "b.png"
    picture = Image.fromarray(np.arange(64 * 48 * 3, dtype=np.uint8).reshape(48, 64, 3))
    picture.save(source, icc_profile=b"profile" * 20)
    vrestore.restore(
        str(source), str(output), preset="plain", overrides={"restore.model": "resize"}
    )
    assert failed(verify(str(output), str(source))) == {}
    picture.resize((64, 64)).save(output)
    wrong = failed(verify(str(output), str(source)))
    assert wrong["against: picture"] == "its shape is 64x64 and the source's is 64x48"
    assert wrong["against: tags"] == "the ICC profile is missing or another one"


# -------------------------------------------------------------------------------- the command


def test_the_command_tells_a_table_or_json_and_its_status_says_the_rest(
    finished: Any, copy_with: Copy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(finished.output), "--against", str(finished.source)]) == 0
    told = capsys.readouterr()
    assert told.out == "" and "byte for byte" in told.err
    damaged = copy_with(packet=dropping(AAC, 50))
    command = ["verify", str(damaged), "--against", str(finished.source), "--json"]
    assert main(command) == 1
    told = capsys.readouterr()
    facts = json.loads(told.out)
    assert not facts["ok"] and facts["source"] == str(finished.source)
    assert [c["name"] for c in facts["checks"] if c["outcome"] == "failed"] == ["audio #1"]
    assert "is not as it must be: audio #1" in told.err
    assert main(["verify", str(damaged.with_name("absent.mkv"))]) == 3


def test_the_times_of_taken_apart_fields_are_known(tmp_path: Path) -> None:
    """Twice as many frames come out as go in, at times that the source does not have."""
    source, output = tmp_path / "fields.mkv", tmp_path / "out.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(8):
            frame = av.VideoFrame.from_ndarray(
                np.full((72, 64), 20 * number, np.uint8), format="yuv420p"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    settings = {"restore.model": "resize", "encode.encoder": "ffv1", "deinterlace.mode": "bob"}
    settings["deinterlace.order"] = "tff"
    made = vrestore.restore(str(source), str(output), preset="plain", overrides=settings)
    assert made.frames == 16
    verdict = verify(str(output), str(source))
    assert failed(verdict) == {}
    assert "16, as the source gives" in [check.told for check in verdict.checks]


def test_limited_range_goes_without_saying_in_h264(tmp_path: Path) -> None:
    """A transport stream has no place for a range, and H.264 leaves the usual one out."""
    source, output = tmp_path / "in.mkv", tmp_path / "out.ts"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.color_range = 1
        for number in range(4):
            frame = av.VideoFrame.from_ndarray(
                np.full((72, 64), 20 * number, np.uint8), format="yuv420p"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    settings = {"restore.model": "resize", "encode.encoder": "libx264", "run.threads": 1}
    made = vrestore.restore(str(source), str(output), preset="plain", overrides=settings)
    assert failed(verify(str(output), str(source), preset=made.plan.preset)) == {}
