"""The pages in a real browser: silent consoles, whole pictures, controls that do their work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vrestore.media import (
    ColorModel,
    ColorSpec,
    MediaInfo,
    SampleFormat,
    StreamInfo,
    StreamKind,
    VideoInfo,
)
from vrestore.review.clips import Clip
from vrestore.review.curves import Curves
from vrestore.review.page.account import record_page
from vrestore.review.page.album import Album, mask_picture, thumbnail
from vrestore.review.page.comparison import Group, comparison_page
from vrestore.review.page.viewer import Instant, Version, Viewer

HOSTILE = "</script><script>window.broken=1</script><img src=x onerror=window.broken=1>\"'&.mkv"
WIDTH, HEIGHT = 640, 360
RED, BLUE = (200, 40, 40), (40, 40, 200)


def flat(colour: tuple[int, int, int]) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (HEIGHT, WIDTH, 3)).copy()


def instant(seconds: float, *pictures: np.ndarray, mask: str | None = None) -> Instant:
    album = Album(10**6, len(pictures))
    return Instant(
        seconds=seconds,
        label=f"0:0{seconds:.2f}",
        reason="large difference",
        thumbnail=thumbnail(pictures[0]),
        pictures=[album.add(picture) for picture in pictures],
        notes=[["frame 1"], *[["frame 1", "PSNR 30.00 dB"]] * (len(pictures) - 1)],
        mask=mask,
    )


def viewer(first: str = "before", second: str = "after") -> Viewer:
    """Red before, blue after; then two greys that differ by 4 codes."""
    near = (flat((100, 100, 100)), flat((104, 104, 104)))
    return Viewer(
        versions=[Version(label=first), Version(label=second)],
        instants=[instant(0.4, flat(RED), flat(BLUE)), instant(1.2, *near)],
        shape=(WIDTH, HEIGHT),
    )


def masked() -> Viewer:
    """A moment without a mask, and one whose left quarter was found damaged."""
    mask = np.zeros((HEIGHT // 4, WIDTH // 4), bool)
    mask[:, : WIDTH // 16] = True
    shown = instant(0.4, flat(RED), flat(BLUE), mask=mask_picture(mask))
    return replace(viewer(), instants=[instant(0.1, flat(BLUE), flat(RED)), shown])


def clip(name: str) -> Clip:
    stream = StreamInfo(index=0, kind=StreamKind.VIDEO, codec="h264")
    video = VideoInfo(
        stream=stream,
        width=WIDTH,
        height=HEIGHT,
        format=SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1),
        pixel_format="yuv420p",
        color=ColorSpec(),
    )
    info = MediaInfo(path=name, container="matroska", video=video, streams=(stream,))
    return Clip(info=info, label=name)


def comparison(first: str = "before", second: str = "after") -> str:
    seconds = [number / 25 for number in range(50)]
    wave = [100 + (number % 7) for number in range(50)]
    curves = Curves(
        size=(WIDTH, HEIGHT), comparable=True, runs=False,
        number=list(range(50)), seconds=seconds,
        brightness=[[float(value) for value in wave], [103.0] * 50],
        sharpness=[[8.0] * 50, [9.0] * 50], psnr=[[], [30.0 + value / 50 for value in wave]],
        unsteadiness=[2.0, 0.0], flicker=[None, 1.5], warping=[1.0, 0.7],
    )  # fmt: skip
    group = Group(title="", clips=[clip(first), clip(second)], curves=curves)
    return comparison_page(f"{first} and {second}", viewer(first, second), [group])


RECORD = {
    "kind": "vrestore record", "schema": 1, "vrestore": "0.1.0", "written": "2026-01-01T00:00:00",
    "source": {"path": "in.mkv", "sha256": "0" * 64, "video": {"width": 320, "height": 180}},
    "output": {"path": "out.mkv", "sha256": "1" * 64, "bytes": 1, "width": 640, "height": 360},
    "part": {"start": None, "stop": None, "frames": None},
    "diagnosis": {
        "findings": [{"name": "flicker", "value": 3.4, "unit": "codes", "says": "it flickers",
                      "confidence": 0.97}],
        "suggestion": {"preset": "film-16mm", "reasons": ["one", "two", "three"]},
    },
    "plan": ["  preset   film-16mm"], "losses": ["subtitle stream #3: MP4 holds no ASS"],
    "settings": {"preset": "film-16mm", "description": "For film", "toml": "schema = 1\n",
                 "sha256": "2" * 64},
    "model": {"name": "lite", "sha256": "3" * 64, "license": "MIT", "manifest": "open",
              "purpose": "restores"},
    "result": {"frames_in": 4, "frames_out": 4, "shots": 2, "elapsed_seconds": 2.0, "fps": 2.0,
               "peak_rss_bytes": 10**9},
    "stages": [{"name": "decode", "busy_share": 0.1}],
    "shots": [
        {"first": first, "frames": 2, "stages": [
            {"stage": "deflicker", "values": {"flicker_codes_before": 3.0},
             "curves": {"luma_before": [100.0, 104.0], "luma_after": [102.0, 102.0]}},
            {"stage": "repair", "values": {"repaired_share": 0.02},
             "curves": {"repaired_share": [0.01, 0.03]}},
        ]}
        for first in (0, 2)
    ],
    "sightings": [], "metrics": None,
    "machine": {"system": "Linux", "python": "3.11", "device": "cpu", "libraries": {"torch": "2"}},
}  # fmt: skip


@pytest.fixture(params=["comparison", "record", "record without pictures"])
def any_page(request: pytest.FixtureRequest, saved: Callable[[str], Path]) -> Path:
    makers = {
        "comparison": comparison,
        "record": lambda: record_page(RECORD, masked()),
        "record without pictures": lambda: record_page(RECORD),
    }
    return saved(makers[request.param]())


# ------------------------------------------------------------------------------------- all pages


@pytest.mark.parametrize("width", [1280, 400])
def test_a_page_is_silent_complete_and_as_wide_as_its_window(browser, any_page, width):
    browser.open(any_page, width=width)
    assert browser.complaints() == []
    assert browser.js("return document.documentElement.scrollWidth") == width
    assert browser.js(
        """return [...document.images].filter((image) => image.src && !image.hidden &&
           !(image.complete && image.naturalWidth > 0)).length"""
    ) == 0  # fmt: skip
    assert browser.js(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
        ".filter((name) => !name.startsWith('data:'))"
    ) == []  # fmt: skip


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_can_be_read_on_its_ground(browser, any_page, dark):
    browser.open(any_page, dark=dark)
    low = browser.js(
        """const light = (colour) => {
          const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
            const value = part / 255;
            return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
          });
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const ground = (at) => {
          for (; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if (!/, 0\\)$/.test(colour)) return colour;
          }
          return "rgb(255, 255, 255)";
        };
        const low = [];
        for (const at of document.querySelectorAll("h1, h2, h3, p, td, th, dt, dd, button, figcaption *, .levels span, summary, label")) {
          if (!at.checkVisibility() || !at.textContent.trim()) continue;
          const pair = [light(getComputedStyle(at).color), light(ground(at))].sort((a, b) => b - a);
          const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
          if (contrast < 4.5) low.push(`${at.tagName} ${at.className} ${contrast.toFixed(2)}`);
        }
        return low;"""  # noqa: E501
    )
    assert low == []


def test_every_control_can_be_focused_and_has_a_name(browser, any_page):
    browser.open(any_page)
    nameless = browser.js(
        """return [...document.querySelectorAll("button, select, input, [tabindex='0']")].filter(
             (at) => at.checkVisibility()).filter((at) => {
               const name = at.getAttribute("aria-label") || at.textContent.trim()
                 || at.closest("label")?.textContent.trim() || at.getAttribute("title");
               return !name && at.tagName !== "PRE";
             }).map((at) => at.outerHTML.slice(0, 80))"""
    )
    assert nameless == []


def test_a_hostile_name_is_shown_and_not_run(browser, saved):
    browser.open(saved(comparison(HOSTILE, HOSTILE)))
    assert browser.complaints() == []
    assert browser.js("return window.broken") is None
    assert browser.js("return document.title") == f"{HOSTILE} and {HOSTILE}"
    assert browser.js("return document.querySelector('#left option').textContent") == HOSTILE
    assert browser.js("return document.querySelector('.tag.left').textContent") == HOSTILE


# -------------------------------------------------------------------------------------- the viewer


@pytest.fixture
def compared(browser, saved):
    browser.open(saved(comparison()))
    return browser


def colour_at(browser, share: float) -> tuple[int, int, int]:
    """The colour on the screen, this far from the left of the pictures, below their labels."""
    browser.js("document.querySelector('.stage').scrollIntoView({block: 'nearest'})")
    box = browser.box(".stage")
    x, y = int(box["x"] + share * box["width"]), int(box["y"] + 0.75 * box["height"])
    red, green, blue = (int(value) for value in browser.screen()[y, x])
    return red, green, blue


def test_the_divider_shows_one_version_on_each_side_and_follows_the_keyboard(compared):
    assert colour_at(compared, 0.3) == pytest.approx(RED, abs=2)
    assert colour_at(compared, 0.7) == pytest.approx(BLUE, abs=2)
    for key, value in (("Home", 0), ("PageUp", 10), ("ArrowRight", 11), ("ArrowLeft", 10)):
        compared.press(".handle", key)
        now = compared.js("return document.querySelector('.handle').getAttribute('aria-valuenow')")
        assert now == str(value)
    assert colour_at(compared, 0.3) == pytest.approx(BLUE, abs=2)
    assert colour_at(compared, 0.05) == pytest.approx(RED, abs=2)


def test_the_divider_follows_the_pointer(compared):
    from selenium.webdriver import ActionChains

    handle = compared.driver.find_element("css selector", ".handle")
    compared.js("arguments[0].scrollIntoView({block: 'center'})", handle)
    way = int(0.3 * compared.box(".stage")["width"])
    ActionChains(compared.driver, 50).click_and_hold(handle).move_by_offset(
        way, 0
    ).release().perform()
    assert int(handle.get_attribute("aria-valuenow")) == pytest.approx(80, abs=1)
    compared.settle()
    assert colour_at(compared, 0.7) == pytest.approx(RED, abs=2)


def test_swap_side_by_side_and_flip_show_what_they_say(compared):
    compared.click("#swap")
    assert colour_at(compared, 0.3) == pytest.approx(BLUE, abs=2)
    compared.click("[data-set-mode=side]")
    assert colour_at(compared, 0.25) == pytest.approx(BLUE, abs=2)
    assert colour_at(compared, 0.75) == pytest.approx(RED, abs=2)
    compared.click("[data-set-mode=flip]")
    assert {colour_at(compared, 0.3), colour_at(compared, 0.7)} == {colour_at(compared, 0.5)}
    before = colour_at(compared, 0.5)
    compared.press("body", "f")
    assert colour_at(compared, 0.5) == pytest.approx(before[::-1], abs=2)


def test_the_difference_is_amplified_as_it_says_and_black_where_versions_are_equal(compared):
    compared.click(".strip li:nth-child(2) button")
    compared.click("[data-set-mode=difference]")
    assert colour_at(compared, 0.5) == pytest.approx((32, 32, 32), abs=1)
    compared.js(
        """const gain = document.querySelector("#gain"); gain.value = 5;
           gain.dispatchEvent(new Event("input"));"""
    )
    compared.settle()
    assert colour_at(compared, 0.5) == pytest.approx((128, 128, 128), abs=2)
    compared.js(
        """const left = document.querySelector("#left"); left.value = "1";
           left.dispatchEvent(new Event("change"));"""
    )
    compared.settle()
    assert not compared.screen()[int(compared.box(".stage")["y"]) + 60 :][:200, 100:1100].any()


def test_both_versions_are_enlarged_and_moved_together(compared):
    compared.click("[data-set-mode=side]")
    compared.click("[data-zoom='4']")
    places = """return ["left", "right"].map((side) => {
        const {left, top, width} = document.querySelector(`.pane.${side} .sheet`).style;
        return [left, top, width].join(" ");
    })"""
    first = compared.js(places)
    assert first[0] == first[1] and first[0].endswith(f"{4 * WIDTH}px")
    compared.press(".stage", "ArrowRight")
    compared.press(".stage", "ArrowDown")
    second = compared.js(places)
    assert second[0] == second[1] != first[0]
    compared.press("body", "0")
    assert compared.js(places)[0] != second[0]


def test_at_100_percent_a_sample_is_a_pixel(compared):
    compared.click("[data-zoom='1']")
    box = compared.box(".pane.left .sheet")
    assert (box["width"], box["height"]) == (WIDTH, HEIGHT)


def test_moments_are_chosen_by_click_by_key_and_from_a_curve(compared):
    current = (
        "return [...document.querySelectorAll('.strip button')].findIndex("
        "(button) => button.getAttribute('aria-current') === 'true')"
    )
    assert compared.js(current) == 0
    compared.press("body", ".")
    assert compared.js(current) == 1
    compared.click(".strip li:first-child button")
    assert compared.js(current) == 0
    compared.js("document.dispatchEvent(new CustomEvent('instant', {detail: 1.1}))")
    assert compared.js(current) == 1
    assert "PSNR 30.00 dB" in compared.js("return document.querySelector('.status').textContent")


def test_a_mask_is_laid_over_where_the_damage_was(browser, saved):
    browser.open(saved(record_page(RECORD, masked())))
    # The moment with a mask is shown first.
    assert colour_at(browser, 0.1) == pytest.approx(RED, abs=2)
    browser.click("#mask")
    red, green, blue = colour_at(browser, 0.1)
    assert red > 220 and green < 60 and blue > 120
    assert colour_at(browser, 0.4) == pytest.approx(RED, abs=2)


def test_values_are_read_off_a_curve_with_the_keyboard(compared):
    compared.press(".plot", "ArrowRight")
    compared.press(".plot", "ArrowRight")
    readout = compared.js("return document.querySelector('.plot .readout').textContent")
    assert readout.split() == ["0:00.04", "32.02"]
