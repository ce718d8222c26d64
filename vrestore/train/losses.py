"""What a training minimises."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.models.nets.align import Aligner, crop
from vrestore.models.nets.warp import sample, sampling_grid
from vrestore.train.batches import AlignBatch, Batch
from vrestore.train.sample import shrink
from vrestore.train.unroll import Unrolled

CHROMA, FUSED, TEMPORAL, DEFECT = 0.5, 0.3, 0.1, 2.0
"""Weights of chroma, of the fused input, of flicker, and of defects beyond the usual 1."""


def charbonnier(difference: Tensor, epsilon: float = 1e-3) -> Tensor:
    size: Tensor = (difference.square() + epsilon * epsilon).sqrt()
    return size


def restoration_loss(out: Unrolled, batch: Batch, *, temporal: bool) -> Tensor:
    """Fidelity of all frames, of the fused input, and steadiness of the error over time."""
    recipe, truth = batch.recipe, batch.sample
    error = out.luma - truth.target_luma
    weight = 1 + DEFECT * F.max_pool2d(truth.mask.flatten(0, 1), 3, 1, 1)
    if recipe.scale > 1:
        weight = F.interpolate(weight, scale_factor=recipe.scale, mode="nearest")
    weight = weight.view(error.shape)
    loss = (weight * charbonnier(error)).mean()
    loss = loss + CHROMA * charbonnier(out.chroma - truth.target_chroma).mean()
    if temporal and error.shape[1] > 1:
        clean = shrink(truth.target_luma.flatten(0, 1), recipe.scale).view(out.fused.shape)
        loss = loss + FUSED * charbonnier(out.fused - clean).mean()
        loss = loss + TEMPORAL * charbonnier(error[:, 1:] - error[:, :-1]).mean()
    return loss


def alignment_loss(aligner: Aligner, batch: AlignBatch) -> tuple[Tensor, Tensor]:
    """Loss, and the mean end-point error where the flow is known, in luma samples."""
    both = aligner.pyramid(torch.cat((batch.first, batch.second)))
    swapped = type(both)(*(torch.cat(f.chunk(2)[::-1]) for f in both))
    flows = aligner(both, swapped)
    truth = torch.cat((batch.forward, batch.backward))
    known = torch.cat((batch.known, batch.known))
    h, w = truth.shape[-2:]
    # Beyond what the search reaches, and outside the picture, there is nothing to be learned.
    grid = sampling_grid(truth, h, w)
    inside = (grid.abs() <= 1).all(-1).unsqueeze(1) & (truth.abs().amax(1, keepdim=True) < 40)
    use = known * inside
    loss = truth.new_zeros(())
    for level, (flow, weight) in enumerate(zip(flows, (0.25, 0.5, 1.0), strict=True)):
        cell = 4 >> level
        goal = F.avg_pool2d(truth, cell) if cell > 1 else truth
        mask = F.avg_pool2d(use, cell) if cell > 1 else use
        flow = crop(flow, *goal.shape[-2:])
        distance = ((flow - goal).square().sum(1, keepdim=True) + 1e-3).sqrt()
        loss = loss + weight * (mask * distance**0.7).mean()
    finest = crop(flows[-1], h, w)
    with torch.no_grad():
        epe = (finest - truth).square().sum(1, keepdim=True).sqrt()
        epe = (use * epe).sum() / use.sum().clamp_min(1)
    # Where the flow is not known, the clean pictures must agree along it.
    clean_a = torch.cat((batch.clean_first, batch.clean_second))
    clean_b = torch.cat((batch.clean_second, batch.clean_first))
    moved = sample(clean_b, sampling_grid(finest, *clean_b.shape[-2:]))
    gap = F.avg_pool2d(charbonnier(moved - clean_a, 1e-2), 2)
    smooth = (finest[..., 1:] - finest[..., :-1]).abs().mean((1, 2, 3)) + (
        finest[..., 1:, :] - finest[..., :-1, :]
    ).abs().mean((1, 2, 3))
    blind = (1 - known).view(-1)
    loss = loss + (blind * (10.0 * gap.mean((1, 2, 3)) + 0.02 * smooth)).mean()
    return loss, epe
