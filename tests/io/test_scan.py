"""Large scans: the rows that are asked for are those of the whole picture, however it is stored."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from vrestore.errors import InputError
from vrestore.io.scan import TiffScan, open_scan
from vrestore.io.still import read_still

RNG = np.random.default_rng(3)
SIZE = 61, 83
"""Rows and columns: neither a multiple of strips or tiles."""


def picture(channels: int, depth: int) -> np.ndarray:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    smooth = np.stack([100 + 80 * np.sin((x + 3 * c) / 9 + y / 7) for c in range(channels)], -1)
    noisy = smooth + RNG.normal(0, 3, smooth.shape)
    scaled = noisy.clip(0, 255) * (257 if depth == 16 else 1)
    return scaled.astype(np.uint16 if depth == 16 else np.uint8)


def same_in_parts(path: Path) -> TiffScan:
    """Holds every way of asking to the picture as read whole."""
    scan = TiffScan(str(path))
    with open(path, "rb") as file:
        big = file.read(4)[2:].strip(b"\0") == b"+"
    # FFmpeg, which reads 16 bits, does not know BigTIFF.
    whole = scan.frame(0, SIZE[0]) if big else read_still(path)[0]
    assert (scan.width, scan.height, scan.format) == (whole.width, whole.height, whole.format)
    for top, bottom in ((0, 61), (0, 1), (60, 61), (5, 33), (16, 32), (31, 50)):
        rows = scan.frame(top, bottom)
        for part, plane in zip(rows.planes, whole.planes, strict=True):
            assert torch.equal(part, plane[top:bottom])
    scan.close()
    return scan


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(("channels", "depth"), [(1, 8), (3, 8), (4, 8), (1, 16), (3, 16)])
def test_strips_of_every_depth(
    tmp_path: Path, channels: int, depth: int, compression: str | None, order: str
) -> None:
    path = tmp_path / "scan.tif"
    samples = picture(channels, depth)
    tifffile.imwrite(
        path, samples[..., 0] if channels == 1 else samples, compression=compression,
        photometric="minisblack" if channels == 1 else "rgb", rowsperstrip=16, byteorder=order,
        extrasamples=("unassalpha",) if channels == 4 else None,
        predictor=compression is not None, bigtiff=depth == 16,
    )  # fmt: skip
    same_in_parts(path)
    scan = TiffScan(str(path))
    for number, plane in enumerate(scan.frame(0, SIZE[0]).planes):
        assert torch.equal(plane, torch.from_numpy(np.ascontiguousarray(samples[..., number])))
    scan.close()


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "jpeg", "raw"])
def test_strips_that_libtiff_compressed(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "scan.tif"
    Image.fromarray(picture(3, 8)).save(path, compression=compression, tiffinfo={278: 16})
    same_in_parts(path)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiles_and_planes_apart(tmp_path: Path, planar: str) -> None:
    samples = picture(3, 8)
    if planar == "separate":
        tifffile.imwrite(
            tmp_path / "strips.tif", samples.transpose(2, 0, 1), photometric="rgb",
            planarconfig=planar, rowsperstrip=16,
        )  # fmt: skip
        same_in_parts(tmp_path / "strips.tif")
        return
    tifffile.imwrite(
        tmp_path / "tiles.tif", samples, photometric="rgb", tile=(16, 32), compression="zlib"
    )
    same_in_parts(tmp_path / "tiles.tif")


def test_one_endless_strip_is_cut_where_it_is_not_compressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vrestore.io.scan._STRIP_BYTES", 1000)
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, picture(3, 8), photometric="rgb", rowsperstrip=61)
    assert same_in_parts(path)._segments.down > 10
    tifffile.imwrite(path, picture(3, 8), photometric="rgb", rowsperstrip=61, compression="zlib")
    assert same_in_parts(path)._segments.down == 1
    with pytest.raises(InputError, match="one piece of 83x61"):
        TiffScan(str(path), max_pixels=5000)


def test_small_and_other_pictures_are_no_scans(tmp_path: Path) -> None:
    Image.fromarray(picture(3, 8)).save(tmp_path / "small.tif")
    Image.fromarray(picture(3, 8)).save(tmp_path / "small.png")
    assert open_scan(str(tmp_path / "small.tif")) is None
    assert open_scan(str(tmp_path / "small.png")) is None
    assert open_scan(str(tmp_path / "absent.tif")) is None


def test_previews_are_no_second_picture_and_pages_are(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(picture(3, 8), photometric="rgb", rowsperstrip=16)
        file.write(picture(3, 8)[::4, ::4], photometric="rgb", subfiletype=1)
    same_in_parts(path)
    with tifffile.TiffWriter(path) as file:
        file.write(picture(3, 8), photometric="rgb", rowsperstrip=16, metadata=None)
        file.write(picture(3, 8), photometric="rgb", rowsperstrip=16, metadata=None)
    with pytest.raises(InputError, match="2 pictures"):
        TiffScan(str(path))


def test_damaged_scans_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, picture(3, 8), photometric="rgb", rowsperstrip=16, compression="zlib")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        scan = TiffScan(str(path))
        try:
            scan.frame(0, 61)
        finally:
            scan.close()
