"""From an output name to an encoder and a sink: decided first, opened later."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from pathlib import Path

from vrestore.io.choose import EncoderChoice, choose_encoder
from vrestore.io.containers import ContainerSpec, container_for
from vrestore.io.copies import takes_encoder
from vrestore.io.encode import EncodeConfig, Encoder, VideoTarget
from vrestore.io.encoders import AUTO_ORDER, ENCODERS
from vrestore.io.losses import Loss
from vrestore.io.mux import Muxer
from vrestore.io.partfile import Destination, OpenEnd, PartFile
from vrestore.io.streams import StreamPlan, StreamsConfig, plan_streams
from vrestore.io.trim import Span
from vrestore.media import MediaInfo

__all__ = [
    "OutputPlan",
    "final_path",
    "open_muxer",
    "open_output",
    "plan_output",
    "require_possible",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPlan:
    """What will be written, and what of the source will not."""

    output: str
    container: ContainerSpec
    target: VideoTarget
    config: EncodeConfig
    choice: EncoderChoice
    streams: StreamPlan

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Everything that the output cannot keep, the picture's losses first."""
        aspect: tuple[Loss, ...] = ()
        if (
            self.target.sar != 1
            and self.target.display_matrix is not None
            and not (self.container.aspect_for_all or self.choice.spec.aspect_in_stream)
        ):
            aspect = (
                Loss(
                    what=f"sample aspect ratio {self.target.sar}",
                    why=f"{self.choice.spec.name} in {self.container.label} keeps it or the "
                    "rotation, not both",
                    remedy="choose --encoder libx265",
                ),
            )
        return self.choice.losses + aspect + self.streams.losses

    def expected_bytes(self, frames: int | None, source_bytes: int | None) -> int:
        """A cautious guess of the output's size, for the free-space check."""
        spec = self.choice.spec
        picture = self.target.pixels * spec.bits_per_pixel / 8 * (frames or 0)
        # Of the streams beside the picture nothing is known but that they fit into the source.
        beside = (source_bytes or 0) // 10 if self.streams.routes else 0
        return int(picture) + beside


def plan_output(
    output: str,
    info: MediaInfo,
    target: VideoTarget,
    config: EncodeConfig,
    streams: StreamsConfig,
    *,
    exact: bool = False,
) -> OutputPlan:
    """Chooses container, encoder and every stream's way; opens the encoder once to be sure.

    `exact` keeps the source's pixel format (nothing but decode and encode happens to it).  Raises
    PlanError where it cannot be done.
    """
    encoder = config.encoder
    if encoder == "auto" and output == "-":
        encoder = "y4m"
    elif encoder == "auto" and "%" in output:
        encoder = _PICTURE_ENCODERS.get(Path(output).suffix.lower(), "png")
    container = container_for(output, encoder)
    if encoder == "auto" and container.name == "yuv4mpegpipe":
        encoder = "y4m"
    resolved = _with_encoder(config, encoder)
    allowed = [name for name in AUTO_ORDER if takes_encoder(container, ENCODERS[name].codec)]
    choice = choose_encoder(resolved, target, allowed=allowed, exact=exact)
    return OutputPlan(
        output=output,
        container=container,
        target=target,
        config=resolved,
        choice=choice,
        streams=plan_streams(info, container, streams),
    )


_PICTURE_ENCODERS = {
    ".png": "png", ".tif": "tiff16", ".tiff": "tiff16", ".dpx": "dpx", ".exr": "exr",
}  # fmt: skip


def _with_encoder(config: EncodeConfig, encoder: str) -> EncodeConfig:
    return EncodeConfig(
        encoder=encoder,
        speed=config.speed,
        quality=config.quality,
        options=config.options,
        pixel_format=config.pixel_format,
    )


def open_output(
    plan: OutputPlan,
    info: MediaInfo,
    *,
    overwrite: bool = False,
    span: Span | None = None,
    frames: int | None = None,
) -> tuple[Encoder, Muxer]:
    """Claims the place, opens the encoder and writes the header.

    `frames` is the expected number, for the free-space check.  Raises OutputError or EncodeError.
    """
    expected = plan.expected_bytes(frames, info.size_bytes)
    muxer = open_muxer(plan, info, overwrite=overwrite, span=span, expected_bytes=expected)
    return Encoder(muxer.video, plan.choice, plan.target), muxer


def open_muxer(
    plan: OutputPlan,
    info: MediaInfo,
    *,
    overwrite: bool = False,
    span: Span | None = None,
    expected_bytes: int = 0,
) -> Muxer:
    """Claims the place for `expected_bytes`, opens the encoder for its stream's description, and
    writes the header.  Raises OutputError or EncodeError.
    """
    destination = _destination(plan, overwrite=overwrite)
    try:
        destination.claim(expected_bytes)
        return _muxer(destination, plan, info, span)
    except BaseException:
        # Ctrl-C between any two lines must not leave a part either.
        destination.discard()
        raise


def require_possible(
    plan: OutputPlan,
    info: MediaInfo,
    *,
    overwrite: bool,
    span: Span | None,
    expected_bytes: int,
) -> None:
    """Raises what `open_muxer` would; leaves nothing.  For a file, not for numbered pictures."""
    destination = _destination(plan, overwrite=overwrite)
    try:
        destination.claim(expected_bytes)
        _muxer(OpenEnd(io.BytesIO()), plan, info, span).abort()
    finally:
        destination.discard()


def _muxer(destination: Destination, plan: OutputPlan, info: MediaInfo, span: Span | None) -> Muxer:
    return Muxer(
        destination, plan.container, plan.choice, plan.target, plan.config, info, plan.streams,
        span=span,
    )  # fmt: skip


def final_path(plan: OutputPlan) -> Path | None:
    """What the finished output is: a file, or the folder of numbered pictures; None for neither."""
    destination = _destination(plan, overwrite=False)
    return destination.final if isinstance(destination, PartFile) else None


def _destination(plan: OutputPlan, *, overwrite: bool) -> Destination:
    output = Path(plan.output)
    if plan.container.name == "null":
        return OpenEnd("null")
    if plan.output == "-":
        return OpenEnd(sys.stdout.buffer)
    if plan.container.name == "image2":
        return PartFile(output.parent, overwrite=overwrite, pattern=output.name)
    return PartFile(output, overwrite=overwrite)
