"""Compiled correlation and Gauss-Newton steps give what torch's do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from vrestore.models.compiled.aligning import CompiledSearch
from vrestore.models.nets.align import correlation, gauss_newton
from vrestore.runtime.together import Together


@settings(max_examples=30, deadline=None)
@given(h=st.integers(1, 12), w=st.integers(1, 40), radius=st.sampled_from([1, 4]))
def test_cells_are_compared_with_those_around_them(h: int, w: int, radius: int):
    generator = torch.Generator().manual_seed(h * w)
    a, b = (torch.randn(2, 5, h, w, generator=generator) for _ in range(2))
    made = CompiledSearch(Together(2)).correlate(a, b, radius)
    assert torch.allclose(made, correlation(a, b, radius), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(h=st.integers(1, 12), w=st.integers(1, 40))
def test_a_step_finds_the_same_fraction_of_a_sample(h: int, w: int):
    generator = torch.Generator().manual_seed(h * w)
    a = torch.randn(2, 1, 2 * h, 2 * w, generator=generator)
    moved = a + 0.3 * torch.randn(a.shape, generator=generator)
    damping = torch.tensor(0.004)
    made = CompiledSearch(Together(2)).refine(a, moved, damping)
    assert torch.allclose(made, gauss_newton(a, moved, damping), atol=1e-4)
