"""A clip to measure with: moving, noisy pictures of any size, as a camera's file would be."""

from __future__ import annotations

import os
from fractions import Fraction

import av

__all__ = ["write_test_clip"]

_RATE = 25


def write_test_clip(path: str | os.PathLike[str], width: int, height: int, frames: int) -> None:
    """Writes `frames` pictures at 25 fps as 8-bit 4:2:0 H.264 (what `path` ends in, .mkv say).

    The content is FFmpeg's `testsrc2` with temporal noise of +-6 code values: everything moves, and
    nothing compresses away.  Width and height must be even.
    """
    source = f"testsrc2=size={width}x{height}:rate={_RATE},noise=alls=6:allf=t,format=yuv420p"
    with av.open(source, format="lavfi") as made, av.open(os.fspath(path), "w") as output:
        stream = output.add_stream(
            "libx264", rate=_RATE, options={"preset": "ultrafast", "crf": "20"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, frame in enumerate(made.decode(video=0)):
            if number == frames:
                break
            frame.pts, frame.time_base = number, Fraction(1, _RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
