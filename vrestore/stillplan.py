"""What is decided for a single picture: samples, losses, tiles, memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

import torch

from vrestore.errors import PlanError
from vrestore.io.losses import Loss
from vrestore.io.scan import LARGE
from vrestore.io.stillkinds import StillKind
from vrestore.media import ColorModel, MediaInfo, SampleFormat
from vrestore.models.footprint import Footprint
from vrestore.models.nets import ARCHITECTURES
from vrestore.models.registry import ModelSpec
from vrestore.models.restorer import runs_compiled
from vrestore.ops.size import SizePlan
from vrestore.ops.underlay import REACH
from vrestore.preset import Preset

__all__ = [
    "StillTiles",
    "choose_tiles",
    "require_possible",
    "still_format",
    "still_losses",
    "subsampling_of",
    "tiled_bytes",
]

_FORMATS = MappingProxyType({"rgb24": 8, "gray": 8, "rgba": 8, "rgb48": 16, "gray16": 16,
                             "rgba64": 16})  # fmt: skip
_SUBSAMPLINGS = MappingProxyType({"yuv444p": "4:4:4", "yuv422p": "4:2:2", "yuv420p": "4:2:0"})

_WHOLE_PIXELS = 2**21
"""Up to which a picture is restored at once: features of half a gigabyte."""

_SIDE = 1024
_OUTPUT_SIDE = 2048
"""Largest side of a tile, before and after; bands of the output are as high as tiles."""

_STEP = 16
"""Multiple of the halo; tiles lie on the network's grid of 2x2 samples."""

_RESAMPLING = 16
"""Samples that interpolation looks at around its own, at most."""

_UNPACKING, _UNPACKED = 6, 4
"""Copies of what is unpacked, by strips and whole: as stored, in Pillow, as planes ..."""

_WORKING_COPIES = 6
"""float32 planes of a tile alive at once, before and after each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StillTiles:
    """How a large picture is cut: squares, each with a halo that the network looks at."""

    side: int
    """Rows and columns of the source that a tile answers for."""

    halo: int
    """Rows and columns around them that it is made from."""


def _is_scan(info: MediaInfo) -> bool:
    """Whether a source is a TIFF file so large that it is read by strips, and never as a whole."""
    video = info.video
    return info.is_still and video.stream.codec == "tiff" and video.width * video.height > LARGE


def still_format(source: SampleFormat, kind: StillKind, wanted: str = "auto") -> SampleFormat:
    """RGB or grey of the source's depth, or the wanted one, as far as the kind of file holds it.

    `wanted` is a pixel format: rgb24, rgb48, gray16 ...; others are about something else.
    """
    model = ColorModel.RGB if source.model is ColorModel.YCBCR else source.model
    deep = _FORMATS.get(wanted, 16 if source.depth > 8 else 8) > 8 and 16 in kind.depths
    alpha = source.alpha and kind.alpha
    if source.is_float and wanted not in _FORMATS and 32 in kind.depths:
        return SampleFormat(model=model, depth=32, alpha=alpha, is_float=True)
    return SampleFormat(model=model, depth=16 if deep else 8, alpha=alpha)


def subsampling_of(pixel_format: str) -> str:
    """Chroma of a JPEG file for a pixel format: 4:4:4 where it says nothing of it."""
    return _SUBSAMPLINGS.get(pixel_format.replace("yuvj", "yuv"), "4:4:4")


def still_losses(source: SampleFormat, form: SampleFormat, kind: StillKind) -> Iterator[Loss]:
    """What the file cannot keep of the samples."""
    if source.alpha and not form.alpha:
        yield Loss(
            what="transparency", why=f"{kind.name} has none", remedy="write PNG, TIFF or WebP"
        )
    if source.depth > form.depth == max(kind.depths):
        deep = "float samples" if source.is_float else f"{source.depth} bits a sample"
        yield Loss(
            what=deep,
            why=f"{kind.name} holds {form.depth}",
            remedy="write TIFF" if source.is_float else "write PNG or TIFF",
        )


def require_possible(
    info: MediaInfo,
    size: SizePlan,
    kind: StillKind,
    tiles: StillTiles | None,
    *,
    most: int,
) -> None:
    """Raises PlanError for a picture that the file cannot hold, or that cannot be cut into tiles
    and has more than `most` pixels."""
    if max(size.output) > kind.longest:
        raise PlanError(
            f"{kind.name} holds sides of at most {kind.longest} samples, not "
            f"{size.output[0]}x{size.output[1]}; write TIFF or PNG"
        )
    video = info.video
    if tiles is None and video.width * video.height > most:
        raise PlanError(
            f"{info.path} is {video.width}x{video.height}; more than {most} pixels are restored "
            "by our networks alone, at a whole scale and without other stages "
            "(--set input.max_pixels=N raises the limit)"
        )


def choose_tiles(
    info: MediaInfo, model: ModelSpec, size: SizePlan, preset: Preset, *, alone: bool
) -> StillTiles | None:
    """How a picture is cut; None where it is small, or is not only enlarged by a network of ours.

    `alone` says that nothing stands around the network that looks further than a halo.
    """
    video = info.video
    width, height = video.width, video.height
    scale = size.output[0] // width
    if (width * scale, height * scale) != size.output or size.pads or not alone:
        return None
    if width * height * max(1, scale * scale // 4) <= _WHOLE_PIXELS:
        return None
    if preset.cuts.tune or preset.input.frames is not None:
        return None
    reach = {"cell": 2 * (int(model.arch_args.get("depth", 0)) + 2), "resize": 0, "identity": 0}
    if model.arch not in reach:
        return None
    halo = reach[model.arch] + _RESAMPLING + (REACH if video.format.alpha else 0)
    return StillTiles(side=min(_SIDE, _OUTPUT_SIDE // scale), halo=-(-halo // _STEP) * _STEP)


def tiled_bytes(
    info: MediaInfo,
    model: ModelSpec,
    size: SizePlan,
    form: SampleFormat,
    kind: StillKind,
    tiles: StillTiles,
    device: torch.device,
) -> int:
    """Memory that a picture takes which is restored in tiles."""
    video = info.video
    scale = size.output[0] // video.width
    window = tiles.side + 2 * tiles.halo
    by_strips = _is_scan(info)
    held = window if by_strips else video.height
    copies = _UNPACKING if by_strips else _UNPACKED
    source = video.format.frame_bytes(video.width, held) * copies
    rows = tiles.side * scale if kind.streams else size.output[1]
    band = form.frame_bytes(size.output[0], rows) * (1 if kind.streams else 2)
    planes = video.format.plane_count * 4 * _WORKING_COPIES
    work = window * window * planes * (1 + scale * scale)
    if model.arch in ARCHITECTURES:
        network = Footprint(
            spec=model, scale=size.network_scale, format=video.format,
            height=window, width=window, dtype=torch.float32,
            compiled=runs_compiled(model, device),
        )  # fmt: skip
        work += network.bytes(network.own_rows)
    blocks = video.width * video.height // 64 * 4 * 3
    return source + band + work + blocks
