"""A finished video against what its source and settings make of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from vrestore.checks.expected import Expected
from vrestore.checks.verdict import Check, Outcome, checked, counted
from vrestore.io.inventory import Inventory, Packets
from vrestore.io.trim import Trim
from vrestore.media import Chapter, ColorModel, MediaInfo, Range, SampleFormat

__all__ = ["comparison", "shift_of"]

_LOOSE_START = frozenset({"mpegts"})
"""Containers that start no earlier than zero, which moves all their streams."""

_TOLERANCE = Fraction(1, 1000)
"""Of a chapter's times, in seconds; containers round them."""

_UNSPECIFIED = {"matrix": 2, "primaries": 2, "transfer": 2, "range": 0}


def shift_of(info: MediaInfo, inventory: Inventory, expected: Expected) -> Fraction:
    """By how much all times of the output are later than planned, in seconds."""
    packets = inventory.packets[info.video.stream.index]
    if info.container not in _LOOSE_START or not len(packets) or not expected.times:
        return Fraction(0)
    wanted = min(expected.ticks(packets.time_base))
    return (min(packets.pts) - wanted) * packets.time_base


def comparison(
    info: MediaInfo, inventory: Inventory, expected: Expected, shift: Fraction
) -> Iterator[Check]:
    """Frames, times, picture, colour, chapters and tags, as they must be."""
    packets = inventory.packets[info.video.stream.index]
    yield from checked(
        "against: frames", _counts(packets, expected), f"{len(packets)}, as the source gives"
    )
    yield from checked(
        "against: times",
        _times(packets, expected, shift),
        f"every frame is at its place{_moved(shift)}",
    )
    yield from checked("against: picture", _shape(info, expected), _told_shape(info))
    yield from _color(info, inventory, expected)
    yield from _hdr(info, expected)
    yield from _chapters(info, expected)
    yield from _tags(info, expected)
    if expected.repeated:
        yield Check(
            name="repeats",
            outcome=Outcome.NOTE,
            told=f"{counted(expected.repeated, 'frame')} for damaged or lost ones of the source",
        )


def _moved(shift: Fraction) -> str:
    return f"; all {float(shift):.3f} s later, as this container starts" if shift else ""


def _counts(packets: Packets, expected: Expected) -> Iterator[str]:
    if len(packets) != len(expected.times):
        yield f"{len(packets)} frames, and the source gives {len(expected.times)}"


def _times(packets: Packets, expected: Expected, shift: Fraction) -> Iterator[str]:
    tick = packets.time_base
    late = shift / tick
    wanted = [ticks + int(late) for ticks in expected.ticks(tick)]
    found = sorted(packets.pts)
    if found == wanted:
        return
    missing = sorted(set(wanted) - set(found))
    extra = sorted(set(found) - set(wanted))
    distances = {after - before for before, after in zip(wanted, found, strict=False)}
    if len(found) == len(wanted) and len(distances) == 1:
        yield f"all frames are {float(distances.pop() * tick):+.3f} s from their places"
    elif missing and extra:
        yield (
            f"{len(extra)} of {len(found)} frames are not at their times: one is at "
            f"{float(extra[0] * tick):.3f} s, and should be at {float(missing[0] * tick):.3f} s"
        )
    elif missing:
        count = counted(len(missing), "frame")
        yield f"{count} missing, the first is that of {_at(missing[0], tick)}"
    elif extra:
        count = counted(len(extra), "frame")
        yield f"{count} too many, the first is that of {_at(extra[0], tick)}"
    else:
        yield "frames stand twice at one time"


def _at(ticks: int, tick: Fraction) -> str:
    return f"{float(ticks * tick):.3f} s"


def _shape(info: MediaInfo, expected: Expected) -> Iterator[str]:
    output, video = expected.plan.output, info.video
    assert output is not None, "a still was planned"
    target = output.target
    if (video.width, video.height) != (target.width, target.height):
        yield (f"it is {video.width}x{video.height} and should be {target.width}x{target.height}")
    form = output.choice.format
    if (video.format.model, video.format.depth) != (form.model, form.depth):
        yield f"its samples are {_samples(video.format)} and should be {_samples(form)}"
    sar = target.sar or Fraction(1)
    if abs(video.sar / sar - 1) > Fraction(1, 1000) and output.container.metadata:
        yield f"its samples have the aspect {video.sar} and should have {sar}"
    if video.display_matrix != target.display_matrix and output.container.metadata:
        yield f"it is turned by {video.rotation} degrees and the source is not"


def _samples(form: SampleFormat) -> str:
    return f"{form.depth}-bit {form.model.value}"


def _told_shape(info: MediaInfo) -> str:
    video = info.video
    turned = f", turned by {video.rotation} degrees" if video.rotation else ""
    return f"{video.width}x{video.height}, {video.pixel_format}, samples {video.sar}{turned}"


def _color(info: MediaInfo, inventory: Inventory, expected: Expected) -> Iterator[Check]:
    output, pictures = expected.plan.output, inventory.pictures
    assert output is not None and pictures is not None
    if output.choice.format.model is not ColorModel.YCBCR:
        return  # The samples themselves say what they are.
    color = output.choice.color
    wanted = (color.matrix, color.primaries, color.transfer, color.range)
    failures = [
        f"the {name} tag is {found} and should be {int(want)} ({want.name.lower()})"
        for (name, nothing), want, found in zip(
            _UNSPECIFIED.items(), wanted, pictures.tags, strict=True
        )
        # Containers that must name a range name one; of the rest, unknown stays unknown.
        if found != int(want)
        and (int(want) != nothing or name != "range")
        # H.264 does not write what goes without saying.
        and not (want is Range.LIMITED and found == nothing)
    ]
    told = ", ".join(
        f"{name} {want.name.lower()}" for name, want in zip(_UNSPECIFIED, wanted, strict=True)
    )
    yield from checked("against: colour", failures, told)


def _hdr(info: MediaInfo, expected: Expected) -> Iterator[Check]:
    output = expected.plan.output
    assert output is not None
    target, video = output.target, info.video
    if target.mastering_display is None and target.content_light is None:
        return
    if any("HDR10" in loss.what for loss in expected.plan.losses):
        return
    failures = []
    if target.mastering_display is not None and video.mastering_display is None:
        failures.append("the mastering display of the source is missing")
    if target.content_light is not None and video.content_light != target.content_light:
        failures.append("the content light level is missing or not the source's")
    yield from checked("against: hdr", failures, "HDR10 static metadata is there")


def _chapters(info: MediaInfo, expected: Expected) -> Iterator[Check]:
    plan = expected.plan
    if plan.output is None or not plan.output.streams.chapters:
        return
    wanted = []
    for chapter in plan.info.chapters:
        place: tuple[int, int] | None = (chapter.start, chapter.end)
        if plan.span is not None:
            trim = Trim(plan.span)
            trim.begin(expected.origin)
            place = trim.chapter(chapter)
        if place is not None:
            wanted.append((chapter, place[0] * chapter.time_base))
    failures = []
    if len(info.chapters) != len(wanted):
        failures.append(f"{len(info.chapters)} chapters, and there should be {len(wanted)}")
    for number, ((before, start), after) in enumerate(
        zip(wanted, info.chapters, strict=False), start=1
    ):
        if abs(after.start * after.time_base - start) > _TOLERANCE:
            now = float(after.start * after.time_base)
            failures.append(
                f"chapter {number} begins at {now:.3f} s and should at {float(start):.3f} s"
            )
        elif _title(before) not in ("", _title(after)):
            failures.append(
                f"chapter {number} is called {_title(after)!r} and was {_title(before)!r}"
            )
    yield from checked("chapters", failures[:1], f"{len(wanted)}, with times and names")


def _title(chapter: Chapter) -> str:
    return next((v for key, v in chapter.metadata.items() if key.lower() == "title"), "")


def _tags(info: MediaInfo, expected: Expected) -> Iterator[Check]:
    output = expected.plan.output
    if output is None or not output.container.metadata:
        return
    lost = " ".join(loss.what for loss in expected.plan.losses if loss.what.startswith("metadata"))
    # What the run itself wrote is looked at as settings.
    wanted = {
        key: value
        for key, value in output.streams.metadata.items()
        if key not in lost and not key.upper().startswith("VRESTORE")
    }
    yield from checked(
        "tags",
        list(_missing(wanted, info.metadata))[:1],
        f"{counted(len(wanted), 'tag')} of the source",
    )


def _missing(wanted: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    """Keys of `wanted` that a file does not have or has with another value."""
    there = {key.lower().replace(" ", "_"): value for key, value in found.items()}
    for key, value in wanted.items():
        now = there.get(key.lower().replace(" ", "_"))
        if now is None:
            yield f"tag {key!r} is missing"
        elif now != value:
            yield f"tag {key!r} is {now[:60]!r} and was {value[:60]!r}"
