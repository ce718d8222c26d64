"""The settings of a run inside its output, and back: what `vrestore rerun` repeats."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from types import MappingProxyType
from typing import Any

from vrestore import limits
from vrestore.errors import InputError
from vrestore.media import MediaInfo
from vrestore.planning import Plan

__all__ = ["TAG", "RunSettings", "parse_settings", "program_version", "settings_of",
           "with_settings"]  # fmt: skip

TAG = "VRESTORE_SETTINGS"
"""Key of the container's metadata."""

SCHEMA = 1
"""Version of the value's form that this program reads and writes."""


_SHOWN = 40
"""Signs of a wrong value that a message repeats."""

_KINDS: Mapping[str, Any] = MappingProxyType({
    "version": str, "source": str, "source_bytes": int | None, "preset": str, "toml": str,
    "model": str, "sha256": str | None,
})  # fmt: skip
"""What the value holds beside its schema, with the types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Everything that is needed to do a run again."""

    version: str
    """Of vrestore."""

    source: str
    """As it was given: a path, perhaps relative, or a pattern."""

    source_bytes: int | None
    preset: str
    """Name of the preset that the settings began with."""

    toml: str
    """Every setting, as a preset file."""

    model: str
    sha256: str | None
    """Of the model's weights; None for a model that has none."""


def with_settings(plan: Plan) -> Plan:
    """The plan of a file that carries its own settings.

    Unchanged for stills and for containers without metadata, and for MP4 with a cover picture:
    FFmpeg writes free tags or the cover there, not both.
    """
    output = plan.output
    if output is None or not output.container.metadata:
        return plan
    streams = output.streams
    options = dict(streams.muxer_options)
    if output.container.name in ("mp4", "mov"):
        if any(route.kind.value == "cover" for route in streams.routes):
            return plan
        options["movflags"] = "+write_colr+use_metadata_tags"
    tags = {key: value for key, value in streams.metadata.items() if key.upper() != TAG}
    tags[TAG] = _written(plan)
    changed = replace(
        streams, metadata=MappingProxyType(tags), muxer_options=MappingProxyType(options)
    )
    return replace(plan, output=replace(output, streams=changed))


def settings_of(info: MediaInfo) -> RunSettings:
    """The settings that a file made by vrestore carries.

    Raises InputError where there are none or this version does not understand them.
    """
    found = next((value for key, value in info.metadata.items() if key.upper() == TAG), None)
    if found is None:
        raise InputError(
            f"{info.path} carries no settings of a run: it was not made by vrestore, or its "
            "container cannot hold them; run it from the record or the preset instead"
        )
    return parse_settings(found, info.path)


def parse_settings(text: str, path: str) -> RunSettings:
    """The settings in a tag's text; `path` names the file in messages.

    Raises InputError as `settings_of`.
    """
    if len(text) > limits.SETTINGS_BYTES:
        raise InputError(
            f"the settings in {path} are damaged: larger than {limits.size(limits.SETTINGS_BYTES)}"
        )
    try:
        table: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the settings in {path} are damaged: {error}") from error
    if not isinstance(table, dict):
        raise InputError(f"the settings in {path} are damaged: they are no table")
    if table.get("schema") != SCHEMA:
        raise InputError(
            f"the settings in {path} have form {str(table.get('schema'))[:_SHOWN]}, this vrestore "
            f"reads {SCHEMA}; use the version that made them "
            f"({str(table.get('version', 'unknown'))[:_SHOWN]})"
        )
    for key, kind in _KINDS.items():
        if key not in table or not isinstance(table[key], kind) or isinstance(table[key], bool):
            raise InputError(f"the settings in {path} are damaged: {key!r} is missing or wrong")
    if not limits.PLAIN_NAME.fullmatch(table["preset"]):
        raise InputError(f"the settings in {path} are damaged: 'preset' is no name")
    return RunSettings(**{key: table[key] for key in _KINDS})


def program_version() -> str:
    """Of the installed vrestore, or that it runs from its source."""
    try:
        return metadata.version("vrestore")
    except metadata.PackageNotFoundError:
        return "source"


def _written(plan: Plan) -> str:
    return json.dumps(
        {
            "schema": SCHEMA,
            "version": program_version(),
            "source": plan.info.path,
            "source_bytes": plan.info.size_bytes,
            "preset": plan.preset.name,
            "toml": plan.preset.to_toml(),
            "model": plan.model.name,
            "sha256": plan.model.sha256,
        },
        ensure_ascii=False,
    )
