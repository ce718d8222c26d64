"""The `vrestore` command: arguments -> a verb -> one call of the Python API; exit codes.

What was asked for by a machine goes to standard output, everything for people to standard error.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import Annotated

import typer
from rich.console import Console

from vrestore import limits
from vrestore.commands import (
    catalogue,
    machine,
    measuring,
    recording,
    restoring,
    resuming,
    review,
    verifying,
)
from vrestore.commands.train import train
from vrestore.errors import (
    DeviceError,
    InputError,
    LossError,
    ModelError,
    PlanError,
    PresetError,
    StoppedError,
    VRestoreError,
)
from vrestore.runtime.posix import ignore_stops, termination_as_interrupt, tune_process

__all__ = ["EXIT_CODES", "app", "main", "run"]

HELP = ["-h", "--help"]
FAILED = 1
USAGE = 2
INTERRUPTED = 130
"""What Typer makes of Ctrl-C."""

EXIT_CODES: tuple[tuple[type[VRestoreError], int], ...] = (
    (PresetError, USAGE),
    (InputError, 3),
    (PlanError, 4),
    (DeviceError, 4),
    (ModelError, 4),
    (StoppedError, 5),
    (LossError, 6),
    (VRestoreError, FAILED),
)
"""Exit status of each family of errors, the first that matches."""

app = typer.Typer(
    name="vrestore",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": HELP},
    epilog="`vrestore IN -o OUT` is short for `vrestore run IN -o OUT`.",
)
app.command("run")(restoring.run)
app.command("probe")(restoring.probe)
app.command("plan")(restoring.plan)
app.command("resume")(resuming.resume)
app.command("status")(resuming.status)
app.command("preview")(review.preview)
app.command("compare")(review.compare)
app.command("report")(recording.report)
app.command("rerun")(recording.rerun)
app.command("verify")(verifying.verify)
app.add_typer(catalogue.presets, name="presets")
app.add_typer(catalogue.models, name="models")
app.command("devices")(machine.devices)
app.command("doctor")(machine.doctor)
app.add_typer(measuring.bench, name="bench")
app.command(
    "train",
    add_help_option=False,
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
    },
)(train)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vrestore {_version()}")
        raise typer.Exit


def _show_presets(wanted: bool) -> None:
    if wanted:
        catalogue.list_presets()
        raise typer.Exit


@app.callback()
def _global(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            metavar="",
            callback=_show_version,
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
    preset_list: Annotated[
        bool,
        typer.Option(
            "--preset-list",
            "-z",
            metavar="",
            callback=_show_presets,
            is_eager=True,
            help="List the presets.",
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", metavar="", help="Show where an error came from; accepted anywhere."
        ),
    ] = False,
) -> None:
    """Restores and upscales old, damaged and low-resolution video; keeps everything else."""


def run() -> None:
    """Entry point of the console script."""
    try:
        status = main(sys.argv[1:])
    except KeyboardInterrupt:  # A second one, while the first was being answered.
        status = FAILED
    ignore_stops()
    sys.exit(status)


def main(arguments: Sequence[str]) -> int:
    """Runs one command line (without the program's name) and returns the exit status."""
    tune_process()
    debug = "--debug" in arguments
    words = _with_verb([word for word in arguments if word != "--debug"])
    try:
        with termination_as_interrupt(), _first_failure():
            status = app(words, prog_name="vrestore", standalone_mode=False)
    except typer.TyperException as error:
        return _fail(f"{error.format_message()} (`vrestore --help` tells more)", error.exit_code)
    except VRestoreError as error:
        if debug:
            traceback.print_exc()
        return _fail(str(error), _status(error))
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback for users
        if debug:
            traceback.print_exc()
        return _fail(
            f"{type(error).__name__}: {error} (a defect of vrestore; --debug shows where)", FAILED
        )
    if status == INTERRUPTED:
        return _fail("stopped by the user; nothing was left under the final name", FAILED)
    return status if isinstance(status, int) else 0


@contextmanager
def _first_failure() -> Iterator[None]:
    """Where several stages failed by themselves, the first in time is what the user hears of."""
    try:
        yield
    except ExceptionGroup as group:
        raise group.exceptions[0] from group


def _with_verb(words: list[str]) -> list[str]:
    """The command line with `run` in front if it names no verb."""
    group = typer.main.get_command(app)
    known = set(getattr(group, "commands", {}))
    known.update(name for parameter in group.params for name in parameter.opts)
    known.update(HELP)
    return words if not words or words[0].split("=")[0] in known else ["run", *words]


def _status(error: VRestoreError) -> int:
    return next(code for family, code in EXIT_CODES if isinstance(error, family))


def _fail(message: str, status: int) -> int:
    console = Console(stderr=True)
    console.print("[red]error:[/red] ", end="")
    told = limits.printable(" ".join(message.split()))
    console.print(told, markup=False, highlight=False, soft_wrap=True)
    return status


def _version() -> str:
    try:
        return metadata.version("vrestore")
    except metadata.PackageNotFoundError:
        return "(not installed: run from its source)"
