"""The mean of two trainings, and what ships of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vrestore.errors import InputError
from vrestore.models.nets.cell import Cell
from vrestore.train.averaging import averaged
from vrestore.train.checkpoint import fresh_state, read, save
from vrestore.train.config import TrainConfig
from vrestore.train.finish import finish
from vrestore.train.manifest import read_manifest


def trained(path: Path, data: Path, seed: int, size: str = "nano") -> Path:
    """A checkpoint with numbers of its own."""
    config = TrainConfig(data=data, checkpoint=path, manifest="open", size=size, steps=1, seed=seed)
    state = fresh_state(config)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in state.average.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    save(path, state, config, read_manifest("open").digest)
    return path


def test_the_mean_lies_between_and_its_card_tells(footage_folder: Path, tmp_path: Path):
    a, b = (trained(tmp_path / f"{k}.pt", footage_folder, k) for k in (1, 2))
    mean = averaged(a, str(b), 0.25, footage_folder, tmp_path / "mean.pt")
    stored, first, second = (read(p) for p in (mean, a, b))
    for name, value in stored["average"].items():
        wanted = torch.lerp(first["average"][name], second["average"][name], 0.25)
        assert torch.allclose(value, wanted, atol=1e-6), name
    assert stored["curve"][-1]["phase"] == "averaged"
    assert isinstance(stored["curve"][-1]["clean-x2"], float)
    shipped = finish(
        mean, tmp_path / "out", "mine", purpose="p", hardware="h", license="l"
    )  # fmt: skip
    assert "averaged with `2.pt`, of which it holds 25%" in shipped.card.read_text(encoding="utf-8")
    cell = Cell(24, 4)
    cell.load_state_dict({k: v.float() for k, v in load_file(shipped.weights).items()})


def test_another_size_is_refused(footage_folder: Path, tmp_path: Path):
    a = trained(tmp_path / "a.pt", footage_folder, 1)
    b = trained(tmp_path / "b.pt", footage_folder, 1, size="small")
    with pytest.raises(InputError, match="not of the size nano"):
        averaged(a, str(b), 0.5, footage_folder, tmp_path / "mean.pt")
    assert not (tmp_path / "mean.pt").exists()
