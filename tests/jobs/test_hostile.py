"""Jobs that somebody else may have written: a sentence, and nothing outside is touched."""

from __future__ import annotations

import json
import os
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from vrestore import limits
from vrestore.cli import main
from vrestore.errors import OutputError
from vrestore.jobs.folder import JobFolder
from vrestore.jobs.journal import Journal, read_entries


@pytest.fixture
def job(interrupted, tmp_path) -> Path:
    interrupted(tmp_path / "out.mkv", 27)
    return tmp_path / "out.mkv.job"


def rewrite(job: Path, number: int, change: dict[str, object]) -> None:
    """Changes an entry of the journal."""
    entries, _ = read_entries(job / "journal")
    entries[number] |= change
    write(job, entries)


def write(job: Path, entries: list[dict[str, Any]]) -> None:
    """A journal of these entries, with their checksums."""
    lines = [json.dumps(entry).encode() + b"\n" for entry in entries]
    (job / "journal").write_bytes(b"".join(b"%08x %s" % (zlib.crc32(li), li) for li in lines))


CHANGES: list[tuple[int, dict[str, object]]] = [
    (0, {"segments": []}),
    (0, {"segments": {"0": 1}}),
    (0, {"segments": [{"number": 0}]}),
    (0, {"preset": "../../etc/passwd"}),
    (0, {"source": 5}),
    (0, {"source": None}),
    (0, {"conditions": ["source"]}),
    (0, {"conditions": {"source": {}}}),
    (0, {"decoded": {"dropped": 3}}),
    (0, {"overwrite": "yes"}),
    (0, {"form": [1]}),
    (0, {"more": 1}),
    (1, {"number": "../../../out"}),
    (1, {"number": -1}),
    (1, {"number": 1e3}),
    (1, {"number": 5}),
    (1, {"bytes": 10**80}),
    (1, {"notes": [{"stage": "dirt"}]}),
    (1, {"notes": [1]}),
    (1, {"frames": True}),
    (1, {"device": 5}),
]


def test_what_a_journal_says_is_checked(job, capsys):
    honest = (job / "journal").read_bytes()
    for number, change in CHANGES:
        rewrite(job, number, change)
        with pytest.raises(OutputError, match="another version or damaged"):
            JobFolder.look(job)
    for verb in ("status", "resume"):
        assert main([verb, str(job)]) == 1
        assert "--restart begins anew" in capsys.readouterr().err
    (job / "journal").write_bytes(honest)
    JobFolder.look(job)


def test_what_cannot_be_read_can_be_begun_anew(run, job, tmp_path):
    rewrite(job, 0, {"segments": []})
    with pytest.raises(OutputError, match="--restart begins anew"):
        run(tmp_path / "out.mkv")
    assert run(tmp_path / "out.mkv", restart=True).frames == 50


def test_a_journal_from_before_there_were_workers_is_gone_on_with(run, job, tmp_path):
    entries, _ = read_entries(job / "journal")
    for entry in entries:
        entry.pop("device", None)
    write(job, entries)
    made = JobFolder.look(job)[0].made
    assert made and not any(segment.device for segment in made.values())
    assert run(tmp_path / "out.mkv").frames == 50


def test_ranges_that_contradict_each_other(job):
    segments = read_entries(job / "journal")[0][0]["segments"]
    for key, value in (("start", 1), ("stop", 10**9), ("read_from", 40), ("number", 2)):
        changed = [
            segment | {key: value} if i == 1 else segment for i, segment in enumerate(segments)
        ]
        rewrite(job, 0, {"segments": changed})
        with pytest.raises(OutputError, match="another version or damaged"):
            JobFolder.look(job)
    rewrite(job, 0, {"segments": segments})
    JobFolder.look(job)


def test_the_output_is_what_lies_beside_the_folder(job, tmp_path, monkeypatch):
    treasure = tmp_path / "elsewhere" / "treasure.mkv"
    treasure.parent.mkdir()
    treasure.write_bytes(b"mine")
    rewrite(job, 0, {"output": str(treasure), "overwrite": True})
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["resume", str(job.with_suffix("")), "--progress", "none"]) == 0
    assert treasure.read_bytes() == b"mine"
    assert (tmp_path / "out.mkv").exists() and not job.exists()


def test_a_network_is_not_asked(job, capsys):
    rewrite(job, 0, {"source": "http://127.0.0.1:9/a.mkv"})
    assert main(["resume", str(job)]) == 3
    assert "named by hand" in capsys.readouterr().err


def test_a_list_that_is_a_device_is_not_read(job, capsys):
    toml = read_entries(job / "journal")[0][0]["toml"]
    rewrite(job, 0, {"toml": toml.replace("[cuts]\n", '[cuts]\nfile = "/dev/zero"\n', 1)})
    assert main(["resume", str(job)]) != 0
    assert "defect" not in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX links")
def test_links_in_the_folder_lead_nowhere(run, job, tmp_path):
    treasure = tmp_path / "treasure"
    treasure.write_bytes(b"mine")
    (job / "segment.part").unlink(missing_ok=True)
    os.symlink(treasure, job / "segment.part")
    first = job / "000000.packets"
    moved = tmp_path / "packets"
    first.rename(moved)
    os.symlink(moved, first)
    assert 0 not in JobFolder.look(job)[0].made
    run(tmp_path / "out.mkv")
    assert treasure.read_bytes() == b"mine" and moved.exists()
    os.symlink(treasure, tmp_path / "journal")
    for use in (read_entries, Journal):
        with pytest.raises(OSError, match="symbolic links"):
            use(tmp_path / "journal")


def test_a_journal_has_limits(job, monkeypatch):
    whole, _ = read_entries(job / "journal")
    monkeypatch.setattr(limits, "JOURNAL_LINE_BYTES", 100)
    assert read_entries(job / "journal") == ([], 0)
    monkeypatch.undo()
    monkeypatch.setattr(limits, "JOURNAL_BYTES", (job / "journal").stat().st_size - 1)
    assert read_entries(job / "journal")[0] == whole[:-1]
