"""What the plan says of a network's memory, against every tensor of a real step."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from vrestore.bench.ledger import Ledger
from vrestore.media import ColorModel, Frame, SampleFormat
from vrestore.models import compiled, footprint, registry, temporal
from vrestore.models.footprint import Footprint
from vrestore.models.restorer import RestoreConfig, build

MakeFrames = Callable[..., list[Frame]]
WIDTH, HEIGHT = 256, 192


def yuv(log2_chroma_w: int, log2_chroma_h: int) -> SampleFormat:
    return SampleFormat(
        model=ColorModel.YCBCR, depth=8, log2_chroma_w=log2_chroma_w, log2_chroma_h=log2_chroma_h
    )


def taken_by(
    name: str, scale: int, form: SampleFormat, size: tuple[int, int], *, numba: bool = False
) -> Footprint:
    width, height = size
    return Footprint(
        spec=registry.find(name), scale=scale, format=form, height=height, width=width,
        dtype=torch.float32, compiled=numba,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "scale", "rows", "form"), [
    ("lite", 1, 16, yuv(1, 1)),
    ("lite", 1, None, yuv(1, 1)),
    ("base", 1, None, yuv(1, 1)),
    ("base", 2, 16, yuv(1, 1)),
    ("lite", 2, None, yuv(0, 0)),
    ("lite", 4, 64, yuv(1, 1)),
])  # fmt: skip
@pytest.mark.parametrize("together", [True, False])
def test_the_plan_knows_what_a_step_holds(
    name: str, scale: int, rows: int | None, form: SampleFormat, together: bool,
    make_frames: MakeFrames, monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    for module in (footprint, temporal):
        monkeypatch.setattr(module, "TOGETHER", 2**22 if together else 0)
    monkeypatch.setattr(compiled, "installed", lambda: False)
    if together and scale > 1:
        pytest.skip("the result takes more than the alignment in any case")
    frames = make_frames(3, WIDTH, HEIGHT, form)
    with Ledger() as ledger:
        op = build(registry.find(name), scale, RestoreConfig(tile=rows or 0))
        for frame in frames:
            list(op.push(frame))  # and dropped at once, as a pipeline hands it on
    expected = taken_by(name, scale, form, (WIDTH, HEIGHT)).bytes(rows)
    assert 0.85 * expected <= ledger.peak <= 1.1 * expected


@pytest.mark.parametrize(("name", "scale", "rows"), [
    ("lite", 1, 16), ("base", 1, None), ("base", 2, 16), ("lite", 4, 64),
])  # fmt: skip
def test_what_is_compiled_takes_no_more_than_that_and_its_matrices(
    name: str, scale: int, rows: int | None, make_frames: MakeFrames
):
    pytest.importorskip("numba")
    with Ledger() as ledger:
        op = build(registry.find(name), scale, RestoreConfig(tile=rows or 0))
        for frame in make_frames(3, WIDTH, HEIGHT, yuv(1, 1)):
            list(op.push(frame))
    expected = taken_by(name, scale, yuv(1, 1), (WIDTH, HEIGHT), numba=True).bytes(rows)
    assert 0.7 * expected <= ledger.peak <= 1.1 * expected


@pytest.mark.parametrize("name", ["lite", "base"])
@pytest.mark.parametrize(("size", "scale", "gigabytes"), [
    ((7680, 4320), 1, 8), ((3840, 2160), 2, 8), ((1920, 1080), 2, 4), ((1920, 1080), 4, 8),
])  # fmt: skip
def test_large_pictures_stay_within_what_is_promised(
    name: str, size: tuple[int, int], scale: int, gigabytes: int
):
    taken = taken_by(name, scale, yuv(1, 1), size)
    assert taken.rows_within(gigabytes * 10**9) is None
    assert taken.bytes(taken.own_rows) <= gigabytes * 10**9


def test_a_smaller_budget_gives_narrower_bands_that_fit():
    taken = taken_by("base", 1, yuv(1, 1), (1920, 1080))
    whole = taken.bytes(None)
    least = taken.bytes(16)
    rows = taken.rows_within((whole + least) // 2)
    assert rows is not None and rows % 2 == 0 and taken.bytes(rows) <= (whole + least) // 2
    assert taken.rows_within(whole) is None
    assert taken.rows_within(0) == 16


def test_a_ledger_forgets_what_is_gone():
    with Ledger() as ledger:
        kept = torch.zeros(1000)
        for _ in range(5):
            torch.ones(3000).add_(1)
        view = kept[:10]
    assert ledger.live == 4000 and ledger.peak == 16000
    assert math.isclose(float(view.sum()), 0.0)
