"""The part of a page that a command writes, between two marks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vrestore.errors import OutputError

__all__ = ["WrittenPart"]


class WrittenPart:
    """What stands between a command's two marks of a page.

    Made before a measurement begins, so that a page that is not the command's to write is refused
    then and not after it.  A new or an empty page holds nothing else.
    """

    def __init__(self, path: Path, command: str) -> None:
        """Raises OutputError where a file has no such marks, or cannot be read or written."""
        self._path, self._command = path, command
        self._begin, self._end = (
            f"<!-- written by `{command}`: {which} -->" for which in ("begin", "end")
        )
        before, _ = self._around()
        if before is None:
            raise OutputError(f"{path} exists and was not written by `{command}`; name another")
        if not path.exists() and not path.absolute().parent.is_dir():
            raise OutputError(f"{path} cannot be written: its folder does not exist")

    def write(self, parts: Iterable[str]) -> None:
        """Puts the parts between the marks, and keeps what stands around them by now."""
        before, after = self._around()
        if before is None:
            raise OutputError(f"{self._path} lost the marks of `{self._command}` meanwhile")
        body = "\n\n".join((self._begin, *(part.strip() for part in parts), self._end))
        try:
            self._path.write_text(before + body + after, encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{self._path} cannot be written: {error.strerror}") from error

    def _around(self) -> tuple[str | None, str]:
        """What stands before and after the marks; None before where they are missing."""
        try:
            text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        except OSError as error:
            raise OutputError(f"{self._path} cannot be read: {error.strerror}") from error
        if not text.strip():
            return "", "\n"
        before, mark, rest = text.partition(self._begin)
        _, closing, after = rest.partition(self._end)
        return (before, after) if mark and closing else (None, "")
