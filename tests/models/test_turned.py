"""The mean over eight turns: it turns with the picture, and is the mean of what each turn gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vrestore.cli import main
from vrestore.errors import ModelError
from vrestore.media import Coding, ColorModel, Frame, SampleFormat
from vrestore.models import registry
from vrestore.models.restorer import RestoreConfig, build
from vrestore.models.single import places
from vrestore.models.temporal import TemporalRestorer
from vrestore.models.turned import TURNS, Turn, Turned

RGB = SampleFormat(model=ColorModel.RGB, depth=8)
FULL_CHROMA = SampleFormat(model=ColorModel.YCBCR, depth=8)
WITH_ALPHA = SampleFormat(model=ColorModel.RGB, depth=8, alpha=True)
MakeFrames = Callable[..., list[Frame]]


def result(op: Turned | TemporalRestorer, frame: Frame) -> Tensor:
    (made,) = (*op.push(frame), *op.flush())
    return torch.stack(made.planes)


def turned(frame: Frame, turn: Turn) -> Frame:
    return replace(frame, planes=tuple(turn(plane) for plane in frame.planes))


def test_the_eight_turns_are_eight_and_each_can_be_undone():
    plane = torch.arange(12.0).view(3, 4)
    made = [turn(plane) for turn in TURNS]
    assert len({(*p.shape, *p.flatten().tolist()) for p in made}) == 8
    assert all(torch.equal(turn.back(p), plane) for turn, p in zip(TURNS, made, strict=True))


@pytest.mark.parametrize("scale", [1, 2])
def test_what_our_network_makes_of_a_turned_picture_is_the_turned_result(
    make_restorer: Callable[..., TemporalRestorer], make_frames: MakeFrames, scale: int
):
    (frame,) = make_frames(1, 46, 36, FULL_CHROMA)
    bare, op = make_restorer(scale), Turned(make_restorer(scale))
    upright, plain = result(op, frame), result(bare, frame)
    for turn in TURNS:
        back = torch.stack([turn.back(plane) for plane in result(op, turned(frame, turn))])
        assert (back - upright).abs().max() < 1e-5
    # The bare network has no such law, or there would be nothing to average.
    quarter = TURNS[1]
    bare_back = torch.stack([quarter.back(p) for p in result(bare, turned(frame, quarter))])
    assert (bare_back - plain).abs().max() > 1e-3
    assert (upright - plain).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["waifu2x-art", "realesr-animevideov3"])
def test_the_law_holds_for_published_networks_in_tiles_with_alpha(
    make_frames: MakeFrames, name: str
):
    spec = registry.find(name)
    assert spec.package is not None
    if places.installed(places.PACKAGES[spec.package]) is None:
        pytest.skip(f"{spec.package} is not installed")
    (frame,) = make_frames(1, 44, 30, WITH_ALPHA)
    frame = replace(frame, coding=Coding.UNIT)
    op = build(spec, 2, RestoreConfig(model=name, tta=True, tile=24))
    assert isinstance(op, Turned)
    upright = result(op, frame)
    assert upright.shape == (4, 60, 88)
    for turn in TURNS[1::3]:
        back = torch.stack([turn.back(plane) for plane in result(op, turned(frame, turn))])
        assert (back - upright).abs().max() < 2e-4


def test_chroma_of_half_the_size_is_refused(
    make_restorer: Callable[..., TemporalRestorer], make_frames: MakeFrames
):
    with pytest.raises(ModelError, match="chroma"):
        Turned(make_restorer()).push(make_frames(1)[0])


def test_a_photograph_turned_by_the_camera_gives_the_same_picture_turned(tmp_path: Path):
    """From the command line: a picture, and the same picture lying on its side."""
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    picture = coarse.resize((48, 36), Image.Resampling.BICUBIC)
    picture.save(tmp_path / "up.png")
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "side.png")
    made = {}
    for name, words in (("up", ["--tta"]), ("side", ["--tta"]), ("bare", [])):
        source = tmp_path / ("up.png" if name == "bare" else f"{name}.png")
        output = tmp_path / f"{name}-out.png"
        assert main(["run", str(source), "-o", str(output), "-n", "lite", "-s", "2", *words]) == 0
        with Image.open(output) as image:
            made[name] = np.asarray(image).astype(int)
    assert made["up"].shape == (72, 96, 3)
    # 8-bit results may round to either side.
    assert np.abs(np.rot90(made["up"]) - made["side"]).max() <= 1
    assert np.abs(made["up"] - made["bare"]).max() > 1


@pytest.mark.parametrize(("words", "status", "says"), [
    (["-n", "lite", "--tta"], 4, "--tta is for pictures"),
    (["-n", "resize", "--tta"], 2, "--tta is for networks"),
])  # fmt: skip
def test_where_it_cannot_be_one_sentence_says_so(
    words: list[str], status: int, says: str, sample: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["plan", str(sample), "-o", "out.mkv", *words]) == status
    assert says in " ".join(capsys.readouterr().err.split())
