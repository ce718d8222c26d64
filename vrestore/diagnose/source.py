"""Looks at a source's pictures: windows spread over a file, or all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

from vrestore.diagnose.judge import judge
from vrestore.diagnose.reading import LONGEST, RunReader, field_picture
from vrestore.diagnose.suggest import suggest
from vrestore.diagnose.values import Diagnosis, Finding, Reading
from vrestore.errors import InputError
from vrestore.io.decode import DecodeConfig, Decoder
from vrestore.io.glance import glance
from vrestore.io.probe import ProbeOptions, probe
from vrestore.media import ColorSpec, Frame, MediaInfo
from vrestore.ops.bars import BarProfile, BarsFound, find_bars, profile
from vrestore.ops.cadence import Cadence, FieldSurvey, survey_fields
from vrestore.ops.color import ColorConfig, resolve_video
from vrestore.ops.cuts import CutsConfig, DetectCuts
from vrestore.ops.levels import Normalise
from vrestore.ops.patterns import Pattern

__all__ = ["Evidence", "diagnose", "examine", "marked_frames", "read_runs"]

_PLACES = 8
"""Places in a file that are looked at."""

_WINDOW = 36
"""Frames that are looked at in each."""

_SHORT = 2 * _PLACES
"""Windows' lengths up to which a source is read whole, as is one that does not say its length."""

_BAR_SPACING = 12
_MOST_PROFILES = 64
_GAP = 8
"""Frames' time without a frame, after which another place begins."""

_USUAL_RATE = Fraction(25)
"""Pictures a second, where the source does not tell."""

_FEWEST = 3
"""Frames of a shot that are worth a reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that was measured of a source."""

    info: MediaInfo
    whole: bool
    cadence: Cadence
    readings: tuple[Reading, ...]
    bars: BarsFound | None
    """None where there were no frames."""

    shots: int
    """Beginnings of shots that were seen, the first of each window left out."""

    frames: int


def diagnose(
    source: str,
    *,
    whole: bool = False,
    config: DecodeConfig | None = None,
    info: MediaInfo | None = None,
) -> Diagnosis:
    """What is wrong with a source, and which preset suits it.

    Reads some 300 frames from all over a file; `whole` reads every frame.  `info` is what a probe
    with the same `config` said, None to probe here.  Standard input cannot
    be read twice: InputError, as for a source without pictures.
    """
    if source == "-":
        raise InputError("standard input cannot be diagnosed, since it is read only once")
    config = config or DecodeConfig()
    evidence = examine(info or probe(source, config, ProbeOptions()), config, whole=whole)
    judged = judge(
        evidence.info,
        evidence.readings,
        evidence.cadence,
        bars=evidence.bars,
        shots=evidence.shots,
        whole=evidence.whole,
    )
    findings = tuple(_dated(finding, evidence) for finding in judged)
    return Diagnosis(
        path=source,
        whole=evidence.whole,
        frames=evidence.frames,
        findings=findings,
        suggestion=suggest(evidence.info, findings),
        readings=evidence.readings,
        cadence=evidence.cadence,
    )


def _dated(finding: Finding, evidence: Evidence) -> Finding:
    """With the times of its evidence."""
    rate = evidence.info.video.average_rate or _USUAL_RATE
    seconds = []
    for index in finding.evidence_frames:
        known = [reading for reading in evidence.readings if reading.first <= index]
        first, start = (known[-1].first, known[-1].seconds) if known else (0, Fraction(0))
        seconds.append(round(float(start + (index - first) / rate), 3))
    return replace(finding, evidence_seconds=tuple(seconds))


def examine(
    info: MediaInfo, config: DecodeConfig, *, whole: bool = False, window: int = _WINDOW
) -> Evidence:
    """All measurements of a source; `window` is the frames looked at in each of 8 places, 4 or
    more.  InputError where it has no picture."""
    count = _length(info)
    whole = whole or count is None or count <= _SHORT * window
    color = _color(info)

    def frames() -> Iterator[Frame]:
        return _frames(info, config, color, window=window, whole=whole)

    flagged = info.video.field_order.has_fields
    if flagged:
        cadence = survey_fields(frames())
        tally = _Tally(None)
        readings = tuple(read_runs(tally.count(frames()), fields=_apart(cadence)))
    else:
        # Most sources are what they say, and are decoded once.
        survey = FieldSurvey()
        tally = _Tally(survey)
        readings = tuple(read_runs(tally.count(frames())))
        cadence = survey.result()
        if _apart(cadence):
            readings = tuple(read_runs(frames(), fields=True))
    if not tally.frames:
        raise InputError(f"{info.path} has no picture that can be read")
    multiple = (1 << info.video.format.log2_chroma_w, 1 << info.video.format.log2_chroma_h)
    return Evidence(
        info=info,
        whole=whole,
        cadence=cadence,
        readings=readings,
        bars=find_bars(tally.profiles, multiple),
        shots=tally.shots,
        frames=tally.frames,
    )


def _apart(cadence: Cadence) -> bool:
    """Whether the fields of a frame are of different times."""
    return cadence.usual is not Pattern.WHOLE


def _length(info: MediaInfo) -> int | None:
    """Frames of a source, from its length where the header does not count them."""
    video, seconds = info.video, info.duration_seconds_from_header
    if video.frame_count is None and seconds and video.average_rate:
        return int(seconds * video.average_rate)
    return video.frame_count


def read_runs(frames: Iterable[Frame], *, fields: bool = False) -> Iterator[Reading]:
    """Readings of CODE frames whose `shot_start` and range are known: up to 48 frames each, none
    across a cut.  `fields` reads the upper field of each frame alone, where fields are of
    different times."""
    normalise = Normalise()
    reader = RunReader()
    for frame in frames:
        if (frame.shot_start and len(reader)) or len(reader) == LONGEST:
            if len(reader) >= _FEWEST:
                yield reader.reading()
            reader = RunReader()
        (unit,) = normalise.push(field_picture(frame) if fields else frame)
        reader.push(unit)
    if len(reader) >= _FEWEST:
        yield reader.reading()


@dataclass(slots=True)
class _Tally:
    """What is noted of frames on their way to being read."""

    survey: FieldSurvey | None
    """Sees them all, too."""

    frames: int = 0
    shots: int = 0
    profiles: list[BarProfile] = field(default_factory=list)

    def count(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            if self.frames % _BAR_SPACING == 0 and len(self.profiles) < _MOST_PROFILES:
                self.profiles.append(profile(frame))
            if self.survey is not None:
                self.survey.push(frame)
            self.frames += 1
            self.shots += frame.shot_start
            yield frame


def _color(info: MediaInfo) -> ColorSpec:
    return resolve_video(info.video, ColorConfig()).working


def _frames(
    info: MediaInfo, config: DecodeConfig, color: ColorSpec, *, window: int, whole: bool
) -> Iterator[Frame]:
    """Frames in order of time, shots marked; a window begins a shot."""
    if whole:
        yield from marked_frames(info, config)
        return
    latest: Frame | None = None
    detect = DetectCuts(CutsConfig())
    for frame in glance(info, config, places=_PLACES, frames=window):
        if latest is not None:
            passed = frame.timestamp.seconds - latest.timestamp.seconds
            # Seeking to a key picture may lead back to where we have been.
            if passed <= 0:
                continue
            if passed > _GAP / (info.video.average_rate or 25):
                yield from detect.flush()
                detect = DetectCuts(CutsConfig())
        latest = frame
        yield from detect.push(replace(frame, color=color))
    yield from detect.flush()


def marked_frames(info: MediaInfo, config: DecodeConfig) -> Iterator[Frame]:
    """All frames of a source, beginnings of shots marked, colour tags resolved."""
    color = _color(info)
    detect = DetectCuts(CutsConfig())
    with Decoder(info.path, config, stream=info.video.stream.index) as decoder:
        for frame in decoder:
            yield from detect.push(replace(frame, color=color))
        yield from detect.flush()
