"""Real processes that are killed, interrupted and asked to end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.jobs.conftest import SEGMENTS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

SLOWLY = """
import sys, time
from vrestore.jobs import making
from vrestore.cli import main

working = making.InSegments.push

def push(self, frame):
    time.sleep(PAUSE)
    yield from working(self, frame)

making.InSegments.push = push
sys.exit(main(sys.argv[1:]))
"""


def start(root: Path, clip: Path, output: Path, pause: float) -> subprocess.Popen[str]:
    words = [
        "run", str(clip), "-o", str(output), "-Z", "plain", "-n", "resize",
        "--encoder", "libx264", "--encoder-preset", "ultrafast", "--threads", "1",
        "--set", "run.segment_seconds=0.5", "--progress", "none",
    ]  # fmt: skip
    code = SLOWLY.replace("PAUSE", str(pause))
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=root, stderr=subprocess.PIPE, text=True
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_finishes_the_segment_and_is_gone_on_with(root, clip, tmp_path, number):
    output, job = tmp_path / "out.mkv", tmp_path / "out.mkv.job"
    process = start(root, clip, output, 0.1)
    wait_for(job / "000000.packets", process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 5, err
    assert f"of {SEGMENTS} segments are kept" in err
    assert (job / "000001.packets").exists() and not (job / "segment.part").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mkv.job"]

    from vrestore.jobs.folder import JobFolder
    from vrestore.jobs.status import status_of

    told = status_of(*JobFolder.look(job))
    assert not told.running and 2 <= told.segments_done < told.segments == SEGMENTS
    again = subprocess.run(
        [sys.executable, "-m", "vrestore", "resume", str(output), "--progress", "none"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert list(tmp_path.iterdir()) == [output]


def test_a_second_stop_ends_at_once(root, clip, tmp_path):
    job = tmp_path / "out.mkv.job"
    process = start(root, clip, tmp_path / "out.mkv", 0.4)
    wait_for(job / "000000.packets", process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=4)
    assert process.returncode == 5, err
    assert not (job / "segment.part").exists()


def test_a_killed_run_gives_the_same_file(root, clip, tmp_path):
    made = []
    for name, kill in (("a", False), ("b", True)):
        output, job = tmp_path / f"{name}.mkv", tmp_path / f"{name}.mkv.job"
        process = start(root, clip, output, 0.01 if kill else 0)
        if kill:
            wait_for(job / "000002.packets", process)
            process.kill()
            process.communicate()
            process = start(root, clip, output, 0)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert not job.exists()
        made.append(output.read_bytes())
    # The settings that a file carries do not name it.
    assert made[0] == made[1]
