"""Temporal fusion by convex combination: nothing comes out that did not go in, so nothing diverges.

On the input, one fused picture per frame from four candidates; on the output of x2 and x4, the
previous result blended into the current one.  Weights come from a hand-made prior (how far a
candidate is from the nearest other one, and how far its flow can be believed) plus a small net.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vrestore.models.nets.grid import Layout, box_mean, from_cells, halved, samples_of_luma

PREVIOUS_AT_MOST = 0.9
"""Largest weight of the past, in both fusions: what it ever held decays at least that fast."""

LEARNED_AT_MOST = 4.0
"""Largest learned change of a logit: without a bound the first clean samples drive all weights to
the current frame, where no gradient is left to bring them back."""

FARTHEST = 0.25
"""Distances beyond this count no further, in luma 0..1."""

MISTRUST = 0.12
"""What a candidate whose flow cannot be believed is farther away, in luma 0..1.  Little enough that
two neighbours which agree still outvote dust, under which no flow is ever believed."""

_ABSENT = -1e4

APART_DIFFERENCE = (0.03, 0.08)
"""By how much more both neighbours differ from the frame than from each other where it begins to
stand apart, and where it does, in luma or chroma 0..1."""

APART_SHARE = (0.4, 0.6)
"""Share of a neighbourhood that stands apart from which on no dust can be the reason."""

APART_BLOCK = 8
"""Side of the blocks that are counted, in cells; `APART_AROUND` of them make a neighbourhood."""

APART_AROUND = 5

APART_BLOCKS_HIGH = 30
"""Blocks across the shorter side of a large picture, whose dust is larger in samples too."""


def bounded(logits: Tensor) -> Tensor:
    """Logits bent into +-`LEARNED_AT_MOST` by a tanh, of which a CPU is slower than of this."""
    return 2 * LEARNED_AT_MOST * torch.sigmoid(logits * (2 / LEARNED_AT_MOST)) - LEARNED_AT_MOST


class Candidates(NamedTuple):
    """Aligned pictures as cells, (N, 4 + 2*samples, h, w), and what is known of them."""

    now: Tensor
    state: Tensor
    """The previous fused picture, warped."""
    before: Tensor
    """The previous input, warped."""
    after: Tensor
    """The next input, warped."""
    trust_before: Tensor
    """Validity of the flow to the previous frame, (N, 1, h, w); 0 where there is no such frame."""
    trust_after: Tensor
    has_before: Tensor
    """1 where the sample has a previous frame, else 0, (N, 1, 1, 1)."""
    has_after: Tensor
    noise: Tensor
    """Remaining noise power of the warped state relative to one frame, (N, 1, h, w), 0..1."""


class Fused(NamedTuple):
    cells: Tensor
    """(N, 4 + 2*samples, h, w)"""
    noise: Tensor
    """Remaining noise power relative to one frame, (N, 1, h, w)."""
    distance: Tensor
    """Of the current frame from the nearest candidate, (N, 1, h, w)."""
    apart: Tensor
    """1 where the frame shows something else than both neighbours over a whole region, 0 where it
    does not, (N, 1, h, w)."""


def median(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    return torch.maximum(low, torch.minimum(high, c))


def shares(logits: Tensor) -> Tensor:
    """The softmax over dim 1, of which the second, the past, gets `PREVIOUS_AT_MOST` at most.

    What it would have above that goes to the others in their own proportions.
    """
    now, _, after, middle = logits.split(1, 1)
    highest = torch.maximum(torch.maximum(now, after), middle)
    # Only the past can be above the others: far above, where it meets its limit in any case.
    now, past, after, middle = (logits - highest).clamp_max(10.0).exp().split(1, 1)
    others = now + after + middle
    past = torch.minimum(past, PREVIOUS_AT_MOST / (1 - PREVIOUS_AT_MOST) * others)
    return torch.cat((now, past, after, middle), 1) / (others + past)


def ramp(value: Tensor, ends: tuple[float, float]) -> Tensor:
    """0 up to the first of the ends, 1 from the second on."""
    return ((value - ends[0]) * (1.0 / (ends[1] - ends[0]))).clamp(0.0, 1.0)


def apart(c: Candidates) -> Tensor:
    """Where the frame shows something else than both neighbours over a whole region.

    Dust makes a frame differ from two neighbours which agree; so do a flash, and a picture that
    alternates with another.  Only the area tells them apart.  (N, 1, h, w) in 0..1.
    """

    def differ(a: Tensor, b: Tensor) -> Tensor:
        size = (a - b).abs()
        luma = size[:, :4].mean(1, keepdim=True)
        if a.shape[1] == 4:
            return luma
        return torch.maximum(luma, size[:, 4:].mean(1, keepdim=True))

    other = torch.minimum(differ(c.now, c.state), differ(c.now, c.after))
    return over_regions(ramp(other - differ(c.state, c.after), APART_DIFFERENCE))


def over_regions(spot: Tensor) -> Tensor:
    """1 around where most of a neighbourhood stands apart, (N, 1, h, w) of single cells' 0..1."""
    h, w = spot.shape[-2:]
    block = max(APART_BLOCK, min(h, w) // APART_BLOCKS_HIGH)
    share = F.avg_pool2d(spot, block, ceil_mode=True, count_include_pad=False)
    share = box_mean(share, APART_AROUND // 2)
    share = F.max_pool2d(share, APART_AROUND, 1, APART_AROUND // 2)
    share = ramp(share, APART_SHARE)
    return F.interpolate(share, scale_factor=float(block), mode="nearest")[..., :h, :w]


def doubts(c: Candidates) -> tuple[Tensor, Tensor, Tensor]:
    """How little the flows to the state, to the next frame and to either are believed, 0..1."""
    no_state, no_after = (1.0 - c.trust_before).square(), (1.0 - c.trust_after).square()
    return no_state, no_after, torch.maximum(no_state, no_after)


def distances(c: Candidates, middle: Tensor) -> Tensor:
    """Of each candidate from the nearest other one, (N, 4, h, w), over 6x6 luma samples.

    What cannot be believed agrees with nothing.
    """
    now, state, after, mid = (t[:, :4] for t in (c.now, c.state, c.after, middle))
    pairs = torch.stack(
        [
            (a - b).abs().mean(1)
            for a, b in (
                (now, state), (now, after), (state, after),
                (now, mid), (state, mid), (after, mid),
            )
        ],
        1,
    )  # fmt: skip
    pairs = box_mean(pairs, 1)
    no_state, no_after, either = doubts(c)
    ns, na = pairs[:, 0:1] + MISTRUST * no_state, pairs[:, 1:2] + MISTRUST * no_after
    sa = pairs[:, 2:3] + MISTRUST * either
    return torch.cat(
        (
            torch.minimum(ns, na),
            torch.minimum(ns, sa),
            torch.minimum(na, sa),
            pairs[:, 3:].amin(1, keepdim=True) + MISTRUST * either,
        ),
        1,
    )


class InputFusion(nn.Module):
    """Weights for the current frame, the state, the next frame and the aligned median."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor((0.0, 0.5, -0.5, 0.0)))
        self.steepness = nn.Parameter(torch.full((4,), 1.0))
        self.doubt = nn.Parameter(torch.tensor(1.5))
        self.faith = nn.Parameter(torch.tensor(25.0))
        """How much strength 0 speaks for the current frame."""
        self.net = nn.Sequential(
            nn.Conv2d(21, width, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(width, 16, 3, padding=1),
        )  # fmt: skip
        nn.init.zeros_(self.net[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.net[-1].bias)  # type: ignore[arg-type]

    def forward(self, c: Candidates, knobs: Tensor, layout: Layout) -> Fused:
        """`knobs` (N, 2, 1, 1): noise level of the frame and strength."""
        middle = median(c.now, c.before, c.after)
        region = apart(c) * (c.has_before * c.has_after)
        distance = distances(c, middle)
        weights = shares(self._logits(c, middle, distance, region, knobs))
        if layout.samples:
            chroma = samples_of_luma(weights, layout)
            weights_all = torch.cat((weights, chroma, chroma), 2)
        else:
            weights_all = weights
        cells = weights_all[:, 0] * c.now
        for k, candidate in enumerate((c.state, c.after, middle), 1):
            cells = torch.addcmul(cells, weights_all[:, k], candidate)
        share = weights.mean(2).square()
        noise = share[:, 0:1] + share[:, 1:2] * c.noise + share[:, 2:3] + 0.5 * share[:, 3:4]
        nearest = distance[:, :1].clamp(max=0.5) * (1.0 - region)
        return Fused(cells, noise, nearest, region)

    def _logits(
        self, c: Candidates, middle: Tensor, distance: Tensor, region: Tensor, knobs: Tensor
    ) -> Tensor:
        """(N, 4, 4, h, w): of each candidate for each luma sample of a cell."""
        now = c.now[:, :4]
        n, _, h, w = now.shape
        features = torch.cat(
            (
                8.0 * (c.state[:, :4] - now), 8.0 * (c.after[:, :4] - now),
                8.0 * (middle[:, :4] - now), 8.0 * distance.clamp(max=0.5),
                c.trust_before, c.trust_after, c.noise,
                knobs.expand(-1, -1, h, w),
            ),
            1,
        )  # fmt: skip
        features = features.contiguous(memory_format=torch.channels_last)
        learned = bounded(self.net(features)).reshape(n, 4, 4, h, w)
        no_state, no_after, either = doubts(c)
        doubt = self.doubt * torch.cat((torch.zeros_like(no_state), no_state, no_after, either), 1)
        prior = (
            self.bias.view(1, 4, 1, 1)
            - self.steepness.view(1, 4, 1, 1) * distance.clamp(max=FARTHEST) / 0.03
            - doubt
        )
        clean = self.faith * torch.exp(-10.0 * knobs[:, 1:])
        prior = torch.cat((prior[:, :1] + clean, prior[:, 1:]), 1)
        absent = _ABSENT * torch.cat(
            (
                torch.zeros_like(c.has_before), 1 - c.has_before, 1 - c.has_after,
                1 - c.has_before * c.has_after,
            ),
            1,
        )  # fmt: skip
        aside = _ABSENT * torch.cat((torch.zeros_like(region), region, region, region), 1)
        return learned + (prior + absent + aside).unsqueeze(2)


class OutputBlend(nn.Module):
    """How much of the warped previous output stays in each output sample of luma.

    The part that depends on trunk features is made by the head; the previous output itself enters
    here and nowhere else, so no loop closes through the trunk.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.bias = nn.Parameter(torch.tensor(-2.5))
        self.steepness = nn.Parameter(torch.tensor(1.0))
        self.net = nn.Conv2d(10, (2 * scale) ** 2, 3, padding=1)
        nn.init.zeros_(self.net.weight)
        nn.init.zeros_(self.net.bias)  # type: ignore[arg-type]

    def forward(
        self, new: Tensor, old: Tensor, learned: Tensor, trust: Tensor, noise: Tensor
    ) -> Tensor:
        """The blend of new and warped old luma (N, 1, H*s, W*s).

        `learned` (N, (2s)**2, h, w) is the head's share of the logits, `trust` (N, 1, h, w) the
        validity of the flow, `noise` (N, 1, h, w) the noise that remains in the fused input.
        """
        difference = old - new
        for _ in range(self.scale // 2):
            difference = halved(difference)
        difference = F.pixel_unshuffle(difference, 2)
        size = difference.abs()
        distance = box_mean(size.mean(1, keepdim=True), 1)
        features = torch.cat((8.0 * difference, 8.0 * size, trust, noise), 1)
        features = features.contiguous(memory_format=torch.channels_last)
        logits = bounded(self.net(features) + learned)
        logits = logits + (self.bias - self.steepness * distance / 0.03)
        # Detail needs a flow that is right to half a sample: the sixteenth power of the trust is
        # the same law with a quarter of the tolerance.
        keep = (PREVIOUS_AT_MOST * trust.pow(16)) * logits.sigmoid()
        return torch.addcmul(new, from_cells(keep, 2 * self.scale, 2 * self.scale), old - new)
