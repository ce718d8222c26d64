"""`compare`, `preview`, `run --record`, `report` and `rerun` from the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vrestore.cli import main
from vrestore.commands.sampling import places
from vrestore.io.decode import Decoder
from vrestore.review.embedded import with_settings
from vrestore.wiring import assemble, plan


@pytest.fixture
def vrestore(capfd: pytest.CaptureFixture[str]) -> Iterator:
    """Runs a command line: (exit status, standard error)."""

    def call(*words: str | Path) -> tuple[int, str]:
        capfd.readouterr()
        status = main([str(word) for word in words])
        return status, capfd.readouterr().err

    return call


@pytest.fixture
def films(film) -> tuple[str, str]:
    """A film of eight frames, and the same a little brighter."""
    ramp = np.tile(np.arange(40, 168, dtype=np.uint8)[None, ::2], (48, 1))
    return (
        film("before.mkv", [ramp + number for number in range(8)]),
        film("after.mkv", [ramp + number + 6 for number in range(8)]),
    )


# --------------------------------------------------------------------------------------- compare


def test_a_page_compares_any_number_of_videos(vrestore, films, tmp_path):
    page = tmp_path / "page.html"
    before, after = films
    status, err = vrestore("compare", before, after, before, "-o", page, "--label", "<old>")
    assert (status, "page:" in err) == (0, True)
    text = page.read_text(encoding="utf-8")
    assert "&lt;old&gt;" in text and "<old>" not in text
    assert f"{20 * np.log10(255 / 6):.2f}" in text
    assert "equal" in text
    assert vrestore("compare", before, after, "-o", page)[0] == 1
    assert vrestore("compare", before, after, "-o", page, "-y")[0] == 0


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["one.mkv", "-o", "p.html"], 2, "at least two"),
        (["a.mkv", "b.mkv", "c.mkv", "-o", "p.png"], 2, "p.html, to compare 3"),
        (["absent.mkv", "b.mkv", "-o", "p.html"], 3, "absent.mkv does not exist"),
        (["a.mkv", "b.mkv", "-o", "p.html", "--start", "soon"], 2, "--start: time must be"),
    ],
)
def test_what_cannot_be_compared_is_told_in_a_sentence(
    vrestore, tmp_path, monkeypatch, words, status, message
):
    monkeypatch.chdir(tmp_path)
    told = vrestore("compare", *words)
    assert told[0] == status
    assert message in told[1]
    assert not list(tmp_path.glob("p.*"))


def test_a_result_of_a_part_is_paired_with_that_part(vrestore, films, tmp_path, film):
    before, _ = films
    ramp = np.tile(np.arange(40, 168, dtype=np.uint8)[None, ::2], (48, 1))
    part = film("part.mkv", [ramp + number for number in range(3, 8)])
    page = tmp_path / "page.html"
    vrestore("compare", before, part, "-o", page, "--start", "0.12", "--start", "0")
    assert "equal to the first" in page.read_text(encoding="utf-8")


# --------------------------------------------------------------------------------------- preview


def test_places_are_spread_and_begin_at_shots_that_are_near():
    length, seconds = Fraction(90), Fraction(2)
    assert places(length, 3, seconds) == [14, 44, 74]
    shots = [Fraction(0), Fraction(40), Fraction(47)]
    assert places(length, 3, seconds, shots) == [0, 47, 74]
    assert places(None, 3, seconds) == [0]
    assert places(Fraction(1), 3, seconds) == [0]
    assert len(places(Fraction(5), 3, seconds)) == 2
    assert places(length, 3, seconds)[-1] + seconds <= length


def test_a_preview_shows_every_preset_beside_the_source_and_leaves_only_the_page(
    vrestore, sample, tmp_path
):
    words = ["--parts", "2", "--seconds", "0.2", "--set", "run.threads=1"]
    words += ["--set", "restore.model=identity"]
    status, err = vrestore("preview", sample, "-Z", "draft,plain", "-o", tmp_path / "p", *words)
    assert status == 0, err
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["preview.html"]
    text = (tmp_path / "p" / "preview.html").read_text(encoding="utf-8")
    data = text.partition('id="data">')[2].partition("</script>")[0]
    viewer = json.loads(data)["viewer"]
    assert [version["label"] for version in viewer["versions"]] == ["source", "draft", "plain"]
    # Two parts, each in the middle of its half of three seconds.
    assert {round(instant["seconds"]) for instant in viewer["instants"]} == {1, 2}
    assert "5 frames" in text


def test_an_unknown_preset_stops_a_preview_before_any_work(vrestore, sample, tmp_path):
    status, err = vrestore("preview", sample, "-Z", "draft,plian", "-o", tmp_path / "p.html")
    assert status == 2
    assert "did you mean 'plain'" in err
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------------------------------------- record, report


def test_a_run_writes_its_record_and_the_page_can_be_made_again(vrestore, sample, tmp_path):
    output = tmp_path / "out.mkv"
    words = ["-n", "identity", "--encoder", "ffv1", "--frames", "3:9", "--threads", "1"]
    status, err = vrestore(sample, "-o", output, "--record", "--progress", "none", *words)
    assert status == 0, err
    record, page = tmp_path / "out.mkv.record.json", tmp_path / "out.mkv.record.html"
    facts = json.loads(record.read_text(encoding="utf-8"))
    assert facts["metrics"]["psnr"] == [None] * 6
    first = page.read_text(encoding="utf-8")
    assert vrestore("report", output)[0] == 1
    page.unlink()
    assert vrestore("report", output)[0] == 0
    assert page.read_text(encoding="utf-8") == first
    status, err = vrestore("report", tmp_path / "other.mkv")
    assert status == 3
    assert "give --record" in err


def test_a_run_without_an_output_file_refuses_a_record_before_it_works(vrestore, sample):
    status, err = vrestore(sample, "--null-output", "--record", "-n", "identity")
    assert status == 1
    assert "no output file" in err


# ----------------------------------------------------------------------------------------- rerun


@pytest.fixture
def made(sample, tmp_path) -> Path:
    """A result that carries its settings, and its source beside it under its own name."""
    source = tmp_path / "source.mkv"
    shutil.copy(sample, source)
    planned = plan(
        str(source),
        str(tmp_path / "out.mkv"),
        preset="plain",
        overrides={"restore.model": "resize", "encode.encoder": "ffv1", "input.frames": "2:6",
                   "size.fit": "240x136", "run.threads": 1},
    )  # fmt: skip
    run = assemble(with_settings(planned))
    run.pipeline.run()
    run.muxer.commit()
    return Path(planned.path)


def codes(path: Path) -> list[list[int]]:
    with Decoder(str(path)) as decoder:
        return [frame.planes[0].flatten().tolist() for frame in decoder]


def test_a_rerun_gives_the_same_pictures(vrestore, made, tmp_path):
    status, err = vrestore("rerun", made, "--progress", "none")
    assert status == 0, err
    again = tmp_path / "out-again.mkv"
    assert codes(again) == codes(made)
    assert vrestore("rerun", made)[0] == 1


def test_a_moved_source_is_found_beside_the_output_or_must_be_named(vrestore, made, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    output = shutil.move(made, moved / "out.mkv")
    source = shutil.move(tmp_path / "source.mkv", tmp_path / "elsewhere.mkv")
    status, err = vrestore("rerun", output, "--progress", "none")
    assert status == 3
    assert "name it with -i IN" in err
    named = moved / "named.mkv"
    assert vrestore("rerun", output, "-i", source, "-o", named, "--progress", "none")[0] == 0
    shutil.copy(source, moved / "source.mkv")
    assert vrestore("rerun", output, "--progress", "none")[0] == 0
    assert codes(named) == codes(moved / "out-again.mkv") == codes(Path(output))


def test_other_weights_than_those_of_the_run_are_refused(vrestore, sample, tmp_path):
    from dataclasses import replace

    planned = plan(
        str(sample),
        str(tmp_path / "out.mkv"),
        preset="plain",
        overrides={"restore.model": "resize", "encode.encoder": "ffv1", "input.frames": "0:2",
                   "run.threads": 1},
    )  # fmt: skip
    older = replace(planned, model=replace(planned.model, weights="w", sha256="0" * 64))
    run = assemble(replace(planned, output=with_settings(older).output))
    run.pipeline.run()
    run.muxer.commit()
    status, err = vrestore("rerun", planned.path)
    assert status == 4
    assert "was made with weights of 'resize' that are not these" in err


def test_a_file_of_another_program_cannot_be_rerun(vrestore, sample):
    status, err = vrestore("rerun", sample)
    assert status == 3
    assert "carries no settings" in err
