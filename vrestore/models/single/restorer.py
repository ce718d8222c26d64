"""The Op that restores a stream picture by picture with a network of others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from vrestore.errors import DeviceError, ModelError
from vrestore.media import ColorModel, Frame
from vrestore.models.nets.grid import upsample
from vrestore.models.reference import require_unit
from vrestore.models.registry import ModelSpec
from vrestore.models.single.picture import PictureNet
from vrestore.models.single.tiles import MIN_SIDE, magnified, side_for
from vrestore.notes import ShotNote
from vrestore.shortage import is_shortage, shortage_note

__all__ = ["ImageRestorer"]

TILE_BYTES = 256 * 2**20
"""`tile = auto` cuts pictures into tiles whose features take no more than this."""


class ImageRestorer:
    """Restores every RGB 4:4:4 frame by itself.

    The network sees R'G'B' within 0..1, as it was trained; head- and footroom are clipped.  Alpha
    is magnified beside the colour by bicubic interpolation.

    Args:
        tile: side of tiles in samples, 0 for whole frames, None to decide by size.
    """

    latency = 0

    def __init__(self, spec: ModelSpec, net: PictureNet, *, tile: int | None) -> None:
        self.spec = spec
        self.scale = net.geometry.scale
        self._net = net
        self._tile = tile
        self._narrowed: int | None = None
        """Side of the tiles since memory ran out."""
        self.notes: list[ShotNote] = []
        """One for each time that memory ran out."""

    def push(self, item: Frame) -> Iterable[Frame]:
        require_unit(item)
        if item.format.model is not ColorModel.RGB:
            raise ModelError(f"{self.spec.name!r} takes RGB frames, got {item!r}")
        rgb = torch.stack([plane.to(torch.float32) for plane in item.planes[:3]])[None]
        made = self._magnified(item, rgb.clamp_(0.0, 1.0)).clamp_(0.0, 1.0)
        planes = list(made[0].unbind(0))
        if item.format.alpha:
            planes.append(upsample(item.planes[3].to(torch.float32)[None, None], self.scale)[0, 0])
        return (replace(item, planes=tuple(planes)),)

    def flush(self) -> Iterable[Frame]:
        return ()

    def _magnified(self, frame: Frame, rgb: Tensor) -> Tensor:
        while True:
            side = self._side(frame)
            try:
                return magnified(self._net, rgb, side)
            except (RuntimeError, MemoryError) as error:
                # Nothing of this frame has been kept yet, so it can be done again.
                if not is_shortage(error):
                    raise
                self._narrow(frame, side or max(frame.width, frame.height), error)

    def _side(self, frame: Frame) -> int:
        if self._narrowed is not None:
            return self._narrowed
        if self._tile is not None:
            return self._tile
        return side_for(self._net.geometry, frame.height, frame.width, TILE_BYTES)

    def _narrow(self, frame: Frame, side: int, error: BaseException) -> None:
        """Halves the tiles from this frame on.  Raises DeviceError where that cannot help."""
        geometry = self._net.geometry
        if side // 2 < MIN_SIDE or geometry.whole or geometry.square or geometry.fixed:
            raise DeviceError(
                f"there is too little memory for {frame.width}x{frame.height} with "
                f"{self.spec.name} x{self.scale}; free some, or choose a smaller model"
            ) from error
        self._narrowed = side // 2
        self.notes.append(shortage_note(frame.index, "band_rows", float(self._narrowed)))
