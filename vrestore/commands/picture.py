"""`vrestore compare`: a picture of what a run has done."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from vrestore.errors import OutputError

__all__ = ["compare"]


def compare(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="The source.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="The result.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="PICTURE", help="Where to write it, e.g. .png")
    ],
    at: Annotated[
        float, typer.Option("--at", metavar="SECONDS", min=0.0, help="Which instant.")
    ] = 1.0,
    overwrite: Annotated[
        bool, typer.Option("-y", metavar="", help="Replace an existing picture.")
    ] = False,
) -> None:
    """Put the same instant of two videos side by side in one picture."""
    from vrestore.review.comparison import save_comparison

    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists; give -y to replace it")
    save_comparison(before, after, output, Fraction(at).limit_denominator(1_000_000))
    typer.echo(f"before/after picture: {output}", err=True)
