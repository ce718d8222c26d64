"""`vrestore run`, `plan` and `probe`: the verbs about one source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vrestore import display
from vrestore.commands.batch import is_batch, run_batch
from vrestore.commands.parsing import MakePreset, takes_flags
from vrestore.commands.recording import require_place, write_record
from vrestore.errors import PresetError
from vrestore.json_form import to_json

if TYPE_CHECKING:
    from vrestore.planning import Plan
    from vrestore.preset import Preset
    from vrestore.report import Report

__all__ = ["AllowMixed", "Cluster", "Workers", "carry_out", "plan", "probe", "run"]

NO_OUTPUT = "null"
"""The output's name in messages where `--null-output` writes none."""

Source = Annotated[
    str,
    typer.Argument(
        metavar="IN",
        show_default=False,
        help="File, image pattern (frames/%05d.png), folder of pictures, or - for y4m.",
    ),
]
Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="IN...",
        show_default=False,
        help="File, image pattern (frames/%05d.png), folder of pictures, or - for y4m. "
        "Several, folders of videos, globs or @LIST go to -o DIR/.",
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        show_default=False,
        help="File, image pattern, or - for y4m; its ending names the container.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("-y", "--overwrite", metavar="", help="Replace an existing output.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        show_default=False,
        rich_help_panel="Machine",
        help="Processes that make segments of a long run at the same time; needs Ray.",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        show_default=False,
        rich_help_panel="Machine",
        help="Let the workers be on the machines of this Ray cluster; needs --threads.",
    ),
]
AllowMixed = Annotated[
    bool,
    typer.Option(
        "--allow-mixed",
        metavar="",
        rich_help_panel="Machine",
        help="Take workers on devices of different kinds, whose results differ a little.",
    ),
]
Json = Annotated[bool, typer.Option("--json", metavar="", help="JSON on standard output.")]


@takes_flags
def run(
    sources: Sources,
    preset: MakePreset,
    output: Output = None,
    overwrite: Overwrite = False,
    restart: Annotated[
        bool,
        typer.Option(
            "--restart", metavar="", help="Forget what an earlier run of this output left."
        ),
    ] = False,
    keep_job: Annotated[
        bool,
        typer.Option("--keep-job", metavar="", help="Leave the job's folder when all is done."),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", metavar="", help="IN are folders: restore what arrives, until Ctrl-C."
        ),
    ] = False,
    record: Annotated[
        bool,
        typer.Option(
            "--record", metavar="", help="Write what was done beside the output: OUT.record.html."
        ),
    ] = False,
    progress: Annotated[
        display.ProgressMode,
        typer.Option(
            "--progress",
            help="How to show progress; json writes lines on standard output.",
        ),
    ] = display.ProgressMode.AUTO,
    workers: Workers = None,
    cluster: Cluster = None,
    allow_mixed: AllowMixed = False,
    forecast: Annotated[
        bool,
        typer.Option(
            "--forecast",
            metavar="",
            help="Restore a few short pieces only, and tell what the whole will take.",
        ),
    ] = False,
) -> None:
    """Restore a video, a sequence or a picture; or many, into a folder."""
    if output == "-" and progress is display.ProgressMode.JSON:
        raise PresetError("--progress json and -o - both want standard output")
    chosen = preset()
    target = _target(output, chosen)
    record = record or (chosen.run.record and target not in ("-", NO_OUTPUT))
    if is_batch(sources, target, watch=watch):
        if forecast or target in ("-", NO_OUTPUT):
            raise PresetError("several files need a folder: -o DIR/; and no --forecast")

        def job(source: str, place: str, threads: int | None) -> Report:
            beside = threads is not None
            shown = display.ProgressMode.NONE if beside and not as_json else progress
            return carry_out(
                source, place, _sharing(chosen, threads), progress=shown, overwrite=overwrite,
                restart=restart, keep_job=keep_job, workers=workers, cluster=cluster,
                allow_mixed=allow_mixed,
            )  # fmt: skip

        as_json = progress is display.ProgressMode.JSON
        run_batch(
            sources, target, job, threads=chosen.run.threads, watch=watch, overwrite=overwrite,
            record=record, as_json=as_json,
        )  # fmt: skip
        return
    (source,) = sources
    if forecast:
        _forecast(source, target, chosen, as_json=progress is display.ProgressMode.JSON)
        return
    if record:
        require_place(target)
    report = carry_out(
        source,
        target,
        chosen,
        progress=progress,
        overwrite=overwrite,
        restart=restart,
        keep_job=keep_job,
        workers=workers,
        cluster=cluster,
        allow_mixed=allow_mixed,
    )
    if record:
        write_record(report, sightings=report.sightings)


def _sharing(preset: Preset, threads: int | None) -> Preset:
    """The preset of one of several jobs that run side by side."""
    if threads is None:
        return preset
    from vrestore.preset import Setting

    return preset.override_all([Setting(key="run.threads", value=threads, origin="batch")])


def carry_out(
    source: str,
    target: str,
    preset: Preset,
    *,
    progress: display.ProgressMode,
    overwrite: bool,
    restart: bool = False,
    keep_job: bool = False,
    workers: int | None = None,
    cluster: str | None = None,
    allow_mixed: bool = False,
) -> Report:
    """Restores, and tells of plan, progress and result as `--progress` says."""
    from vrestore.wiring import restore

    quiet = progress in (display.ProgressMode.JSON, display.ProgressMode.NONE)

    def announce(planned: Plan) -> None:
        lines = [str(loss) for loss in planned.losses] if quiet else [str(planned)]
        for line in lines:
            display.tell(line)

    with display.observing(progress) as observer:
        report = restore(
            source,
            target,
            preset=preset,
            overwrite=overwrite,
            restart=restart,
            keep_job=keep_job,
            workers=workers,
            cluster=cluster,
            allow_mixed=allow_mixed,
            observer=observer,
            before=announce,
        )
    if progress is display.ProgressMode.JSON:
        typer.echo(json.dumps({"event": "report"} | report.facts))
    for line in report.warnings if quiet else (str(report),):
        display.tell(line)
    return report


def _forecast(source: str, target: str, preset: Preset, *, as_json: bool) -> None:
    from vrestore.forecast import forecast

    told = forecast(source, target, preset=preset)
    if as_json:
        typer.echo(json.dumps({"event": "forecast"} | dict(told.facts)))
    else:
        display.tell(str(told))


@takes_flags
def plan(
    source: Source,
    preset: MakePreset,
    output: Output = None,
    explain: Annotated[
        bool, typer.Option("--explain", metavar="", help="Say where each setting comes from.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show everything that a run would do, and what it would lose, without doing it."""
    from vrestore import describe
    from vrestore.wiring import plan as make_plan

    chosen = preset()
    planned = make_plan(source, _target(output, chosen), preset=chosen)
    if as_json:
        settings = {"settings": tuple(chosen.settings())} if explain else {}
        typer.echo(to_json({"plan": planned, **settings}))
        return
    display.tell(str(planned))
    if explain:
        display.tell(describe.settings(chosen.settings()))


def probe(
    source: Source,
    as_json: Json = False,
    cuts: Annotated[
        str | None,
        typer.Option(
            "--cuts",
            metavar="FILE",
            show_default=False,
            help="Also find the shots and write their list here.",
        ),
    ] = None,
    count: Annotated[
        bool, typer.Option("--count", metavar="", help="Read everything to count the pictures.")
    ] = False,
    deep: Annotated[
        bool,
        typer.Option("--deep", metavar="", help="Look at the pictures: what is wrong with them."),
    ] = False,
    whole: Annotated[
        bool, typer.Option("--whole", metavar="", help="With --deep: at every one of them.")
    ] = False,
    pictures: Annotated[
        str | None,
        typer.Option(
            "--pictures",
            metavar="FOLDER",
            show_default=False,
            help="As --deep, and write the frames there that show best what was found.",
        ),
    ] = None,
    shots: Annotated[
        str | None,
        typer.Option(
            "--shots",
            metavar="FILE",
            show_default=False,
            help="Also measure what every shot needs and write it here, for `run --shots`.",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            "-Z",
            metavar="PRESET",
            show_default=False,
            help="With --shots: how far each stage may go; default: what --deep suggests.",
        ),
    ] = None,
    fps: Annotated[
        str | None,
        typer.Option(
            "--fps", metavar="RATE", show_default=False, help="Rate of an image sequence."
        ),
    ] = None,
) -> None:
    """Tell what a source is: streams, picture, time, colour, and what had to be guessed."""
    from vrestore import describe
    from vrestore.diagnose import as_text
    from vrestore.wiring import diagnose, export_cuts, export_shots
    from vrestore.wiring import probe as look

    info = look(source, fps=fps, count=count)
    deep = deep or pictures is not None
    diagnosis = diagnose(source, fps=fps, whole=whole) if deep else None
    if as_json:
        typer.echo(to_json(info if diagnosis is None else {"info": info, "diagnosis": diagnosis}))
    else:
        display.tell(describe.media(info))
        if diagnosis is not None:
            display.tell(as_text(diagnosis))
    if pictures is not None and diagnosis is not None:
        from vrestore.review.symptoms import write_symptoms

        written = len(write_symptoms(diagnosis, Path(pictures)))
        typer.echo(f"{written} picture{'s' * (written != 1)} in {pictures}", err=True)
    if cuts is not None:
        found = export_cuts(source, cuts, fps=fps)
        typer.echo(f"{found} shot{'s' * (found != 1)}, listed in {cuts}", err=True)
    if shots is not None:
        found = export_shots(source, shots, preset=preset, fps=fps)
        typer.echo(f"{found} shot{'s' * (found != 1)} with their settings in {shots}", err=True)


def _target(output: str | None, preset: Preset) -> str:
    """Where the result goes.  Raises PresetError where nothing says so."""
    if output is not None:
        return output
    if preset.encode.encoder == "null":
        return NO_OUTPUT
    raise PresetError("missing -o OUT (or --null-output, to measure only)")
