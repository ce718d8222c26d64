"""The flags that set preset keys, as data: one row each, shared by `run` and `plan`.

A new knob is a key in a section's dataclass, reached by `--set`; it becomes a row here only if
people's fingers know it from other tools.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrestore.errors import PresetError

if TYPE_CHECKING:
    from vrestore.preset import Preset, Setting

__all__ = ["FLAGS", "Flag", "MakePreset", "preset_from", "takes_flags"]

MakePreset = Callable[[], "Preset"]
"""Builds the preset that a command line asks for; raises PresetError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One command-line flag and the preset key it sets."""

    name: str
    """The first spelling, with dashes."""

    key: str
    """`section.field` of a Preset; for `is_entry` the table that the entries go to."""

    help: str
    also: tuple[str, ...] = ()
    """Further spellings, as other tools have them."""

    metavar: str | None = None
    value: object = None
    """What the flag sets where it takes no value of its own."""

    many: bool = False
    """May be given several times."""

    is_entry: bool = False
    """Takes K=V, an entry of the table `key`."""

    panel: str = "Picture"

    @property
    def parameter(self) -> str:
        """The name of the command's parameter."""
        return "flag_" + "".join(c if c.isalnum() else "_" for c in self.name.lstrip("-"))

    @property
    def annotation(self) -> Any:
        """The parameter's type for Typer."""
        option = partial(
            typer.Option,
            self.name,
            *self.also,
            help=self.help,
            rich_help_panel=self.panel,
            show_default=False,
        )
        if self.value is not None:
            return Annotated[bool, option(metavar="")]
        kind = list[str] if self.many else str | None
        return Annotated[kind, option(metavar=self.metavar)]


_color = partial(Flag, panel="Colour", metavar="NAME")
_output = partial(Flag, panel="Output file")
_part = partial(Flag, panel="Part of the source")
_machine = partial(Flag, panel="Machine")

FLAGS: tuple[Flag, ...] = (
    Flag(
        name="--model",
        also=("-n",),
        key="restore.model",
        metavar="MODEL",
        help="What restores; see `vrestore models list`.",
    ),
    Flag(
        name="--strength",
        key="restore.strength",
        metavar="0..1",
        help="How much damage to expect: 0 trusts the source.",
    ),
    Flag(
        name="--scale",
        also=("-s",),
        key="size.scale",
        metavar="1|2|3|4",
        help="Magnify by a whole number.",
    ),
    Flag(
        name="--size",
        key="size.fit",
        metavar="4k|8k|1080p|WxH",
        help="Fit inside this size, aspect kept.",
    ),
    Flag(name="--pad", key="size.pad", value=True, help="Fill up to --size with black."),
    Flag(
        name="--cuts",
        key="cuts.file",
        metavar="FILE",
        help="Take the shots from a list made by `probe --cuts`.",
    ),
    Flag(
        name="--tile",
        key="restore.tile",
        metavar="auto|0|N",
        help="Rows of the picture worked on at once; 0 is all of them.",
    ),
    Flag(
        name="--precision",
        key="restore.precision",
        metavar="auto|fp32|fp16|bf16",
        help="Arithmetic of the model.",
    ),
    _output(
        name="--encoder",
        also=("-c:v",),
        key="encode.encoder",
        metavar="NAME",
        help="hevc_nvenc, libx265, libsvtav1, libx264, ffv1, prores_ks ...",
    ),
    _output(
        name="--encoder-preset",
        key="encode.speed",
        metavar="NAME",
        help="The encoder's own speed preset.",
    ),
    _output(
        name="--quality",
        also=("-q", "--crf"),
        key="encode.quality",
        metavar="0..51",
        help="One scale for all encoders: 0 is best, 18 looks like the source.",
    ),
    _output(
        name="-e",
        key="encode.options",
        is_entry=True,
        many=True,
        metavar="K=V",
        help="An option for the encoder itself; may be repeated.",
    ),
    _output(
        name="--pix-fmt",
        key="encode.pixel_format",
        metavar="NAME",
        help="Pixel format; default: 10 bit if lossy, else the source's.",
    ),
    _output(
        name="--null-output",
        key="encode.encoder",
        value="null",
        help="Do everything but encode and write.",
    ),
    _output(
        name="--map",
        key="streams.map",
        many=True,
        metavar="STREAM",
        help="Keep only these streams beside the picture, e.g. 0:s:0.",
    ),
    _output(name="-an", key="streams.audio", value=False, help="Leave the audio out."),
    _output(name="-sn", key="streams.subtitles", value=False, help="Leave the subtitles out."),
    _output(
        name="--no-chapters", key="streams.chapters", value=False, help="Leave the chapters out."
    ),
    _output(
        name="--strict",
        key="streams.strict",
        value=True,
        help="Refuse to start if anything in the file would be lost.",
    ),
    _part(name="-ss", key="input.start", metavar="TIME", help="Begin here: seconds or H:MM:SS."),
    _part(name="-to", key="input.stop", metavar="TIME", help="End before this time."),
    _part(
        name="--frames",
        key="input.frames",
        metavar="A:B",
        help="Pictures A up to, not including, B, counted from 0.",
    ),
    _part(
        name="--fps",
        key="input.fps",
        metavar="RATE",
        help="Rate of an image sequence, e.g. 24 or 24000/1001.",
    ),
    _part(
        name="--start-number",
        key="input.start_number",
        metavar="N",
        help="First number of an image sequence.",
    ),
    _part(
        name="--on-error",
        key="input.on_error",
        metavar="repeat|fail",
        help="A damaged picture: repeat the one before, or stop.",
    ),
    _color(name="--in-matrix", key="color.in_matrix", help="Matrix of the source."),
    _color(name="--in-range", key="color.in_range", help="Range of the source."),
    _color(name="--in-primaries", key="color.in_primaries", help="Primaries of the source."),
    _color(name="--in-transfer", key="color.in_transfer", help="Transfer of the source."),
    _color(
        name="--in-chroma-location",
        key="color.in_chroma_location",
        help="Chroma siting of the source.",
    ),
    _color(
        name="--out-color",
        key="color.out",
        metavar="auto|keep|601-525|601-625|709|2020",
        help="Standard of the output; auto follows its size.",
    ),
    _machine(
        name="--gpu",
        also=("-g", "--device"),
        key="run.device",
        metavar="cpu|N",
        help="Device to work on; default: the first GPU, else the CPU.",
    ),
    _machine(name="--threads", key="run.threads", metavar="N", help="CPU threads altogether."),
    _machine(
        name="--memory",
        key="run.memory",
        metavar="SIZE",
        help="Memory for frames between the stages, e.g. 4GiB.",
    ),
)


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

    _require_absent(given)
    if given["flag_scale"] and given["flag_size"]:
        raise PresetError("--scale and --size exclude each other; give one of them")
    if given["flag_null_output"] and given["flag_encoder"]:
        raise PresetError("--null-output and --encoder exclude each other; give one of them")
    settings = [setting for flag in FLAGS for setting in _settings(flag, given[flag.parameter])]
    settings += [_assignment(text) for text in given["set_"] or ()]
    model = next((s.value for s in reversed(settings) if s.key == "restore.model"), None)
    return presets.load(presets.choose(given["preset_name"], model)).override_all(settings)


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
            f"--strength {int(value) / 3:.2g}"
        )
    if flag.key == "run.device":
        if "," in value:
            raise PresetError(
                f"-g {value}: this version works on one device at a time; "
                f"give -g {value.split(',')[0]}"
            )
        return f"cuda:{value}" if value.isdigit() else value
    return value


def _require_absent(given: Mapping[str, Any]) -> None:
    """Deinterlacing and inverse telecine are flags already, stages not yet."""
    for name in ("deinterlace", "ivtc"):
        if given[name] not in (None, "auto", "off"):
            raise PresetError(
                f"--{name} {given[name]}: this version has no such stage yet; "
                f"pictures keep their fields (--{name} off)"
            )


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
    "deinterlace": Annotated[
        str | None,
        _option(
            "--deinterlace", metavar="auto|off", help="No deinterlacer exists yet: fields are kept."
        ),
    ],
    "ivtc": Annotated[
        str | None,
        _option(
            "--ivtc", metavar="auto|off", help="No inverse telecine exists yet: the rate is kept."
        ),
    ],
}
"""Parameters beside FLAGS that every command with a preset has."""
