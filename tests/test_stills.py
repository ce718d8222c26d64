"""Large pictures in tiles: what comes out is what the whole picture would give."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

import vrestore
from vrestore import stillplan
from vrestore.errors import OutputError, PlanError
from vrestore.io.scan import open_rows
from vrestore.io.still import read_still
from vrestore.io.stillmeta import StillMeta
from vrestore.io.stillwrite import write_rows
from vrestore.media import ColorModel, SampleFormat
from vrestore.models.nets.cell import noise_level
from vrestore.models.noise import NoiseMeter
from vrestore.progress import Progress
from vrestore.stills import restore_still

HEIGHT, WIDTH = 131, 157


def picture(channels: int = 3) -> np.ndarray:
    """Texture, an edge, a flat sky and noise that differs from place to place, in 0..1."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    base = 0.5 + 0.2 * np.sin(x / 5) * np.cos(y / 7) + 0.2 * (x > 90)
    base[:50] = 0.6
    noise = rng.normal(0, 1, (HEIGHT, WIDTH, channels)) * (0.005 + 0.03 * (y > 80))[..., None]
    return (base[..., None] * np.linspace(0.8, 1.1, channels) + noise).astype(np.float32)


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(stillplan, "_WHOLE_PIXELS", 1000)
    monkeypatch.setattr(stillplan, "_SIDE", 64)
    yield


def both_ways(source: Path, tmp_path: Path, **overrides: object) -> tuple[np.ndarray, np.ndarray]:
    """The result in tiles and at once."""
    given = {"restore.model": "lite", "run.threads": 1} | {
        k.replace("_", "."): v for k, v in overrides.items()
    }
    results = []
    for name in ("tiles", "whole"):
        planned = vrestore.plan(
            str(source), str(tmp_path / f"{name}.tif"), preset="plain", overrides=given
        )
        assert planned.tiles is not None
        if name == "whole":
            planned = replace(planned, tiles=None)
        restore_still(planned, overwrite=False)
        results.append(tifffile.imread(planned.path))
    return results[0], results[1]


@pytest.mark.parametrize("scale", [1, 3])
def test_tiles_are_the_whole_picture(small_tiles: None, tmp_path: Path, scale: int) -> None:
    source = tmp_path / "in.tif"
    tifffile.imwrite(source, picture(), photometric="rgb")
    tiled, whole = both_ways(source, tmp_path, size_scale=scale)
    assert tiled.shape == (HEIGHT * scale, WIDTH * scale, 3)
    assert np.abs(tiled - whole).max() < 1e-5
    # And it is no copy: the network has taken noise away.
    if scale == 1:
        assert np.abs(tiled - picture()).mean() > 1e-3


def test_without_the_whole_picture_s_noise_level_they_would_not_be(
    small_tiles: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in.tif"
    tifffile.imwrite(source, picture(), photometric="rgb")
    monkeypatch.setattr("vrestore.stills.NOISE_KEY", "not.told")
    tiled, whole = both_ways(source, tmp_path)
    assert np.abs(tiled - whole).max() > 1e-4


def test_transparency_and_gray_in_tiles(small_tiles: None, tmp_path: Path) -> None:
    samples = picture(4)
    samples[..., 3] = (samples[..., 3] > 0.6).astype(np.float32)
    source = tmp_path / "in.tif"
    stored = (samples * 65535).clip(0, 65535).astype(np.uint16)
    tifffile.imwrite(source, stored, photometric="rgb", extrasamples=("unassalpha",))
    tiled, whole = both_ways(source, tmp_path, size_scale=2)
    assert tiled.shape == (2 * HEIGHT, 2 * WIDTH, 4)
    assert np.abs(tiled.astype(int) - whole).max() <= 1
    gray = tmp_path / "gray"
    gray.mkdir()
    tifffile.imwrite(gray / "in.tif", stored[..., 0], photometric="minisblack")
    tiled, whole = both_ways(gray / "in.tif", gray)
    assert np.abs(tiled.astype(int) - whole).max() <= 1


@pytest.mark.parametrize(("height", "width"), [(64, 80), (63, 81), (10, 9), (83, 64), (130, 31)])
@pytest.mark.parametrize("rows", [7, 16, 64])
def test_noise_of_rows_is_noise_of_the_picture(height: int, width: int, rows: int) -> None:
    luma = torch.rand(height, width, generator=torch.Generator().manual_seed(height))
    luma[: height // 2] *= 0.1
    padded = torch.nn.functional.pad(
        luma[None, None], (0, width % 2, 0, height % 2), mode="replicate"
    )
    meter = NoiseMeter()
    for top in range(0, height, rows):
        meter.push(luma[top : top + rows])
    assert meter.level() == pytest.approx(float(noise_level(padded)), rel=1e-5)


def test_a_large_scan_goes_strip_by_strip(
    small_tiles: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is never unpacked as a whole, whatever it is made into."""
    monkeypatch.setattr("vrestore.io.scan.LARGE", 1000)
    monkeypatch.setattr(stillplan, "LARGE", 1000)
    monkeypatch.setattr("vrestore.io.scan.read_still", None)
    samples = (picture() * 255).clip(0, 255).astype(np.uint8)
    source = tmp_path / "in.tif"
    layout = SampleFormat(model=ColorModel.RGB, depth=8)
    said = StillMeta(icc=b"a profile", dpi=(600.0, 600.0), orientation=8)
    write_rows(source, layout, (WIDTH, HEIGHT), [samples[:50], samples[50:]], said)
    seen: list[Progress] = []
    for name in ("out.tif", "out.png", "out.jpg"):
        report = vrestore.restore(
            str(source), str(tmp_path / name), observer=seen.append,
            overrides={"restore.model": "lite", "size.scale": 1, "run.threads": 1},
        )  # fmt: skip
        assert report.plan.tiles is not None
        assert report.plan.preset.name == "still"
    assert seen[-1].frames_done == seen[-1].frames_total
    assert seen[-1].unit == "tiles"
    rows = open_rows(str(tmp_path / "out.tif"))
    assert (rows.width, rows.height) == (WIDTH, HEIGHT)
    assert rows.meta.icc == b"a profile"
    assert rows.meta.dpi == (600, 600)
    # What is not turned keeps its tag.
    assert rows.meta.orientation == 8
    rows.close()
    png, _ = read_still(tmp_path / "out.png")
    assert (png.width, png.height) == (HEIGHT, WIDTH)
    assert any("orientation 8" in note for note in report.plan.notes)


def test_what_cannot_be_cut_is_refused_where_it_is_too_large(
    small_tiles: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vrestore.io.scan.LARGE", 1000)
    source = tmp_path / "in.tif"
    tifffile.imwrite(source, picture(), photometric="rgb", rowsperstrip=8)
    too_much = {"input.max_pixels": 10_000, "fidelity.max_change": 0.1, "restore.model": "lite"}
    with pytest.raises(PlanError, match="more than 10000 pixels"):
        vrestore.plan(str(source), str(tmp_path / "o.tif"), preset="plain", overrides=too_much)
    with pytest.raises(PlanError, match="WebP holds sides of at most"):
        wide = tmp_path / "wide.tif"
        tifffile.imwrite(wide, np.zeros((8, 9000), np.uint8), photometric="minisblack")
        vrestore.plan(
            str(wide), str(tmp_path / "o.webp"), preset="plain", overrides={"size.scale": 2}
        )


def test_nothing_is_left_of_a_picture_that_fails(small_tiles: None, tmp_path: Path) -> None:
    source = tmp_path / "in.tif"
    tifffile.imwrite(source, picture(), photometric="rgb")
    planned = vrestore.plan(str(source), str(tmp_path / "out.tif"), preset="plain")

    def stop(progress: Progress) -> None:
        raise OutputError("the disk is full")

    with pytest.raises(OutputError, match="full"):
        restore_still(planned, overwrite=False, observer=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.tif"]
