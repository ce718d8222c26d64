"""Budgets of memory: what the plan makes of them, and what a run then does."""

from __future__ import annotations

from pathlib import Path

import pytest

import vrestore
from vrestore.bench.ledger import Ledger
from vrestore.chain import restoration
from vrestore.errors import DeviceError
from vrestore.io.decode import Decoder
from vrestore.jobs.fingerprint import conditions
from vrestore.notes import NoteBook
from vrestore.planning import Plan

MIB = 2**20


def planned(sample: Path, tmp_path: Path, **settings: str) -> Plan:
    keys = {"restore.model": "base", "size.scale": "2", "restore.precision": "fp32"}
    keys |= {key.replace("__", "."): value for key, value in settings.items()}
    return vrestore.plan(str(sample), str(tmp_path / "out.mkv"), preset="plain", overrides=keys)


def test_bands_are_narrowed_to_what_the_device_may_give(sample: Path, tmp_path: Path):
    free = planned(sample, tmp_path)
    assert free.memory.rows is None and free.restoring.tile == "auto"
    limit = free.memory.network * 9 // 10
    short = planned(sample, tmp_path, run__device_memory=str(limit))
    rows = short.memory.rows
    assert rows is not None and short.memory.network <= limit
    assert short.restoring.tile == rows
    assert f"in bands of {rows} rows" in str(short)
    changed = {k for k, v in conditions(short).items() if conditions(free)[k] != v}
    assert changed == {"bands of the network"}


def test_the_machine_s_memory_bounds_the_network_on_the_cpu(sample: Path, tmp_path: Path):
    free = planned(sample, tmp_path)
    queues = free.memory.channels * 3 // 4
    tight = free.memory.total - queues - free.memory.network // 12
    short = planned(sample, tmp_path, run__memory=str(tight))
    assert short.memory.depth < free.memory.depth
    assert short.memory.rows is not None and short.memory.total <= tight


def test_a_budget_that_no_bands_fit_is_refused_in_one_sentence(sample: Path, tmp_path: Path):
    with pytest.raises(DeviceError, match=r"takes \d+ MiB even in the narrowest bands"):
        planned(sample, tmp_path, run__device_memory="8MiB")


def test_a_told_tile_is_kept_whatever_the_budget(sample: Path, tmp_path: Path):
    told = planned(sample, tmp_path, restore__tile="64", run__device_memory="8MiB")
    assert told.memory.rows is None and told.restoring.tile == 64


def test_what_a_run_holds_is_what_was_planned(sample: Path, tmp_path: Path):
    free = planned(sample, tmp_path)
    short = planned(
        sample, tmp_path, run__device_memory=str(free.memory.network * 9 // 10), run__threads="1"
    )
    with Decoder(str(sample)) as decoder:
        frames = [frame for frame, _ in zip(decoder, range(4), strict=False)]
    op = restoration(short, NoteBook())
    with Ledger() as ledger:
        for frame in frames:
            list(op.push(frame))
    # Frames before and after the network are counted apart.
    assert ledger.peak <= short.memory.network + short.memory.work
    assert ledger.peak >= 0.8 * short.memory.network
