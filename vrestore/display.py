"""A run's progress on a terminal, as plain lines, or as JSON lines.

`observing(mode)` gives the observer that `restore` calls.  Nothing here has a thread: a display
is drawn when it is told something.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vrestore.limits import printable
from vrestore.progress import ChannelProgress, Progress, StageProgress

__all__ = ["ProgressMode", "duration", "memory", "observing", "panel", "plain_line", "tell"]

Observer = Callable[[Progress], None]

PLAIN_INTERVAL_SECONDS = 5.0
"""Between two lines in a log: often enough to see life, seldom enough to read it later."""


class ProgressMode(StrEnum):
    """How progress is shown."""

    AUTO = "auto"
    """Rich where standard error is a terminal, plain where not."""

    PLAIN = "plain"
    """A line on standard error every few seconds."""

    JSON = "json"
    """A JSON object a line on standard output, one for each snapshot."""

    NONE = "none"


def tell(text: str) -> None:
    """Lines for people, on standard error; what would control the terminal is shown as escapes."""
    sys.stderr.write("".join(f"{printable(line)}\n" for line in text.split("\n")))


@contextmanager
def observing(
    mode: ProgressMode, console: Console | None = None, machine: TextIO | None = None
) -> Iterator[Observer]:
    """An observer that draws on `console` (standard error) or writes JSON lines to `machine`
    (standard output).
    """
    console = console or Console(stderr=True)
    if mode is ProgressMode.JSON:
        stream = machine or sys.stdout
        yield lambda progress: _write_json(progress, stream)
    elif mode is ProgressMode.NONE:
        yield lambda progress: None
    elif mode is ProgressMode.AUTO and console.is_terminal:
        # auto_refresh would start a daemon thread of rich's own; redirection would take standard
        # output away from a y4m stream.
        live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        try:
            yield lambda progress: _draw(live, panel(progress))
        finally:
            live.stop()
    else:
        yield _PlainLines(console)


def panel(progress: Progress) -> RenderableType:
    """The whole display: a line for each stage, then the total."""
    return Group(_stage_table(progress), Text(), _total_line(progress), _facts_line(progress))


def plain_line(progress: Progress) -> str:
    """The same in one line of text without colour."""
    total = f"/{progress.frames_total}" if progress.frames_total else ""
    share = progress.done_share
    parts = [
        f"{progress.frames_done}{total} {progress.unit}",
        f"{share:.0%}" if share is not None else f"at {duration(progress.position_seconds)}",
        f"{progress.fps:.2f} {progress.pace_unit}",
    ]
    if progress.remaining_seconds is not None:
        parts.append(f"{duration(progress.remaining_seconds)} left")
    if progress.shot is not None:
        parts.append(f"shot {progress.shot + 1}")
    parts.append(memory(progress.rss_bytes))
    parts += _bound(progress)
    return ", ".join(parts)


def _bound(progress: Progress) -> list[str]:
    """What the run waits for."""
    if progress.compiling:
        return ["compiling for this processor (once)"]
    return [f"bound by {progress.bound_by}"] if progress.bound_by else []


def duration(seconds: float) -> str:
    """`7 s`, `3:07` or `1:02:07`; negative times keep their sign."""
    sign, whole = "-" if seconds < 0 else "", round(abs(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, second = divmod(rest, 60)
    if hours:
        return f"{sign}{hours}:{minutes:02}:{second:02}"
    return f"{sign}{minutes}:{second:02}" if minutes else f"{sign}{second} s"


def memory(size: int) -> str:
    """A number of bytes in binary units, three digits."""
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.3g} {unit}"


class _PlainLines:
    """Prints a line now and then, and one when all frames are done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0
        self._done = 0

    def __call__(self, progress: Progress) -> None:
        complete = progress.frames_total is not None and (
            progress.frames_done >= progress.frames_total > self._done
        )
        if progress.elapsed_seconds < self._next and not complete:
            return
        self._done = progress.frames_done
        self._next = progress.elapsed_seconds + PLAIN_INTERVAL_SECONDS
        self._console.print(plain_line(progress), highlight=False, soft_wrap=True)


def _draw(live: Live, picture: RenderableType) -> None:
    """Started with the first picture, so that what is said before it stays above."""
    if not live.is_started:
        live.start()
    live.update(picture, refresh=True)


def _write_json(progress: Progress, stream: TextIO) -> None:
    record = (
        {"event": "progress"}
        | asdict(progress)
        | {
            "fps": progress.fps,
            "done_share": progress.done_share,
            "remaining_seconds": progress.remaining_seconds,
        }
    )
    stream.write(json.dumps(record) + "\n")
    stream.flush()


def _stage_table(progress: Progress) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=10)
    table.add_column(justify="right", min_width=10)
    table.add_column(width=22)
    table.add_column()
    queues: list[ChannelProgress | None] = [*progress.channels]
    queues += [None] * (len(progress.stages) - len(queues))
    for stage, queue in zip(progress.stages, queues, strict=False):
        table.add_row(*_stage_row(stage, queue, bound=stage.name == progress.bound_by))
    return table


def _stage_row(
    stage: StageProgress, queue: ChannelProgress | None, *, bound: bool
) -> tuple[Text, Text, Table, Text]:
    busy = Table.grid(padding=(0, 1))
    busy.add_row(
        ProgressBar(
            total=1.0,
            completed=min(stage.busy_share, 1.0),
            width=10,
            complete_style="yellow" if bound else "green",
            finished_style="yellow" if bound else "green",
        ),
        Text(f"{stage.busy_share:4.0%} busy"),
    )
    name = Text(stage.name, style="bold yellow" if bound else "bold")
    return name, Text(f"{stage.fps:.2f} fps"), busy, _queue_text(queue)


def _queue_text(queue: ChannelProgress | None) -> Text:
    """The queue behind a stage, one cell an item."""
    if queue is None:
        return Text()
    filled = min(queue.depth, queue.capacity)
    cells = Text().append("■" * filled, style="cyan")
    cells.append("□" * (queue.capacity - filled), style="dim")
    return cells.append(f" {queue.depth}/{queue.capacity}", style="dim")


def _total_line(progress: Progress) -> Table:
    table = Table.grid(padding=(0, 2))
    share = progress.done_share
    total = str(progress.frames_total) if progress.frames_total else "?"
    left = progress.remaining_seconds
    table.add_row(
        ProgressBar(
            total=1.0,
            completed=share or 0.0,
            width=40,
            pulse=share is None,
            complete_style="cyan",
            finished_style="cyan",
            animation_time=progress.elapsed_seconds,
        ),
        Text(f"{share:.0%}" if share is not None else "", style="bold"),
        Text(f"{progress.frames_done}/{total} {progress.unit}"),
        Text(f"{progress.fps:.2f} {progress.pace_unit}"),
        Text(f"{duration(left)} left" if left is not None else "measuring"),
    )
    return table


def _facts_line(progress: Progress) -> Text:
    facts = [f"at {duration(progress.position_seconds)}"]
    if progress.shot is not None:
        facts.append(f"shot {progress.shot + 1}")
    facts.append(f"memory {memory(progress.rss_bytes)}")
    facts += _bound(progress)
    return Text("  ".join(facts), style="dim")
