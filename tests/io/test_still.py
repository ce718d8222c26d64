"""Single pictures, there and back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from vrestore.errors import EncodeError, InputError, OutputError
from vrestore.io.probe import probe
from vrestore.io.still import StillMeta, read_still, write_still
from vrestore.media import ColorModel, Frame, Matrix, Range, SampleFormat

RNG = np.random.default_rng(0)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def pixels(channels: int, depth: int) -> np.ndarray:
    dtype = np.uint8 if depth == 8 else np.uint16
    return RNG.integers(0, 2**depth, (17, 35, channels)).astype(dtype)


def same(frame: Frame, expected: np.ndarray) -> bool:
    return all(
        torch.equal(plane, torch.from_numpy(np.ascontiguousarray(expected[..., i])))
        for i, plane in enumerate(frame.planes)
    )


def a_frame(tmp_path: Path, channels: int, depth: int) -> tuple[Frame, np.ndarray]:
    """A frame of random samples, by way of a file that another program wrote."""
    import tifffile

    expected = pixels(channels, depth)
    path = tmp_path / "source.tif"
    stored = expected[..., 0] if channels == 1 else expected
    tifffile.imwrite(
        path,
        stored,
        photometric="minisblack" if channels < 3 else "rgb",
        extrasamples=("unassalpha",) if channels in (2, 4) else None,
        planarconfig=None if channels == 1 else "contig",
    )
    frame, _ = read_still(path)
    return frame, expected


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_lossless_kinds_keep_every_sample(
    tmp_path: Path, suffix: str, channels: int, depth: int
) -> None:
    frame, expected = a_frame(tmp_path, channels, depth)
    assert same(frame, expected)
    assert frame.format.depth == depth
    assert frame.format.alpha == (channels in (2, 4))
    assert frame.format.model is (ColorModel.GRAY if channels < 3 else ColorModel.RGB)
    target = tmp_path / f"out.{suffix}"
    if suffix == "webp" and depth == 16:
        with pytest.raises(EncodeError, match="8 bits a sample, not 16"):
            write_still(target, frame)
        assert not target.exists()
        return
    write_still(target, frame)
    back, _ = read_still(target)
    expected_model = ColorModel.RGB if suffix == "webp" else frame.format.model
    assert back.format.model is expected_model
    if back.format == frame.format:
        assert same(back, expected)
    else:  # WebP has no grey
        assert all(torch.equal(back.planes[i], frame.planes[0]) for i in range(3))
    assert list(tmp_path.glob("*.part")) == []


def test_a_16_bit_png_is_read_by_other_programs(tmp_path: Path) -> None:
    frame, expected = a_frame(tmp_path, 1, 16)
    write_still(tmp_path / "gray.png", frame)
    with Image.open(tmp_path / "gray.png") as image:
        assert np.array_equal(np.array(image), expected[..., 0])


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg"])
def test_profile_and_exif_go_with_the_picture(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    source = tmp_path / "source.png"
    Image.fromarray(pixels(3, 8)).save(source, icc_profile=ICC, exif=exif, dpi=(300, 300))
    frame, meta = read_still(source)
    target = tmp_path / f"out.{suffix}"
    write_still(target, frame, meta)
    _, back = read_still(target)
    assert back.icc == ICC
    if suffix in ("png", "tif", "jpg"):
        assert back.dpi == pytest.approx((300, 300), abs=0.1)
    if suffix != "tif":
        assert back.exif is not None
        assert b"A camera" in back.exif


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_profile_goes_with_a_16_bit_picture(tmp_path: Path, suffix: str) -> None:
    frame, _ = a_frame(tmp_path, 3, 16)
    target = tmp_path / f"out.{suffix}"
    write_still(target, frame, StillMeta(icc=ICC, dpi=(300.0, 300.0)))
    _, back = read_still(target)
    assert back.icc == ICC
    assert back.dpi == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright_and_said_to_be(
    tmp_path: Path, orientation: int, deep: bool
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = tmp_path / "turned.png"
    stored = pixels(1, 16 if deep else 8)[..., 0]
    Image.fromarray(stored).save(source, exif=exif)
    with Image.open(source) as image:
        expected = np.array(ImageOps.exif_transpose(image))
    frame, meta = read_still(source)
    assert torch.equal(frame.planes[0], torch.from_numpy(expected))
    assert (probe(str(source)).video.width, frame.width) == (expected.shape[1],) * 2
    write_still(tmp_path / "upright.png", frame, meta)
    with Image.open(tmp_path / "upright.png") as image:
        assert image.getexif().get(0x0112, 1) == 1


def test_a_jpeg_is_full_range_rgb(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (33, 17), (250, 3, 100)).save(path, quality=95)
    frame, _ = read_still(path)
    assert (frame.format.model, frame.format.alpha) == (ColorModel.RGB, False)
    assert (frame.color.matrix, frame.color.range) == (Matrix.RGB, Range.FULL)
    assert [abs(int(p[8, 8]) - c) <= 3 for p, c in zip(frame.planes, (250, 3, 100), strict=True)]
    info = probe(str(path))
    assert info.is_still
    assert (info.video.format, info.video.color) == (frame.format, frame.color)


def test_palettes_bits_and_cmyk_become_rgb_or_gray(tmp_path: Path) -> None:
    source = Image.fromarray(pixels(3, 8))
    for mode, model in (("P", ColorModel.RGB), ("1", ColorModel.GRAY), ("CMYK", ColorModel.RGB)):
        path = tmp_path / f"{mode}.tif"
        source.convert(mode).save(path)
        frame, _ = read_still(path)
        assert frame.format == SampleFormat(model=model, depth=8)
        with Image.open(path) as image:
            expected = np.array(image.convert("L" if mode == "1" else "RGB"), ndmin=3)
        assert same(frame, expected.reshape(17, 35, -1))


@settings(max_examples=20)
@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 2, 3, 4]))
def test_any_size_survives_a_16_bit_png(width: int, height: int, channels: int) -> None:
    import io
    import tempfile

    layout = SampleFormat(
        model=ColorModel.GRAY if channels < 3 else ColorModel.RGB,
        depth=16,
        alpha=channels in (2, 4),
    )
    with tempfile.TemporaryDirectory() as folder:
        frame, _ = a_frame(Path(folder), channels, 16)
        rng = np.random.default_rng(width * height)
        planes = tuple(
            torch.from_numpy(rng.integers(0, 2**16, (height, width)).astype(np.uint16))
            for _ in range(channels)
        )
        from dataclasses import replace

        target = Path(folder) / "out.png"
        write_still(target, replace(frame, planes=planes, format=layout))
        assert io.BytesIO(target.read_bytes()).read(4) == b"\x89PNG"
        back, _ = read_still(target)
    assert all(torch.equal(a, b) for a, b in zip(planes, back.planes, strict=True))


def test_what_a_kind_of_file_cannot_hold_is_refused(tmp_path: Path) -> None:
    frame, _ = a_frame(tmp_path, 4, 8)
    with pytest.raises(EncodeError, match="alpha"):
        write_still(tmp_path / "out.jpg", frame)
    with pytest.raises(OutputError, match="suffix"):
        write_still(tmp_path / "out.xyz", frame)
    with pytest.raises(OutputError, match="cannot be written"):
        write_still(tmp_path / "missing" / "out.png", frame)
    assert [path.name for path in tmp_path.iterdir()] == ["source.tif"]


def test_animations_and_other_files_are_no_stills(tmp_path: Path) -> None:
    pictures = [Image.fromarray(pixels(3, 8)) for _ in range(3)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:])
    with pytest.raises(InputError, match="3 pictures"):
        read_still(tmp_path / "a.gif")
    assert not probe(str(tmp_path / "a.gif")).is_still
    (tmp_path / "text.png").write_text("nothing to see")
    with pytest.raises(InputError, match="cannot be read"):
        read_still(tmp_path / "text.png")
    with pytest.raises(InputError):
        read_still(tmp_path / "absent.png")
