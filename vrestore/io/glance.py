"""A few pictures from all over a source, for statistics: quick, and not frame-exact."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice

import av
from av.video.stream import VideoStream

from vrestore.io import tags
from vrestore.io.formats import planes_of, sample_format, to_native
from vrestore.io.selection import DecodeConfig
from vrestore.io.source import OpenSource, open_source
from vrestore.media import Coding, Frame, MediaInfo, Timestamp

__all__ = ["glance"]


_USUAL_RATE = Fraction(25)
"""Pictures a second, where the source does not tell."""


def glance(info: MediaInfo, config: DecodeConfig, *, places: int, frames: int) -> Iterator[Frame]:
    """Up to `frames` pictures from each of `places` places spread over the source's length.

    Each place begins at the key picture that seeking finds; a source that cannot seek, or whose
    length is not known, is read from its beginning alone.  Pictures that are damaged, of another
    size than the source's, or not later than the one given before are left out.  Frames carry the
    fields' order as flagged; their `index` follows from their time at the source's average rate,
    and is that of the picture where the rate is constant.  Raises InputError where the source
    cannot be opened.
    """
    video = info.video
    source = open_source(
        info.path,
        fps=config.rate,
        start_number=config.start_number,
        max_pixels=config.max_pixels,
    )
    with contextlib.closing(source.container):
        stream = source.container.streams[video.stream.index]
        assert isinstance(stream, VideoStream)
        stream.thread_type = "AUTO"
        parity = tags.FieldParity()
        base = stream.time_base or video.time_base
        period = 1 / ((video.average_rate or _USUAL_RATE) * base)
        start: int | None = None
        latest: tuple[int, int] | None = None
        """Time and index of the frame given before."""
        for picture in _pictures(source, stream, info, places, frames):
            native = to_native(picture)
            same_size = (picture.width, picture.height) == (video.width, video.height)
            if not same_size or sample_format(native.format.name) != video.format:
                continue
            pts = picture.pts
            if pts is None:
                pts = round(period) + latest[0] if latest else 0
            start = pts if start is None else start
            index = round((pts - start) / period)
            if latest is not None:
                if pts <= latest[0]:
                    continue
                index = max(index, latest[1] + 1)
            latest = pts, index
            yield Frame(
                planes=planes_of(native),
                format=video.format,
                coding=Coding.CODE,
                color=video.color,
                duration=1,
                index=index,
                timestamp=Timestamp(pts=pts, time_base=base),
                field_order=parity.of(picture),
            )


def _pictures(
    source: OpenSource, stream: VideoStream, info: MediaInfo, places: int, frames: int
) -> Iterator[av.VideoFrame]:
    length = info.duration_seconds_from_header or Fraction(0)
    base = stream.time_base or Fraction(1, 90000)
    start = stream.start_time or 0
    yield from islice(_decoded(source, stream), frames)
    for place in range(1, places if length > 1 else 1):
        try:
            source.container.seek(start + int(length * place / places / base), stream=stream)
        except av.FFmpegError:
            return
        yield from islice(_decoded(source, stream), frames)


def _decoded(source: OpenSource, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Good pictures from here on; ends at the first that cannot be read."""
    with contextlib.suppress(av.FFmpegError):
        for picture in source.container.decode(stream):
            if not picture.is_corrupt:
                yield picture
