"""From the words of a command line to the preset they ask for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrestore.commands.flags import FLAGS, Flag
from vrestore.errors import PresetError

if TYPE_CHECKING:
    from vrestore.preset import Preset, Setting

__all__ = ["MakePreset", "preset_from", "takes_flags"]

MakePreset = Callable[[], "Preset"]
"""Builds the preset that a command line asks for; raises PresetError."""


def takes_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command every row of FLAGS, `--preset` and `--set`.

    They reach it as one argument `preset` of type MakePreset, so that usage errors of the command
    itself come before anything is loaded.
    """
    own = [
        p
        for p in inspect.signature(command, eval_str=True).parameters.values()
        if p.name != "preset"
    ]
    common = [_parameter(name, annotation) for name, annotation in _COMMON.items()]
    rows = [_parameter(flag.parameter, flag.annotation) for flag in FLAGS]
    names = [p.name for p in (*common, *rows)]

    def with_flags(**values: Any) -> None:
        given = {name: values.pop(name) for name in names}
        command(preset=lambda: preset_from(given), **values)

    parameters = [*own, *common, *rows]
    with_flags.__name__ = command.__name__
    with_flags.__doc__ = command.__doc__
    with_flags.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    )
    with_flags.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_flags


def preset_from(given: Mapping[str, Any]) -> Preset:
    """The preset a command line asks for: file first, then flags, then `--set`.

    `given` has a value for each parameter that `takes_flags` adds; None, False and [] are flags
    that were not given.  Raises PresetError.
    """
    from vrestore import preset as presets

    if given["flag_scale"] and given["flag_size"]:
        raise PresetError("--scale and --size exclude each other; give one of them")
    if given["flag_null_output"] and given["flag_encoder"]:
        raise PresetError("--null-output and --encoder exclude each other; give one of them")
    settings = [setting for flag in FLAGS for setting in _settings(flag, given[flag.parameter])]
    settings += [_assignment(text) for text in given["set_"] or ()]
    model = next((s.value for s in reversed(settings) if s.key == "restore.model"), None)
    preset = presets.load(presets.choose(given["preset_name"], model)).override_all(settings)
    _require_fitting_model(preset, {setting.key for setting in settings})
    return preset


def _require_fitting_model(preset: Preset, keys: set[str]) -> None:
    """Raise PresetError where the line sets something that its model does not have."""
    if not keys & {"restore.strength", "restore.denoise", "restore.steady", "restore.tta"}:
        return
    from vrestore.models.registry import find
    from vrestore.models.restorer import require_fitting

    spec = find(preset.restore.model)
    require_fitting(spec, preset.restore)
    if spec.is_single_image and "restore.strength" in keys:
        how = "; --denoise picks its level" if spec.noise else ""
        raise PresetError(f"--strength is for our networks, not for {spec.name!r}{how}")


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    # Typer takes a flag without a value for an unset one only if the default says so.
    base = annotation.__origin__
    default = False if base is bool else None
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _settings(flag: Flag, value: Any) -> list[Setting]:
    """The settings one flag makes, none where it was not given."""
    from vrestore.preset import Setting

    if not value:
        return []
    origin = f"flag {flag.name}"
    if flag.value is not None:
        return [Setting(key=flag.key, value=flag.value, origin=origin)]
    if flag.is_entry:
        pairs = [_pair(text, flag.name) for text in value]
        return [Setting(key=f"{flag.key}.{key}", value=text, origin=origin) for key, text in pairs]
    if flag.many:
        return [Setting(key=flag.key, value=tuple(value), origin=origin)]
    return [Setting(key=flag.key, value=_translated(flag, value), origin=origin)]


def _assignment(text: str) -> Setting:
    from vrestore.preset import Setting

    key, value = _pair(text, "--set")
    return Setting(key=key, value=value, origin="flag --set")


def _pair(text: str, flag: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise PresetError(f"{flag} takes key=value, got {text!r}")
    return key.strip(), value


def _translated(flag: Flag, value: str) -> str:
    """A flag's word as the preset's word, where people's fingers know another."""
    if flag.key == "restore.model" and value in ("0", "1", "2", "3"):
        raise PresetError(
            f"-n names the model, not a noise level; for more restoration give "
            f"--strength {int(value) / 3:.2g}, or --denoise {value} with a model that has levels"
        )
    if flag.key == "run.device":
        names = [name.strip() for name in value.split(",")]
        return ",".join(f"cuda:{name}" if name.isdigit() else name for name in names)
    return value


def _option(*names: str, panel: str = "Picture", metavar: str | None = None, help: str) -> Any:
    return typer.Option(
        *names, help=help, metavar=metavar, rich_help_panel=panel, show_default=False
    )


_COMMON: Mapping[str, Any] = {
    "preset_name": Annotated[
        str | None,
        _option(
            "--preset",
            "-Z",
            metavar="PRESET",
            help="Preset or .toml file; default: auto. See `vrestore presets list`.",
        ),
    ],
    "set_": Annotated[
        list[str] | None,
        _option(
            "--set", metavar="SECTION.KEY=VALUE", help="Any other preset key; may be repeated."
        ),
    ],
}
"""Parameters beside FLAGS that every command with a preset has."""
