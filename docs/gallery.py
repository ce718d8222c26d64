"""Before/after pictures of real clips, by the diagnosis and by the preset made for them.

    python docs/gallery.py [CLIP ...] [--data ../shared/data] [--preset NAME ...] [--frames N]
                           [--from N] [--model NAME]

Without clips: the sample, and the real clips below `--data`, where that folder is there.  Those may
not enter the repository, so pictures go to `output/gallery`, which git ignores, and a table of what
was diagnosed and done goes to standard output.  The diagnosis is of the whole file; restored are
`--frames` from its middle, at the source's size.  A picture has a row for each of two moments: the
source, the result, and their difference, six times as strong, about grey.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import vrestore
from vrestore import preset as presets
from vrestore.diagnose import Diagnosis
from vrestore.notes import ShotNote
from vrestore.preset import Setting
from vrestore.review.screen import resolved, shown
from vrestore.wiring import diagnose

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
    "dtv_352x288i": "digital-early",
    "desk_360i_cropped": "digital-early",
    "scte20_ntsc_704x480i": "dvd-ntsc-film",
}
"""The same for single clips that their folder's does not suit."""

SUFFIXES = {".avi", ".m2v", ".mkv", ".mov", ".mp4", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm"}
FRAMES = 30
"""Enough for a temporal model to reach its steady state."""

MOMENTS = (Fraction(1, 2), Fraction(9, 10))
"""Of the restored part, that are shown."""

TIMES = 6
"""How much stronger than it is the difference is shown."""


def default_clips(data: Path) -> list[Path]:
    """The sample and what of the shared clips is there."""
    found = [
        path
        for folder in FITTING
        for path in sorted((data / folder).rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    return [ROOT / "sample_media" / "bunny.mkv", *found]


def fitting(clip: Path) -> str:
    return FITTING_ONE.get(clip.stem, FITTING.get(clip.parent.name, "plain"))


def times(path: str) -> list[Fraction]:
    """Of all frames, in seconds."""
    with vrestore.Decoder(path) as frames:
        return [frame.timestamp.seconds for frame in frames]


def pixels(path: str, numbers: Sequence[int]) -> list[NDArray[np.uint8]]:
    """The pictures of some frames, by number, as a screen shows them."""
    with vrestore.Decoder(path) as frames:
        wanted = {
            number: shown(resolved(frame)) for number, frame in enumerate(frames)
            if number in numbers
        }  # fmt: skip
    return [wanted[number] for number in numbers]


def sheet(source: str, first: int, result: str) -> Image.Image:
    """Rows of before, after and difference."""
    made, given = times(result), times(source)
    chosen = [int(len(made) * share) for share in MOMENTS]
    # The frame of the source that is on the screen when the result's is.
    past = [made[number] - made[0] + given[first] for number in chosen]
    their = [max(k for k, when in enumerate(given) if when <= at + Fraction(1, 500)) for at in past]
    rows = []
    for before, after in zip(pixels(source, their), pixels(result, chosen), strict=True):
        size = (after.shape[1], after.shape[0])
        enlarged = np.asarray(Image.fromarray(before).resize(size, Image.Resampling.BICUBIC))
        apart = TIMES * (after.astype(np.int16) - enlarged) + 128
        rows.append(np.hstack((enlarged, after, apart.clip(0, 255).astype(np.uint8))))
    return Image.fromarray(np.vstack(rows))


def show(
    clip: Path,
    picture: Path,
    preset: str,
    found: Diagnosis | None,
    part: tuple[int, int],
    model: str | None,
) -> str:
    """Restores a part of a clip, writes the picture; gives a row of the table."""
    chosen = presets.load(preset if found is None else found.suggestion.preset)
    overrides: dict[str, object] = {} if found is None else dict(found.suggestion.overrides)
    overrides |= {"input.frames": f"{part[0]}:{part[1]}", "encode.encoder": "ffv1", "size.scale": 1}
    if model is not None:
        overrides["restore.model"] = model
    chosen = chosen.override_all(
        Setting(key=key, value=value, origin="gallery") for key, value in overrides.items()
    )
    start = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        result = str(Path(scratch) / "restored.mkv")
        report = vrestore.restore(str(clip), result, preset=chosen)
        took = time.process_time() - start
        sheet(str(clip), part[0], result).save(picture)
    done = ", ".join(did(report.notes)) or "network alone"
    fields = str(report.plan.fields)
    made = f"{chosen.name} | {report.decoded.emitted} -> {report.frames}"
    return f"| {clip.name} | {made} | {fields}{'; ' if fields else ''}{done} | {took:.0f} |"


def did(notes: Sequence[ShotNote]) -> list[str]:
    """The stages and their numbers, averaged over the shots."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for note in notes:
        for name, value in note.values.items():
            values[note.stage, name].append(value)
    by_stage: dict[str, list[str]] = defaultdict(list)
    for (stage, name), found in values.items():
        by_stage[stage].append(f"{name} {sum(found) / len(found):.3g}")
    return [f"{stage} ({', '.join(numbers[:6])})" for stage, numbers in by_stage.items()]


def diagnosed(found: Diagnosis) -> str:
    """A line on what was found and what was chosen."""
    seen = [f"{one.name} {one.severity.name.lower()}" for one in found.findings if one.found]
    why = "; ".join(found.suggestion.reasons)
    return f"{found.path}: {', '.join(seen) or 'nothing'}; {found.suggestion.preset} because {why}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--preset", nargs="+", default=[])
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--from", type=int, dest="first", help="instead of from the middle")
    parser.add_argument("--model", help="instead of the preset's, such as lite on a slow machine")
    words = parser.parse_args()
    folder = ROOT / "output" / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    print("| clip | preset | frames | done | seconds |")
    print("| --- | --- | --- | --- | --- |")
    for clip in words.clips or default_clips(words.data):
        asked = words.preset or ["auto", fitting(clip)]
        try:
            found = diagnose(str(clip)) if "auto" in asked else None
            if found is not None:
                print(diagnosed(found), file=sys.stderr, flush=True)
                if found.suggestion.preset in asked:
                    asked = [name for name in asked if name != found.suggestion.preset]
            count = len(times(str(clip)))
            first = max(0, (count - words.frames) // 2) if words.first is None else words.first
            part = (first, min(count, first + words.frames))
            for preset in asked:
                told = found if preset == "auto" else None
                picture = folder / f"{clip.stem}-{preset}.png"
                print(show(clip, picture, preset, told, part, words.model), flush=True)
        except vrestore.VRestoreError as error:
            failed += 1
            print(f"| {clip.name} | refused: {error} | | | |", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
