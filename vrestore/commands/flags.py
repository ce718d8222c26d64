"""The flags that set preset keys, as data: one row each, shared by `run` and `plan`.

A new knob is a key in a section's dataclass, reached by `--set`; it becomes a row here only if
people's fingers know it from other tools.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import typer

__all__ = ["FLAGS", "Flag"]


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
        help="What restores: a name of `vrestore models list`, or the path of a model.",
    ),
    Flag(
        name="--strength",
        key="restore.strength",
        metavar="0..1",
        help="How much damage to expect: 0 trusts the source.",
    ),
    Flag(
        name="--denoise",
        key="restore.denoise",
        metavar="0|1|2|3",
        help="Level of denoising, for models of others that have one.",
    ),
    Flag(
        name="--steady",
        key="restore.steady",
        value=True,
        help="Take the flicker of models that see one picture at a time.",
    ),
    Flag(
        name="--tta",
        key="restore.tta",
        value=True,
        help="Average over eight turns of each picture, at eight times the time.",
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
        name="--deinterlace",
        key="deinterlace.mode",
        metavar="auto|off|bob|same-rate",
        help="Interlaced video to whole pictures; bob doubles the rate. Also bwdif, yadif, decomb.",
    ),
    Flag(
        name="--ivtc",
        key="ivtc.mode",
        metavar="auto|off",
        help="Telecined film back to its own pictures and rate. Also detelecine, fieldmatch.",
    ),
    Flag(
        name="--cuts",
        key="cuts.file",
        metavar="FILE",
        help="Take the shots from a list made by `probe --cuts`.",
    ),
    Flag(
        name="--shots",
        key="cuts.shots",
        metavar="FILE",
        help="Take shots and their own settings from a list made by `probe --shots`.",
    ),
    Flag(
        name="--show-mask",
        key="dirt.show_mask",
        value=True,
        help="Show what dirt and scratches were found, in red, in place of repairing them.",
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
        metavar="cpu|N|N,N...",
        help="Device to work on, several for a worker on each; default: the first GPU, else the "
        "CPU.",
    ),
    _machine(
        name="--threads",
        key="run.threads",
        metavar="N",
        help="CPU threads altogether; with workers, of each.",
    ),
    _machine(
        name="--memory",
        key="run.memory",
        metavar="SIZE",
        help="Memory for the whole run, e.g. 4GiB; queues and bands are fitted into it.",
    ),
    _machine(
        name="--device-memory",
        key="run.device_memory",
        metavar="SIZE",
        help="Memory for the network on its device; it works in bands that fit.",
    ),
)
