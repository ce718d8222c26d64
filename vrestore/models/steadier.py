"""Takes the flicker out of networks that see one picture at a time.

What such a network draws of the same thing differs from frame to frame.  The steadier keeps a
running mean of its results along the motion, as a recursive filter of motion-compensated video does
(Dubois and Sabri 1984, doi:10.1109/TCOM.1984.1096143): the previous result is warped by the aligner
of our own networks and weighted by how far it can be believed.  What can be believed is told by the
*source*: where the warped previous source agrees with the present one, a change of the result is
flicker; where it does not, something has changed and the previous result has no say.
"""

from __future__ import annotations

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
from vrestore.notes import ShotNote

__all__ = ["Steadier"]

STILL, MOVING = 10.0, 2.0
"""Results that a mean weighs as at most, where nothing moves and where something does."""

SLOW = 0.25
"""Samples of the source a frame from which things move."""

TOLERANCE = 0.008
"""Difference of two sources that is taken for none, beside their noise, on the scale of 0..1."""

STAYS = 0.1
"""Standard deviations of noise by which a moved source must be nearer to be taken for moved."""

NOISES = 1.1
"""Standard deviations of the source's noise that are taken for no difference."""

COARSE = 5
"""Samples of the source, an odd number, over which brightness is averaged that may not lag."""

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


class Steadier:
    """An ImageRestorer whose results are averaged along the motion.

    Holds nothing back; a shot's first frame is what the network makes of it.
    """

    latency = 0

    def __init__(self, inner: ImageRestorer, align: Aligner) -> None:
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
        luma = sum(share * source[:, i : i + 1] for i, share in enumerate(_LUMA)) - 0.5
        assert isinstance(luma, Tensor)
        pyramid = self._align.pyramid(luma)
        before = self._memory
        weight = torch.ones_like(luma[..., ::2, ::2])
        seen = source
        noise = 0.1 * noise_level(source.transpose(0, 1)).amax(0, keepdim=True)
        if before is not None and not item.shot_start and before.seen.shape == source.shape:
            result, seen, weight = self._mean(before, source, noise, pyramid, result)
        self._memory = _Memory(pyramid, result, seen, weight)
        height, width = made.height, made.width
        shown = (result + _brightness(source - seen, noise, result)).clamp_(0.0, 1.0)
        planes = [plane[:height, :width].contiguous() for plane in shown[0]]
        return (replace(made, planes=(*planes, *made.planes[3:])),)

    def flush(self) -> Iterable[Frame]:
        self._memory = None
        return ()

    def _mean(
        self, before: _Memory, source: Tensor, noise: Tensor, pyramid: Pyramid, result: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The running means with the present result and source, and what they weigh."""
        h, w = (size // 2 for size in source.shape[-2:])
        flows = self._align(
            Pyramid(*(torch.cat(p) for p in zip(pyramid, before.pyramid, strict=True))),
            Pyramid(*(torch.cat(p) for p in zip(before.pyramid, pyramid, strict=True))),
        )[-1]
        flows = crop(flows, h, w)
        # In flat parts any flow would do; where nothing moved is as good, nothing is resampled.
        warped = sample_sharp(before.seen, sampling_grid(flows[:1], *source.shape[-2:]))
        moved, stayed = _distance(source, warped), _distance(source, before.seen)
        moves = (stayed > moved + STAYS * noise + TOLERANCE / 4).float()
        flow = flows[:1] * moves
        seen = sample_sharp(before.seen, sampling_grid(flow, *source.shape[-2:]))
        previous = sample_sharp(before.result, sampling_grid(flow, *result.shape[-2:]))
        trust = validity(flows[:1], flows[1:]).pow(8)
        belief = torch.lerp(torch.ones_like(trust), trust, moves) * torch.exp(
            -0.5 * (_distance(source, seen) / (TOLERANCE + NOISES * noise)).square()
        )
        old = sample(before.weight, sampling_grid(flow, h, w)) * belief
        weight = torch.minimum(old + 1.0, _longest(flow))
        share = 1.0 - 1.0 / weight
        return (
            torch.lerp(result, previous, _enlarged(share, result)),
            torch.lerp(source, seen, _enlarged(share, source)),
            weight,
        )


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
    return F.max_pool2d(F.avg_pool2d(cells, 3, 1, 1, count_include_pad=False), 3, 1, 1)


def _brightness(change: Tensor, noise: Tensor, like: Tensor) -> Tensor:
    """What the source is brighter than the mean of sources, in the large, at a result's size.

    A mean lags behind a light that changes; what is coarser than a few samples is the source's to
    tell.  What is no larger than the noise in such a mean is left out (Wiener's gain).
    """
    coarse = F.avg_pool2d(change, COARSE, 1, COARSE // 2, count_include_pad=False)
    expected = (2.5 * noise / COARSE).square()
    gain = coarse.square() / (coarse.square() + expected + 1e-9)
    return _enlarged(coarse * gain, like)


def _enlarged(plane: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(plane, size=like.shape[-2:], mode="bilinear")


def _even(picture: Tensor, step: int = 2) -> Tensor:
    """The picture with its last rows and columns repeated to a multiple of `step`."""
    height, width = picture.shape[-2:]
    if height % step == 0 and width % step == 0:
        return picture
    return F.pad(picture, (0, -width % step, 0, -height % step), mode="replicate")
