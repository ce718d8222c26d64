"""Damaged moving clips: how much is repaired, where, and how steadily."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vrestore.ops.resample import Kernel
from vrestore.review.metrics import cropped, defect_recall, flicker_index, psnr, warping_error
from vrestore.review.quality.cases import DAMAGES, Case, Damage, damaged
from vrestore.review.quality.folder import Media, Source, middle
from vrestore.review.quality.methods import (
    FILTERS,
    Method,
    classical,
    external_ffmpeg,
    interpolation,
    median_of_three,
)
from vrestore.review.quality.motion import Motion, match
from vrestore.review.quality.tables import Finding, Goal, Table, difference, number

__all__ = ["Score", "score", "worn"]

FRAMES = 16
HEIGHT, WIDTH = 224, 320
BORDER = 8

NO_FFMPEG = "No command-line ffmpeg was found: the rows of its filters are missing below."
OVER_CLASSICAL, OVER_ALONE, IN_DEFECTS, OUTSIDE = 1.0, 0.8, 5.0, 0.3
"""Gains in dB that issue 3 asks of `base` after training on two cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One method on one clip; PSNR in dB over all frames, the rest in code values; nan for none."""

    overall: float
    inside: float
    """PSNR on the drawn defects."""

    outside: float
    recall: float
    """Share of defect samples whose error at least halved against plain magnification."""

    warping: float
    flicker: float


def score(result: Tensor, plain: Tensor, case: Case, motion: Motion) -> Score:
    """`plain` is the case without any restoration; both (T, H, W) in code values."""
    made, before, truth = (cropped(clip, BORDER) for clip in (result, plain, case.truth))
    inside = outside = recall = math.nan
    if case.mask is not None:
        mask = cropped(case.mask, BORDER)
        inside, outside = psnr(made[mask], truth[mask]), psnr(made[~mask], truth[~mask])
        recall = defect_recall(made, before, truth, mask)
    return Score(
        overall=psnr(made, truth),
        inside=inside,
        outside=outside,
        recall=recall,
        warping=warping_error(
            made, cropped(motion.flow, BORDER), cropped(motion.shown, BORDER)
        ),
        flicker=flicker_index(made, truth),
    )  # fmt: skip


def worn(
    media: Media,
    models: Sequence[Method],
    alone: Sequence[Method],
    damages: Sequence[Damage] = DAMAGES,
) -> Finding:
    """Every damage at x1 and x2; `alone` are the models without time, in the order of `models`."""
    sources = [
        Source(s.name, middle(s.frames, HEIGHT, WIDTH, FRAMES))
        for s in media.clips("video", "Vid4")
    ]
    program = external_ffmpeg()
    chains = [classical(name, program) for name in FILTERS] if program else []
    found = Finding([_overview(sources, damages, program)] if sources else [])
    motions: dict[tuple[str, torch.Size], Motion] = {}
    for wear in damages if sources else ():
        for scale in (1, 2):
            cases = [damaged(s.name, s.frames, scale, wear) for s in sources]
            for case in cases:
                key = case.name, case.truth.shape
                if key not in motions:
                    motions[key] = match(case.truth)
            ways = [motions[c.name, c.truth.shape] for c in cases]
            simple = [interpolation("untreated" if scale == 1 else "bicubic", Kernel.BICUBIC)]
            if scale > 1:
                simple.append(interpolation("Lanczos (`resize`)", Kernel.LANCZOS3))
            simple += [median_of_three(), *chains]
            scores = _all(cases, ways, [*simple, *alone, *models])
            found.tables.append(_table(wear, scale, cases, ways, scores, models[0]))
            for model, still in zip(models, alone, strict=True):
                found.goals.extend(
                    _goals(wear, scale, scores, model, still, [c.name for c in chains])
                )
    return found


def _overview(sources: Sequence[Source], damages: Sequence[Damage], program: str | None) -> Table:
    """What the damaged clips of the tables that follow are."""
    amounts = (
        "blur", "noise", "grain", "dust", "scratches", "flicker", "tape", "codec", "strength"
    )  # fmt: skip
    clips = ", ".join(f"{s.name} ({len(s.frames)} frames)" for s in sources)
    notes = [
        f"From {clips}: at most {FRAMES} frames and the middle {WIDTH}x{HEIGHT} of each, to keep",
        "the run short. The wear is made by the code that training uses, at the size of the",
        "input, with seeds that follow from name and scale; 8-bit 4:2:0. (x264, in tape and",
        "compressed, does not always give the same bits: their last digit may differ.) Dust is in",
        f"specks per megapixel and frame. {BORDER} samples of border are left out. Defects are the",
        "drawn dust, scratches and dropouts; recall is the share of their samples whose error at",
        "least halved. Warping error and flicker are in code values. Differences are of the same",
        "clips, with their 95 % interval.",
    ]
    return Table(
        title="Damaged clips: what was done to them",
        columns=("damage", *amounts),
        rows=tuple((w.name, *(f"{getattr(w, what):g}" for what in amounts)) for w in damages),
        notes=tuple(notes if program else [*notes, NO_FFMPEG]),
    )


def _all(
    cases: Sequence[Case], ways: Sequence[Motion], methods: Sequence[Method]
) -> dict[str, list[Score]]:
    plain = [methods[0](case) for case in cases]
    return {
        method.name: [
            score(method(case), before, case, motion)
            for case, before, motion in zip(cases, plain, ways, strict=True)
        ]
        for method in methods
    }


def _mean(scores: Sequence[Score], what: str) -> float:
    values = [getattr(s, what) for s in scores]
    finite = [v for v in values if math.isfinite(v)]
    return statistics.fmean(finite) if finite else math.nan


def _table(
    wear: Damage,
    scale: int,
    cases: Sequence[Case],
    ways: Sequence[Motion],
    scores: dict[str, list[Score]],
    model: Method,
) -> Table:
    first = model.name
    steady = statistics.fmean(
        warping_error(
            cropped(case.truth, BORDER), cropped(way.flow, BORDER), cropped(way.shown, BORDER)
        )
        for case, way in zip(cases, ways, strict=True)
    )
    own = [s.overall for s in scores[first]]
    rows = tuple(
        (
            name,
            *(number(_mean(each, what)) for what in ("overall", "inside", "outside", "recall")),
            *(number(_mean(each, what)) for what in ("warping", "flicker")),
            "" if name == first else difference(own, [s.overall for s in each]),
        )
        for name, each in scores.items()
    )
    return Table(
        title=f"Damaged clips: {wear.name}, x{scale}",
        columns=(
            "method",
            "PSNR-Y",
            "in defects",
            "outside",
            "recall",
            "warping error",
            "flicker",
            f"{first} minus this, dB",
        ),
        rows=rows,
        notes=(f"Strength {wear.strength:g}. Warping error of the truth itself: {steady:.2f}.",),
    )


def _goals(
    wear: Damage,
    scale: int,
    scores: dict[str, list[Score]],
    model: Method,
    still: Method,
    chains: Sequence[str],
) -> list[Goal]:
    own, single = scores[model.name], scores[still.name]
    where = f"{wear.name} x{scale}, {model.name}"

    def gain(other: Sequence[Score], what: str) -> float:
        return _mean(own, what) - _mean(other, what)

    goals = [
        Goal(what=f"{where}, over one frame at a time", wanted=OVER_ALONE,
             reached=gain(single, "overall")),
        Goal(what=f"{where}, warping error against one frame at a time", wanted=0.0,
             reached=gain(single, "warping"), unit="codes", at_most=True),
        Goal(what=f"{where}, flicker against one frame at a time", wanted=0.0,
             reached=gain(single, "flicker"), unit="codes", at_most=True),
    ]  # fmt: skip
    if chains:
        best = max(chains, key=lambda name: _mean(scores[name], "overall"))
        what = f"{where}, over the best chain of filters ({best})"
        goals.append(Goal(what=what, wanted=OVER_CLASSICAL, reached=gain(scores[best], "overall")))
    if not math.isnan(_mean(own, "inside")):
        goals += [
            Goal(what=f"{where}, inside defects, over one frame at a time", wanted=IN_DEFECTS,
                 reached=gain(single, "inside")),
            Goal(what=f"{where}, outside defects, over one frame at a time", wanted=OUTSIDE,
                 reached=gain(single, "outside")),
        ]  # fmt: skip
    return goals
