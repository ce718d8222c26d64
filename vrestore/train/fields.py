"""What television does to moving pictures: fields, pulldown, repeats, standards conversion.

A cadence is a list of pairs (number of the picture in the top field, number in the bottom field),
one for each video frame, so the list that makes a clip is also the truth about it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TypeAlias

import av
import av.filter
import av.video.stream
import numpy as np
import torch
from torch import Tensor

from vrestore.media import FieldOrder
from vrestore.train.codec import repeatable_x264

__all__ = [
    "Pair",
    "Picture",
    "blended",
    "bobbed",
    "coded",
    "exact_pictures",
    "interlaced",
    "joined",
    "repeated",
    "shifted",
    "telecine",
    "weave",
    "whole",
]

Picture: TypeAlias = tuple[Tensor, ...]
"""Planes of code values, luma first, each (rows, columns)."""

Pair: TypeAlias = tuple[int, int]


def whole(count: int) -> list[Pair]:
    """Progressive pictures, or progressive segmented frames: the samples are the same."""
    return [(t, t) for t in range(count)]


def interlaced(count: int, order: FieldOrder) -> list[Pair]:
    """Video: every field is a picture of its own, twice as many pictures as frames."""
    return [_ordered(2 * t, 2 * t + 1, order) for t in range(count)]


def telecine(count: int, order: FieldOrder, position: int = 0) -> list[Pair]:
    """3:2 pulldown, four pictures in five frames, beginning at `position` 0..4 of the cycle

    AA BB BC CD DD.  The first picture has number 0.
    """
    cycle = ((0, 0), (1, 1), (1, 2), (2, 3), (3, 3))
    pairs = []
    for t in range(position, position + count):
        first, second = cycle[t % 5]
        done = 4 * (t // 5) - cycle[position][0]
        pairs.append(_ordered(first + done, second + done, order))
    return pairs


def shifted(count: int, order: FieldOrder) -> list[Pair]:
    """2:2 film a field late: a frame's second field and the next one's first are one picture."""
    return [_ordered(t, t + 1, order) for t in range(count)]


def repeated(count: int, per_frame: Fraction) -> list[Pair]:
    """Whole frames, some of them shown again: `per_frame` 2/3 is 16 pictures in 24 frames."""
    return [(int(t * per_frame),) * 2 for t in range(count)]


def joined(*parts: Sequence[Pair]) -> list[Pair]:
    """One cadence after the other; each takes pictures that the ones before did not."""
    pairs: list[Pair] = []
    for part in parts:
        begin = 1 + max((max(pair) for pair in pairs), default=-1)
        pairs += [(top + begin, bottom + begin) for top, bottom in part]
    return pairs


def _ordered(first: int, second: int, order: FieldOrder) -> Pair:
    return (second, first) if order is FieldOrder.BOTTOM_FIRST else (first, second)


def exact_pictures(pairs: Sequence[Pair]) -> list[int]:
    """Numbers of the pictures both of whose fields are there, in order: what can be had back."""
    tops, bottoms = {top for top, _ in pairs}, {bottom for _, bottom in pairs}
    return sorted(tops & bottoms)


def weave(pictures: Sequence[Picture], pairs: Sequence[Pair]) -> list[Picture]:
    """The frames of a cadence."""
    frames = []
    for top, bottom in pairs:
        planes = []
        for even, odd in zip(pictures[top], pictures[bottom], strict=True):
            mixed = even.clone()
            mixed[1::2] = odd[1::2]
            planes.append(mixed)
        frames.append(tuple(planes))
    return frames


def bobbed(frames: Tensor, *, first: int) -> Tensor:
    """Frames (T, C, H, W) as a deinterlacer makes them that looks at one field alone.

    Of frame t the lines of parity `first` + t stay; the others are the cubic's between them.
    """
    out = frames.clone()
    rows = torch.arange(frames.shape[2])
    last = frames.shape[2] - 1
    for t in range(len(frames)):
        parity = (first + t) % 2
        gone = rows[rows % 2 != parity]
        lines = torch.zeros_like(frames[t, :, gone])
        for step, weight in ((-3, -1 / 16), (-1, 9 / 16), (1, 9 / 16), (3, -1 / 16)):
            at = gone + step
            at = torch.where(at < 0, parity, torch.where(at > last, last - (last - parity) % 2, at))
            lines += weight * frames[t, :, at]
        out[t, :, gone] = lines
    return out


def blended(
    pictures: Sequence[Picture], count: int, order: FieldOrder, per_field: Fraction
) -> list[Picture]:
    """A standards converter's work: each field is exposed for its share of the source's time.

    A field lasts `per_field` pictures (24/50 for film in PAL, 60/50 for NTSC fields); where that
    interval holds parts of several pictures they are averaged by their parts.
    """
    fields = [
        _exposed(pictures, n * per_field, (n + 1) * per_field, pictures[0])
        for n in range(2 * count)
    ]
    return weave(fields, interlaced(count, order))


def _exposed(pictures: Sequence[Picture], begin: Fraction, end: Fraction, like: Picture) -> Picture:
    sums = [torch.zeros(plane.shape) for plane in like]
    at = begin
    while at < end:
        until = min(end, Fraction(int(at) + 1))
        share = float((until - at) / (end - begin))
        for total, plane in zip(sums, pictures[int(at)], strict=True):
            total += share * plane.float()
        at = until
    return tuple(total.round().to(plane.dtype) for total, plane in zip(sums, like, strict=True))


def coded(
    frames: Sequence[Picture],
    encoder: str,
    quality: float,
    order: FieldOrder = FieldOrder.PROGRESSIVE,
) -> Iterator[Picture]:
    """8-bit 4:2:0 frames after a trip through a real encoder, in its interlaced mode where `order`
    is TOP_FIRST or BOTTOM_FIRST.

    `encoder` is "libx264" with `quality` as crf, or "mpeg2video" with it as quantiser.
    """
    height, width = frames[0][0].shape
    fields = order is not FieldOrder.PROGRESSIVE
    options = {"threads": "1", **({"flags": "+ilme+ildct"} if fields else {})}
    if encoder == "libx264":
        options |= {"crf": str(quality), "preset": "veryfast", **repeatable_x264()}
    else:
        options |= {"qmin": f"{quality:.0f}", "qmax": f"{quality:.0f}", "bf": "2", "g": "12"}
    mark = _flags(width, height, order)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream(encoder, rate=Fraction(25), options=options)
        assert isinstance(stream, av.video.stream.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for t, planes in enumerate(frames):
            flat = np.concatenate([plane.numpy().reshape(-1) for plane in planes])
            picture = av.VideoFrame.from_ndarray(flat.reshape(-1, width), format="yuv420p")
            picture.pts, picture.time_base = t, Fraction(1, 25)
            mark.push(picture)
            flagged = mark.pull()
            assert isinstance(flagged, av.VideoFrame)
            container.mux(stream.encode(flagged))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as made:
        for picture in made.decode(video=0):
            codes = torch.from_numpy(picture.to_ndarray())
            chroma = codes[height:].reshape(2, height // 2, width // 2)
            yield codes[:height], chroma[0], chroma[1]


def _flags(width: int, height: int, order: FieldOrder) -> av.filter.Graph:
    """Gives pictures a field order; PyAV's frames have none to set."""
    modes = {FieldOrder.TOP_FIRST: "tff", FieldOrder.BOTTOM_FIRST: "bff"}
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat("yuv420p"), time_base=Fraction(1, 25)
    )
    step = graph.add("setfield", f"mode={modes.get(order, 'prog')}")
    sink = graph.add("buffersink")
    source.link_to(step)
    step.link_to(sink)
    graph.configure()
    return graph
