"""One picture of two videos: the same instant before and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from os import PathLike

import numpy as np
from PIL import Image, ImageDraw

from vrestore.errors import InputError, OutputError
from vrestore.io.decode import Decoder
from vrestore.media import ChromaLocation, ColorModel, Frame, Matrix, Range, SampleFormat
from vrestore.ops.color import ColorConfig, Convert, resolve
from vrestore.ops.levels import Normalise

__all__ = ["MAX_HALF", "frame_at", "picture", "save_comparison", "side_by_side"]

MAX_HALF = (1280, 1080)
"""Width and height in pixels of the part shown of larger pictures, cut from the middle."""

LABEL_HEIGHT = 24
RGB8 = SampleFormat(model=ColorModel.RGB, depth=8)


def save_comparison(
    before: str, after: str, output: str | PathLike[str], at: Fraction = Fraction(1)
) -> None:
    """Writes the comparison of two sources as a PNG (or what the ending names).

    `at` is in seconds from each source's first frame; where a source is shorter its last frame
    is taken.  Raises InputError for an unreadable source, OutputError where nothing can be written.
    """
    image = side_by_side(picture(frame_at(before, at)), picture(frame_at(after, at)))
    try:
        image.save(output)
    except (OSError, ValueError) as error:
        raise OutputError(f"{output} cannot be written: {error}") from error


def frame_at(source: str, at: Fraction) -> Frame:
    """The frame shown `at` seconds after the first, or the last one; code values.

    Raises InputError.
    """
    with Decoder(source) as decoder:
        frames: Iterator[Frame] = iter(decoder)
        shown = first = next(frames, None)
        if first is None or shown is None:
            raise InputError(f"{source} has no picture")
        for frame in frames:
            if frame.timestamp.seconds - first.timestamp.seconds > at:
                break
            shown = frame
    return shown


def picture(frame: Frame) -> Image.Image:
    """A frame of code values as 8-bit RGB; alpha is dropped, HDR is shown untoned."""
    choice = resolve(frame.color, ColorConfig(), frame.format, frame.width, frame.height, None)
    as_rgb = replace(
        choice.working,
        matrix=Matrix.RGB,
        range=Range.FULL,
        chroma_location=ChromaLocation.UNSPECIFIED,
    )
    convert = Convert(frame.format, choice.working, to_form=RGB8, to_color=as_rgb)
    (unit,) = Normalise(choice.working).push(frame)
    (rgb,) = convert.push(unit)
    planes = [(plane.clamp(0, 1) * 255).round().byte().cpu().numpy() for plane in rgb.planes]
    return Image.fromarray(np.stack(planes, axis=-1))


def side_by_side(before: Image.Image, after: Image.Image) -> Image.Image:
    """Both at the size of `after`, the first enlarged as a player would, with labels above."""
    enlarged = before.resize(after.size, Image.Resampling.BICUBIC)
    halves = [_middle(half) for half in (enlarged, after)]
    width, height = halves[0].size
    sheet = Image.new("RGB", (2 * width, height + LABEL_HEIGHT))
    draw = ImageDraw.Draw(sheet)
    labels = (f"before, {before.width}x{before.height}", f"after, {after.width}x{after.height}")
    for number, (half, label) in enumerate(zip(halves, labels, strict=True)):
        sheet.paste(half, (number * width, LABEL_HEIGHT))
        draw.text((number * width + 8, 6), label, fill="white")
    return sheet


def _middle(image: Image.Image) -> Image.Image:
    width, height = min(image.width, MAX_HALF[0]), min(image.height, MAX_HALF[1])
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
