"""A plan in words, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vrestore.models.needs import engine
from vrestore.models.restorer import working_dtype
from vrestore.ops.color import ColorChoice
from vrestore.ops.size import SizePlan

if TYPE_CHECKING:
    from vrestore.planning import Plan

__all__ = ["plan_lines"]

_MIB = 2**20


def plan_lines(plan: Plan) -> Iterator[str]:
    video, size = plan.info.video, plan.size
    yield f"{plan.info.path} -> {plan.path}"
    yield f"  preset   {plan.preset.name}: {plan.preset.description}"
    yield (
        f"  picture  {video.width}x{video.height} {video.pixel_format}"
        f" -> {size.output[0]}x{size.output[1]} {_format(plan)}{_steps(size)}"
    )
    how = f"x{size.network_scale}{_precision(plan)}"
    yield f"  model    {plan.model.name} {how} on {plan.device.name}"
    if plan.path_on_device is not None:
        for position, (name, link) in enumerate(plan.path_on_device):
            yield f"  {'' if position else 'device':8} {name}: {link.how}"
    if plan.bars is not None and plan.bars.found:
        inside = plan.bars.picture
        yield (
            f"  bars     picture {inside.width}x{inside.height} at {inside.x},{inside.y}; "
            "bars are put back"
        )
    if str(plan.fields):
        yield f"  fields   {plan.fields}"
    yield f"  colour   {_color(plan.output_color)}"
    if plan.output is not None:
        yield f"  encoder  {plan.output.choice.reason}"
        kept = len(plan.output.streams.routes)
        name = plan.output.container.name
        yield f"  file     {name}, {kept} other stream{'s' * (kept != 1)} kept"
    threads = plan.threads
    helped = engine(plan.model, plan.device.torch_device)
    yield (
        f"  threads  decode {threads.decode}, network {threads.torch}{helped and f' ({helped})'}, "
        f"encode {threads.encode}"
    )
    memory = plan.memory
    if plan.tiles is not None:
        yield f"  tiles    of {plan.tiles.side} with {plan.tiles.halo} samples around, in bands"
    parts = [f"{memory.network // _MIB} MiB for the network{_bands(plan)}"] * bool(memory.network)
    if plan.output is not None:
        parts.insert(0, f"{memory.depth} frames a queue")
        parts.append(f"{memory.encoder // _MIB} MiB in the encoder")
    where = f" ({', '.join(parts)})" if parts else ""
    yield f"  memory   about {plan.mebibytes_expected} MiB{where}"
    yield f"  resume   {_job(plan)}"
    yield from (f"  note     {note}" for note in plan.notes)
    yield from (f"  LOSS     {loss}" for loss in plan.losses)


def _bands(plan: Plan) -> str:
    """Where the network works and how, as far as the budget decided it."""
    where = "" if plan.device.kind == "cpu" else f" on {plan.device.name}"
    rows = plan.memory.rows
    return where if rows is None else f"{where} in bands of {rows} rows"


def _job(plan: Plan) -> str:
    job = plan.job
    if job.seconds is None:
        return job.why_not
    return (
        f"in segments of up to {float(job.seconds):g} s beside the output; "
        f"they and the file may take {_size(job.peak_bytes)} in the end"
    )


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{max(1, count // _MIB)} MiB"


def _format(plan: Plan) -> str:
    if plan.output is None:
        return f"{plan.format.model.value} {plan.format.depth} bit"
    return plan.output.choice.encoder_format


def _steps(size: SizePlan) -> str:
    steps = []
    if size.resamples:
        steps.append(f"network x{size.network_scale} then resampled")
    if size.pads:
        steps.append(f"padded from {size.picture[0]}x{size.picture[1]}")
    if size.sar != 1:
        steps.append(f"samples {size.sar.numerator}:{size.sar.denominator}")
    return f" ({', '.join(steps)})" if steps else ""


def _color(choice: ColorChoice) -> str:
    working = choice.working
    names = [working.matrix, working.primaries, working.transfer, working.range]
    words = "/".join(value.name.lower() for value in names)
    return (
        words
        if choice.tag == working
        else f"{words} (tags: "
        + "/".join(
            value.name.lower()
            for value in (
                choice.tag.matrix,
                choice.tag.primaries,
                choice.tag.transfer,
                choice.tag.range,
            )
        )
        + ")"
    )


def _precision(plan: Plan) -> str:
    """What a network computes in."""
    if plan.model.weights is None:
        return ""
    dtype = working_dtype(plan.model, plan.preset.restore.precision, plan.device.torch_device)
    return f" in {str(dtype).removeprefix('torch.')}"
