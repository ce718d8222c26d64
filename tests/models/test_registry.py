"""models.toml, and what is made of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from vrestore.errors import ModelError
from vrestore.models import registry
from vrestore.models.nets import ARCHITECTURES
from vrestore.models.registry import WEIGHTS, Manifest, ModelSpec, load_weights

ROW = 'arch = "identity"\nlicense = "MIT"\npurpose = "x"\nscales = [1]\n'


def test_the_references_are_there():
    assert {"identity", "resize"} <= set(registry.registered())


@pytest.mark.parametrize("spec", registry.registered().values(), ids=lambda s: s.name)
def test_every_row_is_complete(spec: ModelSpec):
    assert spec.arch in {"identity", "resize", *registry.FOREIGN, *ARCHITECTURES}
    if spec.weights is None:
        assert spec.manifest is Manifest.NOTHING
        return
    assert spec.manifest is not Manifest.NOTHING
    assert load_weights(spec)
    assert (WEIGHTS / spec.weights).with_suffix(".md").is_file(), "each weights file has a card"


@pytest.mark.parametrize(
    "spec",
    [s for s in registry.registered().values() if s.manifest is Manifest.RESEARCH],
    ids=lambda s: s.name,
)
def test_weights_from_research_footage_are_never_called_free(spec: ModelSpec):
    assert "research" in spec.license.lower()


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ModelError, match="identity"):
        registry.find("identty")
    with pytest.raises(ModelError, match="models list"):
        registry.find("zzzzz")


def test_auto_is_a_model_on_every_device():
    for device in ("cpu", "cpu-bf16", "cuda", "mps", "npu"):
        assert registry.find("auto", device).name in registry.registered()


def test_auto_takes_the_larger_network_where_it_keeps_up():
    assert registry.find("auto", "cpu").name == "lite"
    assert registry.find("auto", "cpu-bf16").name == "base"


def test_an_unknown_key_of_a_row_is_named(tmp_path: Path):
    table = tmp_path / "models.toml"
    table.write_text(f"[a]\n{ROW}colour = 3\n")
    with pytest.raises(ModelError, match="colour"):
        registry.read_table(table)


@pytest.mark.parametrize("line", [
    "scales = []", "scales = [2, 1]", 'weights = "x.safetensors"', 'dtypes = ["fp8"]',
    "strength = 2.0", 'space = "lab"', 'tiling = "some"', "lookahead = -1",
])  # fmt: skip
def test_a_bad_value_of_a_row_is_refused(tmp_path: Path, line: str):
    table = tmp_path / "models.toml"
    rows = [r for r in ROW.splitlines() if r.split(" ")[0] != line.split(" ")[0]]
    table.write_text("[a]\n" + "\n".join([*rows, line]))
    with pytest.raises(ModelError, match=r"\[a\]"):
        registry.read_table(table)


def test_a_file_that_is_no_table_is_refused(tmp_path: Path):
    (tmp_path / "models.toml").write_text("[[[")
    with pytest.raises(ModelError):
        registry.read_table(tmp_path / "models.toml")


@pytest.mark.parametrize(("scale", "head"), [(1, 1), (1.5, 2), (2, 2), (3, 4), (4, 4), (9, 4)])
def test_the_next_larger_head_serves_a_free_size(scale: float, head: int):
    spec = ModelSpec(name="a", arch="cell", license="x", purpose="x", scales=(1, 2, 4))
    assert spec.head_for(scale) == head


def spec_of(path: Path, digest: str) -> ModelSpec:
    return ModelSpec(
        name="a",
        arch="cell",
        license="x",
        purpose="x",
        scales=(1,),
        weights=path.name,
        sha256=digest,
        manifest=Manifest.OPEN,
    )


def test_weights_are_read_only_if_they_are_the_ones_named(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(save({"w": torch.arange(3.0)}))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_weights(spec_of(path, digest), tmp_path)["w"].tolist() == [0, 1, 2]
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ModelError, match="damaged"):
        load_weights(spec_of(path, digest), tmp_path)
    path.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load_weights(spec_of(path, digest), tmp_path)


def test_weights_of_another_format_are_refused(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"no tensors here")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ModelError, match="safetensors"):
        load_weights(spec_of(path, digest), tmp_path)
