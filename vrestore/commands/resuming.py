"""`vrestore resume` and `status`: the verbs about a run that was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vrestore import display
from vrestore.commands.restoring import Json, carry_out
from vrestore.json_form import to_json

if TYPE_CHECKING:
    from vrestore.jobs.folder import Beginning, JobFolder

__all__ = ["resume", "status"]

Interrupted = Annotated[
    Path, typer.Argument(metavar="OUT", help="The output of the run, or its .job folder.")
]


def resume(
    output: Interrupted,
    keep_job: Annotated[
        bool,
        typer.Option("--keep-job", metavar="", help="Leave the job's folder when all is done."),
    ] = False,
    progress: Annotated[
        display.ProgressMode, typer.Option("--progress", help="How to show progress.")
    ] = display.ProgressMode.AUTO,
) -> None:
    """Go on with an interrupted run, from its output's name alone."""
    from vrestore.preset import loads

    _, begun = _job(output)
    carry_out(
        begun.source,
        begun.output,
        loads(begun.toml, begun.preset),
        progress=progress,
        overwrite=begun.overwrite,
        keep_job=keep_job,
    )


def status(output: Interrupted, as_json: Json = False) -> None:
    """Tell how far a run is, while it works or after it was interrupted."""
    from vrestore.jobs.status import status_of

    told = status_of(*_job(output))
    if as_json:
        typer.echo(to_json(told))
    else:
        typer.echo(str(told), err=True)


def _job(output: Path) -> tuple[JobFolder, Beginning]:
    from vrestore.jobs.folder import JobFolder

    folder = output if output.suffix == ".job" else output.with_name(output.name + ".job")
    if "%" in output.name:
        folder = output.parent.with_name(output.parent.name + ".job")
    return JobFolder.look(folder)
