"""The page of a record: what a run found, decided and changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vrestore.review.page import viewer as viewing
from vrestore.review.page.document import document, facts, section, table
from vrestore.review.page.markup import Content, Html, element
from vrestore.review.page.plot import Plot
from vrestore.review.page.viewer import Viewer

__all__ = ["record_page"]

Record = Mapping[str, Any]

_MOST_ROWS = 400
"""Shots that a table lists; the record itself has all."""

_UNITS = {
    "share": "%", "px": "px", "codes": "code values", "rows": "rows", "seconds": "s",
    "samples": "samples", "degrees": "degrees", "db": "dB", "frames": "frames",
}  # fmt: skip
"""Last word of a number's name in a note -> its unit."""


def record_page(record: Record, viewer: Viewer | None = None, notes: Sequence[str] = ()) -> str:
    """The page of a record as `record_json` makes it.

    `viewer` shows before and after, `notes` say how; without it the page has no pictures.
    """
    plots = dict(_stage_plots(record)) | dict(_metric_plots(record))
    pictures: list[Content] = [viewer.html] if viewer is not None else [
        element(
            "p",
            "The pictures are missing: source and output were not both there when this page was "
            "made.",
            class_="warning",
        )
    ]  # fmt: skip
    pictures += [element("p", note, class_="quiet") for note in notes]
    title = _name(record["output"]["path"])
    body = (
        element(
            "header",
            element("p", element("b", "vrestore"), " record of a restoration", class_="mark"),
            element("h1", title),
            element("p", _lead(record), class_="lead"),
        ),
        element(
            "main",
            section("summary", "In short", facts(list(_summary(record)))),
            section("pictures", "Before and after", *pictures),
            _diagnosis(record["diagnosis"]),
            section("changes", "What was changed, shot by shot", *_changes(record, plots)),
            section("numbers", "Output against source", *_numbers(record, plots)),
            section("losses", "What the output does not hold", *_losses(record)),
            section("settings", "Plan and settings", *_settings(record)),
            section("provenance", "Provenance", *_provenance(record)),
        ),
        element(
            "footer",
            f"Written {record['written']} by vrestore {record['vrestore']}. "
            "Everything is in this one file; it asks nothing of any network.",
        ),
    )
    return document(
        f"Record of {title}",
        body,
        data={
            "plots": {key: plot.data for key, plot in plots.items()},
            **({} if viewer is None else {"viewer": viewer.data}),
        },
        styles=viewing.STYLES,
        scripts=("plots.js", *(viewing.SCRIPTS if viewer is not None else ())),
    )


def _name(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1] or path


# --------------------------------------------------------------------------------------- summary


def _lead(record: Record) -> str:
    part = [
        f"{word} {record['part'][key]}"
        for key, word in (("start", "from"), ("stop", "to"), ("frames", "frames"))
        if record["part"][key] is not None
    ]
    where = f" ({' '.join(part)})" if part else ""
    preset = record["settings"]["preset"]
    return f"Made from {_name(record['source']['path'])}{where} with the preset {preset}."


def _summary(record: Record) -> Iterator[tuple[str, Content]]:
    result, video, output = record["result"], record["source"]["video"], record["output"]
    yield "Frames", f"{result['frames_in']} in, {result['frames_out']} out"
    yield "Shots", str(result["shots"])
    yield "Picture", f"{video['width']}x{video['height']} → {output['width']}x{output['height']}"
    yield "Model", record["model"]["name"]
    if (share := _repaired(record)) is not None:
        yield "Repaired", f"{_percent(share)} of all samples"
    if record["metrics"] is not None and record["metrics"]["comparable"]:
        mean = record["metrics"]["mean_psnr"]
        yield "Near the source", "equal" if mean is None else f"PSNR {mean:.2f} dB"
    if result["elapsed_seconds"]:
        yield "Time", f"{result['elapsed_seconds']:.1f} s, {result['fps']:.1f} frames/s"
    lost = len(record["losses"])
    yield "Losses", "none" if not lost else f"{lost}, listed below"


def _repaired(record: Record) -> float | None:
    """Share of the samples of all frames that a repair changed; None where no stage repairs."""
    shots = [
        (shot["frames"], stage["values"]["repaired_share"])
        for shot in record["shots"]
        for stage in shot["stages"]
        if stage["stage"] == "repair"
    ]
    frames = record["result"]["frames_out"]
    return sum(count * share for count, share in shots) / frames if shots and frames else None


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


# --------------------------------------------------------------------------------------- changes


def _changes(record: Record, plots: Mapping[str, Plot]) -> Iterator[Html]:
    names = dict.fromkeys(stage["stage"] for shot in record["shots"] for stage in shot["stages"])
    if not names:
        yield element("p", "No stage of this run kept notes.")
    for name in names:
        yield element("h3", _words(name).capitalize())
        drawn = [plot.html(key) for key, plot in plots.items() if key.startswith(f"{name}:")]
        if drawn:
            yield element("div", *drawn, class_="plots")
        grid = _stage_table(record, name)
        if grid is not None:
            many = len(record["shots"]) > 12
            yield (
                element("details", element("summary", "The numbers of every shot"), grid)
                if many
                else grid
            )


def _stage_table(record: Record, name: str) -> Html | None:
    noted = [
        (shot, stage["values"])
        for shot in record["shots"]
        for stage in shot["stages"]
        if stage["stage"] == name
    ]
    columns = list(dict.fromkeys(key for _, values in noted for key in values))
    if not columns:
        return None
    rows = [
        (
            f"{shot['first']}–{shot['first'] + shot['frames'] - 1}",
            *(_value(key, values.get(key)) for key in columns),
        )
        for shot, values in noted[:_MOST_ROWS]
    ]
    more = len(noted) - _MOST_ROWS
    caption = f"{_words(name).capitalize()}, {len(noted)} shot{'s' * (len(noted) != 1)}"
    if more > 0:
        caption += f", the first {_MOST_ROWS}; the record beside this page has the other {more}"
    return table(["frames", *(_heading(key) for key in columns)], rows, caption=caption)


def _heading(key: str) -> str:
    """A number's name, its unit after a comma; the unit of shares is written beside each."""
    base, which = _split(key)
    words, unit = _named(base)
    words = words if which == base else f"{words} {which}"
    return f"{words}, {unit}" if unit not in ("", "%") else words


def _value(key: str, value: float | None) -> str:
    if value is None:
        return "–"
    return _percent(value) if _named(_split(key)[0])[1] == "%" else f"{value:.4g}"


def _named(key: str) -> tuple[str, str]:
    """(words, unit) of a number's name such as "weave_px"."""
    base, _, last = key.rpartition("_")
    return (_words(base), _UNITS[last]) if base and last in _UNITS else (_words(key), "")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _stage_plots(record: Record) -> Iterator[tuple[str, Plot]]:
    """One plot for each curve of each stage over the whole film, before and after in one."""
    found: dict[tuple[str, str], dict[str, list[tuple[int, float | None]]]] = {}
    begins = {shot["first"] for shot in record["shots"]}
    for shot in record["shots"]:
        for stage in shot["stages"]:
            for key, values in stage["curves"].items():
                base, series = _split(key)
                curve = found.setdefault((stage["stage"], base), {}).setdefault(series, [])
                curve += [(shot["first"] + at, value) for at, value in enumerate(values)]
    for (stage_name, base), curves in found.items():
        words, unit = _named(base)
        factor = 100.0 if unit == "%" else 1.0
        frames = sorted({frame for curve in curves.values() for frame, _ in curve})
        tables = {series: dict(curve) for series, curve in curves.items()}
        yield (
            f"{stage_name}:{base}",
            Plot(
                title=words.capitalize(),
                unit=f"{unit}, by frame" if unit else "by frame",
                x=[float(frame) for frame in frames],
                series={
                    words if series == base else series: [
                        None if (value := known.get(frame)) is None else factor * value
                        for frame in frames
                    ]
                    for series, known in tables.items()
                },
                places={"before": 0, "after": 1, words: 1},
                breaks=[place for place, frame in enumerate(frames) if frame in begins],
                in_time=False,
            ),
        )


def _split(key: str) -> tuple[str, str]:
    """(what is drawn in one plot, which of its curves): x_before and x_after belong together."""
    for end in ("before", "after"):
        if key == end:
            return "before and after", end
        if key.endswith(f"_{end}"):
            return key.removesuffix(f"_{end}"), end
    return key, key


# --------------------------------------------------------------------------------------- numbers


def _metric_plots(record: Record) -> Iterator[tuple[str, Plot]]:
    numbers = record["metrics"]
    if numbers is None:
        return
    seconds = [float(second) for second in numbers["seconds"]]
    if numbers["comparable"] and numbers["psnr"]:
        yield (
            "against:psnr",
            Plot(
                title="PSNR", unit="dB against the source", x=seconds,
                series={"after": numbers["psnr"]}, places={"after": 1},
                note="The lower, the more was changed. Gaps are frames that are equal.",
            ),
        )  # fmt: skip
    for key, title, unit in (
        ("brightness", "Brightness", "mean luma, 16–235"),
        ("sharpness", "Sharpness", "rms of the Laplacian, code values"),
    ):
        before, after = numbers[key]
        yield (
            f"against:{key}",
            Plot(title=title, unit=unit, x=seconds, series={"before": before, "after": after}),
        )


def _numbers(record: Record, plots: Mapping[str, Plot]) -> Iterator[Html]:
    numbers = record["metrics"]
    if numbers is None:
        yield element("p", "Source and output were not measured against each other.")
        return
    rows = [
        ("brightness flicker", *map(_codes, numbers["brightness_flicker"])),
        ("warping error", *map(_codes, numbers["warping_error"])),
    ]
    yield table(
        ("code values", "before", "after"),
        rows,
        caption=(
            f"Steadiness of luma at {numbers['width']}x{numbers['height']}; 0 is steady, and what "
            "moves by itself is not at 0"
        ),
    )
    drawn = [plot.html(key) for key, plot in plots.items() if key.startswith("against:")]
    yield element("h3", "Along the film")
    yield element("div", *drawn, class_="plots")


def _codes(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


# ------------------------------------------------------------------------- found, lost, decided


def _diagnosis(found: Any) -> Html | None:
    if not isinstance(found, dict) or not isinstance(found.get("findings"), list):
        return None
    rows = [
        (
            str(finding.get("name", "")),
            "–" if finding.get("value") is None
            else f"{float(finding['value']):.4g} {finding.get('unit', '')}".strip(),
            str(finding.get("says", "")),
            "–" if finding.get("confidence") is None else f"{100 * finding['confidence']:.0f} %",
        )
        for finding in found["findings"]
        if isinstance(finding, dict)
    ]  # fmt: skip
    suggestion = found.get("suggestion")
    reasons: list[Content] = []
    if isinstance(suggestion, dict):
        reasons = [
            element("p", "Suggested preset: ", element("b", str(suggestion.get("preset", "")))),
            element("ul", *(element("li", str(why)) for why in suggestion.get("reasons", ()))),
        ]
    head = ("what", "how much", "in words", "confidence")
    return section(
        "diagnosis",
        "What was found in the source",
        table(head, rows, caption="Measured before the run", numbers=9),
        *reasons,
    )


def _losses(record: Record) -> Iterator[Html]:
    if not record["losses"]:
        yield element("p", "Nothing of the source is missing.")
        return
    yield element("ul", *(element("li", loss) for loss in record["losses"]))


def _settings(record: Record) -> Iterator[Html]:
    yield element("p", record["settings"]["description"])
    yield element("pre", "\n".join(line.removeprefix("  ") for line in record["plan"]), tabindex=0)
    yield element(
        "details",
        element("summary", "Every setting, as a preset file"),
        element("pre", record["settings"]["toml"], tabindex=0),
    )


def _provenance(record: Record) -> Iterator[Html]:
    rows = [
        ("source", record["source"]["path"], record["source"]["sha256"]),
        ("output", record["output"]["path"], record["output"]["sha256"]),
        ("settings", record["settings"]["preset"], record["settings"]["sha256"]),
        ("model", record["model"]["name"], record["model"]["sha256"]),
    ]
    yield table(
        ("", "name", "SHA-256"),
        [(what, name, element("code", digest or "–")) for what, name, digest in rows],
        caption="What went in and what came out",
        numbers=9,
    )
    machine, model = record["machine"], record["model"]
    busy = ", ".join(
        f"{stage['name']} {_percent(stage['busy_share'] or 0.0)}" for stage in record["stages"]
    )
    peak = record["result"]["peak_rss_bytes"]
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    yield element("h3", "Made with")
    yield facts([
        ("vrestore", record["vrestore"]),
        ("Model", f"{model['purpose']} ({model['license']})"),
        ("Libraries", f"Python {machine['python']}, {libraries}"),
        ("Machine", f"{machine['system']}, {machine['device']}"),
        ("Busy", busy or None),
        ("Memory at most", None if peak is None else f"{peak // 2**20} MiB"),
    ])  # fmt: skip
