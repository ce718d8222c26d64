"""The cadence of a source: what its frames' fields say as a whole, with numbers and evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from itertools import pairwise
from statistics import fmean
from types import MappingProxyType

from vrestore.media import FieldOrder, Frame
from vrestore.ops.fields import FieldEvidence, FieldMeter
from vrestore.ops.patterns import Pattern, StateFound, StateTracker

__all__ = ["Cadence", "CadenceKind", "FieldSurvey", "survey_fields"]

_PURE = 0.85
"""Share of the evidence from which one pattern is the whole truth."""

_ENOUGH = 0.6
"""Telling frames below which nothing is claimed."""

_HALF_SURE = 1.5
"""Telling frames that, agreeing, make half a certainty."""

_LEAST_FIT = 0.3
"""Share of the evidence that the patterns found must explain, or nothing is claimed either."""

_GAP = 8
"""Steps of time, in usual ones, after which frames are no neighbours: another place of a sample."""

_SHOWN = 8
"""Frames named as evidence."""


class CadenceKind(Enum):
    """How the pictures of a source are laid out in its frames."""

    UNKNOWN = "unknown"
    """Nothing moves, or too little to tell."""

    PROGRESSIVE = "progressive"
    PSF = "psf"
    """Progressive segmented frames: whole pictures that are flagged interlaced."""

    INTERLACED = "interlaced"
    TELECINE = "telecine"
    """3:2 pulldown, done to the fields (hard)."""

    SOFT_TELECINE = "soft-telecine"
    """Whole pictures with times of three and two fields in turn."""

    PHASE_SHIFTED = "phase-shifted"
    """2:2 film whose pictures are spread over two frames each."""

    DUPLICATES = "duplicates"
    """Whole pictures, some shown again: pull-up from 8, 16 or 18 a second, animation on twos."""

    BLENDED = "blended"
    """Fields that mix two instants: a standards conversion."""

    HYBRID = "hybrid"
    """Several of these in turn."""


_KINDS: Mapping[Pattern, CadenceKind] = MappingProxyType(
    {
        Pattern.WHOLE: CadenceKind.PROGRESSIVE,
        Pattern.VIDEO: CadenceKind.INTERLACED,
        Pattern.SHIFTED: CadenceKind.PHASE_SHIFTED,
        Pattern.PULLDOWN: CadenceKind.TELECINE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """What was found in a stretch of frames."""

    kind: CadenceKind

    order: FieldOrder
    """Of the fields, as measured: TOP_FIRST or BOTTOM_FIRST where fields of different instants
    were seen, PROGRESSIVE where all pictures are whole, UNKNOWN where nothing could be told."""

    confidence: float
    """0 to 1: how much evidence there is and how well it fits."""

    frames: int
    """Frames looked at."""

    telling: float
    """Frames' worth of evidence among them."""

    shares: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Share of the evidence for each pattern: "whole", "video", "shifted", "pulldown"."""

    duplicates: float = 0.0
    """Share of the frames in moving stretches that repeat the one before."""

    flagged: float = 0.0
    """Share of the frames that are flagged interlaced."""

    flags_agree: bool = True
    """Whether the flags of the interlaced frames name the order that was measured."""

    evidence: tuple[int, ...] = ()
    """`Frame.index` of the frames that told most."""

    @property
    def usual(self) -> Pattern:
        """The pattern with most evidence, WHOLE where there is none."""
        if not self.shares:
            return Pattern.WHOLE
        return Pattern(max(self.shares, key=lambda name: self.shares[name]))

    @property
    def needs_matching(self) -> bool:
        """Whether pictures are spread over several frames, for `MatchFields` to put together."""
        return self.kind in (
            CadenceKind.TELECINE,
            CadenceKind.PHASE_SHIFTED,
            CadenceKind.SOFT_TELECINE,
        ) or (
            self.kind is CadenceKind.HYBRID
            and any(self.shares.get(name, 0) > 0 for name in ("pulldown", "shifted"))
        )

    def __str__(self) -> str:
        order = f" {self.order.value}" if self.order.has_fields else ""
        seen = ", ".join(f"{share:.0%} {name}" for name, share in self.shares.items() if share)
        repeats = f"; {self.duplicates:.0%} repeats" if self.duplicates else ""
        return (
            f"{self.kind.value}{order} (confidence {self.confidence:.2f}; "
            f"{self.telling:.0f} telling of {self.frames} frames: {seen or 'none'}{repeats})"
        )


_SCANNED = (FieldOrder.TOP_FIRST, FieldOrder.BOTTOM_FIRST)


def survey_fields(frames: Iterable[Frame]) -> Cadence:
    """The cadence of frames in order of time, see `FieldSurvey`."""
    survey = FieldSurvey()
    for frame in frames:
        survey.push(frame)
    return survey.result()


class FieldSurvey:
    """Takes frames in order of time: all of a source, or runs from several places of it.

    CODE or UNIT frames.  A run ends where time steps back or leaps; a dozen frames a run are enough
    where something moves.  Memory does not grow but by a few numbers a frame.
    """

    def __init__(self) -> None:
        self._meter, self._runs = FieldMeter(), _Runs()
        self._flags, self._times = Counter[FieldOrder](), _Steps()

    def push(self, frame: Frame) -> None:
        breaks = self._times.breaks(frame)
        if breaks:
            self._meter.forget()
        self._flags[frame.field_order] += 1
        self._runs.push(self._meter.measure(frame), new=breaks)

    def result(self) -> Cadence:
        """The cadence of all that was pushed; nothing may be pushed after it."""
        return _named(self._runs.end(), self._flags, self._times)


class _Steps:
    """Distances of frames in time."""

    def __init__(self) -> None:
        self.runs: list[list[Fraction]] = []
        """Seconds from frame to frame."""
        self._last: Frame | None = None
        self._usual: Fraction | None = None

    def breaks(self, frame: Frame) -> bool:
        """Whether `frame` does not come right after the one before."""
        last, self._last = self._last, frame
        step = None if last is None else frame.timestamp.seconds - last.timestamp.seconds
        if step is None or step <= 0 or (self._usual is not None and step > _GAP * self._usual):
            self.runs.append([])
            return True
        self._usual = min(step, self._usual or step)
        self.runs[-1].append(step)
        return False

    @property
    def pulled_down(self) -> bool:
        """Whether steps of three and two fields take turns, nearly everywhere."""
        turns = total = 0
        for run in self.runs:
            for a, b in pairwise(run):
                long, short = max(a, b), min(a, b)
                turns += Fraction(7, 5) < long / short < Fraction(8, 5)
                total += 1
        return total >= 3 and turns >= 0.8 * total


class _Runs:
    """Evidence of several runs of frames."""

    def __init__(self) -> None:
        self.found: list[StateFound] = []
        self.changes: list[list[tuple[float, float]]] = []
        """Change from the frame before, and its weight, frame by frame."""
        self._tracker = StateTracker(_WHOLE_RUN)

    def push(self, seen: FieldEvidence, *, new: bool) -> None:
        if new:
            self.changes.append([])
        self.changes[-1].append(((seen.top_change + seen.bottom_change) / 2, seen.weight))
        self.found += self._tracker.push(seen, shot_start=new)

    def end(self) -> _Runs:
        self.found += self._tracker.flush()
        return self


_WHOLE_RUN = 64
"""Frames that the path of a run may be reconsidered for."""


def _named(runs: _Runs, flags: Counter[FieldOrder], times: _Steps) -> Cadence:
    found = runs.found
    telling = sum(step.seen.weight for step in found)
    weights = dict.fromkeys(Pattern, 0.0)
    orders = dict.fromkeys(FieldOrder, 0.0)
    for step in found:
        weights[step.state.pattern] += step.seen.weight
        orders[step.state.order] += step.seen.weight
    shares = {pattern.value: round(weights[pattern] / telling, 4) for pattern in Pattern if telling}
    misfit = sum(step.seen.weight * step.state.misfit(step.seen) for step in found)
    fit = max(0.0, 1 - misfit / telling) if telling else 0.0
    flagged = sum(flags[order] for order in _SCANNED) / max(1, len(found))
    duplicates = _repeats(runs.changes)
    scanned = max(_SCANNED, key=lambda one: orders[one])
    told = telling if fit >= _LEAST_FIT else 0.0
    kind = _kind(shares, told, duplicates=duplicates, flagged=flagged, times=times)
    # 3:2 pulldown has a period of five frames itself, and blends of 25 pictures look much like it.
    periods = _PERIODS if shares.get("pulldown", 0) < 0.5 else _PERIODS[-1:]
    if kind is not CadenceKind.UNKNOWN and orders[scanned] > 0 and _slides(found, scanned, periods):
        kind = CadenceKind.BLENDED
    order = FieldOrder.UNKNOWN
    if kind is not CadenceKind.UNKNOWN:
        order = FieldOrder.PROGRESSIVE
        if any(shares.get(name) for name in ("video", "shifted", "pulldown")) and kind not in (
            CadenceKind.PROGRESSIVE,
            CadenceKind.PSF,
            CadenceKind.DUPLICATES,
            CadenceKind.SOFT_TELECINE,
        ):
            order = scanned
    usual_flag = max(_SCANNED, key=lambda one: flags[one])
    loudest = sorted(found, key=lambda step: -step.seen.weight)[:_SHOWN]
    return Cadence(
        kind=kind,
        order=order,
        confidence=round(fit * telling / (telling + _HALF_SURE), 3),
        frames=len(found),
        telling=round(telling, 2),
        shares=MappingProxyType(shares),
        duplicates=round(duplicates, 4),
        flagged=flagged,
        flags_agree=not order.has_fields or (flagged > 0.5 and usual_flag is order),
        evidence=tuple(sorted(step.seen.index for step in loudest if step.seen.weight > 0)),
    )


def _kind(
    shares: Mapping[str, float], telling: float, *, duplicates: float, flagged: float, times: _Steps
) -> CadenceKind:
    if telling < _ENOUGH:
        return CadenceKind.UNKNOWN
    usual = Pattern(max(shares, key=lambda name: shares[name]))
    if shares[usual.value] < _PURE:
        return CadenceKind.HYBRID
    if usual is not Pattern.WHOLE:
        return _KINDS[usual]
    if times.pulled_down:
        return CadenceKind.SOFT_TELECINE
    if duplicates >= _FEWEST_REPEATS:
        return CadenceKind.DUPLICATES
    return CadenceKind.PSF if flagged > 0.5 else CadenceKind.PROGRESSIVE


_SLIDING = 0.2, 0.85
"""Distance of a frame's own comb from the one with the frame before, on the scale of
`FieldEvidence.combs`, that neither video (near 0) nor film (near 1) has for long."""

_SLID = 0.4
"""Least share of the evidence inside that distance."""

_EITHER_WAY = 0.08
"""Least share beyond its lower end in either direction."""

_PERIODS = 1, 5, 6
"""Frames after which film stands alike in the fields: 24 pictures in 60 fields, and 25 in 60.  24
in 50 take 25 frames, so that neighbours are alike."""

_ALIKE = 0.68
"""Least correlation of the distances one period apart: a shaken camera has no period."""

_COMPARED = 8
"""Fewest frames that are compared so."""


def _slides(found: Sequence[StateFound], order: FieldOrder, periods: Sequence[int]) -> bool:
    """Whether film slides through the fields: now both of a frame are one picture, now the second
    and the next first, and blends in between, over and over, as a standards conversion leaves it.
    """
    distances: list[float | None] = []
    total = between = ahead = behind = 0.0
    for step in found:
        if step.shot_start:
            distances += [None] * max(_PERIODS)
        own, after, against = step.seen.combs
        distance = own - (against if order is FieldOrder.BOTTOM_FIRST else after)
        weight = step.seen.weight
        total += weight
        between += weight * (_SLIDING[0] < abs(distance) < _SLIDING[1])
        ahead += weight * (distance < -_SLIDING[0])
        behind += weight * (distance > _SLIDING[0])
        distances.append(distance if weight > _TOLD else None)
    if between < _SLID * total or min(ahead, behind) < _EITHER_WAY * total:
        return False
    alike = {period: _correlation(distances, period) for period in _PERIODS}
    best = max(_PERIODS, key=lambda period: alike[period])
    return best in periods and alike[best] > _ALIKE


_TOLD = 0.2
"""Weight from which a single frame is believed."""


def _correlation(series: Sequence[float | None], lag: int) -> float:
    """Of a series with itself `lag` later, where both are known; 0 with too few to compare."""
    pairs = [
        (a, b)
        for a, b in zip(series, series[lag:], strict=False)
        if a is not None and b is not None
    ]
    if len(pairs) < _COMPARED:
        return 0.0
    first, second = fmean(a for a, _ in pairs), fmean(b for _, b in pairs)
    shared = sum((a - first) * (b - second) for a, b in pairs)
    size = sum((a - first) ** 2 for a, _ in pairs) * sum((b - second) ** 2 for _, b in pairs)
    return float(shared / size**0.5) if size > 0 else 0.0


_FEWEST_REPEATS = 0.08
"""Share of repeats from which they are a cadence: 23 pictures in 25 frames."""

_FEWEST_HOLDS = 3
"""Pictures that must be seen held for there to be a rule."""

_STILL = 0.3
"""Change of a repeat, relative to the usual change around it: coding is never quite the same."""

_MOVES = 1.0
"""Change, in 8-bit code values, from which something moves."""

_EXACT = 0.02
"""Change of a repeat that was never coded, relative to the usual change around it.  Where there are
such, less motion will do, and motion that says nothing of fields."""

_MOVES_EXACTLY = 0.25

_AROUND = 6


def _repeats(runs: Sequence[Sequence[tuple[float, float]]]) -> float:
    """Share of repeats in moving stretches, 0 where they follow no rule.

    A repeat changes far less than frames around it do, and motion goes on after it.  The pictures
    of a pull-up are all held for n or n + 1 frames; a still scene lasts as long as it likes.
    """
    holds: Counter[int] = Counter()
    for changes in runs:
        hold: int | None = None
        for t in range(1, len(changes)):
            around = sorted(changes[max(1, t - _AROUND) : t + _AROUND + 1])
            usual, weight = around[-1 - len(around) // 6]
            if around[0][0] <= _EXACT * usual:
                moves = usual >= _MOVES_EXACTLY
            else:
                moves = usual >= _MOVES and weight >= _TOLD
            if not moves:
                hold = None
            elif changes[t][0] >= _STILL * usual:
                if hold is not None:
                    holds[hold] += 1
                hold = 0
            elif hold is not None:
                hold += 1
    repeats = sum(hold * count for hold, count in holds.items())
    if holds.total() - holds[0] < _FEWEST_HOLDS:
        return 0.0
    regular = max(holds[n] + holds[n + 1] for n in range(max(holds) + 1))
    return repeats / (repeats + holds.total()) if regular >= 0.8 * holds.total() else 0.0
