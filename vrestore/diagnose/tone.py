"""How a picture uses its range of luma, and which colour it leans to.

Luma is (H, W), chroma (h, w) about 0.5, all float32 on the unit scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vrestore.ops.fading import dye_fading

__all__ = ["Tone", "tone"]

_SAMPLES = 1 << 15
"""Samples of a plane that are looked at, about."""

_ENDS = 0.002
"""Share of the samples that may lie below black and above white."""

_DYES_WIDTH = 64
"""Columns of the picture on which dyes are judged: no grain, no noise of the sensor."""

_UNFADED = 0.2
"""What `dye_fading` says of most pictures that never faded."""

_ZONE = 0.06
"""Share of the samples that makes the shadows, and the lights."""


@dataclass(frozen=True, slots=True)
class Tone:
    """One picture."""

    black: float
    """Luma below which 0.2 % of the picture lies, head- and footroom outside 0..1."""

    white: float
    """Luma above which 0.2 % lies."""

    mean: float

    clipped: float
    """Share of the picture, 0..1, in which luma stands at its brightest value and that is white."""

    saturation: float
    """Mean distance of chroma from its mean, on the unit scale; 0 in monochrome, tinted or not."""

    tint: tuple[float, float]
    """Mean Cb and Cr, less 0.5."""

    shadows: tuple[float, float]
    """Mean Cb and Cr, less 0.5, of the darkest twentieth that is not black."""

    lights: tuple[float, float]
    """The same of the brightest that is not white."""

    dyes: float
    """How far the dyes of a print seem to have faded, see `dye_fading`; 0.2 where there is no
    colour to tell it by."""


def tone(luma: torch.Tensor, chroma: tuple[torch.Tensor, torch.Tensor] | None) -> Tone:
    """Of one picture; without chroma it is monochrome."""
    sparse = _sparse(luma)
    ordered = sparse.flatten().sort().values
    count = ordered.numel()
    end = max(1, round(_ENDS * count))
    black, white = float(ordered[end - 1]), float(ordered[count - end])
    top = float(ordered[-1])
    clipped = float((ordered > max(0.97, top - 0.004)).float().mean())
    if chroma is None:
        zero = (0.0, 0.0)
        return Tone(black, white, float(ordered.mean()), clipped, 0.0, zero, zero, zero, _UNFADED)
    cb, cr = (_sparse(plane) - 0.5 for plane in chroma)
    size = (int(cb.shape[0]), int(cb.shape[1]))
    below = torch.nn.functional.adaptive_avg_pool2d(luma[None, None], size)[0, 0].flatten()
    cb, cr = cb.flatten(), cr.flatten()
    tint = (float(cb.mean()), float(cr.mean()))
    spread = ((cb - tint[0]).square() + (cr - tint[1]).square()).sqrt()
    return Tone(
        black=black,
        white=white,
        mean=float(ordered.mean()),
        clipped=clipped,
        saturation=float(spread.mean()),
        tint=tint,
        shadows=_zone(below, cb, cr, dark=True),
        lights=_zone(below, cb, cr, dark=False),
        dyes=_dyes(below.view(size), cb.view(size), cr.view(size)),
    )


def _dyes(luma: torch.Tensor, cb: torch.Tensor, cr: torch.Tensor) -> float:
    step = max(1, luma.shape[1] // _DYES_WIDTH)
    planes = torch.stack((luma, cb, cr))[None]
    if min(luma.shape) >= step:
        planes = torch.nn.functional.avg_pool2d(planes, step)
    luma, cb, cr = planes[0].flatten(1)
    # BT.709; with another matrix the deepest colours, which are nearly grey, hardly differ.
    red, blue = luma + 1.5748 * cr, luma + 1.8556 * cb
    green = (luma - 0.2126 * red - 0.0722 * blue) / 0.7152
    return dye_fading(torch.stack((red, green, blue), dim=1))


def _sparse(plane: torch.Tensor) -> torch.Tensor:
    step = max(1, int((plane.numel() / _SAMPLES) ** 0.5))
    return plane[::step, ::step]


def _zone(
    luma: torch.Tensor, cb: torch.Tensor, cr: torch.Tensor, *, dark: bool
) -> tuple[float, float]:
    """Mean chroma of the darkest or brightest samples; (0, 0) where there are none."""
    # Bars, letters and burnt-out lights have no colour, whatever the film has.
    usable = (luma > 0.03) & (luma < 0.97)
    if int(usable.sum()) < 64:
        return 0.0, 0.0
    luma, cb, cr = luma[usable], cb[usable], cr[usable]
    chosen = luma.topk(max(16, round(_ZONE * luma.numel())), largest=not dark).indices
    return float(cb[chosen].median()), float(cr[chosen].median())
