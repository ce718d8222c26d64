"""Faded prints: dyes that are gone made good, and black and white brought back.

Per shot, from its first frames only.  Of a print's three dyes cyan goes first and yellow next, so
the densities of R and B shrink against that of G: what is dark turns pink, what is white stays.
How far the dyes have faded is estimated from what nature nearly always has, something dark that is
dark in all colours, and red as contrasty as green.  Only what goes beyond nature's own variety is
believed, so a warm scene and a faint cast stay; then the densities are divided by what is left of
them, each colour by the gain and offset that come nearest to it over the colours of the shot.
Levels are a stretch of luma.  The correction is bounded, and the same in all frames of a shot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
import torch.nn.functional as F

from vrestore.media import Coding, ColorModel, Frame
from vrestore.notes import ShotNote
from vrestore.ops.buffers import Alloc, strips, take
from vrestore.ops.headroom import keep_inside
from vrestore.ops.resample import Axis, Kernel, resample_plane
from vrestore.ops.shotwise import ShotTreatment, Shotwise, tuned
from vrestore.ops.smallluma import shrunk
from vrestore.ops.standards import chroma_offset, luma_weights, rgb_to_ycbcr

__all__ = ["Fading", "FadingConfig", "dye_fading"]

LOOKAHEAD = 23
"""Frames after a shot's first that its correction is measured on."""

_WIDTH = 64

_TAIL = 0.005
"""Share of the samples that are darker than black, and brighter than white."""

_ENDS = 0.04
"""Share of the samples, darkest and brightest, by which contrast is told."""

_BLACK, _WHITE = 0.03, 0.9
"""Where black and white are brought."""

_MOST_BLACK = 0.2
"""The highest black that is brought down; what lies higher, by no more than this."""

_MOST_GAIN = 1.6
"""The strongest stretch of luma."""

_LOSS, _STAIN = (0.475, 0.04, 0.2), (0.0, 0.01, 0.04)
"""What a wholly faded print has lost of the densities of R, G and B, and what its base has taken
on: Eastmancolor kept warm."""

_NATURAL, _FULL = 0.36, 0.71
"""Estimates of fading up to which nine of ten pictures go that never faded, and from which all of
it is believed."""

_PALEST = 0.004
"""Value below which nothing is told of a density."""

_GAINS = (0.6, 2.0)
"""Bounds of a colour's gain."""

_PALE, _CLEARLY_PALE = 0.08, 0.16
"""Black from which on a print may have lost its contrast, and has surely."""

_CONTRAST = 0.15
"""Least distance from black to white for a shot to tell where they are: fog and blank frames do
not."""

_NOTHING = 1e-3
"""Correction below which a shot is left untouched: a quarter of a code value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FadingConfig:
    """Section [fading] of a preset."""

    levels: float = 0.0
    """How far black and white are brought back, 0 (off) to 1."""

    cast: float = 0.0
    """How much of what the dyes have lost is made good, 0 (off) to 1."""

    def __post_init__(self) -> None:
        for name in ("levels", "cast"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0 to 1, got {getattr(self, name)}")


class Fading(Shotwise):
    """Op: UNIT frames of any format with levels and cast corrected, one shot at a time.

    A shot that needs no correction comes back as it went in, the very same planes.
    `fading.levels` and `fading.cast` of a shot's tuning override the configuration's.  YCbCr whose
    matrix is not made from luma weights has its levels corrected and its colour left.
    """

    def __init__(self, config: FadingConfig, *, alloc: Alloc | None = None) -> None:
        def begin(frame: Frame) -> ShotTreatment:
            return _Shot(frame, tuned(config, "fading", frame, "levels", "cast"), alloc)

        super().__init__(begin, LOOKAHEAD)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What becomes of R, G, B (or of gray, three times): gain * value + offset."""

    gain: torch.Tensor
    offset: torch.Tensor
    """(3,) float64."""

    @property
    def is_nothing(self) -> bool:
        return float((self.gain - 1).abs().max() + self.offset.abs().max()) < _NOTHING

    @property
    def is_gray(self) -> bool:
        return bool((self.gain == self.gain[0]).all() and (self.offset == self.offset[0]).all())


class _Shot:
    def __init__(self, frame: Frame, config: FadingConfig, alloc: Alloc | None) -> None:
        self._config, self._alloc = config, alloc
        self._first, self._frames = frame.index, 0
        self._held: list[Frame] = []
        self._colours: list[torch.Tensor] = []
        self._stretch: _Stretch | None = None

    def push(self, frame: Frame) -> Iterable[Frame]:
        if frame.coding is not Coding.UNIT:
            raise ValueError("Fading takes UNIT frames; put Normalise before it")
        if self._config.levels == 0 and self._config.cast == 0:
            yield frame
            return
        self._frames += 1
        if self._stretch is not None:
            yield self._stretched(frame, self._stretch)
            return
        self._held.append(frame)
        self._colours.append(_colours(frame))
        if len(self._held) > LOOKAHEAD:
            yield from self.finish()

    def finish(self) -> Iterable[Frame]:
        if self._stretch is None and self._held:
            self._stretch = _measured(torch.cat(self._colours), self._config)
        held, self._held, self._colours = self._held, [], []
        for frame in held:
            assert self._stretch is not None
            yield self._stretched(frame, self._stretch)

    def note(self) -> ShotNote | None:
        if self._stretch is None:
            return None
        values = {}
        for name, gain, offset in zip(
            "rgb", self._stretch.gain.tolist(), self._stretch.offset.tolist(), strict=True
        ):
            values[f"gain_{name}"], values[f"offset_{name}"] = gain, offset
        return ShotNote(stage="fading", first=self._first, frames=self._frames, values=values)

    def _stretched(self, frame: Frame, stretch: _Stretch) -> Frame:
        if stretch.is_nothing:
            return frame
        form, planes = frame.format, list(frame.planes)
        if form.model is not ColorModel.YCBCR:
            for number in range(form.color_planes):
                planes[number] = self._scaled(
                    planes[number], float(stretch.gain[number]), float(stretch.offset[number])
                )
        elif stretch.is_gray:
            gain = float(stretch.gain[0])
            planes[0] = self._scaled(planes[0], gain, float(stretch.offset[0]))
            for number in (1, 2):
                planes[number] = (planes[number].float() - 0.5).mul_(gain).add_(0.5)
        else:
            planes[:3] = self._recoloured(frame, stretch)
        return replace(frame, ready=None, planes=tuple(planes))

    def _scaled(self, plane: torch.Tensor, gain: float, offset: float) -> torch.Tensor:
        out = take(self._alloc, tuple(plane.shape), torch.float32, plane.device)
        for rows in strips(plane):
            source = plane[rows].float()
            torch.mul(source, gain, out=out[rows]).add_(offset)
            keep_inside(out[rows], source)
        return out

    def _recoloured(self, frame: Frame, stretch: _Stretch) -> list[torch.Tensor]:
        """Y, Cb, Cr after R, G, B were stretched: linear in them, so RGB is never made.

        Chroma is brought to luma's places and luma to chroma's, each with its siting.
        """
        to = rgb_to_ycbcr(frame.color.matrix)
        mix = (to @ stretch.gain.diag() @ torch.linalg.inv(to)).tolist()
        shift = (to @ stretch.offset).tolist()
        luma, blue, red = (plane.float() for plane in frame.planes[:3])
        small = _resited(frame, luma, to_chroma=True)
        wide = [_resited(frame, plane - 0.5, to_chroma=False) for plane in (blue, red)]
        out = luma * mix[0][0] + shift[0]
        out.add_(wide[0], alpha=mix[0][1]).add_(wide[1], alpha=mix[0][2])
        keep_inside(out, luma)
        chroma = [
            (blue - 0.5).mul_(row[1]).add_(red - 0.5, alpha=row[2]).add_(small, alpha=row[0])
            .add_(0.5 + off)
            for row, off in zip(mix[1:], shift[1:], strict=True)
        ]  # fmt: skip
        return [out, *chroma]


def _resited(frame: Frame, plane: torch.Tensor, *, to_chroma: bool) -> torch.Tensor:
    """Luma at chroma's places, or a chroma plane at luma's."""
    form = frame.format
    if not (form.log2_chroma_w or form.log2_chroma_h):
        return plane
    sizes = form.plane_size(1, frame.width, frame.height)
    axes = []
    offsets = chroma_offset(frame.color.chroma_location, form.log2_chroma_w, form.log2_chroma_h)
    for chroma, luma, log2, offset in zip(
        sizes,
        (frame.height, frame.width),
        (form.log2_chroma_h, form.log2_chroma_w),
        reversed(offsets),
        strict=True,
    ):
        ratio = Fraction(1, 1 << log2)
        axes.append(
            Axis(in_size=luma, out_size=chroma, ratio=ratio, out_offset=offset,
                 kernel=Kernel.BICUBIC)
            if to_chroma
            else Axis(in_size=chroma, out_size=luma, ratio=1 / ratio, in_offset=offset,
                      kernel=Kernel.BICUBIC)
        )  # fmt: skip
    vertical, horizontal = axes
    return resample_plane(plane, vertical, horizontal)


def _colours(frame: Frame) -> torch.Tensor:
    """(n, 3) R, G, B of a small picture of the frame, float64; gray three times."""
    form = frame.format
    scale = max(1, min(frame.width // _WIDTH, frame.height))
    first = shrunk(frame.planes[0], scale).cpu()
    if form.model is ColorModel.GRAY or (
        form.model is ColorModel.YCBCR and luma_weights(frame.color.matrix) is None
    ):
        return first.flatten().double()[:, None].expand(-1, 3)
    size = (first.shape[0], first.shape[1])
    others = [
        F.adaptive_avg_pool2d(plane.float()[None, None], size)[0, 0].cpu()
        for plane in frame.planes[1:3]
    ]
    colours = torch.stack((first, *others), dim=-1).flatten(0, 1).double()
    if form.model is ColorModel.RGB:
        return colours
    colours[:, 1:] -= 0.5
    to_rgb: torch.Tensor = torch.linalg.inv(rgb_to_ycbcr(frame.color.matrix))
    return colours @ to_rgb.t()


def dye_fading(colours: torch.Tensor) -> float:
    """How far the dyes seem to have faded, about 0 (not) to 1, from (n, 3) R, G, B.

    A regression on 200 natural pictures, faded and not; 0.2 is usual for one that is not, and one
    in ten has more than 0.36.
    """
    values = colours.double().clamp(0.01, 1.0)
    density = -values.log10()
    red, green = density[:, 0], density[:, 1]
    pink = float(values[:, 0].quantile(0.005) - values[:, 1].quantile(0.005))
    deepest = float(red.quantile(0.98)) / max(float(green.quantile(0.98)), 0.05)
    dark = green > green.median()
    lead = ((red - green) / green.clamp(min=0.02))[dark]
    spared = float(lead.quantile(0.95)) if len(lead) else 0.0
    return (
        0.366
        + 2.905 * min(max(pink, -0.1), 0.3)
        - 0.111 * min(max(spared, -1.0), 1.0)
        - 0.09 * min(max(deepest, 0.0), 2.0)
    )


def _measured(colours: torch.Tensor, config: FadingConfig) -> _Stretch:
    """The correction of a shot whose first frames have these colours."""
    gain, offset = torch.ones(3).double(), torch.zeros(3).double()
    luma = colours @ torch.tensor([0.299, 0.587, 0.114]).double()
    ordered = luma.sort().values
    ends = max(1, int(_ENDS * len(luma)))
    if float(ordered[-ends:].mean() - ordered[:ends].mean()) < _CONTRAST:
        return _Stretch(gain, offset)
    in_colour = bool((colours[:, 0] != colours[:, 1]).any())
    if config.cast and in_colour:
        amount = _ramp(dye_fading(colours), _NATURAL, _FULL)
        if amount:
            gain, offset = _restored(colours, amount)
            gain, offset = 1 + config.cast * (gain - 1), config.cast * offset
    if config.levels:
        tail = max(0, int(_TAIL * len(luma)))
        neutral = ((colours * gain + offset) @ torch.tensor([0.299, 0.587, 0.114]).double()).sort()
        black, white = float(neutral.values[tail]), float(neutral.values[-1 - tail])
        # Only ever stretched, and only where black is no black any more: a dark scene has a dim
        # white too, but keeps its black.
        levels = config.levels * _ramp(black, _PALE, _CLEARLY_PALE)
        lift = min(max(black - _BLACK, 0.0), _MOST_BLACK)
        stretch = max((_WHITE - _BLACK) / max(white - lift - _BLACK, 1e-3), 1.0)
        stretch = 1 + levels * (min(stretch, _MOST_GAIN) - 1)
        lift *= levels
        gain, offset = gain * stretch, (offset - lift - _BLACK) * stretch + _BLACK
    return _Stretch(gain, offset)


def _restored(colours: torch.Tensor, amount: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The gain and offset of each colour that come nearest to its densities before they faded."""
    loss, stain = (torch.tensor(values).double() * amount for values in (_LOSS, _STAIN))
    density = -colours.clamp(_PALEST, 1.0).log10()
    before = 10.0 ** -((density - stain) / (1 - loss)).clamp(min=0)
    mean, wanted = colours.mean(0), before.mean(0)
    spread = (colours - mean).square().mean(0).clamp(min=1e-6)
    gain = ((colours - mean) * (before - wanted)).mean(0) / spread
    gain = gain.clamp(*_GAINS)
    return gain, wanted - gain * mean


def _ramp(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high` on, linear between."""
    return min(1.0, max(0.0, (value - low) / (high - low)))
