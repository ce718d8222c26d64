"""Frames to packets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import av
import torch
from av.video.reformatter import Interpolation

from vrestore.errors import EncodeError, PlanError
from vrestore.io.encoders import ENCODERS, X264_REPEATABLE, EncoderSpec, Kind
from vrestore.io.formats import video_frame
from vrestore.io.hdr import (
    parameter_text,
    svtav1_parameters,
    x264_parameters,
    x265_parameters,
)
from vrestore.io.sidedata import side_data_of
from vrestore.io.surfaces import SurfaceMaker, surface_name
from vrestore.media import (
    ColorSpec,
    ContentLight,
    FieldOrder,
    Frame,
    MasteringDisplay,
    SampleFormat,
)

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext

    from vrestore.io.choose import EncoderChoice

__all__ = ["EncodeConfig", "Encoder", "VideoTarget", "Writes", "configure", "whole_chroma"]

DEFAULT_QUALITY = 18.0
"""Not told from the source by eye; on the scale of `EncodeConfig.quality`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeConfig:
    """Section [encode] of a preset."""

    encoder: str = "auto"
    """A name of `ENCODERS`, or "auto" for the best that opens."""

    speed: str | None = None
    """The encoder's own preset name, or ultrafast .. veryslow; None for a good middle."""

    quality: float | None = None
    """0 (best) to 51, felt as x264's crf whatever the encoder; None for 18."""

    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Raw options of the encoder; they win over everything else."""

    pixel_format: str = "auto"
    """FFmpeg's name of a planar format, or "auto"."""

    def __post_init__(self) -> None:
        if self.encoder != "auto" and self.encoder not in ENCODERS:
            raise ValueError(
                f"encoder must be auto or one of {', '.join(ENCODERS)}, got {self.encoder!r}"
            )
        if self.quality is not None and not 0 <= self.quality <= 51:
            raise ValueError(f"quality must be 0 (best) to 51, got {self.quality}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoTarget:
    """The picture that is to be encoded."""

    width: int
    height: int

    format: SampleFormat
    """Of the source; what is encoded is `EncoderChoice.format`."""

    color: ColorSpec
    sar: Fraction = Fraction(1)

    display_matrix: bytes | None = None
    """9 int32 little endian, as `VideoInfo.display_matrix`."""

    time_base: Fraction
    """Of the frames' timestamps."""

    rate: Fraction | None = None
    """Frames per second for rate control and for containers without times; None for unknown."""

    mastering_display: MasteringDisplay | None = None
    content_light: ContentLight | None = None

    side_data: tuple[str, ...] = ()
    """FFmpeg's names of the side data that the source's frames carry."""

    field_order: FieldOrder = FieldOrder.PROGRESSIVE
    threads: int = 0
    """Encoder threads; 0 lets the encoder decide, which is not reproducible across machines."""

    @property
    def pixels(self) -> int:
        return self.width * self.height


_FIELD_ORDERS = {
    FieldOrder.UNKNOWN: 0,
    FieldOrder.PROGRESSIVE: 1,
    FieldOrder.TOP_FIRST: 2,
    FieldOrder.BOTTOM_FIRST: 3,
}
"""AVFieldOrder; the stored and the shown order are taken to agree."""

_CHROMA_LOCATIONS = ("unspecified", "left", "center", "topleft", "top", "bottomleft", "bottom")


def configure(
    context: VideoCodecContext, choice: EncoderChoice, target: VideoTarget, config: EncodeConfig
) -> None:
    """Sets everything an encoder context needs before it is opened."""
    spec, color = choice.spec, choice.color
    context.width, context.height = target.width, target.height
    surface = None if choice.cuda is None else surface_name(choice.format)
    if surface is None:
        context.pix_fmt = choice.encoder_format
    else:
        context.sw_format = surface
    context.time_base = target.time_base
    context.framerate = target.rate or Fraction(25)
    context.sample_aspect_ratio = target.sar
    context.color_range = int(color.range)
    context.colorspace = int(color.matrix)
    context.color_primaries = int(color.primaries)
    context.color_trc = int(color.transfer)
    context.field_order = _FIELD_ORDERS[target.field_order]
    context.thread_count = target.threads
    if spec.codec == "libsvtav1":
        # The library writes its banner to standard error; 1 leaves errors only.
        os.environ.setdefault("SVT_LOG", "1")
    context.options = _options(spec, choice.format, color, target, config)


def _options(
    spec: EncoderSpec,
    format: SampleFormat,
    color: ColorSpec,
    target: VideoTarget,
    config: EncodeConfig,
) -> dict[str, str]:
    """The options of one encoder, ours below the user's.

    Raises PlanError for a speed that the encoder does not have.
    """
    options = dict(spec.options)
    lean = spec.is_lean(format, target.width, target.height)
    parameters: dict[str, str] = dict(spec.lean) if lean else {}
    if spec.quality is not None:
        quality = DEFAULT_QUALITY if config.quality is None else config.quality
        options[spec.quality.option] = spec.quality.value(quality)
    speed = config.speed or spec.default_speed
    if speed is not None and spec.speeds:
        if speed not in spec.speeds:
            known = ", ".join(spec.speeds)
            raise PlanError(f"{spec.name} has no preset {speed!r}; it has {known}")
        options[spec.speed_option] = spec.speeds[speed]
    if spec.kind is not Kind.RAW:
        options["chroma_sample_location"] = _CHROMA_LOCATIONS[color.chroma_location]
    threads = target.threads
    match spec.name:
        case "libx265":
            parameters["log-level"] = "error"
            if threads:
                parameters |= {"pools": str(threads), "frame-threads": str(_x265_frames(threads))}
            if target.pixels > 4096 * 2304:
                parameters["high-tier"] = "1"
            parameters |= x265_parameters(target.mastering_display, target.content_light)
        case "libx264":
            parameters |= X264_REPEATABLE
            parameters |= x264_parameters(target.mastering_display, target.content_light)
        case "libsvtav1":
            if threads:
                parameters["lp"] = str(min(threads.bit_length(), 6))
            parameters |= svtav1_parameters(target.mastering_display, target.content_light)
        case "hevc_nvenc" | "av1_nvenc" if target.pixels > 4096 * 2304:
            options["tier"] = "high" if spec.name == "hevc_nvenc" else "1"
        case "ffv1":
            # Slices are its only threads; it refuses 4 of them at 8K.  Where chroma does not cover
            # the picture evenly it loses the last column of each slice (4:1:1, 4:1:0), so: one.
            whole = min(target.width, target.height) >= 16 and whole_chroma(format, target)
            many = "16" if target.pixels >= 1280 * 720 else "4"
            options["slices"] = many if whole else "1"
        case "prores_ks" if config.speed is None and format.log2_chroma_w == 0:
            options["profile"] = "4444"
    for key, value in config.options.items():
        if key == spec.parameters:
            parameters |= dict(
                (pair.split("=", 1) if "=" in pair else (pair, "1"))  # type: ignore[misc]
                for pair in value.split(":")
            )
        else:
            options[key] = value
    if spec.parameters and parameters:
        options[spec.parameters] = parameter_text(tuple(parameters.items()))
    return options


def whole_chroma(format: SampleFormat, target: VideoTarget) -> bool:
    """Whether no chroma sample lies half outside the picture."""
    return not (
        target.width % (1 << format.log2_chroma_w) or target.height % (1 << format.log2_chroma_h)
    )


def _x265_frames(threads: int) -> int:
    """Frame threads as x265 itself chooses them, fixed so that the output does not vary."""
    return next(n for least, n in ((32, 6), (16, 5), (8, 3), (4, 2), (0, 1)) if threads >= least)


class Writes(Protocol):
    """What turns pictures into packets: an output stream, or a codec without a file."""

    def encode(self, picture: av.VideoFrame | None = None, /) -> list[Packet[Any]]: ...


class Encoder:
    """Op[Frame, av.Packet]: `Coding.CODE` frames of `EncoderChoice.format` to packets.

    Presentation times of packets are those of the frames, in `VideoTarget.time_base`; a frame on
    another clock is rounded to it once, from its exact time.  Durations are the frames' own.
    Raises EncodeError where the encoder refuses a frame.
    """

    def __init__(self, stream: Writes, choice: EncoderChoice, target: VideoTarget) -> None:
        """`stream` has a context that was set by `configure`."""
        self.latency = choice.spec.latency if choice.spec.kind is Kind.LOSSY else 0
        self._stream = stream
        self._choice = choice
        self._target = target
        self._surfaces = None if choice.cuda is None else SurfaceMaker(choice.format)
        self._carried = choice.spec.frame_side_data & frozenset(target.side_data)
        self._durations: dict[int, int] = {}
        self._first = 0
        self._longest = 1
        self._last_dts: int | None = None
        self.frames = 0
        """Frames taken so far."""

    def push(self, frame: Frame) -> Iterable[Packet[Any]]:
        stamp = frame.timestamp
        scale = stamp.time_base / self._target.time_base
        pts, duration = stamp.pts, frame.duration
        if scale != 1:
            pts = stamp.rescaled(self._target.time_base).pts
            duration = max(1, round(duration * scale))
        picture = self._picture(frame)
        picture.pts, picture.time_base = pts, self._target.time_base
        picture.duration = duration
        self._durations[pts] = duration
        if not self.frames:
            self._first = pts
        self._longest = max(self._longest, duration)
        self.frames += 1
        return self._encode(picture)

    def flush(self) -> Iterable[Packet[Any]]:
        return self._encode(None)

    def _encode(self, picture: av.VideoFrame | None) -> list[Packet[Any]]:
        try:
            packets = self._stream.encode(picture)
        except av.error.MemoryError:
            raise
        except av.FFmpegError as error:
            raise EncodeError(
                f"{self._choice.spec.name} refused frame {self.frames}: {error}"
            ) from error
        for packet in packets:
            duration = self._durations.pop(packet.pts or 0, None)
            if duration is not None:
                packet.duration = duration
            self._order(packet)
        return packets

    def _order(self, packet: Packet[Any]) -> None:
        """Gives a packet a decoding time that is possible, where the encoder did not.

        x265 returns uninitialised ones for streams shorter than its reordering delay.
        """
        pts, dts = packet.pts or 0, packet.dts
        earliest = self._first - _MAX_REORDER * self._longest
        following = earliest if self._last_dts is None else self._last_dts + 1
        if dts is None or not following <= dts <= pts:
            packet.dts = dts = min(following, pts)
        self._last_dts = dts

    def _picture(self, frame: Frame) -> av.VideoFrame:
        if frame.format != self._choice.format:
            raise EncodeError(
                f"{self._choice.spec.name} was set up for {self._choice.format}, got {frame.format}"
            )
        if self._surfaces is not None:
            picture = self._surfaces(frame.planes)
        else:
            picture = video_frame(frame.planes, frame.format)
            wanted = self._choice.encoder_format
            if picture.format.name != wanted:
                picture = picture.reformat(format=wanted, threads=1)
        if self._carried and self._has_side_data(frame.origin):
            picture = _with_side_data(frame.origin, picture)
        color = self._choice.color
        picture.color_range = int(color.range)
        picture.colorspace = int(color.matrix)
        picture.color_primaries = int(color.primaries)
        picture.color_trc = int(color.transfer)
        return picture

    def _has_side_data(self, origin: Any) -> bool:
        return isinstance(origin, av.VideoFrame) and not self._carried.isdisjoint(
            side_data_of(origin)
        )


_MAX_REORDER = 16
"""Pictures by which decoding may run ahead of showing, in any codec here."""


def _with_side_data(origin: av.VideoFrame, picture: av.VideoFrame) -> av.VideoFrame:
    """The picture's samples in a frame that has the origin's side data.

    PyAV makes side data only by copying a frame's properties, which `reformat` does.
    """
    carrier = origin.reformat(
        width=picture.width,
        height=picture.height,
        format=picture.format.name,
        interpolation=Interpolation.POINT,
        threads=1,
    )
    carrier.make_writable()
    for source, destination in zip(picture.planes, carrier.planes, strict=True):
        rows = min(source.height, destination.height)
        given = torch.frombuffer(memoryview(source), dtype=torch.uint8).view(-1, source.line_size)
        taken = torch.frombuffer(memoryview(destination), dtype=torch.uint8)
        length = min(source.line_size, destination.line_size)
        taken.view(-1, destination.line_size)[:rows, :length] = given[:rows, :length]
    return carrier
