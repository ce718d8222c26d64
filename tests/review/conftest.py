"""Small films with known contents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest


@pytest.fixture
def film(tmp_path: Path) -> Callable[..., str]:
    """`film(name, lumas)`: lossless 4:2:0 with the given luma planes; returns its path.

    `pts` are in units of `tick` seconds, by default 25 frames a second.
    """

    def write(
        name: str,
        lumas: Sequence[np.ndarray],
        *,
        pts: Sequence[int] | None = None,
        tick: Fraction = Fraction(1, 25),
        chroma: tuple[int, int] = (128, 128),
        colorspace: int = 1,
    ) -> str:
        path = tmp_path / name
        height, width = lumas[0].shape
        with av.open(str(path), "w") as output:
            stream = output.add_stream("ffv1", rate=round(1 / tick))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.time_base = stream.time_base = tick
            stream.codec_context.color_range = 1
            stream.codec_context.colorspace = colorspace
            stream.codec_context.color_primaries = stream.codec_context.color_trc = 1
            for number, luma in enumerate(lumas):
                quarter = (-(-height // 2), -(-width // 2))
                frame = av.VideoFrame(width, height, "yuv420p")
                planes = (luma, *(np.full(quarter, code, np.uint8) for code in chroma))
                for plane, values in zip(frame.planes, planes, strict=True):
                    rows = np.zeros((plane.height, plane.line_size), np.uint8)
                    rows[:, : values.shape[1]] = values
                    plane.update(rows.tobytes())
                frame.pts = number if pts is None else pts[number]
                frame.time_base = tick
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return str(path)

    return write
