"""Output files that appear under their final name only when they are complete."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import BinaryIO, Protocol

from vrestore.errors import OutputError

__all__ = ["Destination", "OpenEnd", "PartFile"]

RESERVE_BYTES = 64 * 2**20
"""What is left free on the disk: the trailer, and the user's other programs."""

CHECK_EVERY_BYTES = 32 * 2**20


class Destination(Protocol):
    """Where a muxer writes to."""

    @property
    def url(self) -> str | BinaryIO:
        """What FFmpeg opens."""

    def claim(self, expected_bytes: int = 0) -> None: ...

    def spent(self, size: int) -> None: ...

    def commit(self) -> None: ...

    def discard(self) -> None: ...


class OpenEnd:
    """A destination that has no name to protect: standard output, or nothing at all."""

    def __init__(self, url: str | BinaryIO) -> None:
        self.url = url

    def claim(self, expected_bytes: int = 0) -> None:
        """Nothing to claim."""

    def spent(self, size: int) -> None:
        """Nothing to watch."""

    def commit(self) -> None:
        """Already there."""

    def discard(self) -> None:
        """Nothing to remove."""


class PartFile:
    """`<final>.part` beside the final name; a file, or a folder of numbered pictures.

    Life: `claim` before the first byte, `spent` while writing, then `commit` or `discard`.
    """

    def __init__(self, final: Path, *, overwrite: bool = False, pattern: str | None = None) -> None:
        """`final` is the finished file, or with `pattern` the folder of numbered pictures."""
        self.final = final
        self.path = final.with_name(final.name + ".part")
        self.url = str(self.path if pattern is None else self.path / pattern)
        self._overwrite = overwrite
        self._folder = pattern is not None
        self._unchecked = 0
        self._claimed = False

    def claim(self, expected_bytes: int = 0) -> None:
        """Creates the part file.

        Raises OutputError if the final name is taken, the folder is missing or not writable, or
        the disk has no room for `expected_bytes`.
        """
        parent = self.path.parent
        if not parent.is_dir():
            raise OutputError(f"{parent} is not a folder; make it first")
        if os.path.isdir(self.final) and not self._folder:
            raise OutputError(f"{self.final} is a folder; name a file in it")
        if self._taken() and not self._overwrite:
            raise OutputError(f"{self.final} exists; give -y to replace it")
        free = shutil.disk_usage(parent).free
        if free < expected_bytes + RESERVE_BYTES:
            needed = _size(expected_bytes + RESERVE_BYTES)
            raise OutputError(
                f"{parent} has {_size(free)} free and about {needed} are needed; "
                "write to another disk"
            )
        try:
            if self._folder:
                shutil.rmtree(self.path, ignore_errors=True)
                self.path.mkdir()
            else:
                self.path.open("wb").close()
        except OSError as error:
            raise OutputError(f"{self.path} cannot be made: {error.strerror}") from error
        self._claimed = True

    def _taken(self) -> bool:
        if self._folder:
            return os.path.isdir(self.final) and any(self.final.iterdir())
        return os.path.lexists(self.final)

    def spent(self, size: int) -> None:
        """Notes bytes written; raises OutputError before the disk is full."""
        self._unchecked += size
        if self._unchecked < CHECK_EVERY_BYTES:
            return
        self._unchecked = 0
        free = shutil.disk_usage(self.path.parent).free
        if free < RESERVE_BYTES:
            raise OutputError(f"{self.path.parent} is full ({_size(free)} left); free some space")

    def commit(self) -> None:
        """Gives the part file its final name."""
        try:
            if self._folder and self.final.is_dir():
                for picture in sorted(self.path.iterdir()):
                    os.replace(picture, self.final / picture.name)
                self.path.rmdir()
            else:
                os.replace(self.path, self.final)
        except OSError as error:
            raise OutputError(f"cannot rename {self.path} to {self.final}: {error}") from error
        self._claimed = False

    def discard(self) -> None:
        """Removes the part file, if it was claimed."""
        if not self._claimed:
            return
        if self._folder:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self._claimed = False


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
