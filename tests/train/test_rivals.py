"""What the cell is compared with at equal steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from vrestore.errors import InputError
from vrestore.models.nets.cell import Cell, Neighbour
from vrestore.models.nets.grid import GRAY, YUV420, Picture, upsample
from vrestore.train import loop
from vrestore.train.checkpoint import new_cell
from vrestore.train.config import TrainConfig
from vrestore.train.loop import run
from vrestore.train.rivals import NETS, SINGLE_IMAGE, Rival

KNOBS = torch.tensor((0.2, 0.5)).view(1, 2, 1, 1)


def picture(seed: int, depth: float = 1.0) -> Picture:
    """Noise around gray, `depth` from peak to peak."""
    generator = torch.Generator().manual_seed(seed)
    return Picture(
        depth * (torch.rand(1, 1, 24, 32, generator=generator) - 0.5),
        depth * (torch.rand(1, 2, 12, 16, generator=generator) - 0.5),
    )


def neighbour() -> Neighbour:
    return Neighbour(torch.zeros(1, 2, 12, 16), torch.ones(1, 1, 12, 16), torch.ones(1, 1, 1, 1))


@pytest.mark.parametrize("net", sorted(SINGLE_IMAGE))
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_an_untrained_single_image_net_is_the_bicubic_base(net: str, scale: int):
    rival = new_cell("nano", net)
    now = picture(1)
    made = rival(rival.kernels(YUV420, scale), now, KNOBS).picture
    assert torch.equal(made.luma, upsample(now.luma, scale))
    assert made.chroma is not None and made.chroma.shape[-2:] == (12 * scale, 16 * scale)


@pytest.mark.parametrize("net", sorted(SINGLE_IMAGE))
def test_a_single_image_net_ignores_other_frames(net: str):
    rival = new_cell("nano", net)
    for parameter in rival.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    kernels, now = rival.kernels(YUV420, 2), picture(1)
    alone = rival(kernels, now, KNOBS)
    memory = rival(kernels, picture(2), KNOBS).memory
    among = rival(kernels, now, KNOBS, memory, neighbour(), neighbour(), picture(3))
    assert torch.equal(alone.picture.luma, among.picture.luma)


def sequence(cell: Cell | Rival, seeds: tuple[int, ...]) -> torch.Tensor:
    """Luma of the last frame of a still shot seen through these draws of noise.

    Little noise: a frame that shows something else everywhere is no frame of the same shot to the
    fusion, which then takes nothing from before.
    """
    kernels = cell.kernels(YUV420, 2)
    memory = None
    for k, seed in enumerate(seeds):
        before = neighbour() if k else None
        after, following = (neighbour(), picture(9, 0.02)) if k else (None, None)
        result = cell(kernels, picture(seed, 0.02), KNOBS, memory, before, after, following)
        memory = result.memory
    return result.picture.luma


def test_the_window_forgets_what_is_two_frames_back():
    torch.manual_seed(0)
    window, cell = NETS["window"](8, 2, False), NETS["cell"](8, 2, False)
    for net, remembers in ((window, False), (cell, True)):
        # The blend on the output grid has a memory of its own: closed here.
        net.load_state_dict({
            k: torch.full_like(v, -1e3) if k == "blend.2.bias" else v
            for k, v in net.state_dict().items()
        })  # fmt: skip
        same = torch.equal(sequence(net, (1, 2, 3)), sequence(net, (7, 2, 3)))
        assert same is not remembers


def test_the_median_ignores_one_wild_frame():
    net = NETS["median"](8, 2, False)
    kernels, calm, wild = net.kernels(YUV420, 1), picture(1), picture(2)
    memory = net(kernels, calm, KNOBS).memory
    result = net(kernels, wild, KNOBS, memory, neighbour(), neighbour(), calm)
    assert torch.allclose(
        result.memory.fused.luma[..., 2:-2, 2:-2], calm.luma[..., 2:-2, 2:-2], atol=1e-4
    )


@pytest.mark.parametrize("net", sorted(SINGLE_IMAGE))
def test_a_single_image_net_leaves_the_bicubic_base_within_a_few_steps(net: str):
    generator = torch.Generator().manual_seed(5)
    blobs = F.interpolate(torch.rand(6, 1, 12, 12, generator=generator), (48, 48), mode="bicubic")
    truth = (blobs > 0.5).float() - 0.5
    now = Picture(F.interpolate(truth, (24, 24), mode="bicubic", antialias=True), None)
    torch.manual_seed(5)
    rival = new_cell("nano", net)
    kernels, knobs = rival.kernels(GRAY, 2), KNOBS.expand(6, -1, -1, -1)
    optimiser = torch.optim.Adam(rival.parameters(), 6e-4, (0.9, 0.99))
    errors = []
    for _ in range(60):
        error = (rival(kernels, now, knobs).picture.luma - truth).abs().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.95 * errors[0]


@pytest.mark.slow
@pytest.mark.parametrize("net", sorted(NETS))
def test_every_net_trains_by_the_same_loop(
    net: str, footage_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loop, "MEASUREMENTS", 1)
    config = TrainConfig(
        data=footage_folder, checkpoint=tmp_path / "c.pt", manifest="open", size="nano",
        steps=8, batch=1, crop=32, net=net, temporal=net not in SINGLE_IMAGE,
    )  # fmt: skip
    state = run(config)
    fresh = new_cell("nano", net).state_dict()
    assert state.step == 8
    assert any(not torch.equal(v, fresh[k]) for k, v in state.cell.state_dict().items())
    with pytest.raises(InputError, match="net ="):
        run(replace(config, net="cell" if net != "cell" else "window", temporal=True))


def test_a_net_that_does_not_exist_is_refused():
    with pytest.raises(InputError, match="unknown net"):
        new_cell("nano", "transformer")
