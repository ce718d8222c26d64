"""Pictures with known faults for the tests of the diagnosis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from vrestore.media import (
    ChromaLocation,
    Coding,
    ColorModel,
    ColorSpec,
    Frame,
    Matrix,
    Range,
    SampleFormat,
    Timestamp,
)

FORMAT = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)
COLOR = ColorSpec(matrix=Matrix.BT709, range=Range.LIMITED, chroma_location=ChromaLocation.LEFT)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Planes here are small, and waking a second thread on a busy machine takes milliseconds."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _texture(height: int, width: int, seed: int) -> torch.Tensor:
    """A picture with the spectrum of nature, amplitude 1/f, of mean 0.45 and within 0.05..0.95."""
    noise = torch.randn(height, width, generator=torch.Generator().manual_seed(seed))
    down, across = torch.fft.fftfreq(height), torch.fft.rfftfreq(width)
    frequency = (down[:, None] ** 2 + across**2).sqrt().clamp(min=2 / width)
    plane = torch.fft.irfft2(torch.fft.rfft2(noise) / frequency, s=(height, width))
    return (0.45 + 0.13 * plane / plane.std()).clamp(0.05, 0.95)


@pytest.fixture(scope="session")
def texture() -> Callable[[int, int, int], torch.Tensor]:
    """texture(height, width, seed)."""
    return _texture


def _frames(
    lumas: list[torch.Tensor], chroma: tuple[float, float] = (0.5, 0.5), first: int = 0
) -> list[Frame]:
    """UNIT frames of these lumas with plain chroma that varies a little, the first a shot's."""
    frames = []
    for number, luma in enumerate(lumas, start=first):
        height, width = luma.shape
        ramp = 0.1 * (torch.linspace(0, 1, width // 2).expand(height // 2, -1) - 0.5)
        planes = (luma, ramp + chroma[0], chroma[1] - ramp)
        frames.append(
            Frame(
                planes=planes,
                format=FORMAT,
                coding=Coding.UNIT,
                color=COLOR,
                timestamp=Timestamp(pts=number, time_base=Fraction(1, 25)),
                duration=1,
                index=number,
                shot_start=number == first,
            )
        )
    return frames


@pytest.fixture(scope="session")
def unit_frames() -> Callable[..., list[Frame]]:
    """unit_frames(lumas, chroma=(cb, cr), first=0)."""
    return _frames


def _coded(frames: list[Frame]) -> list[Frame]:
    """The same frames as 8-bit code values of limited range."""
    gains = (219.0, 224.0, 224.0)
    zeros = (16.0, 16.0, 16.0)
    return [
        replace(
            frame,
            coding=Coding.CODE,
            planes=tuple(
                (plane * gain + zero).round().clamp(0, 255).byte()
                for plane, gain, zero in zip(frame.planes, gains, zeros, strict=True)
            ),
        )
        for frame in frames
    ]


@pytest.fixture(scope="session")
def code_frames() -> Callable[[list[Frame]], list[Frame]]:
    """code_frames(unit frames)."""
    return _coded
