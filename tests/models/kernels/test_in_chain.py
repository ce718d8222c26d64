"""A whole run of code values through the kernels, as a plan for a device has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import vrestore
from vrestore.devicepath import DevicePath, Link
from vrestore.io.decode import Decoder
from vrestore.planning import Plan
from vrestore.wiring import restore_frames

ON, OFF = Link(on_device=True, how=""), Link(on_device=False, how="")
KERNELS = DevicePath(decode=OFF, network=ON, encode=OFF, codes=True)
"""What `choose_path` says on CUDA, here for a processor that interprets the kernels."""


def clip(path: Path) -> Path:
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for t in range(3):
            codes = rng.integers(16, 235, (36, 32), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(codes, format="yuv420p")
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def restored(source: Path, plan: Plan) -> list[vrestore.Frame]:
    with Decoder(str(source)) as frames:
        return list(restore_frames(frames, plan))


@pytest.mark.usefixtures("interpreted")
def test_a_plan_with_kernels_gives_the_same_film_within_one_code_value(tmp_path: Path):
    source = clip(tmp_path / "a.mkv")
    plan = vrestore.plan(
        str(source), str(tmp_path / "b.mkv"), preset="plain",
        overrides={
            "restore.model": "lite", "restore.precision": "fp32", "size.scale": 2,
            "encode.encoder": "libx264", "run.segment_seconds": 0, "run.device": "cpu",
        },
    )  # fmt: skip
    eager = restored(source, plan)
    made = restored(source, replace(plan, path_on_device=KERNELS))
    assert [f.timestamp for f in made] == [f.timestamp for f in eager]
    for mine, theirs in zip(made, eager, strict=True):
        assert (mine.format, mine.coding, mine.color) == (
            theirs.format, theirs.coding, theirs.color)  # fmt: skip
        for one, other in zip(mine.planes, theirs.planes, strict=True):
            assert one.shape == other.shape and one.dtype == other.dtype
            assert int((one.to(torch.int32) - other.to(torch.int32)).abs().max()) <= 1
