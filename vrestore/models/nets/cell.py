"""The cell: one step of a causal recurrence that restores and magnifies video.

    x(t-1), x(t), x(t+1)   pictures, luma (N, 1, H, W), chroma by layout, zero-centred
    flows                  (N, 2, h, w) on the grid of h x w = H/2 x W/2 cells
    fuse                   s(t) = convex(x(t), W s(t-1), W x(t+1), median)        the only state
    stem                   3x3, cells of s, of x - s and four maps -> C, PReLU
    trunk                  N x [3x3 C -> C, PReLU]
    head_s                 3x3 C -> luma (2s)^2, chroma, blend (2s)^2; + bicubic_s(s(t)) in fp32
    blend                  o(t) = (1 - K) net(t) + K W o(t-1), s > 1, luma; net never sees o(t-1)

The slopes of the rectifiers are learned (He et al. 2015, arXiv:1502.01852), from 0.4 on: with plain
ReLU the same trunk needs about twice the steps to the same quality of single pictures.

Without neighbours the fused picture is the frame itself and the blend falls away: a still is a
shot of one frame.  While training, a 3x3 of stem and trunk is the sum of a 3x3, a 1x1 and an
identity, added up as weights, so folding for a run is the same sum kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vrestore.models.nets.align import Aligner, Search
from vrestore.models.nets.fusion import Candidates, Fused, InputFusion, OutputBlend
from vrestore.models.nets.grid import (
    Layout,
    Picture,
    cells_to_picture,
    fold_inputs,
    fold_outputs,
    from_cells,
    picture_to_cells,
    upsample,
)
from vrestore.models.nets.warp import Warps

STEM_MAPS = 4
"""Remaining noise less 1, distance of the frame from its neighbours, noise level, strength."""


SLOPE = 0.4
"""Of the rectifiers' negative side, to begin with."""


class Convolution(nn.Module):
    """A 3x3 kernel, while training the sum of three, and the rectifier's slope per channel."""

    def __init__(self, inputs: int, outputs: int, *, folded: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        nn.init.kaiming_normal_(self.weight)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.slope = nn.Parameter(torch.full((outputs,), SLOPE))
        self.point: nn.Parameter | None = None
        self.through: nn.Parameter | None = None
        if not folded:
            self.point = nn.Parameter(torch.zeros(outputs, inputs, 1, 1))
            if inputs == outputs:
                # A signal must come through all layers from the start: seven layers of torch's
                # default init shrink it 500 times, and a net that starts so does not learn.
                self.through = nn.Parameter(torch.ones(outputs))
                with torch.no_grad():
                    self.weight.mul_(0.3)

    def kernel(self) -> Tensor:
        """The one 3x3 kernel, (outputs, inputs, 3, 3)."""
        if self.point is None:
            return self.weight
        centre: Tensor = self.point
        if self.through is not None:
            centre = centre + torch.diag(self.through)[:, :, None, None]
        return self.weight + F.pad(centre, (1, 1, 1, 1))


class Layer(NamedTuple):
    """A plain 3x3 convolution and what rectifies its result."""

    weight: Tensor
    bias: Tensor
    slope: Tensor
    """Per channel, of the negative side; 1 leaves the result alone."""
    fast: Callable[[Tensor], Tensor] | None = None
    """Does the same, rectifier included, for one picture."""

    def __call__(self, features: Tensor, *, rectified: bool) -> Tensor:
        if self.fast is not None and features.shape[0] == 1:
            return self.fast(features)
        made = F.conv2d(features, self.weight, self.bias, padding=1)
        return F.prelu(made, self.slope) if rectified else made


class Kernels(NamedTuple):
    """Stem, trunk and one head as plain kernels for one layout of chroma and one scale."""

    layers: tuple[Layer, ...]
    """In order; the last one, the head, is not rectified."""
    layout: Layout
    scale: int


class Memory(NamedTuple):
    """What one step hands to the next."""

    frame: Picture
    fused: Picture
    noise: Tensor
    luma: Tensor | None
    """The previous output's luma for scales above 1."""


class Neighbour(NamedTuple):
    """A flow from the current frame to a neighbour, and how far it can be believed."""

    flow: Tensor
    trust: Tensor
    """(N, 1, h, w) in 0..1."""
    present: Tensor
    """1 where the sample has the neighbour, else 0, (N, 1, 1, 1)."""


class Result(NamedTuple):
    picture: Picture
    memory: Memory


class Steps(NamedTuple):
    """What does the parts of a step around the trunk: torch, or anything that gives the same."""

    search: Search = Search()
    warps: Warps = Warps()
    fuse: Callable[..., Fused] = nn.Module.__call__
    """Of an `InputFusion` and its arguments."""
    blend: Callable[..., Tensor] = nn.Module.__call__
    """Of an `OutputBlend` and its arguments."""


class Cell(nn.Module):
    """One step, for every scale and every layout of chroma; see the module's docstring.

    Args:
        width: channels C of the trunk.
        depth: 3x3 layers N of the trunk.
        scales: magnifications with a head.
        folded: whether stem and trunk are single kernels, as in weight files.
    """

    def __init__(
        self,
        width: int = 32,
        depth: int = 6,
        scales: Sequence[int] = (1, 2, 4),
        folded: bool = True,
    ) -> None:
        super().__init__()
        self.width, self.depth, self.scales = width, depth, tuple(scales)
        self.steps = Steps()
        self.align = Aligner()
        self.fusion = InputFusion()
        self.blend = nn.ModuleDict({str(s): OutputBlend(s) for s in scales if s > 1})
        self.stem = Convolution(24 + STEM_MAPS, width, folded=folded)
        with torch.no_grad():
            # What only neighbours can fill is added to a trunk that already restores stills.
            self.stem.weight[:, 12 : 12 + 12 + 2] = 0.0
        self.trunk = nn.ModuleList(Convolution(width, width, folded=folded) for _ in range(depth))
        self.heads = nn.ModuleDict()
        for s in scales:
            outputs = (1 + 2) * (2 * s) ** 2 + ((2 * s) ** 2 if s > 1 else 0)
            head = nn.Conv2d(width, outputs, 3, padding=1)
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]
            self.heads[str(s)] = head

    def do_by(self, steps: Steps) -> None:
        """Let something else than torch do them, the aligner's too."""
        self.steps = steps
        self.align.search = steps.search

    # ------------------------------------------------------------------------------- kernels

    def kernels(self, layout: Layout, scale: int, dtype: torch.dtype | None = None) -> Kernels:
        """Stem, trunk and head, folded for a layout; differentiable."""
        stem = self.stem.kernel()
        frame, rest, maps = stem[:, :12], stem[:, 12:24], stem[:, 24:]
        stem = torch.cat(
            [
                part
                for source in (frame, rest)
                for part in (source[:, :4], fold_inputs(source[:, 4:], layout))
            ]
            + [maps],
            1,
        )
        head = self.heads[str(scale)]
        assert isinstance(head, nn.Conv2d) and head.bias is not None
        size = (2 * scale) ** 2
        weight, bias = (
            torch.cat((p[:size], fold_outputs(p[size : 3 * size], layout, scale), p[3 * size :]))
            for p in (head.weight, head.bias)
        )
        trunk = [c for c in self.trunk if isinstance(c, Convolution)]
        layers = [Layer(stem, self.stem.bias, self.stem.slope)]
        layers += [Layer(c.kernel(), c.bias, c.slope) for c in trunk]
        layers += [Layer(weight, bias, torch.ones_like(bias))]
        return Kernels(
            tuple(
                Layer(
                    layer.weight.to(dtype).contiguous(memory_format=torch.channels_last),
                    layer.bias.to(dtype),
                    layer.slope.to(dtype),
                )
                for layer in layers
            ),
            layout,
            scale,
        )

    # ---------------------------------------------------------------------------------- step

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
        band: int | None = None,
    ) -> Result:
        """One frame.

        Args:
            kernels: of the layout that `now` has.
            now: even luma size.
            knobs: (N, 2, 1, 1), `noise_level` of the frame and strength.
            memory, before: of the frame before, both or neither.
            after, following: of the frame after, both or neither.
            shift: chroma sampling shift of `upsample`, (vertical, horizontal).
            band: rows of the grid per band of the trunk; None is the whole frame.

        The result's picture has `kernels.scale` times the size.
        """
        layout, scale = kernels.layout, kernels.scale
        cells = picture_to_cells(now, layout)
        previous_luma = None
        if memory is None and after is None:
            blank = torch.zeros_like(cells[:, :1])
            fused = Fused(cells, torch.ones_like(blank), blank, blank)
        else:
            candidates, previous_luma = self._candidates(
                cells, memory, before, after, following, layout
            )
            fused = self.steps.fuse(self.fusion, candidates, knobs, layout)
            del candidates  # as large as three pictures, and not needed beside the trunk
        picture = cells_to_picture(fused.cells, layout)

        h, w = cells.shape[-2:]
        deep = torch.cat(
            (
                fused.cells, cells - fused.cells, fused.noise - 1.0, fused.distance,
                knobs.expand(-1, -1, h, w),
            ),
            1,
        )  # fmt: skip
        head = run_layers(kernels.layers, deep, band)
        del deep

        size = (2 * scale) ** 2
        luma = upsample(picture.luma, scale) + from_cells(head[:, :size], 2 * scale, 2 * scale)
        chroma = None
        if picture.chroma is not None:
            count = 2 * layout.samples * scale * scale
            chroma = upsample(picture.chroma, scale, shift) + from_cells(
                head[:, size : size + count], layout.rows * scale, layout.columns * scale
            )
        if previous_luma is not None and before is not None:
            luma = self.steps.blend(
                self.blend[str(scale)],
                luma,
                previous_luma,
                head[:, -size:],
                before.trust * (1.0 - fused.apart),
                fused.noise,
            )
        remembered = luma if scale > 1 else None
        return Result(Picture(luma, chroma), Memory(now, picture, fused.noise, remembered))

    def _candidates(
        self,
        cells: Tensor,
        memory: Memory | None,
        before: Neighbour | None,
        after: Neighbour | None,
        following: Picture | None,
        layout: Layout,
    ) -> tuple[Candidates, Tensor | None]:
        """All candidates as cells, and the previous output's luma, warped to this frame."""
        nothing = torch.zeros_like(cells[:, :1])
        absent = torch.zeros_like(cells[:, :1, :1, :1])
        state = previous = future = cells
        noise = torch.ones_like(nothing)
        old_luma = None
        if memory is not None and before is not None:
            read = self.steps.warps.plain
            lumas = self.steps.warps.sharp(
                torch.cat((memory.fused.luma, memory.frame.luma), 1), before.flow
            )
            chromas: tuple[Tensor | None, Tensor | None] = (None, None)
            if memory.fused.chroma is not None and memory.frame.chroma is not None:
                both = read(torch.cat((memory.fused.chroma, memory.frame.chroma), 1), before.flow)
                chromas = (both[:, :2], both[:, 2:])
            state = picture_to_cells(Picture(lumas[:, :1], chromas[0]), layout)
            previous = picture_to_cells(Picture(lumas[:, 1:], chromas[1]), layout)
            noise = read(memory.noise, before.flow)
            if memory.luma is not None:
                old_luma = self.steps.warps.sharp(memory.luma, before.flow)
        if after is not None and following is not None:
            luma, chroma = self.steps.warps.sharp(following.luma, after.flow), following.chroma
            if chroma is not None:
                chroma = self.steps.warps.plain(chroma, after.flow)
            future = picture_to_cells(Picture(luma, chroma), layout)
        return Candidates(
            now=cells,
            state=state,
            before=previous,
            after=future,
            trust_before=before.trust if before is not None else nothing,
            trust_after=after.trust if after is not None else nothing,
            has_before=before.present if before is not None else absent,
            has_after=after.present if after is not None else absent,
            noise=noise,
        ), old_luma


def run_layers(
    layers: Sequence[Layer], features: Tensor, band: int | None, *, widen: bool = True
) -> Tensor:
    """Convolutions with rectifiers between, whole or in horizontal bands; in fp32 out, or with
    `widen` off in the dtype of the layers.

    Every layer reaches one row further, so a band with as many rows of halo as there are layers
    gives what the whole gives; zero padding happens at the picture's own edges alone.
    """
    dtype = layers[0].weight.dtype
    features = features.to(dtype).contiguous(memory_format=torch.channels_last)
    rows = features.shape[2]
    if band is None or band >= rows:
        made = _run(layers, features)
        return made.float() if widen else made
    halo = len(layers)
    n, _, _, columns = features.shape
    # Laid out as the whole would be, and not collected first: that would hold the result twice.
    result = torch.empty(
        (n, layers[-1].weight.shape[0], rows, columns), device=features.device,
        dtype=torch.float32 if widen else dtype, memory_format=torch.channels_last,
    )  # fmt: skip
    for start in range(0, rows, band):
        top, bottom = max(0, start - halo), min(rows, start + band + halo)
        part = features[:, :, top:bottom].contiguous(memory_format=torch.channels_last)
        made = _run(layers, part)[:, :, start - top : start - top + band]
        result[:, :, start : start + band] = made
    return result


def _run(layers: Sequence[Layer], features: Tensor) -> Tensor:
    *rectified, head = layers
    for layer in rectified:
        features = layer(features, rectified=True)
    return head(features, rectified=False)


def noise_level(luma: Tensor) -> Tensor:
    """Standard deviation of the fine noise in luma (N, 1, H, W), times 10, as (N, 1, 1, 1).

    Immerkaer's mask, averaged over blocks of 8x8; the quarter of the blocks with least of it
    speaks for the frame, since texture and edges look like noise to the mask.
    """
    rows = luma[..., :-2, :] - 2.0 * luma[..., 1:-1, :] + luma[..., 2:, :]
    residue = (rows[..., :-2] - 2.0 * rows[..., 1:-1] + rows[..., 2:]).abs()
    blocks = F.avg_pool2d(residue, min(8, *residue.shape[-2:])).flatten(1)
    rank = max(1, (blocks.shape[1] + 3) // 4)
    level = blocks.kthvalue(rank, 1).values * (1.2533 / 6.0)
    return (10.0 * level).view(-1, 1, 1, 1)


def folded_weights(cell: Cell) -> Mapping[str, Tensor]:
    """The state of a cell as that of one made with `folded=True`."""
    state = {k: v.detach().clone() for k, v in cell.state_dict().items()}
    for name, module in cell.named_modules():
        if isinstance(module, Convolution):
            state[f"{name}.weight"] = module.kernel().detach().clone()
            for extra in ("point", "through"):
                state.pop(f"{name}.{extra}", None)
    return state
