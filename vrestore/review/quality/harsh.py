"""Stills that a camera or a web page has treated badly: what users of waifu2x bring."""

from __future__ import annotations

import hashlib
import io
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vrestore.review.metrics import cropped, gmsd, psnr, ssim
from vrestore.review.quality.cases import Case, clean, from_rgb, rgb_of
from vrestore.review.quality.field import Participants
from vrestore.review.quality.folder import Media, Source
from vrestore.review.quality.tables import Finding, Table, difference, number

__all__ = ["CONDITIONS", "Condition", "harsh_stills", "worsened"]

SCALES = (2, 4)
EVERY = 10
"""Of B100, one picture in so many is taken."""

SIGMA = 15
QUALITY = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    name: str
    strength: float
    """What our models are told: what training told them for about this much."""

    worsen: Callable[[Tensor, str], Tensor]
    """Of R'G'B' (3, h, w) uint8 and the picture's name, the same size and type."""

    subsampled: bool = False
    """Whether its chroma is stored at half the size, which is how a decoder hands it on."""


def _jpeg(rgb: Tensor, name: str) -> Tensor:
    buffer = io.BytesIO()
    Image.fromarray(rgb.permute(1, 2, 0).contiguous().numpy()).save(
        buffer, "JPEG", quality=QUALITY
    )  # fmt: skip
    with Image.open(buffer) as stored:
        return torch.from_numpy(np.array(stored)).permute(2, 0, 1)


def _noise(rgb: Tensor, name: str) -> Tensor:
    digest = hashlib.sha256(name.encode()).digest()
    noise = np.random.default_rng(int.from_bytes(digest[:8], "big")).normal(0, SIGMA, rgb.shape)
    return (rgb + torch.from_numpy(noise)).round().clamp(0, 255).byte()


CONDITIONS = (
    Condition(name="clean", strength=0.0, worsen=lambda rgb, name: rgb),
    Condition(name=f"JPEG {QUALITY}", strength=0.65, worsen=_jpeg, subsampled=True),
    Condition(name=f"noise {SIGMA}", strength=0.8, worsen=_noise),
)


def worsened(source: Source, scale: int, condition: Condition) -> Case:
    """A still shrunk as papers do and then treated so; cut so that 4:2:0 fits."""
    _, height, width, _ = source.frames.shape
    step = 2 * scale
    frames = source.frames[:, : height // step * step, : width // step * step]
    case = clean(source.name, frames, scale)
    small = (255 * rgb_of(case.luma, case.chroma)[0]).round().byte()
    return from_rgb(
        source.name,
        condition.worsen(small, f"{source.name} x{scale}")[None],
        frames.permute(0, 3, 1, 2),
        scale,
        strength=condition.strength,
        subsampled=condition.subsampled,
    )


def harsh_stills(
    media: Media, field: Participants, conditions: Sequence[Condition] = CONDITIONS
) -> Finding:
    """Set5 and a part of B100, clean and worsened, at x2 and x4."""
    found = Finding()
    sets = {"Set5": media.stills("Set5"), "B100": media.stills("B100")[::EVERY]}
    rows: list[tuple[str, ...]] = []
    for scale in SCALES:
        for condition in conditions:
            cases = {
                name: [worsened(source, scale, condition) for source in sources]
                for name, sources in sets.items()
                if sources
            }
            if cases:
                rows += _rows(cases, field, scale, condition, found)
    found.tables.append(
        Table(
            title="Stills beside published networks: clean, JPEG and noise",
            columns=(
                "scale", "condition", "method",
                *(f"{name}, {what}" for name, some in sets.items() if some
                  for what in ("PSNR-Y", "SSIM-Y", "GMSD")),
                f"{field.first.name} minus this, dB",
            ),
            rows=tuple(rows),
            notes=(
                f"Set5 and every {EVERY}th picture of B100, shrunk by MATLAB's bicubic, then JPEG",
                f"of quality {QUALITY} (Pillow, 4:2:0) or white noise of sigma {SIGMA} in R'G'B';",
                "sides cut to multiples of twice the scale.",
                "Strength told to our models:",
                ", ".join(f"{c.name} {c.strength:g}" for c in conditions) + ".",
                "*Published* are others' weights as they published them: waifu2x was trained",
                "mostly on drawings, and is given the noise level that is nearest to the truth;",
                "animevideov3 and RealESRGAN x4plus were trained against a discriminator, which",
                "PSNR does not reward; x4plus magnifies by 4 alone. `large` is not trained.",
                "Differences over all pictures, with their 95 % interval.",
            ),
        )
    )  # fmt: skip
    return found


def _rows(
    cases: dict[str, list[Case]],
    field: Participants,
    scale: int,
    condition: Condition,
    found: Finding,
) -> list[tuple[str, ...]]:
    methods = [
        *field.plain(scale), *field.originals(scale),
        *(m for m in field.dear if scale in m.scales),
        *(c.method for c in field.contenders if not c.temporal), *field.models,
    ]  # fmt: skip
    cells: dict[str, list[str]] = {}
    values: dict[str, list[float]] = {}
    for method in methods:
        for some in cases.values():
            scores = []
            for case in some:
                made = cropped(method(case).luma, scale)[0]
                truth = cropped(case.truth, scale)[0]
                scores.append((psnr(made, truth), ssim(made, truth), gmsd(made, truth)))
            means = [statistics.fmean(column) for column in zip(*scores, strict=True)]
            cells.setdefault(method.name, []).extend(map(number, means, (2, 4, 4)))
            values.setdefault(method.name, []).extend(p for p, _, _ in scores)
    found.scores[f"stills, {condition.name} x{scale}"] = values
    own = values[field.first.name]
    return [
        (
            f"x{scale}", condition.name, name, *cells[name],
            "" if name == field.first.name else difference(own, values[name]),
        )
        for name in values
    ]  # fmt: skip
