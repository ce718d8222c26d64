"""Several sources in one command: what is taken, where it goes, and how failures end."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vrestore.cli import main
from vrestore.commands.batch import (
    Entry,
    Fate,
    failure_of,
    is_batch,
    place_of,
    restore_all,
    summary,
)
from vrestore.commands.gathering import collect, watched
from vrestore.errors import InputError, OutputError, PresetError, StoppedError, VRestoreError
from vrestore.io.testclip import write_test_clip

QUICK = ["-n", "identity", "-c:v", "ffv1", "--progress", "none", "--threads", "1"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    write_test_clip(path, 64, 48, 6)
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path: Path, clip: bytes) -> Path:
    """Two films, one file that is none, and things that are no media."""
    made = tmp_path / "in"
    made.mkdir()
    for name in ("a.mkv", "b.mov"):
        (made / name).write_bytes(clip)
    (made / "c.avi").write_bytes(b"no film at all")
    (made / "notes.txt").write_text("words")
    (made / ".hidden.mkv").write_bytes(clip)
    (made / "a.mkv.part").write_bytes(clip)
    return made


# --------------------------------------------------------------------------------- what is taken


def test_one_file_into_one_file_is_no_batch(tmp_path: Path) -> None:
    assert not is_batch(["a.mkv"], "b.mkv", watch=False)
    assert not is_batch(["frames/%05d.png"], "b.mkv", watch=False)
    assert not is_batch([str(tmp_path)], "b.mkv", watch=False)
    assert not is_batch(["-"], "-", watch=False)


def test_more_than_one_or_a_folder_to_go_to_is_one(tmp_path: Path) -> None:
    assert is_batch(["a.mkv", "b.mkv"], "c", watch=False)
    assert is_batch(["@list.txt"], "c", watch=False)
    assert is_batch(["a.mkv"], "out/", watch=False)
    assert is_batch(["a.mkv"], str(tmp_path), watch=False)
    assert is_batch(["*.mkv"], "out", watch=False)
    assert is_batch(["in"], "out", watch=True)


def test_a_folder_stands_for_its_media_in_order(folder: Path) -> None:
    assert [Path(path).name for path in collect([str(folder)])] == ["a.mkv", "b.mov", "c.avi"]


def test_globs_and_lists_give_each_file_once(folder: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("# films\nin/b.mov\r\n\n  in/a.mkv  \n")
    found = collect([str(folder / "*.mkv"), f"@{listed}"])
    assert [Path(path).name for path in found] == ["a.mkv", "b.mov"] or len(found) == 3
    assert len({Path(path).resolve() for path in found}) == 2


def test_a_folder_of_numbered_pictures_is_one_film(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / f"frame{number}.png")
    assert collect([str(tmp_path)]) == [str(tmp_path)]


@pytest.mark.parametrize("word", ["nothing*.mkv", "@absent.txt", "@/dev/zero"])
def test_what_gives_nothing_is_one_sentence(word: str) -> None:
    with pytest.raises(InputError):
        collect([word])


def test_a_list_names_files_only(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("http://127.0.0.1:9/a.mkv\n")
    with pytest.raises(InputError, match="is no file"):
        collect([f"@{listed}"])


# ------------------------------------------------------------------------------- where it goes


def test_results_go_into_the_folder_or_where_the_star_says() -> None:
    assert place_of("in/film.mov", "out") == "out/film.mkv"
    assert place_of("in/photo.JPG", "out/") == "out/photo.jpg"
    assert place_of("in/film.mov", "out/*-new.mp4") == "out/film-new.mp4"


def test_names_that_would_collide_are_kept_apart() -> None:
    taken: list[str] = []
    for source in ("x/film.mov", "x/film.mp4", "y/film.mp4"):
        taken.append(place_of(source, "out", taken))
    assert taken == ["out/film.mkv", "out/film.mp4.mkv", "out/film.mp4-2.mkv"]


def test_no_source_is_replaced_by_its_own_result(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match="would replace it"):
        place_of(str(tmp_path / "film.mkv"), str(tmp_path))
    with pytest.raises(PresetError, match="one \\*"):
        place_of("film.mkv", "out/*-*.mkv")


# ------------------------------------------------------------------------------------ the jobs


def test_a_film_that_fails_does_not_stop_the_others(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["run", str(folder), "-o", f"{out}/", *QUICK]) == 3
    assert sorted(path.name for path in out.iterdir()) == ["a.mkv", "b.mkv"]
    told = capsys.readouterr().err
    assert "3 files: 2 done, 1 FAILED" in told
    assert "c.avi cannot be opened" in told
    # Again: what is there is kept, what failed is tried again.
    before = (out / "a.mkv").stat().st_mtime_ns
    assert main(["run", str(folder), "-o", f"{out}/", *QUICK]) == 3
    assert (out / "a.mkv").stat().st_mtime_ns == before
    assert "3 files: 2 kept, 1 FAILED" in capsys.readouterr().err
    assert main(["run", str(folder / "a.mkv"), "-o", f"{out}/", *QUICK, "-y"]) == 0
    assert (out / "a.mkv").stat().st_mtime_ns > before


def test_the_end_is_told_to_machines(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(folder / "a.mkv"), str(folder / "c.avi"), "-o", f"{tmp_path}/*-x.mp4"]
    flags = ["-n", "identity", "-c:v", "libx264", "--progress", "json", "--threads", "1"]
    assert main(["run", *words, *flags]) == 3
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["event"] == "batch"
    assert [each["fate"] for each in last["files"]] == ["done", "failed"]
    assert (tmp_path / "a-x.mp4").is_file()


def test_several_files_need_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(folder / "a.mkv"), str(folder / "b.mov")]
    assert main(["run", *words, "-o", "-", *QUICK]) == 2
    assert "-o DIR/" in capsys.readouterr().err


def test_a_defect_in_one_job_is_its_failure_alone(tmp_path: Path) -> None:
    asked: list[str] = []

    def job(source: str, target: str, threads: int | None) -> object:
        asked.append(source)
        raise ZeroDivisionError("oh")

    done = restore_all(
        ["a", "b"],
        str(tmp_path),
        job,
        overwrite=False,
        tell=lambda words: None,  # type: ignore[arg-type]
    )
    assert asked == ["a", "b"]
    assert [entry.fate for entry in done] == [Fate.FAILED, Fate.FAILED]
    assert "a defect of vrestore" in done[0].told


@pytest.mark.parametrize("stop", [StoppedError("stopped; kept"), KeyboardInterrupt()])
def test_a_stop_ends_the_batch_and_the_rest_is_listed(tmp_path: Path, stop: BaseException) -> None:
    def job(source: str, target: str, threads: int | None) -> object:
        raise stop

    done = restore_all(
        ["a", "b", "c"],
        str(tmp_path),
        job,
        overwrite=False,
        tell=lambda words: None,  # type: ignore[arg-type]
    )
    assert [entry.fate for entry in done] == [Fate.STOPPED, Fate.WAITING, Fate.WAITING]
    assert isinstance(failure_of(done), StoppedError)
    assert "2 not begun" in summary(done)


def test_the_status_is_the_failures_own_where_they_have_one() -> None:
    def failed(error: VRestoreError) -> Entry:
        return Entry(source="a", target="b", fate=Fate.FAILED, error=error)

    assert failure_of([Entry(source="a", target="b", fate=Fate.DONE)]) is None
    assert type(failure_of([failed(InputError("x")), failed(InputError("y"))])) is InputError
    mixed = failure_of([failed(InputError("x")), failed(OutputError("y"))])
    assert type(mixed) is VRestoreError


# ----------------------------------------------------------------------------------- watching


def test_a_file_is_taken_when_it_has_stopped_growing(tmp_path: Path) -> None:
    growing = tmp_path / "film.mkv"

    def write() -> None:
        with growing.open("wb", buffering=0) as file:
            for _ in range(12):
                file.write(b"x" * 100)
                time.sleep(0.05)

    writer = threading.Thread(target=write)
    arrivals = watched([str(tmp_path)], every=0.02, settled=0.3)
    writer.start()
    try:
        assert next(arrivals) == str(growing)
        assert growing.stat().st_size == 1200
    finally:
        writer.join()
        arrivals.close()  # type: ignore[attr-defined]


def test_each_file_is_taken_once_and_again_only_after_it_was_away(tmp_path: Path) -> None:
    for name in ("a.mkv", "b.mkv", "c.txt", ".d.mkv"):
        (tmp_path / name).write_bytes(b"x")
    arrivals = watched([str(tmp_path)], every=0.02, settled=0.05)
    assert [Path(next(arrivals)).name for _ in range(2)] == ["a.mkv", "b.mkv"]
    (tmp_path / "e.mkv").write_bytes(b"x")
    assert Path(next(arrivals)).name == "e.mkv"
    arrivals.close()  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="not a folder"):
        next(watched([str(tmp_path / "absent")]))


# ------------------------------------------------------------------------------------ pictures


def test_pictures_are_restored_side_by_side_and_one_that_fails_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for name in ("a.png", "b.jpg", "d.bmp", "e.webp"):
        Image.fromarray(np.full((9, 12, 3), 77, np.uint8)).save(source / name)
    (source / "c.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    flags = ["-n", "resize", "-s", "2", "-Z", "plain", "--threads", "3"]
    assert main(["run", str(source), "-o", f"{out}/", *flags]) == 3
    told = capsys.readouterr().err
    assert "5 files: 4 done, 1 FAILED" in told
    assert "24x18 in" in told
    # A kind that nothing writes becomes PNG.
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.jpg", "d.png", "e.webp"]
    with Image.open(out / "d.png") as image:
        assert image.size == (24, 18)


def test_several_pictures_share_the_threads_and_run_at_once(tmp_path: Path) -> None:
    lock, now, most, given = threading.Lock(), 0, 0, []

    def job(source: str, target: str, threads: int | None) -> object:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
            given.append(threads)
        time.sleep(0.05)
        with lock:
            now -= 1
        raise VRestoreError("no")

    names = [f"{number}.png" for number in range(6)]
    done = restore_all(
        names,
        str(tmp_path / "out"),
        job,  # type: ignore[arg-type]
        overwrite=False,
        tell=lambda words: None,
        threads=4,
    )
    assert [entry.source for entry in done] == names
    assert most > 1
    assert set(given) == {1}
    # Films have the machine alone.
    given.clear()
    restore_all(
        ["a.mkv", "b.mkv"],
        str(tmp_path / "films"),
        job,  # type: ignore[arg-type]
        overwrite=False,
        tell=lambda words: None,
        threads=4,
    )
    assert given == [None, None]
