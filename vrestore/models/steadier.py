"""Takes the flicker out of networks that see one picture at a time.

What such a network draws of the same thing differs from frame to frame, in two ways, and each has
its own remedy.

In the small, a running mean of the results is kept along the motion, as a recursive filter of
motion-compensated video does (Dubois and Sabri 1984, doi:10.1109/TCOM.1984.1096143): the previous
mean is warped by the aligner of our own networks and weighted by how far it can be believed.  What
can be believed is told by the *source*: where the warped previous source agrees with the present
one, a change of the result is flicker; where it does not, something has changed and the previous
result has no say.

In the large a network has no say at all: the result, made as small as the source again, must show
what the source shows, and what it lacks of that is added (back-projection: Irani and Peleg 1991,
doi:10.1016/1049-9652(91)90045-L).  So brightness neither trembles nor lags, and an error of the
network does not wander over the picture with what moves.  The source's own noise would come in that
way; it is averaged along the motion first, as far as a change is no larger than that noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.media import Frame
from vrestore.models.nets.align import Aligner, Pyramid, crop
from vrestore.models.nets.cell import noise_level
from vrestore.models.nets.warp import sample, sample_sharp, sampling_grid, validity
from vrestore.models.single.restorer import ImageRestorer
from vrestore.models.turned import Turned
from vrestore.notes import ShotNote

__all__ = ["Steadier"]

STILL, MOVING = 10.0, 2.0
"""Results that a mean weighs as at most, where nothing moves and where something does."""

LONGEST = 10.0
"""Sources that the mean of what is coarse weighs as at most."""

SLOW = 0.25
"""Samples of the source a frame from which things move."""

TOLERANCE = 0.008
"""Difference of two sources that is taken for none, beside their noise, on the scale of 0..1."""

STAYS = 0.1
"""Standard deviations of noise by which a moved source must be nearer to be taken for moved."""

NOISES = 1.1
"""Standard deviations of the source's noise that are taken for no difference."""

COARSE_TOLERANCE = 0.001
"""Change of what is coarse that is taken for none, beside its noise, on the scale of 0..1."""

AT_ONCE = 15
"""Samples of the source, an odd number, over which a change of brightness is taken at once."""

OWN = 0.2
"""Correction, on the scale of 0..1, of which half is made: a network that changes brightness or
colour by more does so on purpose."""

SMOOTHED = 0.375
"""Standard deviation of white noise that is left where only what is coarse is kept."""

_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True)
class _Memory:
    """The frame before."""

    pyramid: Pyramid
    result: Tensor
    """Running mean of the results, (1, 3, H*scale, W*scale)."""

    seen: Tensor
    """Running mean of the sources, (1, 3, H, W)."""

    weight: Tensor
    """Results that each cell of the mean weighs as, (1, 1, H/2, W/2), from 1."""

    coarse: Tensor
    """Running mean of what is coarse in the sources, (1, 3, H, W)."""

    coarse_weight: Tensor
    """Sources that each sample of it weighs as, (1, 1, H, W), from 1."""


@dataclass(frozen=True, slots=True)
class _Way:
    """From a frame to the one before."""

    flow: Tensor
    """(1, 2, H/2, W/2); zero where nothing moved."""

    trust: Tensor
    """How far the flow can be believed, (1, 1, H/2, W/2) in 0..1; 1 where nothing moved."""

    seen: Tensor
    """The mean of the sources up to there, as it would look in this frame."""


class Steadier:
    """An ImageRestorer whose results are averaged along the motion.

    Holds nothing back; a shot's first frame is what the network makes of it.
    """

    latency = 0

    def __init__(self, inner: ImageRestorer | Turned, align: Aligner) -> None:
        self.spec = inner.spec
        self.scale = inner.scale
        self._inner = inner
        self._align = align.eval().requires_grad_(False)
        self._memory: _Memory | None = None

    @property
    def notes(self) -> Sequence[ShotNote]:
        return self._inner.notes

    @torch.no_grad()
    def push(self, item: Frame) -> Iterable[Frame]:
        (made,) = self._inner.push(item)
        source = _even(torch.stack([p.to(torch.float32) for p in item.planes[:3]])[None])
        result = _even(torch.stack(made.planes[:3])[None], 2 * self.scale)
        pyramid = self._align.pyramid(_luma(source) - 0.5)
        before = self._memory
        if before is None or item.shot_start or before.seen.shape != source.shape:
            one = torch.ones_like(source[:, :1])
            now = _Memory(pyramid, result, source, one[..., ::2, ::2], _smooth(source), one)
        else:
            now = self._follow(before, source, pyramid, result)
        self._memory = now
        shown = now.result + self._lacking(source, now)
        planes = [
            plane[: made.height, : made.width].contiguous() for plane in shown.clamp_(0, 1)[0]
        ]
        return (replace(made, planes=(*planes, *made.planes[3:])),)

    def flush(self) -> Iterable[Frame]:
        self._memory = None
        return ()

    def _follow(self, before: _Memory, source: Tensor, pyramid: Pyramid, result: Tensor) -> _Memory:
        """The running means with the present source and result."""
        noise = 0.1 * noise_level(source.transpose(0, 1)).amax(0, keepdim=True)
        way = self._way(before, source, noise, pyramid)
        seen, flow, (h, w) = way.seen, way.flow, way.flow.shape[-2:]
        previous = sample_sharp(before.result, sampling_grid(flow, *result.shape[-2:]))
        belief = way.trust * torch.exp(
            -0.5 * (_distance(source, seen) / (TOLERANCE + NOISES * noise)).square()
        )
        old = sample(before.weight, sampling_grid(flow, h, w)) * belief
        weight = torch.minimum(old + 1.0, _longest(flow))
        share = 1.0 - 1.0 / weight
        coarse, coarse_weight = _coarse_mean(before, source, way, noise)
        return _Memory(
            pyramid,
            torch.lerp(result, previous, _enlarged(share, result)),
            torch.lerp(source, seen, _enlarged(share, source)),
            weight,
            coarse,
            coarse_weight,
        )

    def _way(self, before: _Memory, source: Tensor, noise: Tensor, pyramid: Pyramid) -> _Way:
        height, width = source.shape[-2:]
        flows = self._align(
            Pyramid(*(torch.cat(p) for p in zip(pyramid, before.pyramid, strict=True))),
            Pyramid(*(torch.cat(p) for p in zip(before.pyramid, pyramid, strict=True))),
        )[-1]
        flows = crop(flows, height // 2, width // 2)
        # In flat parts any flow would do; where nothing moved is as good, nothing is resampled.
        warped = sample_sharp(before.seen, sampling_grid(flows[:1], height, width))
        moved, stayed = _distance(source, warped), _distance(source, before.seen)
        moves = (stayed > moved + STAYS * noise + TOLERANCE / 4).float()
        flow = flows[:1] * moves
        trust = validity(flows[:1], flows[1:]).pow(8)
        return _Way(
            flow,
            torch.lerp(torch.ones_like(trust), trust, moves),
            sample_sharp(before.seen, sampling_grid(flow, height, width)),
        )

    def _lacking(self, source: Tensor, now: _Memory) -> Tensor:
        """What the mean of the results lacks of what is coarse in the sources, at its size."""
        wanted = now.coarse + _mean_around(_smooth(source) - now.coarse, AT_ONCE)
        lacks = wanted - _smooth(F.avg_pool2d(now.result, self.scale))
        # Twice, so that what is left out ends at three samples and not at six.
        lacks = 2.0 * lacks - _smooth(lacks)
        return _enlarged(lacks / (1.0 + (lacks / OWN).pow(4)), now.result)


def _coarse_mean(
    before: _Memory, source: Tensor, way: _Way, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """The running mean of what is coarse in the sources, and what it weighs."""
    height, width = source.shape[-2:]
    coarse = _smooth(source)
    grid = sampling_grid(way.flow, height, width)
    previous = sample(before.coarse, grid, "bicubic")
    # A texture looks like noise in one frame, what does not stay from frame to frame is no texture.
    left = SMOOTHED * torch.minimum(noise, _unsteadiness(source - way.seen))
    change = _mean_around((coarse - previous).abs(), 5).amax(1, keepdim=True)
    # Noise alone changes by about its standard deviation.
    excess = (change - left).clamp_min(0.0) / (COARSE_TOLERANCE + 0.5 * left)
    belief = _enlarged(way.trust, source) * torch.exp(-0.5 * excess.square())
    weight = (sample(before.coarse_weight, grid) * belief + 1.0).clamp_max(LONGEST)
    return torch.lerp(coarse, previous, 1.0 - 1.0 / weight), weight


def _longest(flow: Tensor) -> Tensor:
    """Results that a mean may weigh as: few where it moves, since each resampling costs detail."""
    speed = flow.square().sum(1, keepdim=True)
    return MOVING + (STILL - MOVING) * torch.exp(-speed / SLOW**2)


def _distance(source: Tensor, seen: Tensor) -> Tensor:
    """How far a source is from what was seen before, in 0..1 on the half grid.

    The channel that differs most counts, and the worst cell of a neighbourhood speaks for it: a
    thin thing that moves must not leave a ghost.
    """
    cells = F.avg_pool2d(source - seen, 2).abs().amax(1, keepdim=True)
    return F.max_pool2d(_mean_around(cells, 3), 3, 1, 1)


def _unsteadiness(change: Tensor) -> Tensor:
    """Standard deviation of a channel's noise, from how (1, 3, H, W) of a source differs from the
    mean of those before it: the quarter of the blocks with least of it speaks for the frame."""
    blocks = F.avg_pool2d(_luma(change).abs(), min(8, *change.shape[-2:])).flatten()
    least = blocks.kthvalue(max(1, len(blocks) // 4)).values
    # Of white noise: from the mean to the standard deviation, from luma to a channel; the mean of
    # the frames before has noise of its own.
    return least * (1.2533 / math.hypot(*_LUMA) * 0.8)


def _smooth(picture: Tensor) -> Tensor:
    """What is coarse in a picture: the binomial mean of 3x3, edges repeated."""
    padded = F.pad(picture, (1, 1, 1, 1), mode="replicate")
    rows = 0.25 * (padded[..., :-2, :] + padded[..., 2:, :]) + 0.5 * padded[..., 1:-1, :]
    return 0.25 * (rows[..., :-2] + rows[..., 2:]) + 0.5 * rows[..., 1:-1]


def _mean_around(plane: Tensor, side: int) -> Tensor:
    return F.avg_pool2d(plane, side, 1, side // 2, count_include_pad=False)


def _luma(rgb: Tensor) -> Tensor:
    red, green, blue = (share * rgb[:, i : i + 1] for i, share in enumerate(_LUMA))
    return red + green + blue


def _enlarged(plane: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(plane, size=like.shape[-2:], mode="bilinear")


def _even(picture: Tensor, step: int = 2) -> Tensor:
    """The picture with its last rows and columns repeated to a multiple of `step`."""
    height, width = picture.shape[-2:]
    if height % step == 0 and width % step == 0:
        return picture
    return F.pad(picture, (0, -width % step, 0, -height % step), mode="replicate")
