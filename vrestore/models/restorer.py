"""What restores: the protocol, the references, and `build`, which makes one from a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from vrestore.errors import ModelError
from vrestore.media import Coding, Frame
from vrestore.models.registry import ModelSpec

Resample = Callable[[Frame, int], Frame]
"""(frame of Coding.UNIT, magnification) -> the frame with each plane that many times as large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreConfig:
    """The preset's section [restore]."""

    model: str = "auto"
    """A name of models.toml, or `auto`."""

    strength: float | None = None
    """0 trusts a clean source, 1 expects heavy damage; None is the model's own default."""

    tile: Literal["auto"] | int = "auto"
    """Rows of luma per band of the trunk; 0 is whole frames, `auto` is up to the model."""

    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("model must be a name or auto, got an empty string")
        if self.strength is not None and not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"strength must be in 0..1, got {self.strength}")
        if self.tile != "auto" and (not isinstance(self.tile, int) or self.tile < 0):
            raise ValueError(f"tile must be auto or rows of 0 or more, got {self.tile!r}")
        if self.precision not in ("auto", "fp32", "fp16", "bf16"):
            raise ValueError(f"precision must be auto, fp32, fp16 or bf16, got {self.precision!r}")


class Restorer(Protocol):
    """An Op from Frame to Frame.

    Frames are of `Coding.UNIT`, float32, on the restorer's device, in the colour space of
    `spec.space`, of any size.  Each gives exactly one frame, in order, `scale` times as large, with
    its timestamp, index and flags; at most `latency` frames are held back.  `shot_start` clears
    all memory: nothing before it influences what follows.
    """

    spec: ModelSpec
    scale: int
    latency: int

    def push(self, item: Frame) -> Iterable[Frame]: ...

    def flush(self) -> Iterable[Frame]: ...


def require_unit(frame: Frame) -> None:
    """Raise ModelError unless the frame is what a restorer takes."""
    if frame.coding is not Coding.UNIT:
        raise ModelError(f"a restorer takes normalised frames, got {frame!r}")


class IdentityRestorer:
    """Gives every frame back as it came."""

    latency = 0
    scale = 1

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def push(self, item: Frame) -> Iterable[Frame]:
        require_unit(item)
        return (item,)

    def flush(self) -> Iterable[Frame]:
        return ()


class ResizeRestorer:
    """Resamples every frame by itself; the resampler is handed in."""

    latency = 0

    def __init__(self, spec: ModelSpec, scale: int, resample: Resample) -> None:
        self.spec = spec
        self.scale = scale
        self._resample = resample

    def push(self, item: Frame) -> Iterable[Frame]:
        require_unit(item)
        return (item if self.scale == 1 else self._resample(item, self.scale),)

    def flush(self) -> Iterable[Frame]:
        return ()


def working_dtype(spec: ModelSpec, precision: str) -> torch.dtype:
    """The dtype of the arithmetic.  Raises ModelError where the model does not have it."""
    name = spec.dtypes[0] if precision == "auto" else precision
    if name not in spec.dtypes:
        raise ModelError(f"{spec.name!r} runs in {', '.join(spec.dtypes)}, not in {name}")
    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[name]


def build(
    spec: ModelSpec,
    scale: int,
    config: RestoreConfig,
    *,
    device: torch.device | str = "cpu",
    resample: Resample | None = None,
) -> Restorer:
    """A fresh restorer for one video.

    `scale` must be one of `spec.scales` (`spec.head_for` finds it); `resample` is needed by
    models of architecture `resize` alone.  Raises ModelError for a scale, precision or weights
    file that the model does not have.
    """
    if scale not in spec.scales:
        raise ModelError(f"{spec.name!r} has no x{scale}; it has "
                         f"{', '.join(f'x{s}' for s in spec.scales)}")
    if spec.arch == "identity":
        return IdentityRestorer(spec)
    if spec.arch == "resize":
        if resample is None:
            raise ModelError(f"{spec.name!r} needs a resampler")
        return ResizeRestorer(spec, scale, resample)
    raise ModelError(f"{spec.name!r} is of unknown architecture {spec.arch!r}")
