"""Grain kept: measured before the network takes it away, made anew after.

    GrainTap -> network -> resampler -> Regrain

The two share a `ShotGrains`, since the network between them holds frames back: what the tap finds
is filed under the shot's first frame and fetched when that frame arrives at the other end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from vrestore.media import Coding, Frame
from vrestore.notes import ShotNote
from vrestore.ops.buffers import Alloc
from vrestore.ops.grainmeasure import GrainMeter, channel_names
from vrestore.ops.grainmodel import NO_GRAIN, Grain
from vrestore.ops.grainsynth import GrainSynthesiser

__all__ = ["GrainConfig", "GrainTap", "Regrain", "ShotGrain", "ShotGrains", "frames_held"]

_HELD_BYTES = 192 * 2**20
"""Memory that the tap may hold in frames of 4:2:0."""

_MOST_FRAMES = 24
_FEWEST_FRAMES = 4
"""Three measure; a larger picture needs fewer, since it has more blocks."""

_CREDIBLE = 0.2
"""Confidence below which a measurement is motion rather than grain, and none is added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrainConfig:
    """Section [grain] of a preset."""

    keep: float = 0.0
    """Share of the source's grain that the output shows, in amplitude, 0..1; 0 adds none."""

    size: Literal["source"] | float = "source"
    """How large: "source" as large on the picture as it was, or a factor of that, 0.25 to 4."""

    seed: int = 0
    """Other seeds give other grain of the same look."""

    def __post_init__(self) -> None:
        if not 0 <= self.keep <= 1:
            raise ValueError(f"keep must be in 0..1, got {self.keep}")
        if self.size != "source" and not (
            isinstance(self.size, int | float) and 0.25 <= self.size <= 4
        ):
            raise ValueError(f'size must be "source" or 0.25 to 4, got {self.size!r}')
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be a whole number of 0 or more, got {self.seed}")

    @property
    def factor(self) -> float:
        """`size` as a number."""
        return 1.0 if self.size == "source" else float(self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotGrain:
    """What the tap tells of a shot."""

    grain: Grain
    size: tuple[int, int]
    """(height, width) of the frames it was measured on."""


@dataclass(slots=True)
class ShotGrains:
    """The shots that are between the tap and the synthesiser, by `Frame.index` of their first."""

    by_first: dict[int, ShotGrain] = field(default_factory=dict)


def frames_held(width: int, height: int) -> int:
    """Frames of a shot that the tap holds back at most, for a source of this size."""
    fit = _HELD_BYTES // (width * height * 6)
    return max(_FEWEST_FRAMES, min(_MOST_FRAMES, fit))


def _keep(config: GrainConfig, frame: Frame) -> float:
    return min(1.0, max(0.0, frame.tuning.get("grain.keep", config.keep)))


class GrainTap:
    """Op: measures the grain of each shot on its first frames and passes all on unchanged.

    Takes UNIT frames of any format.  A shot's first `frames_held` frames are held until they are
    measured, so that even the first gets its grain; where `Frame.tuning` holds a measurement
    (`Grain.to_mapping`) or no grain is wanted, nothing is held.
    """

    def __init__(self, config: GrainConfig, shots: ShotGrains, *, latency: int) -> None:
        """`latency` is `frames_held` of the source's size."""
        self._config, self._shots = config, shots
        self.latency = latency
        self._held: deque[Frame] = deque()
        self._meter: GrainMeter | None = None
        self._started = False

    def push(self, frame: Frame) -> Iterable[Frame]:
        """ValueError for CODE frames."""
        if frame.coding is not Coding.UNIT:
            raise ValueError("GrainTap takes UNIT frames")
        if frame.shot_start or not self._started:
            yield from self.flush()
            self._started = True
            self._begin(frame)
        if self._meter is None:
            yield frame
            return
        self._held.append(frame)
        self._meter.push(frame)
        if len(self._held) > self.latency:
            yield from self.flush()

    def flush(self) -> Iterable[Frame]:
        """The rest of what is held, its grain measured."""
        if self._meter is not None and self._held:
            self._file(self._held[0], self._meter.result())
        self._meter = None
        while self._held:
            yield self._held.popleft()

    def _begin(self, frame: Frame) -> None:
        known = Grain.from_mapping(frame.tuning, channel_names(frame.format))
        if known is not None or not _keep(self._config, frame):
            self._file(frame, known or NO_GRAIN)
        else:
            self._meter = GrainMeter()

    def _file(self, first: Frame, grain: Grain) -> None:
        self._shots.by_first[first.index] = ShotGrain(grain=grain, size=(first.height, first.width))


class Regrain:
    """Op: adds each shot's grain to UNIT frames of the output's size.

    The grain has mean zero, is new in every frame, and is a pure function of the measurement, the
    seed, pts and plane.  It is added to what the network left; alpha is passed on.  `keep` and a
    measurement may be set for a shot by `Frame.tuning`.
    """

    latency = 0

    def __init__(
        self, config: GrainConfig, shots: ShotGrains, *, alloc: Alloc | None = None
    ) -> None:
        self._config, self._shots, self._alloc = config, shots, alloc
        self._synthesiser: GrainSynthesiser | None = None
        self._started = False
        self._note: ShotNote | None = None
        self.notes: list[ShotNote] = []

    def push(self, frame: Frame) -> Iterable[Frame]:
        """One frame.  ValueError for CODE frames and for shots that passed no `GrainTap`."""
        if frame.coding is not Coding.UNIT:
            raise ValueError("Regrain takes UNIT frames")
        if frame.shot_start or not self._started:
            self._end_shot()
            self._begin(frame)
            self._started = True
        assert self._note is not None
        self._note = replace(self._note, frames=self._note.frames + 1)
        if self._synthesiser is None:
            return (frame,)
        return (replace(frame, planes=self._synthesiser.add(frame, self._alloc), ready=None),)

    def flush(self) -> Iterable[Frame]:
        self._end_shot()
        return ()

    def _begin(self, frame: Frame) -> None:
        try:
            shot = self._shots.by_first.pop(frame.index)
        except KeyError:
            raise ValueError(f"the shot of {frame!r} passed no GrainTap") from None
        keep = _keep(self._config, frame)
        grain = shot.grain
        magnification = (
            frame.height / shot.size[0] * self._config.factor,
            frame.width / shot.size[1] * self._config.factor,
        )
        credible = grain.confidence >= _CREDIBLE
        self._synthesiser = None
        if keep and grain.channels and credible:
            self._synthesiser = GrainSynthesiser(
                grain, magnification, keep=keep, seed=self._config.seed
            )
        values = {"keep": keep if credible else 0.0, "confidence": grain.confidence}
        for channel in grain.channels:
            values[f"{channel.name}_strength_codes"] = 255 * channel.typical
            values[f"{channel.name}_height_samples"] = channel.size[0]
            values[f"{channel.name}_width_samples"] = channel.size[1]
        self._note = ShotNote(stage="grain", first=frame.index, frames=0, values=values)

    def _end_shot(self) -> None:
        if self._note is not None:
            self.notes.append(self._note)
            self._note = None
