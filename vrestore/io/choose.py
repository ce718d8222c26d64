"""Which encoder, which pixel format, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import av
import av.logging

from vrestore.errors import PlanError
from vrestore.io.encode import EncodeConfig, VideoTarget, configure, whole_chroma
from vrestore.io.encoders import AUTO_ORDER, ENCODERS, EncoderSpec, Kind
from vrestore.io.formats import pixel_format, sample_format
from vrestore.io.losses import Loss
from vrestore.media import ChromaLocation, ColorModel, ColorSpec, Matrix, Range, SampleFormat

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

__all__ = ["EncoderChoice", "Opener", "choose_encoder", "open_context"]

_LOSSY_DEPTH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderChoice:
    """An encoder that was opened at the wanted size, and what it is to be given."""

    spec: EncoderSpec

    format: SampleFormat
    """Of the frames to push."""

    encoder_format: str
    """FFmpeg's pixel format that the encoder itself takes; a rearrangement of `format`."""

    color: ColorSpec
    """Tags of the output: the target's, or full-range RGB where the format is RGB."""

    reason: str
    """One line: why this encoder."""

    cuda: int | None = None
    """The device on which its frames lie; None where they come in main memory."""

    losses: tuple[Loss, ...] = ()


Opener = Callable[["VideoCodecContext"], None]
"""Opens a configured encoder, or raises what PyAV raises."""


def open_context(context: VideoCodecContext) -> None:
    context.open()


def choose_encoder(
    config: EncodeConfig,
    target: VideoTarget,
    *,
    allowed: Iterable[str] | None = None,
    exact: bool = False,
    opener: Opener = open_context,
) -> EncoderChoice:
    """Picks an encoder and really opens it at the target's size and depth.

    `allowed` limits "auto" to encoders that the container can hold.  With `exact` the pixel format
    of the source is kept even by encoders that would rather have 10 bit.  "auto" goes through
    `AUTO_ORDER`; an encoder that would give up colour resolution, colour model or depth is passed
    over while a later one keeps them.  Raises PlanError where nothing opens, naming each refusal.
    """
    names = [config.encoder] if config.encoder != "auto" else list(AUTO_ORDER)
    if config.encoder == "auto" and allowed is not None:
        permitted = set(allowed)
        names = [name for name in names if name in permitted]
    refusals: list[str] = []
    ranked: list[tuple[int, int, EncoderChoice]] = []
    for order, name in enumerate(names):
        try:
            choice = _fit(ENCODERS[name], config, target, exact)
        except PlanError as refusal:
            refusals.append(str(refusal))
            continue
        ranked.append((len(choice.losses), order, choice))
    for _, order, choice in sorted(ranked, key=lambda entry: entry[:2]):
        refusals += [
            f"{other.spec.name} would lose {other.losses[0].what}"
            for losses, before, other in ranked
            if before < order and losses > len(choice.losses)
        ]
        refusal_text = _refusal(choice, config, target, opener)
        if refusal_text is None:
            return replace(choice, reason=_reason(choice, config, target, refusals))
        refusals.append(refusal_text)
    reasons = "; ".join(refusals) or "the container takes none of " + ", ".join(AUTO_ORDER)
    raise PlanError(
        f"no encoder for {target.width}x{target.height}: {reasons}; choose another with --encoder"
    )


def _reason(
    choice: EncoderChoice, config: EncodeConfig, target: VideoTarget, refusals: list[str]
) -> str:
    how = f"{choice.spec.name}, {choice.encoder_format}"
    if choice.spec.is_lean(choice.format, target.width, target.height):
        how += ", without B-frames and lookahead to save memory"
    if config.encoder != "auto":
        return f"{how}: asked for"
    if refusals:
        return f"{how}: {'; '.join(refusals)}"
    return f"{how}: first choice"


def _fit(
    spec: EncoderSpec, config: EncodeConfig, target: VideoTarget, exact: bool
) -> EncoderChoice:
    """The best format of one encoder, by its table row alone."""
    width, height = target.width, target.height
    if width > spec.max_width or height > spec.max_height:
        raise PlanError(f"{spec.name} stops at {spec.max_width}x{spec.max_height}")
    source = target.format
    if spec.name == "null":
        name = pixel_format(source)
        return EncoderChoice(
            spec=spec, format=source, encoder_format=name, color=target.color, reason=""
        )
    if config.pixel_format == "auto":
        name = _nearest(spec, target, exact)
    else:
        name = config.pixel_format
        if name not in spec.feeds:
            known = ", ".join(spec.feeds)
            raise PlanError(f"{spec.name} does not take {name}; it takes {known}")
        if not _size_fits(spec, _layout(name), target):
            raise PlanError(f"{spec.name} needs even sizes for {name}, got {width}x{height}")
    format = _layout(name)
    return EncoderChoice(
        spec=spec,
        format=format,
        encoder_format=spec.feeds[name],
        color=_color(format, target),
        reason="",
        losses=(*_format_losses(source, format, name, spec), *_side_data_losses(spec, target)),
    )


def _layout(name: str) -> SampleFormat:
    layout = sample_format(name)
    if layout is None:
        raise PlanError(f"{name} is not a planar pixel format; choose one such as yuv420p10le")
    return layout


def _size_fits(spec: EncoderSpec, format: SampleFormat, target: VideoTarget) -> bool:
    return not spec.even or whole_chroma(format, target)


def _nearest(spec: EncoderSpec, target: VideoTarget, exact: bool) -> str:
    """The format that keeps most of the source, then the one nearest to what is wanted."""
    source = target.format
    wanted_depth = source.depth
    if spec.kind is Kind.LOSSY and not exact:
        wanted_depth = max(source.depth, _LOSSY_DEPTH)

    def cost(name: str) -> tuple[int, ...]:
        format = _layout(name)
        # Grey survives in any YCbCr with neutral chroma; RGB and YCbCr differ by a rounding.
        model_lost = format.model is not source.model and source.model is not ColorModel.GRAY
        if format.model is ColorModel.GRAY and source.model is not ColorModel.GRAY:
            model_lost = True
        gray_lost = format.model is ColorModel.GRAY and source.model is not ColorModel.GRAY
        return (
            gray_lost,
            source.alpha and not format.alpha,
            max(0, format.log2_chroma_w - source.log2_chroma_w)
            + max(0, format.log2_chroma_h - source.log2_chroma_h)
            if source.model is not ColorModel.GRAY
            else 0,
            model_lost,
            max(0, min(source.depth, wanted_depth) - format.depth),
            abs(format.depth - wanted_depth),
            format.is_float is not source.is_float,
            format.model is not source.model,
            format.alpha and not source.alpha,
            abs(format.log2_chroma_w - source.log2_chroma_w)
            + abs(format.log2_chroma_h - source.log2_chroma_h)
            if source.model is not ColorModel.GRAY
            else -format.log2_chroma_w - format.log2_chroma_h,
        )

    names = [name for name in spec.feeds if _size_fits(spec, _layout(name), target)]
    if not names:
        raise PlanError(f"{spec.name} needs even sizes, got {target.width}x{target.height}")
    return min(names, key=cost)


def _color(format: SampleFormat, target: VideoTarget) -> ColorSpec:
    color = target.color
    if format.model is ColorModel.RGB:
        return replace(
            color,
            matrix=Matrix.RGB,
            range=Range.FULL,
            chroma_location=ChromaLocation.UNSPECIFIED,
        )
    if format.log2_chroma_w == 0 and color.chroma_location is not ChromaLocation.UNSPECIFIED:
        return replace(color, chroma_location=ChromaLocation.UNSPECIFIED)
    return color


def _format_losses(
    source: SampleFormat, format: SampleFormat, name: str, spec: EncoderSpec
) -> Iterable[Loss]:
    keep = "choose --encoder ffv1"
    if source.alpha and not format.alpha:
        yield Loss(what="alpha channel", why=f"{spec.name} takes none", remedy=keep)
    if source.model is ColorModel.RGB and format.model is not ColorModel.RGB:
        yield Loss(what="RGB samples", why=f"{spec.name} gets YCbCr ({name})", remedy=keep)
    if source.model is ColorModel.YCBCR and format.model is ColorModel.RGB:
        yield Loss(what="YCbCr samples", why=f"{spec.name} gets RGB ({name})", remedy=keep)
    if source.model is not ColorModel.GRAY and (
        format.log2_chroma_w > source.log2_chroma_w or format.log2_chroma_h > source.log2_chroma_h
    ):
        yield Loss(what="chroma resolution", why=f"{spec.name} gets {name}", remedy=keep)
    if format.depth < source.depth:
        yield Loss(
            what=f"{source.depth} bit {'floating point' if source.is_float else 'samples'}",
            why=f"{spec.name} gets {format.depth} bit ({name})",
            remedy="choose --encoder exr" if source.is_float else keep,
        )


_CARRIERS = {
    "A53_CC": ("CEA-608/708 captions in the video", "choose --encoder libx265 or libx264"),
    "AFD": ("active format description", "no encoder here writes it; note it down"),
    "S12M_TIMECODE": ("timecode in the video", "keep it as a timecode track"),
    "DYNAMIC_HDR_PLUS": ("HDR10+ dynamic metadata", "no encoder here writes it; keep the source"),
    "DYNAMIC_HDR_VIVID": ("HDR Vivid metadata", "no encoder here writes it; keep the source"),
    "DOVI_RPU_BUFFER": ("Dolby Vision RPU", "the base layer is kept; keep the source"),
    "AMBIENT_VIEWING_ENVIRONMENT": ("ambient viewing environment", "keep the source"),
    "STEREO3D": ("stereo 3D frame packing", "tag the output with another tool"),
    "SPHERICAL": ("spherical projection", "tag the output with another tool"),
    "ICC_PROFILE": ("ICC profile", "choose --encoder png"),
}
"""Side data whose loss a viewer can see, and what to do about it."""


def _side_data_losses(spec: EncoderSpec, target: VideoTarget) -> Iterable[Loss]:
    if spec.kind in (Kind.PICTURES, Kind.RAW) and (
        target.mastering_display is not None or target.content_light is not None
    ):
        yield Loss(
            what="HDR10 static metadata",
            why=f"{spec.name} has no place for it",
            remedy="write a video, with any encoder",
        )
    for name in dict.fromkeys(target.side_data):
        if name in _CARRIERS and name not in spec.frame_side_data:
            what, remedy = _CARRIERS[name]
            yield Loss(what=what, why=f"{spec.name} cannot be given it", remedy=remedy)


def _refusal(
    choice: EncoderChoice, config: EncodeConfig, target: VideoTarget, opener: Opener
) -> str | None:
    """Why the encoder does not open at this size and depth, None where it does."""
    spec = choice.spec
    if spec.kind is Kind.RAW:
        return None
    context = cast("VideoCodecContext", av.CodecContext.create(spec.codec, "w"))
    configure(context, choice, target, config)
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as logged:
            opener(context)
    except (av.FFmpegError, ValueError) as error:
        said = [text.strip() for _, _, text in logged if text.strip()]
        return f"{spec.name} does not open ({_plain(error, spec, said)})"
    finally:
        av.logging.set_level(level)
    unknown = sorted(set(context.options) & set(config.options))
    if unknown:
        raise PlanError(
            f"{spec.name} has no option {unknown[0]!r}; see ffmpeg -h encoder={spec.codec}"
        )
    return None


_HARDWARE_SAYS = (
    (("libcuda", "nvcuda", "cuInit"), "no NVIDIA driver"),
    (("required nvenc API version",), "the NVIDIA driver is too old for it"),
    (("OpenEncodeSessionEx", "incompatible client key"), "no free encoder session"),
    (("10 bit encode not supported",), "this card encodes it in 8 bit only"),
    (("YUV444P not supported", "4:4:4"), "this card does not encode 4:4:4"),
    (("exceeds", "Dimensions not supported"), "this card encodes only smaller pictures"),
    (("Codec not supported", "No capable devices"), "no device here has this encoder"),
)
"""What FFmpeg's nvenc.c logs when it does not open -> the same for people.  The first that fits: it
says "No capable devices" behind every reason why one card was none."""


def _plain(error: Exception, spec: EncoderSpec, said: list[str]) -> str:
    """Why in the user's words where they are known, else in FFmpeg's."""
    text = " ".join(said)
    if spec.hardware:
        for phrases, meaning in _HARDWARE_SAYS:
            if any(phrase in text for phrase in phrases):
                return meaning
    return said[0] if said else str(error).split(": ")[0]
