"""Which footage may be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from vrestore.errors import InputError, PresetError
from vrestore.train.config import TrainConfig
from vrestore.train.footage import read_footage
from vrestore.train.loop import run
from vrestore.train.manifest import manifest_names, read_manifest
from vrestore.train.pack import pack
from vrestore.train.preview import preview


def test_nothing_below_a_folder_for_measuring_is_ever_read(tmp_path: Path, footage_folder: Path):
    inside = tmp_path / "benchmark" / "train"
    inside.parent.mkdir()
    inside.symlink_to(footage_folder)
    manifest = read_manifest("open")
    for folder in (inside, tmp_path / "benchmark"):
        with pytest.raises(InputError, match="measuring"):
            manifest.select(folder)
        with pytest.raises(InputError, match="measuring"):
            read_footage(folder, manifest)
        with pytest.raises(InputError, match="measuring"):
            preview(folder, tmp_path / "sheet.png")
        with pytest.raises(InputError, match="measuring"):
            pack(folder, tmp_path / "pack")
        with pytest.raises(InputError, match="measuring"):
            run(TrainConfig(data=folder, checkpoint=tmp_path / "c.pt", steps=1))
    assert not (tmp_path / "c.pt").exists()


def test_a_link_into_a_folder_for_measuring_is_refused(tmp_path: Path, footage_folder: Path):
    hidden = tmp_path / "Benchmark" / "video"
    hidden.mkdir(parents=True)
    (hidden / "bbb_z.mkv").write_bytes(b"")
    data = tmp_path / "data"
    (data / "video").mkdir(parents=True)
    (data / "video" / "bbb_z.mkv").symlink_to(hidden / "bbb_z.mkv")
    with pytest.raises(InputError, match="measuring"):
        read_manifest("open").select(data)


def test_the_open_manifest_is_part_of_the_research_manifest():
    assert set(read_manifest("open").sources) < set(read_manifest("research").sources)


@pytest.mark.parametrize("name", manifest_names())
def test_every_manifest_finds_its_footage(name: str, shared: Path):
    manifest, folder = read_manifest(name), shared / "data" / "train"
    chosen = {p.relative_to(folder).as_posix() for p in manifest.select(folder)}
    assert chosen
    for source in manifest.sources:
        assert any(Path(c).match(p) for c in chosen for p in source.files), source


def test_the_open_manifest_holds_nothing_for_research_only(shared: Path):
    """Each file's licence is what the data's own list says."""
    lines = (shared / "data" / "SOURCES.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")] for line in lines if line.startswith("| ")]
    restricted = {row[1] for row in rows if "research" in row[-2] or "CC BY-NC" in row[-2]}
    assert "davis_bear.mkv" in restricted
    names = {p.name for p in read_manifest("open").select(shared / "data" / "train")}
    assert not names & restricted


def test_an_unknown_manifest_is_answered_with_the_known_ones():
    with pytest.raises(PresetError, match="open"):
        read_manifest("opne")


def test_a_manifest_without_footage_says_so(tmp_path: Path):
    with pytest.raises(InputError, match="no footage"):
        read_manifest("open").select(tmp_path)
