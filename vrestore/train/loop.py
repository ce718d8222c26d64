"""The loop: phases, steps, checkpoints, the learning curve."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vrestore.models.nets.cell import Cell
from vrestore.train.batches import (
    PHASES,
    AlignBatch,
    Batch,
    Phase,
    align_batches,
    batches,
    phase_at,
)
from vrestore.train.checkpoint import Point, TrainState, average_into, resume, save
from vrestore.train.config import PRECISIONS, TrainConfig
from vrestore.train.footage import Footage, read_footage
from vrestore.train.losses import alignment_loss, restoration_loss
from vrestore.train.manifest import read_manifest
from vrestore.train.sample import Sample
from vrestore.train.unroll import unroll
from vrestore.train.watch import Watch

WARM_UP = 0.004
"""Share of the training over which the learning rate rises, after the aligner's phase."""
FLAT_UNTIL = 0.35
"""Share of the training with the full learning rate; from there a cosine leads to a thousandth."""
GRADIENT_NORM = 0.1
SAVE_EVERY_SECONDS = 60.0
MEASUREMENTS = 24
"""Points of the learning curve over a whole training."""
MISSING_NEIGHBOURS = 0.07


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Told to the observer after every step that changed something worth telling."""

    step: int
    phase: str
    share: float
    """Of the whole training, 0..1."""

    loss: float
    """Mean since the last report."""

    seconds_per_step: float
    data_share: float
    """Share of the time spent on making samples."""

    measured: Point | None
    """A new point of the learning curve, on clips held out."""


@dataclass(slots=True)
class _Meter:
    """Sums since the last report."""

    losses: float = 0.0
    steps: int = 0
    data_seconds: float = 0.0
    started: float = 0.0


def run(
    config: TrainConfig,
    *,
    observer: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
) -> TrainState:
    """Train until the time or the steps are used up, or `stop()` says so; continue if possible.

    The checkpoint is written every minute and at the end, also when an exception ends the run.
    Raises InputError for footage or a checkpoint that cannot be used.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    manifest = read_manifest(config.manifest)
    footage = read_footage(config.data, manifest)
    state = resume(config.checkpoint, config, manifest.digest)
    watch = Watch(footage)
    try:
        while not stop() and (share := _share(config, state)) < 1.0:
            _run_phase(config, state, footage, watch, phase_at(share), observer, stop)
    finally:
        save(config.checkpoint, state, config, manifest.digest)
    return state


def _share(config: TrainConfig, state: TrainState) -> float:
    """What is done of the schedule; where there is no aligner to train it begins after that."""
    if config.steps is not None:
        done = state.step / config.steps
    else:
        assert config.minutes is not None
        done = state.elapsed_seconds / (config.minutes * 60)
    aligned = config.start is not None or not config.temporal
    begin = PHASES[0].until if aligned else 0.0
    return begin + (1.0 - begin) * done


def learning_rate(config: TrainConfig, phase: Phase, share: float) -> float:
    """Of a step; the aligner's phase has a cosine of its own."""
    if phase.length == 0:
        part = share / phase.until
        return config.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * part)))
    warm = min(1.0, 0.05 + (share - PHASES[0].until) / WARM_UP)
    part = max(0.0, (share - FLAT_UNTIL) / (1 - FLAT_UNTIL))
    return config.learning_rate * warm * (0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * part)))


def _run_phase(
    config: TrainConfig,
    state: TrainState,
    footage: Footage,
    watch: Watch,
    phase: Phase,
    observer: Callable[[Progress], None],
    stop: Callable[[], bool],
) -> None:
    """Steps until the phase, or the training, ends."""
    manifest_digest = read_manifest(config.manifest).digest
    aligning = phase.length == 0
    source: Iterator[AlignBatch | Batch] = (
        align_batches(footage, config, state.step) if aligning
        else batches(footage, config, phase, state.step)
    )  # fmt: skip
    optimiser = state.optimisers["align" if aligning else "restore"]
    meter = _Meter(started=time.monotonic())
    last_save = time.monotonic()
    clock = time.monotonic()
    done = False
    while not done:
        share = _share(config, state)
        for group in optimiser.param_groups:
            group["lr"] = group["factor"] * learning_rate(config, phase, share)
        asked = time.monotonic()
        batch = next(source)
        meter.data_seconds += time.monotonic() - asked
        optimiser.zero_grad(set_to_none=True)
        loss = _loss(config, state, batch)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(
            [p for g in optimiser.param_groups for p in g["params"]],
            GRADIENT_NORM * (100 if aligning else 1),
        )
        if torch.isfinite(norm):
            optimiser.step()
        average_into(state.average, state.cell, state.step)
        meter.losses += float(loss.detach())
        meter.steps += 1

        now = time.monotonic()
        measured_before = int(share * MEASUREMENTS)
        state.step += 1
        state.elapsed_seconds += now - clock
        clock = now
        share = _share(config, state)
        done = share >= 1.0 or phase_at(share) is not phase or stop()
        measure = int(share * MEASUREMENTS) > measured_before or done
        point = _measure(state, watch, phase, share, config) if measure else None
        if measure or meter.steps >= 200:
            observer(Progress(
                step=state.step, phase=phase.name, share=share,
                loss=meter.losses / meter.steps,
                seconds_per_step=(now - meter.started) / meter.steps,
                data_share=meter.data_seconds / max(1e-9, now - meter.started),
                measured=point,
            ))  # fmt: skip
            meter = _Meter(started=time.monotonic())
        if time.monotonic() - last_save > SAVE_EVERY_SECONDS:
            save(config.checkpoint, state, config, manifest_digest)
            last_save = time.monotonic()


def _loss(config: TrainConfig, state: TrainState, batch: AlignBatch | Batch) -> Tensor:
    device = torch.device(config.device)
    if isinstance(batch, AlignBatch):
        moved = AlignBatch(*(t.to(device) for t in batch))
        assert isinstance(state.cell, Cell)
        return alignment_loss(state.cell.align, moved)[0]
    on_device = Batch(batch.recipe, Sample(*(t.to(device) for t in batch.sample)))
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + state.step)
    out = unroll(
        state.cell, on_device.sample, on_device.recipe, temporal=config.temporal,
        drop=MISSING_NEIGHBOURS, generator=generator, dtype=PRECISIONS[config.precision],
    )  # fmt: skip
    return restoration_loss(out, on_device, temporal=config.temporal)


def _measure(
    state: TrainState, watch: Watch, phase: Phase, share: float, config: TrainConfig
) -> Point:
    point: Point = {
        "step": state.step, "share": round(share, 4), "phase": phase.name,
        "seconds": round(state.elapsed_seconds, 1),
    }  # fmt: skip
    moving = config.temporal and phase.length > 1
    if phase is not PHASES[0]:
        point.update(watch.measure(state.average, temporal=moving))
    state.curve.append(point)
    return point
