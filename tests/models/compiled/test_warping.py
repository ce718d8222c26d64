"""Compiled reading along a flow gives what torch's does, outside the picture too."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from vrestore.models.compiled.warping import CompiledWarps
from vrestore.models.nets.warp import along, sharp_along
from vrestore.runtime.together import Together


@settings(max_examples=60, deadline=None)
@given(
    h=st.integers(2, 20), w=st.integers(2, 90), times=st.sampled_from([1, 2, 4]),
    channels=st.integers(1, 3), size=st.sampled_from([0.0, 0.4, 5.0, 300.0]),
    seed=st.integers(0, 99), threads=st.sampled_from([1, 2]),
)  # fmt: skip
def test_planes_are_read_where_torch_reads_them(
    h: int, w: int, times: int, channels: int, size: float, seed: int, threads: int
):
    generator = torch.Generator().manual_seed(seed)
    plane = torch.rand(2, channels, times * h, times * w, generator=generator)
    flow = size * torch.randn(2, 2, h, w, generator=generator)
    warps = CompiledWarps(Together(threads))
    plain, sharp = warps.plain(plane, flow), warps.sharp(plane, flow)
    # A place is rounded to 1e-5 of a sample, and a sample differs from the next by 1 at most.
    assert torch.allclose(plain, along(plane, flow), atol=1e-3)
    wrong = (sharp - sharp_along(plane, flow)).abs() > 1e-3
    # Half way between two samples the last bit decides which is the nearest.
    assert wrong.float().mean() < (0.01 if size else 1e-9)


@pytest.mark.parametrize("cell", [4, 8])
def test_the_side_of_a_cell_is_told(cell: int):
    generator = torch.Generator().manual_seed(5)
    plane = torch.rand(1, 4, 12, 16, generator=generator)
    flow = 6.0 * torch.randn(1, 2, 12, 16, generator=generator)
    made = CompiledWarps().plain(plane, flow, cell)
    assert torch.allclose(made, along(plane, flow, cell), atol=1e-3)
