"""TOML -> Preset: every setting of a run, checked, each with the place it came from.

A preset file holds `schema`, `description`, at most one `extends`, and sections named after the
stages.  Each section is a frozen dataclass that lives beside the code that reads it; here they
are only put together.  What a file leaves out keeps the dataclass's default.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vrestore import limits, setting_type
from vrestore.errors import PresetError
from vrestore.io.decode import DecodeConfig
from vrestore.io.deinterlace import DeinterlaceConfig
from vrestore.io.encode import EncodeConfig
from vrestore.io.encoderfiles import options_of_files
from vrestore.io.streams import StreamsConfig
from vrestore.models.restorer import RestoreConfig
from vrestore.ops.color import ColorConfig
from vrestore.ops.cuts import CutsConfig
from vrestore.ops.deflicker import DeflickerConfig
from vrestore.ops.dirt import DirtConfig
from vrestore.ops.duplicates import DuplicatesConfig
from vrestore.ops.fading import FadingConfig
from vrestore.ops.fidelity import FidelityConfig
from vrestore.ops.grain import GrainConfig
from vrestore.ops.matching import IvtcConfig
from vrestore.ops.scratches import ScratchesConfig
from vrestore.ops.size import SizeConfig
from vrestore.ops.stabilise import StabiliseConfig
from vrestore.ops.tape import TapeConfig
from vrestore.runtime.device import RunConfig
from vrestore.sections import HINTS, SECTIONS, default, nearest, resolve

__all__ = ["DEFAULT", "SCHEMA", "Preset", "Setting", "choose", "load", "loads", "names"]

SCHEMA = 1
"""Version of the file format that this program reads and writes."""

DEFAULT = "auto"
"""The preset of a run that names none."""

_REFERENCE_MODELS = ("identity", "resize")
_TAKES_BACK: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"size.scale": ("size.fit", "size.pad"), "size.fit": ("size.scale",)}
)
_FILE_KEYS = ("schema", "description", "extends")
_PLAIN_NAME = re.compile(r"[^\W_][\w .+-]{0,99}")
"""Of a preset that another one extends: it cannot lead out of a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key with its value and where the value came from."""

    key: str
    """`section.field`, or `section.field.entry` for one entry of a table such as encode.options."""

    value: Any

    origin: str
    """`default`, `preset NAME`, `flag --NAME`, `argument` ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Every setting of a run."""

    name: str
    """The file's name without its ending."""

    description: str = ""
    """One sentence: which sources it is for."""

    input: DecodeConfig = field(default_factory=DecodeConfig)
    color: ColorConfig = field(default_factory=ColorConfig)
    cuts: CutsConfig = field(default_factory=CutsConfig)
    deinterlace: DeinterlaceConfig = field(default_factory=DeinterlaceConfig)
    ivtc: IvtcConfig = field(default_factory=IvtcConfig)
    duplicates: DuplicatesConfig = field(default_factory=DuplicatesConfig)
    stabilise: StabiliseConfig = field(default_factory=StabiliseConfig)
    deflicker: DeflickerConfig = field(default_factory=DeflickerConfig)
    fading: FadingConfig = field(default_factory=FadingConfig)
    tape: TapeConfig = field(default_factory=TapeConfig)
    dirt: DirtConfig = field(default_factory=DirtConfig)
    scratches: ScratchesConfig = field(default_factory=ScratchesConfig)
    restore: RestoreConfig = field(default_factory=RestoreConfig)
    size: SizeConfig = field(default_factory=SizeConfig)
    fidelity: FidelityConfig = field(default_factory=FidelityConfig)
    grain: GrainConfig = field(default_factory=GrainConfig)
    encode: EncodeConfig = field(default_factory=EncodeConfig)
    streams: StreamsConfig = field(default_factory=StreamsConfig)
    run: RunConfig = field(default_factory=RunConfig)

    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Origin of each key that is not a default."""

    def settings(self) -> Iterator[Setting]:
        """Every key in the order of the sections, with value and origin."""
        for key in HINTS:
            section, name = key.split(".")
            yield Setting(
                key=key,
                value=getattr(getattr(self, section), name),
                origin=self.origins.get(key, "default"),
            )

    def explicit(self) -> Iterator[Setting]:
        """The settings that no preset made: flags, arguments."""
        for setting in self.settings():
            if not setting.origin.startswith(("default", "preset ")):
                yield setting

    def override(self, key: str, value: object, origin: str) -> Preset:
        """The preset with one key changed; see `override_all`."""
        return self.override_all([Setting(key=key, value=value, origin=origin)])

    def override_all(self, settings: Iterable[Setting]) -> Preset:
        """The preset with several keys changed, checked together.

        A value may be of the key's type or text as one would write it after `--set key=`.  The
        key of a table entry adds that entry to the table.  `size.scale` and `size.fit` exclude
        each other: setting one by itself takes the other (and its `size.pad`) back.

        Raises PresetError for an unknown key (names the nearest), a wrong type, or a value out
        of range; the message starts with the setting's origin.
        """
        wanted = list(settings)
        given = {setting.key: setting.value for setting in wanted}
        resets = [
            Setting(key=other, value=default(other), origin="default")
            for key, others in _TAKES_BACK.items()
            if given.get(key) not in (None, "none")
            for other in others
            if other not in given
        ]
        return self._changed([*wanted, *resets], _from_words)

    def _changed(
        self, settings: Iterable[Setting], read: Callable[[object, Any], object]
    ) -> Preset:
        """The preset with new values, each read by `read(value, type)`."""
        changes: dict[str, dict[str, Any]] = {}
        blame: dict[str, str] = {}
        origins = dict(self.origins)
        for setting in settings:
            key, entry = resolve(setting.key, setting.origin)
            section, name = key.split(".")
            values = changes.setdefault(section, {})
            value = setting.value
            if entry is not None:
                value = {**values.get(name, getattr(getattr(self, section), name)), entry: value}
            try:
                values[name] = read(value, HINTS[key])
            except setting_type.Mismatch as error:
                raise PresetError(
                    f"{setting.origin}: {setting.key} must be {error}, got {setting.value!r}"
                ) from error
            blame.setdefault(section, setting.origin)
            origins[key] = setting.origin
        sections = {
            section: _built(f"{blame[section]}: [{section}]", getattr(self, section), values)
            for section, values in changes.items()
        }
        return replace(self, **sections, origins=MappingProxyType(origins))

    def to_toml(self, *, origins: bool = False) -> str:
        """The whole preset as a file that `load` reads back; `origins` adds them as comments."""
        lines = [f"schema = {SCHEMA}", f"description = {setting_type.write(self.description)}"]
        section = ""
        for setting in self.settings():
            if (head := setting.key.split(".")[0]) != section:
                section = head
                lines += ["", f"[{section}]"]
            if setting.value is None and setting.key not in self.origins:
                continue
            line = f"{setting.key.split('.')[1]} = {setting_type.write(setting.value)}"
            lines.append(f"{line}  # {setting.origin}" if origins else line)
        return "\n".join(lines) + "\n"


def names() -> tuple[str, ...]:
    """The presets that ship with vrestore, sorted."""
    entries = (entry.name for entry in _folder().iterdir())
    return tuple(sorted(name[:-5] for name in entries if name.endswith(".toml")))


def choose(preset: str | None, model: str | None) -> str:
    """The preset's name for what a user asked: `auto`, but `plain` for a reference model."""
    if preset is not None:
        return preset
    return "plain" if model in _REFERENCE_MODELS else DEFAULT


def load(name: str | Path) -> Preset:
    """A shipped preset by name, or a file by its path.

    Raises PresetError where there is no such preset, the file is not a preset, or a key, type or
    value in it is wrong.
    """
    source = _find(str(name))
    return _made(source.name, _read(source), Path(str(source)).parent)


def loads(text: str, name: str) -> Preset:
    """A preset from the text of a file; `name` is what the file would be called, without ending.

    It extends shipped presets only.  Raises PresetError as `load` does.
    """
    return _made(f"{name}.toml", _parsed(text, f"{name}.toml"), None)


def _made(file: str, table: Mapping[str, Any], folder: Path | None) -> Preset:
    """The preset of one file's table; what it extends lies in `folder` or ships."""
    preset = Preset(name=file.removesuffix(".toml"))
    if (base := table.get("extends")) is not None:
        preset = _apply(preset, *_base(file, base, folder))
    return _apply(preset, file, table)


# ---------------------------------------------------------------------------------------- files


def _folder() -> Traversable:
    """`pipelines` inside an installed package, else beside the package in a checkout."""
    inside = resources.files("vrestore") / "pipelines"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "pipelines"


def _find(name: str) -> Traversable:
    if name.endswith(".toml") or "/" in name or "\\" in name:
        return Path(name)
    shipped = _folder() / f"{name}.toml"
    if not shipped.is_file():
        raise PresetError(
            f"there is no preset {name!r}{nearest(name, names())} "
            f"(known: {', '.join(names())}; or give the path of a .toml file)"
        )
    return shipped


def _read(source: Traversable) -> dict[str, Any]:
    try:
        if isinstance(source, Path):
            text = limits.read_text(source, limits.PRESET_BYTES)
        else:
            text = source.read_text(encoding="utf-8")
    except OSError as error:
        raise PresetError(f"preset {source.name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PresetError(f"preset {source.name} is not TOML: {error}") from error
    return _parsed(text, source.name)


def _parsed(text: str, file: str) -> dict[str, Any]:
    """The table of a preset's text, its own keys checked."""
    if len(text) > limits.PRESET_BYTES:
        raise PresetError(f"preset {file} is larger than {limits.size(limits.PRESET_BYTES)}")
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise PresetError(f"preset {file} is not TOML: {error}") from error
    schema = table.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise PresetError(
            f"preset {file}: schema must be {SCHEMA}, "
            f"got {'nothing' if schema is None else repr(schema)}"
        )
    for key in ("description", "extends"):
        if not isinstance(table.get(key, ""), str):
            raise PresetError(f"preset {file}: {key} must be text")
    return table


def _base(file: str, base: str, folder: Path | None) -> tuple[str, dict[str, Any]]:
    """What a file extends: a file beside it or a shipped preset."""
    if not _PLAIN_NAME.fullmatch(base):
        raise PresetError(
            f"preset {file}: extends {base!r}, which is no plain name; a preset extends one that "
            "ships or a file beside it"
        )
    beside = None if folder is None else folder / f"{base}.toml"
    found: Traversable = beside if beside is not None and beside.is_file() else _find(base)
    table = _read(found)
    if "extends" in table:
        raise PresetError(
            f"preset {file}: extends {base!r}, which itself extends "
            f"{table['extends']!r}; only one level is allowed"
        )
    return found.name, table


def _apply(preset: Preset, file: str, table: Mapping[str, Any]) -> Preset:
    """The preset with everything that one file says."""
    origin = f"preset {file}"
    settings: list[Setting] = []
    for head, content in table.items():
        if head in _FILE_KEYS:
            continue
        if head not in SECTIONS:
            raise PresetError(
                f"{origin}: unknown key {head!r}{nearest(head, [*_FILE_KEYS, *SECTIONS])}"
            )
        if not isinstance(content, dict):
            raise PresetError(f"{origin}: {head} is a section; write [{head}] above its keys")
        settings += (
            Setting(key=f"{head}.{key}", value=value, origin=origin)
            for key, value in content.items()
        )
    described = replace(preset, description=table.get("description", preset.description))
    made = described._changed(settings, _from_file)
    if named := options_of_files(made.encode.options):
        raise PresetError(
            f"{origin}: encode.options has {named[0]!r}, which lets the encoder read or write a "
            "file of its own; a preset cannot, give it as -e on the command line"
        )
    return made


# --------------------------------------------------------------------------------------- values


def _from_words(value: object, hint: Any) -> object:
    """A setting given on a command line or by a caller: text is read as TOML would, or as it is.

    So `128` fits `Literal["auto"] | int`, commas separate the items of a list, and `none` is None.
    """
    if not isinstance(value, str):
        return setting_type.fit(value, hint)
    readings: list[object] = []
    try:
        table = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):
        table = {}
    if set(table) == {"value"}:
        readings.append(table["value"])
    readings += [None] if value == "none" else []
    readings.append(value)
    if setting_type.is_list(hint):
        readings.append([item.strip() for item in value.split(",") if item.strip()])
    for reading in readings:
        try:
            return setting_type.fit(reading, hint)
        except setting_type.Mismatch:
            continue
    raise setting_type.Mismatch(setting_type.expected(hint))


def _from_file(value: object, hint: Any) -> object:
    """A setting in a preset file, already typed by TOML; only None has to be written as a word."""
    if value == "none":
        try:
            return setting_type.fit(None, hint)
        except setting_type.Mismatch:
            pass
    return setting_type.fit(value, hint)


def _built(where: str, section: Any, values: Mapping[str, Any]) -> Any:
    """The section with new values, its own checks included."""
    try:
        return replace(section, **values)
    except ValueError as error:
        raise PresetError(f"{where}: {error}") from error
