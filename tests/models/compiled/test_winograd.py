"""3x3 convolutions by Winograd's algorithm are those of torch, at every size and border."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from vrestore.models.compiled.lanes import LANES
from vrestore.models.compiled.winograd import Winograd


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(3, 40), width=st.integers(3, 40), pad=st.integers(0, 1),
    inputs=st.sampled_from([3, 28, 40, 96]), outputs=st.sampled_from([12, 24, 48, 200]),
    slope=st.sampled_from([0.0, 0.2, 1.0]), seed=st.integers(0, 99),
)  # fmt: skip
def test_results_are_those_of_a_direct_convolution(
    height: int, width: int, pad: int, inputs: int, outputs: int, slope: float, seed: int
):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, inputs, height, width, generator=generator)
    weight = torch.randn(outputs, inputs, 3, 3, generator=generator) / (3 * inputs**0.5)
    bias = torch.randn(outputs, generator=generator)
    slopes = torch.full((outputs,), slope) * torch.rand(outputs, generator=generator)
    convolution = Winograd(weight, bias, slopes, pad=pad)
    made = convolution(x.contiguous(memory_format=torch.channels_last))
    double = F.conv2d(x.double(), weight.double(), bias.double(), padding=pad)
    wanted = F.prelu(double, slopes.double()).float()
    assert made.shape == wanted.shape
    # Results of other numbers of channels lie among some that are nobody's.
    assert made.stride()[1] == 1
    assert outputs % LANES or made.is_contiguous(memory_format=torch.channels_last)
    # The transforms magnify roundings: by 8e-5 at most was seen, where sums are of size 1.
    assert torch.allclose(made, wanted, atol=1e-4)
    assert torch.equal(made, convolution(x))


def test_one_slope_serves_all_channels_and_a_slope_of_one_leaves_the_result_alone():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 32, 9, 9, generator=generator)
    weight, bias = torch.randn(32, 32, 3, 3, generator=generator) / 17, torch.zeros(32)
    direct = F.conv2d(x, weight, bias, padding=1)
    for slope in (0.0, 0.25, 1.0):
        made = Winograd(weight, bias, torch.tensor([slope]), pad=1)(x)
        assert torch.allclose(made, F.leaky_relu(direct, slope), atol=1e-4)
