"""Pictures at 100 %: what the models make of worn clips, beside simple methods and published ones.

    python docs/crops.py [--model NAME ...] [--real]

Of the sample clip, worn by the code that training uses, into `docs/pictures`.  With `--real`, of
the film and compressed clips of `shared/data` beside the checkout, which may not enter the
repository: into `output/gallery`, which git ignores.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image, ImageDraw

from vrestore.models import registry
from vrestore.ops.resample import Kernel
from vrestore.review.quality.cases import DAMAGES, Case, clean, damaged, rgb_of, ycbcr_of
from vrestore.review.quality.filters import classical, external_ffmpeg
from vrestore.review.quality.methods import Made, Method, interpolation
from vrestore.review.quality.networks import network
from vrestore.review.quality.originals import originals, waifu2x
from vrestore.train.footage import read_clip

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "sample_media" / "bunny.mkv"
PICTURES, GALLERY = ROOT / "docs" / "pictures", ROOT / "output" / "gallery"

FRAMES, SHOWN = 12, 8
"""How many of a clip are restored, and which of them is shown."""

CROP, REAL_CROP = (120, 160), (300, 400)
"""Height and width of a picture, of the sample and of real clips."""

FACE, STONES = (60, 110), (95, 250)
SHEETS = {
    ("film-light", 2): FACE, ("film-heavy", 1): FACE, ("film-heavy", 2): FACE,
    ("tape", 2): STONES, ("compressed", 2): FACE, ("clean", 4): FACE,
}  # fmt: skip
"""What is made of the sample: damage and scale, and top and left of the part that is shown."""

LABEL = 18
REAL = ("old_film", "real_lowquality", "anime")
REAL_STRENGTH = 0.6
REAL_LEVEL = 1
"""Of waifu2x, where no truth could choose."""

REAL_LARGEST = (360, 480)
"""Middle of larger sources, to keep the run short."""


def sample_cases() -> Iterator[tuple[Case, tuple[int, int]]]:
    frames = read_clip(SAMPLE)[:FRAMES]
    wears = {wear.name: wear for wear in DAMAGES}
    for (name, scale), place in SHEETS.items():
        wear = wears.get(name)
        made = damaged(name, frames, scale, wear) if wear else clean(name, frames, scale)
        yield made, place


def real_case(path: Path) -> Case:
    """The beginning of a clip, to be doubled; its truth, which nobody knows, is black."""
    with av.open(str(path)) as container:
        decoded = islice(container.decode(video=0), FRAMES)
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in decoded])
    height, width = (
        min(size, most) // 2 * 2 for size, most in zip(frames.shape[1:3], REAL_LARGEST, strict=True)
    )
    top, left = (frames.shape[1] - height) // 2, (frames.shape[2] - width) // 2
    rgb = torch.from_numpy(frames[:, top : top + height, left : left + width].copy())
    luma, chroma = ycbcr_of(rgb.permute(0, 3, 1, 2).float() / 255, subsampled=True)
    return Case(
        name=path.stem,
        scale=2,
        luma=luma.round(),
        chroma=chroma.round(),
        truth=torch.zeros(len(luma), 2 * height, 2 * width),
        truth_chroma=torch.zeros(len(luma), 2, height, width),
        strength=REAL_STRENGTH,
    )


def methods(models: Sequence[str], scale: int, *, real: bool) -> Iterator[tuple[Method, bool]]:
    """What is shown, and whether it sees more than one frame."""
    yield interpolation("bicubic" if scale > 1 else "input", Kernel.BICUBIC), False
    if program := external_ffmpeg():
        for name in ("hqdn3d", "nlmeans"):
            yield classical(name, program), True
    for method in originals():
        if real and method.name.startswith("waifu2x upconv_7 photo"):
            yield waifu2x("photo", (REAL_LEVEL,)), False
        elif scale in method.scales and not real:
            yield method, False
    for name in models:
        yield network(registry.find(name)), True


def only(case: Case, t: int) -> Case:
    """One frame of a case."""
    part = slice(t, t + 1)
    return replace(
        case, luma=case.luma[part], chroma=case.chroma[part], truth=case.truth[part],
        truth_chroma=case.truth_chroma[part], mask=None,
    )  # fmt: skip


def crop(made: Made, t: int, place: tuple[int, int], size: tuple[int, int]) -> Image.Image:
    (top, left), (height, width) = place, size
    rgb = rgb_of(made.luma[t : t + 1], made.chroma[t : t + 1])[0]
    part = rgb[:, top : top + height, left : left + width]
    return Image.fromarray((255 * part).round().byte().permute(1, 2, 0).numpy())


def sheet(pictures: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """The pictures in rows of four, named."""
    columns = min(4, len(pictures))
    rows = -(-len(pictures) // columns)
    width, height = pictures[0][1].size
    height, width = height + LABEL, width + 4
    made = Image.new("RGB", (columns * width - 4, rows * height), "white")
    draw = ImageDraw.Draw(made)
    for number, (name, picture) in enumerate(pictures):
        x, y = number % columns * width, number // columns * height
        made.paste(picture, (x, y + LABEL))
        draw.text((x + 2, y + 3), name, fill="black")
    return made


def show(case: Case, place: tuple[int, int], models: Sequence[str], folder: Path) -> Path:
    real, still, pictures = folder == GALLERY, only(case, SHOWN), []
    size = REAL_CROP if real else CROP
    for method, looks_around in methods(models, case.scale, real=real):
        made, t = (method(case), SHOWN) if looks_around else (method(still), 0)
        pictures.append((method.name.removesuffix(", published"), crop(made, t, place, size)))
    if not real:
        pictures.append(("truth", crop(Made(case.truth, case.truth_chroma), SHOWN, place, size)))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{case.name}-x{case.scale}.png"
    sheet(pictures).save(path, optimize=True)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append")
    parser.add_argument("--real", action="store_true")
    words = parser.parse_args()
    known = [name for name, spec in registry.registered().items() if spec.weights]
    models = words.model or known
    if not words.real:
        for case, place in sample_cases():
            print(show(case, place, models, PICTURES), flush=True)
        return
    for folder in REAL:
        for path in sorted((ROOT.parent / "shared" / "data" / folder).glob("*.m*")):
            case = real_case(path)
            height, width = case.truth.shape[-2:]
            place = (height - REAL_CROP[0]) // 2, (width - REAL_CROP[1]) // 2
            print(show(case, place, models, GALLERY), flush=True)


if __name__ == "__main__":
    main()
