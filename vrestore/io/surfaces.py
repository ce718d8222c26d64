"""Pictures in the layout of hardware, NV12 and P010, as planes of frames and back.

Cb and Cr share a plane there, two samples apart, and the ten bits of P010 lie in the upper part of
sixteen.  Frames have one plane for each component, and code values as the standard counts them.
So chroma planes are strided views, and P010 is shifted by the same pass that copies it.

The same code works on CUDA and in main memory, where DLPack shares memory both ways too.
"""

from __future__ import annotations

from collections.abc import Sequence

import av
import torch
from av.video.frame import CudaContext
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from vrestore.media import ColorModel, SampleFormat

__all__ = ["SurfaceMaker", "is_surface", "planes_of_surface", "software_name", "surface_name"]

_SHIFT = 6
"""Bits of P010 below the significant ones."""


def is_surface(picture: av.VideoFrame) -> bool:
    """Whether a picture lies on a CUDA device."""
    return picture.format.name == "cuda"


def software_name(picture: av.VideoFrame) -> str:
    """FFmpeg's name of a picture's samples, wherever they lie."""
    inner = picture.sw_format
    return picture.format.name if inner is None else inner.name


def surface_name(form: SampleFormat) -> str | None:
    """The layout of hardware for a format: "nv12", "p010le", or None where there is none."""
    chroma = form.log2_chroma_w, form.log2_chroma_h
    if form.model is not ColorModel.YCBCR or chroma != (1, 1) or form.alpha:
        return None
    return {8: "nv12", 10: "p010le"}.get(form.depth)


def planes_of_surface(picture: av.VideoFrame) -> tuple[Tensor, Tensor, Tensor]:
    """Y, Cb and Cr of an NV12 or P010 picture: a copy, on the device where it lies.

    A decoder has few surfaces and wants them back, so the copy is finished when this returns.
    """
    on_device = is_surface(picture)
    stream = None
    if on_device:
        # FFmpeg works on the device's default stream and exports without waiting for it.
        device = torch.device("cuda", picture.planes[0].__dlpack_device__()[1])
        stream = torch.cuda.current_stream(device)
        stream.wait_stream(torch.cuda.default_stream(device))
    # Capsules, since torch would ask a plane for an export on its own stream, which PyAV refuses.
    luma, both = (from_dlpack(plane.__dlpack__()) for plane in picture.planes)
    if software_name(picture) == "p010le":
        luma, both = (_shifted(plane, -_SHIFT) for plane in (luma, both))
    else:
        luma, both = luma.clone(), both.clone()
    if stream is not None:
        stream.synchronize()
    both = both.view(both.shape[0], -1, 2)
    return luma, both[..., 0], both[..., 1]


def _shifted(plane: Tensor, bits: int) -> Tensor:
    """Unsigned 16-bit values shifted to the left, or to the right where `bits` is negative."""
    # torch shifts no unsigned integers; the sign that a right shift spreads is masked away.
    signed = plane.view(torch.int16)
    if bits >= 0:
        return (signed << bits).view(torch.uint16)
    return ((signed >> -bits) & ((1 << (16 + bits)) - 1)).view(torch.uint16)


class SurfaceMaker:
    """Planes of code values as pictures that a hardware encoder takes, without leaving the device.

    One for each encoder; used in the thread of its stage.
    """

    def __init__(self, form: SampleFormat) -> None:
        """ValueError for formats other than 4:2:0 of 8 or 10 bits."""
        name = surface_name(form)
        if name is None:
            raise ValueError(f"hardware has no layout for {form}")
        self._name = name
        self._context: CudaContext | None = None

    def __call__(self, planes: Sequence[Tensor]) -> av.VideoFrame:
        """The picture, without time, tags or side data.  It keeps its memory alive."""
        height, width = planes[0].shape
        luma, both = self._laid_out(planes)
        if not luma.is_cuda:
            return av.VideoFrame.from_dlpack(
                (luma, both), format=self._name, width=width, height=height
            )
        # The encoder reads on a stream of its own; this thread has nothing else to do.
        torch.cuda.current_stream(luma.device).synchronize()
        index = luma.device.index or 0
        if self._context is None:
            self._context = CudaContext(device_id=index, primary_ctx=True)
        return av.VideoFrame.from_dlpack(
            (luma, both), format=self._name, width=width, height=height,
            device_id=index, cuda_context=self._context,
        )  # fmt: skip

    def _laid_out(self, planes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Luma and both kinds of chroma, right behind it: an encoder is told of the first alone."""
        luma, u, v = planes
        height, width = luma.shape
        if self._name == "nv12" and _is_one_surface(luma, u, v):
            return luma, torch.as_strided(u, (height // 2, width), (u.stride(0), 1))
        rows = luma.new_empty((height + height // 2, width))
        both = rows[height:].view(height // 2, width // 2, 2)
        for made, plane in zip((rows[:height], both[..., 0], both[..., 1]), planes, strict=True):
            made.copy_(plane if self._name == "nv12" else _shifted(plane, _SHIFT))
        return rows[:height], rows[height:]


def _is_one_surface(luma: Tensor, u: Tensor, v: Tensor) -> bool:
    """Whether three planes of bytes are an NV12 picture already."""
    return (
        luma.stride(1) == 1
        and u.stride() == v.stride() == (luma.stride(0), 2)
        and u.data_ptr() == luma.data_ptr() + luma.stride(0) * luma.shape[0]
        and v.data_ptr() == u.data_ptr() + 1
    )
