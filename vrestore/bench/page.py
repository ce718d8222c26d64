"""What stands above figures on a page: the command, the machine, the versions, the day."""

from __future__ import annotations

import platform
from datetime import date
from importlib import metadata
from pathlib import Path

from vrestore.models import compiled
from vrestore.runtime.posix import physical_memory_bytes, usable_cores

__all__ = ["heading"]

_LIBRARIES = ("torch", "av")
_GIB = 2**30


def heading(command: str) -> str:
    """One line: by which command, when, on what."""
    memory = physical_memory_bytes()
    facts = [
        f"`{command}`",
        date.today().isoformat(),
        f"{usable_cores()} x {_processor()}",
        *([] if memory is None else [f"{memory / _GIB:.0f} GiB"]),
        f"{platform.system()} {platform.machine()}",
        f"Python {platform.python_version()}",
        *(f"{name} {metadata.version(name)}" for name in _LIBRARIES),
        *([compiled.version()] if compiled.installed() else []),
    ]
    return ", ".join(facts) + "."


def _processor() -> str:
    """The name that the processor goes by, and the widest vectors it has."""
    import torch

    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
            break
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"
