"""Looking at a source before anything is planned: its header, its black bars, its shots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vrestore.diagnose import marked_frames, measure_shots
from vrestore.io.decode import DecodeConfig
from vrestore.io.glance import glance
from vrestore.io.probe import ProbeOptions, probe
from vrestore.media import MediaInfo
from vrestore.ops.bars import BarsFound, find_bars, profile
from vrestore.ops.cadence import Cadence, survey_fields
from vrestore.ops.color import resolve_video
from vrestore.ops.cutlist import Cut
from vrestore.preset import Preset
from vrestore.shotlist import ShotList

__all__ = ["find_shots", "look_for_bars", "look_for_fields", "look_up", "survey_shots"]

_BAR_PLACES = 12
"""Places in the source that are looked at for black bars."""

_BAR_FRAMES = 24
"""Frames that are looked at in all."""

_FIELD_PLACES, _FIELD_RUN = 6, 40
"""Places looked at for the cadence, and pictures in a row in each: eight turns of 3:2 pulldown."""


def look_up(source: str, config: DecodeConfig, *, count: bool = False) -> MediaInfo:
    """What the header and the first pictures say; `count` reads everything to count frames.

    Raises InputError.
    """
    return probe(source, config, ProbeOptions(count=count))


def look_for_bars(info: MediaInfo, preset: Preset) -> BarsFound | None:
    """Black bars of a file, from pictures spread over its length; None for standard input."""
    if info.path == "-":
        return None
    video = info.video
    color = resolve_video(video, preset.color).working
    # A short clip is looked at in one place, long enough to be sure.
    places = _BAR_PLACES if (info.duration_seconds_from_header or 0) > 1 else 1
    seen = glance(info, preset.input, places=places, frames=_BAR_FRAMES // places)
    profiles = [profile(replace(frame, color=color)) for frame in seen]
    multiple = (1 << video.format.log2_chroma_w, 1 << video.format.log2_chroma_h)
    return find_bars(profiles, multiple) if profiles else None


def look_for_fields(
    info: MediaInfo, preset: Preset, known: Cadence | None = None
) -> Cadence | None:
    """What the fields of a file show, from runs of pictures spread over its length.

    `known` is what a diagnosis saw already, which is not looked for again.  None where no setting
    asks for it, for stills, and for standard input.
    """
    asked = (
        preset.deinterlace.mode == "auto" or preset.ivtc.enabled or preset.duplicates.mode == "auto"
    )
    if not asked or info.is_still or info.path == "-":
        return None
    if known is not None:
        return known
    long = (info.duration_seconds_from_header or 0) > _FIELD_PLACES
    places, frames = (_FIELD_PLACES, _FIELD_RUN) if long else (1, _FIELD_PLACES * _FIELD_RUN)
    return survey_fields(glance(info, preset.input, places=places, frames=frames))


def survey_shots(source: str, limits: Mapping[str, float], config: DecodeConfig) -> ShotList:
    """Where the shots of a whole source begin and what each needs, as far as `limits` allow.

    Raises InputError.
    """
    return measure_shots(marked_frames(look_up(source, config), config), limits)


def find_shots(source: str, config: DecodeConfig | None = None) -> tuple[Cut, ...]:
    """Where the shots of a whole source begin.  Raises InputError."""
    config = config or DecodeConfig()
    frames = marked_frames(look_up(source, config), config)
    return tuple(Cut.of(frame) for frame in frames if frame.shot_start)
