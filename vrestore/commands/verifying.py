"""`vrestore verify`: whether a finished file is what it must be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vrestore.errors import PresetError, VRestoreError

if TYPE_CHECKING:
    from vrestore.preset import Preset

__all__ = ["verify"]


def verify(
    output: Annotated[
        str, typer.Argument(metavar="OUT", help="A finished file, pattern, folder or picture.")
    ],
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="SRC",
            show_default=False,
            help="The source: frames, times, streams and tags must be what it gives.",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            "-Z",
            metavar="PRESET",
            show_default=False,
            help="Settings it was made with, where the file does not carry them.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="SECTION.KEY=VALUE", help="A key for that preset; may be repeated."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="JSON on standard output.")
    ] = False,
) -> None:
    """Check a finished file: frames, times, streams, colour, settings, and that it decodes."""
    from vrestore.checks import verify as examine

    chosen = None if preset is None and not settings else _preset(preset, settings or [])
    verdict = examine(output, against, preset=chosen)
    if as_json:
        typer.echo(json.dumps(verdict.facts, indent=2, ensure_ascii=False))
    else:
        typer.echo(str(verdict), err=True)
    if not verdict.ok:
        first = verdict.failures[0]
        count = len(verdict.failures)
        more = "" if count == 1 else f" (and {count - 1} more)"
        raise VRestoreError(f"{output} is not as it must be: {first.name}: {first.told}{more}")


def _preset(name: str | None, settings: Sequence[str]) -> Preset:
    """The preset that was named, with single keys changed.  Raises PresetError."""
    from vrestore import preset as presets

    chosen = presets.load(name or "plain")
    for words in settings:
        key, equals, value = words.partition("=")
        if not equals:
            raise PresetError(f"--set takes key=value, got {words!r}")
        chosen = chosen.override(key.strip(), value, "flag --set")
    return chosen
