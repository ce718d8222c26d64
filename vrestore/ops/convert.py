"""Frames to another colour standard or another layout of planes, on the unit scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch

from vrestore.errors import PlanError
from vrestore.media import Coding, ColorModel, ColorSpec, Frame, SampleFormat, Transfer
from vrestore.ops.buffers import Alloc, strips, take
from vrestore.ops.resample import Axis, resample_plane
from vrestore.ops.standards import (
    Curve,
    chroma_offset,
    curve,
    from_linear,
    rgb_to_xyz,
    rgb_to_ycbcr,
    to_linear,
)

__all__ = ["Convert"]

_CENTER = (0.0, 0.5, 0.5)
"""What is subtracted from Y, Cb, Cr on the unit scale to get H.273's own."""


@dataclass(frozen=True, slots=True)
class _Affine:
    """out[i] = sum over j of matrix[i][j] * in[j], plus offset[i]."""

    matrix: tuple[tuple[float, ...], ...]
    offset: tuple[float, ...]

    @classmethod
    def between(
        cls, matrix: torch.Tensor, center_in: Sequence[float], center_out: Sequence[float]
    ) -> _Affine:
        offset = torch.tensor(center_out, dtype=torch.float64) - matrix @ torch.tensor(
            center_in, dtype=torch.float64
        )
        return cls(tuple(tuple(row) for row in matrix.tolist()), tuple(offset.tolist()))

    def row(self, number: int, planes: Sequence[torch.Tensor], out: torch.Tensor) -> None:
        """One component into `out`; `planes` are not written."""
        factors = self.matrix[number]
        torch.mul(planes[0], factors[0], out=out)
        for plane, factor in zip(planes[1:], factors[1:], strict=True):
            out.add_(plane, alpha=factor)
        if self.offset[number]:
            out.add_(self.offset[number])


@dataclass(frozen=True, slots=True)
class _Light:
    """The part of a conversion that has to be done in linear light."""

    to_rgb: _Affine
    decode: Curve
    primaries: _Affine
    encode: Curve
    from_rgb: _Affine


def _centers(form: SampleFormat) -> tuple[float, float, float]:
    return _CENTER if form.model is ColorModel.YCBCR else (0.0, 0.0, 0.0)


def _matrix(form: SampleFormat, color: ColorSpec) -> torch.Tensor:
    if form.model is ColorModel.RGB:
        return torch.eye(3, dtype=torch.float64)
    return rgb_to_ycbcr(color.matrix)


def _curve(transfer: Transfer) -> Curve:
    found = curve(transfer)
    if found is None:
        raise ValueError(f"transfer {transfer.name} is never converted")
    return found


def _light_change(source: ColorSpec, target: ColorSpec) -> tuple[Curve, torch.Tensor, Curve] | None:
    """(decode, 3x3 between linear RGBs, encode), None where light stays what it is."""
    same_transfer = source.transfer is target.transfer or (
        curve(source.transfer) is curve(target.transfer) and curve(source.transfer) is not None
    )
    if source.primaries is target.primaries:
        if same_transfer:
            return None
        mix = torch.eye(3, dtype=torch.float64)
    else:
        mix = torch.linalg.solve(rgb_to_xyz(target.primaries), rgb_to_xyz(source.primaries))
        if same_transfer and torch.allclose(mix, torch.eye(3, dtype=torch.float64), atol=1e-9):
            return None
    return _curve(source.transfer), mix, _curve(target.transfer)


class Convert:
    """Op: UNIT frames to another ColorSpec and SampleFormat, float32; head- and footroom stay.

    YCbCr goes through R'G'B' (H.273 equations 38 to 40) and, only where primaries or transfer
    differ, through linear light.  Chroma is resampled with Keys' cubic at its exact siting.  Where
    both sides are YCbCr, chroma that needs no conversion is not resampled: only the *change* of
    colour passes through 4:4:4, so a conversion does not soften chroma.

    Depth and range play no part on the unit scale; `format` and `color` of the output frames are
    the target's, so that `Quantise` finds what it expects.  Alpha is passed on, dropped, or made
    opaque.
    """

    latency = 0

    def __init__(
        self,
        form: SampleFormat,
        color: ColorSpec,
        *,
        to_form: SampleFormat,
        to_color: ColorSpec,
        alloc: Alloc | None = None,
    ) -> None:
        """Both colours resolved.  PlanError where there is no conversion: other matrices than
        601, 709, 2020 ncl, 240M, FCC and RGB, or a change of PQ, HLG or log transfer."""
        self._form, self._color = form, color
        self._to_form, self._to_color = to_form, to_color
        self._alloc = alloc
        self._affine: _Affine | None = None
        self._light: _Light | None = None
        if ColorModel.GRAY in (form.model, to_form.model) and form.model is not ColorModel.RGB:
            return
        try:
            self._build()
        except ValueError as error:
            raise PlanError(
                f"no conversion from {_summary(color)} to {_summary(to_color)}: {error}"
            ) from error

    def _build(self) -> None:
        form, to_form = self._form, self._to_form
        change = _light_change(self._color, self._to_color)
        same_model = form.model is to_form.model
        if change is None and same_model and self._color.matrix is self._to_color.matrix:
            return
        before, after = _matrix(form, self._color), _matrix(to_form, self._to_color)
        if change is None:
            if not torch.equal(before, after):
                self._affine = _Affine.between(
                    torch.linalg.solve(before.T, after.T).T, _centers(form), _centers(to_form)
                )
            return
        decode, mix, encode = change
        zero = (0.0, 0.0, 0.0)
        self._light = _Light(
            _Affine.between(torch.linalg.inv(before), _centers(form), zero),
            decode,
            _Affine.between(mix, zero, zero),
            encode,
            _Affine.between(after, zero, _centers(to_form)),
        )

    def push(self, frame: Frame) -> Iterable[Frame]:
        """One frame.  ValueError for CODE frames and for other layouts than announced."""
        if frame.coding is not Coding.UNIT:
            raise ValueError("Convert takes UNIT frames; put Normalise before it")
        if (
            replace(frame.format, depth=self._form.depth, is_float=self._form.is_float)
            != self._form
        ):
            raise ValueError(f"Convert was made for {self._form}, got {frame.format}")
        planes = self._planes(frame)
        if self._to_form.alpha:
            alpha = (
                frame.planes[-1]
                if frame.format.alpha
                else self._take(planes[0].shape, planes[0].device).fill_(1)
            )
            planes = (*planes, alpha)
        yield replace(frame, planes=planes, format=self._to_form, color=self._to_color, ready=None)

    def flush(self) -> Iterable[Frame]:
        return ()

    # ------------------------------------------------------------------ by colour model

    def _planes(self, frame: Frame) -> tuple[torch.Tensor, ...]:
        """The colour planes of the output."""
        planes = frame.planes[: frame.format.color_planes]
        source, target = self._form.model, self._to_form.model
        if source is ColorModel.GRAY:
            return self._from_gray(planes[0], frame)
        if target is ColorModel.GRAY and source is ColorModel.YCBCR:
            return planes[:1]
        if source is target is ColorModel.YCBCR:
            return self._within_ycbcr(planes)
        if self._affine is None and self._light is None:
            return planes
        full = self._resampled(planes, self._form, self._color, _FULL, self._color)
        out = self._transformed(full, 1 if target is ColorModel.GRAY else 3)
        if target is ColorModel.YCBCR:
            return self._resampled(out, _FULL, self._to_color, self._to_form, self._to_color)
        return out

    def _from_gray(self, gray: torch.Tensor, frame: Frame) -> tuple[torch.Tensor, ...]:
        if self._to_form.model is ColorModel.GRAY:
            return (gray,)
        if self._to_form.model is ColorModel.RGB:
            return gray, gray, gray
        size = self._to_form.plane_size(1, frame.width, frame.height)
        neutral = self._take(size, gray.device).fill_(0.5)
        return gray, neutral, neutral

    def _within_ycbcr(self, planes: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        luma, *chroma = planes
        if self._affine is not None:
            luma, *chroma = self._other_matrix(luma, chroma, self._affine)
        kept = self._resampled(
            (luma, *chroma), self._form, self._color, self._to_form, self._to_color
        )
        if self._light is None:
            return kept
        full = self._resampled(planes, self._form, self._color, _FULL, self._color)
        lit = self._transformed(full, 3)
        changes = self._resampled(
            (lit[0], *(new.sub_(old) for new, old in zip(lit[1:], full[1:], strict=True))),
            _FULL,
            self._to_color,
            self._to_form,
            self._to_color,
        )
        return lit[0], *(
            torch.add(old, change, out=self._take(old.shape, old.device))
            for old, change in zip(kept[1:], changes[1:], strict=True)
        )

    def _other_matrix(
        self, luma: torch.Tensor, chroma: Sequence[torch.Tensor], affine: _Affine
    ) -> tuple[torch.Tensor, ...]:
        """Another YCbCr matrix: chroma needs no luma, and luma needs one sum of chroma.

        Gray has no chroma under any matrix and keeps its luma: the luma column is (1, 0, 0).
        """
        pair = _Affine(tuple(row[1:] for row in affine.matrix), affine.offset)
        made = [self._take(chroma[0].shape, luma.device) for _ in range(3)]
        for number, out in enumerate(made):
            pair.row(number, chroma, out)
        change, *new = made
        axes = _chroma_axes(self._form, self._color, _FULL, self._color, luma)
        change = resample_plane(change, *axes, self._alloc)
        return torch.add(luma, change, out=self._take(luma.shape, luma.device)), *new

    # ------------------------------------------------------------------------ the steps

    def _take(self, shape: Sequence[int], device: torch.device) -> torch.Tensor:
        return take(self._alloc, tuple(shape), torch.float32, device)

    def _resampled(
        self,
        planes: Sequence[torch.Tensor],
        form: SampleFormat,
        color: ColorSpec,
        to_form: SampleFormat,
        to_color: ColorSpec,
    ) -> tuple[torch.Tensor, ...]:
        """Chroma planes of one subsampling and siting in another; luma as it is."""
        luma, *chroma = planes
        axes = _chroma_axes(form, color, to_form, to_color, luma)
        return luma, *(resample_plane(plane, *axes, self._alloc) for plane in chroma)

    def _transformed(self, planes: Sequence[torch.Tensor], count: int) -> tuple[torch.Tensor, ...]:
        """The first `count` components of full-size planes in the other colour."""
        out = tuple(self._take(planes[0].shape, planes[0].device) for _ in range(count))
        for rows in strips(planes[0]):
            strip = [plane[rows] for plane in planes]
            last = self._affine
            if self._light is not None:
                strip, last = _relit(strip, self._light), self._light.from_rgb
            if last is None:
                raise ValueError("nothing to transform")
            for number, plane in enumerate(out):
                last.row(number, strip, plane[rows])
        return out


_FULL = SampleFormat(model=ColorModel.YCBCR, depth=8)
"""YCbCr without subsampling."""


def _relit(strip: Sequence[torch.Tensor], light: _Light) -> list[torch.Tensor]:
    """R'G'B' of the target, in new memory.

    A colour outside the target's gamut is moved to its edge: no component falls below 0, unless
    the source's lowest is there already (footroom).  Without that, the steep curve at 0 would make
    large negative signals of small negative light, which the code range then cuts off unevenly.
    """
    rgb = [torch.empty(part.shape, device=part.device) for part in strip]
    for number, part in enumerate(rgb):
        light.to_rgb.row(number, strip, part)
    floor = torch.minimum(torch.minimum(rgb[0], rgb[1]), rgb[2]).clamp_(max=0)
    for part in rgb:
        to_linear(part, light.decode)
    other = [torch.empty_like(part) for part in rgb]
    for number, part in enumerate(other):
        light.primaries.row(number, rgb, part)
        torch.maximum(from_linear(part, light.encode), floor, out=part)
    return other


def _chroma_axes(
    form: SampleFormat,
    color: ColorSpec,
    to_form: SampleFormat,
    to_color: ColorSpec,
    luma: torch.Tensor,
) -> tuple[Axis, Axis]:
    """(vertical, horizontal) resampling of chroma between two layouts of one picture."""
    height, width = luma.shape
    before = chroma_offset(color.chroma_location, form.log2_chroma_w, form.log2_chroma_h)
    after = chroma_offset(to_color.chroma_location, to_form.log2_chroma_w, to_form.log2_chroma_h)
    in_h, in_w = form.plane_size(1, width, height)
    out_h, out_w = to_form.plane_size(1, width, height)
    return (
        Axis(
            in_size=in_h,
            out_size=out_h,
            in_offset=before[1],
            out_offset=after[1],
            ratio=Fraction(1 << form.log2_chroma_h, 1 << to_form.log2_chroma_h),
        ),
        Axis(
            in_size=in_w,
            out_size=out_w,
            in_offset=before[0],
            out_offset=after[0],
            ratio=Fraction(1 << form.log2_chroma_w, 1 << to_form.log2_chroma_w),
        ),
    )


def _summary(color: ColorSpec) -> str:
    return f"{color.matrix.name}/{color.primaries.name}/{color.transfer.name}"
