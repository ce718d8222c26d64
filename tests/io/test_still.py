"""Single pictures, there and back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps
from PIL.TiffImagePlugin import IFDRational

from vrestore.errors import EncodeError, InputError, OutputError
from vrestore.io.probe import probe
from vrestore.io.still import read_still
from vrestore.io.stillmeta import StillMeta
from vrestore.io.stillwrite import write_still
from vrestore.io.tiffout import is_big, write_tiff
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


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright_and_said_to_be(
    tmp_path: Path, orientation: int, deep: bool, suffix: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = tmp_path / f"turned.{suffix}"
    stored = pixels(1, 16 if deep else 8)[..., 0]
    how = {"exif": exif} if suffix == "png" else {"tiffinfo": {0x0112: orientation}}
    Image.fromarray(stored).save(source, **how)
    # Of the samples, not of the file: Pillow turns some kinds of files itself.
    numbers = Image.fromarray(np.arange(stored.size, dtype=np.int32).reshape(stored.shape))
    numbers.getexif()[0x0112] = orientation
    expected = stored.ravel()[np.array(ImageOps.exif_transpose(numbers))]
    frame, meta = read_still(source)
    assert torch.equal(frame.planes[0], torch.from_numpy(expected))
    assert (probe(str(source)).video.width, frame.width) == (expected.shape[1],) * 2
    write_still(tmp_path / f"upright.{suffix}", frame, meta)
    with Image.open(tmp_path / f"upright.{suffix}") as image:
        assert image.getexif().get(0x0112, 1) == 1
        assert np.array_equal(np.array(image), expected)


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


# ------------------------------------------------------------------------- what goes with it


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    b'tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def a_photograph(path: Path) -> None:
    """A JPEG as a camera writes it: turned, with a preview, a place and an editor's notes."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0132], exif[0x0112] = "A camera", "2001:02:03 04:05:06", 6
    camera = {0x829A: IFDRational(1, 50), 0xA002: 35, 0xA003: 17, 0x9286: b"ASCII\0\0\0by"}
    exif.get_ifd(0x8769).update(camera)
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 3.0)})
    exif[0x8769] = exif[0x8825] = 0
    picture = Image.fromarray(pixels(3, 8))
    picture.save(path, icc_profile=ICC, exif=exif, dpi=(240, 240), xmp=XMP)


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("depth", [8, 16])
def test_everything_a_camera_says_is_kept(tmp_path: Path, suffix: str, depth: int) -> None:
    if depth == 16 and suffix in ("webp", "jpg"):
        return
    a_photograph(tmp_path / "photo.jpg")
    frame, meta = read_still(tmp_path / "photo.jpg")
    assert (frame.width, frame.height) == (17, 35)
    if depth == 16:
        deep = replace(frame.format, depth=16)
        planes = tuple(p.to(torch.int32).mul(257).to(torch.uint16) for p in frame.planes)
        frame = replace(frame, planes=planes, format=deep)
    target = tmp_path / f"out.{suffix}"
    write_still(target, frame, meta)
    with Image.open(target) as image:
        exif = image.getexif()
        assert exif[0x010F] == "A camera"
        assert exif.get(0x0112, 1) == 1
        camera, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
        assert camera[0x829A] == pytest.approx(1 / 50)
        assert camera[0x9286] == b"ASCII\0\0\0by"
        # It names the size of the picture that it goes with.
        assert (camera[0xA002], camera[0xA003]) == (17, 35)
        assert place[1] == "N"
        assert [float(part) for part in place[2]] == [48.0, 12.0, 3.0]
        assert image.info["icc_profile"] == ICC
        packet = image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode()
        assert packet == XMP.replace(b'"6"', b'"1"')
        assert image.size == (17, 35)
        image.load()
        assert image.size == (17, 35)
    back, again = read_still(target)
    assert (back.width, back.height) == (17, 35)
    assert again.exif == meta.exif or suffix == "tif" or again.exif is not None
    if suffix != "webp":
        assert again.dpi == pytest.approx((240, 240), abs=0.1)


def test_tags_of_a_scan_s_storage_do_not_travel(tmp_path: Path) -> None:
    source = tmp_path / "scan.tif"
    Image.fromarray(pixels(3, 8)).save(source, tiffinfo={271: "A scanner", 278: 4})
    frame, meta = read_still(source)
    assert meta.dpi is None
    write_still(tmp_path / "out.jpg", frame, meta)
    with Image.open(tmp_path / "out.jpg") as image:
        assert set(image.getexif()) == {271}


def test_a_bigtiff_is_a_tiff_with_everything(tmp_path: Path) -> None:
    a_photograph(tmp_path / "photo.jpg")
    frame, meta = read_still(tmp_path / "photo.jpg")
    samples = np.stack([plane.numpy() for plane in frame.planes], axis=-1)
    target = tmp_path / "big.tif"
    write_tiff(target, frame.format, (17, 35), [samples[:9], samples[9:]], meta, big=True)
    assert target.read_bytes()[:4] == b"II+\0"
    import tifffile

    with tifffile.TiffFile(target) as file:
        assert np.array_equal(file.asarray(), samples)
        tags = file.pages[0].tags
        assert tags[271].value == "A camera"
        assert tags[34665].value["ExposureTime"] == (1, 50)
        assert tags[34853].value["GPSLatitudeRef"] == "N"
        assert tags[34675].value == ICC
    assert not is_big(frame.format, (30_000, 20_000))
    assert is_big(frame.format, (60_000, 40_000))
    assert is_big(replace(frame.format, depth=16), (30_000, 24_000))


def test_cmyk_goes_through_its_profile_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "plain.tif"
    Image.new("CMYK", (8, 8), (0, 200, 200, 0)).save(path)
    _, meta = read_still(path)
    assert "without a profile" in meta.notes[0]
    assert any("CMYK" in guess for guess in probe(str(path)).guesses)
    lab = tmp_path / "lab.tif"
    Image.new("LAB", (8, 8), (128, 128, 128)).save(lab)
    frame, meta = read_still(lab)
    assert [abs(int(plane[4, 4]) - 119) <= 2 for plane in frame.planes] == [True] * 3
    assert meta.icc is None
    assert "Lab" in meta.notes[0]


def test_premultiplied_alpha_is_divided_out(tmp_path: Path) -> None:
    import tifffile

    samples = np.full((8, 8, 4), (50, 100, 25, 128), np.uint8)
    tifffile.imwrite(tmp_path / "p.tif", samples, photometric="rgb", extrasamples=("assocalpha",))
    frame, _ = read_still(tmp_path / "p.tif")
    assert frame.format.alpha
    assert [abs(int(p[0, 0]) - c) <= 1 for p, c in zip(frame.planes, (100, 199, 50, 128),
                                                       strict=True)] == [True] * 4  # fmt: skip


def test_what_a_phone_adds_to_a_jpeg_is_no_second_picture(tmp_path: Path) -> None:
    first, second = (Image.fromarray(pixels(3, 8)) for _ in range(2))
    first.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[second])
    frame, _ = read_still(tmp_path / "phone.jpg")
    with Image.open(tmp_path / "phone.jpg") as image:
        assert same(frame, np.array(image))
    assert probe(str(tmp_path / "phone.jpg")).is_still


def test_animated_webp_is_refused_in_a_sentence(tmp_path: Path) -> None:
    pictures = [Image.fromarray(pixels(3, 8)) for _ in range(3)]
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:])
    with pytest.raises(InputError, match="animation of 3 pictures"):
        probe(str(tmp_path / "a.webp"))


def test_quality_and_subsampling_are_those_asked_for(tmp_path: Path) -> None:
    frame, _ = a_frame(tmp_path, 3, 8)
    sizes = {}
    for quality in (None, 0.0, 18.0, 40.0):
        write_still(tmp_path / "out.jpg", frame, quality=quality)
        sizes[quality] = (tmp_path / "out.jpg").stat().st_size
    assert sizes[0.0] > sizes[None] > sizes[18.0] > sizes[40.0]
    for name, factors in (("4:4:4", (1, 1)), ("4:2:2", (2, 1)), ("4:2:0", (2, 2))):
        write_still(tmp_path / "out.jpg", frame, subsampling=name)
        with Image.open(tmp_path / "out.jpg") as image:
            assert image.layer[0][1:3] == factors  # type: ignore[attr-defined]
    write_still(tmp_path / "lossy.webp", frame, quality=30.0)
    write_still(tmp_path / "lossless.webp", frame)
    assert not same(read_still(tmp_path / "lossy.webp")[0], a_stack(frame))
    assert same(read_still(tmp_path / "lossless.webp")[0], a_stack(frame))


def a_stack(frame: Frame) -> np.ndarray:
    return np.stack([plane.numpy() for plane in frame.planes], axis=-1)


def test_a_png_of_photographs_is_as_small_as_pillow_s(tmp_path: Path) -> None:
    y, x = np.mgrid[:256, :256]
    smooth = np.stack([128 + 90 * np.sin((x + 9 * c) / 31) * np.cos(y / 23) for c in range(3)], -1)
    samples = (smooth + RNG.normal(0, 1.5, smooth.shape)).astype(np.uint8)
    Image.fromarray(samples).save(tmp_path / "pillow.png")
    frame, _ = read_still(tmp_path / "pillow.png")
    write_still(tmp_path / "ours.png", frame)
    assert same(read_still(tmp_path / "ours.png")[0], samples)
    ours, theirs = ((tmp_path / f"{n}.png").stat().st_size for n in ("ours", "pillow"))
    assert ours < 1.05 * theirs
