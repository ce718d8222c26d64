"""NV12 and P010 as planes and back: in main memory, where DLPack shares memory as on a device."""

from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from vrestore.errors import DeviceError
from vrestore.io.formats import planes_of, to_native
from vrestore.io.hardware import decoder_refusal, require_driver
from vrestore.io.surfaces import SurfaceMaker, planes_of_surface, software_name, surface_name
from vrestore.media import (
    ColorModel,
    ColorSpec,
    SampleFormat,
    StreamInfo,
    StreamKind,
    VideoInfo,
)

YUV420 = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)
TEN = replace(YUV420, depth=10)
SIZES = [(64, 48), (62, 34), (2, 2)]


def picture(name: str, width: int, height: int) -> av.VideoFrame:
    """Noise over all code values in a layout of hardware; rows are padded as FFmpeg likes."""
    rng = np.random.default_rng(width)
    planar, most = ("yuv420p", 256) if name == "nv12" else ("yuv420p10le", 1024)
    codes = rng.integers(0, most, (height * 3 // 2, width)).astype("u1" if most == 256 else "<u2")
    return av.VideoFrame.from_ndarray(codes, format=planar).reformat(format=name, threads=1)


def same(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> bool:
    return all(
        a.dtype == b.dtype and np.array_equal(a.numpy(), b.numpy())
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("name", ["nv12", "p010le"])
def test_planes_of_a_surface_are_those_of_the_planar_picture(name: str, width: int, height: int):
    surface = picture(name, width, height)
    planes = planes_of_surface(surface)
    assert same(planes, planes_of(to_native(surface)))
    assert planes[1].stride(1) == planes[2].stride(1) == 2


def test_a_surface_is_copied_since_its_decoder_wants_it_back():
    surface = picture("nv12", 64, 48)
    planes = planes_of_surface(surface)
    kept = planes[0].clone()
    surface.make_writable()
    torch.frombuffer(memoryview(surface.planes[0]), dtype=torch.uint8).zero_()
    assert torch.equal(planes[0], kept)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("name", ["nv12", "p010le"])
def test_a_surface_survives_the_way_through_planes(name: str, width: int, height: int):
    surface = picture(name, width, height)
    made = SurfaceMaker(YUV420 if name == "nv12" else TEN)(planes_of_surface(surface))
    assert made.format.name == software_name(made) == name
    assert same(planes_of(to_native(made)), planes_of(to_native(surface)))


def test_what_is_one_surface_already_is_not_copied():
    rows = torch.randint(0, 256, (72, 64), dtype=torch.uint8)
    both = rows[48:].view(24, 32, 2)
    made = SurfaceMaker(YUV420)((rows[:48], both[..., 0], both[..., 1]))
    assert made.planes[0].buffer_ptr == rows.data_ptr()
    assert made.planes[1].buffer_ptr == both.data_ptr()


def test_chroma_lies_behind_luma_whatever_planes_are_given():
    planes = tuple(torch.zeros(size, dtype=torch.uint8) for size in ((48, 64), (24, 32), (24, 32)))
    made = SurfaceMaker(YUV420)(planes)
    assert made.planes[1].buffer_ptr == made.planes[0].buffer_ptr + 48 * made.planes[0].line_size


@pytest.mark.parametrize("form", [
    replace(YUV420, depth=12), replace(YUV420, log2_chroma_h=0), replace(YUV420, alpha=True),
    SampleFormat(model=ColorModel.GRAY, depth=8),
])  # fmt: skip
def test_what_hardware_has_no_layout_for_is_refused(form: SampleFormat):
    assert surface_name(form) is None
    with pytest.raises(ValueError, match="no layout"):
        SurfaceMaker(form)


# -------------------------------------------------------------------------- what NVDEC reads

VIDEO = VideoInfo(
    stream=StreamInfo(index=0, kind=StreamKind.VIDEO, codec="hevc"), width=3840, height=2160,
    format=TEN, pixel_format="yuv420p10le", color=ColorSpec(),
)  # fmt: skip


def present(codec: str, index: int) -> None:
    """A double for a card that decodes everything in the table."""


def of(codec: str) -> StreamInfo:
    return replace(VIDEO.stream, codec=codec)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, None),
        ({"width": 8192, "height": 4320}, None),
        ({"width": 8194}, "stops at 8192x8192 for hevc"),
        ({"stream": of("h264"), "format": YUV420}, None),
        ({"stream": of("h264")}, "no 10-bit h264"),
        ({"stream": of("h264"), "format": YUV420, "width": 4098}, "stops at 4096x4096 for h264"),
        ({"stream": of("prores")}, "NVDEC has no prores"),
        ({"format": replace(TEN, log2_chroma_h=0), "pixel_format": "yuv422p10le"}, "yuv422p10le"),
        ({"width": 1919}, "even sizes only"),
        ({"side_data": ("A53_CC",)}, "carry A53_CC"),
    ],
)
def test_what_nvdec_does_not_read_is_told_in_half_a_sentence(
    fields: dict[str, object], said: str | None
):
    refusal = decoder_refusal(replace(VIDEO, **fields), 0, present)  # type: ignore[arg-type]
    assert refusal == said if said is None else refusal is not None and said in refusal


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a driver")
def test_without_a_driver_the_real_decoder_says_so_in_one_sentence():
    with pytest.raises(
        DeviceError, match=r"^CUDA device 0 does not decode hevc: no NVIDIA driver$"
    ):
        require_driver("hevc", 0)
    assert "no NVIDIA driver" in str(decoder_refusal(VIDEO, 0))
