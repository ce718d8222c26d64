"""Pictures that FFmpeg does not read, or not without unpacking them: what their heads say."""

from __future__ import annotations

import os
from contextlib import closing
from fractions import Fraction

from PIL import Image

from vrestore.errors import InputError
from vrestore.io.scan import Rows, WholeRows, open_scan
from vrestore.io.still import PILLOW_ERRORS, read_still
from vrestore.media import (
    ColorModel,
    FieldOrder,
    MediaInfo,
    Provenance,
    SampleFormat,
    StreamInfo,
    StreamKind,
    VideoInfo,
)

__all__ = ["probe_picture"]


def probe_picture(path: str, max_pixels: int) -> MediaInfo | None:
    """What a large scan, a BigTIFF or a Lab file is; None for everything that FFmpeg tells of.

    Raises InputError for an animated WebP, which nothing here can read as video.
    """
    _require_one_picture(path)
    scan = open_scan(path, max_pixels=max_pixels)
    if scan is not None:
        with closing(scan):
            return _described(path, scan)
    if _is_lab(path):
        return _described(path, WholeRows(*read_still(path, max_pixels=max_pixels)))
    return None


def _is_lab(path: str) -> bool:
    """Whether a file is a TIFF in CIELAB, which Pillow reads and FFmpeg does not."""
    try:
        if not os.path.isfile(path):
            return False
        with Image.open(path, formats=("TIFF",)) as image:
            return image.mode == "LAB"
    except PILLOW_ERRORS:
        return False


def _require_one_picture(path: str) -> None:
    try:
        if not os.path.isfile(path):
            return
        with open(path, "rb") as file:
            mark = file.read(12)
        if mark[:4] != b"RIFF" or mark[8:] != b"WEBP":
            return
        with Image.open(path, formats=("WEBP",)) as image:
            count = getattr(image, "n_frames", 1)
    except PILLOW_ERRORS:
        return
    if count > 1:
        raise InputError(
            f"{path} is a WebP animation of {count} pictures, which FFmpeg does not read; make "
            "it a PNG (APNG) or GIF, or pictures one by one"
        )


def _described(path: str, scan: Rows) -> MediaInfo:
    stream = StreamInfo(index=0, kind=StreamKind.VIDEO, codec="tiff", time_base=Fraction(1, 25))
    turned = () if scan.meta.orientation == 1 else (
        f"a picture so large is not turned: its orientation {scan.meta.orientation} stays a tag",
    )  # fmt: skip
    return MediaInfo(
        path=path,
        container="tiff_pipe",
        video=VideoInfo(
            stream=stream,
            width=scan.width,
            height=scan.height,
            format=scan.format,
            pixel_format=_pixel_format(scan.format),
            color=scan.color,
            time_base=Fraction(1, 25),
            frame_count=1,
            frame_count_from=Provenance.MEASURED,
            field_order=FieldOrder.PROGRESSIVE,
        ),
        streams=(stream,),
        size_bytes=os.path.getsize(path),
        is_still=True,
        guesses=(*scan.meta.notes, *turned),
    )


def _pixel_format(form: SampleFormat) -> str:
    """FFmpeg's name of the packed samples."""
    depth = "" if form.depth == 8 else str(form.depth * (1 if form.model is ColorModel.GRAY else 3))
    if form.is_float:
        return "grayf32" if form.model is ColorModel.GRAY else "rgbf32"
    if form.model is ColorModel.GRAY:
        return f"ya{form.depth}" if form.alpha else f"gray{depth}"
    return f"rgba{'' if form.depth == 8 else 64}" if form.alpha else f"rgb{depth or 24}"
