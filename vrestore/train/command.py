"""`vrestore train ...`: the arguments of training."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from vrestore.errors import PresetError
from vrestore.train.averaging import averaged
from vrestore.train.config import SIZES, TrainConfig
from vrestore.train.finish import finish
from vrestore.train.loop import Progress, run
from vrestore.train.pack import pack
from vrestore.train.preview import preview
from vrestore.train.rivals import NETS, SINGLE_IMAGE

__all__ = ["app"]

app = typer.Typer(
    help="Train the networks.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Data = Annotated[
    Path, typer.Option("--data", help="Folder of footage.", exists=True, file_okay=False)
]
ManifestName = Annotated[str, typer.Option("--manifest", help="Which of it: open or research.")]


@app.callback(invoke_without_command=True)
def train(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option(help="Folder of footage.", exists=True, file_okay=False)
    ] = None,
    checkpoint: Annotated[
        Path, typer.Option(help="Continued from where it exists; written every minute.")
    ] = Path("vrestore-train.pt"),
    manifest: ManifestName = "research",
    size: Annotated[str, typer.Option(help=f"One of {', '.join(SIZES)}.")] = "lite",
    minutes: Annotated[float | None, typer.Option(help="Wall-clock length of the whole.")] = None,
    steps: Annotated[int | None, typer.Option(help="Length in steps instead.")] = None,
    seed: int = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda:0, mps.")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="CPU threads of one step.")] = None,
    workers: Annotated[int, typer.Option(help="Processes that make samples.")] = 0,
    batch: int = 6,
    crop: int = 64,
    learning_rate: Annotated[float, typer.Option(help="Of the trunk, at its highest.")] = 1e-3,
    clean: Annotated[
        bool, typer.Option("--clean", help="Train on undamaged pictures alone, to be magnified.")
    ] = False,
    twin: Annotated[bool, typer.Option("--twin", help="Train the single-image twin.")] = False,
    net: Annotated[str, typer.Option(help=f"One of {', '.join(NETS)}.")] = "cell",
    start: Annotated[
        str | None, typer.Option(help="Model, or checkpoint, of a smaller size to grow from.")
    ] = None,
    precision: Annotated[
        str, typer.Option(help="Of the trunk: fp32; bf16 is twice as fast where a CPU has it.")
    ] = "fp32",
) -> None:
    """Train a network; stops by itself, and on Ctrl-C or SIGTERM after the step at hand."""
    if context.invoked_subcommand is not None:
        return
    if data is None:
        raise typer.BadParameter("name the footage with --data DIR")
    try:
        config = TrainConfig(
            data=data, checkpoint=checkpoint, manifest=manifest, size=size, net=net,
            temporal=not twin and net not in SINGLE_IMAGE, start=start, precision=precision,
            minutes=minutes if steps is not None or minutes is not None else 60.0, steps=steps,
            seed=seed, device=device, threads=threads, workers=workers, batch=batch, crop=crop,
            learning_rate=learning_rate, clean=clean,
        )  # fmt: skip
    except ValueError as error:
        raise PresetError(str(error)) from error
    stopped: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.append(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    run(config, observer=_tell, stop=lambda: bool(stopped))


def _tell(progress: Progress) -> None:
    line = (
        f"{progress.share:6.1%}  {progress.phase:8}  step {progress.step}  "
        f"loss {progress.loss:.5f}  {progress.seconds_per_step:.3f} s/step"
    )
    numbers = (progress.measured or {}).items()
    gains = [f"{k} {v:+.2f}" for k, v in numbers if isinstance(v, float) and "x" in k]
    if gains:
        line += f"  dB over bicubic: {', '.join(gains)}"
    typer.echo(line, err=True)


@app.command("preview")
def preview_command(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o")] = Path("preview.png"),
    manifest: ManifestName = "research",
    rows: int = 12,
    seed: int = 0,
) -> None:
    """Write a contact sheet of degraded input, target and defect mask."""
    typer.echo(preview(data, output, manifest=manifest, rows=rows, seed=seed))


@app.command("pack")
def pack_command(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="A new folder.")],
    manifest: ManifestName = "research",
) -> None:
    """Squeeze the footage into a folder of at most 28 MiB."""
    made = pack(data, output, manifest=manifest)
    typer.echo(f"{made.folder}: {made.files} files, {made.bytes / 2**20:.1f} MiB")


@app.command("average")
def average_command(
    checkpoint: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    other: Annotated[str, typer.Argument(help="Model, or checkpoint, of the same size.")],
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="A new checkpoint.")],
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the other.")] = 0.3,
) -> None:
    """The mean of two trainings that began alike, measured on the clips held out."""
    typer.echo(averaged(checkpoint, other, share, data, output))


@app.command("finish")
def finish_command(
    checkpoint: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    folder: Annotated[Path, typer.Option(help="Where weights and card go.")],
    name: Annotated[str, typer.Option()],
    purpose: Annotated[str, typer.Option()],
    hardware: Annotated[str, typer.Option()],
    license_text: Annotated[str, typer.Option("--license")],
) -> None:
    """Turn a checkpoint into a weights file, its card, and a row of models.toml."""
    made = finish(
        checkpoint, folder, name, purpose=purpose, hardware=hardware, license=license_text
    )
    typer.echo(made.row)
