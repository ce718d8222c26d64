"""What must not happen: noise that stays, clean pictures that change, a memory that goes bad."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from torch import Tensor

from vrestore.models.nets import ARCHITECTURES
from vrestore.models.registry import ModelSpec, load_weights
from vrestore.ops.resample import Kernel
from vrestore.review.metrics import cropped, false_change, psnr, temporal_noise
from vrestore.review.quality.cases import Case, Damage, clean, damaged
from vrestore.review.quality.folder import Media, Source, middle
from vrestore.review.quality.methods import (
    FILTERS,
    Method,
    classical,
    external_ffmpeg,
    interpolation,
    median_of_three,
)
from vrestore.review.quality.tables import Finding, Goal, Table, number
from vrestore.train.gate import ALLOWED_DECIBELS, FRAMES, roll_outs
from vrestore.train.sample import to_ycbcr

__all__ = ["do_no_harm", "long_shots", "static_noise"]

NOISE = Damage(name="noise", strength=0.5, noise=0.04)
STATIC_FRAMES = 20
SETTLED = 5
"""Frames after which a recurrence has settled; the earlier ones are left out."""

STATIC_STILLS = 4
BORDER = 8
NOISE_WANTED = 6.0

HARM_WANTED = 45.0
CHANGED_WANTED = 1.0
HARM_FRAMES = 6
"""Of each clip."""

LONG_SIDE = (112, 144)
"""Size of the still that is looked at for long: the recurrence does not depend on it."""


def static_noise(media: Media, models: Sequence[Method], alone: Sequence[Method]) -> Finding:
    """How far the variance over time falls in a shot without motion; `alone` without time."""
    found = Finding()
    cases = []
    for still in media.stills("Kodak")[:STATIC_STILLS]:
        frames = middle(still.frames, 192, 256, 1).expand(STATIC_FRAMES, -1, -1, -1)
        cases.append(damaged(still.name, frames, 1, NOISE))
    program = external_ffmpeg()
    simple = [
        interpolation("untreated", Kernel.BICUBIC),
        median_of_three(),
        *([classical(name, program) for name in FILTERS] if program else []),
    ]
    rows = []
    for method in (*simple, *alone, *models) if cases else ():
        drops, quality = [], []
        for case in cases:
            kept = slice(SETTLED, STATIC_FRAMES - 1)
            seen, truth = (
                cropped(clip[kept], BORDER) for clip in (case.luma, case.truth)
            )  # fmt: skip
            made = cropped(method(case)[kept], BORDER)
            drops.append(20 * math.log10(temporal_noise(seen) / temporal_noise(made)))
            quality.append(psnr(made, truth))
        drop = statistics.fmean(drops)
        trained = method in models
        rows.append((
            method.name, number(drop), number(statistics.fmean(quality)),
            f"{NOISE_WANTED:g}" if trained else "",
        ))  # fmt: skip
        if trained:
            found.goals.append(
                Goal(what=f"static shot, noise, {method.name}, drop of the variance over time",
                     wanted=NOISE_WANTED, reached=drop)
            )  # fmt: skip
    found.tables.append(
        Table(
            title="A static shot with noise",
            columns=("method", "drop of the variance over time, dB", "PSNR-Y", "wanted drop, dB"),
            rows=tuple(rows),
            notes=(
                f"{len(cases)} Kodak stills, 256x192 of their middle, {STATIC_FRAMES} frames with",
                f"new white noise of sigma {NOISE.noise:g} in each, x1, strength",
                f"{NOISE.strength:g}; frames {SETTLED + 1} to {STATIC_FRAMES - 1}.",
            ),
        )
    )
    return found


def do_no_harm(media: Media, models: Sequence[Method]) -> Finding:
    """Clean input at x1 and strength 0 must come out as it went in."""
    found = Finding()
    sources = [
        *media.stills("Kodak"),
        *(Source(s.name, s.frames[:HARM_FRAMES]) for s in media.clips("Vid4", "video")),
    ]
    cases: list[Case] = [clean(s.name, s.frames, 1) for s in sources]
    rows = []
    for method in models if cases else ():
        results = [(method(case), case) for case in cases]
        quality = [psnr(made, case.truth) for made, case in results]
        changed = [100 * false_change(made, case.truth) for made, case in results]
        worst = min(range(len(cases)), key=lambda i: quality[i])
        rows.append((
            method.name, number(statistics.fmean(quality)),
            f"{quality[worst]:.2f} ({cases[worst].name})",
            number(statistics.fmean(changed)), f"{HARM_WANTED:g} dB, under {CHANGED_WANTED:g} %",
        ))  # fmt: skip
        found.goals.extend([
            Goal(what=f"clean at x1 and strength 0, {method.name}", wanted=HARM_WANTED,
                 reached=statistics.fmean(quality)),
            Goal(what=f"clean, {method.name}, samples changed by over 3 codes",
                 wanted=CHANGED_WANTED, reached=statistics.fmean(changed), unit="%", at_most=True),
        ])  # fmt: skip
    found.tables.append(
        Table(
            title="Do no harm",
            columns=("method", "PSNR-Y, mean", "worst", "changed by over 3 codes, %", "wanted"),
            rows=tuple(rows),
            notes=(
                f"x1, strength 0, {len(cases)} clean pictures and clips ({HARM_FRAMES} frames",
                "each), whole frames. The folder has no HD: the largest are 720x576 and 768x512.",
            ),
        )
    )
    return found


def long_shots(media: Media, specs: Sequence[ModelSpec]) -> Finding:
    """A static and a slowly moving shot of 300 noisy frames: the gate that training ends with."""
    found = Finding()
    rows = []
    for still in media.stills("Kodak")[:1]:
        truth = _luma(middle(still.frames, *LONG_SIDE, 1))
        for spec in specs:
            cell = ARCHITECTURES[spec.arch](**spec.arch_args).eval().requires_grad_(False)
            cell.load_state_dict({k: v.float() for k, v in load_weights(spec).items()})
            for roll in roll_outs(cell, truth, scale=1):
                shown = [number(roll.gains[t]) for t in (0, 5, 50, 200, len(roll.gains) - 1)]
                rows.append((
                    spec.name, roll.name, *shown, f"{roll.worst:+.3f}", f"-{ALLOWED_DECIBELS:g}"
                ))  # fmt: skip
                found.goals.append(
                    Goal(what=f"{FRAMES} frames, {roll.name}, {spec.name}, worst swing",
                         wanted=-ALLOWED_DECIBELS, reached=roll.worst)
                )  # fmt: skip
    found.tables.append(
        Table(
            title=f"Long shots: {FRAMES} frames",
            columns=(
                "model",
                "shot",
                "frame 1",
                "6",
                "51",
                "201",
                "last",
                "worst swing against the first, dB",
                "wanted",
            ),
            rows=tuple(rows),
            notes=(
                "PSNR-Y of each frame over that of the same frame restored alone, x1, noise of",
                "sigma 0.04, strength 0.5. A memory that went bad would fall.",
            ),
        )
    )
    return found


def _luma(frames: Tensor) -> Tensor:
    """(1, H, W, 3) uint8 -> (1, 1, H, W) luma, 0..1."""
    return to_ycbcr(frames.permute(0, 3, 1, 2).float() / 255, "601")[:, :1]
