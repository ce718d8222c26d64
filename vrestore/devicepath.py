"""How frames pass through a device: which links stay on it, which do not, and why.

Decided here and nowhere else, from facts alone; the plan shows it, `chain.py` carries it out.  On
the CPU there is nothing to decide.
"""

from __future__ import annotations

from vrestore.media import ColorSpec, SampleFormat
from vrestore.models.kernels.codes import Codes, Scale
from vrestore.ops.dither import Dither
from vrestore.ops.levels import plane_levels

__all__ = ["codes_of"]

Samples = tuple[SampleFormat, ColorSpec]


def codes_of(source: Samples, target: Samples, dither: Dither | None) -> Codes:
    """What the code values of a source and of an output mean, for kernels; both 4:2:0, resolved.

    `dither` is used where the depth becomes less.
    """

    def scales(samples: Samples) -> tuple[Scale, Scale]:
        form, color = samples
        luma, chroma = (plane_levels(form, color.range, plane) for plane in (0, 1))
        return Scale(luma.gain, luma.zero), Scale(chroma.gain, chroma.zero)

    reduced = dither is not None and target[0].depth < source[0].depth
    return Codes(
        source=scales(source),
        target=scales(target),
        format=target[0],
        color=target[1],
        dither=dither.tile() if dither is not None and reduced else None,
        place=dither.place if dither is not None and reduced else None,
    )
