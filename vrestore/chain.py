"""What happens to a frame between decode and encode: a Plan as ops, in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from vrestore.devicepath import codes_of
from vrestore.diagnose import TuneShots, ceilings
from vrestore.fieldplan import FieldWork
from vrestore.media import ColorSpec, Frame
from vrestore.models import restorer
from vrestore.models.kernels.codes import Codes
from vrestore.models.single.restorer import ImageRestorer
from vrestore.models.steadier import Steadier
from vrestore.models.temporal import TemporalRestorer
from vrestore.models.turned import Turned
from vrestore.notes import NoteBook
from vrestore.ops.bars import BarsAround
from vrestore.ops.buffers import Alloc
from vrestore.ops.color import rgb_adapter, ycbcr_adapter
from vrestore.ops.convert import Convert
from vrestore.ops.cutlist import MarkCuts
from vrestore.ops.cuts import DetectCuts
from vrestore.ops.dither import Dither
from vrestore.ops.levels import Normalise, Quantise
from vrestore.ops.place import Fetch, Place
from vrestore.ops.resample import Resample
from vrestore.ops.shotwise import Renewal
from vrestore.ops.size import Pad
from vrestore.ops.underlay import Underlay
from vrestore.planning import Plan, needs_ycbcr, tuned_keys
from vrestore.runtime.abreast import Abreast
from vrestore.runtime.stage import Op, compose
from vrestore.runtime.threads import Threaded
from vrestore.runtime.together import Together
from vrestore.shotlist import Tune, read_cuts
from vrestore.treatments import Treatments

__all__ = ["analysis", "luma_of", "marking", "restoration"]


def analysis(plan: Plan, fields: FieldWork | None = None) -> Op[Frame, Frame]:
    """Marks where shots begin and what each needs, and makes pictures of fields.

    Code values in and out.  Shots are known first, so that a cut list counts the source's pictures
    and no field is filled in from the other side of a cut.
    """
    ops = [marking(plan)]
    if fields is not None:
        ops.append(fields)
    if plan.preset.cuts.tune and plan.shots is None:
        ops.append(TuneShots(ceilings(plan.preset)))
    return compose(*ops)


def marking(plan: Plan) -> Op[Frame, Frame]:
    """Marks where shots begin, on frames as they are decoded, and resolves their colour tags."""
    config = plan.preset.cuts
    color = plan.source_color.working
    if plan.shots is not None:
        marker: Op[Frame, Frame] = Tune(plan.shots)
    elif config.file is not None:
        marker = MarkCuts(read_cuts(config.file))
    elif config.detect:
        marker = DetectCuts(config)
    else:
        marker = MarkCuts(())
    return compose(_Recolour(lambda frame: replace(frame, color=color)), marker)


def restoration(
    plan: Plan,
    book: NoteBook,
    alloc: Alloc | None = None,
    *,
    renewal: Renewal | None = None,
    torch_alone: bool = False,
) -> Op[Frame, Frame]:
    """From the source's code values to the output's; what the stages note goes into `book`.

    `renewal` is where, within a shot, another chain takes over.  With `torch_alone` nothing is
    compiled, so that all operations of the network can be counted.
    """
    device = plan.device.torch_device
    pooled = alloc if device.type == "cpu" else None
    source, target = plan.source_color.working, plan.output_color.working
    form, within = plan.info.video.format, _restored_color(plan)
    around = _treatments(plan, book, pooled, renewal)
    dither = Dither(plan.preset.color.seed) if plan.preset.color.dither else None
    home: list[Op[Frame, Frame]] = []
    if plan.path_on_device is None:
        home = [Place(torch.device("cpu"))]
    elif not plan.path_on_device.encode.on_device:
        home = [Fetch()]
    if plan.path_on_device is not None and plan.path_on_device.codes:
        codes = codes_of((form, source), (plan.format, target), dither)
        return compose(Place(device), _network(plan, book, pooled, codes=codes), *home)
    pictures = compose(
        *around.steadied(),
        Convert(form, source, to_form=form, to_color=within, alloc=pooled),
        *_underlay(plan),
        *around.grain_tap(),
        around.restored(
            _enlarge(plan, _network(plan, book, pooled, torch_alone=torch_alone), pooled)
        ),
    )
    return compose(
        Place(device),
        Normalise(source, alloc=pooled),
        around.unmixed(pictures),
        *around.regrained(),
        Pad(plan.size, alloc=pooled),
        Convert(form, within, to_form=plan.format, to_color=target, alloc=pooled),
        Quantise(plan.format, target, source_depth=form.depth, dither=dither, alloc=pooled),
        *home,
    )


def luma_of(plan: Plan) -> Op[Frame, Frame]:
    """From the source's code values to frames whose first plane is what the network sees as luma.

    For plans without stages before the network.
    """
    source, form = plan.source_color.working, plan.info.video.format
    color = _restored_color(plan)
    shown = Normalise(source), Convert(form, source, to_form=form, to_color=color)
    adapted = [ycbcr_adapter(form, color)[0]] if needs_ycbcr(plan) else []
    return compose(*shown, *_underlay(plan), *adapted)


def _underlay(plan: Plan) -> list[Op[Frame, Frame]]:
    """Colour under the transparency of pictures, whose alpha is never premultiplied."""
    wanted = plan.output is None and plan.info.video.format.alpha and plan.model.arch != "identity"
    return [Underlay()] if wanted else []


def _treatments(
    plan: Plan, book: NoteBook, alloc: Alloc | None, renewal: Renewal | None
) -> Treatments:
    """The stages around the network that a plan asks for."""
    video = plan.info.video
    return Treatments(
        plan.preset,
        (video.width, video.height),
        tuned=tuned_keys(plan.shots),
        noisy_repeats=plan.fields.noisy_repeats,
        book=book,
        alloc=alloc,
        renewal=renewal,
    )


def _restored_color(plan: Plan) -> ColorSpec:
    """The colour in which the model works.

    The source's own, but where the output has another standard: converting before the frames are
    enlarged takes a tenth of the time (576 lines 12 ms, 2160 lines 174 ms).  What remains for the
    end is a change of layout.
    """
    source, target = plan.source_color.working, plan.output_color.working
    if plan.info.video.format.model is not plan.format.model:
        return source
    return replace(
        source, matrix=target.matrix, primaries=target.primaries, transfer=target.transfer
    )


def _enlarge(plan: Plan, network: Op[Frame, Frame], alloc: Alloc | None) -> Op[Frame, Frame]:
    """Network and resampler, kept away from black bars where the plan found some."""
    size = plan.size
    if plan.bars is None or not plan.bars.found:
        return compose(network, Resample(*size.picture, alloc=alloc))
    video = plan.info.video
    inside = plan.bars.picture
    multiple = (1 << video.format.log2_chroma_w, 1 << video.format.log2_chroma_h)
    to_inside = inside.scaled((video.width, video.height), size.picture, multiple)
    inner = compose(network, Resample(to_inside.width, to_inside.height, alloc=alloc))
    return BarsAround(inner, inside, to_picture=to_inside, to_size=size.picture, alloc=alloc)


def _network(
    plan: Plan,
    book: NoteBook,
    alloc: Alloc | None,
    *,
    codes: Codes | None = None,
    torch_alone: bool = False,
) -> Op[Frame, Frame]:
    """The model, between adapters where it wants another colour model; with `codes` it takes and
    gives code values."""

    def resample(frame: Frame, scale: int) -> Frame:
        (larger,) = Resample(frame.width * scale, frame.height * scale, alloc=alloc).push(frame)
        return larger

    abreast = 1 if plan.output is None else plan.abreast
    each = max(1, plan.threads.torch // abreast)
    built = restorer.build(
        plan.model,
        plan.size.network_scale,
        plan.restoring,
        device=plan.device.torch_device,
        resample=resample,
        fused=plan.path_on_device is not None and plan.path_on_device.network.on_device,
        codes=codes,
        together=Together(each),
        torch_alone=torch_alone,
    )
    model: Op[Frame, Frame] = built
    if isinstance(built, ImageRestorer) and abreast > 1:
        model = Abreast(book.of(built), abreast, each)
    elif isinstance(built, TemporalRestorer | ImageRestorer | Steadier | Turned):
        model = Threaded(book.of(built), plan.threads.torch)
    form, color = plan.info.video.format, _restored_color(plan)
    if plan.model.space == "rgb":
        before, after = rgb_adapter(form, color, alloc)
    elif needs_ycbcr(plan):
        before, after = ycbcr_adapter(form, color, alloc)
    else:
        return model
    return compose(before, model, after)


class _Recolour:
    """Op: applies a function to every frame."""

    latency = 0

    def __init__(self, change: Callable[[Frame], Frame]) -> None:
        self._change = change

    def push(self, frame: Frame) -> tuple[Frame, ...]:
        return (self._change(frame),)

    def flush(self) -> tuple[Any, ...]:
        return ()
