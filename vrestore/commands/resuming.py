"""`vrestore resume` and `status`: the verbs about a run that was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vrestore import display
from vrestore.commands.restoring import AllowMixed, Cluster, Json, Workers, carry_out
from vrestore.errors import InputError
from vrestore.json_form import to_json

if TYPE_CHECKING:
    from vrestore.jobs.entries import Beginning
    from vrestore.jobs.folder import JobFolder

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
    workers: Workers = None,
    cluster: Cluster = None,
    allow_mixed: AllowMixed = False,
    progress: Annotated[
        display.ProgressMode, typer.Option("--progress", help="How to show progress.")
    ] = display.ProgressMode.AUTO,
) -> None:
    """Go on with an interrupted run, from its output's name alone."""
    from vrestore.preset import loads

    job, begun = _job(output)
    if "://" in begun.source:
        raise InputError(
            f"{job.path} is a job of {begun.source}; what is on a network is read only where it is "
            "named by hand: give the command itself again"
        )
    carry_out(
        begun.source,
        _target(job.path, begun),
        loads(begun.toml, begun.preset),
        progress=progress,
        overwrite=begun.overwrite,
        keep_job=keep_job,
        workers=workers,
        cluster=cluster,
        allow_mixed=allow_mixed,
    )


def status(output: Interrupted, as_json: Json = False) -> None:
    """Tell how far a run is, while it works or after it was interrupted."""
    from vrestore.jobs.status import status_of

    told = status_of(*_job(output))
    if as_json:
        typer.echo(to_json(told))
    else:
        display.tell(str(told))


def _job(output: Path) -> tuple[JobFolder, Beginning]:
    from vrestore.jobs.folder import JobFolder

    if output.suffix == ".job":
        return JobFolder.look(output)
    final = output.absolute().parent if "%" in output.name else output
    return JobFolder.look(final.with_name(final.name + ".job"))


def _target(folder: Path, begun: Beginning) -> str:
    """The output of a job: what lies beside its folder, wherever the journal says that it was."""
    final, name = folder.with_suffix(""), Path(begun.output).name
    return str(final / name if "%" in name else final)
