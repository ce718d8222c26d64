"""What every test gets: the sample, the shared media where they are, and hygiene.

A test fails if it leaves a thread behind or if something logged an error; warnings are errors
through pyproject.toml, so unclosed files are too.  Tests that need hardware carry a marker, and
only here is decided whether the hardware is there.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Slow machines are no defect; the same examples every time where nobody looks at a surprise.
settings.register_profile(
    "vrestore",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("vrestore")

# A shell that starts the tests in the background lets them, and all their children, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
THREAD_GRACE_SECONDS = 2.0


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def sample() -> Path:
    """The clip that ships with the repository; its facts are in sample_media/manifest.toml."""
    return ROOT / "sample_media" / "bunny.mkv"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Media that may not enter the repository, in `shared/` beside the checkout."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no shared/ beside the checkout")
    return folder


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    """Fails a test that leaves threads running.

    Threads of native libraries are not Python's and not seen here.
    """
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + THREAD_GRACE_SECONDS
    while (left := _new_threads(before)) and time.monotonic() < deadline:
        left[0].join(timeout=deadline - time.monotonic())
    assert not left, f"threads left running: {', '.join(thread.name for thread in left)}"


def _new_threads(before: set[threading.Thread]) -> list[threading.Thread]:
    # pytest-timeout's watchdog is started after this fixture and ended after it.
    return [
        thread
        for thread in threading.enumerate()
        if thread not in before and thread.is_alive() and not isinstance(thread, threading.Timer)
    ]


@pytest.fixture(autouse=True)
def _no_logged_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fails a test during which anything logged an error that it did not expect.

    A test that provokes one calls `caplog.clear()` after having looked at it.
    """
    yield
    errors = [
        record.getMessage()
        for when in ("setup", "call")
        for record in caplog.get_records(when)
        if record.levelno >= logging.ERROR
    ]
    assert not errors, f"logged: {errors}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what this machine cannot run."""
    for item in items:
        if "cuda" in item.keywords and not _has_cuda():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
        if "nvenc" in item.keywords and not _has_nvenc():
            item.add_marker(pytest.mark.skip(reason="no NVIDIA encoder that opens"))


@cache
def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@cache
def _has_nvenc() -> bool:
    """Whether an encoder really opens; being compiled in proves nothing."""
    import av
    import numpy

    if not _has_cuda():
        return False
    try:
        context = av.CodecContext.create("hevc_nvenc", "w")
        context.width, context.height, context.pix_fmt = 256, 256, "yuv420p"
        picture = av.VideoFrame.from_ndarray(numpy.zeros((384, 256), "uint8"), format="yuv420p")
        context.encode(picture)
    except (av.FFmpegError, ValueError):
        return False
    return True
