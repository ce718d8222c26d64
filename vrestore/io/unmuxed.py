"""An encoder without a file, for a stretch of video that is put into one later."""

from __future__ import annotations

from typing import cast

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from vrestore.errors import EncodeError
from vrestore.io.encode import Encoder, configure
from vrestore.io.hardware import accelerator
from vrestore.io.output import OutputPlan

__all__ = ["open_encoder"]

_GLOBAL_HEADER = 0x40
"""AVFMT_GLOBALHEADER: the container keeps what all packets need, and they do not."""


def open_encoder(plan: OutputPlan) -> tuple[Encoder, bytes]:
    """A fresh encoder as the muxer of the planned output would open it, and its extradata.

    The first picture it is given becomes a key picture that nothing before is needed for.  Raises
    EncodeError.
    """
    spec = plan.choice.spec
    on_device = None if plan.choice.cuda is None else accelerator(plan.choice.cuda)
    context = cast(VideoCodecContext, av.CodecContext.create(spec.codec, "w", hwaccel=on_device))
    configure(context, plan.choice, plan.target, plan.config)
    if av.ContainerFormat(plan.container.name, "w").flags & _GLOBAL_HEADER:
        context.flags |= Flags.global_header
    try:
        context.open()
    except (av.FFmpegError, NotImplementedError) as error:
        raise EncodeError(f"{spec.name} does not open: {error}") from error
    return Encoder(context, plan.choice, plan.target), bytes(context.extradata or b"")
