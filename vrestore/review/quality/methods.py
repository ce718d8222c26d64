"""What is compared: interpolation, classical filters and the models, all from case to luma."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import ffmpeg
import torch
from torch import Tensor

from vrestore.media import (
    ChromaLocation,
    Coding,
    ColorModel,
    ColorSpec,
    Frame,
    Matrix,
    SampleFormat,
    Timestamp,
)
from vrestore.models.registry import ModelSpec
from vrestore.models.restorer import RestoreConfig, build
from vrestore.ops.resample import Kernel
from vrestore.review.quality.cases import Case, resized

__all__ = [
    "FILTERS",
    "Chain",
    "Method",
    "classical",
    "external_ffmpeg",
    "interpolation",
    "median_of_three",
    "network",
]


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


@dataclass(frozen=True, slots=True)
class Method:
    """Makes luma (T, H, W) of a case, in rounded 8-bit code values."""

    name: str
    restore: Callable[[Case], Tensor]

    def __call__(self, case: Case) -> Tensor:
        result = self.restore(case).round().clamp(0, 255)
        assert result.shape == case.truth.shape, f"{self.name} changed the size"
        return result


def _magnified(case: Case, luma: Tensor, kernel: Kernel) -> Tensor:
    """Every frame at the size of the truth."""
    height, width = case.truth.shape[-2:]
    return torch.stack([resized(plane, height, width, kernel) for plane in luma])


def interpolation(name: str, kernel: Kernel) -> Method:
    """Nothing but magnification; at x1 nothing at all."""
    return Method(name, lambda case: _magnified(case, case.luma, kernel))


def _median(case: Case) -> Tensor:
    padded = torch.cat((case.luma[:1], case.luma, case.luma[-1:]))
    middle = torch.stack((padded[:-2], padded[1:-1], padded[2:])).median(0).values
    return _magnified(case, middle, Kernel.LANCZOS3)


def median_of_three() -> Method:
    """Each sample the median of the frame before, its own and the next, without any alignment."""
    return Method("median of 3 frames, unaligned", _median)


# ------------------------------------------------------------------------------------- models


def network(spec: ModelSpec, *, one_by_one: bool = False) -> Method:
    """A model as the pipeline runs it, at the strength of the case.

    With `one_by_one` every frame is a shot of its own: no neighbours and no memory.  These are the
    same weights, not a network that was trained for stills.
    """
    name = f"{spec.name}, one frame at a time" if one_by_one else spec.name
    return Method(name, lambda case: _restored(case, spec, one_by_one))


def _restored(case: Case, spec: ModelSpec, one_by_one: bool) -> Tensor:
    head = spec.head_for(case.scale)
    restorer = build(spec, head, RestoreConfig(strength=case.strength))
    planes = [
        frame.planes[0]
        for item in _frames(case, one_by_one)
        for frame in restorer.push(item)
    ]  # fmt: skip
    planes += [frame.planes[0] for frame in restorer.flush()]
    luma = 16 + 219 * torch.stack(planes)
    return luma if head == case.scale else _magnified(case, luma, Kernel.LANCZOS3)


def _frames(case: Case, one_by_one: bool) -> Iterator[Frame]:
    subsampled = int(case.chroma.shape[-1] < case.luma.shape[-1])
    layout = SampleFormat(
        model=ColorModel.YCBCR, depth=8, log2_chroma_w=subsampled, log2_chroma_h=subsampled
    )
    color = ColorSpec(matrix=Matrix.SMPTE170M, chroma_location=ChromaLocation.LEFT)
    for t, (luma, chroma) in enumerate(zip(case.luma, case.chroma, strict=True)):
        yield Frame(
            planes=((luma - 16) / 219, *((chroma - 128) / 224 + 0.5)),
            format=layout,
            coding=Coding.UNIT,
            color=color,
            timestamp=Timestamp(pts=t, time_base=Fraction(1, 25)),
            duration=1,
            index=t,
            shot_start=one_by_one or t == 0,
        )


# ------------------------------------------------------------------------------------- FFmpeg


def external_ffmpeg() -> str | None:
    """The command-line ffmpeg: that on PATH, else that of imageio-ffmpeg, else None."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


def classical(name: str, program: str) -> Method:
    """One of FILTERS and then Lanczos, by that ffmpeg, on 8-bit luma."""
    return Method(f"FFmpeg: {name}, lanczos", lambda case: _filtered(case, name, program))


def _filtered(case: Case, name: str, program: str) -> Tensor:
    count, height, width = case.luma.shape
    out_height, out_width = case.truth.shape[-2:]
    chain = FILTERS[name]
    stream = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="gray", s=f"{width}x{height}", r=25)
    for filter_name, options in chain.filters:
        stream = stream.filter(filter_name, **options)
    if case.scale > 1:
        stream = stream.filter("scale", out_width, out_height, flags="lanczos+accurate_rnd")
    command = stream.output("pipe:", format="rawvideo", pix_fmt="gray").compile(cmd=program)
    luma = case.luma
    luma = torch.cat((luma[:1],) * chain.lost + (luma,) + (luma[-1:],) * chain.lost)
    data = luma.round().clamp(0, 255).byte().contiguous().numpy().tobytes()
    made = subprocess.run(command, input=data, capture_output=True, check=True).stdout
    frames = torch.frombuffer(bytearray(made), dtype=torch.uint8)
    return frames.view(count, out_height, out_width).float()
