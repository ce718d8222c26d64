"""What is compiled is told of while it is, and then no more."""

from __future__ import annotations

import pytest

pytest.importorskip("numba")

from numba import njit
from numba.core import event

from vrestore.models.compiled import COMPILER
from vrestore.models.compiled.jit import inlined


class _Looks(event.Listener):
    def __init__(self) -> None:
        self.seen: list[bool] = []

    def on_start(self, event: event.Event) -> None:
        self.seen.append(COMPILER.works)

    def on_end(self, event: event.Event) -> None:
        self.seen.append(COMPILER.works)


@inlined
def _twice(x):
    return x + x


def _four_times(x):
    return _twice(_twice(x))


def test_the_compiler_is_seen_at_work_only_while_it_is():
    assert not COMPILER.works
    with event.install_listener("numba:compile", _Looks()) as looks:
        # Not `jit`, which would find it in its cache the next time.
        function = njit(_four_times)
        assert function(3) == 12
    assert looks.seen
    assert looks.seen[0]
    assert not COMPILER.works
    with event.install_listener("numba:compile", _Looks()) as looks:
        assert function(4) == 16
    assert not looks.seen
