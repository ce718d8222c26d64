"""A source on a machine that did not have it, without Ray."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from vrestore.errors import DeviceError, InputError
from vrestore.jobs import sending
from vrestore.jobs.sending import SourceKeeper


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def begun(total: int = 10) -> tuple[SourceKeeper, Path]:
    keeper = SourceKeeper()
    folder = keeper.begin(total)
    assert isinstance(folder, str), folder
    return keeper, Path(folder)


def test_pieces_make_the_same_files_in_whatever_order_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PIECE_BYTES", 7)
    files = [tmp_path / "000.png", tmp_path / "001.png"]
    for file, size in zip(files, (20, 14), strict=True):
        file.write_bytes(bytes(range(size)))
    pieces = list(sending._pieces(files))
    assert max(len(piece) for _, _, piece in pieces) == 7
    keeper, folder = begun()
    for piece in reversed(pieces):
        assert keeper.take(*piece) is None
    for file in files:
        assert (folder / file.name).read_bytes() == file.read_bytes()
    keeper.remove()
    assert sorted(tmp_path.iterdir()) == files


def test_what_a_killed_keeper_left_goes_and_what_a_living_one_holds_stays(tmp_path: Path) -> None:
    living, folder = begun()
    left, orphan = begun()
    left._held.close()  # As the kernel does when a process ends.
    last, _ = begun()
    assert folder.exists() and not orphan.exists()
    living.remove()
    last.remove()
    assert not list(tmp_path.iterdir())


def test_a_machine_without_room_says_how_much_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = SourceKeeper().begin(2**60)
    assert isinstance(said, DeviceError)
    assert f"{2**40} MiB are needed in {tmp_path}" in str(said)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_meanwhile_is_one_sentence(tmp_path: Path) -> None:
    keeper, folder = begun()
    (folder / "clip.mkv").symlink_to("/dev/full")
    said = keeper.take("clip.mkv", 0, b"x")
    assert isinstance(said, DeviceError) and "No space left on device" in str(said)


def test_a_source_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.mkv cannot be read: No such file"):
        list(sending._pieces([tmp_path / "gone.mkv"]))
