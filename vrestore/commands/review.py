"""`vrestore compare` and `vrestore preview`: pages to look at before and after a run."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from vrestore.errors import OutputError, PresetError

__all__ = ["compare", "preview"]

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
    require_free(output, overwrite)
    if output.suffix.lower() not in PAGE_SUFFIXES:
        _compare_in_picture(sources, output, at)
        return
    from vrestore.review.clips import Clip
    from vrestore.review.compare import compare as compared
    from vrestore.runtime.threads import torch_threads

    starts = [time_of("--start", text) for text in start or ()]
    clips = [
        Clip.of(
            source,
            label[place] if label and place < len(label) else None,
            starts[place] if place < len(starts) else Fraction(0),
        )
        for place, source in enumerate(sources)
    ]
    with torch_threads(1):
        page = compared(
            clips,
            title=f"{clips[0].label} and {', '.join(clip.label for clip in clips[1:])}",
            samples=samples,
            length=None if length is None else time_of("--length", length),
            observer=say,
        )
    write_page(output, page)


def _compare_in_picture(sources: list[str], output: Path, at: float) -> None:
    from vrestore.review.comparison import save_comparison

    if len(sources) > 2:
        raise PresetError(
            f"{output} is a picture and shows two videos; name a page, such as "
            f"{output.with_suffix('.html')}, to compare {len(sources)}"
        )
    before, after = sources
    save_comparison(before, after, output, Fraction(at).limit_denominator(1_000_000))
    typer.echo(f"before/after picture: {output}", err=True)


def preview(
    source: Annotated[str, typer.Argument(metavar="IN", help="The video to try presets on.")],
    presets: Annotated[
        str, typer.Option("--preset", "-Z", metavar="A,B,...", help="Presets or .toml files.")
    ] = "auto",
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR|FILE", help="A folder, or a page (.html)."),
    ] = Path("preview.html"),
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="SECTION.KEY=VALUE", help="A key for every preset; may be repeated."
        ),
    ] = None,
    parts: Annotated[
        int, typer.Option("--parts", min=1, max=12, metavar="N", help="Places in the film.")
    ] = 3,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.2, max=60, metavar="S", help="Length of each.")
    ] = 2.0,
    cuts: Annotated[
        str | None,
        typer.Option(
            "--cuts", metavar="FILE", help="Begin at shots of this list, made by `probe --cuts`."
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", metavar="", help="Keep the restored samples beside the page.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Restore short samples with several presets and compare them with the source in one page."""
    page = output if output.suffix.lower() in PAGE_SUFFIXES else output / "preview.html"
    require_free(page, overwrite)
    from vrestore.commands.sampling import sample

    sample(
        source,
        names=[name.strip() for name in presets.split(",") if name.strip()],
        page=page,
        settings=settings or [],
        parts=parts,
        seconds=Fraction(seconds).limit_denominator(1000),
        cuts=cuts,
        keep=keep,
    )


def require_free(output: Path, overwrite: bool) -> None:
    """Raises OutputError where there is something that may not be replaced."""
    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists; give -y to replace it")


def time_of(flag: str, text: str) -> Fraction:
    """Seconds of a flag's words.  Raises PresetError."""
    from vrestore.io.timestamps import parse_seconds

    try:
        return parse_seconds(text)
    except ValueError as error:
        raise PresetError(f"{flag}: {error}") from error


def say(words: str) -> None:
    """Tells people what is going on."""
    typer.echo(words, err=True)


def write_page(output: Path, page: str) -> None:
    """Writes a page and says where it is.  Raises OutputError."""
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{output} cannot be written: {error.strerror}") from error
    typer.echo(f"page: {output} ({len(page.encode()) / 2**20:.1f} MiB)", err=True)
