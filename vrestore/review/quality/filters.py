"""The command-line ffmpeg: its classical filters as methods, and the VMAF that it may have."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg
import torch
from torch import Tensor

from vrestore.review.quality.cases import Case
from vrestore.review.quality.methods import Made, Method

__all__ = ["FILTERS", "Chain", "classical", "external_ffmpeg", "vmaf", "vmaf_ffmpeg"]


@dataclass(frozen=True, slots=True)
class Chain:
    """Filters of FFmpeg with their options."""

    filters: tuple[tuple[str, dict[str, float]], ...]
    lost: int = 0
    """Frames that it swallows at either end; so many are repeated there."""


FILTERS = {
    "hqdn3d": Chain((("hqdn3d", {}),)),
    "nlmeans": Chain((("nlmeans", {"s": 3.0, "p": 5, "r": 9}),)),
    "tmedian, hqdn3d": Chain((("tmedian", {"radius": 1}), ("hqdn3d", {})), lost=1),
}
"""What denoises before FFmpeg's Lanczos scaler, each with its usual settings."""


def _programs() -> Iterator[str]:
    if found := shutil.which("ffmpeg"):
        yield found
    try:
        import imageio_ffmpeg

        yield str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return


def external_ffmpeg() -> str | None:
    """The command-line ffmpeg: that on PATH, else that of imageio-ffmpeg, else None."""
    return next(_programs(), None)


def vmaf_ffmpeg() -> str | None:
    """The first of these that was built with libvmaf, else None."""
    return next(filter(_has_vmaf, _programs()), None)


def classical(name: str, program: str) -> Method:
    """One of FILTERS and then Lanczos, by that ffmpeg, on 8-bit planes."""
    return Method(f"FFmpeg: {name}, lanczos", lambda case: _filtered(case, name, program))


def _filtered(case: Case, name: str, program: str) -> Made:
    height, width = case.truth.shape[-2:]
    chain, layout = FILTERS[name], "yuv420p" if case.subsampled else "yuv444p"
    stream = _raw("pipe:", case.luma, layout)
    for filter_name, options in chain.filters:
        stream = stream.filter(filter_name, **options)
    if case.scale > 1:
        stream = stream.filter("scale", width, height, flags="lanczos+accurate_rnd")
    command = stream.output("pipe:", format="rawvideo", pix_fmt=layout).compile(cmd=program)
    luma, chroma = (
        torch.cat((clip[:1],) * chain.lost + (clip,) + (clip[-1:],) * chain.lost)
        for clip in (case.luma, case.chroma)
    )
    made = subprocess.run(command, input=_bytes(luma, chroma), capture_output=True, check=True)
    frames = torch.frombuffer(bytearray(made.stdout), dtype=torch.uint8).view(len(case.luma), -1)
    size = height * width
    return Made(
        frames[:, :size].reshape(case.truth.shape).float(),
        frames[:, size:].reshape(case.truth_chroma.shape).float(),
    )


def _raw(source: str, luma: Tensor, layout: str) -> Any:
    height, width = luma.shape[-2:]
    return ffmpeg.input(source, format="rawvideo", pix_fmt=layout, s=f"{width}x{height}", r=25)


def _bytes(luma: Tensor, chroma: Tensor) -> bytes:
    """Planes as raw video, frame by frame."""
    planes = torch.cat((luma.flatten(1), chroma.flatten(1)), 1)
    return planes.round().clamp(0, 255).byte().contiguous().numpy().tobytes()


# --------------------------------------------------------------------------------------- VMAF


def _has_vmaf(program: str) -> bool:
    listed = subprocess.run(
        (program, "-hide_banner", "-filters"), capture_output=True, text=True, check=True
    )
    return " libvmaf " in listed.stdout


def vmaf(made: Made, case: Case, program: str) -> float:
    """VMAF 0.6.1 of a clip against its truth, 0..100, by an ffmpeg that has libvmaf.

    The model was fitted to 1080p seen from three heights; of smaller pictures it says less.
    """
    layout = "yuv420p" if case.subsampled else "yuv444p"
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "vmaf.json"
        truth = Path(folder) / "truth.yuv"
        truth.write_bytes(_bytes(case.truth, case.truth_chroma))
        pair = (_raw("pipe:", case.truth, layout), _raw(str(truth), case.truth, layout))
        command = (
            ffmpeg.filter(pair, "libvmaf", log_path=str(log), log_fmt="json")
            .output("pipe:", format="null")
            .compile(cmd=program)
        )
        subprocess.run(command, input=_bytes(*made), capture_output=True, check=True)
        pooled = json.loads(log.read_text(encoding="utf-8"))["pooled_metrics"]
    return float(pooled["vmaf"]["mean"])
