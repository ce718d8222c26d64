"""Before/after pictures of real clips, to be looked at.

    python docs/gallery.py [CLIP ...] [--model NAME] [--scale N]

Without clips: the sample, and the film and tape clips of `shared/data` where that folder lies
beside the checkout.  Those may not enter the repository, so everything goes to `output/gallery`,
which git ignores.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import vrestore
from vrestore.review.comparison import save_comparison

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("old_film", "real_lowquality", "interlaced", "anime")
SUFFIXES = {".avi", ".mkv", ".mov", ".mp4", ".mpg", ".ogv", ".vob", ".webm"}
FRAMES = 30
"""Enough for a temporal model to reach its steady state."""


def default_clips() -> list[Path]:
    """The sample and what of the shared clips is there."""
    shared = ROOT.parent / "shared" / "data"
    found = [
        path
        for folder in FOLDERS
        for path in sorted((shared / folder).rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    return [ROOT / "sample_media" / "bunny.mkv", *found]


def show(clip: Path, folder: Path, model: str, scale: int) -> Path:
    """Restores the beginning of a clip and writes the picture of its last restored frame."""
    picture = folder / f"{clip.stem}-{model}-x{scale}.png"
    overrides = {
        "restore.model": model,
        "size.scale": scale,
        "input.frames": f"0:{FRAMES}",
        "encode.encoder": "ffv1",
    }
    with tempfile.TemporaryDirectory() as scratch:
        result = str(Path(scratch) / "restored.mkv")
        report = vrestore.restore(str(clip), result, overrides=overrides)
        rate = report.plan.info.video.average_rate or Fraction(25)
        save_comparison(str(clip), result, picture, (report.frames - 1) / rate)
    return picture


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--model", default="auto")
    parser.add_argument("--scale", type=int, default=2)
    words = parser.parse_args()
    folder = ROOT / "output" / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    for clip in words.clips or default_clips():
        try:
            print(show(clip, folder, words.model, words.scale), flush=True)
        except vrestore.VRestoreError as error:
            failed += 1
            print(f"{clip}: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
