"""Networks that are measured: published ones against ncnn, checkpoints against training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vrestore.errors import InputError, ModelError, PresetError
from vrestore.models import registry
from vrestore.models.single.ncnnfile import read
from vrestore.models.single.ncnntorch import TorchNet
from vrestore.ops.resample import Kernel
from vrestore.review.metrics import psnr
from vrestore.review.quality import originals
from vrestore.review.quality.cases import DAMAGES, Case, clean, damaged
from vrestore.review.quality.equal import equal_steps
from vrestore.review.quality.field import TWIN, participants
from vrestore.review.quality.folder import Media
from vrestore.review.quality.methods import Method, interpolation
from vrestore.review.quality.networks import Contender, contender
from vrestore.review.quality.worn import worn
from vrestore.train.checkpoint import fresh_state, save
from vrestore.train.config import TrainConfig
from vrestore.train.sample import Recipe, Sample
from vrestore.train.unroll import unroll

LITE = registry.find("lite")


def moving(count: int = 4, height: int = 64, width: int = 80, size: int = 8) -> torch.Tensor:
    """A texture with waves of that size that moves to the left, (T, H, W, 3) uint8."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(1, 3, height // size, width // size + 3, generator=generator)
    wide = F.interpolate(coarse, scale_factor=size, mode="bicubic")[0].clamp(0, 1)
    crops = [wide[:, :, 2 * t : 2 * t + width] for t in range(count)]
    return (torch.stack(crops) * 255).byte().permute(0, 2, 3, 1).contiguous()


# ---------------------------------------------------------------------------------- published


def published(package: str, name: str) -> Path:
    folder = originals._folder(package)
    if folder is None:
        pytest.skip(f"{package} is not installed")
    return folder / f"{name}.param"


def test_x4plus_takes_part_where_it_is_installed_and_only_at_four():
    published(originals.REALESRGAN, "REALESRGAN_X4PLUS_UP4X")
    pytest.importorskip("ncnn")
    (method,) = originals.dear()
    assert method.scales == (4,)
    case = clean("x", moving(1, 64, 80), 4)
    (luma,) = method(case).luma
    assert luma.shape == (64, 80)
    # It draws texture of its own: 19.5 dB, where a shuffled picture has some 10.
    assert psnr(luma, case.truth[0]) > 15.0


@pytest.mark.parametrize(
    ("package", "name"),
    [
        (originals.WAIFU2X, "WAIFU2X_PHOTO_UP2X_DENOISE1X"),
        (originals.WAIFU2X, "WAIFU2X_ANIME_UP2X"),
        (originals.WAIFU2X, "WAIFU2X_CUNET_UP1X_DENOISE2X"),
        (originals.REALESRGAN, "REALESRGAN_ANIMAVIDEOV3_UP2X"),
        (originals.REALESRGAN, "REALESRGAN_ANIMAVIDEOV3_UP4X"),
    ],
)
def test_a_published_network_gives_what_ncnn_gives(package: str, name: str):
    path = published(package, name)
    ncnn = pytest.importorskip("ncnn")
    picture = moving(1, 64, 80)[0].permute(2, 0, 1).float().contiguous() / 255
    with torch.no_grad():
        ours = TorchNet(read(path))(picture[None])[0].numpy()

    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.num_threads = 1
    net.load_param(str(path))
    net.load_model(str(path.with_suffix(".bin")))
    extractor = net.create_extractor()
    extractor.input(net.input_names()[0], ncnn.Mat(picture.numpy()).clone())
    status, theirs = extractor.extract(net.output_names()[0])
    assert status == 0
    assert np.abs(ours - np.array(theirs)).max() < 1 / 255


def test_a_damaged_or_foreign_file_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match="cannot be read"):
        read(tmp_path / "absent.param")
    net = tmp_path / "net.param"
    net.with_suffix(".bin").write_bytes(bytes(8))
    net.write_text("1234\n")
    with pytest.raises(ModelError, match="is no"):
        read(net)
    net.write_text("7767517\n2 2\nInput a 0 1 a\nFourier b 1 1 a b 0=1\n")
    with pytest.raises(ModelError, match="Fourier"):
        read(net)
    net.write_text("7767517\n2 2\nInput a 0 1 a\nConvolution b 1 1 a b 0=1 1=3 6=9\n")
    with pytest.raises(ModelError, match="ends in the middle"):
        read(net)


def test_small_layers_do_what_their_lines_say(tmp_path: Path):
    net = tmp_path / "net.param"
    kernel = np.zeros((1, 1, 3, 3), "<f4")
    kernel[..., 1, 1] = -2.0
    net.with_suffix(".bin").write_bytes(bytes(4) + kernel.tobytes() + np.float32(0.5).tobytes())
    net.write_text(
        "7767517\n5 6\nInput in 0 1 a\nSplit s 1 2 a b c\n"
        "Convolution conv 1 1 b d 0=1 1=3 4=1 5=1 6=9 9=2 -23310=1,0.1\n"
        "BinaryOp add 2 1 c d e 0=0\nInterp up 1 1 e f 0=1 1=2.0 2=2.0\n"
    )
    picture = torch.tensor(((0.0, 1.0), (2.0, -1.0)))
    expected = picture + F.leaky_relu(0.5 - 2 * picture, 0.1)
    made = TorchNet(read(net))(picture[None, None])[0, 0]
    assert torch.allclose(made[::2, ::2], expected) and torch.allclose(made[1::2, 1::2], expected)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_published_methods_take_noise_away_and_magnify_in_place(scale: int):
    if originals._folder(originals.WAIFU2X) is None:
        pytest.skip(f"{originals.WAIFU2X} is not installed")
    frames = moving(1, 96, 96 + 8 * scale, size=8 * scale)
    case = clean("still", frames, scale, strength=0.6)
    case.luma.add_(8 * torch.randn(case.luma.shape, generator=torch.Generator().manual_seed(1)))
    plain = psnr(interpolation("bicubic", Kernel.BICUBIC)(case).luma, case.truth)
    for method in originals.originals():
        if scale in method.scales and method.name.startswith("waifu2x"):
            assert psnr(method(case).luma, case.truth) > plain + 0.5


# -------------------------------------------------------------------------------- checkpoints


def checkpoint(folder: Path, net: str, *, temporal: bool, step: int = 7) -> Path:
    """An untrained net whose last layers are not silent."""
    config = TrainConfig(
        data=folder, checkpoint=folder / f"{net}{temporal}.pt", size="lite", net=net,
        temporal=temporal, steps=10,
    )  # fmt: skip
    state = fresh_state(config)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in state.average.named_parameters():
            if name.startswith(("heads", "body.tails", "body.layers.4")):
                parameter.copy_(0.02 * torch.randn(parameter.shape, generator=generator))
    state.step = step
    save(config.checkpoint, state, config, "digest")
    return config.checkpoint


def unrolled(path: Path, case: Case, *, temporal: bool) -> torch.Tensor:
    """What training makes of the case."""
    state = torch.load(path, weights_only=True)
    config = TrainConfig(
        data=path.parent, checkpoint=path, size="lite", net=state["config"]["net"], steps=1
    )
    net = fresh_state(config).average
    net.load_state_dict(state["average"])
    luma = (case.luma[None, :, None] - 16) / 219 - 0.5
    chroma = (case.chroma[None] - 128) / 224
    nothing = torch.zeros(1)
    sample = Sample(luma, chroma, nothing, nothing, nothing, torch.tensor([[case.strength]]))
    layout = "420-left" if case.subsampled else "444"
    recipe = Recipe(
        scale=case.scale, chroma=layout, length=len(case.luma), side=64, damaged=1.0
    )  # fmt: skip
    with torch.no_grad():
        made = unroll(net, sample, recipe, temporal=temporal).luma[0, :, 0]
    return (16 + 219 * (made + 0.5)).round().clamp(0, 255)


@pytest.mark.parametrize(
    ("net", "temporal"),
    [("cell", True), ("cell", False), ("median", True), ("window", True), ("unblended", True),
     ("srcnn", False), ("fsrcnn", False), ("srvgg", False)],
)  # fmt: skip
@pytest.mark.parametrize("scale", [1, 2])
def test_a_checkpoint_is_measured_as_it_was_trained(
    tmp_path: Path, net: str, temporal: bool, scale: int
):
    path = checkpoint(tmp_path, net, temporal=temporal)
    case = damaged("clip", moving(3, 64, 96), scale, DAMAGES[1])
    made = contender("mine", path).method(case).luma
    expected = unrolled(path, case, temporal=temporal)
    # Rounding may fall either way.
    assert (made - expected).abs().max() <= 1
    assert ((made - expected).abs() > 0).float().mean() < 0.01


def test_a_training_is_held_against_what_was_trained_alike(tmp_path: Path):
    twin = contender("twin", checkpoint(tmp_path, "cell", temporal=False))
    median = contender("median", checkpoint(tmp_path, "median", temporal=True, step=3))
    cell = contender("fusion", checkpoint(tmp_path, "cell", temporal=True))
    field = participants([LITE], [cell, twin, median])
    (trial,) = field.trials
    assert (trial.name, dict(trial.others)) == ("fusion", {TWIN: twin.method})
    assert "twin" in field.single_image and "fusion" not in field.single_image
    assert (twin.steps, twin.manifest, twin.temporal) == (7, "research", False)
    assert participants([LITE], [cell, median]).trials == []


def test_a_twin_may_be_named_for_a_model_and_no_name_stands_for_two(tmp_path: Path):
    path = checkpoint(tmp_path, "cell", temporal=False)
    twin = contender("twin-lite", path)
    (trial,) = participants([LITE], [twin]).trials
    assert (trial.name, dict(trial.others)) == ("lite", {TWIN: twin.method})
    with pytest.raises(PresetError, match="names two"):
        participants([LITE], [contender("lite", path)])


def test_damaged_clips_are_scored_for_everybody(tmp_path: Path):
    twin = contender("twin", checkpoint(tmp_path, "cell", temporal=False))
    cell = contender("fusion", checkpoint(tmp_path, "cell", temporal=True))
    everybody = participants([LITE], [cell, twin])
    field = replace(everybody, published=(), program=None, judge=None)
    (tmp_path / "video").mkdir()
    clip = tmp_path / "video" / "clip.y4m"
    with clip.open("wb") as file:
        file.write(b"YUV4MPEG2 W80 H64 F25:1 C444\n")
        for frame in moving(3):
            file.write(b"FRAME\n" + frame.permute(2, 0, 1).contiguous().numpy().tobytes())
    found = worn(Media(tmp_path), field, [DAMAGES[1]])
    overview, at_x1, _ = found.tables
    assert "No command-line ffmpeg was found" in " ".join(overview.notes)
    assert [row[0] for row in at_x1.rows] == [
        "untreated", "median of 3 frames, unaligned", "median of 3 frames, aligned",
        "fusion", "twin", "lite, one frame at a time", "lite",
    ]  # fmt: skip
    assert "VMAF" not in at_x1.columns and "tOF" in at_x1.columns
    wanted = {(goal.model, goal.what) for goal in found.goals}
    assert ("fusion", "film-heavy x1, inside defects, over its single-image twin") in wanted
    assert ("lite", "film-heavy x2, over one frame at a time") in wanted
    assert not any("filters" in what or "published" in what for _, what in wanted)
    assert len(found.scores["film-heavy x2"]["twin"]) == 1


def test_what_is_no_checkpoint_is_refused(tmp_path: Path):
    path = tmp_path / "x.pt"
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="no readable checkpoint"):
        contender("x", path)


def test_only_trainings_that_differ_in_one_thing_are_compared():
    def trained(
        name: str, net: str = "cell", manifest: str = "research", steps: int = 1000
    ) -> Contender:
        return Contender(
            name=name, method=Method(name, lambda case: pytest.fail("not run")), net=net,
            size="lite", temporal=True, manifest=manifest, steps=steps,
        )  # fmt: skip

    field = participants(
        [LITE],
        [trained("cell"), trained("window", "window"), trained("open", manifest="open"),
         trained("short", "median", steps=500)],
    )  # fmt: skip
    values = {"cell": [3.0, 3.0, 3.0], "window": [2.0, 2.0, 2.0], "open": [2.5, 2.5, 2.5],
              "short": [9.0, 9.0, 9.0]}  # fmt: skip
    everyone, pairs = equal_steps(field, {"film-light x1": values}).tables
    assert len(everyone.rows) == 4
    assert [row[:3] for row in pairs.rows] == [
        ("cell minus window", "mechanism", "+1.00 ± 0.00"),
        ("open minus cell", "data", "-0.50 ± 0.00"),
    ]
