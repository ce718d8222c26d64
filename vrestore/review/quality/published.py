"""Clean material, measured as papers do, so that the numbers can be held against theirs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from vrestore.ops.resample import Kernel
from vrestore.review.metrics import cropped, psnr, ssim
from vrestore.review.quality.cases import Case, clean
from vrestore.review.quality.folder import Media
from vrestore.review.quality.methods import Method, interpolation
from vrestore.review.quality.tables import Finding, Goal, Table, difference, number

__all__ = ["set5", "vid4"]

SET5_WANTED = {2: ("36.3 of `lite`, 36.66 of `base`", 36.3), 4: ("30.3 of `base`", 30.3)}
VID4_FRAMES = 31
VID4_BORDER = 4
VID4_WANTED = 1.3

PUBLISHED = {2: "33.66", 3: "30.39", 4: "28.42"}
"""PSNR-Y of bicubic on Set5, as the papers have it."""


def _simple() -> list[Method]:
    return [
        interpolation("bicubic", Kernel.BICUBIC),
        interpolation("Lanczos (`resize`)", Kernel.LANCZOS3),
    ]


def _each_frame(result: Case, method: Method, border: int) -> tuple[float, float]:
    """Mean PSNR and SSIM of the frames."""
    made = cropped(method(result), border)
    truth = cropped(result.truth, border)
    pairs = list(zip(made, truth, strict=True))
    return (
        statistics.fmean(psnr(a, b) for a, b in pairs),
        statistics.fmean(ssim(a, b) for a, b in pairs),
    )


def set5(media: Media, models: Sequence[Method]) -> Finding:
    """Five stills at x2, x3 and x4; the border left out is as wide as the scale."""
    found = Finding()
    sources = media.stills("Set5")
    rows: list[tuple[str, ...]] = []
    for scale in (2, 3, 4) if sources else ():
        cases = [clean(source.name, source.frames, scale) for source in sources]
        base: list[float] = []
        for method in (*_simple(), *models):
            scores = [_each_frame(case, method, scale) for case in cases]
            values = [p for p, _ in scores]
            base = base or values
            mean = statistics.fmean(values)
            goal, wanted = SET5_WANTED.get(scale, ("", math.nan))
            trained = method in models
            rows.append(
                (
                    f"x{scale}",
                    method.name,
                    number(mean),
                    number(statistics.fmean(s for _, s in scores), 4),
                    difference(values, base) if method.name != "bicubic" else "",
                    f"published: {PUBLISHED[scale]}"
                    if method.name == "bicubic"
                    else goal
                    if trained
                    else "",
                )
            )
            if trained and wanted == wanted:
                found.goals.append(
                    Goal(what=f"Set5 x{scale}, {method.name}", wanted=wanted, reached=mean)
                )
    found.tables.append(
        Table(
            title="Stills: Set5",
            columns=("scale", "method", "PSNR-Y", "SSIM-Y", "over bicubic, dB", "wanted"),
            rows=tuple(rows),
            notes=(
                "Shrunk by MATLAB's bicubic in R'G'B', 8 bit; luma of BT.601 in limited range;",
                "a border as wide as the scale left out; strength 0. x3 is the x4 head and",
                "Lanczos. Differences with their 95 % interval over the five pictures.",
            ),
        )
    )
    return found


def vid4(media: Media, models: Sequence[Method], alone: Sequence[Method]) -> Finding:
    """Calendar and walk at x4; `alone` are the models without time, in the order of `models`."""
    found = Finding()
    rows: list[tuple[str, ...]] = []
    known = {"calendar": "published: 20.50", "walk": "published: 26.06"}
    for source in media.clips("Vid4"):
        case = clean(source.name, source.frames[:VID4_FRAMES], 4)
        reached: dict[str, float] = {}
        for method in (*_simple(), *alone, *models):
            quality, likeness = _each_frame(case, method, VID4_BORDER)
            reached[method.name] = quality
            base = reached["bicubic"]
            wanted = f"+{VID4_WANTED} of `base`" if method in models else ""
            if method.name == "bicubic":
                wanted = known.get(source.name, "")
            rows.append(
                (
                    source.name,
                    method.name,
                    number(quality),
                    number(likeness, 4),
                    f"{quality - base:+.2f}" if method.name != "bicubic" else "",
                    wanted,
                )
            )
        for model, still in zip(models, alone, strict=True):
            where, own = f"Vid4 {source.name} x4, {model.name}", reached[model.name]
            gain, over_alone = own - base, own - reached[still.name]
            found.goals.append(
                Goal(what=f"{where}, over bicubic", wanted=VID4_WANTED, reached=gain)
            )
            found.goals.append(
                Goal(what=f"{where}, over one frame at a time", wanted=0.0, reached=over_alone)
            )
    found.tables.append(
        Table(
            title="Clean clips: Vid4, x4",
            columns=("clip", "method", "PSNR-Y", "SSIM-Y", "over bicubic, dB", "wanted"),
            rows=tuple(rows),
            notes=(
                f"Frames 1-{VID4_FRAMES}, shrunk by MATLAB's bicubic, {VID4_BORDER} samples of",
                "border left out, mean of the frames, strength 0. Two clips are too few for an",
                "interval.",
            ),
        )
    )
    return found
