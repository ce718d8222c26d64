"""Which pattern of fields a stretch of frames follows: the likeliest path through a few states.

Each frame is in one state: whole (its fields are one picture), video (two instants), shifted (the
second field before and the first field now are one picture: PAL film, half a frame late) or one of
the five positions of 3:2 pulldown

    position   0   1   2   3   4
    fields    AA  BB  BC  CD  DD      first field, second field

in either field order.  A state says which of the weaves that `FieldMeter` measures should comb and
which should not; what does not fit costs, changing to a state that does not follow costs more, and
the cheapest path is found by Viterbi's algorithm, with bounded delay and shot by shot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from vrestore.media import FieldOrder
from vrestore.ops.fields import FieldEvidence

__all__ = ["CYCLE", "STATES", "FieldState", "Pattern", "StateFound", "StateTracker", "is_joined"]

CYCLE = 5
"""Frames of 3:2 pulldown that hold four pictures."""

_SWITCH = 2.5
"""Cost of a change of pattern; a frame that contradicts a state outright costs about 1."""

_UNUSUAL = 0.02
"""Cost of a state that is not the source's usual one: it decides where nothing moves."""

_JOINED = 0.5
"""Comb of a weave across a cut, relative to the reverse one, up to which it is one picture."""


class Pattern(Enum):
    """How the fields of a frame belong together."""

    WHOLE = "whole"
    VIDEO = "video"
    SHIFTED = "shifted"
    PULLDOWN = "pulldown"


@dataclass(frozen=True, slots=True)
class FieldState:
    """One state of a frame."""

    pattern: Pattern

    order: FieldOrder
    """TOP_FIRST or BOTTOM_FIRST; PROGRESSIVE for whole frames."""

    position: int = 0
    """In the cycle of 3:2 pulldown, 0 to 4; else 0."""

    @property
    def next(self) -> FieldState:
        """The state of the following frame while the pattern goes on."""
        if self.pattern is not Pattern.PULLDOWN:
            return self
        return FieldState(self.pattern, self.order, (self.position + 1) % CYCLE)

    @property
    def needs_before(self) -> bool:
        """Whether a field of the frame before belongs to one of this frame's pictures."""
        return self.pattern is Pattern.SHIFTED or (
            self.pattern is Pattern.PULLDOWN and self.position >= 2
        )

    def misfit(self, seen: FieldEvidence) -> float:
        """How badly a frame's evidence contradicts this state: 0 to about 2."""
        own, after, against = seen.combs
        repeat = seen.repeat
        if self.order is FieldOrder.BOTTOM_FIRST:
            after, against, repeat = against, after, -repeat
        if self.pattern is Pattern.VIDEO:
            # Coding smooths a frame's own combs a little, never those of two frames.
            uneven = 1.2 * (_above(own - after, 0.05) + _above(after - own, 0.25))
            return uneven + 1.5 * _below(against, 0.7) + 1.5 * _above(abs(repeat), 0.45)
        if self.pattern is Pattern.SHIFTED:
            return after + 1.5 * (_below(own, 0.3) + _below(against, 0.6))
        if self.pattern is Pattern.WHOLE or self.position < 2:
            return own + 1.5 * _below(min(after, against), 0.6) + _above(abs(repeat), 0.6)
        if self.position == 2:
            return after + _below(own, 0.6) + _below(against, 0.6) + 1.5 * _above(repeat, -0.25)
        if self.position == 3:
            return after + 2 * _below(own, 0.3) + _below(against, 0.6) + _above(abs(repeat), 0.6)
        return own + after + _below(against, 0.6) + 1.5 * _below(repeat, 0.25)


def _above(value: float, limit: float) -> float:
    return max(0.0, value - limit)


def _below(value: float, limit: float) -> float:
    return max(0.0, limit - value)


_TFF, _BFF = FieldOrder.TOP_FIRST, FieldOrder.BOTTOM_FIRST

STATES: tuple[FieldState, ...] = (
    FieldState(Pattern.WHOLE, FieldOrder.PROGRESSIVE),
    *(FieldState(Pattern.VIDEO, order) for order in (_TFF, _BFF)),
    *(FieldState(Pattern.SHIFTED, order) for order in (_TFF, _BFF)),
    *(FieldState(Pattern.PULLDOWN, order, at) for order in (_TFF, _BFF) for at in range(CYCLE)),
)
_BEFORE = tuple(
    next(i for i, before in enumerate(STATES) if before.next == state) for state in STATES
)
"""For each state the number of the one that it follows."""


def is_joined(seen: FieldEvidence, order: FieldOrder) -> bool:
    """Whether the first field of a frame and the second field before it are one picture, told
    without knowing whether a cut lies between them."""
    after, against = seen.top_after, seen.bottom_after
    if order is FieldOrder.BOTTOM_FIRST:
        after, against = against, after
    return after < _JOINED * against


@dataclass(frozen=True, slots=True)
class StateFound:
    """The state of one frame."""

    seen: FieldEvidence
    state: FieldState

    follows: bool
    """The pattern goes on from the frame before, across a cut as well."""

    shot_start: bool


@dataclass(slots=True)
class _Step:
    seen: FieldEvidence
    shot_start: bool
    came_from: list[int]
    """For each state the cheapest one before it."""


class StateTracker:
    """Evidence in, states out, each once and in order, at most `lag` frames later.

    Paths are sought inside each shot, from its own frames and its first frame's comparison with
    the frame before; only `StateFound.follows` looks at two shots.  A shot of one frame belongs to
    the next: a cut in the film leaves a frame with a field of either shot, unlike both.
    """

    def __init__(
        self,
        lag: int,
        *,
        usual: Pattern = Pattern.WHOLE,
        order: FieldOrder | None = None,
    ) -> None:
        """`usual` is what the frames are taken for where nothing moves; with `order`, TOP_FIRST or
        BOTTOM_FIRST, states of the other order are left out."""
        self._lag = lag
        self._bias = [
            float("inf")
            if order is not None and state.order not in (order, FieldOrder.PROGRESSIVE)
            else _UNUSUAL * (state.pattern is not usual)
            for state in STATES
        ]
        self._steps: deque[_Step] = deque()
        self._costs: list[float] = []
        self._frames = 0
        """Frames of the shot so far."""
        self._last: FieldState | None = None

    def push(self, seen: FieldEvidence, *, shot_start: bool = False) -> Iterator[StateFound]:
        begins = not self._costs or (shot_start and self._frames > 1)
        self._frames = 1 if begins else self._frames + 1
        if begins:
            yield from self.flush()
            self._costs = [
                self._starting(state, seen) + bias
                for state, bias in zip(STATES, self._bias, strict=True)
            ]
            self._steps.append(_Step(seen, shot_start, list(range(len(STATES)))))
            return
        cheapest = min(range(len(STATES)), key=self._costs.__getitem__)
        changed = self._costs[cheapest] + _SWITCH
        costs, came_from = [], []
        for before, state, bias in zip(_BEFORE, STATES, self._bias, strict=True):
            stays = self._costs[before]
            came_from.append(before if stays <= changed else cheapest)
            cost = self._starting(state, seen) if shot_start else seen.weight * state.misfit(seen)
            costs.append(min(stays, changed) + cost + bias)
        self._costs = costs
        self._steps.append(_Step(seen, shot_start, came_from))
        if len(self._steps) > self._lag:
            yield self._decide()

    def flush(self) -> Iterator[StateFound]:
        """The states of what was held back; what is pushed next begins anew."""
        while self._steps:
            yield self._decide()
        self._costs = []

    def _starting(self, state: FieldState, seen: FieldEvidence) -> float:
        """Cost of beginning a shot with a state.

        Combs with the shot before say nothing, but where they are missing: there the cut was made
        in the film, and a picture has a field on either side.
        """
        cost = 0.0
        if state.pattern is Pattern.PULLDOWN:
            # Any position will do where nothing moves; the same one for the same frame, though.
            cost += _UNUSUAL * (state.position != seen.index % CYCLE)
        if seen.weight == 0:
            return cost
        joined = {order for order in (_TFF, _BFF) if is_joined(seen, order)}
        if state.needs_before:
            return cost + 0.3 * (state.order not in joined)
        return cost + seen.weight * bool(joined)

    def _decide(self) -> StateFound:
        """The oldest frame's state; paths that do not lead through it are given up."""
        origin = list(range(len(STATES)))
        for step in reversed(self._steps):
            last = origin
            origin = [step.came_from[i] for i in origin]
        at_oldest = last
        best = min(range(len(STATES)), key=self._costs.__getitem__)
        chosen = at_oldest[best]
        self._costs = [
            cost if at == chosen else float("inf")
            for cost, at in zip(self._costs, at_oldest, strict=True)
        ]
        oldest = self._steps.popleft()
        state, before = STATES[chosen], self._last
        self._last = state
        follows = before is not None and before.next == state
        if follows and oldest.shot_start and state.needs_before:
            follows = is_joined(oldest.seen, state.order)
        return StateFound(oldest.seen, state, follows, oldest.shot_start)
