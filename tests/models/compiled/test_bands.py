"""Convolutions in bands, written over each other, are those done one by one."""

from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

pytest.importorskip("numba")

from vrestore.models.compiled.bands import Bands
from vrestore.models.compiled.winograd import Winograd
from vrestore.runtime.together import Together

WIDTHS = (3, 48, 48, 48, 48, 12)
SLOPE = torch.full((1,), 0.3)


def convolutions(widths: tuple[int, ...], generator: torch.Generator) -> list[Winograd]:
    return [
        Winograd(
            torch.randn(outputs, inputs, 3, 3, generator=generator) / (3 * inputs**0.5),
            torch.randn(outputs, generator=generator), SLOPE, pad=1,
        )
        for inputs, outputs in pairwise(widths)
    ]  # fmt: skip


def one_by_one(layers: list[Winograd], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 60), width=st.integers(1, 90), threads=st.integers(1, 4),
    count=st.integers(2, 5), seed=st.integers(0, 99),
)  # fmt: skip
def test_bands_give_what_the_convolutions_give_one_by_one(
    height: int, width: int, threads: int, count: int, seed: int
):
    generator = torch.Generator().manual_seed(seed)
    layers = convolutions((*WIDTHS[:count], WIDTHS[-1]), generator)
    x = torch.randn(1, 3, height, width, generator=generator)
    before = x.clone()
    made = Bands(layers, Together(threads))(x)
    wanted = one_by_one(layers, x)
    # The multiplication sums in another order where a band has other numbers of tiles.
    assert torch.allclose(made, wanted, atol=1e-4)
    assert threads > 1 or torch.equal(made, wanted)
    assert torch.equal(x, before)


def test_a_row_of_each_band_reaches_the_bands_beside_it():
    """What one sample changes spreads by a row a convolution, across the ends of bands too."""
    layers = convolutions((8, 8, 8, 8), torch.Generator().manual_seed(3))
    x = torch.randn(1, 8, 48, 24)
    changed = x.clone()
    changed[..., 24, 12] += 1
    bands = Bands(layers, Together(2))
    rows = (bands(changed) != bands(x)).any(dim=3).any(dim=1)[0].nonzero()
    # A tile of 6 results is made of all its samples together, whose roundings change as well.
    assert int(rows.min()) <= 21 < 24 <= 27 <= int(rows.max())


def test_one_band_that_fails_ends_the_others_and_is_what_is_raised():
    class Failing(Winograd):
        def tiles(self, x: np.ndarray, out: np.ndarray, *args: object, **options: object) -> None:
            if threading.current_thread().name == "together":
                raise MemoryError("no room for tiles")
            super().tiles(x, out, *args, **options)  # type: ignore[arg-type]

    weight = torch.randn(8, 8, 3, 3)
    failing = Failing(weight, torch.zeros(8), SLOPE, pad=1)
    bands = Bands([*convolutions((8, 8, 8), torch.Generator()), failing], Together(3))
    with pytest.raises(MemoryError, match="no room for tiles"):
        bands(torch.randn(1, 8, 40, 24))
    assert not [t for t in threading.enumerate() if t.name == "together"]


def test_convolutions_of_other_widths_or_that_make_smaller_are_refused():
    generator = torch.Generator()
    for widths in ((8, 16, 8, 16), (8, 16, 16, 8, 8)):
        with pytest.raises(ValueError, match="as wide and high"):
            Bands(convolutions(widths, generator))
    shrinking = Winograd(torch.randn(8, 8, 3, 3), torch.zeros(8), SLOPE, pad=0)
    with pytest.raises(ValueError, match="as wide and high"):
        Bands([*convolutions((8, 8), generator), shrinking])
