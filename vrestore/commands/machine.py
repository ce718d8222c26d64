"""`vrestore devices` and `doctor`: what this machine can do."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Annotated

import typer

from vrestore.errors import PlanError, VRestoreError
from vrestore.json_form import to_json

__all__ = ["devices", "doctor"]

Json = Annotated[bool, typer.Option("--json", metavar="", help="JSON on standard output.")]


def devices(json: Json = False) -> None:
    """List where the network can run, the best first."""
    from vrestore import describe
    from vrestore.display import memory
    from vrestore.runtime.device import list_devices

    found = list_devices()
    if json:
        typer.echo(to_json(found))
        return
    rows = [
        (
            device.name,
            device.description,
            "" if device.memory_bytes is None else memory(device.memory_bytes),
            device.capability,
            "tested" if device.tested else "untested",
        )
        for device in found
    ]
    typer.echo(describe.columns(rows))


def doctor(json: Json = False) -> None:
    """Check everything a run depends on; exit status 4 if something essential is missing."""
    from vrestore import describe

    findings = [(name, *_checked(check)) for name, check in _CHECKS]
    if json:
        typer.echo(
            to_json([{"check": name, "good": good, "found": text} for name, good, text in findings])
        )
    else:
        rows = [("good" if good else "BAD", name, text) for name, good, text in findings]
        typer.echo(describe.columns(rows), err=True)
    if bad := [name for name, good, _ in findings if not good]:
        raise PlanError(f"not ready to run: {', '.join(bad)}")


def _checked(check: Callable[[], Iterator[str]]) -> tuple[bool, str]:
    try:
        return True, ", ".join(check())
    except (VRestoreError, ImportError, OSError, RuntimeError) as error:
        return False, str(error)


def _libraries() -> Iterator[str]:
    """Versions of what everything stands on."""
    from vrestore.models import compiled

    yield f"Python {platform.python_version()}"
    for name in ("torch", "av"):
        yield f"{name} {metadata.version(name)}"
    if compiled.installed():
        yield compiled.version()
    else:
        yield "no numba, with which a CPU is faster (pip install 'vrestore[cpu]')"


def _devices() -> Iterator[str]:
    from vrestore.runtime.device import list_devices, select_device

    yield from (f"{device.name} ({device.description})" for device in list_devices())
    yield f"auto is {select_device('auto').name}"


def _gpu() -> Iterator[str]:
    """What of the way through a GPU is there; none of it is needed."""
    import importlib.util

    from vrestore.errors import DeviceError
    from vrestore.io.hardware import require_driver
    from vrestore.runtime.device import list_devices

    cards = [device for device in list_devices() if device.kind == "cuda"]
    yield ", ".join(card.description for card in cards) or "no CUDA device"
    for index in [card.index for card in cards] or [0]:
        try:
            require_driver("h264", index)
            yield "NVDEC opens"
        except DeviceError as refused:
            yield str(refused)
    triton = importlib.util.find_spec("triton") is not None
    yield "kernels compile with Triton" if triton else "no kernels: Triton is not installed"
    if cards:
        yield "untested there; run.experimental=true uses all of it"


def _encoders() -> Iterator[str]:
    """The one that `auto` would take for HD, and those it passed over."""
    from fractions import Fraction

    from vrestore.io.choose import choose_encoder
    from vrestore.io.encode import EncodeConfig, VideoTarget
    from vrestore.media import ColorModel, ColorSpec, SampleFormat

    layout = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)
    target = VideoTarget(
        width=1920, height=1080, format=layout, color=ColorSpec(), time_base=Fraction(1, 25)
    )
    choice = choose_encoder(EncodeConfig(), target)
    yield f"auto is {choice.reason or choice.spec.name}"


def _models() -> Iterator[str]:
    """All weights are read and compared with their checksums."""
    from vrestore.models import registry

    for name, spec in registry.registered().items():
        registry.load_weights(spec)
        yield name


def _presets() -> Iterator[str]:
    from vrestore import preset

    for name in preset.names():
        yield preset.load(name).name


_CHECKS: tuple[tuple[str, Callable[[], Iterator[str]]], ...] = (
    ("libraries", _libraries),
    ("devices", _devices),
    ("gpu", _gpu),
    ("encoders", _encoders),
    ("models", _models),
    ("presets", _presets),
)
