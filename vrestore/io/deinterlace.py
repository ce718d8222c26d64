"""Interlaced frames to progressive ones, by FFmpeg's bwdif or yadif.

An interlaced frame holds two fields, two instants half a frame apart, in alternate rows.  "bob"
makes a picture of each field; "same-rate" makes one picture a frame, at the time of the first
field.  Frames that are not interlaced pass as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import av
import av.filter
import torch

from vrestore.errors import PlanError, VRestoreError
from vrestore.io.formats import pixel_format, planes_of
from vrestore.media import Coding, FieldOrder, Frame, SampleFormat, Timestamp, VideoInfo

__all__ = [
    "Deinterlace",
    "DeinterlaceConfig",
    "Deinterlacing",
    "FieldReport",
    "choose_deinterlacing",
]

_MODES = ("auto", "off", "bob", "same-rate")
_FILTERS = ("bwdif", "yadif")
_ORDERS: Mapping[str, FieldOrder] = MappingProxyType(
    {"tff": FieldOrder.TOP_FIRST, "bff": FieldOrder.BOTTOM_FIRST}
)
_KNOWN_AS: Mapping[str, tuple[str, str | None]] = MappingProxyType(
    {"bwdif": ("bob", "bwdif"), "yadif": ("same-rate", "yadif"), "decomb": ("same-rate", None)}
)
"""Other tools' names: the mode they mean (at FFmpeg's default rate) and the filter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeinterlaceConfig:
    """Section [deinterlace] of a preset."""

    mode: str = "off"
    """What happens to interlaced frames.

    "auto": where the source's pictures show that it is interlaced, each interlaced frame becomes
    two, whatever its flag says; whole pictures pass unchanged.  Where nothing moves the flags are
    believed.  "off": fields stay as they are.  "bob": every frame becomes two,
    whatever its flag says.  "same-rate": every frame becomes one.  Names from other tools: "bwdif"
    is bob, "yadif" and "decomb" are same-rate.
    """

    filter: str = "bwdif"
    """What fills in the missing rows: "bwdif", or "yadif" (quicker, less steady)."""

    order: str = "auto"
    """Which field is shown first: "tff" or "bff"; "auto" is as measured, and as flagged where
    nothing was."""

    def __post_init__(self) -> None:
        if self.mode not in (*_MODES, *_KNOWN_AS):
            known = ", ".join((*_MODES, *_KNOWN_AS))
            raise ValueError(f"mode must be one of {known}, got {self.mode!r}")
        if self.filter not in _FILTERS:
            raise ValueError(f'filter must be "bwdif" or "yadif", got {self.filter!r}')
        if self.order != "auto" and self.order not in _ORDERS:
            raise ValueError(f'order must be "auto", "tff" or "bff", got {self.order!r}')


@dataclass(frozen=True, slots=True, kw_only=True)
class Deinterlacing:
    """How the frames of one source are deinterlaced."""

    rate: int
    """Pictures made of an interlaced frame: 1 or 2."""

    filter: str = "bwdif"

    every: bool = False
    """Frames that are not flagged interlaced are taken for interlaced too."""

    order: FieldOrder | None = None
    """The order of all frames, TOP_FIRST or BOTTOM_FIRST; None trusts each frame's own.
    PROGRESSIVE says that all frames are whole pictures: they pass, and lose their flags."""

    fallback: FieldOrder = FieldOrder.TOP_FIRST
    """The order of frames that are interlaced but do not say how."""

    def order_of(self, frame: Frame) -> FieldOrder:
        """TOP_FIRST or BOTTOM_FIRST for a frame to be deinterlaced, else PROGRESSIVE."""
        flagged = frame.field_order.has_fields
        if self.order is FieldOrder.PROGRESSIVE or (not flagged and not self.every):
            return FieldOrder.PROGRESSIVE
        return self.order or (frame.field_order if flagged else self.fallback)

    def __str__(self) -> str:
        if self.order is FieldOrder.PROGRESSIVE:
            return "whole pictures, flags of fields taken off"
        what = "every frame" if self.every else "frames flagged interlaced"
        order = "" if self.order is None else f", {self.order.value}"
        return f"{what} by {self.filter}{order}, 1 -> {self.rate}"


def choose_deinterlacing(
    config: DeinterlaceConfig,
    video: VideoInfo,
    *,
    is_still: bool = False,
    measured: FieldOrder = FieldOrder.UNKNOWN,
    marked: bool = False,
) -> Deinterlacing | None:
    """What is to be done for a source; None for nothing.

    `measured` is what its pictures show, UNKNOWN to believe the flags; `marked` says that every
    frame will come with the right `field_order` whatever its file says.  Raises PlanError where the
    filter does not take its pictures.
    """
    mode, named = _KNOWN_AS.get(config.mode, (config.mode, None))
    flagged = video.field_order.has_fields
    whole = Deinterlacing(rate=1, order=FieldOrder.PROGRESSIVE) if flagged or marked else None
    if mode == "off" or (is_still and mode == "auto"):
        return whole if marked else None
    if is_still and mode == "bob":
        raise PlanError("a still cannot become two pictures; give --deinterlace same-rate or off")
    if mode == "auto" and not marked:
        if measured is FieldOrder.PROGRESSIVE:
            return whole
        if measured is FieldOrder.UNKNOWN and not flagged:
            return None
    seen = measured.has_fields
    asked = _ORDERS.get(config.order)
    # Film has a combed frame here and there, at a cut; two pictures of it would only stutter.
    film = mode == "auto" and measured is FieldOrder.PROGRESSIVE
    chosen = Deinterlacing(
        rate=1 if mode == "same-rate" or film else 2,
        filter=named or config.filter,
        every=not marked and (mode != "auto" or seen),
        order=asked or (measured if seen and not marked else None),
        fallback=video.field_order if flagged else FieldOrder.TOP_FIRST,
    )
    if not _takes(chosen, video.format, video.width, video.height):
        raise PlanError(
            f"{chosen.filter} does not deinterlace {video.width}x{video.height} "
            f"{pixel_format(video.format)}; give --deinterlace off or convert the source first"
        )
    return chosen


def _takes(chosen: Deinterlacing, form: SampleFormat, width: int, height: int) -> bool:
    """Whether the filter works on such pictures as they are.

    FFmpeg puts a conversion before it where it does not.
    """
    if form.is_float:
        return False  # FFmpeg aborts the process where no conversion exists either.
    try:
        trial = _FilterGraph(chosen, pixel_format(form), width, height)
        trial.push(av.VideoFrame(width, height, pixel_format(form)))
        return all(made.native for made in trial.end())
    except av.FFmpegError:
        return False


@dataclass(slots=True)
class FieldReport:
    """The books of a Deinterlace.  Grows while it runs."""

    rate: int
    """Pictures made of an interlaced frame."""

    frames: int = 0
    """Frames taken."""

    deinterlaced: int = 0
    """Frames among them that were deinterlaced."""

    @property
    def added(self) -> int:
        """Pictures given beyond one a frame: the second fields."""
        return self.deinterlaced * (self.rate - 1)


class Deinterlace:
    """Op[Frame, Frame] on `Coding.CODE` frames in main memory; times strictly increasing.

    With `rate` 2 all times move to half the time base, so that they stay whole numbers: a frame of
    `duration` d at pts t becomes its first field at 2t and its second at 2t + d, both of duration d
    and of the frame's `index`; where the next frame comes earlier than t + d, the second field lies
    half way to it.  A frame that is not interlaced stays one frame, at 2t, of duration 2d, its
    planes untouched.  With `rate` 1 times stay as they are.

    What a frame's `origin` holds (captions above all) goes with the first field only, and so does
    `shot_start`.  Nothing crosses the start of a shot: its first field and the last one of the shot
    before are filled in from within their own picture.
    """

    latency = 1

    def __init__(self, plan: Deinterlacing) -> None:
        self.report = FieldReport(rate=plan.rate)
        self._plan = plan
        self._graph: _FilterGraph | None = None
        self._waiting: dict[int, tuple[Frame, FieldOrder]] = {}
        """By the number that the filter knows them under."""
        self._marker = _Marker()

    def push(self, frame: Frame) -> Iterator[Frame]:
        if frame.coding is not Coding.CODE:
            raise ValueError(f"fields are told apart in code values, got {frame!r}")
        if self._plan.order is FieldOrder.PROGRESSIVE:
            self.report.frames += 1
            yield self._unflagged(frame)
            return
        name = pixel_format(frame.format)
        pts = frame.timestamp.pts
        if self._graph is not None and (
            frame.shot_start or self._graph.shape != (name, frame.width, frame.height)
        ):
            yield from self._end(pts)
        if self._graph is None:
            self._graph = _FilterGraph(self._plan, name, frame.width, frame.height)
        order = self._plan.order_of(frame)
        self.report.frames += 1
        self.report.deinterlaced += order is not FieldOrder.PROGRESSIVE
        self._waiting[self._graph.taken] = frame, order
        with self._explained(repr(frame)):
            self._graph.push(self._marker.marked(_copied(frame, name), order))
            made = list(self._graph.ready())
        for picture in made:
            yield self._shown(picture, pts)

    def flush(self) -> Iterator[Frame]:
        yield from self._end(None)

    def _end(self, until: int | None) -> Iterator[Frame]:
        """What the filter holds back; `until` is the pts of what comes next, if anything does."""
        graph, self._graph = self._graph, None
        if graph is None:
            return
        with self._explained("the end of a shot"):
            made = list(graph.end())
        for picture in made:
            yield self._shown(picture, until)
        self._waiting.clear()

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except av.FFmpegError as error:
            raise VRestoreError(f"{self._plan.filter} refused {what}: {error}") from error

    def _shown(self, picture: _Made, until: int | None) -> Frame:
        frame, order = self._waiting[picture.number]
        doubled = self._plan.rate == 2
        if order is FieldOrder.PROGRESSIVE:
            del self._waiting[picture.number]
            whole = self._unflagged(frame) if frame.field_order is order else frame
            return _on_half_ticks(whole) if doubled else whole
        if picture.is_second or not doubled:
            del self._waiting[picture.number]
        made = replace(
            frame, planes=picture.planes, field_order=FieldOrder.PROGRESSIVE, origin=None
        )
        if not picture.is_second:
            made = replace(made, origin=self._without_fields(frame.origin))
        if not doubled:
            return made
        distance = frame.duration
        if until is not None:
            distance = max(1, min(distance, until - frame.timestamp.pts))
        stamp = _on_half_ticks(frame).timestamp
        if not picture.is_second:
            return replace(made, timestamp=stamp, duration=distance)
        return replace(
            made,
            timestamp=replace(stamp, pts=stamp.pts + distance),
            duration=2 * frame.duration - distance,
            shot_start=False,
        )

    def _unflagged(self, frame: Frame) -> Frame:
        """A whole picture, said to be one; the very frame that came where it did say so."""
        origin = self._without_fields(frame.origin)
        if frame.field_order is FieldOrder.PROGRESSIVE and origin is frame.origin:
            return frame
        return replace(frame, field_order=FieldOrder.PROGRESSIVE, origin=origin)

    def _without_fields(self, origin: Any) -> Any:
        """The origin flagged progressive: encoders believe the flags of what carries side data."""
        if isinstance(origin, av.VideoFrame) and origin.interlaced_frame:
            return self._marker.marked(origin, FieldOrder.PROGRESSIVE)
        return origin


def _on_half_ticks(frame: Frame) -> Frame:
    """The same frame at the same time, on a clock that ticks twice as often."""
    stamp = frame.timestamp
    return replace(
        frame,
        timestamp=Timestamp(pts=2 * stamp.pts, time_base=stamp.time_base / 2),
        duration=2 * frame.duration,
    )


def _copied(frame: Frame, name: str) -> av.VideoFrame:
    """The frame's samples in memory of FFmpeg's own, padded and aligned as its filters expect."""
    copy = av.VideoFrame(frame.width, frame.height, name)
    for destination, plane in zip(planes_of(copy), frame.planes, strict=True):
        destination.copy_(plane)
    return copy


# --------------------------------------------------------------------------------- FFmpeg's part


@dataclass(frozen=True, slots=True)
class _Made:
    """One picture that the filter gave."""

    number: int
    """Of the frame pushed that it shows, from 0."""

    is_second: bool
    picture: av.VideoFrame
    native: bool
    """It has the format of what was pushed."""

    @property
    def planes(self) -> tuple[torch.Tensor, ...]:
        return planes_of(self.picture)


class _FilterGraph:
    """bwdif or yadif for frames of one shape, each deinterlaced or not as it is flagged.

    Frames are numbered by their pts; a second field is half way to the next number.
    """

    def __init__(self, plan: Deinterlacing, name: str, width: int, height: int) -> None:
        """Raises av.FFmpegError where the filter refuses the shape."""
        self.shape = name, width, height
        self.taken = 0
        """Frames pushed so far."""
        self._given = -1
        """Number of the picture given last."""
        mode = "send_field" if plan.rate == 2 else "send_frame"
        self._graph = _graph(self.shape, plan.filter, f"mode={mode}:parity=auto:deint=interlaced")

    def push(self, picture: av.VideoFrame) -> None:
        picture.pts, picture.time_base = self.taken, Fraction(1)
        self.taken += 1
        self._graph.push(picture)

    def ready(self) -> Iterator[_Made]:
        """Pictures that are finished."""
        while True:
            try:
                picture = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(picture, av.VideoFrame)
            assert picture.pts is not None and picture.time_base is not None
            number = int(picture.pts * picture.time_base)
            # Not told by its time: of a single frame both fields get the same.
            is_second, self._given = number == self._given, number
            yield _Made(number, is_second, picture, picture.format.name == self.shape[0])

    def end(self) -> Iterator[_Made]:
        """The last pictures; nothing can be pushed afterwards."""
        self._graph.push(None)
        return self.ready()


class _Marker:
    """Flags pictures with a field order; FFmpeg's `setfield` does it, PyAV does not."""

    _MODES: Mapping[FieldOrder, str] = MappingProxyType(
        {
            FieldOrder.TOP_FIRST: "tff",
            FieldOrder.BOTTOM_FIRST: "bff",
            FieldOrder.PROGRESSIVE: "prog",
        }
    )

    def __init__(self) -> None:
        self._graphs: dict[FieldOrder, tuple[tuple[str, int, int], av.filter.Graph]] = {}

    def marked(self, picture: av.VideoFrame, order: FieldOrder) -> av.VideoFrame:
        """The same samples, tags and side data with other flags; `picture` keeps its own."""
        shape = picture.format.name, picture.width, picture.height
        known, graph = self._graphs.get(order, (None, None))
        if graph is None or known != shape:
            graph = _graph(shape, "setfield", f"mode={self._MODES[order]}")
            self._graphs[order] = shape, graph
        graph.push(picture)
        marked = graph.pull()
        assert isinstance(marked, av.VideoFrame)
        return marked


def _graph(shape: tuple[str, int, int], name: str, arguments: str) -> av.filter.Graph:
    """A source, one filter and a sink."""
    form, width, height = shape
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat(form), time_base=Fraction(1)
    )
    step, sink = graph.add(name, arguments), graph.add("buffersink")
    source.link_to(step)
    step.link_to(sink)
    graph.configure()
    return graph
