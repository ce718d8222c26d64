"""Recorded functions; a double stands in for CUDA graphs, with the same memory of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from vrestore.models.captured import Tapes
from vrestore.models.nets.align import Aligner


class Pair(NamedTuple):
    first: Tensor
    second: Tensor | None


class TapeRecorder:
    """A double for a CUDA graph: `replay` runs the function again, into the results of before."""

    def __init__(self) -> None:
        self.recorded = 0
        self.failure: Exception | None = None

    def __call__(self, function: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        if self.failure is not None:
            raise self.failure
        self.recorded += 1
        made = function()

        def replay() -> None:
            for old, new in zip(leaves(made), leaves(function()), strict=True):
                old.copy_(new)

        return made, replay


def leaves(tree: Any) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return [tree]
    return [leaf for part in tree or () for leaf in leaves(part)]


def twice(pair: Pair) -> tuple[Tensor, Pair]:
    second = None if pair.second is None else 2 * pair.second
    return pair.first + 1, Pair(2 * pair.first, second)


def test_a_recorded_function_gives_what_the_function_gives() -> None:
    recorder = TapeRecorder()
    tapes = Tapes(recorder)
    for seed in range(3):
        torch.manual_seed(seed)
        pair = Pair(torch.rand(2, 3), None if seed == 1 else torch.rand(4))
        one, other = twice(pair)
        first, made = tapes("twice", twice, pair)
        assert torch.equal(first, one) and torch.equal(made.first, other.first)
        assert (made.second is None) == (pair.second is None)
    # One for each structure.
    assert recorder.recorded == 2


def test_what_was_handed_out_is_never_written_again() -> None:
    tapes = Tapes(TapeRecorder())
    given = torch.ones(3)
    first = tapes("add", lambda x: x + 1, given)
    second = tapes("add", lambda x: x + 1, 5 * given)
    assert first.tolist() == [2.0] * 3 and second.tolist() == [6.0] * 3
    assert given.tolist() == [1.0] * 3
    second.zero_()
    assert tapes("add", lambda x: x + 1, given).tolist() == [2.0] * 3


def test_each_shape_and_each_key_has_a_tape_of_its_own() -> None:
    recorder = TapeRecorder()
    tapes = Tapes(recorder)
    for key, shape in (("a", (2,)), ("a", (3,)), ("b", (2,)), ("a", (2,))):
        assert tapes(key, lambda x: 2 * x, torch.ones(shape)).tolist() == [2.0] * shape[0]
    assert recorder.recorded == 3


def test_state_goes_from_call_to_call() -> None:
    tapes = Tapes(TapeRecorder())
    state = torch.zeros(1)
    for _ in range(5):
        (state,) = tapes("step", lambda x: (0.5 * x + 1,), state)
    assert state.item() == pytest.approx(1.9375)


def test_what_cannot_be_recorded_is_called_as_it_is() -> None:
    recorder = TapeRecorder()
    recorder.failure = RuntimeError("operation not permitted when stream is capturing")
    tapes = Tapes(recorder)
    for _ in range(2):
        assert tapes("add", lambda x: x + 1, torch.ones(1)).item() == 2.0
    assert list(tapes.refused) == ["add"] and "capturing" in tapes.refused["add"]


def test_a_want_of_memory_is_told_and_recorded_functions_give_theirs_back() -> None:
    recorder = TapeRecorder()
    tapes = Tapes(recorder)
    tapes("add", lambda x: x + 1, torch.ones(1))
    recorder.failure = torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(torch.OutOfMemoryError):
        tapes("add", lambda x: x + 1, torch.ones(2))
    assert tapes.refused == {}
    recorder.failure = None
    tapes("add", lambda x: x + 1, torch.ones(1))
    assert recorder.recorded == 2


def test_the_aligner_reads_nothing_from_main_memory_after_the_first_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A graph cannot hold such a copy, and without one it would make every frame wait."""
    aligner = Aligner().requires_grad_(False)
    one, other = (aligner.pyramid(torch.rand(1, 1, 32, 64)) for _ in range(2))
    before = aligner(one, other)[-1]

    def refuse(*args: object, **options: object) -> Tensor:
        raise AssertionError("a tensor is made from numbers in main memory")

    monkeypatch.setattr(torch, "tensor", refuse)
    monkeypatch.setattr(Tensor, "new_tensor", refuse)
    assert torch.equal(aligner(one, other)[-1], before)
