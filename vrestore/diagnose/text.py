"""A diagnosis as text for people and as JSON for machines."""

from __future__ import annotations

from collections.abc import Iterator

from vrestore import json_form
from vrestore.describe import columns
from vrestore.diagnose.values import Diagnosis, Finding, Severity

__all__ = ["as_json", "as_text"]

_WORDS = {
    Severity.UNKNOWN: "?",
    Severity.ABSENT: "-",
    Severity.SLIGHT: "slight",
    Severity.CLEAR: "clear",
    Severity.STRONG: "strong",
}


def as_text(diagnosis: Diagnosis) -> str:
    """One line for each finding, then the suggested preset and its three reasons."""
    return "\n".join(_lines(diagnosis))


def as_json(diagnosis: Diagnosis) -> str:
    """All findings with number, confidence and evidence; readings are left out."""
    return json_form.to_json(diagnosis)


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    what = "all frames" if diagnosis.whole else "frames in windows all over it"
    yield f"{diagnosis.path}: {diagnosis.frames} examined, {what}"
    yield columns((_row(one, diagnosis.whole) for one in diagnosis.findings), "  ")
    suggestion = diagnosis.suggestion
    yield f"  preset  {suggestion.preset} (confidence {suggestion.confidence:.2f})"
    yield from (f"          because {reason}" for reason in suggestion.reasons)
    for key, value in suggestion.overrides.items():
        yield f"          with {key} = {value}"


def _row(finding: Finding, whole: bool) -> tuple[str, str, str, str, str]:
    number = "" if finding.value is None else f"{finding.value:g} {finding.unit}".rstrip()
    evidence = _evidence(finding, whole)
    sure = "" if finding.severity is Severity.UNKNOWN else f"{finding.confidence:.2f}"
    return (
        finding.name,
        _WORDS[finding.severity],
        number,
        sure,
        f"{finding.says}{evidence if finding.found else ''}",
    )


def _evidence(finding: Finding, whole: bool) -> str:
    """Where to look: frames, whose numbers are exact in a source that was read whole, or times."""
    if not finding.evidence_frames:
        return ""
    if whole:
        shown = ", ".join(str(index) for index in finding.evidence_frames)
        return f" (frame{'s' * (len(finding.evidence_frames) > 1)} {shown})"
    return f" (at {', '.join(f'{seconds:.1f}' for seconds in finding.evidence_seconds)} s)"
