"""What numba compiles for the CPU at hand, where `vrestore[cpu]` is installed.

The modules of this package cannot be imported without numba; ask `installed` first.
"""

from importlib import metadata
from importlib.util import find_spec

__all__ = ["installed", "version"]


def installed() -> bool:
    """Whether numba is there."""
    return find_spec("numba") is not None


def version() -> str:
    """Of the compiler; results of two compilers may differ in their last bits."""
    return f"numba {metadata.version('numba')}"
