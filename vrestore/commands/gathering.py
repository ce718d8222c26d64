"""The single sources behind folders, globs and lists; and those that arrive in watched folders."""

from __future__ import annotations

import contextlib
import glob
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from vrestore import limits
from vrestore.errors import InputError
from vrestore.io.stillkinds import STILL_SUFFIXES

__all__ = ["PICTURE_SUFFIXES", "VIDEO_SUFFIXES", "collect", "is_glob", "watched"]

VIDEO_SUFFIXES = frozenset({
    ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".m2t", ".m2ts", ".m2v", ".m4v", ".mkv",
    ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob",
    ".webm", ".wmv", ".y4m",
})  # fmt: skip
"""What is taken from a folder; any file may be named by itself."""

PICTURE_SUFFIXES = STILL_SUFFIXES | {
    ".avif", ".bmp", ".dib", ".exr", ".jp2", ".pbm", ".pgm", ".ppm", ".pnm", ".tga",
}  # fmt: skip
"""Of single pictures; GIF is not among them, since it may be a film."""

LOOK_EVERY = 2.0
"""Seconds between two looks at a watched folder."""

SETTLED = 6.0
"""Seconds for which a file must not have grown or changed before it is taken."""


def collect(sources: Sequence[str]) -> list[str]:
    """The single sources behind names, folders, globs and `@lists`, each once, in order.

    A folder stands for the videos and pictures in it, by name; a folder of numbered pictures alone
    stands for their sequence.  Raises InputError where one of them gives nothing.
    """
    found: dict[str, None] = {}
    for word in sources:
        for each in _behind(word):
            found.setdefault(each)
            if len(found) > limits.BATCH_FILES:
                raise InputError(f"a batch has at most {limits.BATCH_FILES} files")
    return list(found)


def watched(
    folders: Sequence[str], *, every: float = LOOK_EVERY, settled: float = SETTLED
) -> Iterator[str]:
    """The media files of folders, each when it has stopped growing; does not end by itself.

    A file is taken once, when its size and time of change have been the same for `settled` seconds.
    Hidden files, parts and job folders are left alone.  Raises InputError where a folder is none.
    """
    for folder in folders:
        if not os.path.isdir(folder):
            raise InputError(f"{folder} is not a folder; --watch takes folders")
    seen: dict[str, tuple[tuple[int, int], float]] = {}
    given: set[str] = set()
    while True:
        now = time.monotonic()
        there: set[str] = set()
        for folder in folders:
            for path in _media_in(folder):
                state = _state(path)
                if state is None:
                    continue
                there.add(path)
                known = seen.get(path)
                if known is None or known[0] != state:
                    seen[path] = (state, now)
                elif path not in given and state[0] and now - known[1] >= settled:
                    given.add(path)
                    yield path
        # A file that went away and comes back is a new one.
        for gone in set(seen) - there:
            del seen[gone]
            given.discard(gone)
        time.sleep(every)


def _state(path: str) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        found = os.stat(path)
        return found.st_size, found.st_mtime_ns
    return None


def _behind(word: str) -> Iterator[str]:
    if word.startswith("@"):
        yield from _listed(word[1:])
    elif os.path.isdir(word):
        files = list(_media_in(word))
        videos = [path for path in files if Path(path).suffix.lower() in VIDEO_SUFFIXES]
        # Numbered pictures are one film, and `run` reads their folder as that.
        numbered = bool(files) and all(Path(path).stem[-1:].isdigit() for path in files)
        if not videos and len(files) > 1 and numbered:
            yield word
        elif files:
            yield from files
        else:
            raise InputError(f"folder {word} has no video and no picture")
    elif is_glob(word):
        matches = sorted(path for path in glob.iglob(word) if os.path.isfile(path))
        if not matches:
            raise InputError(f"nothing matches {word}")
        yield from matches
    else:
        yield word


def _listed(path: str) -> Iterator[str]:
    """The names in a list: one a line, relative to the list; `#` begins a comment line."""
    try:
        text = limits.read_text(path, limits.LIST_BYTES)
    except OSError as error:
        raise InputError(f"list {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"list {path} is not UTF-8 text: {error}") from error
    for line in text.split("\n"):
        name = line.strip()
        if name and not name.startswith("#"):
            if "://" in name:
                raise InputError(f"list {path}: {name} is no file; name it on the command line")
            yield os.path.join(os.path.dirname(path), name)


def _media_in(folder: str) -> Iterator[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise InputError(f"folder {folder} cannot be read: {error.strerror}") from error
    for name in names:
        path = os.path.join(folder, name)
        known = Path(name).suffix.lower() in VIDEO_SUFFIXES | PICTURE_SUFFIXES
        if known and not name.startswith(".") and os.path.isfile(path):
            yield path


def is_glob(word: str) -> bool:
    """Whether a word is a pattern of names that the shell has left to us."""
    return any(sign in word for sign in "*?[") and not os.path.exists(word)
