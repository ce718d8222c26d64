"""What the cell is compared with at equal steps: three published shapes, and itself with less.

Everything here trains by the same loop on the same data, has the cell's interface, and never ships.

    srcnn      9-5-5 of Dong et al. 2016 (arXiv:1501.00092) on the bicubic base
    fsrcnn     (56, 12, 4) of Dong et al. 2016 (arXiv:1608.00367), one deconvolution per scale
    srvgg      the SRVGG-compact of Real-ESRGAN with 24 channels and 8 layers, as dear as `lite`
    window     the cell with the previous input in place of the previous fused picture
    median     the cell with the median of three aligned frames in place of the learned fusion
    unblended  the cell without the blend on the output grid

The published shapes restore luma and leave chroma to the bicubic base.  They are told noise level
and strength, as the cell is, by two constant planes, and add to the bicubic base from a last layer
that starts at zero.  The layers before it start as He et al. 2015 (arXiv:1502.01852) say: with
torch's own, smaller numbers what reaches the last layer is so faint that it stays at zero.  SRCNN
is told by what constant planes would add to its first layer: the 81 samples that a 9x9 filter sees
of each, all alike, otherwise pull it one way at every step until its rectifiers let nothing
through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vrestore.models.nets.cell import Cell, Kernels, Layer, Memory, Neighbour, Result
from vrestore.models.nets.fusion import Candidates, Fused, median
from vrestore.models.nets.grid import Layout, Picture, upsample

__all__ = ["NETS", "SINGLE_IMAGE", "Net", "Rival"]

_KNOBS = 2

Tail = TypeVar("Tail", nn.Conv2d, nn.ConvTranspose2d)


class Rival(nn.Module):
    """A single-image net for luma behind the interface of `Cell`."""

    def __init__(self, body: nn.Module, scales: Sequence[int]) -> None:
        super().__init__()
        self.body, self.scales = body, tuple(scales)

    def kernels(self, layout: Layout, scale: int, dtype: torch.dtype | None = None) -> Kernels:
        """Layout and scale alone; what is computed in is told by a weight of `dtype`."""
        told = torch.zeros(0, dtype=dtype or torch.float32)
        return Kernels((Layer(told, told, told),), layout, scale)

    def forward(
        self,
        kernels: Kernels,
        now: Picture,
        knobs: Tensor,
        memory: Memory | None = None,
        before: Neighbour | None = None,
        after: Neighbour | None = None,
        following: Picture | None = None,
        *,
        shift: tuple[float, float] = (0.0, 0.0),
    ) -> Result:
        """One frame; whatever belongs to other frames is ignored."""
        scale = kernels.scale
        base = upsample(now.luma, scale)
        dtype = kernels.layers[0].weight.dtype
        with torch.autocast(now.luma.device.type, dtype, enabled=dtype is not torch.float32):
            luma = base + self.body(now.luma, base, knobs, scale).float()
        chroma = None if now.chroma is None else upsample(now.chroma, scale, shift)
        noise = torch.ones_like(now.luma[..., ::2, ::2])
        return Result(Picture(luma, chroma), Memory(now, now, noise, None))


def _planes(knobs: Tensor, like: Tensor) -> Tensor:
    return torch.cat((like, knobs.expand(-1, -1, *like.shape[-2:])), 1)


def _silent(layer: Tail) -> Tail:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _audible(layers: nn.Sequential) -> nn.Sequential:
    """The layers with a start at which the signal keeps its strength through all of them."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layers


class _Srcnn(nn.Module):
    """One net for all scales, since it begins after the magnification."""

    def __init__(self) -> None:
        super().__init__()
        self.head = _audible(nn.Sequential(nn.Conv2d(1, 64, 9, padding=4)))
        self.told = _silent(nn.Conv2d(_KNOBS, 64, 1))
        self.layers = _audible(
            nn.Sequential(nn.Conv2d(64, 32, 5, padding=2), nn.ReLU(inplace=True))
        )
        self.tail = _silent(nn.Conv2d(32, 1, 5, padding=2))

    def forward(self, luma: Tensor, base: Tensor, knobs: Tensor, scale: int) -> Tensor:
        planes = base.contiguous(memory_format=torch.channels_last)
        seen = (self.head(planes) + self.told(knobs)).relu_()
        made: Tensor = self.tail(self.layers(seen))
        return made


class _Fsrcnn(nn.Module):
    def __init__(self, scales: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1 + _KNOBS, 56, 5, padding=2), nn.PReLU(56)]
        layers += [nn.Conv2d(56, 12, 1), nn.PReLU(12)]
        for _ in range(4):
            layers += [nn.Conv2d(12, 12, 3, padding=1), nn.PReLU(12)]
        layers += [nn.Conv2d(12, 56, 1), nn.PReLU(56)]
        self.layers = _audible(nn.Sequential(*layers))
        self.tails = nn.ModuleDict({
            str(s): _silent(nn.ConvTranspose2d(56, 1, 9, s, 4, output_padding=s - 1))
            for s in scales
        })  # fmt: skip

    def forward(self, luma: Tensor, base: Tensor, knobs: Tensor, scale: int) -> Tensor:
        planes = _planes(knobs, luma).contiguous(memory_format=torch.channels_last)
        made: Tensor = self.tails[str(scale)](self.layers(planes))
        return made


class _Srvgg(nn.Module):
    def __init__(self, scales: Sequence[int], width: int = 24, depth: int = 8) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1 + _KNOBS, width, 3, padding=1), nn.PReLU(width)]
        for _ in range(depth):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.PReLU(width)]
        self.layers = _audible(nn.Sequential(*layers))
        self.tails = nn.ModuleDict(
            {str(s): _silent(nn.Conv2d(width, s * s, 3, padding=1)) for s in scales}
        )

    def forward(self, luma: Tensor, base: Tensor, knobs: Tensor, scale: int) -> Tensor:
        planes = _planes(knobs, luma).contiguous(memory_format=torch.channels_last)
        made = F.pixel_shuffle(self.tails[str(scale)](self.layers(planes)), scale)
        return made


class _WindowCell(Cell):
    """Forgets what it fused: of the past it sees the previous input alone."""

    def forward(self, *args: object, **options: object) -> Result:
        result: Result = super().forward(*args, **options)  # type: ignore[arg-type]
        memory = result.memory
        plain = memory._replace(fused=memory.frame, noise=torch.ones_like(memory.noise))
        return result._replace(memory=plain)


class _MedianFusion(nn.Module):
    def forward(self, c: Candidates, knobs: Tensor, layout: Layout) -> Fused:
        both = c.has_before * c.has_after
        cells = both * median(c.now, c.before, c.after) + (1 - both) * c.now
        noise = torch.ones_like(c.noise) - 0.5 * both
        distance = (cells - c.now)[:, :4].abs().mean(1, keepdim=True)
        return Fused(cells, noise, distance.clamp(max=0.5), torch.zeros_like(noise))


class _NoBlend(nn.Module):
    def forward(
        self, new: Tensor, old: Tensor, learned: Tensor, trust: Tensor, noise: Tensor
    ) -> Tensor:
        return new


def _unblended(width: int, depth: int, folded: bool) -> Cell:
    cell = Cell(width, depth, folded=folded)
    cell.blend = nn.ModuleDict({str(s): _NoBlend() for s in cell.scales if s > 1})
    return cell


def _median(width: int, depth: int, folded: bool) -> Cell:
    cell = _unblended(width, depth, folded)
    cell.fusion = _MedianFusion()  # type: ignore[assignment]
    return cell


_SCALES = (1, 2, 4)

Net = Cell | Rival

NETS: Mapping[str, Callable[[int, int, bool], Net]] = MappingProxyType(
    {
        "cell": lambda width, depth, folded: Cell(width, depth, folded=folded),
        "window": lambda width, depth, folded: _WindowCell(width, depth, folded=folded),
        "median": _median,
        "unblended": _unblended,
        "srcnn": lambda width, depth, folded: Rival(_Srcnn(), _SCALES),
        "fsrcnn": lambda width, depth, folded: Rival(_Fsrcnn(_SCALES), _SCALES),
        "srvgg": lambda width, depth, folded: Rival(_Srvgg(_SCALES), _SCALES),
    }
)
"""Name -> net of channels, depth and whether its kernels are folded; `cell` is what ships."""

SINGLE_IMAGE = frozenset({"srcnn", "fsrcnn", "srvgg"})
