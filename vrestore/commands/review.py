"""`vrestore compare`, `preview`, `report` and `rerun`: what a run would do, did, and doing it again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from vrestore.errors import OutputError, PresetError

__all__ = ["compare"]

PAGE_SUFFIXES = (".html", ".htm")

Overwrite = Annotated[bool, typer.Option("-y", metavar="", help="Replace an existing file.")]
Samples = Annotated[
    int, typer.Option("--samples", min=1, max=40, metavar="N", help="How many moments to show.")
]


def compare(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="A B [C ...]", help="Videos of the same film; the first is the reference."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="A page (.html), or a picture of two (.png ...)."
        ),
    ],
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="TEXT", help="What to call each, in their order."),
    ] = None,
    start: Annotated[
        list[str] | None,
        typer.Option(
            "--start", metavar="TIME",
            help="Where each begins, in their order: for a result of `run -ss 60`, "
            "--start 60 --start 0.",
        ),
    ] = None,
    length: Annotated[
        str | None, typer.Option("--length", metavar="TIME", help="How much to compare.")
    ] = None,
    samples: Samples = 8,
    at: Annotated[
        float, typer.Option("--at", metavar="SECONDS", min=0.0, help="Which instant of a picture.")
    ] = 1.0,
    overwrite: Overwrite = False,
) -> None:  # fmt: skip
    """Compare videos in one page: wipe, 100 % crops, differences, numbers and curves."""
    if len(sources) < 2:
        raise PresetError("compare takes at least two videos, the reference first")
    _require_free(output, overwrite)
    if output.suffix.lower() not in PAGE_SUFFIXES:
        _compare_in_picture(sources, output, at)
        return
    from vrestore.io.timestamps import parse_seconds
    from vrestore.review.clips import Clip
    from vrestore.review.compare import compare as compared

    starts = [_time("--start", text) for text in start or ()]
    clips = [
        Clip.of(
            source,
            label[place] if label and place < len(label) else None,
            starts[place] if place < len(starts) else Fraction(0),
        )
        for place, source in enumerate(sources)
    ]
    page = compared(
        clips,
        title=f"{clips[0].label} and {', '.join(clip.label for clip in clips[1:])}",
        samples=samples,
        length=None if length is None else parse_seconds(length),
        observer=_say,
    )
    _write(output, page)


def _compare_in_picture(sources: list[str], output: Path, at: float) -> None:
    from vrestore.review.comparison import save_comparison

    if len(sources) > 2:
        raise PresetError(
            f"{output} is a picture and shows two videos; name a page, such as "
            f"{output.with_suffix('.html')}, to compare {len(sources)}"
        )
    save_comparison(*sources, output, Fraction(at).limit_denominator(1_000_000))
    typer.echo(f"before/after picture: {output}", err=True)


def _require_free(output: Path, overwrite: bool) -> None:
    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists; give -y to replace it")


def _time(flag: str, text: str) -> Fraction:
    from vrestore.io.timestamps import parse_seconds

    try:
        return parse_seconds(text)
    except ValueError as error:
        raise PresetError(f"{flag}: {error}") from error


def _say(words: str) -> None:
    typer.echo(words, err=True)


def _write(output: Path, page: str) -> None:
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{output} cannot be written: {error.strerror}") from error
    typer.echo(f"page: {output} ({len(page.encode()) / 2**20:.1f} MiB)", err=True)
