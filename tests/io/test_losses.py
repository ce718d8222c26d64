"""What a container cannot hold is said before the first frame, and only that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vrestore.errors import LossError
from vrestore.io.containers import CONTAINERS
from vrestore.io.losses import Loss, require_lossless
from vrestore.io.probe import probe
from vrestore.io.streams import Handling, StreamsConfig, plan_streams


def losses(source: Path, container: str, config: StreamsConfig | None = None) -> list[str]:
    plan = plan_streams(probe(str(source)), CONTAINERS[container], config or StreamsConfig())
    return [loss.what for loss in plan.losses]


def test_matroska_loses_nothing_of_matroska(torture_mkv: Path) -> None:
    assert losses(torture_mkv, "matroska") == []


def test_quicktime_loses_nothing_of_quicktime(torture_mov: Path) -> None:
    assert losses(torture_mov, "mov") == []


def test_mp4_says_what_of_matroska_it_cannot_hold(torture_mkv: Path) -> None:
    assert losses(torture_mkv, "mp4") == [
        "styling of subtitle stream #5 (ass, jpn, Signs & songs)",
        "subtitle stream #6 (hdmv_pgs_subtitle, fra)",
        "attachment stream #8 (Torture.ttf, The font)",
        "attachment stream #9 (Second.ttf)",
        "metadata DATE_RECORDED",
    ]


def test_what_is_left_out_on_purpose_is_no_loss(torture_mkv: Path) -> None:
    config = StreamsConfig(subtitles=False, attachments=False)
    assert losses(torture_mkv, "mp4", config) == ["metadata DATE_RECORDED"]


def test_matroska_says_what_of_quicktime_it_cannot_hold(torture_mov: Path) -> None:
    plan = plan_streams(probe(str(torture_mov)), CONTAINERS["matroska"], StreamsConfig())
    assert [loss.what for loss in plan.losses] == ["data stream #3 (gpmd)"]
    assert plan.video_metadata["timecode"] == "01:00:00:00"
    assert any("timecode tag" in note for note in plan.notes)


def test_a_picture_only_output_names_every_stream(torture_mkv: Path) -> None:
    named = losses(torture_mkv, "yuv4mpegpipe")
    assert len(named) == 11
    assert named[-1] == "2 chapters"


def test_plain_text_subtitles_are_converted_not_lost(torture_mkv: Path) -> None:
    plan = plan_streams(probe(str(torture_mkv)), CONTAINERS["mp4"], StreamsConfig(map=("4",)))
    (route,) = plan.routes
    assert (route.handling, route.codec) == (Handling.CONVERT, "mov_text")
    assert plan.losses == ()


def test_strict_makes_losses_an_error_that_names_them(torture_mkv: Path) -> None:
    plan = plan_streams(probe(str(torture_mkv)), CONTAINERS["mp4"], StreamsConfig())
    with pytest.raises(LossError, match=r"5 thing\(s\).*Second\.ttf"):
        require_lossless(plan.losses)
    require_lossless(())


def test_a_loss_reads_as_what_why_and_remedy() -> None:
    loss = Loss(what="a font", why="MP4 holds none", remedy="write to .mkv")
    assert str(loss) == "a font: MP4 holds none; write to .mkv"


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("sample_with_pgs_subtitles.mkv", "mkv"),
        ("sample_with_vobsub.mkv", "mkv"),
        ("242_4.mkv", "mkv"),
        ("sample_with_chapters.mp4", "mp4"),
        ("multiple-aac-tracks.mp4", "mp4"),
        ("mp3ac325-4864-small.mp4", "mkv"),
    ],
)
def test_real_files_lose_no_stream(
    name: str, container: str, shared: Path, transcode: Callable[..., Any], tmp_path: Path
) -> None:
    from vrestore.errors import InputError
    from vrestore.io.decode import DecodeConfig

    source = shared / "data/odd/streams_subs_chapters" / name
    try:
        info = probe(str(source))
    except InputError:
        assert name == "multiple-aac-tracks.mp4"  # No picture in it.
        return
    output = tmp_path / f"out.{container}"
    plan = transcode(source, output, "libx264", speed="ultrafast",
                     decode=DecodeConfig(frames="0:5"))  # fmt: skip
    names = [loss.what for loss in plan.streams.losses]
    assert names == []
    kinds = [stream.kind for stream in info.streams if stream.codec != "bin_data"]
    written = [stream.kind for stream in probe(str(output)).streams if stream.codec != "bin_data"]
    assert written == kinds
