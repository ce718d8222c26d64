"""Batches: a function of seed and step, whoever makes them."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from vrestore.train.batches import PHASES, Batch, batches
from vrestore.train.config import TrainConfig
from vrestore.train.footage import Footage


@pytest.fixture
def config(footage_folder: Path, tmp_path: Path) -> TrainConfig:
    return TrainConfig(
        data=footage_folder, checkpoint=tmp_path / "c.pt", size="nano", steps=100, batch=1, crop=32
    )


def equal(a: Batch, b: Batch) -> bool:
    return a.recipe == b.recipe and all(
        torch.equal(x, y) for x, y in zip(a.sample, b.sample, strict=True)
    )


# One processor is enough to tell whether they are the same.
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.slow
def test_worker_processes_make_the_batches_that_one_process_makes(
    footage: Footage, config: TrainConfig
):
    single = next(p for p in PHASES if p.length == 1)
    alone = list(islice(batches(footage, config, single, 3), 4))
    dealt = list(islice(batches(footage, replace(config, workers=2), single, 3), 4))
    assert all(equal(a, b) for a, b in zip(alone, dealt, strict=True))
    assert not equal(alone[0], alone[1])
