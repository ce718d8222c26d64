"""From what a source's fields show to what is done about them, and the doing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from vrestore.io.deinterlace import (
    Deinterlace,
    DeinterlaceConfig,
    Deinterlacing,
    FieldReport,
    choose_deinterlacing,
)
from vrestore.media import FieldOrder, Frame, VideoInfo
from vrestore.notes import NoteBook
from vrestore.ops.cadence import Cadence, CadenceKind
from vrestore.ops.duplicates import DuplicatesConfig
from vrestore.ops.fieldfound import FieldRun, FindFields, follow_on
from vrestore.ops.fieldmatch import TICKS, MatchFields, MatchReport
from vrestore.ops.markfields import MarkFields
from vrestore.ops.matching import IvtcConfig, Matching, choose_matching
from vrestore.ops.pulldown import EVEN_TICKS, EvenPulldown, PairRun
from vrestore.runtime.stage import Op, compose, latency_of

__all__ = ["FieldPlan", "FieldWork", "FieldsKnown", "LookAtFields", "choose_fields"]

_FILM_OF_VIDEO = Fraction(4, 5)
"""Pictures of film in frames of video after 3:2 pulldown."""

_MANY_REPEATS = 0.1
"""Share of repeats from which a source is full of them."""

_SURE = 0.5
"""Confidence from which a survey outweighs the flags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldsKnown:
    """What was decided of the fields of every frame of a source."""

    runs: tuple[FieldRun, ...] = ()
    """Of matching, or of marking."""

    pairs: tuple[PairRun, ...] = ()
    """Of times that are evened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPlan:
    """What happens to the fields and repeats of one source."""

    cadence: Cadence | None = None
    """What a survey found; None where none was made."""

    matching: Matching | None = None
    """How pictures spread over several frames are put together."""

    marking: Matching | None = None
    """How frames are told apart that are whole and interlaced in turn."""

    even: bool = False
    """Whether times of three and two fields in turn are shared evenly."""

    deinterlacing: Deinterlacing | None = None
    noisy_repeats: bool | None = None
    """Whether repeats are recognised under coding noise; None where repeats are not looked for."""

    known: FieldsKnown | None = None
    """What a look at the whole source decided of its frames; None where they are decided as they
    come."""

    @property
    def doubling(self) -> int:
        """Pictures made of an interlaced frame."""
        return 1 if self.deinterlacing is None else self.deinterlacing.rate

    @property
    def ticks(self) -> int:
        """How much finer the output's clock is than the source's."""
        pulled = TICKS if self.matching is not None else EVEN_TICKS if self.even else 1
        return pulled * self.doubling

    @property
    def pace(self) -> Fraction:
        """Pictures out for each frame in, as far as it can be known before."""
        telecined = self.matching is not None and (
            self.cadence is not None and self.cadence.kind is CadenceKind.TELECINE
        )
        return self.doubling * (_FILM_OF_VIDEO if telecined else Fraction(1))

    @property
    def progressive(self) -> bool:
        """Whether what comes out is said to be progressive."""
        return self.deinterlacing is not None or self.matching is not None

    @property
    def works(self) -> bool:
        """Whether anything is done to frames before they are restored."""
        return self.progressive or self.even

    def __str__(self) -> str:
        parts = [str(part) for part in (self.matching, self.deinterlacing) if part is not None]
        if self.even:
            parts.insert(0, "times of three and two fields evened")
        if self.noisy_repeats is not None:
            parts.append("repeated frames restored once")
        return "; ".join(parts)


def choose_fields(
    video: VideoInfo,
    *,
    deinterlace: DeinterlaceConfig,
    ivtc: IvtcConfig,
    duplicates: DuplicatesConfig,
    cadence: Cadence | None,
    is_still: bool,
) -> FieldPlan:
    """What settings and evidence ask for.  Raises PlanError where a filter cannot do it."""
    sure = cadence if cadence is not None and cadence.confidence >= _SURE else None
    kind = None if sure is None else sure.kind
    soft = kind is CadenceKind.SOFT_TELECINE
    matching = None if is_still or soft else choose_matching(ivtc, cadence)
    marking = None
    mixed = kind is CadenceKind.HYBRID and matching is None and deinterlace.mode == "auto"
    if sure is not None and mixed:
        marking = Matching(usual=sure.usual, order=sure.order)
    measured = FieldOrder.UNKNOWN if sure is None else sure.order
    if matching is not None and kind is not CadenceKind.HYBRID:
        # What comes out of matching are whole pictures of film.
        measured = FieldOrder.PROGRESSIVE
    deinterlacing = choose_deinterlacing(
        deinterlace,
        video,
        is_still=is_still,
        measured=measured,
        marked=matching is not None or marking is not None,
    )
    noisy: bool | None = None
    if duplicates.mode == "auto" and not is_still:
        noisy = cadence is not None and cadence.duplicates >= _MANY_REPEATS
    return FieldPlan(
        cadence=cadence,
        matching=matching,
        marking=marking,
        even=soft and ivtc.enabled,
        deinterlacing=deinterlacing,
        noisy_repeats=noisy,
    )


class FieldWork:
    """Op: carries out a FieldPlan on CODE frames, and keeps the books."""

    def __init__(self, plan: FieldPlan, book: NoteBook) -> None:
        ops: list[Op[Any, Any]] = []
        self.matched: MatchReport | None = None
        self.deinterlaced: FieldReport | None = None
        known = plan.known
        if plan.even:
            ops.append(EvenPulldown(None if known is None else known.pairs))
        if plan.matching is not None:
            match = book.of(MatchFields(plan.matching, None if known is None else known.runs))
            self.matched = match.report
            ops.append(match)
        if plan.marking is not None:
            ops.append(MarkFields(plan.marking, None if known is None else known.runs))
        if plan.deinterlacing is not None:
            deinterlace = Deinterlace(plan.deinterlacing)
            self.deinterlaced = deinterlace.report
            ops.append(deinterlace)
        self._op = compose(*ops)
        self.latency = latency_of(self._op)

    @property
    def added(self) -> int:
        """Second fields that became pictures."""
        return 0 if self.deinterlaced is None else self.deinterlaced.added

    @property
    def dropped(self) -> int:
        """Frames that showed no picture of their own."""
        return 0 if self.matched is None else self.matched.dropped

    def push(self, frame: Frame) -> Iterable[Frame]:
        return self._op.push(frame)

    def flush(self) -> Iterable[Frame]:
        return self._op.flush()


class LookAtFields:
    """Op: passes CODE frames with `shot_start` on and decides what a FieldPlan leaves to them.

    What it tells is the same that a FieldWork would decide that saw the same frames from the
    first on.
    """

    latency = 0

    def __init__(self, plan: FieldPlan) -> None:
        matching = plan.matching or plan.marking
        self._finder = None if matching is None else FindFields(matching)
        self._even = EvenPulldown() if plan.even else None
        self._runs: list[FieldRun] = []

    def push(self, frame: Frame) -> Iterable[Frame]:
        if self._even is not None:
            for _ in self._even.push(frame):
                pass
        if self._finder is not None:
            for found in self._finder.push(frame):
                follow_on(self._runs, found)
        return (frame,)

    def flush(self) -> Iterable[Frame]:
        if self._finder is not None:
            for found in self._finder.flush():
                follow_on(self._runs, found)
        return ()

    @property
    def known(self) -> FieldsKnown:
        """Of all frames that came, once they are flushed."""
        pairs = () if self._even is None else tuple(self._even.pairs)
        return FieldsKnown(runs=tuple(self._runs), pairs=pairs)
