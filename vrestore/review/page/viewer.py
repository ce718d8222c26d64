"""The part of a page that shows two versions of a picture: wiped, flipped, their difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vrestore.review.page.album import Picture
from vrestore.review.page.markup import Html, element

__all__ = ["SCRIPTS", "STYLES", "Instant", "Version", "Viewer"]

STYLES = ("viewer.css",)
SCRIPTS = ("viewer.js",)

_MODES = (
    ("wipe", "Wipe"),
    ("side", "Side by side"),
    ("flip", "Flip"),
    ("difference", "Difference"),
)
_ZOOMS = (("fit", "Fit"), ("1", "100 %"), ("2", "200 %"), ("4", "400 %"))
_GAIN = 3
"""The difference is shown 2**3 times as large at first, at most 2**6 times."""

_KEYS = (
    ("w  s  f  d", "wipe, side by side, flip, difference"),
    ("←  →", "move the divider, with Shift by tens; pan when enlarged"),
    (",  .", "previous and next picture"),
    ("x", "swap left and right"),
    ("0  1  2  4", "fit, 100 %, 200 %, 400 %"),
    ("+  -", "enlarge, reduce; also Ctrl and the wheel"),
    ("m", "mask of what was found damaged, where there is one"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One of the things that are compared."""

    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """One moment in all versions."""

    seconds: float
    label: str
    """The time, as people read it."""

    reason: str
    """Why it is shown, in a few words."""

    thumbnail: str
    """Data URI."""

    pictures: Sequence[Picture]
    """One for each version."""

    notes: Sequence[Sequence[str]]
    """For each version what is said beneath while it is on the right."""

    mask: str | None = None
    """Data URI of a transparent picture to lay over all versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Versions and instants, at least one of each."""

    versions: Sequence[Version]
    instants: Sequence[Instant]
    shape: tuple[int, int]
    """(width, height) on the screen at 100 %, in pixels: of the largest version, as square ones."""

    def __post_init__(self) -> None:
        if not self.versions or not self.instants:
            raise ValueError("a viewer needs something to show")
        for instant in self.instants:
            if not len(instant.pictures) == len(instant.notes) == len(self.versions):
                raise ValueError("each instant needs a picture and notes for every version")

    @property
    def data(self) -> dict[str, object]:
        """For the script."""
        return {
            "versions": [{"label": version.label} for version in self.versions],
            "shape": list(self.shape),
            "instants": [
                {
                    "seconds": instant.seconds,
                    "label": instant.label,
                    "pictures": [picture.data for picture in instant.pictures],
                    "notes": [list(notes) for notes in instant.notes],
                    "mask": instant.mask,
                }
                for instant in self.instants
            ],
        }

    @property
    def html(self) -> Html:
        return element(
            "div",
            element("noscript", element("p", "The pictures need JavaScript.", class_="warning")),
            self._bar(),
            self._stage(),
            element("p", class_="status", aria_live="polite"),
            self._strip(),
            _keys(),
            class_="viewer",
            data_mode="wipe",
        )

    def _bar(self) -> Html:
        modes = [
            element(
                "button",
                name,
                type="button",
                role="radio",
                aria_checked="false",
                data_set_mode=mode,
            )
            for mode, name in _MODES
        ]
        zooms = [
            element("button", name, type="button", aria_pressed="false", data_zoom=value)
            for value, name in _ZOOMS
        ]
        gain = element("input", type="range", id="gain", min=0, max=6, step=1, value=_GAIN)
        return element(
            "div",
            element(
                "div",
                element("label", "Left", self._select("left")),
                element("button", "⇄", type="button", id="swap", aria_label="Swap left and right"),
                element("label", "Right", self._select("right")),
                class_="pair",
            ),
            element("div", *modes, class_="group", role="radiogroup", aria_label="How to compare"),
            element("div", *zooms, class_="group", role="group", aria_label="Size"),
            element(
                "label",
                "Difference amplified ",
                element("output", f"{2**_GAIN}×", id="gain-value", for_="gain"),
                gain,
                class_="only-difference",
            ),
            self._mask_box(),
            class_="bar",
        )

    def _mask_box(self) -> Html | None:
        if all(instant.mask is None for instant in self.instants):
            return None
        box = element("input", type="checkbox", id="mask")
        return element("label", box, "Show what was found damaged", class_="tick")

    def _select(self, side: str) -> Html:
        options = [
            element("option", version.label, value=number)
            for number, version in enumerate(self.versions)
        ]
        return element("select", *options, id=side, aria_label=f"Version on the {side}")

    def _stage(self) -> Html:
        sheet = element(
            "div",
            element("img", class_="whole", alt="", draggable="false"),
            element("img", class_="part", alt="", hidden=True, draggable="false"),
            element("img", class_="mask", alt="", hidden=True, draggable="false"),
            class_="sheet",
        )
        panes = [element("div", sheet, class_=f"pane {side}") for side in ("left", "right")]
        handle = element(
            "div",
            class_="handle",
            role="slider",
            tabindex="0",
            aria_label="Divider between left and right",
            aria_valuemin="0",
            aria_valuemax="100",
            aria_valuenow="50",
        )
        return element(
            "div",
            element("div", *panes, class_="panes"),
            handle,
            element("span", class_="tag left"),
            element("span", class_="tag right"),
            class_="stage",
            tabindex="0",
            role="group",
            aria_label="The pictures; arrow keys move the divider, or the picture when enlarged",
        )

    def _strip(self) -> Html:
        buttons = [
            element(
                "li",
                element(
                    "button",
                    element("img", src=instant.thumbnail, alt=""),
                    element("span", instant.label),
                    element("span", instant.reason, class_="quiet"),
                    type="button",
                ),
            )
            for instant in self.instants
        ]
        return element("ol", *buttons, class_="strip", aria_label="Moments of the film")


def _keys() -> Html:
    rows = []
    for keys, what in _KEYS:
        names = [element("kbd", key) for key in keys.split()]
        spaced = [piece for name in names for piece in (name, " ")]
        rows.append(element("div", element("dt", *spaced), element("dd", what)))
    return element("details", element("summary", "Keys"), element("dl", *rows), class_="keys")
