"""(MediaInfo, Preset, encoder, streams) -> Plan: everything decided before the first frame.

The decisions are made here once and written down; `restore` carries them out and decides nothing.
Encoders and muxers are asked for what only they know (does it open, does it take this stream).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import PurePath

from vrestore.devicepath import DevicePath, on_device
from vrestore.diagnose.values import Diagnosis
from vrestore.errors import PlanError
from vrestore.fieldplan import FieldPlan, choose_fields
from vrestore.io.encode import VideoTarget
from vrestore.io.encoders import Kind
from vrestore.io.losses import Loss, require_lossless
from vrestore.io.output import OutputPlan, plan_output
from vrestore.io.stillkinds import STILL_KINDS
from vrestore.io.trim import Span
from vrestore.media import ColorModel, FieldOrder, MediaInfo, SampleFormat
from vrestore.memoryplan import MemoryPlan, plan_memory, plan_tiled_memory
from vrestore.models import registry
from vrestore.models.needs import frames_abreast
from vrestore.models.registry import ModelSpec
from vrestore.models.restorer import RestoreConfig, device_class
from vrestore.ops.bars import BarsFound
from vrestore.ops.cadence import Cadence
from vrestore.ops.color import ColorChoice, resolve_video, target_color
from vrestore.ops.size import SizePlan, plan_size
from vrestore.plantext import plan_lines
from vrestore.preset import Preset
from vrestore.runtime.device import Device, select_device
from vrestore.runtime.threads import ThreadBudget
from vrestore.shotlist import ShotList
from vrestore.stillplan import (
    StillTiles,
    choose_tiles,
    require_possible,
    still_format,
    still_losses,
)
from vrestore.treatments import Treatments

__all__ = ["JobPlan", "MemoryPlan", "Plan", "make_plan", "needs_ycbcr", "placed", "tuned_keys"]

_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """Whether a run is made in segments that outlive it."""

    seconds: Fraction | None
    """Longest segment; None for a run in one piece."""

    why_not: str = ""
    """Why it is in one piece."""

    peak_bytes: int = 0
    """What segments and finished file may take together at the end; a cautious guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that a run will do."""

    info: MediaInfo
    path: str
    """Of the output."""

    preset: Preset
    device: Device
    threads: ThreadBudget
    model: ModelSpec
    size: SizePlan
    bars: BarsFound | None
    """Where the picture is inside its black bars; None where they are not looked for."""

    fields: FieldPlan
    """What is done about fields, pulldown and repeats."""

    shots: ShotList | None
    """The shots that a list tells of; None where they are looked for."""

    diagnosis: Diagnosis | None
    """What chose the preset; None where it was given."""

    source_color: ColorChoice
    output_color: ColorChoice
    output: OutputPlan | None
    """Encoder, container and the way of every other stream; None for a still, which the picture
    library writes."""

    path_on_device: DevicePath | None
    """The hand-overs on a CUDA device; None on others and for stills."""

    format: SampleFormat
    """Of the frames that are written."""

    tiles: StillTiles | None
    """How a large still is cut; None for everything that is restored frame by frame."""

    span: Span | None
    """The part of the source that is kept; None for all of it."""

    abreast: int
    """Frames that the network restores at a time."""

    memory: MemoryPlan
    job: JobPlan
    losses: tuple[Loss, ...]
    """What the output will not hold."""

    notes: tuple[str, ...]
    """One sentence for each thing that a rule decided."""

    @property
    def frames_expected(self) -> int | None:
        """Frames to be written, at most, as the source claims; None where it does not say."""
        count = self._source_frames_expected
        return None if count is None else round(count * self.fields.pace)

    @property
    def output_rate(self) -> Fraction | None:
        """Frames written per second, as the source claims; None where it does not say."""
        return None if self.output is None else self.output.target.rate

    @property
    def _source_frames_expected(self) -> int | None:
        """Within the kept part."""
        config, count = self.preset.input, self.info.video.frame_count
        if config.frames is not None:
            first, stop = config.numbers
            return None if stop is None and count is None else (stop or count or 0) - first
        if self.span is None or count is None or self.info.video.average_rate is None:
            return count if self.span is None else None
        start, stop_time = config.times
        length = self.info.duration_seconds_from_header
        if stop_time is None and length is None:
            return None
        end = stop_time if length is None else min(stop_time or length, length)
        return max(0, round(((end or Fraction(0)) - start) * self.info.video.average_rate))

    @property
    def restoring(self) -> RestoreConfig:
        """The preset's section [restore], with the bands that the memory allows."""
        config, rows = self.preset.restore, self.memory.rows
        return config if rows is None else replace(config, tile=rows)

    @property
    def mebibytes_expected(self) -> int:
        return self.memory.total // _MIB

    def __str__(self) -> str:
        return "\n".join(plan_lines(self))


def make_plan(
    info: MediaInfo,
    path: str,
    preset: Preset,
    *,
    bars: BarsFound | None = None,
    cadence: Cadence | None = None,
    shots: ShotList | None = None,
    diagnosis: Diagnosis | None = None,
) -> Plan:
    """Decides everything.

    `path` is the output, `bars` and `cadence` what a look at the source's pictures found, `shots`
    a list that was given, `diagnosis` what chose the preset.  Raises PlanError where it cannot be
    done, LossError where something would be lost and `streams.strict` is set, ModelError and
    DeviceError as their makers say.
    """
    video = info.video
    device = select_device(preset.run.devices[0])
    threads = ThreadBudget.split(preset.run.threads)
    model = registry.find(preset.restore.model, device_class(device.torch_device))
    kind = STILL_KINDS.get(PurePath(path).suffix.lower()) if info.is_still else None
    if preset.restore.tta and kind is None and not model.is_single_image:
        raise PlanError(
            f"--tta is for pictures and for models that see one picture at a time; {model.name!r} "
            "looks at the frames before and after"
        )
    multiple = (1 << video.format.log2_chroma_w, 1 << video.format.log2_chroma_h)
    size = plan_size(
        preset.size,
        video.width,
        video.height,
        video.sar,
        network_scales=model.scales,
        multiple=(1, 1) if preset.size.fit is None else multiple,
    )
    fields = choose_fields(
        video,
        deinterlace=preset.deinterlace,
        ivtc=preset.ivtc,
        duplicates=preset.duplicates,
        cadence=cadence,
        is_still=info.is_still,
    )
    source_color = resolve_video(video, preset.color)
    output = None
    if kind is None:
        target = _target(info, size, source_color, fields, threads)
        exact = model.arch == "identity" and size.output == (video.width, video.height)
        output = plan_output(path, info, target, preset.encode, preset.streams, exact=exact)
    if output is not None:
        form = output.choice.format
    else:
        assert kind is not None
        form = still_format(video.format, kind, preset.encode.pixel_format)
    output_color = target_color(
        source_color,
        preset.color,
        form=video.format,
        to_form=form,
        size=(video.width, video.height),
        to_size=size.output,
    )
    if output is not None:
        output = replace(
            output,
            target=replace(output.target, color=output_color.tag),
            choice=replace(output.choice, color=output_color.tag),
        )
    span = _span(preset, info)
    losses = () if output is None else output.losses
    tiles = None
    if kind is not None:
        losses = tuple(still_losses(video.format, form, kind))
        around = Treatments(preset, (video.width, video.height), tuned=tuned_keys(shots))
        alone = around.idle and bars is None and not fields.works
        tiles = choose_tiles(info, model, size, preset, alone=alone)
        require_possible(info, size, kind, tiles, most=preset.input.max_pixels)
    if preset.streams.strict:
        require_lossless(losses)
    abreast = frames_abreast(
        model, size.network_scale, preset.restore, device.torch_device, threads.torch
    )
    plan = Plan(
        info=info,
        path=path,
        preset=preset,
        device=device,
        threads=threads,
        model=model,
        size=size,
        bars=bars,
        fields=fields,
        shots=shots,
        diagnosis=diagnosis,
        source_color=source_color,
        output_color=output_color,
        output=output,
        path_on_device=None,
        format=form,
        tiles=tiles,
        span=span,
        abreast=abreast,
        memory=(
            plan_memory(
                preset,
                info,
                model,
                size,
                form,
                output,
                fields,
                device,
                tuned=tuned_keys(shots),
                looks_ahead=shots is None,
                abreast=abreast,
            )
            if tiles is None or kind is None
            else plan_tiled_memory(info, model, size, form, kind, tiles, device.torch_device)
        ),
        job=_job(preset, info, output),
        losses=losses,
        notes=(
            *_reasons(diagnosis),
            *info.guesses,
            *(() if info.cut_off is None else (f"{info.cut_off}; what is there is restored",)),
            *_field_notes(info, fields),
            *source_color.notes,
            *output_color.notes,
            *(() if output is None else output.streams.notes),
        ),
    )
    return placed(plan, device)


def placed(plan: Plan, device: Device) -> Plan:
    """The plan on a device, with the hand-overs that it has there."""
    if plan.output is None:
        return replace(plan, device=device)
    video = plan.info.video
    around = Treatments(plan.preset, (video.width, video.height), tuned=tuned_keys(plan.shots))
    path, output = on_device(
        device, plan.preset, plan.info, plan.model, plan.size, plan.bars, plan.fields, around.idle,
        (plan.source_color.working, plan.output_color.working), plan.output,
    )  # fmt: skip
    return replace(plan, device=device, path_on_device=path, output=output)


def tuned_keys(shots: ShotList | None) -> frozenset[str]:
    """Keys of presets that shots set for themselves."""
    return frozenset(key for shot in (shots.shots if shots else ()) for key in shot.tuning)


def _reasons(diagnosis: Diagnosis | None) -> Iterator[str]:
    if diagnosis is not None:
        chosen = diagnosis.suggestion
        yield f"preset {chosen.preset} because {'; '.join(chosen.reasons)}"


def _field_notes(info: MediaInfo, fields: FieldPlan) -> Iterator[str]:
    order = info.video.field_order
    if fields.cadence is not None and fields.cadence.confidence:
        yield f"the pictures show: {fields.cadence}"
    if not fields.progressive and order.has_fields:
        yield (
            f"the source is interlaced ({order.value}) and its fields stay woven; "
            "--deinterlace auto makes a whole picture of each"
        )


def _target(
    info: MediaInfo,
    size: SizePlan,
    color: ColorChoice,
    fields: FieldPlan,
    threads: ThreadBudget,
) -> VideoTarget:
    """The picture to encode, as far as the source decides it."""
    video = info.video
    progressive = fields.progressive or video.field_order is FieldOrder.UNKNOWN
    return VideoTarget(
        width=size.output[0],
        height=size.output[1],
        format=video.format,
        color=color.tag,
        sar=size.sar,
        display_matrix=video.display_matrix,
        time_base=video.time_base / fields.ticks,
        rate=None if video.average_rate is None else video.average_rate * fields.pace,
        mastering_display=video.mastering_display,
        content_light=video.content_light,
        side_data=video.side_data,
        field_order=FieldOrder.PROGRESSIVE if progressive else video.field_order,
        threads=threads.encode,
    )


def _span(preset: Preset, info: MediaInfo) -> Span | None:
    """The kept part on the source's own clock."""
    config = preset.input
    if config.frames is None and config.start is None and config.stop is None:
        return None
    if config.frames is not None:
        return Span(stop_with_picture=config.numbers[1] is not None)
    stream = info.video.stream
    zero = Fraction(0)
    if stream.start_pts is not None and stream.time_base is not None:
        zero = stream.start_pts * stream.time_base
    start, stop = config.times
    return Span(start=zero + start, stop=None if stop is None else zero + stop)


def _job(preset: Preset, info: MediaInfo, output: OutputPlan | None) -> JobPlan:
    """In segments, where there is a file to go on with and it is worth it."""
    limit = Fraction(str(preset.run.segment_seconds))
    length = _seconds(preset, info)
    reasons = {
        "a picture is made at once": output is None,
        "not possible from standard input": info.path == "-",
        "not possible from an address": "://" in info.path,
        "not possible without an output file": output is not None
        and (output.output == "-" or output.container.name == "null"),
        "not possible with uncompressed output": output is not None
        and output.choice.spec.kind is Kind.RAW,
        "switched off (run.segment_seconds = 0)": not limit,
        "not needed: one segment": length is not None and length <= limit,
    }
    for why, holds in reasons.items():
        if holds:
            return JobPlan(seconds=None, why_not=why)
    assert output is not None
    rate = info.video.average_rate
    frames = None if length is None or rate is None else round(length * rate)
    return JobPlan(seconds=limit, peak_bytes=2 * output.expected_bytes(frames, info.size_bytes))


def _seconds(preset: Preset, info: MediaInfo) -> Fraction | None:
    """How long the kept part is, as the source claims; None where it does not say."""
    config, length = preset.input, info.duration_seconds_from_header
    rate, count = info.video.average_rate, info.video.frame_count
    if length is None and rate is not None and count is not None:
        length = count / rate
    if config.frames is not None:
        first, stop = config.numbers
        if rate is None or (stop is None and length is None):
            return None
        end = (length or Fraction(0)) if stop is None else stop / rate
        return max(Fraction(0), min(end, length or end) - first / rate)
    start, stop_time = config.times
    if length is None:
        return None if stop_time is None else stop_time - start
    return max(Fraction(0), min(stop_time or length, length) - start)


def _is_reference(model: ModelSpec) -> bool:
    """Whether the model is one of the references, which take any colour model."""
    return model.arch in ("identity", "resize")


def needs_ycbcr(plan: Plan) -> bool:
    """Whether RGB frames must become YCbCr for the model."""
    return (
        plan.info.video.format.model is ColorModel.RGB
        and plan.model.space == "ycbcr"
        and not _is_reference(plan.model)
    )
