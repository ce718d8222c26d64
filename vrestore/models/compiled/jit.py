"""How functions are compiled: once for each kind of CPU, kept beside the bytecode of Python."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from numba import njit
from numba.core import event

from vrestore.models.compiled import COMPILER

__all__ = ["inlined", "jit"]


class _Told(event.Listener):
    """Told by numba, under its own lock, of what is compiled and not found beside the bytecode."""

    def on_start(self, event: event.Event) -> None:
        COMPILER.depth += 1

    def on_end(self, event: event.Event) -> None:
        COMPILER.depth -= 1


event.register("numba:compile", _Told())

_njit: Callable[..., Any] = partial(
    njit,
    # A product and a sum become one instruction; nothing else may be reordered.
    fastmath={"contract"},
    nogil=True,
    error_model="numpy",
)


def jit(function: Callable[..., Any]) -> Any:
    """`function`, compiled when it is first called, without the interpreter's lock."""
    try:
        return _njit(function, cache=True)
    except RuntimeError:
        # There is no folder that compiled code could be kept in.
        return _njit(function)


def inlined(function: Callable[..., Any]) -> Any:
    """`function` as a part of every compiled function that calls it."""
    return _njit(function, forceinline=True)
