"""HTML by construction: text is escaped unless it is markup already."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape

__all__ = ["Content", "Html", "element", "fragment", "script_json"]


class Html(str):
    """Text that is markup.  Made by this module only; everything else is escaped."""

    __slots__ = ()


Content = str | int | float | Html | None
"""What an element may hold; None is nothing."""

_VOID = frozenset(
    {"br", "hr", "img", "input", "meta", "line", "path", "polyline", "rect", "circle"}
)
"""Elements without content; the SVG ones are closed by a slash."""


def element(name: str, /, *content: Content, **attributes: object) -> Html:
    """`<name attributes>content</name>`.

    A trailing underscore is dropped from an attribute's name and other underscores become dashes
    (`class_`, `aria_label`).  An attribute that is None or False is left out, True has no value.
    """
    words = [name]
    for key, value in attributes.items():
        label = key.removesuffix("_").replace("_", "-")
        if value is True:
            words.append(label)
        elif value is not None and value is not False:
            words.append(f'{label}="{escape(_storable(str(value)))}"')
    start = " ".join(words)
    if name in _VOID:
        return Html(f"<{start}/>")
    return Html(f"<{start}>{fragment(content)}</{name}>")


def fragment(content: Iterable[Content]) -> Html:
    """Several pieces one after the other."""
    return Html("".join(_written(piece) for piece in content))


def script_json(value: object, identifier: str) -> Html:
    """Plain values as data in the page, for its scripts.

    No text in them can end the element: `<`, `>` and `&` are written as escapes.  ValueError for
    numbers that JSON does not have.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    text = _storable(text)
    return Html(f'<script type="application/json" id="{escape(identifier)}">{text}</script>')


def _written(piece: Content) -> str:
    if piece is None:
        return ""
    return piece if isinstance(piece, Html) else escape(_storable(str(piece)))


def _storable(text: str) -> str:
    """Without what UTF-8 or HTML cannot hold: undecodable bytes of file names, control signs."""
    sound = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(sign if sign in "\t\n" or ord(sign) >= 32 else "\ufffd" for sign in sound)
