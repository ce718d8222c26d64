"""What only a GPU can show: the same film as on the processor, the kernels, hardware at both ends.

`make test-gpu` runs these where there is one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

import vrestore

SETTINGS = {
    "restore.model": "lite", "size.scale": 2, "cuts.detect": False, "input.frames": "0:12",
    "run.segment_seconds": 0, "run.experimental": True,
}  # fmt: skip


def restored(source: Path, output: Path, **settings: object) -> np.ndarray:
    overrides = SETTINGS | {key.replace("__", "."): value for key, value in settings.items()}
    report = vrestore.restore(
        str(source), str(output), preset="plain", overrides=overrides, overwrite=True
    )
    assert report.facts["accounted"]
    with av.open(str(output)) as container:
        frames = [f.to_ndarray(format="yuv420p10le") for f in container.decode(video=0)]
    return np.stack(frames).astype(np.float64)


def decibels(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(max(1e-12, np.mean(((one - other) / 1023) ** 2))))


@pytest.fixture
def h264(sample: Path, tmp_path: Path) -> Path:
    """The sample in a form that a hardware decoder reads."""
    path = tmp_path / "source.mp4"
    with av.open(str(sample)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height = source.streams.video[0].width, source.streams.video[0].height
        stream.pix_fmt = "yuv420p"
        for t, frame in enumerate(source.decode(video=0)):
            if t == 12:
                break
            frame = frame.reformat(format="yuv420p")
            frame.pts = t
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path


@pytest.mark.cuda
@pytest.mark.parametrize("experimental", [False, True])
def test_a_gpu_makes_the_film_that_the_processor_makes(
    h264: Path, tmp_path: Path, experimental: bool
) -> None:
    common = {"encode__encoder": "ffv1", "encode__pixel_format": "yuv420p10le"}
    wanted = restored(h264, tmp_path / "cpu.mkv", run__device="cpu", **common)
    made = restored(
        h264, tmp_path / "gpu.mkv", run__device="cuda:0", run__experimental=experimental, **common
    )
    assert made.shape == wanted.shape
    assert decibels(made, wanted) >= 50


@pytest.mark.cuda
def test_a_gpu_makes_the_same_bits_twice(h264: Path, tmp_path: Path) -> None:
    common = {"encode__encoder": "ffv1", "run__device": "cuda:0"}
    one, other = (restored(h264, tmp_path / f"{n}.mkv", **common) for n in range(2))
    assert np.array_equal(one, other)


@pytest.mark.cuda
def test_the_kernels_on_the_device_are_within_one_code_value(root: Path) -> None:
    plain = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    run = subprocess.run(
        [sys.executable, "docs/tables/gpu.py", "--only", "equality,repeat,memory"],
        cwd=root, env=plain | {"PYTHONPATH": str(root)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    rows = [line.split("|") for line in run.stdout.splitlines() if " to " in line and "|" in line]
    # Where a flow ends half way between two samples, the last bit decides which bounds the result.
    assert rows and all(float(row[4].strip(" %")) < 0.001 for row in rows)
    assert "OTHER BITS" not in run.stdout and "IN ANOTHER ORDER" not in run.stdout


@pytest.mark.nvenc
@pytest.mark.parametrize("encoder", ["hevc_nvenc", "h264_nvenc"])
def test_pictures_stay_on_the_device_from_decoder_to_encoder(
    h264: Path, tmp_path: Path, encoder: str
) -> None:
    settings = {
        "run.device": "cuda:0", "encode.encoder": encoder,
        "encode.pixel_format": "yuv420p", "encode.quality": 4,
    }  # fmt: skip
    plan = vrestore.plan(
        str(h264), str(tmp_path / "a.mkv"), preset="plain", overrides=SETTINGS | settings
    )
    assert plan.path_on_device is not None
    assert all(link.on_device for _, link in plan.path_on_device), str(plan)
    wanted = restored(h264, tmp_path / "b.mkv", run__device="cpu", encode__encoder="ffv1")
    made = restored(
        h264, tmp_path / "a.mkv", **{k.replace(".", "__"): v for k, v in settings.items()}
    )
    assert decibels(made, wanted) >= 35
