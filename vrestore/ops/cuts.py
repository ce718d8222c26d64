"""Where shots begin: a streaming detector of hard cuts.

Two frames are compared by how badly the small luma of one can be patched together from shifted
blocks of the other.  Motion, however fast, leaves blocks that can be found again; another scene
does not.  Local means are taken away first, so a change of light is no change of scene.

    flash      what came before is seen again within a few frames: no cut
    dissolve   neighbours always resemble each other: no cut, and none is needed, since nothing
               changes suddenly
    fade       through black or white: one cut, where the new picture appears
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch

from vrestore.media import Coding, ColorModel, Frame, Range
from vrestore.ops.levels import plane_levels

__all__ = ["CutsConfig", "DetectCuts"]

_WIDTH, _HEIGHT = 64, 40
"""The small picture on which everything is decided: small enough that torch works on it in the
calling thread alone, since waking others costs more than it brings."""

_BLOCK = 8
_REACH = 5
"""How far a block may have moved: 8 % of the width from one frame to the next."""

_NOISE = 0.012
"""Texture (mean absolute luma detail) below which differences are noise."""

_FLAT = 0.004
"""Texture below which a frame is blank: the black or white between two fades."""

_CUT = 0.62
"""Least `_difference` of two scenes.  In the shots that the thresholds were chosen on, neighbours
inside one shot reach 0.58 (a shaken telephone), and hard cuts begin at 0.71."""

_SAME_AFTER_FADE = 0.5
"""Highest `_unmatched` share, at equal contrast, of a scene that comes back after blank frames."""

_MARGIN = 0.15
"""How far a cut stands out from the differences around it: snow is not a thousand shots."""

_MAX_SHOT = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class CutsConfig:
    """Section [cuts] of a preset."""

    detect: bool = True
    """Look for cuts where no list is given; otherwise the whole source is one shot."""

    min_shot_frames: int = 6
    """A picture that lasts fewer frames than this before the old one returns is a flash and no
    shot.  2 to 30; the detector looks ahead one frame less."""

    sensitivity: float = 1.0
    """Above 1 finds more cuts, below 1 fewer; 0.5 to 2."""

    file: str | None = None
    """A cut list to use instead of detecting."""

    shots: str | None = None
    """A shot list to use instead: where shots begin, and what each sets for itself."""

    tune: bool = False
    """Measure on each shot's first frames how much of every stage it needs; the preset says how far
    a stage may go."""

    def __post_init__(self) -> None:
        if not 2 <= self.min_shot_frames <= _MAX_SHOT:
            raise ValueError(
                f"min_shot_frames must be 2 to {_MAX_SHOT}, got {self.min_shot_frames}"
            )
        if not 0.5 <= self.sensitivity <= 2:
            raise ValueError(f"sensitivity must be 0.5 to 2, got {self.sensitivity}")
        if self.file is not None and self.shots is not None:
            raise ValueError("shots and file are both lists of shots; give one of them")


@dataclass(frozen=True, slots=True)
class _Look:
    """What is remembered of a frame, on the CPU."""

    detail: torch.Tensor
    """(_HEIGHT, _WIDTH) luma without its local mean."""

    means: torch.Tensor
    """(3, blocks down, blocks across) mean Y, Cb, Cr of each block."""

    wide_detail: torch.Tensor
    """`detail` with its edges repeated _REACH times."""

    wide_means: torch.Tensor
    """`means` with its edges repeated once."""

    texture: float
    """Mean absolute detail."""


@dataclass(slots=True)
class _Waiting:
    frame: Frame
    look: _Look
    difference: float
    """To the frame before; 0 for the first."""

    blank_before: _Look | None
    """The last look before a blank stretch that ends with this frame."""


@dataclass(slots=True)
class _Past:
    """What is kept of frames already given away."""

    looks: deque[_Look]
    differences: deque[float] = field(default_factory=lambda: deque(maxlen=2))


class DetectCuts:
    """Op: sets `shot_start` on the first frame of each shot, CODE or UNIT frames of any format.

    The very first frame always starts a shot.  Deterministic.  Holds back `latency` frames.
    """

    def __init__(self, config: CutsConfig) -> None:
        self._threshold = _CUT / config.sensitivity
        self._window = config.min_shot_frames - 1
        self.latency = self._window
        self._waiting: deque[_Waiting] = deque()
        self._past = _Past(looks=deque(maxlen=self._window))
        self._newest: _Look | None = None
        self._lit: _Look | None = None

    def push(self, frame: Frame) -> Iterable[Frame]:
        look = _look(frame)
        before = self._newest
        appears = before is not None and before.texture < _FLAT <= look.texture
        self._waiting.append(
            _Waiting(
                frame,
                look,
                0.0 if before is None else _difference(before, look),
                self._lit if appears else None,
            )
        )
        self._newest = look
        if look.texture >= _FLAT:
            self._lit = look
        if len(self._waiting) > self._window:
            yield self._decide()

    def flush(self) -> Iterable[Frame]:
        while self._waiting:
            yield self._decide()

    def _decide(self) -> Frame:
        """The oldest frame waiting, marked or not."""
        oldest = self._waiting[0]
        starts = not self._past.looks or self._is_cut() or self._ends_fade()
        self._waiting.popleft()
        self._past.looks.append(oldest.look)
        self._past.differences.append(oldest.difference)
        frame = oldest.frame
        return frame if frame.shot_start == starts else replace(frame, shot_start=starts)

    def _is_cut(self) -> bool:
        difference = self._waiting[0].difference
        if difference < self._threshold:
            return False
        around = [
            *self._past.differences,
            *(self._waiting[i].difference for i in (1, 2) if i < len(self._waiting)),
        ]
        if around and difference < sorted(around)[(len(around) - 1) // 2] + _MARGIN:
            return False
        return not self._returns()

    def _returns(self) -> bool:
        """Whether a scene before the cut is seen again after it, at most `_window` frames on."""
        for back, old in enumerate(reversed(self._past.looks)):
            for ahead in range(min(self._window - back, len(self._waiting))):
                if _difference(old, self._waiting[ahead].look) < self._threshold:
                    return True
        return False

    def _ends_fade(self) -> bool:
        """Whether another scene than the one before the blank frames appears."""
        lit = self._waiting[0].blank_before
        if lit is None:
            return False
        # Half faded pictures are faint; their contrast says nothing about what they show.
        before = _at_contrast(lit, 1)
        return all(
            _unmatched(before, _at_contrast(later.look, 1)) >= _SAME_AFTER_FADE
            for later in self._waiting
            if later.look.texture >= _FLAT
        )


def _look(frame: Frame) -> _Look:
    small = _small(frame)
    luma = small[0]
    detail = luma - _smoothing(_HEIGHT) @ luma @ _smoothing(_WIDTH).t()
    means = small.view(3, _HEIGHT // _BLOCK, _BLOCK, _WIDTH // _BLOCK, _BLOCK).mean(dim=(2, 4))
    return _Look(
        detail=detail,
        means=means,
        wide_detail=_widened(detail, _REACH),
        wide_means=_widened(means, 1),
        texture=float(detail.abs().mean()),
    )


def _at_contrast(look: _Look, texture: float) -> _Look:
    """The same look with its detail amplified to a given texture."""
    gain = texture / look.texture
    return replace(
        look, detail=look.detail * gain, wide_detail=look.wide_detail * gain, texture=texture
    )


def _widened(planes: torch.Tensor, edge: int) -> torch.Tensor:
    """(..., H, W) with the outermost samples repeated."""
    down, across = (
        torch.arange(-edge, size + edge).clamp_(0, size - 1) for size in planes.shape[-2:]
    )
    return planes[..., down[:, None], across]


def _small(frame: Frame) -> torch.Tensor:
    """(3, _HEIGHT, _WIDTH) Y, Cb - 0.5, Cr - 0.5 on the unit scale, on the CPU."""
    planes = []
    for number, plane in enumerate(frame.planes[: frame.format.color_planes]):
        # A part of the samples is plenty, and an 8K plane is not worth reading whole.
        sparse = (
            plane[
                :: max(1, plane.shape[0] // (8 * _HEIGHT)),
                :: max(1, plane.shape[1] // (8 * _WIDTH)),
            ]
            .float()
            .cpu()
        )
        small = (
            _shrinking(sparse.shape[0], _HEIGHT) @ sparse @ _shrinking(sparse.shape[1], _WIDTH).t()
        )
        if frame.coding is Coding.CODE:
            # Unresolved tags are none of the detector's business.
            assumed = frame.color.range or Range.FULL
            levels = plane_levels(frame.format, assumed, number)
            small = (small - levels.zero) / levels.gain
        planes.append(small)
    if frame.format.model is ColorModel.GRAY:
        return torch.stack((planes[0], *[torch.zeros_like(planes[0])] * 2))
    first, second, third = planes
    if frame.format.model is ColorModel.YCBCR:
        return torch.stack((first, second - 0.5, third - 0.5))
    luma = 0.2126 * first + 0.7152 * second + 0.0722 * third
    return torch.stack((luma, (third - luma) / 1.8556, (first - luma) / 1.5748))


@lru_cache(maxsize=16)
def _shrinking(size: int, to_size: int) -> torch.Tensor:
    """(to_size, size): the mean over each output sample's share of the input."""
    edges = torch.linspace(0, size, to_size + 1, dtype=torch.float64)
    start = torch.arange(size, dtype=torch.float64)
    overlap = (
        torch.minimum(edges[1:, None], start + 1) - torch.maximum(edges[:-1, None], start)
    ).clamp_(min=0)
    return (overlap * to_size / size).float()


@lru_cache(maxsize=2)
def _smoothing(size: int) -> torch.Tensor:
    """(size, size): the mean of each sample and its neighbours a block around it."""
    index = torch.arange(-(_BLOCK // 2), _BLOCK // 2 + 1) + torch.arange(size)[:, None]
    weights = torch.full(index.shape, 1 / (_BLOCK + 1))
    return torch.zeros(size, size).scatter_add_(1, index.clamp_(0, size - 1), weights)


@lru_cache(maxsize=1)
def _blocks() -> torch.Tensor:
    """(_WIDTH, _WIDTH / _BLOCK): which block a column belongs to."""
    return torch.eye(_WIDTH // _BLOCK).repeat_interleave(_BLOCK, 0)


def _difference(a: _Look, b: _Look) -> float:
    """0 for the same picture, about 0.8 for two scenes, more where one of them is blank.

    A change of colour adds a little, so that a lamp switched on is no cut; a great one, as between
    two title cards without any detail, is enough by itself.
    """
    colour = _recoloured(a, b)
    return min(_unmatched(a, b), _unmatched(b, a)) + min(colour, 0.2) + 2 * max(0.0, colour - 0.3)


def _unmatched(a: _Look, b: _Look) -> float:
    """The share of `a`'s detail that no shifted block of `b` explains."""
    down, across = _HEIGHT // _BLOCK, _WIDTH // _BLOCK
    shifted = b.wide_detail.unfold(0, _HEIGHT, 1).unfold(1, _WIDTH, 1)
    # Rows beside rows: the windows' own order would leave columns scattered.
    misfit = torch.sub(shifted, a.detail, out=torch.empty(shifted.shape)).abs_()
    rows = misfit.view(-1, down, _BLOCK, _WIDTH).sum(dim=2)
    best = (rows.view(-1, _WIDTH) @ _blocks()).view(-1, down, across).amin(dim=0)
    share = float(best.sum()) / (_HEIGHT * _WIDTH)
    return share / ((a.texture + b.texture) / 2 + _NOISE)


def _recoloured(a: _Look, b: _Look) -> float:
    """Mean distance of each block's colour from the nearest block's around its place."""
    down, across = a.means.shape[1:]
    shifted = b.wide_means.unfold(1, down, 1).unfold(2, across, 1)
    distance = (a.means[:, None, None] - shifted).abs_().sum(dim=0)
    return float(distance.view(9, down, across).amin(dim=0).mean())
