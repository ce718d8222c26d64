"""Networks as methods: the models that ship, and checkpoints of trainings beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from vrestore.errors import InputError
from vrestore.media import (
    ChromaLocation,
    Coding,
    ColorModel,
    ColorSpec,
    Frame,
    Matrix,
    SampleFormat,
    Timestamp,
)
from vrestore.models.nets import ARCHITECTURES
from vrestore.models.nets.cell import Cell, noise_level
from vrestore.models.nets.grid import YUV420, YUV444, Picture
from vrestore.models.registry import ModelSpec, load_weights
from vrestore.models.restorer import RestoreConfig, Restorer, build
from vrestore.models.temporal import TemporalRestorer
from vrestore.ops.resample import Kernel
from vrestore.review.quality.cases import Case
from vrestore.review.quality.methods import Made, Method, magnified
from vrestore.train.checkpoint import new_cell, read
from vrestore.train.rivals import Rival

__all__ = ["Contender", "aligned_median", "cell_of", "contender", "network", "streamed"]

LIKE_STEPS = 0.02
"""Share by which the steps of two trainings may differ that count as equal."""


# ------------------------------------------------------------------------------ what ships


def network(spec: ModelSpec, *, one_by_one: bool = False) -> Method:
    """A model as the pipeline runs it, at the strength of the case.

    With `one_by_one` every frame is a shot of its own: no neighbours and no memory.  These are the
    same weights, not a network that was trained for stills.
    """

    def restorer(case: Case, scale: int) -> Restorer:
        return build(spec, scale, RestoreConfig(strength=case.strength))

    name = f"{spec.name}, one frame at a time" if one_by_one else spec.name
    return Method(name, lambda case: _restored(case, spec, restorer, one_by_one))


def cell_of(spec: ModelSpec) -> Cell:
    """The network of a model, for what looks at it from inside."""
    cell = ARCHITECTURES[spec.arch](**spec.arch_args).eval().requires_grad_(False)
    cell.load_state_dict({k: v.float() for k, v in load_weights(spec).items()})
    return cell


def aligned_median(spec: ModelSpec) -> Method:
    """The median of three frames, aligned by the model's aligner; no trunk, bicubic."""
    cell = new_cell("nano", "median", folded=True)
    assert isinstance(cell, Cell)
    # The heads of a new cell are zero: what it gives is the fused picture on the bicubic base.
    cell.align.load_state_dict(cell_of(spec).align.state_dict())
    return _temporal("median of 3 frames, aligned", cell, one_by_one=False)


# ------------------------------------------------------------------------------- trainings


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A checkpoint of a training that is measured beside the models."""

    name: str
    method: Method
    net: str
    """A key of `vrestore.train.rivals.NETS`."""

    size: str
    temporal: bool
    manifest: str
    steps: int

    @property
    def what(self) -> tuple[str, bool]:
        """Net, and whether it looks at time: the mechanism."""
        return self.net, self.temporal

    def alike(self, other: Contender) -> bool:
        """Trained for as many steps, of one size."""
        near = abs(self.steps - other.steps) <= LIKE_STEPS * max(self.steps, other.steps)
        return near and self.size == other.size


def contender(name: str, path: Path) -> Contender:
    """The averaged weights of a checkpoint.  Raises InputError."""
    stored = read(path)
    settings = {"net": "cell", **stored["config"]}
    net = new_cell(settings["size"], settings["net"])
    try:
        net.load_state_dict(stored["average"])
    except RuntimeError as error:
        raise InputError(f"{path} does not hold a {settings['net']}: {error}") from error
    net.eval().requires_grad_(False)
    if isinstance(net, Rival):
        method = Method(name, _single_image(net))
    else:
        method = _temporal(name, net, one_by_one=not settings["temporal"])
    return Contender(
        name=name,
        method=method,
        net=settings["net"],
        size=settings["size"],
        temporal=bool(settings["temporal"]) and not isinstance(net, Rival),
        manifest=settings["manifest"],
        steps=int(stored["step"]),
    )


def _temporal(name: str, cell: Cell, *, one_by_one: bool) -> Method:
    """A cell that is no model, run as models are."""
    spec = ModelSpec(
        name=name, arch="cell", license="not for use", purpose="is measured",
        scales=cell.scales, lookahead=1, min_size=16, multiple_of=2,
    )  # fmt: skip

    def restorer(case: Case, scale: int) -> Restorer:
        return TemporalRestorer(
            spec, cell, scale,
            strength=case.strength, tile=0, dtype=torch.float32, device=torch.device("cpu"),
        )  # fmt: skip

    return Method(name, lambda case: _restored(case, spec, restorer, one_by_one))


def _single_image(net: Rival) -> Callable[[Case], Made]:
    """Frame by frame, as training runs it."""

    def restore(case: Case) -> Made:
        scale = next(s for s in net.scales if s >= case.scale)
        kernels = net.kernels(YUV420 if case.subsampled else YUV444, scale)
        shift = (0.0, 0.25 - 0.25 / scale) if case.subsampled else (0.0, 0.0)
        lumas, chromas = [], []
        with torch.no_grad():
            for picture in _pictures(case):
                strength = torch.full((1, 1, 1, 1), case.strength)
                knobs = torch.cat((noise_level(picture.luma), strength), 1)
                made = net(kernels, picture, knobs, shift=shift).picture
                lumas.append(made.luma[0, 0])
                chromas.append(made.chroma[0])
        luma, chroma = 16 + 219 * (torch.stack(lumas) + 0.5), 128 + 224 * torch.stack(chromas)
        return _fitted(case, scale, luma, chroma)

    return restore


def _pictures(case: Case) -> Iterator[Picture]:
    for luma, chroma in zip(case.luma, case.chroma, strict=True):
        yield Picture((luma[None, None] - 16) / 219 - 0.5, (chroma[None] - 128) / 224)


# --------------------------------------------------------------------------------- streaming


def _restored(
    case: Case,
    spec: ModelSpec,
    restorer: Callable[[Case, int], Restorer],
    one_by_one: bool,
) -> Made:
    head = spec.head_for(case.scale)
    made = list(streamed(restorer(case, head), _frames(case, one_by_one)))
    luma = 16 + 219 * torch.stack([frame.planes[0] for frame in made])
    chroma = torch.stack([torch.stack(frame.planes[1:3]) for frame in made])
    return _fitted(case, head, luma, 128 + 224 * (chroma - 0.5))


def _fitted(case: Case, scale: int, luma: Tensor, chroma: Tensor) -> Made:
    """What a head of that scale made, at the scale of the case."""
    if scale == case.scale:
        return Made(luma, chroma)
    return magnified(case, luma, chroma, Kernel.LANCZOS3)


def streamed(restorer: Restorer, frames: Iterator[Frame]) -> Iterator[Frame]:
    """The frames restored, one after another."""
    for frame in frames:
        yield from restorer.push(frame)
    yield from restorer.flush()


def _frames(case: Case, one_by_one: bool) -> Iterator[Frame]:
    subsampled = int(case.subsampled)
    layout = SampleFormat(
        model=ColorModel.YCBCR, depth=8, log2_chroma_w=subsampled, log2_chroma_h=subsampled
    )
    color = ColorSpec(matrix=Matrix.SMPTE170M, chroma_location=ChromaLocation.LEFT)
    for t, (luma, chroma) in enumerate(zip(case.luma, case.chroma, strict=True)):
        yield Frame(
            planes=((luma - 16) / 219, *((chroma - 128) / 224 + 0.5)),
            format=layout,
            coding=Coding.UNIT,
            color=color,
            timestamp=Timestamp(pts=t, time_base=Fraction(1, 25)),
            duration=1,
            index=t,
            shot_start=one_by_one or t == 0,
        )
