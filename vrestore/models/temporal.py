"""The Op that streams frames through a recurrent cell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.errors import DeviceError, ModelError
from vrestore.media import ChromaLocation, Coding, ColorModel, Frame, SampleFormat
from vrestore.models.kernels.codes import Codes
from vrestore.models.nets.align import Pyramid, crop
from vrestore.models.nets.cell import Cell, Kernels, Memory, Neighbour, noise_level
from vrestore.models.nets.grid import GRAY, YUV420, Layout, Picture, upsample
from vrestore.models.nets.warp import validity
from vrestore.models.noise import NOISE_KEY
from vrestore.models.reference import require_unit
from vrestore.models.registry import ModelSpec
from vrestore.notes import ShotNote
from vrestore.shortage import is_shortage, shortage_note

if TYPE_CHECKING:
    from vrestore.models.compiled.speedup import SpeedUp
    from vrestore.models.kernels.step import FusedStep

CO_SITED_X = (
    ChromaLocation.LEFT,
    ChromaLocation.TOPLEFT,
    ChromaLocation.BOTTOMLEFT,
    ChromaLocation.UNSPECIFIED,
)
SITED_Y = {
    ChromaLocation.TOPLEFT: 1.0,
    ChromaLocation.TOP: 1.0,
    ChromaLocation.BOTTOMLEFT: -1.0,
    ChromaLocation.BOTTOM: -1.0,
}

BAND_BYTES = 128 * 2**20
"""`tile = auto` cuts the trunk into bands whose activations are no larger than this each."""

TOGETHER = 2**22
"""Luma samples of a frame up to which both ways to a neighbour are found in one pass: half as many
operations, for twice the memory."""

NARROWEST = 8
"""Rows of the grid below which a band is mostly the halo around it."""


@dataclass(frozen=True, slots=True)
class _Held:
    """The newest frame, waiting for the one after it."""

    frame: Frame
    picture: Picture
    pyramid: Pyramid
    before: Neighbour | None
    """The way to the frame before, None at the start of a shot."""


class TemporalRestorer:
    """Restores a stream of YCbCr or gray frames with one frame of lookahead.

    Frames of any size and subsampling; sizes may change at any frame, which then starts a shot.
    Alpha is magnified beside the colour by bicubic interpolation.  Everything of a shot depends on
    that shot alone, so a still is a shot of one frame.

    Args:
        strength: 0 trusts a clean source, 1 expects heavy damage; a frame's tuning may tell
            otherwise.
        tile: luma rows per band of the trunk, 0 for whole frames, None to decide by size.
        dtype: of the trunk; everything else is fp32.
        fused: does the steps of 4:2:0 in place of the cell.
        codes: what code values mean, for frames of code values in and out; needs `fused`.
        speed_up: what is compiled for the cell.
    """

    latency = 1

    def __init__(
        self,
        spec: ModelSpec,
        cell: Cell,
        scale: int,
        *,
        strength: float,
        tile: int | None,
        dtype: torch.dtype,
        device: torch.device,
        fused: FusedStep | None = None,
        codes: Codes | None = None,
        speed_up: SpeedUp | None = None,
    ) -> None:
        self.spec = spec
        self.scale = scale
        self._cell = cell.to(device).eval().requires_grad_(False)
        self._strength = strength
        self._tile = tile
        self._dtype = dtype
        self._device = device
        self._fused = fused
        self._speed_up = speed_up
        self._codes = None if codes is None else codes.on(device)
        self._held: _Held | None = None
        self._memory: Memory | None = None
        self._kernels: dict[Layout, Kernels] = {}
        self._narrowed: int | None = None
        """Rows of the grid per band since memory ran out."""
        self._apart = False
        """Whether memory ran out while both ways to a neighbour were found in one pass."""
        self.notes: list[ShotNote] = []
        """One for each time that memory ran out."""

    def push(self, item: Frame) -> Iterable[Frame]:
        self._require(item)
        if item.format.model is ColorModel.RGB:
            raise ModelError(f"{self.spec.name!r} takes YCbCr or gray frames, got {item!r}")
        with torch.no_grad():
            picture = self._picture(item)
            pyramid = (self._fused or self._cell.align).pyramid(picture.luma)
            held = self._held
            if held is None or item.shot_start or not _alike(held.frame, item):
                finished = self._finish()
                self._held = _Held(item, picture, pyramid, None)
                return finished
            forward, backward = self._between(item, held.pyramid, pyramid, picture)
            restored = self._step(held, forward, picture)
            self._held = _Held(item, picture, pyramid, backward)
            return (restored,)

    def flush(self) -> Iterable[Frame]:
        with torch.no_grad():
            return self._finish()

    def _finish(self) -> tuple[Frame, ...]:
        """What is held, without a next frame; all memory is cleared."""
        held, self._held = self._held, None
        restored = () if held is None else (self._step(held, None, None),)
        self._memory = None
        return restored

    def _step(self, held: _Held, after: Neighbour | None, following: Picture | None) -> Frame:
        frame, picture = held.frame, held.picture
        told = frame.tuning.get("restore.strength", self._strength)
        strength = picture.luma.new_full((1, 1, 1, 1), told)
        knobs = torch.cat((_noise(frame, picture), strength), 1)
        while True:
            band = self._band(picture)
            try:
                memory, planes = self._stepped(held, knobs, after, following, band)
                break
            except (RuntimeError, MemoryError) as error:
                # Nothing of this frame has been kept yet, so it can be done again.
                if not is_shortage(error):
                    raise
                self._narrow(frame, band or picture.luma.shape[-2] // 2, error)
        self._memory = memory
        if self._codes is None:
            return replace(frame, planes=planes)
        coding, form, color = Coding.CODE, self._codes.format, self._codes.color
        return replace(frame, planes=planes, coding=coding, format=form, color=color, ready=None)

    def _stepped(
        self,
        held: _Held,
        knobs: Tensor,
        after: Neighbour | None,
        following: Picture | None,
        band: int | None,
    ) -> tuple[Memory, tuple[Tensor, ...]]:
        """One step of the network: what it remembers, and the restored frame's planes."""
        frame, layout = held.frame, _layout(held.frame.format)
        kernels, shift = self._kernels_for(layout), _chroma_shift(frame, self.scale)
        given = (kernels, held.picture, knobs, self._memory, held.before, after, following)
        if self._fused is None or layout != YUV420:
            result = self._cell(*given, shift=shift, band=band)
            return result.memory, self._planes(frame, result.picture)
        packing = None
        if self._codes is not None:
            packing = self._codes.packing(frame.timestamp.pts)
        made = self._fused(*given, shift=shift, band=band, packing=packing)
        if made.picture is not None:
            return made.memory, self._planes(frame, made.picture)
        sizes = (
            frame.format.plane_size(i, frame.width * self.scale, frame.height * self.scale)
            for i in range(3)
        )
        codes = zip(made.codes or (), sizes, strict=True)
        return made.memory, tuple(plane[:rows, :columns] for plane, (rows, columns) in codes)

    def _between(
        self, frame: Frame, first: Pyramid, second: Pyramid, picture: Picture
    ) -> tuple[Neighbour, Neighbour]:
        """The ways from the first frame to the second, which is `frame`, and back."""
        height, width = picture.luma.shape[-2:]
        flows = None
        if height * width <= TOGETHER and not self._apart:
            try:
                flows = self._flows(_joined(first, second), _joined(second, first))
            except (RuntimeError, MemoryError) as error:
                if not is_shortage(error):
                    raise
                self._apart = True
                self.notes.append(shortage_note(frame.index, "ways_apart", 1.0))
        if flows is None:
            flows = torch.cat((self._flows(first, second), self._flows(second, first)))
        flows = crop(flows, height // 2, width // 2)
        trust = validity(flows, flows.flip(0))
        present = torch.ones_like(trust[:1, :, :1, :1])
        return (
            Neighbour(flows[:1], trust[:1], present),
            Neighbour(flows[1:], trust[1:], present),
        )

    def _flows(self, first: Pyramid, second: Pyramid) -> Tensor:
        """(N, 2, h, w) on the grid, from each first picture to its second."""
        if self._fused is not None:
            return self._fused.flows(first, second)
        flows: Tensor = self._cell.align(first, second)[-1]
        return flows

    def _narrow(self, frame: Frame, rows: int, error: BaseException) -> None:
        """Halves the bands from this frame on.  Raises DeviceError where that cannot help."""
        if rows // 2 < NARROWEST:
            raise DeviceError(
                f"{self._device} has too little memory for {frame.width}x{frame.height} with "
                f"{self.spec.name} x{self.scale}, even in bands of {2 * rows} rows; free some, "
                "or choose a smaller model or scale"
            ) from error
        self._narrowed = rows // 2
        self.notes.append(shortage_note(frame.index, "band_rows", 2.0 * self._narrowed))

    def _kernels_for(self, layout: Layout) -> Kernels:
        if layout not in self._kernels:
            kernels = self._cell.kernels(layout, self.scale, self._dtype)
            self._kernels[layout] = self._speed_up.kernels(kernels) if self._speed_up else kernels
        return self._kernels[layout]

    def _band(self, picture: Picture) -> int | None:
        """Rows of the grid per band of the trunk."""
        if self._narrowed is not None:
            return self._narrowed
        h, w = (size // 2 for size in picture.luma.shape[-2:])
        if self._tile is not None:
            return max(8, self._tile // 2) if self._tile else None
        row = w * self._cell.width * self._dtype.itemsize
        return None if h * row <= BAND_BYTES else max(32, BAND_BYTES // row)

    # ------------------------------------------------------------------- frames and pictures

    def _require(self, frame: Frame) -> None:
        """Raise ModelError for frames of the wrong coding."""
        if self._codes is None:
            require_unit(frame)
        elif frame.coding is not Coding.CODE or _layout(frame.format) != YUV420:
            raise ModelError(f"{self.spec.name!r} was made for code values of 4:2:0, got {frame!r}")

    def _picture(self, frame: Frame) -> Picture:
        """A frame as zero-centred planes of legal size, edges repeated."""
        step = self.spec.multiple_of
        height, width = (
            max(-(-size // step) * step, self.spec.min_size) for size in (frame.height, frame.width)
        )
        if self._codes is not None and self._fused is not None:
            return self._fused.unpack(frame.planes, self._codes.source, height, width)
        luma = _padded(frame.planes[0].to(torch.float32)[None, None], height, width) - 0.5
        layout = _layout(frame.format)
        if not layout.samples:
            return Picture(luma, None)
        chroma = torch.stack([p.to(torch.float32) for p in frame.planes[1:3]])[None]
        # What is subsampled by four is repeated to half, which the fold treats as the same thing.
        rows, columns = _repeats(frame.format)
        chroma = chroma.repeat_interleave(rows, 2).repeat_interleave(columns, 3)
        chroma = _padded(chroma, height // 2 * layout.rows, width // 2 * layout.columns)
        return Picture(luma, chroma - 0.5)

    def _planes(self, frame: Frame, picture: Picture) -> tuple[Tensor, ...]:
        """Those of the restored frame, cropped to `scale` times the source's size."""
        height, width = frame.height * self.scale, frame.width * self.scale
        planes = [_plane(picture.luma[0, 0], height, width)]
        if picture.chroma is not None:
            rows, columns = _repeats(frame.format)
            chroma = picture.chroma
            if rows > 1 or columns > 1:
                chroma = F.avg_pool2d(chroma, (rows, columns))
            size = frame.format.plane_size(1, width, height)
            planes += [_plane(plane, *size) for plane in chroma[0]]
        if frame.format.alpha:
            alpha = upsample(frame.planes[-1].to(torch.float32)[None, None], self.scale)
            planes.append(alpha[0, 0])
        return tuple(planes)


def _noise(frame: Frame, picture: Picture) -> Tensor:
    """The frame's noise level; a part of a larger picture is told that of all of it."""
    told = frame.tuning.get(NOISE_KEY)
    if told is None:
        return noise_level(picture.luma)
    return picture.luma.new_full((1, 1, 1, 1), told)


def _joined(first: Pyramid, second: Pyramid) -> Pyramid:
    return Pyramid(*(torch.cat(levels) for levels in zip(first, second, strict=True)))


def _layout(form: SampleFormat) -> Layout:
    if form.model is ColorModel.GRAY:
        return GRAY
    return Layout(1 if form.log2_chroma_h else 2, 1 if form.log2_chroma_w else 2)


def _repeats(form: SampleFormat) -> tuple[int, int]:
    """How often chroma rows and columns are repeated to reach half the luma's."""
    return 1 << max(0, form.log2_chroma_h - 1), 1 << max(0, form.log2_chroma_w - 1)


def _chroma_shift(frame: Frame, scale: int) -> tuple[float, float]:
    """Sampling shift of `upsample`, (vertical, horizontal), for the frame's chroma siting."""
    form, location = frame.format, frame.color.chroma_location
    unit = 0.25 - 0.25 / scale
    return (
        unit * SITED_Y.get(location, 0.0) if form.log2_chroma_h else 0.0,
        unit if form.log2_chroma_w and location in CO_SITED_X else 0.0,
    )


def _padded(plane: Tensor, height: int, width: int) -> Tensor:
    h, w = plane.shape[-2:]
    if (h, w) == (height, width):
        return plane
    return F.pad(plane, (0, width - w, 0, height - h), mode="replicate")


def _plane(plane: Tensor, height: int, width: int) -> Tensor:
    """A centred plane as a frame's: rows of neighbouring samples, 0.5 added back."""
    return plane[:height, :width].contiguous() + 0.5


def _alike(a: Frame, b: Frame) -> bool:
    return a.format == b.format and (a.width, a.height) == (b.width, b.height)
