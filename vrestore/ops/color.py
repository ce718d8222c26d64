"""What colour tags mean: the rule for absent ones, the standard of the output, the conversion.

The video path stays in the source's own YCbCr.  Colour is converted in one place, `Convert`, and
only where the output standard, the layout of an encoder or a model that wants RGB demands it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from fractions import Fraction
from typing import TypeVar

from vrestore.errors import PlanError
from vrestore.media import (
    ChromaLocation,
    ColorModel,
    ColorSpec,
    Matrix,
    Primaries,
    Range,
    SampleFormat,
    Transfer,
    VideoInfo,
)
from vrestore.ops.buffers import Alloc
from vrestore.ops.convert import Convert
from vrestore.ops.standards import (
    CHROMA_LOCATIONS,
    MATRICES,
    PRIMARIES,
    RANGES,
    STANDARDS,
    TRANSFERS,
    Standard,
    curve,
)

__all__ = [
    "ColorChoice",
    "ColorConfig",
    "Convert",
    "is_sd",
    "resolve",
    "resolve_video",
    "rgb_adapter",
    "target_color",
    "ycbcr_adapter",
]

_Tag = TypeVar("_Tag", bound=IntEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorConfig:
    """Section [color] of a preset."""

    in_matrix: str = "auto"
    """What the source's matrix is, whatever its tag says: auto, 601-525, 601-625, 709, 2020 ..."""

    in_range: str = "auto"
    """auto, limited or full."""

    in_primaries: str = "auto"
    """auto, 601-525, 601-625, 709, 2020, p3-d65 ..."""

    in_transfer: str = "auto"
    """auto, 601, 709, 2020, srgb, pq, hlg ..."""

    in_chroma_location: str = "auto"
    """auto, left, center, topleft ..."""

    out: str = "auto"
    """Standard of the output: auto (709 where SD becomes HD, else the source's), keep, 601-525,
    601-625, 709 or 2020."""

    dither: bool = True
    """Dither where the depth is reduced."""

    seed: int = 0
    """Of the dither; the same seed gives the same picture."""

    def __post_init__(self) -> None:
        for name, names in (
            ("in_matrix", MATRICES),
            ("in_range", RANGES),
            ("in_primaries", PRIMARIES),
            ("in_transfer", TRANSFERS),
            ("in_chroma_location", CHROMA_LOCATIONS),
        ):
            _check(name, getattr(self, name), ("auto", *names))
        _check("out", self.out, ("auto", "keep", *STANDARDS))


def _check(name: str, value: str, legal: tuple[str, ...]) -> None:
    if value not in legal:
        raise ValueError(f"{name} must be one of {', '.join(legal)}, got {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorChoice:
    """A colour description, and how much of it is known well enough to be written in a file."""

    working: ColorSpec
    """Complete: what the arithmetic uses.  The chroma location stays unspecified where no plane
    is subsampled."""

    tag: ColorSpec
    """What the output is tagged with: unspecified where the source was and nothing was converted
    or overridden."""

    notes: tuple[str, ...] = ()
    """One sentence for each decision that the source did not make."""


# ---------------------------------------------------------------------------- unspecified tags


def is_sd(width: int, height: int) -> bool:
    """Standard definition, either way up: under 1280 samples long and at most 576 short."""
    return max(width, height) < 1280 and min(width, height) <= 576


def _standard_for(width: int, height: int, rate: Fraction | None) -> tuple[str, str]:
    """(name of the standard that an untagged picture has, why)."""
    if not is_sd(width, height):
        return "709", f"{width}x{height} is HD"
    if height in (288, 576):
        return "601-625", f"SD of {height} lines"
    if height not in (240, 480, 486) and rate is not None and rate in (25, 50):
        return "601-625", f"SD at {rate} frames a second"
    return "601-525", f"SD of {height} lines"


def resolve_video(video: VideoInfo, config: ColorConfig) -> ColorChoice:
    """`resolve` for the picture of a source."""
    return resolve(video.color, config, video.format, video.width, video.height, video.average_rate)


def resolve(
    color: ColorSpec,
    config: ColorConfig,
    form: SampleFormat,
    width: int,
    height: int,
    rate: Fraction | None,
) -> ColorChoice:
    """The one rule for what a source's tags mean.

    Overrides of `config` come first, then the tags, then: the matrix that fits known primaries or
    a known PQ/HLG transfer, else 601-525 or 601-625 for SD (by line count, else by rate) and 709
    above; primaries and transfer that fit the matrix; limited range for YCbCr and full for RGB
    and gray; chroma left.  `width` and `height` in luma samples, `rate` in frames a second.
    """
    color = replace(
        color,
        matrix=_override(config.in_matrix, MATRICES, color.matrix),
        primaries=_override(config.in_primaries, PRIMARIES, color.primaries),
        transfer=_override(config.in_transfer, TRANSFERS, color.transfer),
        range=_override(config.in_range, RANGES, color.range),
        chroma_location=_override(
            config.in_chroma_location, CHROMA_LOCATIONS, color.chroma_location
        ),
    )
    notes: list[str] = []
    working = _resolve_standard(color, form, _standard_for(width, height, rate), notes)
    if working.range is Range.UNSPECIFIED:
        ycbcr = form.model is ColorModel.YCBCR
        working = replace(working, range=Range.LIMITED if ycbcr else Range.FULL)
        notes.append(
            f"range is not tagged: taken as {working.range.name.lower()}, "
            f"the custom for {form.model.value}"
        )
    if _subsampled(form) and working.chroma_location is ChromaLocation.UNSPECIFIED:
        working = replace(working, chroma_location=ChromaLocation.LEFT)
        notes.append("chroma location is not tagged: taken as left, the codecs' default")
    return ColorChoice(working=working, tag=color, notes=tuple(notes))


def _override(name: str, names: Mapping[str, _Tag], tagged: _Tag) -> _Tag:
    return tagged if name == "auto" else names[name]


def _subsampled(form: SampleFormat) -> bool:
    return bool(form.log2_chroma_w or form.log2_chroma_h)


def _resolve_standard(
    color: ColorSpec, form: SampleFormat, by_size: tuple[str, str], notes: list[str]
) -> ColorSpec:
    """Matrix, primaries and transfer completed; a sentence for each guess that matters."""
    matrix, primaries, transfer = color.matrix, color.primaries, color.transfer
    is_rgb = form.model is ColorModel.RGB
    if is_rgb:
        matrix = Matrix.RGB
    elif matrix in (Matrix.UNSPECIFIED, Matrix.RGB):
        name, why = by_size
        if primaries is Primaries.BT2020 or transfer in (Transfer.PQ, Transfer.HLG):
            name, why = "2020", "so its other tags say"
        else:
            for key, standard in STANDARDS.items():
                if standard.primaries is primaries:
                    name, why = key, "so its primaries say"
        matrix = STANDARDS[name].matrix
        if form.model is ColorModel.YCBCR:
            wrong = "tagged as RGB" if color.matrix is Matrix.RGB else "not tagged"
            notes.append(f"matrix is {wrong}: taken as {name} ({why})")
    like = "709" if is_rgb else _name_of(matrix)
    if primaries in (Primaries.UNSPECIFIED, Primaries.RESERVED):
        hdr = transfer in (Transfer.PQ, Transfer.HLG)
        primaries = Primaries.BT2020 if hdr else STANDARDS[like].primaries
        if form.model is not ColorModel.GRAY:
            notes.append(f"primaries are not tagged: taken as {_primaries_name(primaries)}")
    if transfer in (Transfer.UNSPECIFIED, Transfer.RESERVED):
        transfer = Transfer.SRGB if is_rgb else STANDARDS[like].transfer
        if form.model is not ColorModel.GRAY:
            notes.append(f"transfer is not tagged: taken as {_transfer_name(transfer)}")
    return replace(color, matrix=matrix, primaries=primaries, transfer=transfer)


def _name_of(matrix: Matrix) -> str:
    """The standard whose primaries and transfer go with a matrix; 709 for exotic ones."""
    for name, standard in STANDARDS.items():
        if standard.matrix is matrix:
            return name
    return "2020" if matrix in (Matrix.BT2020_CL, Matrix.ICTCP) else "709"


def _primaries_name(primaries: Primaries) -> str:
    return next(name for name, value in PRIMARIES.items() if value is primaries)


def _transfer_name(transfer: Transfer) -> str:
    return next(name for name, value in TRANSFERS.items() if value is transfer)


# -------------------------------------------------------------------------- the output standard


def target_color(
    source: ColorChoice,
    config: ColorConfig,
    *,
    form: SampleFormat,
    to_form: SampleFormat,
    size: tuple[int, int],
    to_size: tuple[int, int],
) -> ColorChoice:
    """The colour of the output, for `Convert`, `Quantise` and the tags.

    `form` and `size` (width, height) are the source's, `to_form` and `to_size` the output's.  With
    `out = auto` an SD 601 source that becomes HD is converted to 709; everything else keeps its
    standard.  PQ and HLG stay in their own transfer: asking for an SDR standard raises PlanError.
    """
    working, tag, notes = source.working, source.tag, []
    name = _asked_standard(working, config, form, size, to_size)
    if name is not None and not _has(working, STANDARDS[name]):
        standard = STANDARDS[name]
        matrix = Matrix.RGB if to_form.model is ColorModel.RGB else standard.matrix
        working = replace(
            working,
            matrix=matrix,
            primaries=standard.primaries,
            transfer=_kept_transfer(working.transfer, standard, name),
        )
        tag = replace(tag, matrix=matrix, primaries=working.primaries, transfer=working.transfer)
        notes.append(f"colour is converted to {name}")
    elif is_sd(*size) != is_sd(*to_size) and tag.matrix is Matrix.UNSPECIFIED:
        # A player guesses from the size, and the size has changed sides.
        tag = replace(
            tag, matrix=working.matrix, primaries=working.primaries, transfer=working.transfer
        )
        notes.append("colour tags are written, since players would guess others at this size")
    working, tag = _in_layout(working, tag, form, to_form, to_size)
    if tag.range is Range.UNSPECIFIED and working.range is Range.FULL:
        tag = replace(tag, range=Range.FULL)
        notes.append("full range is tagged, since players take untagged video for limited")
    return ColorChoice(working=working, tag=tag, notes=tuple(notes))


def _asked_standard(
    working: ColorSpec,
    config: ColorConfig,
    form: SampleFormat,
    size: tuple[int, int],
    to_size: tuple[int, int],
) -> str | None:
    if form.model is ColorModel.GRAY or config.out == "keep":
        return None
    if config.out != "auto":
        return config.out
    from_601 = working.matrix in (Matrix.SMPTE170M, Matrix.BT470BG)
    grows = is_sd(*size) and not is_sd(*to_size)
    return "709" if from_601 and grows and curve(working.transfer) is not None else None


def _has(color: ColorSpec, standard: Standard) -> bool:
    """RGB has a standard's colour without its matrix."""
    return (
        color.matrix in (standard.matrix, Matrix.RGB)
        and color.primaries is standard.primaries
        and (color.transfer is standard.transfer or curve(color.transfer) is None)
    )


def _kept_transfer(transfer: Transfer, standard: Standard, name: str) -> Transfer:
    if curve(transfer) is not None:
        return standard.transfer
    if name == "2020" and transfer in (Transfer.PQ, Transfer.HLG):
        return transfer
    raise PlanError(
        f"{transfer.name} video cannot become {name}: vrestore never maps tones; "
        "use out = keep, or convert it beforehand"
    )


def _in_layout(
    working: ColorSpec,
    tag: ColorSpec,
    form: SampleFormat,
    to_form: SampleFormat,
    to_size: tuple[int, int],
) -> tuple[ColorSpec, ColorSpec]:
    """Matrix, range and siting adapted to another colour model or subsampling."""
    if to_form.model is not form.model:
        known: dict[str, IntEnum] = {
            "range": Range.LIMITED if to_form.model is ColorModel.YCBCR else Range.FULL
        }
        if to_form.model is ColorModel.RGB:
            known["matrix"] = Matrix.RGB
        elif form.model is ColorModel.RGB:
            wide = working.primaries is Primaries.BT2020
            name = "2020" if wide else _standard_for(*to_size, None)[0]
            known["matrix"] = STANDARDS[name].matrix
        working, tag = _tagged(working, known), _tagged(tag, known)
    if not _subsampled(to_form):
        working = replace(working, chroma_location=ChromaLocation.UNSPECIFIED)
        tag = replace(tag, chroma_location=ChromaLocation.UNSPECIFIED)
    elif working.chroma_location is ChromaLocation.UNSPECIFIED:
        working = replace(working, chroma_location=ChromaLocation.LEFT)
        tag = replace(tag, chroma_location=ChromaLocation.LEFT)
    return working, tag


def _tagged(color: ColorSpec, known: Mapping[str, IntEnum]) -> ColorSpec:
    return replace(color, **known)  # type: ignore[arg-type]


# ------------------------------------------------------------------------- models' colour models


def rgb_adapter(
    form: SampleFormat, color: ColorSpec, alloc: Alloc | None = None
) -> tuple[Convert, Convert]:
    """The two ops around a model that takes RGB: to 4:4:4 RGB, and back to the source's layout.

    Primaries and transfer stay.  Both do nothing for RGB sources.
    """
    rgb = SampleFormat(
        model=ColorModel.RGB, depth=form.depth, alpha=form.alpha, is_float=form.is_float
    )
    in_rgb = replace(
        color, matrix=Matrix.RGB, range=Range.FULL, chroma_location=ChromaLocation.UNSPECIFIED
    )
    return (
        Convert(form, color, to_form=rgb, to_color=in_rgb, alloc=alloc),
        Convert(rgb, in_rgb, to_form=form, to_color=color, alloc=alloc),
    )


def ycbcr_adapter(
    form: SampleFormat, color: ColorSpec, alloc: Alloc | None = None
) -> tuple[Convert, Convert]:
    """The two ops around a model that takes YCbCr: RGB to 4:4:4 YCbCr, and back.

    The matrix is 2020's for its primaries and 709's for all others.  ValueError for sources that
    are not RGB: those are in YCbCr or gray already.
    """
    if form.model is not ColorModel.RGB:
        raise ValueError(f"only RGB is adapted to YCbCr, got {form.model.value}")
    name = "2020" if color.primaries is Primaries.BT2020 else "709"
    ycbcr = replace(form, model=ColorModel.YCBCR)
    in_ycbcr = replace(color, matrix=STANDARDS[name].matrix)
    return (
        Convert(form, color, to_form=ycbcr, to_color=in_ycbcr, alloc=alloc),
        Convert(ycbcr, in_ycbcr, to_form=form, to_color=color, alloc=alloc),
    )
