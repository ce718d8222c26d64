"""Segments put together: decoding times across them, and what is written for it."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrestore.errors import VRestoreError
from vrestore.io.testclip import write_test_clip
from vrestore.jobs.joining import in_decoding_order
from vrestore.jobs.keeping import reorder_depth


def packets(times):
    for pts in times:
        packet = av.Packet(b"x")
        packet.pts, packet.duration, packet.time_base = pts, 40, Fraction(1, 1000)
        yield packet


def reordered(times, group):
    """As encoders do it: the last of each group first, each segment's first picture first."""
    made = times[:1]
    for at in range(1, len(times), group):
        part = times[at : at + group]
        made += [part[-1], *part[:-1]]
    return made


@given(
    st.lists(
        st.tuples(st.lists(st.integers(1, 200), min_size=1, max_size=30), st.integers(1, 5)),
        min_size=1,
        max_size=5,
    )
)
def test_times_rise_and_no_picture_is_decoded_after_it_is_shown(segments):
    at, order, depth = 0, [], 0
    for steps, group in segments:
        times = []
        for step in steps:
            times.append(at)
            at += step
        decoded = reordered(times, group)
        depth = max(depth, reorder_depth(decoded))
        order += decoded
    done = list(in_decoding_order(packets(order), depth))
    assert [p.pts for p in done] == order
    assert all(a.dts < b.dts for a, b in pairwise(done))
    assert all(p.dts <= p.pts for p in done)


def test_pictures_that_overlap_are_refused():
    with pytest.raises(VRestoreError, match="overlap"):
        list(in_decoding_order(packets([0, 40, 80, 40, 120]), 0))


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the kernel does not count")
def test_a_job_writes_no_more_than_twice_its_output_and_its_journal(root, tmp_path):
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    write_test_clip(source, 160, 96, 30)
    command = [sys.executable, "-m", "vrestore", "run", str(source), "-o", str(output)]
    command += ["-n", "identity", "-s", "1", "--keep-job", "--set", "run.segment_seconds=0.4"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=root, stdout=log, stderr=log)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    told = Path(f"/proc/{process.pid}/io").read_text().splitlines()
    written = int(dict(line.split(": ") for line in told)["wchar"])
    assert process.wait() == 0
    sizes = {path.name: path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()}
    assert sum(name.endswith(".packets") for name in sizes) > 1
    assert written - sizes["log"] - sizes["journal"] <= 2 * sizes["out.mkv"]
