"""What restores: the protocol, its settings, and `build`, which makes one from a row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import torch

from vrestore.errors import ModelError, PresetError
from vrestore.media import Frame
from vrestore.models import compiled
from vrestore.models.captured import Tapes
from vrestore.models.compiled import Together, one_by_one
from vrestore.models.kernels.codes import Codes
from vrestore.models.nets import ARCHITECTURES
from vrestore.models.nets.align import Aligner
from vrestore.models.reference import IdentityRestorer, Resample, ResizeRestorer
from vrestore.models.registry import ModelSpec, find, load_weights
from vrestore.models.single import checkpoint, given, ncnn, onnxnet, places
from vrestore.models.single.picture import PictureNet
from vrestore.models.single.restorer import ImageRestorer
from vrestore.models.steadier import Steadier
from vrestore.models.temporal import TemporalRestorer
from vrestore.models.turned import Turned

if TYPE_CHECKING:
    from vrestore.models.compiled.speedup import SpeedUp
    from vrestore.models.kernels.step import FusedStep
    from vrestore.models.nets.cell import Cell

__all__ = [
    "RestoreConfig",
    "Restorer",
    "build",
    "device_class",
    "multiplies_in_bf16",
    "nets_of",
    "require_fitting",
    "runs_compiled",
    "shipped_aligner",
    "working_dtype",
]


ALIGNER = "lite"
"""The model whose weights the steadier's aligner comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreConfig:
    """The preset's section [restore]."""

    model: str = "auto"
    """A name of models.toml, the path of a model of others, or `auto`."""

    strength: float | None = None
    """0 trusts a clean source, 1 expects heavy damage; None is the model's own default."""

    tile: Literal["auto"] | int = "auto"
    """Rows of luma per band of the trunk, or the side of tiles for models of others; 0 is whole
    frames, `auto` is up to the model."""

    denoise: int | None = None
    """Level of denoising, 0..3, of models that have one; None is the model's plainest."""

    steady: bool = False
    """Average the results of a model of others along the motion, which takes its flicker away."""

    tta: bool = False
    """Average the results for the eight turns and mirror images of a picture, at eight times the
    time; for pictures, and for models of others."""

    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    """Of the trunk's arithmetic; `auto` is bf16 where the CPU multiplies in it, on CUDA the half
    precision that is nearer to fp32 with the model's weights, else the model's first."""

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("model must be a name or auto, got an empty string")
        if self.strength is not None and not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"strength must be in 0..1, got {self.strength}")
        if self.tile != "auto" and (not isinstance(self.tile, int) or self.tile < 0):
            raise ValueError(f"tile must be auto or rows of 0 or more, got {self.tile!r}")
        if self.denoise is not None and not 0 <= self.denoise <= 3:
            raise ValueError(f"denoise must be a level of 0..3, got {self.denoise}")
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


def multiplies_in_bf16(device: torch.device) -> bool:
    """Whether bf16 is faster than fp32 there: twice as fast with AVX512-BF16 or AMX, and slower on
    a CPU without.  Other devices are taken to be slower until one was measured."""
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    can = torch.cpu.get_capabilities()
    return bool(can.get("avx512_bf16") or can.get("amx_bf16"))


def device_class(device: torch.device) -> str:
    """What `automatic_on` of a model names: the device's type, or "cpu-bf16" for a CPU on which
    larger networks keep up, since it multiplies in bf16."""
    return "cpu-bf16" if multiplies_in_bf16(device) else device.type


def working_dtype(spec: ModelSpec, precision: str, device: torch.device) -> torch.dtype:
    """The dtype of the arithmetic.  Raises ModelError where the model does not have it."""
    name = precision
    if precision == "auto":
        fast = "bf16" in spec.dtypes and multiplies_in_bf16(device)
        name = "bf16" if fast else spec.dtypes[0]
        if device.type == "cuda" and spec.half is not None:
            name = spec.half
    if name not in spec.dtypes:
        raise ModelError(f"{spec.name!r} runs in {', '.join(spec.dtypes)}, not in {name}")
    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[name]


def require_fitting(spec: ModelSpec, config: RestoreConfig) -> None:
    """Raise PresetError where a setting is asked for that the model does not have."""
    if config.denoise is not None and config.denoise not in spec.noise:
        has = ", ".join(str(level) for level in spec.noise)
        why = f"has the levels {has}" if spec.noise else "has no levels; --strength is for ours"
        if spec.is_single_image and not spec.noise:
            why = "has no levels of denoising"
        raise PresetError(f"--denoise {config.denoise} is not for {spec.name!r}, which {why}")
    if config.steady and not spec.is_single_image:
        raise PresetError(
            f"--steady is for models that see one picture at a time, and {spec.name!r} is none"
        )
    if config.tta and spec.arch in ("identity", "resize"):
        raise PresetError(f"--tta is for networks, and {spec.name!r} is none")


def build(
    spec: ModelSpec,
    scale: int,
    config: RestoreConfig,
    *,
    device: torch.device | str = "cpu",
    resample: Resample | None = None,
    fused: bool = False,
    codes: Codes | None = None,
    together: Together = one_by_one,
    torch_alone: bool = False,
) -> Restorer:
    """A fresh restorer for one video.

    `scale` must be one of `spec.scales` (`spec.head_for` finds it); `resample` is needed by
    models of architecture `resize` alone.  `fused` and `codes` are for our own networks: kernels
    for 4:2:0 where they run (`kernels_fit`), then also for code values in and out.  `together` does
    parts of what is compiled for the CPU at the same time; with `torch_alone` our own networks are
    computed without.  Raises ModelError for a scale, precision or weights file that the model does
    not have, and PresetError as `require_fitting`.
    """
    require_fitting(spec, config)
    if scale not in spec.scales:
        raise ModelError(
            f"{spec.name!r} has no x{scale}; it has {', '.join(f'x{s}' for s in spec.scales)}"
        )
    if spec.arch == "identity":
        return IdentityRestorer(spec)
    if spec.arch == "resize":
        if resample is None:
            raise ModelError(f"{spec.name!r} needs a resampler")
        return ResizeRestorer(spec, scale, resample)
    if spec.is_single_image:
        return _single_image(spec, scale, config, torch.device(device), together)
    if spec.arch not in ARCHITECTURES:
        raise ModelError(f"{spec.name!r} is of unknown architecture {spec.arch!r}")
    device = torch.device(device)
    dtype = working_dtype(spec, config.precision, device)
    helped = runs_compiled(spec, device) and not torch_alone
    try:
        cell = ARCHITECTURES[spec.arch](**spec.arch_args)
        cell.load_state_dict({k: v.float() for k, v in load_weights(spec).items()})
    except (RuntimeError, TypeError) as error:
        raise ModelError(
            f"the weights of {spec.name!r} do not fit its architecture: {error}"
        ) from error
    restorer = TemporalRestorer(
        spec, cell, scale,
        strength=spec.strength if config.strength is None else config.strength,
        tile=None if config.tile == "auto" else config.tile,
        dtype=dtype,
        device=device,
        fused=_fused(cell, device) if fused else None,
        codes=codes,
        speed_up=_speed_up(cell, together) if helped else None,
    )  # fmt: skip
    return Turned(restorer) if config.tta else restorer


def _fused(cell: Cell, device: torch.device) -> FusedStep:
    # Triton is there only with a GPU.
    from vrestore.models.kernels.step import FusedStep

    tapes = Tapes() if device.type == "cuda" else None
    return FusedStep(cell.to(device).eval().requires_grad_(False), tapes)


def runs_compiled(spec: ModelSpec, device: torch.device) -> bool:
    """Whether a cell is helped by what `vrestore.models.compiled` has."""
    return spec.arch in ARCHITECTURES and device.type == "cpu" and compiled.installed()


def _speed_up(cell: Cell, together: Together) -> SpeedUp:
    # numba is an extra.
    from vrestore.models.compiled.speedup import SpeedUp

    return SpeedUp(cell, together)


def _single_image(
    spec: ModelSpec, scale: int, config: RestoreConfig, device: torch.device, together: Together
) -> Restorer:
    """A model of others, turned and with the steadier where that is asked for."""
    tile = None if config.tile == "auto" else config.tile
    net = _picture_net(spec, scale, config.denoise, device, together)
    bare = ImageRestorer(spec, net, tile=tile)
    inner = Turned(bare) if config.tta else bare
    return Steadier(inner, shipped_aligner().to(device)) if config.steady else inner


def nets_of(spec: ModelSpec) -> tuple[places.Net, ...]:
    """The files of an ncnn model.  Raises ModelError where there are none."""
    if spec.package is not None:
        return ncnn.nets_of_package(spec.package, str(spec.arch_args.get("files", "")))
    if spec.path is None:
        raise ModelError(f"{spec.name!r} names neither a package nor a path")
    return given.nets_at(spec.path)


def _picture_net(
    spec: ModelSpec, scale: int, noise: int | None, device: torch.device, together: Together
) -> PictureNet:
    """The network of a model of others for a magnification and a level of denoising."""
    if spec.arch == "ncnn":
        return ncnn.load(nets_of(spec), scale, noise, device, spec.name, together)
    if spec.path is None:
        raise ModelError(f"{spec.name!r} names no file")
    if spec.arch == "onnx":
        return onnxnet.open_net(spec.path)
    return checkpoint.open_net(spec.path, device)


def shipped_aligner() -> Aligner:
    """The aligner of the small network that ships, on the CPU.  Raises ModelError."""
    align, prefix = Aligner(), "align."
    weights = load_weights(find(ALIGNER))
    try:
        align.load_state_dict(
            {k.removeprefix(prefix): v.float() for k, v in weights.items() if k.startswith(prefix)}
        )
    except RuntimeError as error:
        raise ModelError(f"the weights of {ALIGNER!r} do not fit its aligner: {error}") from error
    return align
