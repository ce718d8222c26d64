"""What a file must hold, found out from its source and the settings it was made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from vrestore.fieldplan import FieldWork
from vrestore.io.decode import Decoder
from vrestore.io.trim import nearest
from vrestore.media import Timestamp
from vrestore.notes import NoteBook
from vrestore.planning import Plan
from vrestore.preset import Preset
from vrestore.runtime.threads import torch_threads
from vrestore.wiring import plan as make_plan

__all__ = ["Expected", "expected_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a run of these settings on this source makes."""

    plan: Plan
    times: tuple[Timestamp, ...]
    """Of the frames in display order, on the source's clock, as they go to the encoder."""

    repeated: int
    """Frames among them that stand for damaged or lost ones of the source."""

    @property
    def origin(self) -> Fraction:
        """Seconds on the source's clock that are zero in the output."""
        if self.plan.span is None or not self.times:
            return Fraction(0)
        return self.times[0].seconds

    def ticks(self, tick: Fraction) -> Sequence[int]:
        """The frames' times in an output whose clock ticks every `tick` seconds."""
        assert self.plan.output is not None
        base = self.plan.output.target.time_base
        origin = nearest(self.origin / base) * base
        coded = (stamp.rescaled(base).pts * base for stamp in self.times)
        return [nearest((seconds - origin) / tick) for seconds in coded]


def expected_of(source: str, output: str, preset: Preset) -> Expected:
    """Plans the run again and decodes the source as it did.

    Nothing is restored or written; where fields are matched or taken apart, that is done again,
    since it decides how many frames there are.  Raises the errors of planning and decoding.
    """
    with torch_threads(1):
        planned = make_plan(source, output, preset=preset)
        numbered = planned.preset.cuts.file is not None or planned.shots is not None
        config = planned.preset.input
        times: list[Timestamp] = []
        fields = FieldWork(planned.fields, NoteBook()) if planned.fields.works else None
        with Decoder(
            planned.info.path,
            replace(config, seek=config.seek and not numbered),
            stream=planned.info.video.stream.index,
            threads=planned.threads.decode,
        ) as decoder:
            for frame in decoder:
                if fields is None:
                    times.append(frame.timestamp)
                else:
                    times += (each.timestamp for each in fields.push(frame))
            if fields is not None:
                times += (each.timestamp for each in fields.flush())
        return Expected(plan=planned, times=tuple(times), repeated=decoder.report.repeated)
