"""The way of a source to a machine that does not have it: once to each, in pieces.

    driver: Shipment == pieces, a few on their way ==> machine: SourceKeeper -> a temporary folder

The whole of it goes, whatever part the workers there will read: in no container can a part be cut
out that is sure to be decoded as in the whole.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vrestore.errors import DeviceError, InputError
from vrestore.io.partfile import RESERVE_BYTES
from vrestore.runtime.posix import free_bytes, lock_file

__all__ = ["Shipment", "SourceKeeper"]

PIECE_BYTES = 8 * 2**20
_ON_THE_WAY = 3
"""Pieces sent and not yet written: what is sent takes 24 MiB of memory at either end."""

_FOLDER, _NEW, _LOCK = "vrestore-source-", "vrestore-new-", "lock"


class SourceKeeper:
    """Holds a source on a machine, for the workers there; a Ray actor of its own.

    Its folder is locked as long as it lives, so that the next one finds what was left by one that
    was killed.
    """

    def __init__(self) -> None:
        self._held = contextlib.ExitStack()
        self._folder: Path | None = None

    def begin(self, total: int) -> str | DeviceError:
        """Makes the folder for `total` bytes, and returns it; must come first."""
        place = tempfile.gettempdir()
        try:
            _sweep(Path(place))
            free = free_bytes(place)
            if free < RESERVE_BYTES + total:
                return DeviceError(
                    f"{os.uname().nodename} does not have the source, and no room for it: "
                    f"{total // 2**20} MiB are needed in {place}, {free // 2**20} MiB are free"
                )
            made = Path(tempfile.mkdtemp(prefix=_NEW))
            self._held.enter_context(lock_file(made / _LOCK))
            # Named only when it is locked: until then it would be swept away by another keeper.
            self._folder = made.rename(made.with_name(_FOLDER + made.name.removeprefix(_NEW)))
            (self._folder / "source").mkdir()
        except OSError as error:
            return _refused(error)
        return str(self._folder / "source")

    def take(self, name: str, at: int, piece: bytes) -> DeviceError | None:
        """Writes a piece of a file of the source, from byte `at` on; in any order."""
        assert self._folder is not None
        path = self._folder / "source" / name
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.seek(at)
                file.write(piece)
        except OSError as error:
            return _refused(error)
        return None

    def remove(self) -> None:
        """Takes everything away again."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._held.close()


def _refused(error: OSError) -> DeviceError:
    return DeviceError(
        f"the source cannot be kept on {os.uname().nodename}: {error.strerror} "
        f"({error.filename or tempfile.gettempdir()})"
    )


def _sweep(place: Path) -> None:
    """Removes sources whose keepers have ended without having done so."""
    for folder in place.glob(_FOLDER + "*"):
        with contextlib.suppress(OSError), lock_file(folder / _LOCK):
            shutil.rmtree(folder)


class Shipment:
    """The sending of a source to one machine, as the driver sees it.

    What comes of `on_the_way` is given to `go_on`; `at` is where the source lies once it is there.
    """

    def __init__(self, keeper: Any, path: str, files: Sequence[Path]) -> None:
        """`keeper` is a handle of a SourceKeeper, `path` that of the source here, `files` all of
        it.  Raises InputError."""
        self.at: str | None = None
        self._keeper = keeper
        self._path = path
        self._pieces = _pieces(files)
        self._folder: str | None = None
        self._sent = 0
        try:
            self._total = sum(file.stat().st_size for file in files)
        except OSError as error:
            raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error
        self.on_the_way: set[Any] = {keeper.begin.remote(self._total)}

    @property
    def share(self) -> float:
        """Of the source that was sent, 0..1."""
        return self._sent / self._total if self._total else 1.0

    def go_on(self, arrived: Any, said: str | DeviceError | None) -> None:
        """Sends more, `said` being the answer to what `arrived`.

        Raises DeviceError where the machine cannot take it, InputError where it cannot be read.
        """
        self.on_the_way.discard(arrived)
        if isinstance(said, DeviceError):
            raise said
        if isinstance(said, str):
            self._folder = said
        while len(self.on_the_way) < _ON_THE_WAY:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self.on_the_way.add(self._keeper.take.remote(*piece))
            self._sent += len(piece[2])
        if not self.on_the_way:
            assert self._folder is not None
            of_folder = os.path.isdir(self._path)
            name = "" if of_folder else os.path.basename(self._path)
            self.at = os.path.join(self._folder, name) if name else self._folder

    def end(self, ray: Any, seconds: float) -> None:
        """Takes the source away from that machine, within so many seconds."""
        with contextlib.suppress(ray.exceptions.RayError):
            ray.get(self._keeper.remove.remote(), timeout=seconds)
        ray.kill(self._keeper, no_restart=True)


def _pieces(files: Sequence[Path]) -> Iterator[tuple[str, int, bytes]]:
    """Name of a file, place in it, and what is there.  Raises InputError."""
    for path in files:
        at = 0
        try:
            with path.open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    yield path.name, at, piece
                    at += len(piece)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
