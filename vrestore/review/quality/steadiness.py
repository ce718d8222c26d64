"""What must not happen: noise that stays, and clean pictures that change."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

from vrestore.review.metrics import cropped, false_change, psnr, temporal_noise
from vrestore.review.quality.cases import Case, Damage, clean, damaged
from vrestore.review.quality.field import Participants
from vrestore.review.quality.folder import Media, Source, middle
from vrestore.review.quality.tables import Finding, Goal, Table, number

__all__ = ["do_no_harm", "static_noise"]

NOISE = Damage(name="noise", strength=0.5, noise=0.04)
STATIC_FRAMES = 20
SETTLED = 5
"""Frames after which a recurrence has settled; the earlier ones are left out."""

STATIC_STILLS = 4
BORDER = 8
NOISE_WANTED = 6.0

HARM_WANTED = 45.0
CHANGED_WANTED = 1.0
HARM_FRAMES = 4
"""Of each clip."""


def static_noise(media: Media, field: Participants) -> Finding:
    """How far the variance over time falls in a shot without motion."""
    found = Finding()
    cases = []
    for still in media.stills("Kodak")[:STATIC_STILLS]:
        frames = middle(still.frames, 192, 256, 1).expand(STATIC_FRAMES, -1, -1, -1)
        cases.append(damaged(still.name, frames, 1, NOISE))
    methods = [
        *field.plain(1), *field.medians, *field.filters, *field.trained, *field.alone,
        *field.models,
    ]  # fmt: skip
    rows = []
    for method in methods if cases else ():
        drops, quality = [], []
        for case in cases:
            kept = slice(SETTLED, STATIC_FRAMES - 1)
            seen, truth = (
                cropped(clip[kept], BORDER) for clip in (case.luma, case.truth)
            )  # fmt: skip
            made = cropped(method(case).luma[kept], BORDER)
            drops.append(20 * math.log10(temporal_noise(seen) / temporal_noise(made)))
            quality.append(psnr(made, truth))
        drop = statistics.fmean(drops)
        rows.append((method.name, number(drop), number(statistics.fmean(quality))))
        if method in field.models:
            found.goals.append(
                Goal(what="static shot with noise, drop of the variance over time",
                     model=method.name, wanted=NOISE_WANTED, reached=drop)
            )  # fmt: skip
    found.tables.append(
        Table(
            title="A static shot with noise",
            columns=("method", "drop of the variance over time, dB", "PSNR-Y"),
            rows=tuple(rows),
            notes=(
                f"{len(cases)} Kodak stills, 256x192 of their middle, {STATIC_FRAMES} frames with",
                f"new white noise of sigma {NOISE.noise:g} in each, x1, strength",
                f"{NOISE.strength:g}; frames {SETTLED + 1} to {STATIC_FRAMES - 1}.",
                f"Wanted is a drop of {NOISE_WANTED:g} dB.",
            ),
        )
    )
    return found


def do_no_harm(media: Media, field: Participants) -> Finding:
    """Clean input at x1 and strength 0 must come out as it went in."""
    found = Finding()
    sources = [
        *media.stills("Kodak"),
        *(Source(s.name, s.frames[:HARM_FRAMES]) for s in media.clips("Vid4", "video")),
    ]
    cases: list[Case] = [clean(s.name, s.frames, 1) for s in sources]
    rows = []
    for entrant in field.entrants if cases else ():
        for strength in (0.0, entrant.spec.strength):
            told = [replace(case, strength=strength) for case in cases]
            results = [entrant.method(case).luma for case in told]
            quality = [psnr(m, c.truth) for m, c in zip(results, cases, strict=True)]
            changed = [100 * false_change(m, c.truth) for m, c in zip(results, cases, strict=True)]
            worst = min(range(len(cases)), key=lambda i: quality[i])
            rows.append((
                entrant.name, f"{strength:g}", number(statistics.fmean(quality)),
                f"{quality[worst]:.2f} ({cases[worst].name})",
                number(statistics.fmean(changed)), number(max(changed)),
            ))  # fmt: skip
            if strength == 0.0:
                found.goals.extend([
                    Goal(what="clean at x1 and strength 0", model=entrant.name,
                         wanted=HARM_WANTED, reached=statistics.fmean(quality)),
                    Goal(what="clean at x1 and strength 0, changed by over 3 codes",
                         model=entrant.name, wanted=CHANGED_WANTED,
                         reached=statistics.fmean(changed), unit="%", at_most=True),
                ])  # fmt: skip
    found.tables.append(
        Table(
            title="Do no harm",
            columns=(
                "model", "strength", "PSNR-Y, mean", "worst", "changed by over 3 codes, %",
                "most of one, %",
            ),
            rows=tuple(rows),
            notes=(
                f"x1, {len(cases)} clean pictures and clips ({HARM_FRAMES} frames each), whole",
                "frames, at strength 0, which says that the source is clean, and at the model's",
                "default, which does not know. Wanted at strength 0:",
                f"{HARM_WANTED:g} dB, and under {CHANGED_WANTED:g} % changed. The folder has no",
                "HD: the largest are 720x576 and 768x512.",
            ),
        )
    )  # fmt: skip
    return found
