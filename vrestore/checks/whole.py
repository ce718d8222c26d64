"""What a finished video shows of itself: that it is whole, in order, and decodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

from vrestore.checks.verdict import Check, Outcome, checked, counted
from vrestore.io.inventory import Inventory, Packets, Pictures
from vrestore.media import MediaInfo, StreamKind

__all__ = ["wholeness"]

_CONSTANT = 0.98
"""Share of equal steps from which a stream is taken for one of constant rate."""

_GAP = Fraction(3, 2)
"""Of the usual step."""

_ESTIMATES_LENGTH = frozenset({"mpegts", "mpeg", "h264", "hevc"})
"""Containers whose length FFmpeg guesses."""


def wholeness(info: MediaInfo, inventory: Inventory) -> Iterator[Check]:
    """The checks that need nothing but the file.  `inventory` has the restored video decoded."""
    index = info.video.stream.index
    packets, pictures = inventory.packets[index], inventory.pictures
    assert pictures is not None, "the restored video was not decoded"
    yield from checked("file", _broken(info, inventory), _told_file(info))
    yield from checked(
        "frames",
        _frames(packets, pictures, inventory, index),
        f"{len(packets)}, all of them decode",
    )
    yield from checked("picture", pictures.other[:1], _told_picture(info, pictures))
    yield from checked("order", _order(info, inventory), "times rise in every stream")
    yield from _gaps(packets)


def _told_file(info: MediaInfo) -> str:
    size = "" if info.size_bytes is None else f", {info.size_bytes:,} bytes"
    kinds = Counter(stream.kind.value for stream in info.streams)
    streams = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return f"{info.container}{size}: {streams}; read to its end"


def _told_picture(info: MediaInfo, pictures: Pictures) -> str:
    width, height = pictures.size
    return f"{info.video.stream.codec}, {width}x{height} {pictures.pixel_format} throughout"


def _broken(info: MediaInfo, inventory: Inventory) -> Iterator[str]:
    """Where the file ends before its end."""
    if inventory.broken_off is not None:
        yield f"reading stopped at {float(inventory.end):.3f} s: {inventory.broken_off}"
    for index, packets in inventory.packets.items():
        if packets.damaged:
            yield (
                f"stream #{index} has {counted(packets.damaged, 'packet')} that the container "
                "marks as cut off or damaged"
            )
    claimed = inventory.claimed_seconds
    if claimed is None or info.container in _ESTIMATES_LENGTH:
        return
    slack = max(Fraction(1, 10), _usual_step(inventory.packets[info.video.stream.index]) * 2)
    if inventory.end + slack < claimed:
        yield (
            f"its contents end at {float(inventory.end):.3f} s and its header says "
            f"{float(claimed):.3f} s: the end is missing"
        )


def _frames(
    packets: Packets, pictures: Pictures, inventory: Inventory, index: int
) -> Iterator[str]:
    claimed = inventory.claimed.get(index)
    if claimed is not None and claimed != len(packets):
        yield f"{len(packets)} of the {claimed} frames in the container's index are in the file"
    if pictures.failures:
        more = f" and {pictures.failures - 1} more" if pictures.failures > 1 else ""
        yield f"{pictures.errors[0]}{more}"
    elif pictures.count != len(packets):
        yield f"{len(packets)} packets gave {pictures.count} pictures"


def _order(info: MediaInfo, inventory: Inventory) -> Iterator[str]:
    for stream in info.streams:
        packets = inventory.packets.get(stream.index)
        if packets is None or stream.kind is StreamKind.COVER or not len(packets):
            continue
        label = f"{stream.kind.value} #{stream.index}"
        if stream.index == info.video.stream.index:
            if packets.untimed:
                yield f"{counted(packets.untimed, 'frame')} of {label} have no time"
            twice = [pts for pts, count in Counter(packets.pts).items() if count > 1]
            if twice:
                at = float(min(twice) * packets.time_base)
                yield f"{label} has two frames at {at:.3f} s"
        back = next((b for a, b in pairwise(packets.dts) if b < a), None)
        if back is not None:
            at = float(back * packets.time_base)
            yield f"decoding times of {label} go back at {at:.3f} s"


def _usual_step(packets: Packets) -> Fraction:
    """The most frequent distance between two pictures, in seconds; 0 where there is one."""
    times = sorted(packets.pts)
    steps = Counter(after - before for before, after in pairwise(times))
    if not steps:
        return Fraction(0)
    return steps.most_common(1)[0][0] * packets.time_base


def _gaps(packets: Packets) -> Iterator[Check]:
    """Holes in a film of constant rate: frames may be missing, which only the source can tell."""
    times = sorted(packets.pts)
    usual = _usual_step(packets) / packets.time_base
    steps = list(pairwise(times))
    # A clock of milliseconds divides 1/24 s unevenly.
    even = sum(abs(after - before - usual) <= 1 for before, after in steps)
    if not usual or even < _CONSTANT * len(steps):
        return
    holes = [before for before, after in steps if after - before > _GAP * usual]
    if holes:
        after = float(holes[0] * packets.time_base)
        yield Check(
            name="gaps",
            outcome=Outcome.NOTE,
            told=f"the rate is constant but for {counted(len(holes), 'gap')}, the first after "
            f"{after:.3f} s; --against SRC tells whether the source has them",
        )
