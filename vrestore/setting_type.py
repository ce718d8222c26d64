"""The types a setting may declare: what fits them, what they are called, how TOML writes them.

Understood types: bool, int, float, str, None, Literal, enums, `tuple[X, ...]`,
`Mapping[str, str]` and unions of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

__all__ = ["Mismatch", "expected", "fit", "is_list", "is_table", "write"]


class Mismatch(Exception):
    """The value is not of the type; the message says what is expected."""


def fit(value: object, hint: Any) -> Any:
    """`value` as the type `hint`, containers frozen.  Raises Mismatch."""
    if _is_union(hint):
        return _member(value, hint)
    if get_origin(hint) is Literal:
        if any(value == word and type(value) is type(word) for word in get_args(hint)):
            return value
    elif is_list(hint) and isinstance(value, list | tuple):
        return tuple(fit(item, get_args(hint)[0]) for item in value)
    elif is_table(hint) and isinstance(value, Mapping):
        return MappingProxyType({str(key): _text(item) for key, item in value.items()})
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif isinstance(hint, type) and issubclass(hint, Enum):
        if any(value in (member, member.value) for member in hint):
            return hint(value)
    elif type(value) is hint:
        return value
    raise Mismatch(expected(hint))


def expected(hint: Any) -> str:
    """The type in words, for a message."""
    names = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        NoneType: "none",
    }
    if hint in names:
        return names[hint]
    if get_origin(hint) is Literal:
        return " or ".join(str(word) for word in get_args(hint))
    if _is_union(hint):
        return " or ".join(expected(part) for part in get_args(hint))
    if is_list(hint):
        return f"a list, each item {expected(get_args(hint)[0])}"
    if is_table(hint):
        return "a table of texts"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " or ".join(str(member.value) for member in hint)
    raise TypeError(f"a setting cannot be of type {hint}")


def is_list(hint: Any) -> bool:
    """Whether a setting of this type holds several items."""
    return get_origin(hint) is tuple


def is_table(hint: Any) -> bool:
    """Whether a setting of this type has named entries."""
    return get_origin(hint) is Mapping


def write(value: object) -> str:
    """The value in TOML.  None becomes the word `none`."""
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return write(value.value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        # TOML's basic strings are JSON's, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return f"[{', '.join(write(item) for item in value)}]"
    if isinstance(value, Mapping):
        entries = [f"{write(str(key))} = {write(item)}" for key, item in value.items()]
        return f"{{ {', '.join(entries)} }}" if entries else "{}"
    raise TypeError(f"a setting cannot hold {type(value).__name__}")


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType)


def _member(value: object, hint: Any) -> Any:
    """As the first type of a union that takes the value."""
    for part in get_args(hint):
        try:
            return fit(value, part)
        except Mismatch:
            continue
    raise Mismatch(expected(hint))


def _text(value: object) -> str:
    """An entry of a table: encoders read `bframes = 4` and `bframes = "4"` alike."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, str | int | float):
        return str(value)
    raise Mismatch("a table of texts")
