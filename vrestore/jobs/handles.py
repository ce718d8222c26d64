"""How far the ops of a plan look across the borders of a segment."""

from __future__ import annotations

from vrestore.chain import restoration
from vrestore.jobs.segments import Handles
from vrestore.notes import NoteBook
from vrestore.planning import Plan, tuned_keys
from vrestore.runtime.stage import latency_of
from vrestore.treatments import Treatments

__all__ = ["handles_of"]

_PATTERN = 8, 8
"""A turn of 3:2 pulldown, whose place in it is known, and what a deinterlacer looks at."""

_FIELDS = 2, 2
_MEMORY = 12
"""After so many frames the network's state has forgotten where it began."""

_HISTORY = 48
"""What the stabiliser and the deflicker remember, 36 frames, and the 12 that the stabiliser looks
ahead.  With 36 in all, frames differed by 1.10 times the usual at one renewal of a weaving shot."""

_AHEAD = 24
"""Longest look ahead that is given; ops that hold back more read a shot's beginning."""


def handles_of(plan: Plan) -> Handles:
    """The handles of every segment of a plan."""
    fields = plan.fields
    if fields.matching is not None or fields.marking is not None:
        around = _PATTERN
    else:
        around = _FIELDS if fields.works else (0, 0)
    ahead = latency_of(restoration(plan, NoteBook()))
    if not ahead:
        return Handles(fields=around)
    size = plan.info.video.width, plan.info.video.height
    steadied = Treatments(plan.preset, size, tuned=tuned_keys(plan.shots)).steadied()
    return Handles(fields=around, renewal=(_HISTORY if steadied else _MEMORY, min(ahead, _AHEAD)))
