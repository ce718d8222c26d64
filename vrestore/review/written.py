"""The part of a page that a command writes, between two marks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vrestore.errors import OutputError

__all__ = ["write_between"]


def write_between(path: Path, command: str, parts: Iterable[str]) -> None:
    """Puts the parts between the command's two marks of a page, and keeps what stands around them.

    A new page holds nothing else.  Raises OutputError where a file has no such marks: it is
    somebody's, and not this command's to replace.
    """
    begin, end = (f"<!-- written by `{command}`: {which} -->" for which in ("begin", "end"))
    body = "\n\n".join((begin, *(part.strip() for part in parts), end)) + "\n"
    try:
        if path.exists():
            before, mark, rest = path.read_text(encoding="utf-8").partition(begin)
            _, closing, after = rest.partition(end)
            if not mark or not closing:
                raise OutputError(f"{path} exists and was not written by `{command}`")
            body = before + body.rstrip("\n") + after
        path.write_text(body, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
