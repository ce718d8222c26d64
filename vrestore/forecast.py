"""What a run will take, from short pieces of it done for real."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

from vrestore.errors import PlanError, PresetError
from vrestore.planning import Plan
from vrestore.preset import Preset, Setting
from vrestore.progress import Progress
from vrestore.report import Report
from vrestore.wiring import plan, restore

__all__ = ["Forecast", "forecast"]

_PLACES = (Fraction(1, 2), Fraction(1, 6), Fraction(5, 6))
"""Where pieces are taken, in shares of the length; the first one finds out how long they may be."""

_FIRST_SECONDS = Fraction(1)
"""Length of the first piece; the others are as long as the time allows."""

_SHORTEST, _LONGEST = Fraction(1, 2), Fraction(20)
_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Of a whole run, extrapolated from the pieces."""

    frames: int
    """To be written, as the source claims, or as its length and rate tell."""

    fps: float
    """Frames written per second once a run has warmed up."""

    slowest_fps: float
    fastest_fps: float
    """Of the pieces; how far they are apart tells how far to trust the rest."""

    seconds: float
    bytes: int
    """Of the finished file."""

    peak_rss_bytes: int | None
    """Highest so far, of pieces that use as much memory as the whole."""

    bound_by: str
    """The stage that sets the pace."""

    pieces: int

    @property
    def facts(self) -> Mapping[str, object]:
        """Plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        memory = "" if self.peak_rss_bytes is None else f", {self.peak_rss_bytes // _MIB} MiB"
        return (
            f"forecast from {self.pieces} pieces: {_clock(self.seconds)} for {self.frames} frames "
            f"at {self.fps:.1f} fps ({self.slowest_fps:.1f} to {self.fastest_fps:.1f}), "
            f"{self.bytes / _MIB:.0f} MiB of output{memory}; {self.bound_by} sets the pace"
        )


@dataclass(frozen=True, slots=True)
class _Piece:
    seconds: Fraction
    """Of the source."""
    frames: int
    fps: float
    bytes: int
    report: Report


def forecast(source: str, output: str, *, preset: Preset, budget_seconds: float = 45.0) -> Forecast:
    """Restores pieces of a source into a folder that is removed, and extrapolates.

    `budget_seconds` of work at most, roughly.  Raises PlanError for what has no length (standard
    input, a still, a file that does not say), PresetError where a part of it is asked for, and
    whatever a run may raise.
    """
    chosen = preset.input
    if chosen.frames is not None or chosen.start is not None or chosen.stop is not None:
        raise PresetError("a forecast is of a whole source; leave out -ss, -to and --frames")
    whole = plan(source, output, preset=preset)
    length, rate = whole.info.duration_seconds_from_header, whole.output_rate
    expected = whole.frames_expected or (round(length * rate) if length and rate else None)
    if whole.output is None or source == "-" or not length or not expected:
        raise PlanError(f"{source} does not tell how long it is, so there is no forecast")
    with tempfile.TemporaryDirectory(prefix="vrestore-forecast-") as folder:
        pieces: list[_Piece] = []
        wanted = _FIRST_SECONDS
        for place in _PLACES:
            wanted = min(wanted, length)
            start = min(length * place, length - wanted)
            pieces.append(_piece(whole, Path(folder), start, wanted))
            pace = Fraction(pieces[0].fps) * pieces[0].seconds / pieces[0].frames
            share = Fraction(budget_seconds) * pace / len(_PLACES)
            wanted = max(_SHORTEST, min(_LONGEST, share))
    frames = sum(p.frames for p in pieces)
    shown = sum((p.seconds for p in pieces), Fraction(0))
    seconds_per_frame = sum(p.frames / p.fps for p in pieces) / frames
    largest = max(pieces, key=lambda p: p.frames)
    stats = largest.report.stats
    bounding = None if stats is None else stats.bounding
    return Forecast(
        frames=expected,
        fps=1 / seconds_per_frame,
        slowest_fps=min(p.fps for p in pieces),
        fastest_fps=max(p.fps for p in pieces),
        seconds=expected * seconds_per_frame,
        bytes=round(sum(p.bytes for p in pieces) / shown * length),
        peak_rss_bytes=largest.report.peak_rss_bytes,
        bound_by="" if bounding is None else bounding.name,
        pieces=len(pieces),
    )


def _piece(whole: Plan, folder: Path, start: Fraction, seconds: Fraction) -> _Piece:
    """One piece from `start` on, by the plan's own settings and container."""
    target = folder / f"piece{Path(whole.path).suffix or '.mkv'}"
    settings = {"input.start": f"{float(start):.3f}", "input.stop": f"{float(start + seconds):.3f}"}
    preset = whole.preset.override_all(
        Setting(key=key, value=value, origin="forecast") for key, value in settings.items()
    )
    began: list[Progress] = []

    def observe(progress: Progress) -> None:
        if progress.frames_done and not began:
            began.append(progress)

    report = restore(whole.info.path, str(target), preset=preset, overwrite=True, observer=observe)
    assert report.stats is not None
    elapsed, frames = report.stats.elapsed_seconds, report.frames
    if began and frames > began[0].frames_done:
        # Opening files and loading a network are done once, however long the film.
        elapsed -= began[0].elapsed_seconds
        frames -= began[0].frames_done
    size = target.stat().st_size if target.exists() else 0
    return _Piece(seconds, report.frames, frames / elapsed, size, report)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
