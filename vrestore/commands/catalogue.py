"""`vrestore presets` and `vrestore models`: what ships with the program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vrestore.errors import ModelError, OutputError
from vrestore.json_form import to_json

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
    """Name, magnifications, training footage and purpose of each model, one a line."""
    from vrestore.models import registry

    known = registry.registered()
    if json:
        typer.echo(to_json(known))
        return
    width = max(map(len, known))
    for name, spec in known.items():
        scales = ",".join(f"x{scale}" for scale in spec.scales)
        typer.echo(f"{name:{width}}  {scales:12}  {spec.manifest.value:8}  {spec.purpose}")


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
        typer.echo(f"{name}: {f'{len(tensors)} tensors, good' if tensors else 'has no weights'}")
    if damaged:
        raise ModelError(f"the weights of {', '.join(damaged)} are not usable; install again")
