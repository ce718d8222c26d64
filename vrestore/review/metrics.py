"""How near a picture or clip is to the truth, and how steady it is in time.

Luma planes are (H, W), clips (T, H, W), on the 8-bit scale of 0..255 unless said otherwise, as the
papers have it: PSNR's peak is 255, SSIM's constants come from it.
"""

from __future__ import annotations

import math
import statistics

import torch
import torch.nn.functional as F
from torch import Tensor

PEAK = 255.0


def luma_of_rgb(rgb: Tensor) -> Tensor:
    """BT.601 luma in limited range, 16..235, of (..., 3, H, W) R'G'B' in 0..255.

    This is MATLAB's rgb2ycbcr, which published super-resolution numbers are measured on.
    """
    r, g, b = rgb.to(torch.float64).unbind(-3)
    return 16.0 + (65.481 * r + 128.553 * g + 24.966 * b) / 255.0


def cropped(plane: Tensor, border: int) -> Tensor:
    """Without `border` samples on every side, as papers measure (usually the scale)."""
    if border == 0:
        return plane
    return plane[..., border:-border, border:-border]


def psnr(result: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB over all samples given; infinite where they are equal."""
    error = (result.to(torch.float64) - truth.to(torch.float64)).square().mean().item()
    return math.inf if error == 0.0 else 10.0 * math.log10(PEAK * PEAK / error)


def ssim(result: Tensor, truth: Tensor) -> float:
    """Structural similarity of two planes (Wang et al. 2004).

    Gaussian window of 11x11 with sigma 1.5, only where it fits whole; K1 = 0.01, K2 = 0.03.
    """
    axis = torch.arange(11, dtype=torch.float64) - 5
    taps = torch.exp(-0.5 * (axis / 1.5).square())
    taps = taps / taps.sum()

    def mean(plane: Tensor) -> Tensor:
        rows = F.conv2d(plane[None, None], taps.view(1, 1, 11, 1))
        return F.conv2d(rows, taps.view(1, 1, 1, 11))[0, 0]

    a, b = result.to(torch.float64), truth.to(torch.float64)
    mean_a, mean_b = mean(a), mean(b)
    var_a = mean(a * a) - mean_a * mean_a
    var_b = mean(b * b) - mean_b * mean_b
    both = mean(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    score = ((2 * mean_a * mean_b + c1) * (2 * both + c2)) / (
        (mean_a * mean_a + mean_b * mean_b + c1) * (var_a + var_b + c2)
    )
    return float(score.mean())


def gmsd(result: Tensor, truth: Tensor) -> float:
    """Gradient magnitude similarity deviation of two planes (Xue et al. 2014); 0 is equal.

    As in the paper: Prewitt kernels divided by 3 after averaging 2x2, T = 170 for luma of 0..255.
    """
    prewitt = torch.tensor([[1.0, 0.0, -1.0]] * 3, dtype=torch.float64) / 3.0
    kernels = torch.stack((prewitt, prewitt.T)).unsqueeze(1)

    def magnitude(plane: Tensor) -> Tensor:
        small = F.avg_pool2d(plane.to(torch.float64)[None, None], 2)
        gradient = F.conv2d(small, kernels, padding=1)
        return gradient.square().sum(1).sqrt()

    a, b = magnitude(result), magnitude(truth)
    similarity = (2 * a * b + 170.0) / (a * a + b * b + 170.0)
    return float(similarity.std(unbiased=False))


def gradient_flicker(clip: Tensor, truth: Tensor) -> float:
    """tGMSD: how far the change from frame to frame is from that of the truth; 0 is equal.

    The mean over pairs of |GMSD of two neighbouring frames - the same of the truth|.
    """
    changes = (
        abs(gmsd(clip[t], clip[t - 1]) - gmsd(truth[t], truth[t - 1])) for t in range(1, len(clip))
    )
    return statistics.fmean(changes)


def follow(clip: Tensor, flow: Tensor) -> Tensor:
    """Each frame but the last replaced by its successor read along the flow.

    `flow` (T - 1, 2, H, W) leads from each frame to the next, (x, y) in samples; bilinear.
    """
    count, height, width = clip.shape
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64), torch.arange(width, dtype=torch.float64),
        indexing="ij",
    )  # fmt: skip
    grid = torch.stack(
        ((2 * (x + flow[:, 0]) + 1) / width - 1, (2 * (y + flow[:, 1]) + 1) / height - 1), -1
    )
    return F.grid_sample(
        clip[1:].to(torch.float64).unsqueeze(1), grid.to(torch.float64),
        padding_mode="border", align_corners=False,
    ).view(count - 1, height, width)  # fmt: skip


def _visible(flow: Tensor, shown: Tensor | None) -> Tensor:
    """Samples whose successor lies inside the frame, and is not hidden where that is known."""
    _, _, height, width = flow.shape
    x = torch.arange(width) + flow[:, 0]
    y = torch.arange(height).view(-1, 1) + flow[:, 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return inside if shown is None else inside & shown


def warping_error(clip: Tensor, flow: Tensor, shown: Tensor | None = None) -> float:
    """Mean absolute change along the motion, in code values; 0 for a perfectly steady clip.

    `flow` is of the truth and the same for all that are compared; `shown` (T - 1, H, W) is false
    where a sample is hidden in the next frame.  The truth itself is not at 0: report both.
    """
    visible = _visible(flow, shown)
    change = (follow(clip, flow) - clip[:-1].to(torch.float64)).abs()
    return float(change[visible].mean())


def flicker_index(clip: Tensor, truth: Tensor, block: int = 8) -> float:
    """Trembling of brightness that the truth does not have, in code values; 0 for none.

    The standard deviation over time of the mean error of each block, averaged over blocks: the
    error that stays the same in every frame does not flicker.
    """
    error = (clip.to(torch.float64) - truth.to(torch.float64)).unsqueeze(1)
    return float(F.avg_pool2d(error, block).std(0, unbiased=False).mean())


def temporal_noise(clip: Tensor) -> float:
    """Standard deviation over time of each sample of a static shot, averaged, in code values."""
    return float(clip.to(torch.float64).std(0, unbiased=False).mean())


def defect_recall(result: Tensor, damaged: Tensor, truth: Tensor, mask: Tensor) -> float:
    """Share of the samples under the mask whose error at least halved; nan without a defect."""
    spots = mask.bool()
    if not bool(spots.any()):
        return math.nan
    before = (damaged.to(torch.float64) - truth.to(torch.float64)).abs()[spots]
    after = (result.to(torch.float64) - truth.to(torch.float64)).abs()[spots]
    return float((after <= 0.5 * before).double().mean())


def false_change(result: Tensor, clean: Tensor, threshold: float = 3.0) -> float:
    """Share of the samples of a clean input that were changed by more than `threshold` codes."""
    change = (result.to(torch.float64) - clean.to(torch.float64)).abs()
    return float((change > threshold).double().mean())
