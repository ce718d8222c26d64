"""Reads a finished file again and compares it with what was to be written."""

from __future__ import annotations

from collections import Counter

import av
from av.container import InputContainer
from av.stream import Discard

from vrestore.errors import OutputError
from vrestore.io.encoders import Kind
from vrestore.io.mux import Muxer
from vrestore.io.output import OutputPlan
from vrestore.io.partfile import PartFile
from vrestore.io.streams import Handling
from vrestore.media import ColorModel, Matrix, Primaries, Range, StreamKind, Transfer

__all__ = ["verify_output"]


def verify_output(plan: OutputPlan, muxer: Muxer) -> None:
    """Checks a closed output before it gets its name.

    Every stream must be there, the colour tags must be the planned ones in the container and in the
    first picture, and the number and times of the video packets those that were muxed.  Raises
    OutputError with the first difference.  Outputs that are no file are not read.
    """
    part = muxer.destination
    if not isinstance(part, PartFile):
        return
    if plan.container.name == "image2":
        written = sum(1 for _ in part.path.iterdir())
        _same("pictures", written, muxer.packets)
        return
    try:
        with av.open(str(part.path)) as container:
            _check_streams(container, plan, muxer)
            _check_times(container, plan, muxer)
        with av.open(str(part.path)) as container:
            _check_color(container, plan)
    except av.FFmpegError as error:
        raise OutputError(f"the written file cannot be read again: {error}") from error


def _same(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise OutputError(
            f"the written file has {what} {found} where {wanted} was meant; "
            "nothing was kept, please report this"
        )


def _check_streams(container: InputContainer, plan: OutputPlan, muxer: Muxer) -> None:
    # A track without a packet is none in some containers, and nothing is lost by that.
    kinds = Counter(
        route.kind
        for route in plan.streams.routes
        if route.index in muxer.carried
        or route.handling is Handling.ATTACH
        or route.kind is StreamKind.ATTACHMENT
    )
    empty = Counter(route.kind for route in plan.streams.routes) - kinds
    found = Counter(str(stream.type) for stream in container.streams)
    wanted = {
        "video": 1 + kinds[StreamKind.VIDEO] + kinds[StreamKind.COVER],
        "audio": kinds[StreamKind.AUDIO],
        "subtitle": kinds[StreamKind.SUBTITLE],
        "attachment": kinds[StreamKind.ATTACHMENT],
    }
    for kind, count in wanted.items():
        spare = sum(empty[key] for key in StreamKind if key.value == kind)
        if not count <= found[kind] <= count + spare:
            _same(f"{kind} streams:", found[kind], count)


def _check_times(container: InputContainer, plan: OutputPlan, muxer: Muxer) -> None:
    index = muxer.video.index
    if plan.container.name == "yuv4mpegpipe":
        index = 0
    for stream in container.streams:
        if stream.index != index:
            stream.discard = Discard.all
    video = container.streams[index]
    count, total = 0, 0
    for packet in container.demux(video):
        if packet.size:
            count += 1
            total += packet.pts or 0
    _same("frames:", count, muxer.packets)
    if plan.container.name not in ("yuv4mpegpipe", "mpegts"):
        # A transport stream starts no earlier than zero, which moves all its streams.
        _same("the sum of its times,", total, muxer.time_sum)


def _check_color(container: InputContainer, plan: OutputPlan) -> None:
    color = plan.choice.color
    if plan.choice.spec.kind is Kind.RAW or plan.choice.format.model is ColorModel.GRAY:
        return
    stream = container.streams.video[0]
    picture = next(container.decode(stream), None)
    if picture is None:
        raise OutputError("the written file shows no picture")
    if plan.choice.format.model is ColorModel.RGB:
        return  # The samples themselves say what they are.
    tags = (
        ("matrix", color.matrix, Matrix.UNSPECIFIED, picture.colorspace),
        ("primaries", color.primaries, Primaries.UNSPECIFIED, picture.color_primaries),
        ("transfer", color.transfer, Transfer.UNSPECIFIED, picture.color_trc),
        ("range", color.range, Range.UNSPECIFIED, picture.color_range),
    )
    for name, wanted, unspecified, found in tags:
        if wanted is Range.LIMITED and int(found) == int(Range.UNSPECIFIED):
            continue  # H.264 does not write what goes without saying.
        if wanted != unspecified:
            _same(f"{name} tag", int(found), int(wanted))
