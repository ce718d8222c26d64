"""Functions of tensors, recorded once for each shape and then replayed with one launch.

A step of a small network is some hundred short kernels, and starting each from Python takes longer
than running it.  A CUDA graph starts all of them at once, from and to memory that stays the same:
so what goes in is copied to where the graph reads, and what comes out is copied from where it
writes, which at 4K is some ten microseconds, and nothing that was handed out is ever written again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from vrestore.shortage import is_shortage

__all__ = ["Recorder", "Tapes", "record_graph"]

Tree = TypeVar("Tree")
"""A tensor, None, or a (named) tuple of trees."""

WARM_UPS = 2
"""Runs before recording, in which libraries choose and compile what they use."""


class Recorder(Protocol):
    """Runs a function and gives its results and what runs it again, into the same results."""

    def __call__(self, function: Callable[[], Tree], /) -> tuple[Tree, Callable[[], None]]: ...


def record_graph(function: Callable[[], Tree]) -> tuple[Tree, Callable[[], None]]:
    """Records a CUDA graph of what a function launches on the current device.

    The function must neither wait for the device nor read anything from main memory.
    """
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UPS):
            function()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    # Other threads decode and encode on the device meanwhile, which is none of the graph's matter.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        made = function()
    return made, graph.replay


class _Tape(NamedTuple):
    given: Any
    made: Any
    replay: Callable[[], None]


class Tapes:
    """Recorded functions, by a key of the caller's and the shapes of what they are given.

    Where a function cannot be recorded it is called as it is, then and ever after.
    """

    def __init__(self, recorder: Recorder = record_graph) -> None:
        self._recorder = recorder
        self._tapes: dict[Hashable, _Tape] = {}
        self.refused: dict[Hashable, str] = {}
        """Why a function was not recorded, by its key."""

    def __call__(self, key: Hashable, function: Callable[..., Tree], *given: Any) -> Tree:
        """`function(*given)`; for one key and one set of shapes always the same function.

        Raises what the function raises for want of memory, after which nothing is recorded any
        more.
        """
        if key in self.refused:
            return function(*given)
        whole = key, _shape(given)
        tape = self._tapes.get(whole)
        if tape is None:
            kept = _copy(given)
            try:
                made, replay = self._recorder(lambda: function(*kept))
            except RuntimeError as error:
                if is_shortage(error):
                    self._tapes.clear()
                    raise
                self.refused[key] = str(error)
                return function(*given)
            tape = self._tapes[whole] = _Tape(kept, made, replay)
        for there, here in zip(_tensors(tape.given), _tensors(given), strict=True):
            there.copy_(here)
        tape.replay()
        copied: Tree = _copy(tape.made)
        return copied


def _tensors(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, tuple):
        for part in tree:
            yield from _tensors(part)


def _shape(tree: Any) -> Hashable:
    """What must be the same for a tape to fit."""
    if isinstance(tree, Tensor):
        return tuple(tree.shape), tree.stride(), tree.dtype
    if isinstance(tree, tuple):
        return type(tree), tuple(_shape(part) for part in tree)
    return None


def _copy(tree: Any) -> Any:
    if isinstance(tree, Tensor):
        return tree.clone()
    if isinstance(tree, tuple):
        parts = [_copy(part) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    return tree
