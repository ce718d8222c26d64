"""The page of `vrestore compare` and `vrestore preview`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vrestore.media import ColorSpec
from vrestore.review.clips import Clip
from vrestore.review.curves import Curves
from vrestore.review.page import viewer as viewing
from vrestore.review.page.document import document, section, table
from vrestore.review.page.markup import Content, Html, element
from vrestore.review.page.plot import Plot
from vrestore.review.page.viewer import Viewer

__all__ = ["Group", "comparison_page"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One part of the film in all versions, and what was measured of it."""

    title: str
    """Empty where there is only one."""

    clips: Sequence[Clip]
    curves: Curves
    notes: Sequence[str] = ()
    """Sentences on how its pictures are shown."""


def comparison_page(
    title: str,
    viewer: Viewer,
    groups: Sequence[Group],
    versions: Sequence[tuple[str, str, str]] = (),
) -> str:
    """The page as text; `title` may be anything a file can be called.

    `versions` are listed where there are any: (name, what it is, what it costs).
    """
    plots: dict[str, Plot] = {}
    figures: list[Content] = []
    for number, group in enumerate(groups):
        if group.title:
            figures.append(element("h3", group.title))
        drawn = {f"{name}-{number}": plot for name, plot in _plots(group)}
        plots |= drawn
        figures.append(
            element("div", *(plot.html(key) for key, plot in drawn.items()), class_="plots")
        )
    body = (
        element(
            "header",
            element("p", element("b", "vrestore"), " comparison", class_="mark"),
            element("h1", title),
            element("p", _lead(groups), class_="lead"),
        ),
        element(
            "main",
            viewer.html,
            _versions(versions),
            section("numbers", "In numbers", *_numbers(groups)),
            section("curves", "Along the film", *figures),
            section("files", "The files", _files(groups[0].clips)),
            section("method", "How this was measured", *_method(groups)),
        ),
        element("footer", "Everything is in this one file; it asks nothing of any network."),
    )
    return document(
        title,
        body,
        data={
            "viewer": viewer.data,
            "plots": {key: plot.data for key, plot in plots.items()},
        },
        styles=viewing.STYLES,
        scripts=("plots.js", *viewing.SCRIPTS),
    )


def _lead(groups: Sequence[Group]) -> str:
    first = groups[0].clips[0].label
    if not groups[0].curves.comparable:
        return (
            f"The pictures have different shapes, so they are shown and described, but not "
            f"measured against {first}."
        )
    width, height = groups[0].curves.size
    sizes = {clip.size for group in groups for clip in group.clips}
    how = (
        f"all have {width}x{height}"
        if len(sizes) == 1
        else f"larger pictures are brought down to {width}x{height} first"
    )
    return f"Every number is against {first}, on luma; {how}."


def _versions(versions: Sequence[tuple[str, str, str]]) -> Html | None:
    if not versions:
        return None
    head = ("preset", "for", "time")
    return section("presets", "The presets", table(head, versions, caption="Tried here", numbers=9))


# --------------------------------------------------------------------------------------- numbers


def _numbers(groups: Sequence[Group]) -> Iterator[Html]:
    for group in groups:
        curves = group.curves
        rows = []
        for place, clip in enumerate(group.clips):
            values = curves.psnr[place]
            rows.append((
                clip.label,
                *(
                    (
                        "–" if place == 0 else _decibels(curves.mean_psnr[place]),
                        "–" if place == 0 else _decibels(min(values, default=None)),
                        _codes(curves.flicker[place]),
                    )
                    if curves.comparable
                    else ()
                ),
                *((_codes(curves.warping[place]),) if curves.comparable else ()),
                _codes(curves.unsteadiness[place]),
                f"{_mean(curves.sharpness[place]):.2f}",
                f"{_mean(curves.brightness[place]):.1f}",
            ))  # fmt: skip
        head = ["version"]
        if curves.comparable:
            head += ["PSNR, dB", "lowest PSNR, dB", "flicker index", "warping error"]
        head += ["brightness flicker", "sharpness", "mean luma"]
        frames = len(curves.number)
        share = "in evenly spread runs" if curves.runs else "every one that all versions have"
        caption = f"{frames} frames, {share}"
        yield table(
            head, rows, caption=f"{group.title}: {caption}" if group.title else caption.capitalize()
        )


def _decibels(value: float | None) -> str:
    if value is None:
        return "–"
    return "equal" if math.isinf(value) else f"{value:.2f}"


def _codes(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


# ----------------------------------------------------------------------------------------- plots


def _plots(group: Group) -> Iterator[tuple[str, Plot]]:
    curves = group.curves
    begin = float(group.clips[0].start)
    seconds = [begin + second for second in curves.seconds]
    names = _unique([clip.label for clip in group.clips])
    places = {name: place for place, name in enumerate(names)}
    near = {name: values for name, values in zip(names, curves.psnr, strict=True) if values}
    if near:
        yield (
            "psnr",
            Plot(
                title="PSNR", unit="dB against the first", x=seconds, series=near,
                places=places, note="Gaps are frames that are equal.",
            ),
        )  # fmt: skip
    yield (
        "luma",
        Plot(
            title="Brightness", unit="mean luma, 16–235", x=seconds, places=places,
            series=dict(zip(names, curves.brightness, strict=True)),
            note="Flicker shows as a jagged line.",
        ),
    )  # fmt: skip
    yield (
        "sharpness",
        Plot(
            title="Sharpness", unit="rms of the Laplacian, code values", x=seconds,
            series=dict(zip(names, curves.sharpness, strict=True)), places=places,
            note="Detail raises it, and so do noise and grain.",
        ),
    )  # fmt: skip


def _unique(labels: Sequence[str]) -> list[str]:
    """The labels, numbered where two are the same."""
    return [
        label if labels.count(label) == 1 else f"{label} ({place})"
        for place, label in enumerate(labels, 1)
    ]


# ------------------------------------------------------------------------------------ the files


def _files(clips: Sequence[Clip]) -> Html:
    rows = []
    for clip in clips:
        info, video = clip.info, clip.info.video
        rate, length = video.average_rate, info.duration_seconds_from_header
        rows.append((
            clip.label,
            f"{video.width}x{video.height}"
            + ("" if video.sar == 1 else f", samples {video.sar}")
            + (f", turned {video.rotation}°" if video.rotation else ""),
            f"{video.stream.codec} {video.pixel_format}",
            _color(video.color),
            "–" if rate is None else f"{float(rate):.3f}".rstrip("0").rstrip("."),
            "–" if length is None else f"{float(length):.2f}",
            "–" if info.size_bytes is None else f"{info.size_bytes:,}",
        ))  # fmt: skip
    head = ("version", "picture", "coded as", "colour tags", "frames/s", "seconds", "bytes")
    return table(head, rows, caption="As their headers say", numbers=4)


def _color(color: ColorSpec) -> str:
    parts = (color.matrix, color.primaries, color.transfer, color.range)
    return " / ".join("–" if part.name == "UNSPECIFIED" else part.name.lower() for part in parts)


def _method(groups: Sequence[Group]) -> Iterator[Html]:
    curves = groups[0].curves
    width, height = curves.size
    notes = dict.fromkeys(note for group in groups for note in group.notes)
    yield element(
        "p",
        "Frames are paired by their times, counted from each file's first frame; a version of "
        "another rate is shown as a player would show it at that time. Pictures keep the code "
        "values of the film, in its own matrix and range, with the primaries brought to those of "
        "the screen.",
    )
    for note in notes:
        yield element("p", note)
    yield element(
        "p",
        f"Numbers are of luma at {width}x{height}, the size of the smallest version; larger ones "
        "are brought down with a Lanczos filter. Luma of another colour standard is converted to "
        "that of the first version. PSNR has a peak of 255 and is averaged as error; SSIM is "
        "that of Wang et al. 2004.",
    )
    yield element(
        "p",
        "The flicker index is the trembling of the error against the first version, in 8x8 "
        "blocks; the warping error is the change along the first version's motion, in the middle "
        "of the picture. The brightness flicker needs no reference: it is how far the mean of a "
        "frame lies from that of its neighbours. All three are in code values, and 0 is steady.",
    )
