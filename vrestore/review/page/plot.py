"""Curves as inline SVG that fits any width, and their values for the page's scripts."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from vrestore.review.page.markup import Html, element

__all__ = ["Plot", "clock"]

_WIDTH, _HEIGHT = 1000.0, 100.0
"""Of the drawing's own coordinates; the browser stretches them."""

_BUCKETS = 500
"""Longer curves are drawn by the lowest and the highest value of each of so many parts."""

_TICKS = 4
"""Steps of the vertical axis, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One figure: several curves over a common axis."""

    title: str
    unit: str = ""
    x: Sequence[float]
    """Of every value, ascending: seconds, or numbers of frames."""

    series: Mapping[str, Sequence[float | None]]
    """Name of each curve and its values; None, nan and infinity leave a gap."""

    places: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Which colour a curve has; by default its place among the curves."""

    breaks: Collection[int] = ()
    """Places in `x` that no curve is drawn into from the place before: where a shot begins."""

    in_time: bool = True
    """Whether `x` are seconds."""

    note: str = ""
    """What the numbers mean, in a sentence."""

    def __post_init__(self) -> None:
        for name, values in self.series.items():
            if len(values) != len(self.x):
                raise ValueError(f"{name} has {len(values)} values for {len(self.x)} places")

    @property
    def data(self) -> dict[str, object]:
        """For the script that reads values off the curves."""
        return {
            "x": [round(x, 4) for x in self.x],
            "inTime": self.in_time,
            "series": [
                {"name": name, "values": [_rounded(value) for value in values]}
                for name, values in self.series.items()
            ],
        }

    def html(self, identifier: str) -> Html:
        """The figure; `identifier` is the key under which the scripts find `data`."""
        low, high, step = _axis(self.series.values())
        first, last = (self.x[0], self.x[-1]) if self.x else (0.0, 1.0)
        span = (last - first) or 1.0
        count = round((high - low) / step)
        lines = [
            element("line", x1=0, x2=_WIDTH, y1=_HEIGHT * n / count, y2=_HEIGHT * n / count)
            for n in range(count + 1)
        ]
        drawn = [
            element("polyline", points=points, class_=f"curve hue-{self._place(name) % 6}")
            for name, values in self.series.items()
            for points in self._points(values, first, span, low, high)
        ]
        svg = element(
            "svg",
            element("g", *lines, class_="grid"),
            *drawn,
            viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
            preserveAspectRatio="none",
            role="img",
            aria_label=self._summary(),
        )
        levels = [element("span", _number(high - n * step, step)) for n in range(count + 1)]
        times = [element("span", self._label(first + span * n / 4)) for n in range(5)]
        legend = [
            element("span", name, class_=f"key hue-{self._place(name) % 6}") for name in self.series
        ]
        return element(
            "figure",
            element(
                "figcaption",
                element("b", self.title),
                element("span", self.unit, class_="quiet") if self.unit else None,
                *(legend if len(legend) > 1 else ()),
                element("output", class_="readout quiet"),
            ),
            element(
                "div",
                element("div", *levels, class_="levels", aria_hidden="true"),
                element("div", svg, element("i", class_="cursor"), class_="area"),
                element("div", *times, class_="times", aria_hidden="true"),
                class_="axes",
            ),
            element("p", self.note, class_="quiet") if self.note else None,
            class_="plot",
            data_plot=identifier,
            tabindex="0",
            aria_label=f"{self.title}; arrow keys read the values",
        )

    def _points(
        self, values: Sequence[float | None], first: float, span: float, low: float, high: float
    ) -> Iterator[str]:
        """The pieces between gaps, each as the points of a polyline."""
        piece: list[str] = []
        last = (0.0, 0.0)
        for place, value in self._drawn(values):
            if value is None:
                yield from _piece(piece, last)
                piece = []
                continue
            last = ((place - first) / span * _WIDTH, (high - value) / (high - low) * _HEIGHT)
            piece.append(f"{last[0]:.1f},{last[1]:.2f}")
        yield from _piece(piece, last)

    def _drawn(self, values: Sequence[float | None]) -> Iterator[tuple[float, float | None]]:
        """What is drawn of a curve: all of it, or of a long one the ends of each part."""
        pairs = [(place, _rounded(value)) for place, value in zip(self.x, values, strict=True)]
        size = 1 if len(pairs) <= 2 * _BUCKETS else math.ceil(len(pairs) / _BUCKETS)
        breaks = set(self.breaks) if size == 1 else set()
        for start in range(0, len(pairs), size):
            part = pairs[start : start + size]
            if start in breaks:
                yield part[0][0], None
            known = [(place, value) for place, value in part if value is not None]
            if not known:
                yield part[0]
                continue
            ends = {min(known, key=lambda pair: pair[1]), max(known, key=lambda pair: pair[1])}
            yield from sorted(ends)

    def _place(self, name: str) -> int:
        return self.places.get(name, list(self.series).index(name))

    def _label(self, x: float) -> str:
        if self.in_time:
            return clock(x)
        return f"{x:.0f}" if self.x[-1] - self.x[0] >= _TICKS else f"{x:.1f}"

    def _summary(self) -> str:
        parts = []
        for name, values in self.series.items():
            known = [value for value in values if value is not None and math.isfinite(value)]
            if known:
                parts.append(f"{name} from {min(known):.4g} to {max(known):.4g}")
        return f"{self.title} {self.unit}: {'; '.join(parts) or 'no values'}"


def clock(seconds: float) -> str:
    """A time as people read it: 0:01.20, 1:02:03.40."""
    hundredths = round(abs(seconds) * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 100:02d}.{rest % 100:02d}"
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{'-' if seconds < 0 else ''}{head}:{tail}"


def _rounded(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.5g}")


def _axis(curves: Iterable[Sequence[float | None]]) -> tuple[float, float, float]:
    """(lowest, highest, step) of the vertical axis, round numbers around all values."""
    known = [v for curve in curves for v in curve if v is not None and math.isfinite(v)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if high - low < 1e-9 * max(1.0, abs(high)):
        middle, half = (low + high) / 2, max(abs(high) * 0.05, 0.5)
        low, high = middle - half, middle + half
    raw = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    bottom = math.floor(low / step + 1e-6) * step
    top = math.ceil(high / step - 1e-6) * step
    return bottom, top if top > bottom else bottom + step, step


def _number(value: float, step: float) -> str:
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if abs(step * 10**decimals - round(step * 10**decimals)) > 1e-6:
        decimals += 1
    return f"{value + 0.0:.{decimals}f}"


def _piece(points: list[str], last: tuple[float, float]) -> Iterator[str]:
    if len(points) == 1:
        # A single value between gaps is a short dash: a point has no extent to stroke.
        points.append(f"{last[0] + 2:.1f},{last[1]:.2f}")
    if points:
        yield " ".join(points)
