"""Operations counted by hand, and counted by the machine."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch
import torch.nn.functional as F

from vrestore.bench.roofline import Peaks, peaks, roofline

LIMITS = Peaks(macs=2e9, macs_fp32=1e9, bytes=1e9)


class Convolve:
    """A 3x3 convolution of 8 to 16 channels over 10x12, and what else the test adds."""

    latency = 0

    def __init__(self, dtype: torch.dtype) -> None:
        self.picture = torch.rand(1, 8, 10, 12).to(dtype)
        self.kernel = torch.rand(16, 8, 3, 3).to(dtype)

    def push(self, item: object) -> Iterable[torch.Tensor]:
        return (F.conv2d(self.picture, self.kernel, padding=1).permute(0, 2, 3, 1),)

    def flush(self) -> Iterable[torch.Tensor]:
        return ()


@pytest.mark.parametrize(("dtype", "peak"), [(torch.float32, 1e9), (torch.bfloat16, 2e9)])
def test_a_convolution_is_counted_once_and_views_are_free(dtype: torch.dtype, peak: float):
    found = roofline(Convolve(dtype), [None] * 4, LIMITS)  # type: ignore[arg-type,list-item]
    assert found.macs == 16 * 8 * 9 * 10 * 12
    assert found.bytes == dtype.itemsize * (8 * 120 + 16 * 8 * 9 + 16 * 120)
    assert found.compute_seconds == pytest.approx(found.macs / peak)
    assert found.least_seconds == pytest.approx(max(found.macs / peak, found.bytes / 1e9))


def test_peaks_are_positive_and_fp32_is_one_of_them():
    found = peaks(torch.float32, 1)
    assert found.macs == found.macs_fp32 > 1e8
    assert found.bytes > 1e8
