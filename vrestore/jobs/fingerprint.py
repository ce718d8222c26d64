"""What must be the same for the segments of two runs to fit together."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import torch

from vrestore import limits
from vrestore.errors import InputError, PresetError
from vrestore.io.sequence import find_sequence, is_pattern
from vrestore.models.needs import engine, files_digest
from vrestore.models.restorer import working_dtype
from vrestore.planning import Plan
from vrestore.review.embedded import program_version
from vrestore.setting_type import write

__all__ = ["DEVICE", "PRECISION", "conditions", "differences", "fingerprint", "source_files"]

DEVICE, PRECISION = "device", "precision"
"""Names of the conditions that differ between kinds of devices."""

_SAMPLES, _SAMPLE_BYTES = 16, 65536
"""Places of a source that are read: its header and index are among them."""

_APART = frozenset({"run.device", "run.threads", "run.memory", "run.device_memory", "run.record"})
"""Settings that count by what came of them, or not at all."""

_FILES = ("cuts.file", "cuts.shots")
"""Settings that name a file whose contents count."""

_LIBRARIES = ("av", "torch")


def source_files(plan: Plan) -> list[Path]:
    """The file of a source, or all pictures of a sequence.  Raises InputError."""
    path = plan.info.path
    if os.path.isdir(path) or is_pattern(path):
        sequence = find_sequence(path, plan.preset.input.start_number)
        return [sequence.path(position) for position in range(sequence.count)]
    return [Path(path)]


def fingerprint(plan: Plan) -> str:
    """Tells one source from another: number of bytes, and a hash of places all over them.

    Raises InputError where it cannot be read.
    """
    files, path = source_files(plan), plan.info.path
    digest = hashlib.sha256()
    try:
        sizes = [file.stat().st_size for file in files]
        for file, size in zip(files, sizes, strict=True):
            digest.update(f"{file.name} {size}\n".encode() if len(files) > 1 else b"")
        for position in sorted({i * (len(files) - 1) // (_SAMPLES - 1) for i in range(_SAMPLES)}):
            for piece in _pieces(files[position], sizes[position]):
                digest.update(piece)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return f"{sum(sizes)} bytes, {digest.hexdigest()[:32]}"


def _pieces(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        for i in range(_SAMPLES):
            file.seek(max(0, size - _SAMPLE_BYTES) * i // (_SAMPLES - 1))
            yield file.read(_SAMPLE_BYTES)


def conditions(plan: Plan) -> dict[str, str]:
    """Everything that the frames and packets of a run depend on, by a name for people."""
    assert plan.output is not None, "a still is no job"
    told = {
        "source": fingerprint(plan),
        **{
            setting.key: write(setting.value)
            for setting in plan.preset.settings()
            if setting.key not in _APART
        },
    }
    for key in _FILES:
        section, name = key.split(".")
        file = getattr(getattr(plan.preset, section), name)
        if file is not None:
            told[key] = _contents(file)
    device = plan.device.torch_device
    on_cpu = device.type == "cpu"
    kind = torch.backends.cpu.get_cpu_capability() if on_cpu else plan.device.description
    choice = plan.output.choice
    files = files_digest(plan.model, plan.size.network_scale, plan.preset.restore)
    told |= {
        "vrestore": program_version(),
        **{name: metadata.version(name) for name in _LIBRARIES},
        "container": plan.output.container.name,
        "model": " ".join(filter(None, (plan.model.name, files, engine(plan.model, device)))),
        PRECISION: str(working_dtype(plan.model, plan.preset.restore.precision, device)),
        DEVICE: f"{device.type} ({kind})",
        "steps of the network": _steps(plan),
        "bands of the network": str(plan.memory.rows or plan.preset.restore.tile),
        "threads of the network": str(plan.threads.torch),
        "threads of the encoder": str(plan.threads.encode),
        "encoder": f"{choice.spec.name} {choice.encoder_format}",
        "fields": str(plan.fields),
        "bars": str(plan.bars),
        "colour": f"{plan.source_color.working} {plan.output_color.working}",
    }
    return told


def _steps(plan: Plan) -> str:
    """Kernels round otherwise than torch does."""
    path = plan.path_on_device
    if path is None or not path.network.on_device:
        return "torch"
    return (
        f"kernels{' with code values' if path.codes else ''}, triton {metadata.version('triton')}"
    )


def _contents(path: str) -> str:
    try:
        data = limits.read_bytes(path, max(limits.CUT_LIST_BYTES, limits.SHOT_LIST_BYTES))
        return hashlib.sha256(data).hexdigest()[:32]
    except OSError as error:
        raise PresetError(f"{path} cannot be read: {error.strerror}") from error


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """One phrase for each condition that is not what it was, the source first."""
    return [
        f"{key} was {before.get(key, 'not there')} and is {now.get(key, 'not there')}"
        for key in dict.fromkeys((*before, *now))
        if before.get(key) != now.get(key)
    ]
