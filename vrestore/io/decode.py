"""Decoding: a source as an iterable of frames, every one accounted for."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import BinaryIO, Self

import av
import torch
from av.video.stream import VideoStream

from vrestore.errors import InputError
from vrestore.io import tags
from vrestore.io.accounts import OUTSIDE, DecodeReport
from vrestore.io.approach import Entry, Landing, find_landing
from vrestore.io.formats import (
    has_transparency,
    native_planar,
    planes_of,
    sample_format,
    to_native,
)
from vrestore.io.pictures import Picture, Pictures, rate_of
from vrestore.io.selection import DecodeConfig, Selection
from vrestore.io.source import OpenSource, Readable, open_source, video_streams
from vrestore.io.surfaces import is_surface, planes_of_surface, software_name
from vrestore.io.timestamps import Timed, TimeRepair
from vrestore.media import Coding, ColorSpec, Frame, SampleFormat, Timestamp

__all__ = ["DecodeConfig", "DecodeReport", "Decoder", "Layout"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What all frames of a source have in common; set by its first picture."""

    width: int
    height: int
    pixel_format: str
    """FFmpeg's name of the native format that every picture is brought to."""

    format: SampleFormat
    color: ColorSpec


class Decoder:
    """One video stream as frames in display order, code values, zero copy.

    Iterate once.  `report` grows meanwhile.  `close` may be called in any state and any number of
    times; it is also a context manager.  Frames stay valid after closing.

    Pictures that are damaged or never come are replaced by the last good one at the time they would
    have had (`on_error = "repeat"`), or end the iteration with an InputError naming that time
    ("fail").  Pictures of another size or format than the first are brought to it by swscale and
    counted.  `Frame.index` numbers pictures from the start of the source, repeated ones included,
    or from near a late start that was sought.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | BinaryIO | Readable,
        config: DecodeConfig | None = None,
        *,
        stream: int | None = None,
        threads: int = 0,
        entry: Entry | None = None,
        cuda: int | None = None,
    ) -> None:
        """`stream` is the container's index of the stream, as in `VideoInfo.stream.index`; without
        it the configured one, or the first video stream.  `threads` is the codec's thread count,
        0 for as many as there are processors.  What comes before `entry` is left out, and frames
        are numbered as they were when the entry was noted.  `cuda` is the device that decodes and
        keeps the pictures, where it can.  Raises InputError.
        """
        self.config = config or DecodeConfig()
        self.report = DecodeReport()
        self._path = os.fspath(source) if isinstance(source, (str, os.PathLike)) else None
        self._entry = entry
        self.layout: Layout | None = None
        """Known from the first frame on."""
        self._source = open_source(
            source,
            fps=self.config.rate,
            start_number=self.config.start_number,
            max_pixels=self.config.max_pixels,
            cuda=cuda,
        )
        try:
            self._stream = _chosen(self._source, self.config.video, stream)
            # Kept: asked of a closed container, the stream reads memory that is no longer its own.
            self.time_base = self._stream.time_base or Fraction(1, 90000)
            """Seconds per tick of every frame's pts."""
            # Before the codec has threads, see the function.
            self._location = tags.chroma_location(self._source.container, self._stream)
            self._frames = self._run(threads)
        except BaseException:
            self._source.container.close()
            raise
        self._started = False
        self._parity = tags.FieldParity()

    def __iter__(self) -> Iterator[Frame]:
        if self._started:
            raise RuntimeError("a Decoder can be iterated once")
        self._started = True
        return self._frames

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the container and the codec."""
        self._frames.close()
        self._source.container.close()

    def _run(self, threads: int) -> Generator[Frame, None, None]:
        context = self._stream.codec_context
        context.thread_count = threads
        # FFV1 with frame threads runs on one core; its slices are what scales.
        context.thread_type = "SLICE" if context.name == "ffv1" else "AUTO"
        strict = self.config.on_error == "fail"
        landing = self._approach()
        pictures = Pictures(
            self._source,
            self._stream,
            self.report,
            strict=strict,
            landed=None if landing is None else landing.pts,
        )
        repair: TimeRepair[Picture] = TimeRepair(self.time_base, rate_of(self._stream))
        selection = Selection(self.config, None if landing is None else landing.origin)
        try:
            for picture in pictures:
                for timed in repair.push(picture, picture.time):
                    yield from self._emit(timed, selection)
                if selection.finished:
                    self._leave_out_the_rest()
                    return
            for timed in repair.flush():
                yield from self._emit(timed, selection)
        finally:
            self._source.container.close()

    def _approach(self) -> Landing | None:
        """Goes to where a late start can be decoded from; numbers of pictures need them all."""
        config, entry = self.config, self._entry
        if not config.seek or self._path is None or (entry is None and config.frames is not None):
            return None
        landing = find_landing(self._path, self._stream.index, entry or config.times[0])
        if landing is not None:
            self._source.container.seek(landing.seek, stream=self._stream)
        return landing

    def _leave_out_the_rest(self) -> None:
        """Book pictures that were decoded but are later than what was asked for."""
        report = self.report
        accounted = report.emitted + report.dropped.total()
        report.dropped[OUTSIDE] += report.decoded + report.inserted - accounted

    def _emit(self, timed: Timed[Picture], selection: Selection) -> Iterator[Frame]:
        picture = timed.item
        layout = self.layout or self._first(picture.frame)
        if self._entry is not None:
            if timed.pts < self._entry.pts:
                selection.begin(timed.pts * self.time_base)
                self.report.dropped[OUTSIDE] += 1
                return
            selection.number, self._entry = self._entry.index, None
        index = selection.number
        if not selection.takes(timed.pts * self.time_base):
            self.report.dropped[OUTSIDE] += 1
            return
        planes = self._planes(picture.frame, layout)
        self.report.emitted += 1
        self.report.repaired_pts += timed.repaired
        yield Frame(
            planes=planes,
            format=layout.format,
            coding=Coding.CODE,
            color=layout.color,
            timestamp=Timestamp(pts=timed.pts, time_base=self.time_base),
            duration=timed.duration,
            index=index,
            field_order=self._parity.of(picture.frame),
            # A surface of the decoder must not be kept for what it says beside the picture.
            origin=None if is_surface(picture.frame) else picture.origin,
        )

    def _planes(self, frame: av.VideoFrame, layout: Layout) -> tuple[torch.Tensor, ...]:
        """The picture's planes in the layout; on the device where it lies there and fits."""
        if is_surface(frame):
            name = software_name(frame)
            same = sample_format(native_planar(name)) == layout.format
            if same and (frame.width, frame.height) == (layout.width, layout.height):
                return planes_of_surface(frame)
            frame = frame.reformat(format=name, threads=1)
        return planes_of(self._fitted(frame, layout))

    def _first(self, frame: av.VideoFrame) -> Layout:
        name = "gbrap" if has_transparency(frame) else native_planar(software_name(frame))
        layout = sample_format(name)
        assert layout is not None
        color = tags.color_of(frame, self._stream, self._location)
        self.layout = Layout(
            width=frame.width,
            height=frame.height,
            pixel_format=name,
            format=layout,
            color=tags.with_dpx(color, self._source.dpx),
        )
        return self.layout

    def _fitted(self, frame: av.VideoFrame, layout: Layout) -> av.VideoFrame:
        """The picture in the layout's format and size."""
        native = native_planar(frame.format.name)
        same_samples = sample_format(native) == layout.format or frame.format.name == "pal8"
        if same_samples and (frame.width, frame.height) == (layout.width, layout.height):
            return to_native(frame, native if frame.format.name != "pal8" else layout.pixel_format)
        self.report.rescaled += 1
        try:
            return to_native(frame).reformat(
                width=layout.width,
                height=layout.height,
                format=layout.pixel_format,
                interpolation="BICUBIC",
                threads=1,
            )
        except av.FFmpegError as error:
            raise InputError(
                f"{self._source.label} changes from {layout.width}x{layout.height} "
                f"{layout.pixel_format} to {frame.width}x{frame.height} {frame.format.name}, "
                f"which cannot be converted: {error.strerror}"
            ) from error


def _chosen(source: OpenSource, ordinal: int | None, index: int | None) -> VideoStream:
    candidates = video_streams(source, ordinal)
    if index is None:
        filled = (stream for stream in candidates if stream.frames or len(stream.index_entries))
        return next(filled, candidates[0])
    for stream in candidates:
        if stream.index == index:
            return stream
    raise InputError(f"{source.label} has no video stream with index {index}")
