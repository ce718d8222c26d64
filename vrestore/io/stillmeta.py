"""What goes with a picture beside its samples: ICC profile, EXIF, XMP, resolution, orientation."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

__all__ = ["StillMeta", "meta_of"]

_ORIENTATION = 0x0112
_EXIF_IFD, _GPS_IFD, _INTEROP_IFD = 0x8769, 0x8825, 0xA005
_MAKER_NOTE = 0x927C
_DESCRIPTION, _SHAPE = 0x010E, '{"shape":'
"""What scientific programs write there describes the file's arrays, not the picture."""

_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xA002, 0xA003
_X_RESOLUTION = 0x011A

_KEPT_TAGS = frozenset(
    (
        0x010D, 0x010E, 0x010F, 0x0110, 0x011D, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x8298,
        0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F,
    )
)  # fmt: skip
"""Of the first directory: who, when, with what and of what.  All others say how a file stores its
samples or its preview, which another file does otherwise."""

_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|\s*>\s*))[2-8]")


@dataclass(frozen=True, slots=True, kw_only=True)
class StillMeta:
    """What goes with a picture and is written with it again."""

    icc: bytes | None = field(default=None, repr=False)
    """ICC profile of the samples."""

    exif: bytes | None = field(default=None, repr=False)
    """EXIF block, beginning with its signature, little endian, without preview and orientation."""

    xmp: bytes | None = field(default=None, repr=False)
    """XMP packet."""

    dpi: tuple[float, float] | None = None

    orientation: int = 1
    """EXIF orientation in which the samples are: 1 is upright.  What is read whole was turned."""

    notes: tuple[str, ...] = ()
    """One sentence for each thing that reading changed."""

    def upright(self) -> StillMeta:
        """The same of samples that have been turned."""
        xmp = self.xmp and _XMP_ORIENTATION.sub(rb"\g<1>1", self.xmp)
        return replace(self, orientation=1, xmp=xmp)

    def exif_block(self, size: tuple[int, int], *, most: int | None = None) -> bytes | None:
        """The EXIF block for a picture of `size` (width, height), which it names where it did.

        Where it is longer than `most` bytes it goes without the camera's own notes, or not at all.
        """
        exif = self._exif(size)
        if exif is None:
            return None
        block = exif.tobytes()
        if most is not None and len(block) > most:
            exif.get_ifd(_EXIF_IFD).pop(_MAKER_NOTE, None)
            block = exif.tobytes()
        return block if most is None or len(block) <= most else None

    def _exif(self, size: tuple[int, int]) -> Image.Exif | None:
        exif = _empty()
        if self.exif is not None:
            exif.load(self.exif)
        if _EXIF_IFD in exif:
            camera = exif.get_ifd(_EXIF_IFD)
            for tag, length in zip((_PIXEL_WIDTH, _PIXEL_HEIGHT), size, strict=True):
                if tag in camera:
                    camera[tag] = length
        if self.orientation != 1:
            exif[_ORIENTATION] = self.orientation
        return exif if len(exif) else None


def meta_of(image: Image.Image) -> StillMeta:
    """What Pillow has read of a picture beside its samples, as it is in the file."""
    exif = image.getexif()
    kept = _empty()
    for tag in _KEPT_TAGS & set(exif):
        if not (tag == _DESCRIPTION and str(exif[tag]).startswith(_SHAPE)):
            kept[tag] = exif[tag]
    for number in (_EXIF_IFD, _GPS_IFD):
        entries = {tag: v for tag, v in exif.get_ifd(number).items() if tag != _INTEROP_IFD}
        if entries:
            kept.get_ifd(number).update(entries)
            kept[number] = 0
    return StillMeta(
        icc=image.info.get("icc_profile"),
        exif=kept.tobytes() if len(kept) else None,
        xmp=_xmp(image.info),
        dpi=_dpi(image),
        orientation=_orientation(exif),
    )


def _empty() -> Image.Exif:
    exif = Image.Exif()
    exif.endian = "<"
    return exif


def _orientation(exif: Image.Exif) -> int:
    value = exif.get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _xmp(info: dict[Any, Any]) -> bytes | None:
    packet = info.get("xmp") or info.get("XML:com.adobe.xmp")
    if isinstance(packet, str):
        packet = packet.encode("utf-8")
    return bytes(packet) if isinstance(packet, bytes) and packet else None


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    if isinstance(image, TiffImageFile) and _X_RESOLUTION not in image.tag_v2:
        return None  # Pillow makes one up.
    dpi = image.info.get("dpi")
    if not dpi or not all(0 < float(dots) < 1e6 for dots in dpi):
        return None
    return float(dpi[0]), float(dpi[1])
