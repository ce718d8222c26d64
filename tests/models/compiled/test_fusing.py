"""Compiled fusions give what the modules do, for every layout, with and without neighbours."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("numba")

from vrestore.models.compiled.fusing import CompiledFusions
from vrestore.models.nets.fusion import Candidates, InputFusion, OutputBlend
from vrestore.models.nets.grid import GRAY, YUV420, YUV422, YUV444, Layout
from vrestore.runtime.together import Together

CLOSE = {"atol": 2e-5, "rtol": 1e-4}


def candidates(layout: Layout, h: int, w: int, before: float, after: float) -> Candidates:
    """A frame with a speck of dust and a region that stands apart, and its noisy neighbours."""
    generator = torch.Generator().manual_seed(7)
    channels = 4 + 2 * layout.samples
    scene = torch.rand(1, channels, h, w, generator=generator) - 0.5

    def noisy(size: float) -> torch.Tensor:
        return scene + size * torch.randn(scene.shape, generator=generator)

    now = noisy(0.02)
    now[..., 1, 1] = 0.5
    now[..., h // 2 :, :] = 0.9
    maps = [torch.rand(1, 1, h, w, generator=generator) for _ in range(3)]
    return Candidates(
        now, noisy(0.01), noisy(0.02), noisy(0.03), maps[0] * before, maps[1] * after,
        torch.full((1, 1, 1, 1), before), torch.full((1, 1, 1, 1), after), maps[2],
    )  # fmt: skip


def stirred(module: torch.nn.Module) -> torch.nn.Module:
    """The module with numbers everywhere where training begins with zeros."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module.eval().requires_grad_(False)


@pytest.mark.parametrize("layout", [YUV420, YUV422, YUV444, GRAY, Layout(1, 2)])
@pytest.mark.parametrize(("before", "after"), [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)])
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_pictures_are_fused_as_by_the_module(
    layout: Layout, before: float, after: float, strength: float
):
    fusion = stirred(InputFusion())
    given = candidates(layout, 43, 37, before, after)
    knobs = torch.tensor((0.3, strength)).view(1, 2, 1, 1)
    wanted = fusion(given, knobs, layout)
    made = CompiledFusions(Together(2)).fuse(fusion, given, knobs, layout)
    for name, one, two in zip(wanted._fields, wanted, made, strict=True):
        assert torch.allclose(one, two, **CLOSE), name
    if before and after:
        assert 0 < wanted.apart.mean() < 1


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("size", [(9, 31), (1, 1)])
def test_results_are_blended_as_by_the_module(scale: int, size: tuple[int, int]):
    blend, (h, w) = stirred(OutputBlend(scale)), size
    generator = torch.Generator().manual_seed(5)
    new = torch.rand(1, 1, 2 * scale * h, 2 * scale * w, generator=generator)
    old = new + 0.05 * torch.randn(new.shape, generator=generator)
    learned = torch.randn(1, (2 * scale) ** 2, h, w, generator=generator)
    trust, noise = (torch.rand(1, 1, h, w, generator=generator) for _ in range(2))
    wanted = blend(new, old, learned.clone(), trust, noise)
    made = CompiledFusions(Together(2)).blend(blend, new, old, learned, trust, noise)
    assert torch.allclose(made, wanted, **CLOSE)
    assert not torch.allclose(wanted, new, atol=1e-5)
