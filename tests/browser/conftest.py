"""A real Chromium that opens pages from the disk; the tests are skipped where there is none."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")


class Browser:
    """One window, opened on one page after the other."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Shows a page in a window of this size, in CSS pixels, and waits for its pictures."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        self.driver.get(page.as_uri())
        self.settle()

    def settle(self) -> None:
        """Waits until every picture is decoded and drawn."""
        self.driver.execute_async_script(
            """const done = arguments[0];
            const shown = [...document.images].filter((image) => image.src && !image.hidden);
            Promise.allSettled(shown.map((image) => image.decode())).then(
                () => requestAnimationFrame(() => requestAnimationFrame(() => done())));"""
        )

    def js(self, script: str, *arguments: object) -> Any:
        """The result of a function body."""
        return self.driver.execute_script(script, *arguments)

    def click(self, selector: str) -> None:
        self.js("document.querySelector(arguments[0]).click()", selector)
        self.settle()

    def press(self, selector: str, key: str) -> None:
        """One key, as a keyboard event to an element that is focused first."""
        self.js(
            """const at = document.querySelector(arguments[0]);
            at.focus();
            at.dispatchEvent(new KeyboardEvent("keydown", {key: arguments[1], bubbles: true,
                cancelable: true}));""",
            selector,
            key,
        )
        self.settle()

    def screen(self) -> np.ndarray:
        """What is on the screen, (H, W, 3)."""
        return np.asarray(
            Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
        )

    def box(self, selector: str) -> dict[str, float]:
        """Place and size of an element in the window."""
        box: dict[str, float] = self.js(
            """const box = document.querySelector(arguments[0]).getBoundingClientRect();
            return {x: box.x, y: box.y, width: box.width, height: box.height};""",
            selector,
        )
        return box

    def complaints(self) -> list[str]:
        """What the console has said since the last call, warnings included."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="session")
def _driver() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("--headless=new", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"):
        options.add_argument(word)
    if os.geteuid() == 0:
        # Chromium's sandbox refuses root, which is who tests run as in a container.
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    opened.set_script_timeout(60)
    yield opened
    opened.quit()


@pytest.fixture
def browser(_driver: Any) -> Browser:
    """The browser with an empty console."""
    _driver.get_log("browser")
    return Browser(_driver)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a page to the disk."""

    def save(text: str) -> Path:
        path = tmp_path / "page.html"
        path.write_text(text, encoding="utf-8")
        return path

    return save
