"""What a shot needs, from its first frames, as values of preset keys.

The preset says how far each stage may go, the shot how far it needs to: a stage that the preset
leaves off stays off, and one that finds nothing to do in a shot is off there.  The rule sees the
first frames of a shot and nothing else, so that reading a file ahead and reading a pipe as it
comes give the same values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from vrestore.diagnose.reading import LONGEST, RunReader, field_picture
from vrestore.diagnose.values import Reading
from vrestore.media import NO_TUNING, Frame
from vrestore.ops.levels import Normalise
from vrestore.preset import Preset
from vrestore.sections import HINTS
from vrestore.shotlist import Shot, ShotList, tunable

__all__ = ["NEEDS", "TuneShots", "ceilings", "measure_shots", "tuning_of"]

_HELD_BYTES = 256 * 2**20
"""Memory that frames may take while a shot is read."""

_FEWEST = 3
"""Frames of a shot that say something about it; a shorter one is left as the preset has it."""


def _ramp(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high` on, linear between."""
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _flicker(values: Mapping[str, float]) -> float:
    return _ramp(values["flicker"], 0.0015, 0.005) * _ramp(values["flicker_agree"], 0.4, 0.7)


def _weave(values: Mapping[str, float]) -> float:
    size = max(values["weave_x"], values["weave_y"])
    error = values["weave_error"]
    return _ramp(size, 2 * error, 4 * error + 0.1) * _ramp(values["weave_rough"], 0.3, 0.5)


def _dirt(values: Mapping[str, float]) -> float:
    # The stage itself keeps what moves, so that less evidence is asked for than in a diagnosis.
    anew = max(1 - _ramp(values["dirt_repeats"], 2.0, 3.0), _ramp(values["dirt"], 2e-3, 4e-3))
    return _ramp(values["dirt"], 5e-4, 3e-3) * anew


def _scratches(values: Mapping[str, float]) -> float:
    return _ramp(values["scratches"], 3e-4, 2e-3)


def _grainy(values: Mapping[str, float]) -> float:
    """Whether what is new in every frame is grain: trusted, or so fine that no motion makes it."""
    fine = values["grain_trust"] * values["grain_fine"] ** 2
    return max(_ramp(values["grain_trust"], 0.35, 0.6), _ramp(fine, 0.85, 2.0))


def _chroma_noise(values: Mapping[str, float]) -> float:
    return _grainy(values) * _ramp(values["chroma_grain"], 0.8, 3.0)


def _damage(values: Mapping[str, float]) -> float:
    """How much damage the network is told to expect; the scale is that of its training."""
    trusted = _grainy(values)
    colour = max(0.0, values["chroma_grain"])
    # 255 codes of R'G'B' a unit, and 0.07 of them the strongest grain that training draws.
    grain = trusted * math.sqrt(values["grain"] ** 2 + 0.9 * colour**2) / (255 * 0.07)
    blocks = 0.3 * _ramp(values["blocks"], 0.45, 0.9) + 0.5 * _ramp(values["blocks"], 0.9, 3.0)
    starved = 0.5 * _ramp(values["starved"], 0.35, 1.0)
    soft = 0.3 * _ramp(-max(values["fine_x"], values["fine_y"]), -0.85, -0.4)
    dirt = 0.4 * _dirt(values)
    return max(_CLEAN, grain, blocks, starved, soft, dirt)


_CLEAN = 0.03
"""What training told the network of clean clips."""

NEEDS: Mapping[str, Callable[[Mapping[str, float]], float]] = MappingProxyType(
    {
        "restore.strength": _damage,
        "stabilise.strength": _weave,
        "deflicker.strength": _flicker,
        "tape.chroma_noise": _chroma_noise,
        "dirt.strength": _dirt,
        "scratches.strength": _scratches,
    }
)
"""Key -> how much of it a shot needs, 0..1, from `Reading.values`."""


def ceilings(preset: Preset) -> Mapping[str, float]:
    """How far each key of `NEEDS` may go: what the preset says, all the way where it is silent.

    Keys that the user set by a flag are left out, and so are stages that are off.
    """
    limits = {}
    for key in NEEDS:
        if key not in HINTS or not tunable(key):
            continue
        section, name = key.split(".")
        value = getattr(getattr(preset, section), name)
        limit = 1.0 if value is None else float(value)
        by_preset = preset.origins.get(key, "default").startswith(("default", "preset"))
        if limit > 0 and by_preset:
            limits[key] = limit
    return MappingProxyType(limits)


def tuning_of(reading: Reading, limits: Mapping[str, float]) -> Mapping[str, float]:
    """The shot's value of each limited key.

    The network's strength is an estimate of damage and at most its limit; the others are shares of
    their limit.
    """
    tuning = {}
    for key, limit in limits.items():
        need = NEEDS[key](reading.values)
        value = min(limit, need) if key == "restore.strength" else limit * need
        tuning[key] = round(value, 3)
    return MappingProxyType(tuning)


class TuneShots:
    """Op: reads the first frames of each shot and marks all of its frames with what it needs.

    CODE frames with `shot_start` and resolved range; up to 48 of a shot, as many as 256 MiB hold,
    are kept back until they are read.  `shots` grows by one `Shot` at each end of a shot.
    """

    def __init__(self, limits: Mapping[str, float], *, fields: bool = False) -> None:
        """`limits` as `ceilings` gives them; `fields` reads the upper field of each frame alone,
        where the fields are of different times."""
        self.shots: list[Shot] = []
        self.latency = LONGEST - 1
        self._limits, self._fields = limits, fields
        self._held: list[Frame] = []
        self._first: Frame | None = None
        self._count = 0
        self._tuning: Mapping[str, float] | None = None

    def push(self, frame: Frame) -> Iterable[Frame]:
        if frame.shot_start or self._first is None:
            yield from self._end()
            self._first, self._count, self._tuning = frame, 0, None
        self._count += 1
        if self._tuning is not None:
            yield replace(frame, tuning=self._tuning)
            return
        self._held.append(frame)
        if len(self._held) == _held_frames(frame):
            yield from self._release()

    def flush(self) -> Iterable[Frame]:
        yield from self._end()

    def _end(self) -> Iterator[Frame]:
        yield from self._release()
        if self._first is not None:
            self.shots.append(
                Shot(
                    start=self._first.index,
                    seconds=self._first.timestamp.seconds,
                    frames=self._count,
                    tuning=self._tuning or NO_TUNING,
                )
            )
        self._first = None

    def _release(self) -> Iterator[Frame]:
        if not self._held:
            return
        self._tuning = self._read()
        while self._held:
            yield replace(self._held.pop(0), tuning=self._tuning)

    def _read(self) -> Mapping[str, float]:
        if len(self._held) < _FEWEST or not self._limits:
            return NO_TUNING
        reader, normalise = RunReader(), Normalise()
        for frame in self._held:
            (unit,) = normalise.push(field_picture(frame) if self._fields else frame)
            reader.push(unit)
        return tuning_of(reader.reading(), self._limits)


def _held_frames(frame: Frame) -> int:
    size = frame.format.frame_bytes(frame.width, frame.height)
    return max(_FEWEST, min(LONGEST, _HELD_BYTES // size))


def measure_shots(
    frames: Iterable[Frame], limits: Mapping[str, float], *, fields: bool = False
) -> ShotList:
    """The shot list of a whole source, by the same rule as `TuneShots` in a stream."""
    op = TuneShots(limits, fields=fields)
    for frame in frames:
        for _ in op.push(frame):
            pass
    for _ in op.flush():
        pass
    return ShotList(shots=tuple(op.shots))
