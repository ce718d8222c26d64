"""One finished output looked at from all sides: a video, numbered pictures, a still."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vrestore import preset as presets
from vrestore.checks.against import comparison, shift_of
from vrestore.checks.copies import copied_streams
from vrestore.checks.expected import Expected, expected_of
from vrestore.checks.pictures import sequence_checks, still_checks
from vrestore.checks.verdict import Check, Outcome, Verdict
from vrestore.checks.whole import wholeness
from vrestore.errors import InputError, ModelError, OutputError, PresetError, VRestoreError
from vrestore.io.inventory import take_inventory
from vrestore.media import MediaInfo
from vrestore.models import registry
from vrestore.preset import Preset
from vrestore.review.embedded import TAG, settings_of
from vrestore.review.record import read_record, record_path
from vrestore.wiring import probe

__all__ = ["verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """What a file says about its making, and the checks of that."""

    preset: Preset | None
    checks: tuple[Check, ...]


def verify(output: str, source: str | None = None, *, preset: Preset | None = None) -> Verdict:
    """Checks a finished output, and with `source` that it is what a run makes of it.

    The settings come from the file, else from the record beside it, else from `preset`; where
    there are none, the source is compared as far as that goes.  Raises InputError where the output
    or the source cannot be read at all, and the errors of planning where the settings do not fit
    the source.
    """
    info = probe(output)
    if info.is_still:
        told = tuple(still_checks(output, info, source))
        return Verdict(path=output, source=source, checks=told)
    settings = _settings(output, info, preset)
    expected = None
    if source is not None and settings.preset is not None:
        expected = expected_of(source, output, settings.preset)
    if info.container == "image2":
        found = sequence_checks(output, info, expected)
    else:
        found = _video(output, info, expected)
    checks = (*found, *settings.checks, *_left_open(source, settings.preset))
    return Verdict(path=output, source=source, checks=checks)


def _video(output: str, info: MediaInfo, expected: Expected | None) -> Iterator[Check]:
    inventory = take_inventory(output, decode=info.video.stream.index)
    yield from wholeness(info, inventory)
    if expected is None:
        return
    shift = shift_of(info, inventory, expected)
    yield from comparison(info, inventory, expected, shift)
    yield from copied_streams(info, inventory, expected, shift)


def _settings(output: str, info: MediaInfo, given: Preset | None) -> _Settings:
    """The settings of a run: in the file, in its record, or as given."""
    if any(key.upper() == TAG for key in info.metadata):
        try:
            found = settings_of(info)
            loaded = presets.loads(found.toml, found.preset)
            loaded = loaded.override("restore.model", found.model, "the file's settings")
        except (InputError, PresetError) as error:
            return _Settings(preset=given, checks=(_failed(str(error)),))
        told = f"of vrestore {found.version}, preset {found.preset}, model {found.model}"
        return _Settings(preset=given or loaded, checks=(_model(found.model, found.sha256, told),))
    record = _record_beside(output)
    if record is not None:
        try:
            written = read_record(record)
            loaded = presets.loads(
                str(written["settings"]["toml"]), str(written["settings"]["preset"])
            )
        except (VRestoreError, KeyError, TypeError) as error:
            return _Settings(preset=given, checks=(_failed(f"{record}: {error}"),))
        told = f"of its record, preset {loaded.name}"
        return _Settings(
            preset=given or loaded,
            checks=(Check(name="settings", outcome=Outcome.OK, told=told),),
        )
    told = "the file carries none: it was not made by vrestore, or its container cannot hold them"
    return _Settings(
        preset=given, checks=(Check(name="settings", outcome=Outcome.UNKNOWN, told=told),)
    )


def _record_beside(output: str) -> Path | None:
    try:
        path = record_path(output)
    except OutputError:
        return None
    return path if path.is_file() else None


def _model(name: str, sha256: str | None, told: str) -> Check:
    try:
        spec = registry.find(name)
    except ModelError:
        return Check(
            name="settings", outcome=Outcome.NOTE, told=f"{told}, which this version does not have"
        )
    if spec.sha256 != sha256:
        return Check(
            name="settings", outcome=Outcome.NOTE, told=f"{told}, of other weights than these"
        )
    return Check(name="settings", outcome=Outcome.OK, told=told)


def _failed(sentence: str) -> Check:
    return Check(name="settings", outcome=Outcome.FAILED, told=sentence)


def _left_open(source: str | None, preset: Preset | None) -> Iterator[Check]:
    """What could not be checked for want of source or settings."""
    if source is None:
        told = "give --against SRC to compare frames, times, streams and tags with the source"
        yield Check(name="source", outcome=Outcome.UNKNOWN, told=told)
    elif preset is None:
        told = "without settings the source cannot be compared; name the preset with -Z"
        yield Check(name="source", outcome=Outcome.UNKNOWN, told=told)
