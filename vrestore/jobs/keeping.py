"""Restored frames to durable segments: the right half of a job's threads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from vrestore.errors import OutputError, StoppedError, VRestoreError
from vrestore.io.encode import Encoder
from vrestore.io.output import OutputPlan
from vrestore.io.packetfile import PacketWriter
from vrestore.io.partfile import RESERVE_BYTES
from vrestore.io.unmuxed import open_encoder
from vrestore.jobs.entries import Made
from vrestore.jobs.making import SegmentRestored
from vrestore.media import Frame
from vrestore.notes import ShotNote
from vrestore.runtime.posix import free_bytes

__all__ = ["EncodeSegments", "KeepSegments", "SegmentEncoded", "SegmentStore", "reorder_depth"]

_CHECK_EVERY_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEncoded:
    """Comes after the last packet of a segment."""

    restored: SegmentRestored
    extradata: str


class EncodeSegments:
    """Op: restored frames to packets, each segment by an encoder of its own."""

    def __init__(self, output: OutputPlan) -> None:
        self.latency = output.choice.spec.latency
        self._output = output
        self._encoder: Encoder | None = None
        self._extradata = ""

    def push(self, item: Frame | SegmentRestored) -> Iterator[Any]:
        if isinstance(item, SegmentRestored):
            frames = 0
            if self._encoder is not None:
                yield from self._encoder.flush()
                frames = self._encoder.frames
            if frames != item.frames:
                raise VRestoreError(f"{frames} frames encoded of {item.frames}; please report this")
            self._encoder = None
            yield SegmentEncoded(restored=item, extradata=self._extradata)
            return
        if self._encoder is None:
            self._encoder, extradata = open_encoder(self._output)
            self._extradata = hashlib.sha256(extradata).hexdigest()[:16]
        yield from self._encoder.push(item)

    def flush(self) -> Iterable[Any]:
        return ()


class SegmentStore(Protocol):
    """Where whole segments go: a job's folder, or a worker's way back to one."""

    path: Path
    """A folder that segments may be written in."""

    def keep(self, part: Path, made: Made) -> None:
        """Takes a written segment.  Raises OSError."""


class KeepSegments:
    """Sink: packets to files of the job's folder, each durable as soon as it is whole."""

    def __init__(self, job: SegmentStore, *, kept: Callable[[SegmentRestored], None]) -> None:
        """`kept` is told of each segment that became durable."""
        self._job = job
        self._kept = kept
        self._part = job.path / "segment.part"
        self._writer: PacketWriter | None = None
        self._times: list[int] = []
        self._unchecked = 0
        self._began = monotonic()

    def write(self, item: Any) -> None:
        """Raises StoppedError where the disk is nearly full, OutputError where it refuses."""
        try:
            if isinstance(item, SegmentEncoded):
                self._finish(item)
                return
            if self._writer is None:
                self._writer = self._begun()
            self._check_space(item.size)
            self._writer.write(item)
            self._times.append(item.pts or 0)
        except OSError as error:
            raise OutputError(f"{self._job.path} cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Nothing to finish: what is not whole is not kept."""

    def abort(self) -> None:
        """Removes the segment under way."""
        if self._writer is not None:
            self._writer.close()
            self._part.unlink(missing_ok=True)
        self._writer = None

    def _begun(self) -> PacketWriter:
        # What an earlier run left there may be a link that leads elsewhere.
        self._part.unlink(missing_ok=True)
        return PacketWriter(self._part)

    def _check_space(self, size: int) -> None:
        self._unchecked += size
        if self._unchecked < _CHECK_EVERY_BYTES and self._times:
            return
        self._unchecked = 0
        free = free_bytes(self._job.path)
        if free < RESERVE_BYTES + size:
            raise StoppedError(
                f"the disk of {self._job.path} is full ({free // 2**20} MiB left); free some space"
            )

    def _finish(self, item: SegmentEncoded) -> None:
        restored, times = item.restored, self._times
        with self._writer or self._begun() as writer:
            writer.end()
        self._writer, self._times = None, []
        if len(times) != restored.frames:
            raise VRestoreError(
                f"{len(times)} packets of {restored.frames} frames; please report this"
            )
        if times and times[0] != min(times):
            raise VRestoreError(
                f"segment {restored.segment.number} is not closed: a picture is shown before its "
                "first packet; please report this"
            )
        now = monotonic()
        made = Made(
            number=restored.segment.number,
            bytes=writer.bytes,
            packets=writer.packets,
            last_pts=max(times, default=0),
            reorder=reorder_depth(times),
            extradata=item.extradata,
            frames=restored.frames,
            added=restored.added,
            deinterlaced=restored.deinterlaced,
            shots=restored.shots,
            seconds=round(now - self._began, 3),
            notes=tuple(map(_plain, restored.notes.notes())),
        )
        self._began = now
        self._job.keep(self._part, made)
        self._kept(restored)


def _plain(note: ShotNote) -> dict[str, Any]:
    return {
        "stage": note.stage,
        "first": note.first,
        "frames": note.frames,
        "values": dict(note.values),
        "curves": {key: list(values) for key, values in note.curves.items()},
    }


def reorder_depth(times: Sequence[int]) -> int:
    """How many packets at most come before one that is shown earlier than they are."""
    order = sorted(range(len(times)), key=times.__getitem__)
    place = {at: shown for shown, at in enumerate(order)}
    return max((at - place[at] for at in place), default=0)
