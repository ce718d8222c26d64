"""(MediaInfo, Preset, model, sizes, device) -> MemoryPlan: depths, bands, and what it all takes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vrestore.errors import DeviceError
from vrestore.fieldplan import FieldPlan
from vrestore.io.output import OutputPlan
from vrestore.io.stillkinds import StillKind
from vrestore.media import MediaInfo, SampleFormat
from vrestore.models.footprint import Footprint
from vrestore.models.needs import engine, network_bytes
from vrestore.models.nets import ARCHITECTURES
from vrestore.models.registry import ModelSpec
from vrestore.models.restorer import runs_compiled, working_dtype
from vrestore.ops.size import SizePlan
from vrestore.preset import Preset
from vrestore.runtime.channel import depth_for
from vrestore.runtime.device import Device
from vrestore.runtime.posix import physical_memory_bytes
from vrestore.stillplan import StillTiles, tiled_bytes
from vrestore.treatments import Treatments

__all__ = ["MemoryPlan", "plan_memory", "plan_tiled_memory"]

_MIB = 2**20
_PROGRAM_BYTES = 400 * _MIB
"""Resident memory of Python with torch and FFmpeg before the first frame."""

_DECODER_FRAMES = 12
"""Reference and in-flight pictures of a decoder with a few threads."""

_NETWORK_BYTES = 32 * _MIB
"""What torch takes for the first network it runs, whatever the picture's size."""

_COMPILER_BYTES = 100 * _MIB
"""What numba takes with functions that it compiled before; compiling them takes as much again."""

_QUEUES_BYTES = 512 * _MIB
"""What the queues may hold where nobody says: 8 frames each up to 4K, 2 or 3 at 8K."""

_UNIT_FRAMES = 3
"""float32 frames alive at once inside the restoring stage: before, after, and on the way."""

_TUNING_BYTES, _TUNING_FRAMES = 256 * 2**20, 48
"""What is held while a shot's first frames are read, at most."""

_FIELD_FRAMES = 6
"""Code value frames that a deinterlacer holds: three copies in, two results, one waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """What a run is expected to need, in bytes."""

    depth: int
    """Frames that each channel may hold."""

    channels: int
    decoder: int
    encoder: int
    """The codecs' own delay: pictures they hold back."""

    work: int
    """Frames in floating point inside the stages."""

    network: int = 0
    """What our own networks take on their device."""

    network_apart: bool = False
    """Whether that device has memory of its own."""

    rows: int | None = None
    """Luma rows of the network's bands where the budget asks for narrower ones than its own."""

    @property
    def total(self) -> int:
        """Of the machine's memory."""
        here = self.channels + self.decoder + self.encoder + self.work
        return _PROGRAM_BYTES + here + (0 if self.network_apart else self.network)


def plan_memory(
    preset: Preset,
    info: MediaInfo,
    model: ModelSpec,
    size: SizePlan,
    form: SampleFormat,
    output: OutputPlan | None,
    fields: FieldPlan,
    device: Device,
    *,
    tuned: frozenset[str],
    looks_ahead: bool,
    abreast: int,
) -> MemoryPlan:
    """Depths and bands that the budgets allow, and the sum of everything.

    `tuned` are keys of presets that shots set for themselves, `looks_ahead` says whether shots are
    looked for, their first frames held meanwhile, `abreast` how many frames are restored at a time.
    Raises DeviceError where the network does not fit into `run.device_memory` in any bands.
    """
    video = info.video
    code_in = video.format.frame_bytes(video.width, video.height)
    code_out = form.frame_bytes(*size.output)
    unit_in = video.format.frame_bytes(video.width, video.height, bytes_per_sample=4)
    unit_out = form.frame_bytes(*size.output, bytes_per_sample=4)
    decoder = _DECODER_FRAMES * code_in
    held = 0 if output is None else output.choice.spec.held_bytes(form, *size.output)
    work = _UNIT_FRAMES * (unit_in + unit_out)
    work += _FIELD_FRAMES * code_in if fields.works else 0
    around = Treatments(preset, (video.width, video.height), tuned=tuned)
    work += unit_in * around.held
    if preset.cuts.tune and looks_ahead:
        work += min(_TUNING_BYTES, _TUNING_FRAMES * code_in)
    work += _NETWORK_BYTES if model.weights is not None else 0
    work += _compiler_bytes(model, device.torch_device)
    work += network_bytes(
        model, size.network_scale, preset.restore, video.height, video.width,
        device=device.torch_device, abreast=abreast,
    )  # fmt: skip
    fixed = _PROGRAM_BYTES + decoder + held + work
    budget = preset.run.memory_bytes
    network, rows = 0, None
    if model.arch in ARCHITECTURES:
        host = budget or physical_memory_bytes() or 8 * 2**30
        network, rows = _network(preset, info, model, size, device, max(0, host - fixed))
    apart = device.kind != "cpu"
    fixed += 0 if apart else network
    if budget is None:
        budget = min((physical_memory_bytes() or 8 * 2**30) // 2, fixed + _QUEUES_BYTES)
    depth = depth_for(code_in + code_out, max(0, budget - fixed), 1)
    return MemoryPlan(
        depth=depth,
        channels=depth * (code_in + code_out),
        decoder=decoder,
        encoder=held,
        work=work,
        network=network,
        network_apart=apart,
        rows=rows,
    )


def _compiler_bytes(model: ModelSpec, device: torch.device) -> int:
    return _COMPILER_BYTES if engine(model, device).startswith("numba") else 0


def _network(
    preset: Preset, info: MediaInfo, model: ModelSpec, size: SizePlan, device: Device, host: int
) -> tuple[int, int | None]:
    """What one of our networks takes, and luma rows of its bands where they have to be narrower
    than its own; `host` is what the machine's memory has left for it."""
    video, config = info.video, preset.restore
    footprint = Footprint(
        spec=model,
        scale=size.network_scale,
        format=video.format,
        height=video.height,
        width=video.width,
        dtype=working_dtype(model, config.precision, device.torch_device),
        compiled=runs_compiled(model, device.torch_device),
    )
    if config.tile != "auto":
        return footprint.bytes(config.tile or None), None
    told = preset.run.device_memory_bytes
    budget = host if device.kind == "cpu" else device.memory_bytes or host
    if told is not None:
        budget = told if device.kind != "cpu" else min(told, host)
    rows = footprint.rows_within(budget)
    needed = footprint.bytes(rows or footprint.own_rows)
    if told is not None and needed > told:
        raise DeviceError(
            f"run.device_memory = {preset.run.device_memory} is too little for {video.width}x"
            f"{video.height} with {model.name} x{size.network_scale}, which takes "
            f"{needed / 2**20:.0f} MiB even in the narrowest bands"
        )
    return needed, rows


def plan_tiled_memory(
    info: MediaInfo,
    model: ModelSpec,
    size: SizePlan,
    form: SampleFormat,
    kind: StillKind,
    tiles: StillTiles,
    device: torch.device,
) -> MemoryPlan:
    """The same for a still that is restored in tiles."""
    work = tiled_bytes(info, model, size, form, kind, tiles, device)
    network = 0 if model.weights is None else _NETWORK_BYTES
    network += _compiler_bytes(model, device)
    return MemoryPlan(depth=1, channels=0, decoder=0, encoder=0, work=work + network)
