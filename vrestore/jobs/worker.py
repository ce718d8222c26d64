"""What a worker does: segments of one plan, given back whole; it knows nothing of the job."""

from __future__ import annotations

import contextlib
import copyreg
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any

import numpy as np

from vrestore.assembly import PACKETS
from vrestore.errors import InputError, VRestoreError
from vrestore.jobs.entries import Made
from vrestore.jobs.fingerprint import conditions
from vrestore.jobs.keeping import EncodeSegments, KeepSegments
from vrestore.jobs.making import InSegments, ReadSegments, SegmentRestored, StopRequest
from vrestore.jobs.segments import Segment
from vrestore.jobs.trial import make_trial
from vrestore.models import registry
from vrestore.models.restorer import device_class
from vrestore.planning import Plan, placed
from vrestore.review.witness import Sighting
from vrestore.runtime.device import select_device
from vrestore.runtime.pipeline import stream
from vrestore.runtime.pool import BufferPool
from vrestore.runtime.posix import tune_process
from vrestore.runtime.threads import torch_threads

__all__ = ["Advanced", "Delivered", "Failed", "Greeting", "Lacking", "SegmentWorker", "Tried"]

_EVERY_SECONDS = 0.5
"""Between two words on how far a worker is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What a worker says of itself, before it is given anything."""

    conditions: dict[str, str]
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """A worker's machine does not have the source, or not for reading."""

    machine: str
    """As Ray knows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """Pictures of a short piece, to be compared with those of another device."""

    planes: tuple[np.ndarray, ...]
    """Code values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """How far a worker is in the segment under way."""

    number: int
    frames: int
    """Restored, without handles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A segment that is whole."""

    made: Made
    data: bytes
    """Of its file."""

    sightings: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """What went wrong; another worker would not do better, but where it is a DeviceError."""

    error: VRestoreError


def _unproxied(mapping: MappingProxyType[Any, Any]) -> tuple[Any, ...]:
    return MappingProxyType, (dict(mapping),)


# Plans hold some, and pickle knows none.
copyreg.pickle(MappingProxyType, _unproxied)


class SegmentWorker:
    """Makes segments on one device, in a process of its own."""

    def __init__(self, plan: Plan, device: str, folder: str) -> None:
        """`device` as `select_device` knows it; `folder` is what relative names are relative to."""
        tune_process()
        with contextlib.suppress(OSError):
            os.chdir(folder)
        self._given = plan
        self._device = device

    def greet(self, source: str | None = None) -> Greeting | Lacking | Failed:
        """Must come first; `source` is where the source lies here, None: where the plan says."""
        try:
            device = select_device(self._device)
            found = registry.find(
                self._given.preset.restore.model, device_class(device.torch_device)
            )
            info = replace(self._given.info, path=source or self._given.info.path)
            self._plan = placed(replace(self._given, info=info, model=found), device)
            return Greeting(conditions=conditions(self._plan), pid=os.getpid())
        except InputError:
            return Lacking(machine=_machine())
        except VRestoreError as error:
            return Failed(error=error)

    def show(self, segments: Sequence[Segment], *, steady: bool, zero: float) -> Tried | Failed:
        """What `make_trial` makes of all segments of a film."""
        try:
            with torch_threads(1):
                planes = make_trial(self._plan, segments, steady=steady, zero=zero)
            return Tried(planes=planes)
        except VRestoreError as error:
            return Failed(error=error)

    def make(
        self, segments: Sequence[Segment], *, steady: bool, zero: float
    ) -> Iterator[Advanced | Delivered | Failed]:
        """Neighbouring segments, in order; `steady` and `zero` as `ReadSegments`, `InSegments`."""
        try:
            with torch_threads(1), tempfile.TemporaryDirectory(prefix="vrestore-") as folder:
                yield from self._made(segments, _Outbox(Path(folder)), steady=steady, zero=zero)
        except ExceptionGroup as group:
            first = group.exceptions[0]
            if not isinstance(first, VRestoreError):
                raise
            yield Failed(error=first)
        except VRestoreError as error:
            yield Failed(error=error)

    def _made(
        self, segments: Sequence[Segment], outbox: _Outbox, *, steady: bool, zero: float
    ) -> Iterator[Advanced | Delivered]:
        plan, stop, pool = self._plan, StopRequest(), BufferPool()
        assert plan.output is not None
        restoring = InSegments(plan, segments, stop, pool.take, zero=zero)
        keeping = KeepSegments(outbox, kept=outbox.kept)
        line = stream(
            ("decode", ReadSegments(plan, segments, stop, steady=steady)),
            [("restore", restoring), ("encode", EncodeSegments(plan.output))],
            depths=[plan.memory.depth, plan.memory.depth, PACKETS],
            device=plan.device,
        )
        told = monotonic()
        with contextlib.closing(line):
            for item in line:
                keeping.write(item)
                if outbox.delivered is not None:
                    yield outbox.delivered
                    outbox.delivered = None
                current = restoring.current
                if current is not None and monotonic() - told > _EVERY_SECONDS:
                    told = monotonic()
                    yield Advanced(number=current[0].number, frames=current[1])


def _machine() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


class _Outbox:
    """Takes what would be kept in a job's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.delivered: Delivered | None = None
        self._made: tuple[Made, bytes] | None = None

    def keep(self, part: Path, made: Made) -> None:
        self._made = made, part.read_bytes()
        part.unlink()

    def kept(self, restored: SegmentRestored) -> None:
        assert self._made is not None
        made, data = self._made
        self.delivered = Delivered(made=made, data=data, sightings=restored.sightings)
