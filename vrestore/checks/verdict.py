"""What was checked of a finished file, and how it went."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from vrestore.describe import columns

__all__ = ["Check", "Outcome", "Verdict", "checked", "counted"]


class Outcome(Enum):
    """How one check went."""

    OK = "ok"
    FAILED = "FAILED"
    NOTE = "note"
    """Nothing is wrong, but somebody should know."""

    UNKNOWN = "-"
    """Could not be checked; the sentence says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the table."""

    name: str
    """What was looked at: `frames`, `times`, `audio #1` ..."""

    outcome: Outcome
    told: str
    """One sentence: what was found, and for a failure what should have been."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All checks of one output."""

    path: str
    source: str | None
    """What it was compared with."""

    checks: tuple[Check, ...]

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.outcome is Outcome.FAILED)

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failures

    @property
    def facts(self) -> dict[str, object]:
        """The verdict as plain values, for JSON."""
        return {
            "output": self.path,
            "source": self.source,
            "ok": self.ok,
            "checks": [
                {"name": check.name, "outcome": check.outcome.name.lower(), "told": check.told}
                for check in self.checks
            ],
        }

    def __str__(self) -> str:
        against = "" if self.source is None else f", against {self.source}"
        rows = [(check.outcome.value, check.name, check.told) for check in self.checks]
        return f"{self.path}{against}\n{columns(rows, '  ')}"


def checked(name: str, failures: Iterable[str], told: str) -> Iterator[Check]:
    """One failed check for each sentence, or the single check that went well."""
    wrong = [Check(name=name, outcome=Outcome.FAILED, told=sentence) for sentence in failures]
    yield from wrong or (Check(name=name, outcome=Outcome.OK, told=told),)


def counted(count: int, noun: str, several: str | None = None) -> str:
    """A number with its noun: `1 frame`, `2 frames`."""
    return f"{count} {noun}" if count == 1 else f"{count} {several or noun + 's'}"
