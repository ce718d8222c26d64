"""Segments to the finished file: their packets, copied, with everything beside the picture."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vrestore.errors import OutputError, VRestoreError
from vrestore.io.mux import Muxer
from vrestore.io.output import OutputPlan, open_muxer
from vrestore.io.packetfile import read_packets
from vrestore.io.partfile import PartFile
from vrestore.io.verify import verify_output
from vrestore.jobs.folder import JobFolder
from vrestore.planning import Plan
from vrestore.runtime.posix import fsync_dir, fsync_file

if TYPE_CHECKING:
    from av.packet import Packet

__all__ = ["in_decoding_order", "join"]


def join(job: JobFolder, plan: Plan, *, overwrite: bool) -> int:
    """Writes the finished file, reads it again, and gives it its name; how many frames it has.

    Raises OutputError where that cannot be done or a segment is damaged, VRestoreError where the
    segments do not fit together.
    """
    output = plan.output
    assert output is not None
    beside = output.expected_bytes(0, plan.info.size_bytes)
    muxer = open_muxer(
        output, plan.info, overwrite=overwrite, span=plan.span, expected_bytes=job.bytes + beside
    )
    try:
        _require_alike(job, muxer)
        depth = max((made.reorder for made in job.made.values()), default=0)
        for packet in in_decoding_order(_packets(job, output), depth):
            muxer.write(packet)
        muxer.close()
        wanted = sum(made.packets for made in job.made.values())
        if muxer.packets != wanted:
            raise VRestoreError(f"{muxer.packets} packets joined of {wanted}; please report this")
        verify_output(output, muxer)
        _commit(job, muxer)
        return muxer.packets
    except BaseException:
        muxer.abort()
        raise


def _require_alike(job: JobFolder, muxer: Muxer) -> None:
    """All segments must have been made by encoders that describe their stream alike."""
    extradata = bytes(muxer.video.codec_context.extradata or b"")
    wanted = hashlib.sha256(extradata).hexdigest()[:16]
    for number, made in sorted(job.made.items()):
        if made.frames and made.extradata != wanted:
            raise VRestoreError(
                f"segment {number} was encoded by another encoder than the others; "
                "--restart begins anew"
            )


def _packets(job: JobFolder, output: OutputPlan) -> Iterator[Packet[Any]]:
    for number, made in sorted(job.made.items()):
        count = 0
        for packet in _whole(job, number, output.target.time_base):
            if not (count or packet.is_keyframe):
                raise VRestoreError(
                    f"segment {number} does not begin with a key picture; please report this"
                )
            count += 1
            yield packet
        if count != made.packets:
            raise VRestoreError(f"segment {number} has lost packets; please report this")


def _whole(job: JobFolder, number: int, time_base: Fraction) -> Iterator[Packet[Any]]:
    """The packets of a segment.  OutputError where it is damaged; it is made again then."""
    try:
        yield from read_packets(job.segment_path(number), time_base)
    except OutputError as error:
        job.drop(number)
        raise OutputError(f"segment {number} was damaged on the disk and is taken away") from error


def in_decoding_order(packets: Iterable[Packet[Any]], depth: int) -> Iterator[Packet[Any]]:
    """Gives packets the decoding times of one stream that was never interrupted.

    Encoders count from their own beginning, so that times of two segments would overlap.  The time
    of the n-th packet here is the n-th time shown, `depth` packets before: the most by which
    decoding runs ahead of showing in any segment.  Before there are so many, times go back from the
    first picture by its duration.  Raises VRestoreError where pictures overlap.
    """
    shown: list[int] = []
    last: int | None = None
    for position, packet in enumerate(packets):
        pts = packet.pts or 0
        if position == 0:
            first, step = pts, max(1, packet.duration or 1)
        heapq.heappush(shown, pts)
        if position < depth:
            dts = first - (depth - position) * step
        else:
            dts = heapq.heappop(shown)
        if dts > pts or (last is not None and dts <= last):
            raise VRestoreError(
                f"pictures of two segments overlap at {float(pts * Fraction(packet.time_base))} s; "
                "please report this"
            )
        last = packet.dts = dts
        yield packet


def _commit(job: JobFolder, muxer: Muxer) -> None:
    """The finished file is on the disk before it has its name, and its name before this returns."""
    part = muxer.destination
    if not isinstance(part, PartFile):
        muxer.commit()
        return
    if part.path.is_file():
        fsync_file(part.path)
        job.finish(part.path.stat().st_size)
    muxer.commit()
    fsync_dir(part.final.parent)
