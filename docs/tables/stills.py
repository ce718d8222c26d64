"""The tables of docs/stills.md: what each strength does to clean and compressed pictures.

    PYTHONPATH=. python docs/tables/stills.py PICTURE...

Pictures are cut to 384 samples a side, halved (bicubic), saved as PNG and JPEG, and doubled again.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import vrestore

MODEL = "lite"
SIDE = 384
QUALITIES = (None, 90, 75, 50)
STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def psnr(made: Image.Image, truth: Image.Image) -> float:
    gap = np.asarray(made, float) - np.asarray(truth, float)
    return float(10 * np.log10(255**2 / np.square(gap).mean()))


def middle(path: str) -> Image.Image:
    picture = Image.open(path).convert("RGB")
    width, height = (min(SIDE, length // 2 * 2) for length in picture.size)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def row(truth: Image.Image, quality: int | None, folder: Path) -> list[float]:
    """PSNR of bicubic and of each strength."""
    source = folder / ("in.png" if quality is None else "in.jpg")
    small = truth.resize((truth.width // 2, truth.height // 2), Image.Resampling.BICUBIC)
    small.save(source, **({} if quality is None else {"quality": quality}))
    coded = Image.open(source).convert("RGB")
    found = [psnr(coded.resize(truth.size, Image.Resampling.BICUBIC), truth)]
    for strength in STRENGTHS:
        overrides = {"restore.model": MODEL, "restore.strength": strength}
        made = folder / "out.png"
        vrestore.restore(
            str(source), str(made), preset="still", overrides=overrides, overwrite=True
        )
        found.append(psnr(Image.open(made).convert("RGB"), truth))
    return found


def main(paths: list[str]) -> None:
    print("| source | bicubic |", " | ".join(f"strength {s:g}" for s in STRENGTHS), "|")
    print("|---" * (2 + len(STRENGTHS)) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for quality in QUALITIES:
            rows = [row(middle(path), quality, Path(folder)) for path in paths]
            name = "clean" if quality is None else f"JPEG {quality}"
            print(f"| {name} |", " | ".join(f"{v:.2f}" for v in np.mean(rows, axis=0)), "|")


if __name__ == "__main__":
    main(sys.argv[1:])
