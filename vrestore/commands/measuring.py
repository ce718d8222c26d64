"""`vrestore bench`: how fast the machine is, and how good the models are."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from vrestore.errors import PresetError
from vrestore.json_form import to_json

__all__ = ["bench"]

bench = typer.Typer(help="Measure the speed of this machine, or the quality of the models.")

SIZES = "480x270,1920x1080,3840x2160"

Sizes = Annotated[str, typer.Option("--sizes", metavar="LIST", help="Sizes of the source.")]
Frames = Annotated[int, typer.Option("--frames", min=2, metavar="N", help="Pictures at each size.")]
FramesBySize = Annotated[
    int | None,
    typer.Option(
        "--frames", min=2, metavar="N", help="Pictures at each size; fewer of larger ones without."
    ),
]
Encoder = Annotated[
    str, typer.Option("--encoder", metavar="NAME", help="null leaves encoding out.")
]
Encoders = Annotated[
    str, typer.Option("--encoder", metavar="LIST", help="null leaves encoding out.")
]
Scale = Annotated[int, typer.Option("--scale", "-s", min=1, metavar="N")]
Page = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Page to write into, between the marks of this command.",
    ),
]
Model = Annotated[str, typer.Option("--model", "-n", metavar="MODEL")]
Json = Annotated[bool, typer.Option("--json", metavar="", help="JSON on standard output.")]


@bench.callback(invoke_without_command=True)
def unnamed(
    context: typer.Context,
    sizes: Sizes = SIZES,
    frames: FramesBySize = None,
    encoder: Encoders = "null",
    model: Model = "auto",
    scale: Scale = 2,
    json: Json = False,
) -> None:
    """Measure each stage, its queue and the whole pipeline (`bench speed`)."""
    if context.invoked_subcommand is None:
        speed(sizes, frames, encoder, model, scale, None, json)


@bench.command("speed")
def speed(
    sizes: Sizes = SIZES,
    frames: FramesBySize = None,
    encoder: Encoders = "null",
    model: Model = "auto",
    scale: Scale = 2,
    output: Page = None,
    json: Json = False,
) -> None:
    """Measure each stage, its queue and the whole pipeline."""
    from vrestore import bench as benchmark
    from vrestore.bench.page import heading
    from vrestore.bench.speed import table
    from vrestore.review.written import WrittenPart

    page = None if output is None else WrittenPart(output, "vrestore bench speed")
    results = []
    for name in model.split(","):
        for result in benchmark.speed(
            sizes=sizes.split(","), frames=frames, encoders=encoder.split(","), model=name,
            scale=scale,
        ):  # fmt: skip
            if not json:
                typer.echo(f"{result}\n", err=True)
            results.append(result)
    if page is not None:
        words = "\n\n".join(str(result) for result in results)
        page.write((heading(_command()), table(results), f"```\n{words}\n```"))
    if json:
        typer.echo(to_json(results))


def _command() -> str:
    """As it was called, by the name that people call it."""
    return shlex.join(("vrestore", *sys.argv[1:]))


@bench.command("stages")
def stages(
    source: Annotated[
        str | None, typer.Argument(metavar="[INPUT]", help="A video; one is made without it.")
    ] = None,
    preset: Annotated[str, typer.Option("--preset", "-Z", metavar="NAME")] = "plain",
    size: Annotated[str, typer.Option("--size", metavar="WxH", help="Of the made clip.")] = (
        "480x270"
    ),
    frames: Annotated[
        int, typer.Option("--frames", min=2, metavar="N", help="Pictures of the made clip.")
    ] = 48,
    encoder: Encoder = "null",
    model: Model = "auto",
    scale: Scale = 2,
    json: Json = False,
) -> None:
    """Show which part of the program each thread of a run spends its time in."""
    from vrestore import bench as benchmark
    from vrestore.bench.clip import settings_for

    result = benchmark.stages(
        source=source, size=size, preset=preset,
        settings=settings_for(model, encoder, scale), frames=frames,
    )  # fmt: skip
    typer.echo(to_json(result) if json else str(result), err=not json)


@bench.command("memory")
def memory(
    sizes: Sizes = SIZES,
    frames: Frames = 24,
    encoder: Encoder = "null",
    model: Model = "auto",
    scale: Scale = 2,
    device_memory: Annotated[
        str | None, typer.Option("--device-memory", metavar="SIZE", help="As of `run`.")
    ] = None,
    output: Page = None,
    json: Json = False,
) -> None:
    """Compare the peak memory of runs with what `plan` says beforehand."""
    from vrestore import bench as benchmark
    from vrestore.bench.clip import settings_for
    from vrestore.bench.memory import markdown, table
    from vrestore.bench.page import heading
    from vrestore.review.written import WrittenPart

    settings = settings_for(model, encoder, scale)
    if device_memory is not None:
        settings["run.device_memory"] = device_memory
    page = None if output is None else WrittenPart(output, "vrestore bench memory")
    results = benchmark.memory(sizes=sizes.split(","), frames=frames, settings=settings)
    if page is not None:
        page.write((heading(_command()), markdown(results)))
    if json:
        typer.echo(to_json(results))
    elif output is None:
        typer.echo(table(results), err=True)


@bench.command("quality")
def quality(
    data: Annotated[
        Path,
        typer.Option(
            "--data", metavar="DIR", exists=True, file_okay=False,
            help="Folder with Set5, Kodak, Vid4, video; for measuring only.",
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-n", metavar="MODEL", help="May be repeated; all by default."),
    ] = None,
    rival: Annotated[
        list[str] | None,
        typer.Option(
            "--rival", metavar="NAME=CHECKPOINT",
            help="A training to measure beside the models; may be repeated. The name twin-MODEL "
            "makes it the single-image twin of that model.",
        ),
    ] = None,
    only: Annotated[
        str,
        typer.Option(
            "--only", metavar="LIST",
            help="Parts, with commas: set5, b100, stills, vid4, damaged, noise, harm, long, "
            "drift, precision; all by default.",
        ),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE",
            help="Page to write into; standard output without it.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Measure the models against known truth and other methods, as tables in Markdown."""
    from vrestore.models import registry
    from vrestore.review.quality.networks import contender
    from vrestore.review.quality.page import PARTS, measure
    from vrestore.review.written import WrittenPart

    parts = only.split(",") if only else list(PARTS)
    if unknown := [part for part in parts if part not in PARTS]:
        raise PresetError(f"--only has no {unknown[0]!r}; there are {', '.join(PARTS)}")
    pairs = [text.partition("=") for text in rival or ()]
    if incomplete := [name for name, _, path in pairs if not (name and path)]:
        raise PresetError(f"--rival wants NAME=CHECKPOINT, got {incomplete[0]!r}")

    written = None if output is None else WrittenPart(output, "vrestore bench quality")
    names = model or [name for name, spec in registry.registered().items() if spec.weights]
    specs = [registry.find(name) for name in names]
    if without := [spec.name for spec in specs if spec.weights is None]:
        raise PresetError(f"{', '.join(without)} has no weights: it is measured beside the others")
    text = measure(
        data,
        specs,
        contenders=[contender(name, Path(path)) for name, _, path in pairs],
        only=parts,
        command=_command(),
        observer=lambda line: typer.echo(line, err=True),
    )
    if written is None:
        typer.echo(text)
    else:
        written.write((text,))
