"""The work of `vrestore preview`: short samples of a film, restored with several presets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

from vrestore import preset as known_presets
from vrestore.commands.review import say, write_page
from vrestore.errors import InputError, OutputError, PresetError
from vrestore.io.decode import DecodeConfig
from vrestore.media import MediaInfo
from vrestore.preset import Preset, Setting
from vrestore.report import Report
from vrestore.review.clips import Clip
from vrestore.review.compare import Comparison, compare_groups
from vrestore.review.page.plot import clock
from vrestore.runtime.threads import torch_threads
from vrestore.shotlist import read_cuts
from vrestore.survey import look_up
from vrestore.wiring import restore

__all__ = ["places", "sample"]

_MOMENTS = 4
"""Moments of each part that the page shows."""

_PICTURE_ONLY: Mapping[str, object] = MappingProxyType({
    "streams.audio": False, "streams.subtitles": False, "streams.attachments": False,
    "streams.data": False, "streams.chapters": False, "streams.strict": False,
})  # fmt: skip


def sample(
    source: str,
    *,
    names: Sequence[str],
    page: Path,
    settings: Sequence[str],
    parts: int,
    seconds: Fraction,
    cuts: str | None,
    keep: bool,
) -> None:
    """Restores `parts` samples of `seconds` with each preset and writes the page.

    `settings` are words such as "size.scale=2".  Samples live beside the page until it is written,
    with `keep` for good.  Raises the errors of `vrestore.errors`.
    """
    presets = [_preset(name, settings) for name in names]
    info = look_up(source, DecodeConfig())
    if info.path == "-" or info.is_still:
        raise InputError(f"{source} has no places to sample; restore it at once: vrestore run")
    begins = places(info.duration_seconds_from_header, parts, seconds, _shots(cuts))
    with _folder(page, keep) as folder, torch_threads(1):
        paces: list[list[float]] = [[] for _ in presets]
        comparisons = []
        for number, begin in enumerate(begins):
            clips = [Clip.of(source, "source", begin)]
            for place, (name, chosen) in enumerate(zip(names, presets, strict=True)):
                say(f"part {number + 1} of {len(begins)}, from {clock(float(begin))}: {name}")
                made = folder / f"{number + 1}-{place + 1}-{chosen.name}.mkv"
                report = _restored(source, made, chosen, begin, seconds)
                paces[place].append(_pace(report))
                clips.append(Clip.of(str(made), name))
            comparisons.append(
                Comparison(clips=clips, title=f"From {clock(float(begin))}", length=seconds)
            )
        text = compare_groups(
            comparisons,
            title=f"{Path(source).name}: {', '.join(names)}",
            samples=_MOMENTS,
            notes=[
                _described(name, preset, pace, info)
                for name, preset, pace in zip(names, presets, paces, strict=True)
            ],
            observer=say,
        )
        write_page(page, text)
    if keep:
        say(f"the samples are in {folder}")


def places(
    length: Fraction | None, parts: int, seconds: Fraction, shots: Sequence[Fraction] = ()
) -> list[Fraction]:
    """Where the samples begin, in seconds after the first picture, ascending.

    Spread evenly; at the shot that begins nearest where shots are known and one begins near.  Fewer
    than `parts` where the film is too short for so many, one at the beginning where its length is
    not known.
    """
    if length is None or length <= seconds:
        return [Fraction(0)]
    parts = max(1, min(parts, int(length / seconds)))
    step = length / parts
    begins = []
    for number in range(parts):
        begin = max(Fraction(0), step * number + (step - seconds) / 2)
        near = [shot for shot in shots if abs(shot - begin) <= (step - seconds) / 2]
        begins.append(min(near, key=lambda shot: abs(shot - begin)) if near else begin)
    return begins


def _preset(name: str, settings: Sequence[str]) -> Preset:
    pairs = [word.partition("=") for word in settings]
    if wrong := [key for key, equals, _ in pairs if not equals]:
        raise PresetError(f"--set takes key=value, got {wrong[0]!r}")
    return known_presets.load(name).override_all(
        Setting(key=key.strip(), value=value, origin="flag --set") for key, _, value in pairs
    )


def _shots(cuts: str | None) -> list[Fraction]:
    """The times of a cut list; entries that name only a frame's number have none."""
    if cuts is None:
        return []
    found = read_cuts(cuts)
    times = [cut.at.seconds if cut.at is not None else cut.seconds for cut in found]
    first = next((time for time in times if time is not None), Fraction(0))
    return [time - first for time in times if time is not None]


def _restored(
    source: str, output: Path, preset: Preset, begin: Fraction, seconds: Fraction
) -> Report:
    part = {
        "input.start": f"{float(begin):.6f}",
        "input.stop": f"{float(begin + seconds):.6f}",
        "input.frames": None,
    }
    return restore(source, str(output), preset=preset, overrides=part | dict(_PICTURE_ONLY))


def _pace(report: Report) -> float:
    """Frames a second, 0 where it was not measured."""
    stats = report.stats
    return report.frames / stats.elapsed_seconds if stats and stats.elapsed_seconds else 0.0


def _described(
    name: str, preset: Preset, paces: Sequence[float], info: MediaInfo
) -> tuple[str, str, str]:
    """(name, what it is for, how long the whole film would take)."""
    pace = sum(paces) / len(paces)
    rate, length = info.video.average_rate, info.duration_seconds_from_header
    whole = ""
    if pace and rate and length:
        whole = f"{pace:.1f} frames/s here; the whole in about {clock(float(length * rate) / pace)}"
    return name, preset.description, whole


@contextmanager
def _folder(page: Path, keep: bool) -> Iterator[Path]:
    """Where the samples live."""
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        if keep:
            kept = page.with_suffix("")
            kept.mkdir(exist_ok=True)
            yield kept
            return
        with tempfile.TemporaryDirectory(prefix=".vrestore-preview-", dir=page.parent) as scratch:
            yield Path(scratch)
    except OSError as error:
        raise OutputError(f"{page.parent} cannot be written: {error.strerror}") from error
