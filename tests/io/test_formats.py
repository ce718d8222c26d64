"""Sample formats and the planes of FFmpeg's frames."""

import av
import numpy as np
import pytest
import torch
from av.video.format import names
from hypothesis import given
from hypothesis import strategies as st

from vrestore.errors import InputError
from vrestore.io.formats import (
    has_transparency,
    implied_range,
    native_planar,
    pixel_format,
    planes_of,
    sample_format,
    to_native,
    video_frame,
)
from vrestore.media import ColorModel, Range, SampleFormat

NATIVE = sorted(name for name in names if sample_format(name))
CONVERTED = sorted(name for name in names if sample_format(name) is None)

NOT_ALL_VALUES = ("bgr4", "rgb4", "444", "555", "565", "bgr8", "rgb8", "mono", "xyz", "pal8")
"""Parts of the names of formats that cannot hold every native value."""

READ_ONLY = ("f16", "rgbf", "rgbaf", "v30xbe", "xv30be", "x2bgr10be", "x2rgb10be")
READ_ONLY += ("y210be", "y212be", "y216be")
"""Parts of the names of formats that swscale does not write."""


def random_planes(layout: SampleFormat, width: int, height: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(width * 1000 + height)
    planes = []
    for i in range(layout.plane_count):
        size = layout.plane_size(i, width, height)
        if layout.is_float:
            planes.append(torch.rand(size, generator=generator))
        else:
            codes = torch.randint(0, 2**layout.depth, size, generator=generator)
            planes.append(codes.to(layout.code_dtype))
    return planes


def is_invertible(name: str) -> bool:
    try:
        native_planar(name)
    except InputError:
        return False
    return not any(part in name for part in (*NOT_ALL_VALUES, *READ_ONLY))


@pytest.mark.parametrize("size", [(64, 48), (177, 143), (2, 2), (1, 1)])
@pytest.mark.parametrize("name", NATIVE)
def test_planes_come_back_from_a_video_frame_bit_exact(name: str, size: tuple[int, int]) -> None:
    layout = sample_format(name)
    assert layout is not None
    width, height = size
    planes = random_planes(layout, width, height)
    frame = video_frame(planes, layout)
    assert (frame.width, frame.height) == size
    assert frame.format.name == name.replace("yuvj", "yuv")
    back = planes_of(frame)
    assert [p.dtype for p in back] == [layout.code_dtype] * layout.plane_count
    assert all(torch.equal(a, b) for a, b in zip(planes, back, strict=True))


@pytest.mark.parametrize("name", [n for n in NATIVE if not n.startswith("yuvj")])
def test_pixel_format_is_the_inverse_of_sample_format(name: str) -> None:
    layout = sample_format(name)
    assert layout is not None
    assert pixel_format(layout) == name


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le", "gbrp", "gray", "yuva444p12le"])
def test_planes_of_even_sizes_cross_without_a_copy(name: str) -> None:
    layout = sample_format(name)
    assert layout is not None
    planes = random_planes(layout, 64, 48)
    back = planes_of(video_frame(planes, layout))
    assert [p.data_ptr() for p in back] == [p.data_ptr() for p in planes]


def test_planes_keep_the_frame_they_view_alive() -> None:
    frame = av.VideoFrame(64, 48, "yuv420p")
    planes = planes_of(frame)
    planes[0].fill_(77)
    del frame
    assert (planes[0] == 77).all()
    assert planes[0].stride(0) >= 64


def test_rows_that_are_not_contiguous_are_copied() -> None:
    layout = SampleFormat(model=ColorModel.GRAY, depth=8)
    plane = torch.arange(48, dtype=torch.uint8).reshape(6, 8)
    (back,) = planes_of(video_frame([plane.t()], layout))
    assert torch.equal(back, plane.t())


def test_planes_are_in_the_order_red_green_blue_alpha() -> None:
    packed = av.VideoFrame(2, 2, "rgba")
    rows = np.frombuffer(memoryview(packed.planes[0]), np.uint8).reshape(2, -1)[:, :8]
    rows[:] = [10, 20, 30, 40] * 2
    assert [int(plane[0, 0]) for plane in planes_of(to_native(packed))] == [10, 20, 30, 40]


@pytest.mark.parametrize("name", [n for n in CONVERTED if is_invertible(n)])
def test_a_native_format_holds_every_value_of_the_other(name: str) -> None:
    native = native_planar(name)
    layout = sample_format(native)
    assert layout is not None
    for width, height in ((64, 48), (35, 17)):
        if name.startswith(("p010", "p016")) and width % 2:
            continue  # swscale cannot write their last chroma column
        planes = random_planes(layout, width, height)
        other = video_frame(planes, layout).reformat(format=name, threads=1)
        back = planes_of(to_native(other))
        assert all(torch.equal(a, b) for a, b in zip(planes, back, strict=True))


@pytest.mark.parametrize("name", ["rgb565le", "bgr555le", "rgb444le", "rgb8", "rgb4_byte"])
def test_coarse_rgb_is_widened_without_leaving_rgb(name: str) -> None:
    source = av.VideoFrame(64, 48, name)
    rng = np.random.default_rng(1)
    raw = np.frombuffer(memoryview(source.planes[0]), np.uint8)
    raw[:] = rng.integers(0, 256, raw.size)
    packed = source.reformat(format="rgb24", threads=1)
    expected = torch.from_dlpack(packed.planes[0])
    for i, plane in enumerate(planes_of(to_native(source))):
        assert torch.equal(plane, expected[..., i])


@pytest.mark.parametrize("alpha", [255, 128])
def test_a_palette_becomes_its_colours(alpha: int) -> None:
    source = av.VideoFrame(16, 4, "pal8")
    palette = np.frombuffer(memoryview(source.planes[1]), "<u4")
    palette[:] = (255 << 24) + np.arange(256, dtype=np.uint32)
    palette[3] = (alpha << 24) + 0x030609
    np.frombuffer(memoryview(source.planes[0]), np.uint8)[:] = 3
    assert has_transparency(source) == (alpha < 255)
    native = to_native(source, "gbrap" if has_transparency(source) else None)
    wanted = [3, 6, 9, alpha][: len(planes_of(native))]
    assert [int(plane[2, 5]) for plane in planes_of(native)] == wanted


@pytest.mark.parametrize("name", ["gbrpf16le", "rgbf32le", "rgbaf16le", "grayf16le"])
def test_floats_that_swscale_cannot_read_are_widened_exactly(name: str) -> None:
    source = av.VideoFrame(6, 4, name)
    dtype = "<f2" if "f16" in name else "<f4"
    values = np.random.default_rng(2).random(4096).astype(dtype)
    for plane in source.planes:
        samples = np.frombuffer(memoryview(plane), dtype)
        samples[:] = values[: samples.size]
    planes = planes_of(to_native(source))
    assert all(plane.dtype == torch.float32 for plane in planes)
    if name.startswith("rgb"):
        channels = len(planes)
        assert [float(plane[0, 1]) for plane in planes] == [
            float(value) for value in values[channels : 2 * channels]
        ]
    else:
        assert float(planes[0][0, 1]) == float(values[1])


@pytest.mark.parametrize("name", ["vulkan", "bayer_rggb8", "vaapi", "yuv444p10msble"])
def test_formats_without_samples_of_ours_are_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match=name):
        native_planar(name)


@given(
    model=st.sampled_from(list(ColorModel)),
    depth=st.sampled_from([*range(8, 17), 32]),
    log2_w=st.integers(0, 2),
    log2_h=st.integers(0, 2),
    alpha=st.booleans(),
)
def test_pixel_format_names_a_format_of_that_layout_or_refuses(
    model: ColorModel, depth: int, log2_w: int, log2_h: int, alpha: bool
) -> None:
    subsampled = model is ColorModel.YCBCR
    layout = SampleFormat(
        model=model,
        depth=depth,
        log2_chroma_w=log2_w if subsampled else 0,
        log2_chroma_h=log2_h if subsampled else 0,
        alpha=alpha,
        is_float=depth == 32,
    )
    try:
        name = pixel_format(layout)
    except ValueError:
        return
    assert sample_format(name) == layout


def test_names_that_settle_the_range() -> None:
    assert implied_range("yuvj420p") is Range.FULL
    assert implied_range("gbrp10le") is Range.FULL
    assert implied_range("yuv420p") is Range.UNSPECIFIED
    assert implied_range("gray") is Range.UNSPECIFIED


def test_a_frame_of_the_wrong_shape_or_type_is_refused() -> None:
    layout = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)
    luma, chroma = torch.zeros(4, 4, dtype=torch.uint8), torch.zeros(2, 2, dtype=torch.uint8)
    with pytest.raises(ValueError, match="plane 2"):
        video_frame([luma, chroma, luma], layout)
    with pytest.raises(ValueError, match="plane 1"):
        video_frame([luma, chroma.float(), chroma], layout)
