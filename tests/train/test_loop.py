"""The loop, its checkpoints, and what is made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from vrestore.errors import InputError, OutputError
from vrestore.models.nets.cell import Cell
from vrestore.models.registry import read_table
from vrestore.train import loop
from vrestore.train.batches import PHASES, phase_at
from vrestore.train.checkpoint import read, resume, save
from vrestore.train.config import TrainConfig
from vrestore.train.finish import finish
from vrestore.train.footage import read_clip
from vrestore.train.loop import Progress, learning_rate, run
from vrestore.train.manifest import read_manifest
from vrestore.train.pack import pack
from vrestore.train.preview import preview


@pytest.fixture
def config(footage_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    # Measuring costs more than the few steps of these trainings.
    monkeypatch.setattr(loop, "MEASUREMENTS", 2)
    return TrainConfig(
        data=footage_folder,
        checkpoint=tmp_path / "c.pt",
        manifest="open",
        size="nano",
        steps=12,
        batch=1,
        crop=32,
    )


def weights(state_cell: Cell) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in state_cell.state_dict().items()}


@pytest.mark.slow
def test_a_training_passes_through_all_phases_and_changes_all_parts(config: TrainConfig):
    told: list[Progress] = []
    state = run(config, observer=told.append)
    assert state.step == config.steps
    assert {p.phase for p in told} == {p.name for p in PHASES}
    assert any(p.measured for p in told)
    fresh = resume(config.checkpoint.with_name("none"), config, "x").cell
    changed = {
        k.split(".")[0]
        for k, v in state.cell.state_dict().items()
        if not torch.equal(v, fresh.state_dict()[k])
    }
    assert changed == {"align", "fusion", "blend", "stem", "trunk", "heads"}
    assert all(torch.isfinite(v).all() for v in state.average.state_dict().values())


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(config: TrainConfig):
    first = weights(run(config).cell)
    second = weights(run(replace(config, checkpoint=config.checkpoint.with_name("d.pt"))).cell)
    assert all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.slow
def test_a_stopped_training_goes_on_where_it_was(config: TrainConfig):
    calls: list[int] = []

    def after_five() -> bool:
        calls.append(1)
        return len(calls) > 5

    stopped = run(config, stop=after_five)
    assert 0 < stopped.step < 12
    told: list[Progress] = []
    finished = run(config, observer=told.append)
    assert finished.step == 12 and told[0].step > stopped.step


def test_a_checkpoint_gives_back_what_was_saved(config: TrainConfig):
    state = resume(config.checkpoint, config, "digest")
    state.step, state.elapsed_seconds = 7, 3.5
    state.curve.append({"step": 7, "phase": "single"})
    save(config.checkpoint, state, config, "digest")
    again = resume(config.checkpoint, config, "digest")
    assert (again.step, again.elapsed_seconds, again.curve) == (7, 3.5, state.curve)
    mine, stored = weights(state.cell), weights(again.cell)
    assert all(torch.equal(mine[k], stored[k]) for k in mine)
    assert config.checkpoint.stat().st_size < 16 * 2**20
    assert not list(config.checkpoint.parent.glob("*.part"))


@pytest.mark.parametrize(
    "change", [{"size": "lite"}, {"temporal": False}, {"seed": 3}, {"manifest": "research"}]
)
def test_a_checkpoint_of_another_training_is_refused(config: TrainConfig, change: dict[str, int]):
    save(config.checkpoint, resume(config.checkpoint, config, "d"), config, "d")
    with pytest.raises(InputError, match="another checkpoint"):
        resume(config.checkpoint, replace(config, **change), "d")
    with pytest.raises(InputError, match="another version"):
        resume(config.checkpoint, config, "e")


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path):
    (tmp_path / "c.pt").write_bytes(b"no")
    with pytest.raises(InputError, match="checkpoint"):
        read(tmp_path / "c.pt")


def test_a_failed_save_leaves_the_old_checkpoint(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
):
    state = resume(config.checkpoint, config, "d")
    save(config.checkpoint, state, config, "d")
    before = config.checkpoint.read_bytes()

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="space"):
        save(config.checkpoint, state, config, "d")
    assert config.checkpoint.read_bytes() == before


def test_phases_follow_one_another_to_the_end():
    ends = [p.until for p in PHASES]
    assert ends == sorted(ends) and ends[-1] == 1.0
    assert phase_at(0.0) is PHASES[0] and phase_at(1.0) is PHASES[-1]


def test_the_learning_rate_rises_then_falls_to_almost_nothing(config: TrainConfig):
    single, last = PHASES[1], PHASES[-1]
    start = learning_rate(config, single, PHASES[0].until)
    top = learning_rate(config, single, 0.3)
    assert start < 0.2 * top and top == config.learning_rate
    assert learning_rate(config, last, 0.9999) < 0.01 * top


@pytest.mark.parametrize("bad", [
    {"size": "huge"}, {"minutes": 1.0}, {"steps": None}, {"crop": 30}, {"batch": 0},
])  # fmt: skip
def test_a_bad_setting_is_refused(config: TrainConfig, bad: dict[str, object]):
    with pytest.raises(ValueError, match=r"size|minutes|crop|batch"):
        replace(config, **bad)


def test_a_finished_model_loads_as_the_row_says(config: TrainConfig, tmp_path: Path):
    state = resume(config.checkpoint, config, "d")
    digest = read_manifest("open").digest
    save(config.checkpoint, state, config, digest)
    made = finish(
        config.checkpoint,
        tmp_path / "w",
        "vr-nano",
        purpose="A net for tests",
        hardware="nothing",
        license="MIT",
    )
    (tmp_path / "models.toml").write_text(made.row)
    spec = read_table(tmp_path / "models.toml")["vr-nano"]
    cell = Cell(**spec.arch_args)
    cell.load_state_dict({k: v.float() for k, v in load_file(made.weights).items()})
    card = made.card.read_text()
    assert digest in card and spec.sha256 is not None and spec.sha256 in card
    assert "CC BY 3.0" in card


def test_a_contact_sheet_shows_inputs_targets_and_masks(footage_folder: Path, tmp_path: Path):
    path = preview(footage_folder, tmp_path / "sheet.png", manifest="open", rows=3)
    with Image.open(path) as sheet:
        assert sheet.size == (7 * 192, 3 * 192)


@pytest.mark.slow
def test_a_pack_is_footage_under_the_same_names(footage_folder: Path, tmp_path: Path):
    made = pack(footage_folder, tmp_path / "pack", manifest="open", limit=2**21)
    assert made.bytes <= 2**21
    names = {
        p.relative_to(footage_folder).with_suffix("")
        for p in read_manifest("open").select(footage_folder)
    }
    packed = read_manifest("open").select(made.folder)
    assert {p.relative_to(made.folder).with_suffix("") for p in packed} == names
    assert sum(p.stat().st_size for p in packed) == made.bytes
    assert all(len(read_clip(p)) in (1, 10) for p in packed)
    with pytest.raises(OutputError, match="not empty"):
        pack(footage_folder, made.folder, manifest="open")
    with pytest.raises(OutputError, match="does not fit"):
        pack(footage_folder, tmp_path / "tiny", manifest="open", limit=100)
