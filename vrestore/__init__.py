"""vrestore: restores old film, tape and video, and remasters it to 4K and 8K.

import vrestore

vrestore.restore("tape.mkv", "restored.mkv", preset="hd-to-4k")

planned = vrestore.plan("tape.mkv", "restored.mkv", overrides={"size.scale": 2})
with vrestore.Decoder("tape.mkv") as frames:
    for frame in vrestore.restore_frames(frames, planned):
        ...
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vrestore.errors import VRestoreError
    from vrestore.io.decode import Decoder
    from vrestore.media import Frame, MediaInfo
    from vrestore.planning import Plan
    from vrestore.preset import Preset
    from vrestore.preset import load as load_preset
    from vrestore.progress import Progress
    from vrestore.report import Report
    from vrestore.wiring import export_cuts, plan, probe, restore, restore_frames

__all__ = [
    "Decoder",
    "Frame",
    "MediaInfo",
    "Plan",
    "Preset",
    "Progress",
    "Report",
    "VRestoreError",
    "export_cuts",
    "load_preset",
    "plan",
    "probe",
    "restore",
    "restore_frames",
]

_HOMES = {
    "Decoder": "io.decode",
    "Frame": "media",
    "MediaInfo": "media",
    "Plan": "planning",
    "Preset": "preset",
    "Progress": "progress",
    "Report": "report",
    "VRestoreError": "errors",
}


def __getattr__(name: str) -> Any:
    """The public names, imported when first used: torch takes seconds, `--help` needs none of it.

    No module may be called like a function here: importing it would hide the function.
    """
    if name not in __all__:
        raise AttributeError(f"module 'vrestore' has no attribute {name!r}")
    if name == "load_preset":
        return import_module("vrestore.preset").load
    return getattr(import_module(f"vrestore.{_HOMES.get(name, 'wiring')}"), name)
