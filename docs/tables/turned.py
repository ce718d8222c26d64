"""The table of docs/stills.md about --tta: what the mean over eight turns brings.

    PYTHONPATH=.:docs/tables python docs/tables/turned.py PICTURE...

Pictures are halved (bicubic), saved as PNG, and doubled again, with and without.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from stills import middle, psnr

import vrestore

MODELS = ("lite", "base", "waifu2x-photo", "waifu2x-art", "realesr-animevideov3")


def quality(source: Path, truth: Image.Image, model: str, *, tta: bool) -> float:
    made = source.with_name("out.png")
    overrides = {"restore.model": model, "restore.tta": tta}
    vrestore.restore(str(source), str(made), preset="still", overrides=overrides, overwrite=True)
    return psnr(Image.open(made).convert("RGB"), truth)


def main(paths: list[str]) -> None:
    print("| model | bare | `--tta` | least and most gained |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        sources = []
        for number, path in enumerate(paths):
            truth, source = middle(path), Path(folder) / str(number) / "in.png"
            source.parent.mkdir()
            half = (truth.width // 2, truth.height // 2)
            truth.resize(half, Image.Resampling.BICUBIC).save(source)
            sources.append((source, truth))
        for model in MODELS:
            bare, turned = (
                np.array([quality(source, truth, model, tta=tta) for source, truth in sources])
                for tta in (False, True)
            )
            gained = turned - bare
            print(
                f"| {model} | {bare.mean():.2f} | {turned.mean():.2f} | "
                f"{gained.min():+.2f}, {gained.max():+.2f} |"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
