"""The exported step, run by ONNX Runtime, against the same network in torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vrestore.errors import ModelError
from vrestore.media import ChromaLocation, ColorModel, ColorSpec, Frame, SampleFormat
from vrestore.models import registry
from vrestore.models.export import STATE, export, exported, first_state
from vrestore.models.nets.cell import Cell
from vrestore.models.registry import ModelSpec
from vrestore.models.temporal import TemporalRestorer

YUV420 = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)
SCALE = 2


def run(session: Any, frames: list[Frame]) -> list[tuple[np.ndarray, np.ndarray]]:
    """A shot as a user of the exported step would run it, at strength 0.6."""
    one, zero = np.ones((1, 1, 1, 1), "f4"), np.zeros((1, 1, 1, 1), "f4")
    names = [*STATE, "state_restored_luma"]
    state = [t.numpy() for t in first_state(frames[0].height, frames[0].width, SCALE)]
    made = []
    for t, frame in enumerate(frames):
        after = frames[min(t + 1, len(frames) - 1)]
        luma, chroma, *state = session.run(None, {
            "luma": planes(frame)[0], "chroma": planes(frame)[1],
            "next_luma": planes(after)[0], "next_chroma": planes(after)[1],
            "has_previous": one if t else zero, "has_next": one if after is not frame else zero,
            "strength": 0.6 * one, **dict(zip(names, state, strict=True)),
        })  # fmt: skip
        made.append((luma, chroma))
    return made


def planes(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    luma, *chroma = frame.planes
    return luma[None, None].numpy(), torch.stack(chroma)[None].numpy()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_exported_step_gives_what_torch_gives_at_other_sizes_too(
    make_cell: Callable[..., Cell], make_frames: Callable[..., list[Frame]]
):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    cell = make_cell()
    data = exported(cell, SCALE)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    left = ColorSpec(chroma_location=ChromaLocation.LEFT)
    spec = ModelSpec(
        name="lively", arch="cell", license="MIT", purpose="a net for tests", scales=(1, 2, 4),
        min_size=16, multiple_of=2,
    )  # fmt: skip
    # Below 384 less far is searched for a motion of the whole, above 538 the regions grow.
    for width, height in ((16, 24), (96, 50), (626, 602)):
        frames = [_colored(f, left) for f in make_frames(3, width, height, YUV420, speed=3)]
        frames[1] = _flashed(frames[1])
        op = TemporalRestorer(
            spec, cell, SCALE, strength=0.6, tile=0, dtype=torch.float32, device=torch.device("cpu")
        )
        wanted = [out for frame in frames for out in op.push(frame)] + list(op.flush())
        for (luma, chroma), frame in zip(run(session, frames), wanted, strict=True):
            assert far(luma[0, 0], frame.planes[0]) < 1e-3
            assert far(chroma[0], torch.stack(frame.planes[1:])) < 1e-3


def _flashed(frame: Frame) -> Frame:
    """Lighter in a third of the picture, in this frame alone: dust, or a flash?"""
    luma = frame.planes[0].clone()
    luma[: luma.shape[0] // 2, : 2 * luma.shape[1] // 3] += 0.3
    return replace(frame, planes=(luma, *frame.planes[1:]))


def _colored(frame: Frame, color: ColorSpec) -> Frame:
    return replace(frame, color=color)


def far(found: np.ndarray, wanted: Tensor) -> float:
    return float((torch.from_numpy(found) - wanted).abs().max())


def test_only_networks_of_ours_are_exported(tmp_path):
    with pytest.raises(ModelError, match="only networks of ours"):
        export(registry.find("resize"), 2, tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="no x3"):
        export(registry.find("lite"), 3, tmp_path / "a.onnx")
