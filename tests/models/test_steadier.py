"""The steadier on known truth: flicker falls, what changes leaves no ghost, cuts are clean."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vrestore.media import Coding, ColorModel, Frame, SampleFormat
from vrestore.models import registry
from vrestore.models.restorer import shipped_aligner
from vrestore.models.single.restorer import ImageRestorer
from vrestore.models.steadier import Steadier

RGB = SampleFormat(model=ColorModel.RGB, depth=8)
MakeFrames = Callable[..., list[Frame]]


class Drawing:
    """Stands in for a network: each frame as it is, and what it drew into it, at once or twice."""

    latency = 0
    notes = ()

    def __init__(self, drawn: Iterable[Tensor] | None = None, scale: int = 1) -> None:
        self.spec, self.scale = registry.find("resize"), scale
        self._drawn = None if drawn is None else iter(drawn)

    def push(self, item: Frame) -> tuple[Frame, ...]:
        planes = torch.stack(item.planes[:3])
        if self._drawn is not None:
            planes = planes + next(self._drawn)
        large = planes.repeat_interleave(self.scale, 1).repeat_interleave(self.scale, 2)
        return (replace(item, planes=(*large, *item.planes[3:])),)

    def flush(self) -> tuple[Frame, ...]:
        return ()


def steadier(inner: Drawing) -> Steadier:
    stand_in: ImageRestorer = inner  # type: ignore[assignment]
    return Steadier(stand_in, shipped_aligner())


def shot(make: MakeFrames, pictures: Iterable[Tensor], cuts: tuple[int, ...] = (0,)) -> list[Frame]:
    pictures = list(pictures)
    return [
        replace(f, planes=tuple(p), format=RGB, coding=Coding.UNIT, shot_start=t in cuts)
        for t, (f, p) in enumerate(zip(make(len(pictures)), pictures, strict=True))
    ]


def run(op: Steadier, frames: list[Frame]) -> Tensor:
    made = [out for frame in frames for out in op.push(frame)] + list(op.flush())
    return torch.stack([torch.stack(frame.planes[:3]) for frame in made])


def scene(height: int = 64, width: int = 96, seed: int = 0) -> Tensor:
    coarse = torch.rand(1, 3, 9, 13, generator=torch.Generator().manual_seed(seed))
    made = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
    return (0.2 + 0.6 * made[0]).clamp(0, 1)


def flicker(seed: int, count: int, like: Tensor, size: float = 0.03) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [size * torch.randn(like.shape, generator=generator) for _ in range(count)]


def test_flicker_of_the_network_at_least_halves_on_a_still_scene(make_frames: MakeFrames):
    still = scene()
    drawn = flicker(1, 16, still)
    made = run(steadier(Drawing(drawn)), shot(make_frames, [still] * 16))
    bare = torch.stack(drawn)[8:]
    assert (made[8:] - still).square().mean() < 0.25 * bare.square().mean()
    assert made[8:].std(0).mean() < 0.5 * bare.std(0).mean()


def test_flicker_falls_where_the_scene_moves_and_the_picture_is_not_moved(make_frames: MakeFrames):
    wide = scene(64, 160)
    truth = [wide[:, :, 2 * t : 2 * t + 96] for t in range(12)]
    drawn = flicker(2, 12, truth[0])
    made = run(steadier(Drawing(drawn)), shot(make_frames, truth))
    error = (made - torch.stack(truth))[4:, :, 8:-8, 8:-8].square().mean()
    assert error < 0.75 * torch.stack(drawn)[4:].square().mean()


def test_a_change_of_light_does_not_lag(make_frames: MakeFrames):
    still = scene()
    light = [0.85 + 0.25 * (t % 4) / 4 for t in range(12)]
    made = run(steadier(Drawing()), shot(make_frames, [still * k for k in light]))
    means = made.mean((1, 2, 3)) / still.mean()
    assert (means - torch.tensor(light)).abs().max() < 0.01


def test_what_moves_before_a_still_ground_leaves_no_ghost(make_frames: MakeFrames):
    truth = []
    for t in range(12):
        picture = scene()
        picture[:, 20:36, 4 + 6 * t : 16 + 6 * t] = torch.tensor((0.9, 0.1, 0.2)).view(3, 1, 1)
        truth.append(picture)
    made = run(steadier(Drawing()), shot(make_frames, truth))
    assert (made - torch.stack(truth)).abs().max() < 0.03


@pytest.mark.parametrize("scale", [1, 2])
def test_no_ghost_at_a_cut_and_nothing_of_a_shot_reaches_the_next(
    scale: int, make_frames: MakeFrames
):
    first, second = scene(seed=1), scene(seed=2)
    pictures = [first] * 4 + [second] * 4
    made = run(steadier(Drawing(scale=scale)), shot(make_frames, pictures, cuts=(0, 4)))
    alone = run(steadier(Drawing(scale=scale)), shot(make_frames, [second] * 4))
    assert torch.equal(made[4:], alone)
    unmarked = run(steadier(Drawing(scale=scale)), shot(make_frames, pictures))
    assert (unmarked[4:] - alone).abs().max() < 0.03


def test_odd_sizes_and_other_facts_of_a_frame_are_kept(make_frames: MakeFrames):
    frames = shot(make_frames, [scene(35, 47)] * 3)
    op = steadier(Drawing(scale=2))
    made = [out for frame in frames for out in op.push(frame)]
    assert [(f.width, f.height) for f in made] == [(94, 70)] * 3
    assert [(f.timestamp, f.index, f.duration) for f in made] == [
        (f.timestamp, f.index, f.duration) for f in frames
    ]


def test_what_the_network_does_in_the_large_does_not_wander(make_frames: MakeFrames):
    # The same wrong shade on everything that moves: no averaging along the motion takes it away.
    wide = scene(64, 160)
    shade = torch.nn.functional.avg_pool2d(wide.flip(-1), 9, 1, 4) - 0.5
    truth = [wide[:, :, 2 * t : 2 * t + 96] for t in range(8)]
    drawn = [0.5 * shade[:, :, 2 * t : 2 * t + 96] for t in range(8)]
    made = run(steadier(Drawing(drawn)), shot(make_frames, truth))
    blocks = [
        torch.nn.functional.avg_pool2d(error, 8).std(0).mean()
        for error in (made - torch.stack(truth), torch.stack(drawn))
    ]
    assert blocks[0] < 0.5 * blocks[1]


def test_a_network_that_means_to_change_colour_is_let(make_frames: MakeFrames):
    dark = 0.3 * scene()
    lighter = [torch.full_like(dark, 0.5)] * 4
    made = run(steadier(Drawing(lighter)), shot(make_frames, [dark] * 4))
    assert (made - dark).mean() > 0.45
