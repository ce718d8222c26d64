"""Frames as a browser shows them: 8-bit sRGB, upright, in the right matrix, range and primaries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from vrestore.errors import PlanError
from vrestore.media import (
    ChromaLocation,
    Coding,
    ColorModel,
    ColorSpec,
    Frame,
    Matrix,
    Primaries,
    Range,
    SampleFormat,
    Transfer,
)
from vrestore.ops.color import ColorConfig, resolve
from vrestore.ops.convert import Convert
from vrestore.ops.levels import Normalise
from vrestore.ops.standards import Curve, curve, from_linear, rgb_to_xyz

__all__ = ["how_shown", "resolved", "shown", "upright"]

_RGB = SampleFormat(model=ColorModel.RGB, depth=8)

_REFERENCE_WHITE = 203.0
"""cd/m2 of a white sheet in HDR (ITU-R BT.2408)."""

_WHITE = 0.8
"""Light of the reference white on the screen, where 1 is all it has, before the roll-off."""

_KNEE = 0.6
"""Light on the screen from which highlights are rolled off."""

_HLG_PEAK = 1000.0
"""cd/m2 of the display that HLG is rendered for."""


def resolved(frame: Frame) -> Frame:
    """The frame with every colour tag known, by the rule that a run uses."""
    choice = resolve(frame.color, ColorConfig(), frame.format, frame.width, frame.height, None)
    return replace(frame, color=choice.working)


def upright(plane: torch.Tensor, rotation: int) -> torch.Tensor:
    """A plane turned clockwise by `rotation` degrees, a multiple of 90, as a player would."""
    return torch.rot90(plane, -(rotation // 90) % 4)


def how_shown(color: ColorSpec) -> str | None:
    """What a browser's picture is not, in a sentence; None where it is the film's colour."""
    if color.transfer in (Transfer.PQ, Transfer.HLG):
        name = "PQ" if color.transfer is Transfer.PQ else "HLG"
        return (
            f"HDR ({name}) is shown on an SDR scale: {_REFERENCE_WHITE:g} cd/m² is a little under "
            "white, highlights above it are rolled off"
        )
    if curve(color.transfer) is None:
        return f"transfer {color.transfer.name.lower()} is shown as it is stored, not as light"
    return None


def shown(frame: Frame, rotation: int = 0) -> NDArray[np.uint8]:
    """A frame of resolved code values as (H, W, 3) sRGB; alpha is left out.

    SDR keeps its code values as players do, brought to BT.709's primaries.  HDR is tone-mapped:
    see `how_shown`.
    """
    (unit,) = Normalise(frame.color).push(frame)
    try:
        rgb = _converted(unit)
    except PlanError:
        # A matrix or primaries without a conversion (ICtCp, YCgCo): better seen wrong than not.
        known = replace(frame.color, matrix=Matrix.BT709, primaries=Primaries.BT709)
        rgb = _converted(replace(unit, color=known))
    planes = [upright(plane, rotation) for plane in rgb]
    stacked = torch.stack([plane.clamp(0, 1).mul(255).round().byte() for plane in planes], dim=-1)
    result: NDArray[np.uint8] = stacked.cpu().numpy()
    return result


def _converted(unit: Frame) -> tuple[torch.Tensor, ...]:
    color = unit.color
    shape = curve(color.transfer)
    hdr = color.transfer in (Transfer.PQ, Transfer.HLG)
    kept = Transfer.SRGB if shape in (Curve.LINEAR, Curve.GAMMA28) else color.transfer
    target = ColorSpec(
        matrix=Matrix.RGB,
        primaries=color.primaries if shape is None else Primaries.BT709,
        transfer=kept,
        range=Range.FULL,
        chroma_location=ChromaLocation.UNSPECIFIED,
    )
    assert unit.coding is Coding.UNIT
    (frame,) = Convert(unit.format, color, to_form=_RGB, to_color=target).push(unit)
    return _tone_mapped(frame) if hdr else frame.planes[:3]


def _tone_mapped(frame: Frame) -> tuple[torch.Tensor, ...]:
    """PQ or HLG R'G'B' to sRGB: linear up to a knee, then an exponential roll-off.

    The curve is that of the largest component and one factor serves all three, which keeps hues.
    """
    signal = torch.stack(frame.planes[:3]).clamp(0, 1)
    if frame.color.transfer is Transfer.PQ:
        light = _pq_light(signal)
    else:
        light = _hlg_light(signal, frame.color.primaries)
    mix = torch.linalg.solve(rgb_to_xyz(Primaries.BT709), rgb_to_xyz(frame.color.primaries))
    screen = torch.einsum("ij,jhw->ihw", mix.float(), light * (_WHITE / _REFERENCE_WHITE))
    screen.clamp_min_(0)
    largest = screen.amax(0).clamp_min(1e-6)
    rolled = 1 - (1 - _KNEE) * torch.exp(-(largest - _KNEE) / (1 - _KNEE))
    mapped = torch.where(largest <= _KNEE, largest, rolled)
    return tuple(from_linear(screen * (mapped / largest), Curve.SRGB))


def _pq_light(signal: torch.Tensor) -> torch.Tensor:
    """cd/m2 of the PQ signal (SMPTE ST 2084, equations 4.1)."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = signal.pow(1 / m2)
    return 10000 * ((power - c1).clamp_min(0) / (c2 - c3 * power)).pow(1 / m1)


def _hlg_light(signal: torch.Tensor, primaries: Primaries) -> torch.Tensor:
    """cd/m2 of the HLG signal on a display of 1000 cd/m2 (ITU-R BT.2100, system gamma 1.2)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = torch.where(signal <= 0.5, signal.square() / 3, (((signal - c) / a).exp() + b) / 12)
    weights = rgb_to_xyz(primaries)[1].float()
    luminance = torch.einsum("j,jhw->hw", weights, scene).clamp_min(1e-6)
    return _HLG_PEAK * luminance.pow(0.2) * scene
