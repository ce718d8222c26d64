"""A source on a machine that did not have it, without Ray."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vrestore.errors import DeviceError, InputError
from vrestore.io.sequence import find_sequence
from vrestore.jobs import sending
from vrestore.jobs.sending import Shipment, SourceKeeper


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


class Nearby:
    """A double for Ray's handle of a keeper: calls it here and at once."""

    def __init__(self, keeper: SourceKeeper) -> None:
        for name in ("begin", "take", "remove"):
            setattr(self, name, Called(getattr(keeper, name)))


class Called:
    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method

    def remote(self, *words: Any) -> Reply:
        return Reply(self._method(*words))


class Reply:
    def __init__(self, said: Any) -> None:
        self.said = said


@pytest.mark.parametrize("given", ["one.mkv", "frames/%03d.png", "frames"])
def test_what_arrives_is_found_by_a_name_of_the_same_kind(tmp_path: Path, given: str) -> None:
    (tmp_path / "frames").mkdir()
    files = [tmp_path / "frames" / f"{number:03d}.png" for number in range(5)]
    if given == "one.mkv":
        files = [tmp_path / "one.mkv"]
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]) * 9)
    source = str(tmp_path / given)
    shipment = Shipment(Nearby(SourceKeeper()), source, files)
    while shipment.at is None:
        reply = next(iter(shipment.on_the_way))
        shipment.go_on(reply, reply.said)
    assert shipment.share == 1 and not shipment.at.startswith(source)
    there = [Path(shipment.at)]
    if given != "one.mkv":
        found = find_sequence(shipment.at)
        there = [found.path(number) for number in range(found.count)]
    assert [file.name for file in there] == [file.name for file in files]
    assert [file.read_bytes() for file in there] == [file.read_bytes() for file in files]


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
