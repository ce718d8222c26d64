"""What a diagnosis says: findings with number, evidence and confidence, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from fractions import Fraction
from types import MappingProxyType

from vrestore.ops.cadence import Cadence

__all__ = ["Diagnosis", "Finding", "Reading", "Severity", "Suggestion"]


class Severity(IntEnum):
    """How bad a thing is, in the order of badness."""

    UNKNOWN = -1
    """There was nothing to tell it by."""
    ABSENT = 0
    SLIGHT = 1
    """Seen when looked for."""
    CLEAR = 2
    """Seen by everybody."""
    STRONG = 3
    """Disturbs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was measured in up to 48 consecutive frames of one shot."""

    first: int
    """`Frame.index` of the first frame."""

    seconds: Fraction
    """Its time."""

    frames: int
    """How many were read."""

    values: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Name of a measure -> its number, as `reading.py` says."""

    worst: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Name of a measure -> `Frame.index` of the frame that shows it best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked for."""

    name: str
    """Such as "flicker"; the names are in `judge.NAMES`."""

    severity: Severity

    value: float | None
    """How much of it there is; None where it cannot be told."""

    unit: str
    """Of `value`; empty for a count or a ratio."""

    confidence: float
    """That the severity is right, 0..1."""

    says: str
    """One clause for people, such as "3:2 pulldown, top field first"."""

    evidence_frames: tuple[int, ...] = ()
    """`Frame.index` of the frames that show it best, at most three.  Where a source was looked at
    in windows, it follows from the time at the average rate."""

    evidence_seconds: tuple[float, ...] = ()
    """When those frames are shown."""

    detail: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Further numbers; names end in their unit where they have one."""

    def __post_init__(self) -> None:
        if not 0 <= self.confidence <= 1:
            raise ValueError(f"confidence must be in 0..1, got {self.confidence}")

    @property
    def found(self) -> bool:
        return self.severity > Severity.ABSENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A preset for a source, and why."""

    preset: str
    """Name of a shipped preset."""

    reasons: tuple[str, str, str]

    overrides: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """Keys that the findings set otherwise than the preset does."""

    confidence: float = 0.0
    """0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is known of a source after looking at its pictures."""

    path: str

    whole: bool
    """Every frame was read; otherwise windows spread over the source."""

    frames: int
    """Frames that were examined."""

    findings: tuple[Finding, ...]
    """One for each name, in the order of `judge.NAMES`."""

    suggestion: Suggestion

    readings: tuple[Reading, ...] = field(default=(), repr=False)
    """In the order of time."""

    cadence: Cadence | None = field(default=None, repr=False)
    """What the fields showed, for a plan to act on; `findings` tell it to people."""

    def finding(self, name: str) -> Finding:
        """KeyError for a name that nothing looks for."""
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(name)
