"""Before/after pictures of real clips, by the diagnosis and by the preset made for them.

    python docs/gallery.py [CLIP ...] [--preset NAME ...] [--frames N] [--model NAME]

Without clips: the sample, and the real clips of `shared/data` where that folder lies beside the
checkout.  Those may not enter the repository, so pictures go to `output/gallery`, which git
ignores, and a table of what was diagnosed and done goes to standard output.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import vrestore
from vrestore.notes import ShotNote
from vrestore.review.comparison import save_comparison

ROOT = Path(__file__).resolve().parents[1]
FITTING: Mapping[str, str] = {
    "old_film": "film-bw-silent",
    "interlaced": "dvd-interlaced",
    "real_lowquality": "digital-early",
    "anime": "anime-digital",
    "hdr": "plain",
}
"""Folder of shared clips -> the preset made for such sources."""

FITTING_ONE: Mapping[str, str] = {
    "raywzy_001_colour": "film-16mm",
    "his_girl_friday_1940": "film-35mm",
    "a_bomb_1950s_part": "film-16mm",
    "dance_720x480i": "dvd-ntsc-film",
    "dv_like_720x480i": "screen-cg",
    "pal_fields_720x576i": "tv-old",
}
"""The same for single clips that their folder's does not suit."""

SUFFIXES = {".avi", ".m2v", ".mkv", ".mov", ".mp4", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm"}
FRAMES = 30
"""Enough for a temporal model to reach its steady state."""


def default_clips() -> list[Path]:
    """The sample and what of the shared clips is there."""
    shared = ROOT.parent / "shared" / "data"
    found = [
        path
        for folder in FITTING
        for path in sorted((shared / folder).rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    return [ROOT / "sample_media" / "bunny.mkv", *found]


def fitting(clip: Path) -> str:
    return FITTING_ONE.get(clip.stem, FITTING.get(clip.parent.name, "plain"))


def show(clip: Path, folder: Path, preset: str, frames: int, model: str | None) -> str:
    """Restores the beginning of a clip, writes a picture of its end; gives a row of the table."""
    picture = folder / f"{clip.stem}-{preset}.png"
    overrides: dict[str, object] = {
        "input.frames": f"0:{frames}", "encode.encoder": "ffv1", "size.scale": 1
    }  # fmt: skip
    if model is not None:
        overrides["restore.model"] = model
    with tempfile.TemporaryDirectory() as scratch:
        result = str(Path(scratch) / "restored.mkv")
        report = vrestore.restore(str(clip), result, preset=preset, overrides=overrides)
        rate = report.plan.output_rate or Fraction(25)
        # The middle of a frame's time: containers round where it begins.
        shown = max(0, report.frames - 2) + Fraction(1, 2)
        save_comparison(str(clip), result, picture, shown / rate)
    diagnosis = report.plan.diagnosis
    why = "" if diagnosis is None else "; ".join(diagnosis.suggestion.reasons)
    done = ", ".join(did(report.notes)) or "network alone"
    fields = str(report.plan.fields)
    made = f"{report.plan.preset.name} | {report.decoded.emitted} -> {report.frames}"
    return f"| {clip.name} | {preset} | {made} | {why} | {fields}{'; ' if fields else ''}{done} |"


def did(notes: Sequence[ShotNote]) -> list[str]:
    """The stages and their numbers, averaged over the shots."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for note in notes:
        for name, value in note.values.items():
            values[note.stage, name].append(value)
    by_stage: dict[str, list[str]] = defaultdict(list)
    for (stage, name), found in values.items():
        by_stage[stage].append(f"{name} {sum(found) / len(found):.3g}")
    return [f"{stage} ({', '.join(numbers[:4])})" for stage, numbers in by_stage.items()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--preset", nargs="+", default=[])
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--model", help="instead of the preset's, such as lite on a slow machine")
    words = parser.parse_args()
    folder = ROOT / "output" / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    print("| clip | asked for | preset | frames | because | done |")
    print("| --- | --- | --- | --- | --- | --- |")
    for clip in words.clips or default_clips():
        for preset in words.preset or ["auto", fitting(clip)]:
            try:
                print(show(clip, folder, preset, words.frames, words.model), flush=True)
            except vrestore.VRestoreError as error:
                failed += 1
                print(f"| {clip.name} | {preset} | refused | | {error} | |", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
