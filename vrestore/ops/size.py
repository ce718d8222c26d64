"""How large the output is: integer and Fraction arithmetic, and the op that fills the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType

import torch

from vrestore.media import Coding, Frame
from vrestore.ops.buffers import Alloc, take

__all__ = ["NAMED_SIZES", "Pad", "Rect", "SizeConfig", "SizePlan", "parse_size", "plan_size"]

NAMED_SIZES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "720p": (1280, 720),
        "1080p": (1920, 1080),
        "1440p": (2560, 1440),
        "2160p": (3840, 2160),
        "4k": (3840, 2160),
        "4320p": (7680, 4320),
        "8k": (7680, 4320),
    }
)
"""(width, height) of the boxes with names; turned on their side for upright pictures."""

_SCALES = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeConfig:
    """Section [size] of a preset.  `scale` and `fit` exclude each other; neither means scale 1."""

    scale: int | None = None
    """1 to 4: the output has this many times the source's samples each way."""

    fit: str | None = None
    """A box that the picture fits inside with its aspect kept: 720p, 1080p, 1440p, 4k, 8k, WxH."""

    pad: bool = False
    """Fill the box of `fit` with black around the picture."""

    sar: str = "keep"
    """Non-square samples: "keep" (written as a tag) or "square" (resampled to square ones)."""

    bars: str = "keep"
    """Black bars: "keep" (treated as picture) or "restore-inside" (kept away from the network and
    put back)."""

    def __post_init__(self) -> None:
        if self.scale is not None and self.scale not in _SCALES:
            raise ValueError(f"scale must be 1, 2, 3 or 4, got {self.scale}")
        if self.scale is not None and self.fit is not None:
            raise ValueError(f"scale and fit exclude each other, got {self.scale} and {self.fit}")
        if self.fit is not None:
            parse_size(self.fit)
        if self.pad and self.fit is None:
            raise ValueError("pad needs fit, a box to fill")
        for name, legal in (("sar", ("keep", "square")), ("bars", ("keep", "restore-inside"))):
            if getattr(self, name) not in legal:
                raise ValueError(
                    f"{name} must be {' or '.join(legal)}, got {getattr(self, name)!r}"
                )


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of a named size or of WxH.  ValueError for anything else."""
    if text.lower() in NAMED_SIZES:
        return NAMED_SIZES[text.lower()]
    match = re.fullmatch(r"([1-9]\d{0,4})[xX]([1-9]\d{0,4})", text)
    if match is None:
        raise ValueError(f"fit must be one of {', '.join(NAMED_SIZES)} or WxH, got {text!r}")
    return int(match[1]), int(match[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rect:
    """Part of a picture, in luma samples; covers [x, x + width) and [y, y + height)."""

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.x < 0 or self.y < 0 or self.width < 1 or self.height < 1:
            raise ValueError(f"not a part of a picture: {self}")

    def scaled(
        self, size: tuple[int, int], to_size: tuple[int, int], multiple: tuple[int, int] = (1, 1)
    ) -> Rect:
        """The same part of a picture resampled from `size` to `to_size` (width, height), its edges
        rounded to `multiple` (except at the picture's own edges)."""

        def edges(start: int, length: int, axis: int) -> tuple[int, int]:
            ends = []
            for at in (start, start + length):
                exact = Fraction(at * to_size[axis], size[axis])
                near = round(exact / multiple[axis]) * multiple[axis]
                ends.append(to_size[axis] if at == size[axis] else min(near, to_size[axis]))
            return ends[0], max(ends[1] - ends[0], 1)

        x, width = edges(self.x, self.width, 0)
        y, height = edges(self.y, self.height, 1)
        return Rect(x=x, y=y, width=width, height=height)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizePlan:
    """Every size a frame has on its way; sizes are (width, height) in luma samples."""

    network_scale: int
    """What the model does."""

    network: tuple[int, int]
    """After the model."""

    picture: tuple[int, int]
    """After the resampler; equal to `network` where it has nothing to do."""

    output: tuple[int, int]
    """With what `Pad` adds; equal to `picture` where it has nothing to do."""

    offset: tuple[int, int]
    """(x, y) of the picture in the output."""

    sar: Fraction
    """Sample aspect ratio of the output, to be written as a tag."""

    @property
    def resamples(self) -> bool:
        return self.network != self.picture

    @property
    def pads(self) -> bool:
        return self.picture != self.output


def plan_size(
    config: SizeConfig,
    width: int,
    height: int,
    sar: Fraction = Fraction(1),
    *,
    network_scales: Sequence[int] = _SCALES,
    multiple: tuple[int, int] = (1, 1),
) -> SizePlan:
    """All sizes for a source of `width` x `height`.

    The model gets the smallest of its `network_scales` that reaches the wanted size, or its
    largest; the resampler does the rest.  `multiple` is what the encoder needs of (width, height),
    2 for a subsampled direction: a box is fitted to the nearest multiple inside it; with `scale`
    the picture keeps its samples and its last row or column is repeated.
    """
    if not network_scales:
        raise ValueError("network_scales must name at least one scale")
    square = config.sar == "square"
    # Squaring only ever adds samples, so that no detail is lost by it.
    wide = width * max(sar, Fraction(1)) if square else Fraction(width)
    high = height / min(sar, Fraction(1)) if square else Fraction(height)
    tag = Fraction(1) if square else sar
    box: tuple[Fraction, Fraction] | None = None
    if config.fit is not None:
        box = _box(config, config.fit, tag, upright=wide * tag < high)
        picture = _fitted(wide, high, box, multiple)
    else:
        scale = config.scale or 1
        picture = (round(wide * scale), round(high * scale))
    need = max(Fraction(picture[0], width), Fraction(picture[1], height))
    enough = [scale for scale in network_scales if scale >= need]
    network_scale = min(enough) if enough else max(network_scales)
    output, offset = _placed(picture, box if config.pad else None, multiple)
    return SizePlan(
        network_scale=network_scale,
        network=(width * network_scale, height * network_scale),
        picture=picture,
        output=output,
        offset=offset,
        sar=tag,
    )


def _box(config: SizeConfig, fit: str, sar: Fraction, upright: bool) -> tuple[Fraction, Fraction]:
    """The largest size in samples of shape `sar`: no side of it is longer than the box, neither
    stored nor displayed.  Where it is to be filled it also has the box's shape when displayed."""
    width, height = parse_size(fit)
    if upright and fit.lower() in NAMED_SIZES:
        width, height = height, width
    low = height * min(sar, Fraction(1)) if config.pad else Fraction(height)
    return width / max(sar, Fraction(1)), low


def _fitted(
    wide: Fraction, high: Fraction, box: tuple[Fraction, Fraction], multiple: tuple[int, int]
) -> tuple[int, int]:
    """The largest size of this shape inside the box, in the nearest multiples."""
    factor = min(box[0] / wide, box[1] / high)

    def whole(exact: Fraction, axis: int) -> int:
        step = multiple[axis]
        most = max(int(box[axis] / step) * step, step)
        return min(max(round(exact / step) * step, step), most)

    return whole(wide * factor, 0), whole(high * factor, 1)


def _placed(
    picture: tuple[int, int], box: tuple[Fraction, Fraction] | None, multiple: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """(output, offset): the picture in the middle of the box, or at the top left of the smallest
    legal size."""
    output, offset = [], []
    for axis in (0, 1):
        step = multiple[axis]
        if box is None:
            output.append(-(-picture[axis] // step) * step)
            offset.append(0)
        else:
            output.append(max(round(box[axis] / step) * step, picture[axis]))
            # At least 2, so that subsampled chroma is never shifted against luma.
            even = max(step, 2)
            offset.append((output[axis] - picture[axis]) // (2 * even) * even)
    return (output[0], output[1]), (offset[0], offset[1])


class Pad:
    """Op: UNIT frames in the middle of a larger black picture, or grown by repeating an edge.

    With an offset of (0, 0) and at most one multiple to add, the last column and row are repeated
    (the picture is only made legal for the encoder); otherwise the surroundings are black and,
    where there is alpha, opaque.
    """

    latency = 0

    def __init__(self, plan: SizePlan, *, alloc: Alloc | None = None) -> None:
        self._plan = plan
        self._alloc = alloc
        grown = plan.output[0] - plan.picture[0], plan.output[1] - plan.picture[1]
        self._repeats = plan.offset == (0, 0) and max(grown) <= 3

    def push(self, frame: Frame) -> Iterable[Frame]:
        """One frame.  ValueError where it is no UNIT frame of the planned size."""
        if frame.coding is not Coding.UNIT or (frame.width, frame.height) != self._plan.picture:
            raise ValueError(f"Pad takes UNIT frames of {self._plan.picture}, got {frame}")
        if not self._plan.pads:
            yield frame
            return
        yield replace(
            frame,
            ready=None,
            planes=tuple(self._plane(frame, number) for number in range(len(frame.planes))),
        )

    def flush(self) -> Iterable[Frame]:
        return ()

    def _plane(self, frame: Frame, number: int) -> torch.Tensor:
        form, plane = frame.format, frame.planes[number]
        size = form.plane_size(number, *self._plan.output)
        out = take(self._alloc, size, plane.dtype, plane.device)
        if self._repeats:
            out[: plane.shape[0], : plane.shape[1]].copy_(plane)
            out[: plane.shape[0], plane.shape[1] :] = plane[:, -1:]
            out[plane.shape[0] :] = out[plane.shape[0] - 1]
            return out
        chroma = form.is_chroma(number)
        x = self._plan.offset[0] >> (form.log2_chroma_w if chroma else 0)
        y = self._plan.offset[1] >> (form.log2_chroma_h if chroma else 0)
        opaque = form.alpha and number == form.plane_count - 1
        out.fill_(1.0 if opaque else 0.5 if chroma else 0.0)
        out[y : y + plane.shape[0], x : x + plane.shape[1]].copy_(plane)
        return out
