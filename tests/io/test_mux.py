"""Files appear whole, in time, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vrestore.errors import OutputError, PlanError
from vrestore.io import partfile
from vrestore.io.containers import CONTAINERS, container_for
from vrestore.io.encode import EncodeConfig
from vrestore.io.output import open_output, plan_output
from vrestore.io.partfile import PartFile
from vrestore.io.probe import probe
from vrestore.io.streams import StreamsConfig
from vrestore.io.verify import verify_output

Transcode = Callable[..., Any]


def opened(source: Path, output: Path, make_target: Callable[..., Any], **options: Any) -> Any:
    info = probe(str(source))
    plan = plan_output(str(output), info, make_target(info), EncodeConfig(encoder="libx264"),
                       StreamsConfig(), exact=True)  # fmt: skip
    return plan, info, open_output(plan, info, **options)


def test_nothing_has_the_final_name_before_commit(
    torture_mkv: Path, make_target: Callable[..., Any], tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"
    _, _, (_, muxer) = opened(torture_mkv, output, make_target)
    muxer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv.part"]
    muxer.commit()
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


@pytest.mark.parametrize("closed", [False, True])
def test_abort_leaves_nothing_and_may_be_called_twice(
    closed: bool, torture_mkv: Path, make_target: Callable[..., Any], tmp_path: Path
) -> None:
    _, _, (_, muxer) = opened(torture_mkv, tmp_path / "out.mkv", make_target)
    if closed:
        muxer.close()
    muxer.abort()
    muxer.abort()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept_unless_told_otherwise(
    torture_mkv: Path, transcode: Transcode, tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"
    output.write_text("precious")
    with pytest.raises(OutputError, match="exists; give -y"):
        transcode(torture_mkv, output, "libx264")
    assert output.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]
    transcode(torture_mkv, output, "libx264", overwrite=True)
    assert probe(str(output)).container.startswith("matroska")


def test_a_missing_folder_and_a_folder_as_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is not a folder"):
        PartFile(tmp_path / "none" / "out.mkv").claim()
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        PartFile(tmp_path / "taken", overwrite=True).claim()


def test_a_file_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be made: .+"):
        PartFile(tmp_path / ("x" * 300)).claim()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_refused_before_and_while_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = PartFile(tmp_path / "out.mkv")
    with pytest.raises(OutputError, match="are needed"):
        part.claim(expected_bytes=2**60)
    part.claim()
    part.spent(10)
    monkeypatch.setattr(partfile, "RESERVE_BYTES", 2**62)
    part.spent(partfile.CHECK_EVERY_BYTES - 20)
    with pytest.raises(OutputError, match="is full"):
        part.spent(10)
    part.discard()
    assert list(tmp_path.iterdir()) == []


def test_pictures_join_a_folder_only_when_told(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "1.png").write_text("old")
    with pytest.raises(OutputError, match="exists"):
        PartFile(folder, pattern="%d.png").claim()
    part = PartFile(folder, pattern="%d.png", overwrite=True)
    part.claim()
    (part.path / "2.png").write_text("new")
    part.commit()
    assert sorted(path.name for path in folder.iterdir()) == ["1.png", "2.png"]
    assert not part.path.exists()


@pytest.mark.parametrize("missing", ["packet", "stream", "tag"])
def test_verification_finds_what_is_missing(
    missing: str, torture_mkv: Path, make_target: Callable[..., Any], make_noise: Any,
    tmp_path: Path,
) -> None:  # fmt: skip
    from dataclasses import replace

    from vrestore.media import Matrix

    output = tmp_path / "out.mkv"
    plan, info, (encoder, muxer) = opened(torture_mkv, output, make_target)
    for index in range(4):
        for packet in encoder.push(make_noise(make_target(info), index)):
            muxer.write(packet)
    for packet in encoder.flush():
        muxer.write(packet)
    muxer.close()
    verify_output(plan, muxer)
    if missing == "packet":
        muxer.packets += 1
        wanted = "frames: 4 where 5"
    elif missing == "stream":
        plan = replace(plan, streams=replace(plan.streams, routes=plan.streams.routes[1:]))
        wanted = "audio streams: 3 where 2"
    else:
        color = replace(plan.choice.color, matrix=Matrix.BT2020_NCL)
        plan = replace(plan, choice=replace(plan.choice, color=color))
        wanted = "matrix tag"
    with pytest.raises(OutputError, match=wanted):
        verify_output(plan, muxer)
    muxer.abort()


@pytest.mark.parametrize(
    ("output", "encoder", "name"),
    [
        ("a.mkv", "auto", "matroska"),
        ("a.MP4", "auto", "mp4"),
        ("a.mov", "prores_ks", "mov"),
        ("-", "auto", "yuv4mpegpipe"),
        ("f/%05d.png", "png", "image2"),
        ("anything", "null", "null"),
    ],
)
def test_the_name_tells_the_container(output: str, encoder: str, name: str) -> None:
    assert container_for(output, encoder) is CONTAINERS[name]


@pytest.mark.parametrize("output", ["a.xyz", "a"])
def test_an_unknown_extension_names_the_known_ones(output: str) -> None:
    with pytest.raises(PlanError, match=r"choose one of \.mkv"):
        container_for(output)


def test_an_encoder_that_the_container_does_not_hold_is_refused(
    torture_mkv: Path, transcode: Transcode, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="does not hold ffv1"):
        transcode(torture_mkv, tmp_path / "out.mov", "ffv1")
    assert list(tmp_path.iterdir()) == []


def test_the_null_encoder_writes_nothing(
    torture_mkv: Path, transcode: Transcode, tmp_path: Path
) -> None:
    plan = transcode(torture_mkv, tmp_path / "out", "null")
    assert plan.losses == ()
    assert list(tmp_path.iterdir()) == []


def test_y4m_goes_to_standard_output(
    torture_mkv: Path, transcode: Transcode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "stdout").open("wb") as stream:
        monkeypatch.setattr("sys.stdout", SimpleNamespace(buffer=stream))
        transcode(torture_mkv, "-", "auto")
    assert (tmp_path / "stdout").read_bytes().startswith(b"YUV4MPEG2 W128 H96 ")
    assert (tmp_path / "stdout").read_bytes().count(b"FRAME\n") >= 72
