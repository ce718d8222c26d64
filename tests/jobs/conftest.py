"""A clip of several segments, and runs of it that are cut short."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import vrestore

SETTINGS = {
    "restore.model": "resize",
    "encode.encoder": "libx264",
    "encode.speed": "ultrafast",
    "run.threads": 1,
    "run.segment_seconds": 0.5,
}
"""The clip's shots of 0.4, 1.2 and 0.4 s are 5 segments then, of which two begin in a shot."""

SEGMENTS = 5


class Injected(Exception):
    """The end of a run, as if the process had ended."""


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shots of noise that moves, with sound."""
    path = tmp_path_factory.mktemp("jobs") / "clip.mkv"
    noise = np.random.default_rng(3)
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for count in (10, 30, 10):
            texture = noise.integers(40, 200, (96, 256), np.uint8)
            for t in range(count):
                picture = np.concatenate([texture[:64, t : t + 96], np.full((32, 96), 128)])
                frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="yuv420p")
                container.mux(video.encode(frame))
        piece = av.AudioFrame.from_ndarray(
            noise.integers(-900, 900, (1, 16000)).astype("i2"), format="s16", layout="mono"
        )
        piece.sample_rate, piece.pts = 8000, 0
        container.mux(sound.encode(piece))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return path


Run = Callable[..., vrestore.Report]


@pytest.fixture
def run(clip: Path) -> Run:
    """Runs the clip through, with further settings and arguments."""

    def made(output: Path, settings: dict[str, Any] | None = None, **more: Any) -> vrestore.Report:
        return vrestore.restore(
            str(more.pop("source", clip)),
            str(output),
            preset="plain",
            overrides=SETTINGS | (settings or {}),
            **more,
        )

    return made


@pytest.fixture
def interrupted(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs the clip until the encoder has given a number of packets, and no further."""
    from vrestore.jobs import keeping

    def made(output: Path, packets: int, **more: Any) -> None:
        working, count = keeping.KeepSegments.write, iter(range(10_000))

        def failing(self: keeping.KeepSegments, item: object) -> None:
            if next(count) == packets:
                raise Injected
            working(self, item)

        with monkeypatch.context() as patch:
            patch.setattr(keeping.KeepSegments, "write", failing)
            with pytest.raises(Injected):
                run(output, **more)

    return made
