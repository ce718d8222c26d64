"""How much vrestore takes of a file that anybody may have written.

Every reader of ours stops at a number of this module, with a sentence that names it.  Most are far
above what honest files need and cannot be changed; how large a picture may be can
(`input.max_pixels`).
"""

from __future__ import annotations

import errno
import os
import re
import stat
import unicodedata
from fractions import Fraction

__all__ = [
    "BATCH_FILES",
    "CUTS",
    "CUT_LIST_BYTES",
    "JOURNAL_BYTES",
    "JOURNAL_LINE_BYTES",
    "LIST_BYTES",
    "MANIFEST_BYTES",
    "MODEL_TABLE_BYTES",
    "NCNN_BIN_BYTES",
    "NCNN_LAYERS",
    "NCNN_PARAM_BYTES",
    "NUMBER_SIGNS",
    "PICTURE_PIXELS",
    "PICTURE_SIDE",
    "PLAIN_NAME",
    "PRESET_BYTES",
    "RECORD_BYTES",
    "SEGMENTS",
    "SEQUENCE_PICTURES",
    "SETTINGS_BYTES",
    "SHOTS",
    "SHOT_KEYS",
    "SHOT_KEY_PARTS",
    "SHOT_LIST_BYTES",
    "WEIGHTS_BYTES",
    "exact",
    "printable",
    "read_bytes",
    "read_text",
    "size",
]

_KIB, _MIB, _GIB = 2**10, 2**20, 2**30

PRESET_BYTES = _MIB
"""Of a preset; those that ship have 1 KiB."""

SHOT_LIST_BYTES = 16 * _MIB
SHOTS = 100_000
SHOT_KEYS = 256
"""Settings of one shot."""

SHOT_KEY_PARTS = 6
"""Dotted parts of a key in a shot list."""

CUT_LIST_BYTES = 16 * _MIB
CUTS = 1_000_000

SETTINGS_BYTES = _MIB
"""Of the settings that a file made by vrestore carries."""

RECORD_BYTES = 512 * _MIB
"""Of the record of a run; it holds pictures of masks."""

JOURNAL_BYTES = 512 * _MIB
"""Of the journal of a job; it holds one number per frame and stage."""

JOURNAL_LINE_BYTES = 64 * _MIB
SEGMENTS = 1_000_000
"""Of a job."""

MANIFEST_BYTES = _MIB
"""Of a list of footage for training."""

MODEL_TABLE_BYTES = _MIB
WEIGHTS_BYTES = 4 * _GIB
"""Of a model's weights; those that ship have 4 MiB."""

NCNN_PARAM_BYTES = 4 * _MIB
NCNN_BIN_BYTES = _GIB
NCNN_LAYERS = 10_000

LIST_BYTES = 16 * _MIB
"""Of a list of files to restore."""

BATCH_FILES = 100_000
"""Files of one batch."""

SEQUENCE_PICTURES = 10_000_000
"""Files of one image sequence: 115 hours at 24 a second."""

PICTURE_PIXELS = 2**27
"""Of one picture, where `input.max_pixels` says nothing: 16384 x 8192, four times 8K."""

PICTURE_SIDE = 2**16
"""Width and height of a picture; a limit of the arithmetic, not to be raised."""

NUMBER_SIGNS = 40
"""Characters of one written number."""

PLAIN_NAME = re.compile(r"[^/\\\x00-\x1f\x7f]{1,200}")
"""A file's name without a folder: what is written in somebody's file must not lead elsewhere."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+|\d+/\d+)")


def exact(text: str) -> Fraction:
    """A number as people write it: `25`, `12.5`, `24000/1001`; no exponents.

    ValueError for anything else: a power of ten as a fraction could fill the memory.
    """
    if len(text) > NUMBER_SIGNS or not text.isascii() or not _NUMBER.fullmatch(text):
        raise ValueError(f"not a number: {text[:NUMBER_SIGNS]!r}")
    if "/" in text and not int(text.split("/")[1]):
        raise ValueError(f"not a number: {text!r}")
    return Fraction(text)


def printable(text: str) -> str:
    """Text of somebody's file in one line as a terminal may be given it.

    Signs that control a terminal, turn the direction of writing or cannot be seen become escapes
    such as `\\x1b`.
    """
    return "".join(
        sign.encode("unicode_escape").decode()
        if unicodedata.category(sign).startswith(("C", "Zl", "Zp"))
        else sign
        for sign in text
    )


def size(count: int) -> str:
    """A limit in bytes as people read it."""
    for unit, name in ((_GIB, "GiB"), (_MIB, "MiB"), (_KIB, "KiB")):
        if count >= unit:
            return f"{count / unit:.4g} {name}"
    return f"{count} bytes"


def read_bytes(path: str | os.PathLike[str], most: int) -> bytes:
    """The contents of a file of at most `most` bytes.

    Raises OSError where there is none, it is no file but a folder or a device, or it is larger;
    the error's `strerror` says so.  What a file claims to be large is not believed: at most
    `most` bytes and one are read.
    """
    name = os.fspath(path)
    if "\0" in name:
        raise OSError(errno.EINVAL, "no file has such a name", name)
    with open(name, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise OSError(errno.EINVAL, "it is a device, not a file", name)
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than {size(most)}", name)
    return data


def read_text(path: str | os.PathLike[str], most: int) -> str:
    """The UTF-8 text of a file of at most `most` bytes; OSError as `read_bytes`, or ValueError."""
    # As text files are read: any end of line is one.
    text = read_bytes(path, most).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")
