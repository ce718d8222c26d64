"""Pictures inside a page: as exact as the page's size allows, and it is said how exact."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Album", "Detail", "Picture", "data_uri", "mask_picture", "thumbnail"]

Pixels = NDArray[np.uint8]
"""(H, W, 3) sRGB."""

WHOLE_EDGE = 1920
"""Longest side in pixels of a whole picture; larger ones are shown smaller, with a detail."""

DETAIL_EDGE = 800
"""Longest side in pixels of a detail."""

_QUALITIES = (95, 90, 82, 70)
"""JPEG qualities to try, chroma never subsampled."""

_SMALLEST_DETAIL = 160
_SMALLEST_WHOLE = 48

MASK_COLOUR = (255, 0, 200, 176)
"""Of damaged samples over a picture, RGBA: a hue that no film has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """A part of a picture, pixel for pixel."""

    src: str
    x: int
    """Place and size in the picture's own pixels."""
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture in the page."""

    src: str
    width: int
    """Of the picture that was given, in pixels; the stored one may be smaller."""
    height: int
    stored: str
    """How, in words."""
    detail: Detail | None = None

    @property
    def data(self) -> dict[str, object]:
        """For the page's scripts."""
        part = self.detail
        return {
            "src": self.src,
            "width": self.width,
            "height": self.height,
            "stored": self.stored,
            "detail": part
            and {"src": part.src, "x": part.x, "y": part.y, "width": part.width,
                 "height": part.height},
        }  # fmt: skip


class Album:
    """Stores a known number of pictures within a number of bytes."""

    def __init__(self, budget_bytes: int, pictures: int) -> None:
        """`budget_bytes` is for all `pictures` together, as they are written in the page."""
        self._left = budget_bytes
        self._expected = pictures

    def add(self, pixels: Pixels, focus: tuple[float, float] = (0.5, 0.5)) -> Picture:
        """Stores a picture: lossless where its share allows, else as JPEG with a lossless detail.

        `focus` is where the detail lies, (x, y) in 0..1 of the picture: the same for pictures that
        are compared.  What a picture does not use of its share is for those after it.
        """
        share = self._left // max(1, self._expected)
        picture = _stored(pixels, share, focus)
        used = len(picture.src) + (len(picture.detail.src) if picture.detail else 0)
        self._left = max(0, self._left - used)
        self._expected -= 1
        return picture


def thumbnail(pixels: Pixels, width: int = 160) -> str:
    """A small picture for a list, as a data URI."""
    image = Image.fromarray(pixels)
    height = max(1, round(width * image.height / image.width))
    return data_uri(_jpeg(image.resize((width, height), Image.Resampling.BOX), 80), "jpeg")


def mask_picture(mask: NDArray[np.bool_]) -> str:
    """Damaged samples as a transparent picture to lay over the frame, as a data URI."""
    image = Image.fromarray(mask.astype(np.uint8), mode="P")
    image.putpalette(bytes((0, 0, 0, 0, *MASK_COLOUR)), rawmode="RGBA")
    file = io.BytesIO()
    image.convert("RGBA").save(file, "PNG", optimize=True)
    return data_uri(file.getvalue(), "png")


def data_uri(encoded: bytes, kind: str) -> str:
    """A picture file as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"


def _stored(pixels: Pixels, share: int, focus: tuple[float, float]) -> Picture:
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels)
    edge = max(width, height)
    if edge <= WHOLE_EDGE:
        exact = data_uri(_lossless(image), "webp")
        if len(exact) <= share:
            return Picture(src=exact, width=width, height=height, stored="lossless")
        shown = image
    else:
        size = (round(width * WHOLE_EDGE / edge), round(height * WHOLE_EDGE / edge))
        shown = image.resize(size, Image.Resampling.LANCZOS)
    whole, quality, size = _within(shown, share * 2 // 3)
    src = data_uri(whole, "jpeg")
    detail = _detail(image, share - len(src), focus)
    words = f"JPEG {quality}"
    if size != image.size:
        words += f" at {size[0]}x{size[1]}"
    if detail is not None:
        words += ", lossless in the outlined part"
    return Picture(src=src, width=width, height=height, stored=words, detail=detail)


def _within(image: Image.Image, limit: int) -> tuple[bytes, int, tuple[int, int]]:
    """The best JPEG whose text is within `limit` bytes, its quality and its size.

    Smaller pictures are tried where no quality is enough, down to `_SMALLEST_WHOLE`.
    """
    while True:
        for quality in _QUALITIES:
            encoded = _jpeg(image, quality)
            if len(encoded) * 4 // 3 <= limit or min(image.size) <= _SMALLEST_WHOLE:
                return encoded, quality, image.size
        half = (max(1, image.width // 2), max(1, image.height // 2))
        image = image.resize(half, Image.Resampling.BOX)


def _detail(image: Image.Image, limit: int, focus: tuple[float, float]) -> Detail | None:
    for width, height in _detail_sizes(image.width, image.height):
        x = round(min(max(focus[0] * image.width - width / 2, 0), image.width - width))
        y = round(min(max(focus[1] * image.height - height / 2, 0), image.height - height))
        src = data_uri(_lossless(image.crop((x, y, x + width, y + height))), "webp")
        if len(src) <= limit:
            return Detail(src=src, x=x, y=y, width=width, height=height)
    return None


def _detail_sizes(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Sizes to try, of the picture's shape, each half of the one before."""
    edge = min(DETAIL_EDGE, max(width, height) // 2)
    while edge >= _SMALLEST_DETAIL:
        scale = edge / max(width, height)
        yield max(1, round(width * scale)), max(1, round(height * scale))
        edge //= 2


def _lossless(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", lossless=True, quality=40, method=2)
    return file.getvalue()


def _jpeg(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling=0, optimize=True)
    return file.getvalue()
