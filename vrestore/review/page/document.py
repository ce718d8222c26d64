"""A whole page: template, style, scripts and data in one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from string import Template

from vrestore.review.page.markup import Content, Html, element, fragment, script_json

__all__ = ["DATA_ID", "document", "facts", "section", "table"]

DATA_ID = "data"
"""Identifier of the element that holds a page's data."""


def document(
    title: str, body: Sequence[Content], *, data: object, styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
) -> str:  # fmt: skip
    """The text of a page.

    `styles` and `scripts` name assets beside the common style; `data` are plain values that the
    scripts find in the element `DATA_ID`.  The page's own policy forbids every connection and
    every script but these, so that no text of a file could be run even if it were not escaped.
    """
    style = "\n".join(_asset(name) for name in ("base.css", *styles))
    script = "\n".join(_asset(name) for name in scripts)
    policy = "; ".join((
        "default-src 'none'", "img-src data:", f"style-src '{_digest(style)}'",
        f"script-src '{_digest(script)}'" if script else "script-src 'none'",
        "base-uri 'none'", "form-action 'none'",
    ))  # fmt: skip
    return Template(_asset("page.html")).substitute(
        policy=policy,
        title=fragment((title,)),
        style=style,
        body=fragment(body),
        data=script_json(data, DATA_ID),
        script=script,
    )


def section(identifier: str, heading: str, *content: Content) -> Html:
    """A part of the page with its heading, reachable by `#identifier`."""
    label = f"{identifier}-heading"
    head = element("h2", heading, id=label)
    return element("section", head, *content, id=identifier, aria_labelledby=label)


def table(
    head: Sequence[Content], rows: Sequence[Sequence[Content]], *, caption: str, numbers: int = 1
) -> Html:
    """A table that scrolls by itself where it is too wide.

    The first cell of a row is its heading; columns from `numbers` on are aligned as numbers.
    """
    columns = [
        element("th", cell, scope="col", class_="number" if place >= numbers else None)
        for place, cell in enumerate(head)
    ]
    lines = [
        element(
            "tr",
            element("th", row[0], scope="row", class_="number" if numbers == 0 else None),
            *(
                element("td", cell, class_="number" if place >= numbers else None)
                for place, cell in enumerate(row[1:], 1)
            ),
        )
        for row in rows
    ]
    grid = element(
        "table",
        element("caption", caption, class_="quiet"),
        element("thead", element("tr", *columns)),
        element("tbody", *lines),
    )
    # What scrolls must be reachable by keyboard, and what is reachable must have a name.
    return element("div", grid, class_="wide", tabindex="0", role="region", aria_label=caption)


def facts(pairs: Sequence[tuple[str, Content]]) -> Html:
    """Names and values, where there is a value."""
    return element(
        "dl",
        *(
            element("div", element("dt", name), element("dd", value))
            for name, value in pairs
            if value not in (None, "")
        ),
        class_="facts",
    )


@cache
def _asset(name: str) -> str:
    folder = resources.files("vrestore.review.page") / "assets"
    return (folder / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """A source expression of the content security policy, level 2."""
    # Browsers hash the element's text: the template puts nothing around it.
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
