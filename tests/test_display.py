"""What a run shows while it runs."""

import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from vrestore.display import ProgressMode, duration, memory, observing, panel, plain_line
from vrestore.progress import ChannelProgress, Progress, StageProgress


def progress(**changes) -> Progress:
    stages = [("decode", 0.08), ("restore", 0.97), ("encode", 0.31)]
    whole = Progress(
        elapsed_seconds=40.0,
        frames_done=300,
        frames_total=1500,
        position_seconds=12.0,
        duration_seconds=60.0,
        shot=3,
        stages=tuple(
            StageProgress(name=name, items=300, busy_share=busy, fps=7.5) for name, busy in stages
        ),
        channels=(
            ChannelProgress(name="decode > restore", depth=4, capacity=4),
            ChannelProgress(name="restore > encode", depth=1, capacity=3),
        ),
        rss_bytes=812 * 2**20,
        bound_by="restore",
    )
    return replace(whole, **changes)


def rendered(value: Progress, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(panel(value))
    return console.file.getvalue()


def line_of(text: str, word: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(word)]
    return line


# -------------------------------------------------------------------------------------- values


def test_the_forecast_is_the_mean_pace_so_far():
    assert progress().fps == 7.5
    assert progress().done_share == pytest.approx(0.2)
    assert progress().remaining_seconds == pytest.approx(160.0)


def test_the_length_comes_from_the_duration_where_frames_are_not_counted():
    assert progress(frames_total=None).done_share == pytest.approx(0.2)
    unknown = progress(frames_total=None, duration_seconds=None)
    assert (unknown.done_share, unknown.remaining_seconds) == (None, None)


def test_a_header_that_lies_never_gives_more_than_everything():
    assert progress(frames_done=2000).done_share == 1.0
    assert progress(frames_done=2000).remaining_seconds == 0.0


@given(st.floats(0, 1e6))
def test_a_duration_names_each_second_once(seconds):
    text = duration(seconds)
    parts = [int(part) for part in text.removesuffix(" s").split(":")]
    total = 0
    for part in parts:
        total = total * 60 + part
    assert total == round(seconds)


def test_memory_is_in_binary_units():
    assert memory(0) == "0 B"
    assert memory(812 * 2**20) == "812 MiB"
    assert memory(int(1.5 * 2**30)) == "1.5 GiB"


# --------------------------------------------------------------------------------------- panel


def test_the_panel_has_a_line_for_each_stage_with_speed_and_share():
    text = rendered(progress())
    for name, share in (("decode", "8%"), ("restore", "97%"), ("encode", "31%")):
        assert f"{share} busy" in line_of(text, name)
        assert "7.50 fps" in line_of(text, name)


def test_the_panel_shows_how_full_the_queue_behind_a_stage_is():
    text = rendered(progress())
    assert "■■■■ 4/4" in line_of(text, "decode")
    assert "■□□ 1/3" in line_of(text, "restore")
    assert "/" not in line_of(text, "encode")


def test_the_panel_shows_the_total_the_forecast_and_what_bounds():
    text = rendered(progress())
    for words in ("20%", "300/1500 frames", "2:40 left", "shot 4", "812 MiB", "bound by restore"):
        assert words in text


def test_what_is_compiled_once_is_named_in_place_of_what_bounds():
    waiting = progress(compiling=True)
    for text in (rendered(waiting, 200), plain_line(waiting)):
        assert "compiling for this processor" in text
        assert "bound by" not in text
    assert "compiling" not in plain_line(progress())


def test_the_panel_of_a_source_of_unknown_length_promises_nothing():
    text = rendered(progress(frames_total=None, duration_seconds=None, shot=None, bound_by=None))
    assert "300/? frames" in text
    assert "left" not in text
    assert "shot" not in text


def test_the_panel_before_the_first_frame_is_complete():
    start = progress(elapsed_seconds=0.0, frames_done=0, position_seconds=0.0, stages=())
    assert "0/1500 frames" in rendered(start)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_panel_fits_its_terminal(width):
    assert max(map(len, rendered(progress(), width).splitlines())) <= width


# --------------------------------------------------------------------------------------- modes


def test_without_a_terminal_auto_writes_plain_lines_now_and_then():
    console = Console(file=io.StringIO(), width=40)
    with observing(ProgressMode.AUTO, console) as observer:
        for tenth in range(120):
            observer(progress(elapsed_seconds=tenth / 10, frames_done=tenth))
    lines = console.file.getvalue().splitlines()
    assert [line.split("/")[0] for line in lines] == ["0", "50", "100"]


def test_plain_lines_end_with_the_last_frame():
    console = Console(file=io.StringIO())
    with observing(ProgressMode.PLAIN, console) as observer:
        observer(progress(elapsed_seconds=0.0, frames_done=0))
        for _ in range(3):
            observer(progress(elapsed_seconds=1.0, frames_done=1500))
    assert len(console.file.getvalue().splitlines()) == 2


def test_on_a_terminal_auto_draws_in_place_and_leaves_nothing():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with observing(ProgressMode.AUTO, console) as observer:
        observer(progress())
        assert "bound by restore" in console.file.getvalue()
    assert console.file.getvalue().rstrip().endswith("\x1b[2K")


def test_json_lines_can_be_read_back_one_by_one():
    stream = io.StringIO()
    with observing(ProgressMode.JSON, Console(file=io.StringIO()), stream) as observer:
        observer(progress())
        observer(progress(frames_done=301))
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [record["frames_done"] for record in records] == [300, 301]
    assert records[0]["stages"][1]["name"] == "restore"
    assert records[0]["channels"][1] == {"name": "restore > encode", "depth": 1, "capacity": 3}
    assert records[0]["remaining_seconds"] == pytest.approx(160.0)


def test_none_writes_nothing():
    console, stream = Console(file=io.StringIO()), io.StringIO()
    with observing(ProgressMode.NONE, console, stream) as observer:
        observer(progress())
    assert console.file.getvalue() == stream.getvalue() == ""


def test_a_plain_line_says_the_same_in_one_line():
    assert plain_line(progress()) == (
        "300/1500 frames, 20%, 7.50 fps, 2:40 left, shot 4, 812 MiB, bound by restore"
    )
