"""How frames pass through a device: which links stay on it, which do not, and why.

Decided here and nowhere else, from facts alone; the plan shows it, `chain.py` and `assembly.py`
carry it out.  On the CPU there is nothing to decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from vrestore.fieldplan import FieldPlan
from vrestore.io.encoders import EncoderSpec
from vrestore.io.hardware import decoder_refusal
from vrestore.io.output import OutputPlan
from vrestore.io.surfaces import surface_name
from vrestore.media import ColorModel, ColorSpec, MediaInfo, SampleFormat
from vrestore.models.kernels import kernels_fit
from vrestore.models.kernels.codes import Codes, Scale
from vrestore.models.nets import ARCHITECTURES
from vrestore.models.registry import ModelSpec
from vrestore.ops.bars import BarsFound
from vrestore.ops.dither import Dither
from vrestore.ops.levels import plane_levels
from vrestore.ops.size import SizePlan
from vrestore.preset import Preset
from vrestore.runtime.device import Device

__all__ = ["DeviceFacts", "DevicePath", "Link", "Samples", "choose_path", "codes_of", "on_device"]

Samples = tuple[SampleFormat, ColorSpec]
"""What samples are and what they mean; resolved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """What the choice depends on."""

    kind: str
    """The device's: "cpu", "cuda" ..."""

    experimental: bool
    """Whether what no test has run on such a device may be used."""

    kernels: bool
    """Whether the kernels run there."""

    network: bool
    """Whether the model is one of our networks, for which they are."""

    decoder_refusal: str | None
    """Why the device does not decode the source; None where it does."""

    source: Samples
    target: Samples

    between: str | None
    """What is done to the picture beside the network, None for nothing: "grain", for example."""

    fields: bool
    """Whether a deinterlacer works, which FFmpeg has in main memory alone."""

    encoder: EncoderSpec

    carried: bool = False
    """Whether the encoder is given captions or other data with its pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One hand-over."""

    on_device: bool
    how: str
    """For people, with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePath:
    """The hand-overs of a run on a device."""

    decode: Link
    network: Link
    """On the device in any case; `on_device` says whether kernels do the steps."""
    encode: Link

    codes: bool
    """The kernels take code values and give code values, so no other op stands between."""

    def __iter__(self) -> Iterator[tuple[str, Link]]:
        """Names and links, in order."""
        yield from (("decode", self.decode), ("network", self.network), ("encode", self.encode))


def choose_path(facts: DeviceFacts) -> DevicePath | None:
    """The hand-overs; None where the device is no CUDA device."""
    if facts.kind != "cuda":
        return None
    off = None if facts.experimental else "untested on GPUs; run.experimental=true uses it"
    kernels = off or _no_kernels(facts)
    codes = kernels or _no_codes(facts)
    if kernels is not None:
        network = Link(on_device=False, how=f"plain torch ({kernels})")
    elif codes is not None:
        network = Link(on_device=True, how=f"kernels, from and to floats ({codes})")
    else:
        network = Link(on_device=True, how="kernels, from code values to code values")
    return DevicePath(
        decode=_decode(facts, off), network=network, encode=_encode(facts, off), codes=codes is None
    )


def _decode(facts: DeviceFacts, off: str | None) -> Link:
    refusal = off or facts.decoder_refusal
    if refusal is None and facts.fields:
        refusal = "the deinterlacer needs pictures in main memory"
    if refusal is None:
        return Link(on_device=True, how="NVDEC, stays on the device")
    return Link(on_device=False, how=f"processor, pinned copy to the device ({refusal})")


def _encode(facts: DeviceFacts, off: str | None) -> Link:
    spec = facts.encoder
    if not spec.hardware:
        return Link(on_device=False, how=f"pinned copy to {spec.name}, which works in main memory")
    refusal = off
    if refusal is None and surface_name(facts.target[0]) is None:
        refusal = "hardware takes 4:2:0 of 8 or 10 bits alone"
    if refusal is None and facts.carried:
        refusal = "captions and HDR data go with pictures in main memory"
    if refusal is None:
        return Link(on_device=True, how=f"{spec.name}, from the device")
    return Link(on_device=False, how=f"pinned copy to {spec.name} ({refusal})")


def _no_kernels(facts: DeviceFacts) -> str | None:
    """Why no kernels do the network's steps."""
    if not facts.network:
        return "kernels are for our own networks"
    if not facts.kernels:
        return "Triton is not installed: pip install 'vrestore[cuda]'"
    return None if _is_420(facts.source[0]) else "kernels are for 4:2:0"


def _no_codes(facts: DeviceFacts) -> str | None:
    """Why code values do not go straight into the network and out of it."""
    (form, color), (to_form, to_color) = facts.source, facts.target
    if facts.between is not None:
        return f"{facts.between} stands between"
    if form.alpha or not _is_420(to_form) or to_form.is_float:
        return "the output is not 4:2:0"
    same = ("matrix", "primaries", "transfer", "chroma_location")
    if any(getattr(color, name) is not getattr(to_color, name) for name in same):
        return "the colour is converted"
    return None


def _is_420(form: SampleFormat) -> bool:
    chroma = form.log2_chroma_w, form.log2_chroma_h
    return form.model is ColorModel.YCBCR and chroma == (1, 1)


def on_device(
    device: Device,
    preset: Preset,
    info: MediaInfo,
    model: ModelSpec,
    size: SizePlan,
    bars: BarsFound | None,
    fields: FieldPlan,
    idle: bool,
    colors: tuple[ColorSpec, ColorSpec],
    output: OutputPlan,
) -> tuple[DevicePath | None, OutputPlan]:
    """The hand-overs of a planned run, and its output with an encoder that takes frames from where
    they leave them.  `idle` says that no stage works around the network; `colors` are those of the
    source and of the output.
    """
    if device.kind != "cuda":
        return None, replace(output, choice=replace(output.choice, cuda=None))
    video, choice, wanted = info.video, output.choice, preset.run.experimental
    between = {
        "the deinterlacer": fields.works or fields.noisy_repeats is not None,
        "the black bars": bars is not None and bars.found,
        "a stage of the restoration": not idle,
        "resampling": size.resamples,
        "padding": size.pads,
    }
    facts = DeviceFacts(
        kind=device.kind,
        experimental=wanted,
        kernels=kernels_fit(device.torch_device),
        network=model.arch in ARCHITECTURES,
        decoder_refusal=decoder_refusal(video, device.index) if wanted else None,
        source=(video.format, colors[0]),
        target=(choice.format, colors[1]),
        between=next((name for name, holds in between.items() if holds), None),
        fields=fields.works,
        encoder=choice.spec,
        carried=bool(choice.spec.frame_side_data & frozenset(video.side_data)),
    )
    path = choose_path(facts)
    cuda = device.index if path is not None and path.encode.on_device else None
    return path, replace(output, choice=replace(choice, cuda=cuda))


def codes_of(source: Samples, target: Samples, dither: Dither | None) -> Codes:
    """What the code values of a source and of an output mean, for kernels; both 4:2:0.

    `dither` is used where the depth becomes less.
    """

    def scales(samples: Samples) -> tuple[Scale, Scale]:
        form, color = samples
        luma, chroma = (plane_levels(form, color.range, plane) for plane in (0, 1))
        return Scale(luma.gain, luma.zero), Scale(chroma.gain, chroma.zero)

    reduced = dither is not None and target[0].depth < source[0].depth
    return Codes(
        source=scales(source),
        target=scales(target),
        format=target[0],
        color=target[1],
        dither=dither.tile() if dither is not None and reduced else None,
        place=dither.place if dither is not None and reduced else None,
    )
