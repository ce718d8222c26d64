"""Models of others as files: ONNX, and checkpoints that spandrel knows."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from vrestore.errors import ModelError
from vrestore.media import Coding, ColorModel, Frame, SampleFormat
from vrestore.models import registry
from vrestore.models.restorer import RestoreConfig, build
from vrestore.models.single import checkpoint

RGB = SampleFormat(model=ColorModel.RGB, depth=8)
MakeFrames = Callable[..., list[Frame]]


def restored(path: Path, scale: int, rgb: Tensor, frame: Frame, tile: int = 0) -> Tensor:
    op = build(registry.find(str(path)), scale, RestoreConfig(tile=tile))
    (made,) = op.push(replace(frame, planes=tuple(rgb), format=RGB, coding=Coding.UNIT))
    return torch.stack(made.planes)


# ----------------------------------------------------------------------------------------- ONNX


def onnx_model(path: Path, size: tuple[int, int] | None, channels: int = 3) -> Path:
    """A blur of 3x3 and x2 by repetition, of free or of one size."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, numbers = onnx.helper, onnx.numpy_helper
    kernel = torch.full((channels, 1, 3, 3), 1 / 9).numpy()
    shape = [1, channels, *(size or ("h", "w"))]
    out = [1, channels, *((2 * size[0], 2 * size[1]) if size else ("hh", "ww"))]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "k"], ["y"], group=channels, pads=[1, 1, 1, 1]),
            helper.make_node("Resize", ["y", "", "s"], ["z"], mode="nearest",
                             coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        ],
        "blur",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, out)],
        [numbers.from_array(kernel, "k"),
         numbers.from_array(torch.tensor((1.0, 1.0, 2.0, 2.0)).numpy(), "s")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("size", [None, (24, 32)])
def test_an_onnx_model_runs_on_any_picture_without_seams(
    size: tuple[int, int] | None, tmp_path: Path, make_frames: MakeFrames
):
    path = onnx_model(tmp_path / "blur.onnx", size)
    spec = registry.find(str(path))
    assert (spec.scales, spec.space, spec.arch) == ((2,), "rgb", "onnx")
    rgb = torch.rand(3, 45, 59, generator=torch.Generator().manual_seed(3))
    made = restored(path, 2, rgb, make_frames(1)[0], tile=24)
    # Sizes are made up to what the network takes by repeating the edge.
    wide = F.pad(rgb[None], (0, 8, 0, 8), mode="replicate")
    blurred = F.conv2d(wide.transpose(0, 1), torch.full((1, 1, 3, 3), 1 / 9), padding=1)
    wanted = F.interpolate(blurred[:, :, :45, :59].transpose(0, 1), scale_factor=2)[0]
    assert made.shape == (3, 90, 118)
    inner = (slice(None), slice(2, -4), slice(2, -4))
    assert (made - wanted)[inner].abs().max() < 1e-5


def test_what_is_no_onnx_model_of_pictures_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match="channels"):
        registry.find(str(onnx_model(tmp_path / "one.onnx", None, channels=1)))
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="cannot open"):
        registry.find(str(tmp_path / "bad.onnx"))


def test_without_onnxruntime_the_extra_is_named(monkeypatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"vrestore\[models\]"):
        registry.find(str(tmp_path / "a.onnx"))


# ---------------------------------------------------------------------------------- checkpoints


@pytest.fixture
def _spandrel() -> None:
    """spandrel, also beside a torchvision that was built for another torch."""
    for name in ("nms", "qnms"):
        try:
            torch.library.define(f"torchvision::{name}", "(Tensor a, Tensor b, float c) -> Tensor")
        except RuntimeError:
            continue
    pytest.importorskip("torchvision", exc_type=ImportError)
    pytest.importorskip("spandrel", exc_type=ImportError)


class Compact(torch.nn.Module):
    """Real-ESRGAN's small network (SRVGGNetCompact), as its paper draws it: the oracle."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        body: list[torch.nn.Module] = []
        for inputs in (3, 8, 8):
            body += [torch.nn.Conv2d(inputs, 8, 3, padding=1), torch.nn.PReLU(8)]
        self.body = torch.nn.Sequential(*body, torch.nn.Conv2d(8, 12, 3, padding=1))

    def forward(self, rgb: Tensor) -> Tensor:
        return F.pixel_shuffle(self.body(rgb), 2) + F.interpolate(rgb, scale_factor=2)


@pytest.mark.usefixtures("_spandrel")
@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_a_checkpoint_gives_what_its_network_gives(
    ending: str, tmp_path: Path, make_frames: MakeFrames
):
    net = Compact().eval()
    state = net.state_dict()
    path = tmp_path / f"compact{ending}"
    save_file(state, path) if ending == ".safetensors" else torch.save({"params": state}, path)
    assert registry.find(str(path)).scales == (2,)
    rgb = torch.rand(3, 40, 56, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        wanted = net(rgb[None])[0].clamp(0, 1)
    for tile in (0, 16):
        assert (restored(path, 2, rgb, make_frames(1)[0], tile) - wanted).abs().max() < 1e-5


def test_a_checkpoint_that_runs_code_is_not_loaded(tmp_path: Path):
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("run",)

    path = tmp_path / "trap.pth"
    path.write_bytes(pickle.dumps({"params": Trap()}, protocol=2))
    with pytest.raises(ModelError, match="tensors alone"):
        checkpoint._tensors(path)


def test_without_torchvision_a_checkpoint_says_what_is_missing(monkeypatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    (tmp_path / "a.pth").write_bytes(b"")
    with pytest.raises(ModelError, match=r"torchvision is not installed.*vrestore\[models\]"):
        registry.find(str(tmp_path / "a.pth"))
