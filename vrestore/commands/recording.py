"""`vrestore report` and `vrestore rerun`, and the record that `run --record` writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrestore import display
from vrestore.commands.review import Overwrite, require_free, say, write_page
from vrestore.errors import InputError, ModelError, OutputError

if TYPE_CHECKING:
    from vrestore.preset import Preset
    from vrestore.report import Report
    from vrestore.review.embedded import RunSettings
    from vrestore.review.witness import Sighting

__all__ = ["report", "require_place", "rerun", "write_record"]


def require_place(output: str) -> None:
    """Raises OutputError where an output has no place for a record beside it."""
    from vrestore.review.record import record_path

    record_path(output)


def write_record(done: Report, *, sightings: Sequence[Sighting] = ()) -> None:
    """Writes the record of a run beside its output, as JSON and as a page.

    Raises OutputError where there is no output file or nothing can be written.
    """
    from vrestore.review.curves import measure
    from vrestore.review.evidence import clips_of
    from vrestore.review.record import record_json, record_path
    from vrestore.runtime.threads import torch_threads

    path = record_path(done.plan.path)
    config = done.plan.preset.input
    say("measuring for the record")
    with torch_threads(1):
        clips = clips_of(
            done.plan.info.path,
            done.plan.path,
            {"start": config.start, "frames": config.frames},
        )
        record = record_json(
            done,
            sightings=sightings,
            diagnosis=done.plan.diagnosis,
            curves=None if clips is None else measure(clips),
        )
        try:
            text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
            path.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}") from error
        say(f"record: {path}")
        write_page(path.with_suffix(".html"), _page(record))


def report(
    output: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="A file made with `run --record`, or its record."),
    ],
    page: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="PAGE", help="Where to write it; default: beside the record."
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make the page of a run's record again."""
    from vrestore.review.record import read_record, record_path
    from vrestore.runtime.threads import torch_threads

    path = output if output.suffix.lower() == ".json" else record_path(str(output))
    if not path.is_file():
        raise InputError(
            f"{output} has no record ({path} does not exist); give --record when it is made"
        )
    target = page or path.with_suffix(".html")
    record = read_record(path)
    require_free(target, overwrite)
    with torch_threads(1):
        try:
            text = _page(record)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise InputError(
                f"the record {path} is damaged: a part of it is not what a record holds "
                f"({type(error).__name__}: {error})"
            ) from error
        write_page(target, text)


def rerun(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="A file made by vrestore.")],
    source: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", metavar="IN", help="Its source, where that is no longer at its place."
        ),
    ] = None,
    again: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="NEW", help="Default: OUT with -again in its name."),
    ] = None,
    overwrite: Overwrite = False,
    progress: Annotated[
        display.ProgressMode, typer.Option("--progress", help="How to show progress.")
    ] = display.ProgressMode.AUTO,
) -> None:
    """Repeat a run from the settings that its output carries."""
    from vrestore.review.embedded import program_version, settings_of
    from vrestore.wiring import plan, probe, restore

    target = again or output.with_name(f"{output.stem}-again{output.suffix}")
    require_free(target, overwrite)
    settings = settings_of(probe(str(output)))
    path = _source_of(settings, output, source)
    preset = _preset_of(settings)
    planned = plan(path, str(target), preset=preset)
    if planned.model.sha256 != settings.sha256:
        raise ModelError(
            f"{output} was made with weights of {settings.model!r} that are not these (sha256 "
            f"{str(settings.sha256)[:12]}, now {str(planned.model.sha256)[:12]}); the result would "
            f"be another: use vrestore {settings.version}"
        )
    if settings.version != program_version():
        say(f"note: {output} was made by vrestore {settings.version}, this is {program_version()}")
    if planned.info.size_bytes != settings.source_bytes:
        say(
            f"note: {path} has {planned.info.size_bytes} bytes, the source had "
            f"{settings.source_bytes}: it may not be the same"
        )
    with display.observing(progress) as observer:
        done = restore(path, str(target), preset=preset, overwrite=overwrite, observer=observer)
    say(str(done))


def _page(record: dict[str, Any]) -> str:
    """The page of a record, with pictures where source and output are there."""
    from vrestore.review.evidence import clips_of, look_again
    from vrestore.review.page.account import record_page

    clips = clips_of(record["source"]["path"], record["output"]["path"], record["part"])
    if clips is None:
        return record_page(record)
    return record_page(record, *look_again(clips, record))


def _source_of(settings: RunSettings, output: Path, given: str | None) -> str:
    """The path of the source: as given, as it was, or beside the output."""
    if given is not None:
        return given
    if "://" in settings.source:
        raise InputError(
            f"{output} says that it was made from {settings.source}; what is on a network is read "
            "only where it is named by hand: -i IN"
        )
    if Path(settings.source).exists() or "%" in settings.source:
        return settings.source
    beside = output.with_name(Path(settings.source).name)
    if beside.exists():
        return str(beside)
    raise InputError(f"the source of {output}, {settings.source}, is not there; name it with -i IN")


def _preset_of(settings: RunSettings) -> Preset:
    """The preset that a file carries, with the model that made it."""
    from vrestore import preset

    loaded = preset.loads(settings.toml, settings.preset)
    return loaded.override("restore.model", settings.model, f"model of {settings.preset}")
