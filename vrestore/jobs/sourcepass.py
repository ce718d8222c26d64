"""One fast look at all of the source before the work: its shots, what each needs, its times."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from vrestore.assembly import Tally, open_source
from vrestore.chain import marking
from vrestore.diagnose import TuneShots, ceilings
from vrestore.errors import InputError
from vrestore.fieldplan import FieldsKnown, LookAtFields
from vrestore.io.accounts import DecodeReport
from vrestore.media import Frame
from vrestore.observing import Observer, observing
from vrestore.planning import Plan
from vrestore.runtime.pipeline import Pipeline
from vrestore.runtime.stage import Op, compose
from vrestore.shotlist import Shot, ShotList

__all__ = ["SourceMap", "map_source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMap:
    """All frames of the part of a source that is kept."""

    shots: ShotList
    first: int
    """`Frame.index` of the first frame."""

    times: array[int]
    """Of every frame, in ticks of the source."""

    time_base: Fraction
    fields: FieldsKnown | None
    """What was decided of their fields; None where nothing is done about fields."""

    report: DecodeReport

    @property
    def starts(self) -> list[int]:
        """Frames that begin a shot."""
        return [shot.start for shot in self.shots.shots if shot.start is not None]

    @property
    def steady(self) -> bool:
        """Whether reading may begin anywhere: no picture depends on what was lost before it."""
        report = self.report
        wrong = report.repeated + report.lost + report.repaired_pts + report.rescaled
        return not (wrong or report.corrupt_packets or report.truncated)


def map_source(plan: Plan, observer: Observer | None = None) -> SourceMap:
    """Reads the source to its end, by the rules of the plan.

    Raises InputError where there is no picture, and what decoding and shot lists raise.
    """
    decoder = open_source(plan)
    ops: list[Op[Any, Any]] = [marking(plan)]
    fields = LookAtFields(plan.fields) if plan.fields.works else None
    if fields is not None:
        ops.append(fields)
    if plan.preset.cuts.tune and plan.shots is None:
        ops.append(TuneShots(ceilings(plan.preset), fields=plan.fields.works))
    table, tally = _Table(), Tally()
    pipeline = Pipeline(("decode", decoder), [("shots", compose(*ops, tally))], ("list", table))
    pipeline.run(None if observer is None else observing(observer, plan, tally))
    if not table.times:
        raise InputError("no picture of the source lies in the part that was asked for")
    return SourceMap(
        shots=ShotList(shots=tuple(table.shots)),
        first=table.first,
        times=table.times,
        time_base=decoder.time_base,
        fields=None if fields is None else fields.known,
        report=decoder.report,
    )


class _Table:
    """Sink: notes the time of each frame and where shots begin."""

    def __init__(self) -> None:
        self.first = 0
        self.times: array[int] = array("q")
        self.shots: list[Shot] = []

    def write(self, frame: Frame) -> None:
        if not self.times:
            self.first = frame.index
        self.times.append(frame.timestamp.pts)
        if frame.shot_start or len(self.times) == 1:
            self.shots.append(
                Shot(start=frame.index, seconds=frame.timestamp.seconds, tuning=frame.tuning)
            )

    def close(self) -> None:
        """Nothing to finish."""
