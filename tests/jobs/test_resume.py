"""Runs that are interrupted and gone on with: the same file, or a sentence that says why not."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import pytest

import vrestore
from tests.jobs.conftest import SEGMENTS
from vrestore.errors import EncodeError, InputError, OutputError, StoppedError
from vrestore.jobs.folder import JobFolder
from vrestore.runtime.posix import lock_file


def pictures(path: Path | str) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as container:
        return [(f.pts, f.to_ndarray().tobytes()) for f in container.decode(video=0)]


@pytest.fixture(scope="module")
def whole(clip, tmp_path_factory) -> Path:
    from tests.jobs.conftest import SETTINGS

    output = tmp_path_factory.mktemp("whole") / "out.mkv"
    report = vrestore.restore(str(clip), str(output), preset="plain", overrides=SETTINGS)
    assert (report.frames, report.shots, report.facts["accounted"]) == (50, 3, True)
    assert list(output.parent.iterdir()) == [output]
    return output


@pytest.mark.parametrize("packets", [12, 27, 53])
def test_an_interrupted_run_gives_the_same_file(run, interrupted, whole, tmp_path, packets):
    output = tmp_path / "out.mkv"
    interrupted(output, packets)
    job, begun = JobFolder.look(tmp_path / "out.mkv.job")
    assert 0 < len(job.made) < len(begun.segments) == SEGMENTS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mkv.job"]
    report = run(output)
    assert report.frames == 50
    assert output.read_bytes() == whole.read_bytes()
    assert list(tmp_path.iterdir()) == [output]


def test_segments_that_are_lost_or_damaged_are_made_again(run, whole, tmp_path):
    output = tmp_path / "out.mkv"
    run(output, keep_job=True)
    job = tmp_path / "out.mkv.job"
    output.unlink()
    (job / "000001.packets").unlink()
    (job / "000003.packets").write_bytes(b"short")
    run(output)
    assert output.read_bytes() == whole.read_bytes()


def test_a_run_that_was_killed_after_it_had_given_the_name_only_cleans_up(run, whole, tmp_path):
    output = tmp_path / "out.mkv"
    run(output, keep_job=True)
    before = output.stat().st_mtime_ns
    report = run(output)
    assert (report.frames, report.stats) == (50, None)
    assert output.stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == [output]


def test_a_kill_while_the_folder_was_removed_does_not_begin_anew(run, whole, tmp_path):
    output, job = tmp_path / "out.mkv", tmp_path / "out.mkv.job"
    run(output, keep_job=True)
    for number in range(3):
        (job / f"{number:06d}.packets").unlink()
    before = output.stat().st_mtime_ns
    report = run(output)
    assert (report.frames, report.stats, report.facts["accounted"]) == (50, None, True)
    assert output.stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == [output]


def test_a_segment_altered_on_the_disk_is_found_and_made_again(run, whole, tmp_path):
    output, segment = tmp_path / "out.mkv", tmp_path / "out.mkv.job" / "000001.packets"
    run(output, keep_job=True)
    output.unlink()
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    with pytest.raises(OutputError, match=r"segment 1 was damaged.*4 of 5 segments are kept"):
        run(output)
    assert not segment.exists() and not output.exists()
    run(output)
    assert output.read_bytes() == whole.read_bytes()


def test_a_stop_before_the_first_segment_leaves_nothing(run, tmp_path, monkeypatch):
    from vrestore.jobs import run as jobs

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    for step in ("conditions", "map_source"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(jobs, step, stopped)
            run(tmp_path / "out.mkv")
        assert list(tmp_path.iterdir()) == []


def test_segments_have_the_frames_of_a_run_in_one_piece(run, tmp_path):
    lossless = {"encode.encoder": "ffv1"}
    run(tmp_path / "a.mkv", lossless)
    run(tmp_path / "b.mkv", lossless | {"run.segment_seconds": 0})
    assert pictures(tmp_path / "a.mkv") == pictures(tmp_path / "b.mkv")


@pytest.mark.parametrize(
    ("name", "encoder", "speed"),
    [
        ("out.mp4", "libx265", "ultrafast"),
        ("out.mkv", "libsvtav1", "ultrafast"),
        ("out.mov", "prores_ks", "hq"),
        ("%03d.png", "png", None),
    ],
)
def test_every_kind_of_output_is_joined_and_resumed(
    run, interrupted, tmp_path, name, encoder, speed
):
    made = []
    settings = {"encode.encoder": encoder, "encode.speed": speed}
    for folder in ("whole", "resumed"):
        (tmp_path / folder / "o").mkdir(parents=True)
        output = tmp_path / folder / "o" / name
        if folder == "resumed":
            interrupted(output, 30, settings=settings)
        run(output, settings)
        files = sorted(output.parent.iterdir())
        assert len(files) == (50 if "%" in name else 1)
        made.append([file.read_bytes() for file in files])
        if "%" not in name:
            times = [pts for pts, _ in pictures(output)]
            assert len(times) == 50 and times == sorted(set(times))
    assert made[0] == made[1]


def test_a_part_of_the_source_in_segments(run, tmp_path):
    part = {"input.frames": "7:43", "encode.encoder": "ffv1"}
    run(tmp_path / "a.mkv", part)
    run(tmp_path / "b.mkv", part | {"run.segment_seconds": 0})
    made = pictures(tmp_path / "a.mkv")
    assert len(made) == 36
    assert made == pictures(tmp_path / "b.mkv")


# ---------------------------------------------------------------------------- what is refused


def test_other_settings_are_refused_by_name_and_nothing_is_touched(run, interrupted, tmp_path):
    output = tmp_path / "out.mkv"
    interrupted(output, 27)
    before = {p: p.read_bytes() for p in (tmp_path / "out.mkv.job").iterdir()}
    with pytest.raises(OutputError, match=r'size\.scale was "none" and is 2.*--restart'):
        run(output, {"size.scale": 2}, overwrite=True)
    assert {p: p.read_bytes() for p in (tmp_path / "out.mkv.job").iterdir()} == before
    run(output, {"size.scale": 2}, restart=True)
    assert output.exists()


def test_another_source_is_refused(run, interrupted, clip, tmp_path):
    source = tmp_path / "source.mkv"
    shutil.copy(clip, source)
    interrupted(tmp_path / "out.mkv", 27, source=source)
    data = bytearray(source.read_bytes())
    data[len(data) // 2] ^= 1
    source.write_bytes(data)
    with pytest.raises(OutputError, match="source was"):
        run(tmp_path / "out.mkv", source=source)


def test_settings_without_influence_are_no_part_of_the_plan(run, interrupted, whole, tmp_path):
    output = tmp_path / "out.mkv"
    interrupted(output, 27)
    run(output, {"run.memory": "200MiB"})
    assert pictures(output) == pictures(whole)


def test_two_runs_on_one_output(run, tmp_path):
    job = tmp_path / "out.mkv.job"
    job.mkdir()
    with lock_file(job / "lock"), pytest.raises(OutputError, match="another vrestore"):
        run(tmp_path / "out.mkv")
    run(tmp_path / "out.mkv")
    short = {"run.segment_seconds": 10}
    with lock_file(tmp_path / "b.mkv.part"), pytest.raises(OutputError, match="another vrestore"):
        run(tmp_path / "b.mkv", short)
    run(tmp_path / "b.mkv", short)


def test_a_folder_that_is_no_job_is_left_alone(run, tmp_path):
    folder = tmp_path / "out.mkv.job"
    folder.mkdir()
    (folder / "mine").write_text("precious")
    with pytest.raises(OutputError, match="in the way"):
        run(tmp_path / "out.mkv")
    assert (folder / "mine").read_text() == "precious"


def test_an_existing_output_is_refused_and_a_matching_job_survives_y(run, interrupted, tmp_path):
    output = tmp_path / "out.mkv"
    output.write_bytes(b"precious")
    with pytest.raises(OutputError, match="-y"):
        run(output)
    assert sorted(tmp_path.iterdir()) == [output]
    interrupted(output, 27, overwrite=True)
    assert output.read_bytes() == b"precious"
    report = run(output, overwrite=True)
    assert report.frames == 50
    assert report.stats.stages[0].items_out < 50, "what was there was not made again"


# ----------------------------------------------------------------------------------- failures


def test_a_failure_before_the_first_segment_leaves_nothing(run, interrupted, tmp_path):
    interrupted(tmp_path / "out.mkv", 3)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_stops_resumably(run, whole, tmp_path, monkeypatch):
    from vrestore.jobs import keeping

    sizes = iter([2**40] * 4)
    with monkeypatch.context() as patch:
        patch.setattr(keeping, "_CHECK_EVERY_BYTES", 1)
        patch.setattr(keeping, "free_bytes", lambda _: next(sizes, 2**20) if (
            len(list((tmp_path / "out.mkv.job").glob("*.packets"))) >= 2) else 2**40)  # fmt: skip
        with pytest.raises(StoppedError, match=r"full.*2 of 5 segments are kept"):
            run(tmp_path / "out.mkv")
    run(tmp_path / "out.mkv")
    assert pictures(tmp_path / "out.mkv") == pictures(whole)


def test_an_encoder_that_fails_leaves_a_job(run, whole, tmp_path, monkeypatch):
    from vrestore.jobs import keeping

    opened = []

    def failing(plan):
        opened.append(plan)
        if len(opened) == 3:
            raise EncodeError("libx264 does not open: no memory")
        return working(plan)

    working = keeping.open_encoder
    with monkeypatch.context() as patch:
        patch.setattr(keeping, "open_encoder", failing)
        with pytest.raises(EncodeError, match=r"no memory; \d of 5 segments are kept in .*job"):
            run(tmp_path / "out.mkv")
    run(tmp_path / "out.mkv")
    assert pictures(tmp_path / "out.mkv") == pictures(whole)


def test_a_source_that_is_cut_off_while_it_is_read(run, interrupted, clip, tmp_path):
    source = tmp_path / "source.mkv"
    shutil.copy(clip, source)
    output = tmp_path / "out.mkv"
    interrupted(output, 27, source=source)
    job, _ = JobFolder.look(tmp_path / "out.mkv.job")
    # The fingerprint would tell; a file that shrinks after it was taken does not.
    from vrestore.jobs import run as running

    working = running.conditions
    try:
        running.conditions = lambda plan: (working(plan), _halve(source))[0]
        with pytest.raises(InputError, match=r"ended or changed.*segments are kept"):
            run(output, source=source)
    finally:
        running.conditions = working
    assert len(JobFolder.look(tmp_path / "out.mkv.job")[0].made) >= len(job.made)


def _halve(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
