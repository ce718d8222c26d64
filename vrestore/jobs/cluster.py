"""Segments made by workers, as Ray actors; lock, journal and files stay with this process."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from time import monotonic
from typing import Any

import numpy as np

from vrestore.errors import (
    DeviceError,
    OutputError,
    StoppedError,
    VRestoreError,
)
from vrestore.io.partfile import RESERVE_BYTES
from vrestore.jobs.crew import Crew
from vrestore.jobs.entries import Beginning
from vrestore.jobs.fingerprint import DEVICE, PRECISION, differences, source_files
from vrestore.jobs.folder import JobFolder
from vrestore.jobs.hand import Hand
from vrestore.jobs.sending import Shipment, SourceKeeper
from vrestore.jobs.session import is_taken, room, session
from vrestore.jobs.trial import LEAST_DB, alike, make_trial
from vrestore.jobs.worker import (
    Advanced,
    Delivered,
    Failed,
    Greeting,
    Lacking,
    SegmentWorker,
    Tried,
)
from vrestore.observing import Observer
from vrestore.planning import Plan
from vrestore.progress import Progress
from vrestore.review.witness import Sighting, largest
from vrestore.runtime.posix import MemoryMeter, free_bytes, interrupts_counted

__all__ = ["make_by_workers"]

_LONGEST_RUN = 8
"""Neighbouring segments that a worker is given at once: their handles are decoded once."""

_RUNS_EACH = 4
"""Runs that each worker shall get, so that all end at about the same time."""

_MOST_DEATHS = 3
"""Workers that one segment, or the beginning, may cost."""

_PATIENCE_FOR_WORKERS = 300.0
"""Seconds until the first worker must be there, but where others have taken the cluster."""

_PATIENCE_FOR_TIDYING = 3.0
"""Seconds that a machine has to take away what was sent to it."""


def make_by_workers(
    crew: Crew,
    job: JobFolder,
    plan: Plan,
    told: Mapping[str, str],
    *,
    observer: Observer | None,
    patience: float,
) -> tuple[Sighting, ...]:
    """Makes what is missing of a job; returns the moments in which most was repaired.

    `told` are the job's conditions, which every worker must meet; `patience` is how many seconds
    Ctrl-C waits for segments under way.  Raises StoppedError where a stop was asked for or the disk
    is full, PlanError where Ray cannot be reached, DeviceError where workers are of another kind or
    keep dying, and what they raise.
    """
    assert job.beginning is not None
    with session(crew, plan) as ray, interrupts_counted() as stops:
        foreman = _Foreman(ray, crew, job, job.beginning, plan, told, observer)
        try:
            foreman.run(stops, patience)
        finally:
            foreman.dismiss()
        return foreman.sightings


class _Foreman:
    """Hands out segments, takes them in, and replaces workers that die."""

    def __init__(
        self,
        ray: Any,
        crew: Crew,
        job: JobFolder,
        begun: Beginning,
        plan: Plan,
        told: Mapping[str, str],
        observer: Observer | None,
    ) -> None:
        self.sightings: tuple[Sighting, ...] = ()
        self._ray = ray
        self._job = job
        self._plan = plan
        self._begun = begun
        self._observer = observer
        apart = (DEVICE, PRECISION) if crew.allow_mixed else ()
        self._told = {key: value for key, value in told.items() if key not in apart}
        self._here = told[DEVICE], told[PRECISION]
        self._trial: tuple[np.ndarray, ...] | None = None
        self._zero = float(begun.segments[0].read_pts * plan.info.video.time_base)
        self._waiting = list(job.todo)
        self._devices, self._shared = crew.devices, crew.cluster is not None
        self._count = min(crew.count or room(ray, plan), len(self._waiting))
        self._hands: list[Hand] = []
        self._shipments: dict[str, Shipment] = {}
        """By machine."""
        self._numbers = itertools.count(1)
        self._deaths: Counter[int | None] = Counter()
        self._stopping = False
        self._began = self._free_since = monotonic()
        self._before = sum(made.frames for made in job.made.values())

    # ------------------------------------------------------------------------------- workers

    def _hire(self) -> None:
        used = Counter(hand.device for hand in self._hands)
        device = min(self._devices, key=lambda name: used[name])
        on_gpu = self._plan.device.kind != "cpu"
        remote = self._ray.remote(
            num_cpus=self._plan.threads.torch,
            num_gpus=1 if on_gpu and self._shared else 0,
            max_restarts=0,
            max_task_retries=0,
        )(SegmentWorker)
        # A cluster shows each worker the device that is its own, and no other.
        name = self._plan.device.kind if self._shared else device
        actor = remote.remote(self._plan, name, os.getcwd())
        self._hands.append(
            Hand(
                number=next(self._numbers),
                device=device,
                actor=actor,
                coming=actor.greet.remote(),
            )
        )

    def _let_go(self, hand: Hand) -> None:
        self._hands.remove(hand)
        self._waiting = sorted([*hand.todo, *self._waiting], key=lambda s: s.number)
        self._ray.kill(hand.actor, no_restart=True)

    def dismiss(self) -> None:
        """Ends all workers, and takes away the sources that were sent to them."""
        for hand in tuple(self._hands):
            self._let_go(hand)
        for shipment in self._shipments.values():
            shipment.end(self._ray, _PATIENCE_FOR_TIDYING)

    def _lost(self, hand: Hand, error: DeviceError | None = None) -> None:
        """Raises DeviceError where another worker would die of the same, `error` if it said so."""
        at = hand.todo[0].number if hand.todo else None
        self._deaths[at] += 1
        self._let_go(hand)
        if self._deaths[at] >= _MOST_DEATHS:
            if error is not None:
                raise error
            where = "before they began" if at is None else f"in segment {at}"
            raise DeviceError(
                f"{_MOST_DEATHS} workers ended {where}, out of memory perhaps; give fewer of them"
            )

    # ---------------------------------------------------------------------------------- work

    def run(self, stops: Sequence[object], patience: float) -> None:
        """Until all is made.  `stops` grows with each Ctrl-C."""
        while self._waiting or any(hand.todo for hand in self._hands):
            if len(stops) > 1:
                raise KeyboardInterrupt
            if stops and not self._stopping:
                self._stop(patience)
            if self._stopping and not self._hands:
                raise StoppedError("stopped")
            while not self._stopping and len(self._hands) < self._needed():
                self._hire()
            self._hear(0.25)
            self._tell()

    def _needed(self) -> int:
        busy = sum(bool(hand.todo) for hand in self._hands)
        return min(self._count, busy + len(self._waiting))

    def _stop(self, patience: float) -> None:
        """Only workers that are about to finish a segment stay."""
        self._stopping = True
        now = monotonic()
        for hand in tuple(self._hands):
            remaining = hand.remaining_seconds(now)
            if remaining is None or remaining > patience:
                self._let_go(hand)

    def _hear(self, seconds: float) -> None:
        listening = {hand.coming: hand for hand in self._hands if hand.coming is not None}
        sending = {
            coming: machine
            for machine, shipment in self._shipments.items()
            for coming in shipment.on_the_way
        }
        ready, _ = self._ray.wait([*listening, *sending], num_returns=1, timeout=seconds)
        for coming in ready:
            if coming in sending:
                self._send_on(sending[coming], coming)
                continue
            hand = listening[coming]
            try:
                if hand.kind:
                    self._take(hand, self._ray.get(next(coming)))
                else:
                    self._welcome(hand, self._ray.get(coming))
            except StopIteration:
                self._give(hand)
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except self._ray.exceptions.RayError:
                self._lost(hand)
        if not any(hand.kind for hand in self._hands) and not self._stopping:
            self._require_some()

    def _require_some(self) -> None:
        """Raises DeviceError where a worker should have come by now.

        Where other programs have the whole cluster, it waits for them.
        """
        begun = self._deaths or self._shipments or self._before != self._done()
        if begun or is_taken(self._ray, self._plan):
            self._free_since = monotonic()
            return
        waited = monotonic() - self._free_since
        if waited > _PATIENCE_FOR_WORKERS:
            raise DeviceError(
                f"no worker could be started within {waited:.0f} s: the cluster has no room for one"
            )

    def _welcome(self, hand: Hand, said: Greeting | Lacking | Tried | Failed) -> None:
        """Raises DeviceError where a worker would make something else."""
        if isinstance(said, Failed):
            raise said.error
        if isinstance(said, Lacking):
            self._send_to(hand, said.machine)
            return
        if isinstance(said, Tried):
            self._admit(hand, said)
            return
        theirs = {key: value for key, value in said.conditions.items() if key in self._told}
        found = differences(self._told, theirs)
        if found:
            mixed = [phrase for phrase in found if phrase.startswith((DEVICE, PRECISION))]
            how = "; --allow-mixed takes it all the same" if found == mixed else ""
            raise DeviceError(
                f"a worker does not fit to this job: {'; '.join(found[:3])} there{how}"
            )
        kind = said.conditions[DEVICE]
        if (kind, said.conditions[PRECISION]) != self._here:
            hand.claims = kind
            hand.coming = hand.actor.show.remote(
                self._begun.segments, steady=self._begun.steady, zero=self._zero
            )
            return
        hand.kind = kind
        self._give(hand)

    def _admit(self, hand: Hand, said: Tried) -> None:
        """Raises DeviceError where a worker's pictures are too far from those made here."""
        if self._trial is None:
            self._trial = make_trial(
                self._plan, self._begun.segments, steady=self._begun.steady, zero=self._zero
            )
        found = alike(self._trial, said.planes, depth=self._plan.format.depth)
        if found < LEAST_DB:
            raise DeviceError(
                f"a worker on {hand.claims} makes other pictures than {self._here[0]}: "
                f"{found:.1f} dB alike, and for one film at least {LEAST_DB:.0f} are wanted"
            )
        hand.kind = f"{hand.claims}, {'equal' if found == inf else f'{found:.1f} dB alike'}"
        self._give(hand)

    def _send_to(self, hand: Hand, machine: str) -> None:
        """Has the source sent to where a worker is, unless it is there or on its way."""
        if hand.lacks:  # It was sent there, and is there no more.
            self._lose_shipment(machine)
            return
        hand.lacks, hand.coming = machine, None
        if machine not in self._shipments:
            there = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                node_id=machine, soft=False
            )
            keeper = self._ray.remote(num_cpus=0, scheduling_strategy=there)(SourceKeeper)
            self._shipments[machine] = Shipment(
                keeper.remote(), self._plan.info.path, source_files(self._plan)
            )
        self._greet_again(machine)

    def _send_on(self, machine: str, arrived: Any) -> None:
        shipment = self._shipments[machine]
        try:
            shipment.go_on(arrived, self._ray.get(arrived))
        except self._ray.exceptions.RayError:
            self._lose_shipment(machine)
        else:
            self._greet_again(machine)

    def _greet_again(self, machine: str) -> None:
        """Asks the workers that waited for a source, once it is there."""
        at = self._shipments[machine].at
        for hand in self._hands:
            if at is not None and hand.lacks == machine and hand.coming is None:
                hand.coming = hand.actor.greet.remote(at)

    def _lose_shipment(self, machine: str) -> None:
        """Begins anew where a machine lost what it was sent.  Raises DeviceError as `_lost`."""
        self._shipments.pop(machine).end(self._ray, _PATIENCE_FOR_TIDYING)
        for hand in [hand for hand in self._hands if hand.lacks == machine and not hand.kind]:
            self._lost(hand)

    def _give(self, hand: Hand) -> None:
        """The next run of neighbouring segments, or its leave."""
        if hand.todo:
            raise VRestoreError(
                f"a worker forgot segment {hand.todo[0].number}; please report this"
            )
        if not self._waiting or self._stopping:
            self._let_go(hand)
            return
        most = len(self._waiting) // (self._count * _RUNS_EACH)
        most = min(max(most, 1), _LONGEST_RUN)
        run = [self._waiting.pop(0)]
        while self._waiting and len(run) < most and self._waiting[0].number == run[-1].number + 1:
            run.append(self._waiting.pop(0))
        hand.todo, hand.done, hand.busy_since = run, 0, monotonic()
        hand.coming = hand.actor.make.options(num_returns="streaming").remote(
            tuple(run), steady=self._begun.steady, zero=self._zero
        )

    def _take(self, hand: Hand, said: Advanced | Delivered | Failed) -> None:
        if isinstance(said, Failed) and isinstance(said.error, DeviceError):
            self._lost(hand, said.error)  # Another device, or more memory, may do better.
            return
        if isinstance(said, Failed):
            raise said.error
        if isinstance(said, Advanced):
            if hand.todo and said.number == hand.todo[0].number:
                hand.done = said.frames
            return
        self._keep(replace(said, made=replace(said.made, device=hand.kind)))
        del hand.todo[0]
        hand.made += said.made.frames
        hand.done, hand.busy_since = 0, monotonic()
        if self._stopping:
            self._let_go(hand)

    def _keep(self, said: Delivered) -> None:
        job = self._job
        free = free_bytes(job.path)
        if free < RESERVE_BYTES + len(said.data):
            raise StoppedError(
                f"the disk of {job.path} is full ({free // 2**20} MiB left); free some space"
            )
        try:
            part = job.path / "segment.part"
            # What an earlier run left there may be a link that leads elsewhere.
            part.unlink(missing_ok=True)
            part.write_bytes(said.data)
            job.keep(part, said.made)
        except OSError as error:
            raise OutputError(f"{job.path} cannot be written: {error.strerror}") from error
        self.sightings = tuple(largest([*self.sightings, *said.sightings]))

    # ------------------------------------------------------------------------------ progress

    def _done(self) -> int:
        return sum(made.frames for made in self._job.made.values())

    def _sent_to(self, hand: Hand) -> float | None:
        shipment = self._shipments.get(hand.lacks)
        return None if shipment is None else shipment.share

    def _tell(self) -> None:
        if self._observer is None:
            return
        elapsed = monotonic() - self._began
        done = self._done() + sum(hand.done for hand in self._hands)
        length = self._plan.info.duration_seconds_from_header
        total = round(self._plan.fields.pace * self._begun.frames)
        self._observer(
            Progress(
                elapsed_seconds=elapsed,
                frames_done=done,
                frames_before=self._before,
                frames_total=total,
                position_seconds=float(length or 0) * done / total if total else 0.0,
                duration_seconds=None if length is None else float(length),
                shot=None,
                stages=tuple(hand.progress(elapsed, self._sent_to(hand)) for hand in self._hands),
                channels=(),
                rss_bytes=MemoryMeter().current_bytes or 0,
                bound_by=None,
            )
        )
