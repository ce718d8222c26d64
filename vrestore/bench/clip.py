"""Clips that are made for a measurement and removed again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from vrestore import preset as presets
from vrestore.errors import PresetError
from vrestore.io.testclip import write_test_clip
from vrestore.ops.size import parse_size
from vrestore.planning import Plan
from vrestore.preset import Preset, Setting
from vrestore.wiring import plan

__all__ = ["asked", "clip", "job", "settings_for"]


def asked(size: str) -> tuple[int, int]:
    """(width, height) of `WxH` or a name.  Raises PresetError."""
    try:
        return parse_size(size)
    except ValueError as error:
        raise PresetError(f"--sizes: {error}") from error


def settings_for(model: str, encoder: str, scale: int) -> dict[str, str]:
    """Keys of a preset."""
    settings = {"restore.model": model, "encode.encoder": encoder}
    if model != "identity":
        settings["size.scale"] = str(scale)
    return settings


@contextmanager
def clip(size: tuple[int, int], frames: int) -> Iterator[Path]:
    """A moving, noisy clip of H.264, in a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="vrestore-bench-") as folder:
        path = Path(folder) / "clip.mkv"
        write_test_clip(path, *size, frames)
        yield path


def job(source: Path, name: str, settings: Mapping[str, str]) -> Plan:
    """The plan of a preset for a clip, into a file beside it."""
    chosen: Preset = presets.load(name).override_all(
        Setting(key=key, value=value, origin="bench") for key, value in settings.items()
    )
    return plan(str(source), str(source.with_name("out.mkv")), preset=chosen)
