"""Memory that runs out in the middle of a film."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from vrestore.errors import DeviceError
from vrestore.media import Frame
from vrestore.models.nets.align import Pyramid
from vrestore.models.temporal import TemporalRestorer
from vrestore.shortage import is_shortage

MakeRestorer = Callable[..., TemporalRestorer]
MakeFrames = Callable[..., list[Frame]]


def short_of_memory(restorer: TemporalRestorer, at: int, rows: int, error: Exception) -> None:
    """Lets the network fail from call `at` on as long as it works in more than `rows` rows."""
    cell, calls = restorer._cell, 0
    real = cell.forward

    def forward(*args: object, band: int | None = None, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls > at and (band is None or band > rows):
            raise error
        return real(*args, band=band, **options)  # type: ignore[arg-type]

    cell.forward = forward  # type: ignore[method-assign]


def run(restorer: TemporalRestorer, frames: list[Frame]) -> list[Frame]:
    return [out for f in frames for out in restorer.push(f)] + list(restorer.flush())


def psnr(a: Frame, b: Frame) -> float:
    errors = [(p - q).square().mean() for p, q in zip(a.planes, b.planes, strict=True)]
    return float(-10 * torch.log10(torch.stack(errors).max().clamp_min(1e-12)))


@pytest.mark.parametrize("at", range(6))
@pytest.mark.parametrize("error", [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
])  # fmt: skip
def test_no_frame_is_lost_or_changed_when_memory_runs_out(
    at: int, error: Exception, make_restorer: MakeRestorer, make_frames: MakeFrames
):
    frames = make_frames(6, height=96)
    whole, short = make_restorer(2), make_restorer(2)
    short_of_memory(short, at, 12, error)
    expected, made = run(whole, frames), run(short, frames)
    assert [f.index for f in made] == [f.index for f in frames]
    assert min(psnr(a, b) for a, b in zip(expected, made, strict=True)) >= 60
    assert [n.first for n in short.notes] == [at, at]
    assert [n.values["out_of_memory_then_band_rows"] for n in short.notes] == [48, 24]


def test_a_shortage_in_the_alignment_takes_the_two_ways_one_by_one(
    make_restorer: MakeRestorer, make_frames: MakeFrames
):
    frames = make_frames(5, height=96)
    whole, short = make_restorer(2), make_restorer(2)
    align, calls = short._cell.align, 0
    real = align.forward

    def forward(first: Pyramid, second: Pyramid) -> object:
        nonlocal calls
        calls += 1
        if calls > 2 and first[0].shape[0] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(first, second)

    align.forward = forward  # type: ignore[method-assign]
    expected, made = run(whole, frames), run(short, frames)
    assert [f.index for f in made] == [f.index for f in frames]
    assert min(psnr(a, b) for a, b in zip(expected, made, strict=True)) >= 60
    assert [(n.first, n.values) for n in short.notes] == [
        (3, {"out_of_memory_then_ways_apart": 1.0})
    ]
    # Two pairs at once, the one that failed, then each of two pairs in two passes.
    assert calls == 2 + 1 + 2 * 2


def test_in_half_precision_a_shortage_stays_within_what_half_precision_errs(
    make_restorer: MakeRestorer, make_frames: MakeFrames
):
    frames = make_frames(5, height=96)
    whole, short = (make_restorer(2, dtype=torch.bfloat16) for _ in range(2))
    short_of_memory(short, 2, 12, torch.OutOfMemoryError("CUDA out of memory"))
    expected, made = run(whole, frames), run(short, frames)
    assert [f.index for f in made] == [f.index for f in frames]
    assert min(psnr(a, b) for a, b in zip(expected, made, strict=True)) >= 50
    assert [n.first for n in short.notes] == [2, 2]


def test_with_the_bands_fixed_before_the_shortage_every_bit_is_the_same(
    make_restorer: MakeRestorer, make_frames: MakeFrames
):
    frames = make_frames(5, height=96)
    fixed, short = make_restorer(2, tile=24), make_restorer(2)
    short_of_memory(short, 0, 12, torch.OutOfMemoryError("CUDA out of memory"))
    for a, b in zip(run(fixed, frames), run(short, frames), strict=True):
        assert all(torch.equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))


def test_where_narrow_bands_do_not_help_either_one_sentence_says_so(
    make_restorer: MakeRestorer, make_frames: MakeFrames
):
    short = make_restorer(2)
    short_of_memory(short, 0, 0, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(DeviceError, match="too little memory"):
        run(short, make_frames(3))


def test_other_errors_are_not_taken_for_a_shortage(
    make_restorer: MakeRestorer, make_frames: MakeFrames
):
    broken = make_restorer(2)
    short_of_memory(broken, 1, 0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        run(broken, make_frames(3))
    assert is_shortage(MemoryError()) and not is_shortage(ValueError("out of memory"))
