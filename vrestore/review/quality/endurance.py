"""Long shots: a memory that goes bad, or a precision that does not hold, shows after minutes."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice

import torch
from torch import Tensor

from vrestore.media import (
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
from vrestore.review.metrics import cropped, psnr
from vrestore.review.quality.field import Participants
from vrestore.review.quality.folder import Media, Source, middle
from vrestore.review.quality.networks import cell_of, streamed
from vrestore.review.quality.tables import Finding, Goal, Table, number
from vrestore.train.gate import ALLOWED_DECIBELS, FRAMES, roll_outs
from vrestore.train.sample import shrink, to_ycbcr

__all__ = ["drift", "long_shots", "precision"]

LONG_SIDE = (112, 144)
"""Size of the still that is looked at for long: the recurrence does not depend on it."""

DRIFT_FRAMES = 1000
DRIFT_CLIP = 50
"""Frames of a clip that are shown to and fro."""

DRIFT_SIDE = (96, 112)
"""Of the truth."""

BORDER = 8
NOISE = 0.04
STRENGTH = 0.5

PRECISION_FRAMES = 300
PRECISION_WANTED = 50.0


def long_shots(media: Media, field: Participants) -> Finding:
    """A static and a slowly moving shot of 300 noisy frames: the gate that training ends with."""
    found = Finding()
    rows = []
    for still in media.stills("Kodak")[:1]:
        truth = _luma(middle(still.frames, *LONG_SIDE, 1))
        for entrant in field.entrants:
            cell = cell_of(entrant.spec)
            for scale in (1, 2):
                for roll in roll_outs(cell, truth, scale=scale):
                    shown = [
                        number(roll.gains[t]) for t in (0, 5, 50, 200, len(roll.gains) - 1)
                    ]  # fmt: skip
                    rows.append((
                        entrant.name, f"{roll.name}, x{scale}", *shown, f"{roll.worst:+.3f}"
                    ))  # fmt: skip
                    found.goals.append(
                        Goal(what=f"{FRAMES} frames, {roll.name}, x{scale}, worst swing",
                             model=entrant.name, wanted=-ALLOWED_DECIBELS, reached=roll.worst)
                    )  # fmt: skip
    found.tables.append(
        Table(
            title=f"Long shots: {FRAMES} frames",
            columns=(
                "model", "shot", "frame 1", "6", "51", "201", "last",
                "worst swing against the first, dB",
            ),
            rows=tuple(rows),
            notes=(
                "PSNR-Y of each frame over that of the same frame restored alone, noise of sigma",
                "0.04, strength 0.5. A memory that went bad would fall. Wanted:",
                f"no swing more than {ALLOWED_DECIBELS:g} dB below the first.",
            ),
        )
    )  # fmt: skip
    return found


# -------------------------------------------------------------------------------- a real clip


def drift(media: Media, field: Participants) -> Finding:
    """A thousand frames of a real clip."""
    found = Finding()
    rows = []
    shown: list[int] = []
    clip = _longest(media)
    if clip is not None:
        truths = _truths(clip)
        period = 2 * (len(truths) - 1)
        shown = [1, 2, 3, 5, DRIFT_FRAMES // period]
        for entrant in field.entrants:
            for scale in (1, 2):
                values = list(_qualities(entrant.spec, truths, scale))
                swings = [
                    statistics.fmean(values[start : start + period])
                    for start in range(0, len(values) - period + 1, period)
                ]
                # The first has the start of the shot in it, where there is no past yet.
                worst = min(swings[1:]) - swings[1]
                rows.append((
                    entrant.name, f"x{scale}", *(number(swings[n - 1]) for n in shown),
                    f"{worst:+.3f}",
                ))  # fmt: skip
                found.goals.append(
                    Goal(what=f"{DRIFT_FRAMES} frames of a real clip, x{scale}, worst swing",
                         model=entrant.name, wanted=-ALLOWED_DECIBELS, reached=worst)
                )  # fmt: skip
    found.tables.append(
        Table(
            title=f"Drift: {DRIFT_FRAMES} frames of a real clip",
            columns=(
                "model", "scale", *(f"swing {n}" for n in shown),
                "worst swing against the second, dB",
            ),
            rows=tuple(rows),
            notes=(
                "No clip here is so long: the first", f"{min(DRIFT_CLIP, _count(clip))} frames of",
                f"{clip.name if clip else ''} run to and fro, {DRIFT_SIDE[1]}x{DRIFT_SIDE[0]} of",
                f"their middle, new noise of sigma {NOISE:g} in each frame, strength",
                f"{STRENGTH:g}. PSNR-Y of whole swings, which show the same pictures every time.",
            ),
        )
    )  # fmt: skip
    return found


def precision(media: Media, field: Participants) -> Finding:
    """What bf16 in the trunk makes of a shot, against fp32."""
    found = Finding()
    rows = []
    clip = _longest(media)
    for entrant in field.entrants if clip is not None else ():
        assert clip is not None
        truths = _truths(clip)
        if "bf16" not in entrant.spec.dtypes:
            continue
        for scale in (1, 2):
            pairs = zip(
                _run(entrant.spec, truths, scale, "fp32"),
                _run(entrant.spec, truths, scale, "bf16"),
                strict=True,
            )
            likeness = [psnr(a, b) for a, b in islice(pairs, PRECISION_FRAMES)]
            rows.append((
                entrant.name, f"x{scale}",
                *(number(likeness[n - 1]) for n in (1, 10, 100, PRECISION_FRAMES)),
                number(min(likeness)),
            ))  # fmt: skip
            found.goals.append(
                Goal(what=f"fp32 against bf16 after {PRECISION_FRAMES} frames, x{scale}",
                     model=entrant.name, wanted=PRECISION_WANTED, reached=likeness[-1])
            )  # fmt: skip
    found.tables.append(
        Table(
            title="fp32 against bf16",
            columns=("model", "scale", "frame 1", "10", "100", f"{PRECISION_FRAMES}", "least"),
            rows=tuple(rows),
            notes=(
                "PSNR-Y in dB between the two, before rounding, on the shot of the table above,",
                f"on the CPU. Wanted: {PRECISION_WANTED:g} dB after {PRECISION_FRAMES} frames.",
            ),
        )
    )
    return found


def _longest(media: Media) -> Source | None:
    """The clip with most frames."""
    return max(media.clips("video", "Vid4"), key=_count, default=None)


def _count(clip: Source | None) -> int:
    return 0 if clip is None else len(clip.frames)


def _truths(clip: Source) -> Tensor:
    """Luma of the frames that are shown, (T, 1, H, W), 0..1."""
    return _luma(middle(clip.frames, *DRIFT_SIDE, DRIFT_CLIP))


def _luma(frames: Tensor) -> Tensor:
    """(T, H, W, 3) uint8 -> (T, 1, H, W) luma, 0..1."""
    return to_ycbcr(frames.permute(0, 3, 1, 2).float() / 255, "601")[:, :1]


def _to_and_fro(truths: Tensor) -> Iterator[Tensor]:
    period = 2 * (len(truths) - 1)
    for t in range(DRIFT_FRAMES):
        at = t % period
        yield truths[min(at, period - at)]


def _qualities(spec: ModelSpec, truths: Tensor, scale: int) -> Iterator[float]:
    for made, truth in zip(_run(spec, truths, scale), _to_and_fro(truths), strict=True):
        yield psnr(cropped(made, BORDER), cropped(255 * truth[0], BORDER))


def _run(
    spec: ModelSpec, truths: Tensor, scale: int, precision: str = "fp32"
) -> Iterator[Tensor]:  # fmt: skip
    """Restored luma (H, W) in 0..255, full range, frame by frame."""
    generator = torch.Generator().manual_seed(11)
    config = RestoreConfig(strength=STRENGTH, precision="bf16" if precision == "bf16" else "fp32")

    def frames() -> Iterator[Frame]:
        for t, truth in enumerate(_to_and_fro(truths)):
            small = shrink(truth[None], scale)[0, 0]
            noise = NOISE * torch.randn(small.shape, generator=generator)
            yield Frame(
                planes=(small + noise,),
                format=SampleFormat(model=ColorModel.GRAY, depth=8),
                coding=Coding.UNIT,
                color=ColorSpec(matrix=Matrix.SMPTE170M),
                timestamp=Timestamp(pts=t, time_base=Fraction(1, 25)),
                duration=1,
                index=t,
                shot_start=t == 0,
            )

    for frame in streamed(build(spec, scale, config), frames()):
        yield 255 * frame.planes[0]
