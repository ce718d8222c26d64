"""Dust, blobs, hairs and splice marks: found by what the neighbouring frames show, and filled.

A region is dirt if it lies off both motion-compensated neighbours (`spikes`), if these agree with
each other inside it and with the frame around it, and if nothing like it moves through the frames
(`flyers`) nor adds colour, which dirt does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
import torch.nn.functional as F

from vrestore.media import Coding, ColorModel, Frame
from vrestore.notes import ShotNote
from vrestore.ops.blockmotion import CELL, Pyramid, displace, estimate, pyramid
from vrestore.ops.flyers import blobs, on_a_way
from vrestore.ops.infill import Reference, fill_from_neighbours, luma_of
from vrestore.ops.spikes import Spikes, find_spikes, one_sided, splice_rows

__all__ = ["Dirt", "DirtConfig", "dirt_density"]

_STEEPEST, _FLATTEST = 2.4, 4.0
"""Threshold of a spike in standard deviations of the noise, at strength 1 and 0."""

_BAR = 0.5
"""Least `_score` at strength 0.5; the score's weights were fitted, by logistic regression, on
synthetic dirt in one half of the clips that training uses."""

_ONE_SIDED = 1.0
"""How much more is asked for where both other frames lie on one side: what a moving thing covers
or uncovers there is missing in both."""

_FAINTEST = 0.022
"""Least mean contrast of dirt at strength 0.5, on the unit scale."""

_UNSTEADY = 0.8
"""How much more is asked for per e-fold of `Dirt._unsteady`, in samples."""

_FLICKER = 0.05
"""Largest difference of brightness, on the unit scale, that is taken for flicker."""

_LARGEST = 0.02
"""Share of the picture above which a region is no dirt."""

_COLOURED = 0.05
"""How much farther from grey than its background an object may be before it is no dirt."""

_APPEARED = 2.4
"""Threshold, in standard deviations, of what appears or vanishes from one frame to another."""

_SUSPECTS = 120
"""Most marks of a frame among which moving objects are looked for."""

_FLYER = 10.0
"""Samples below which a region is too small for its way to be recognised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirtConfig:
    """Section [dirt] of a preset."""

    strength: float = 0.0
    """How faint a mark may be to count as dirt; 0 is off, 0.5 suits most films, 1 finds most and
    takes away most.  0 to 1."""

    fill: Literal["temporal", "network"] = "temporal"
    """"temporal" fills marks from the neighbouring frames; "network" only marks them."""

    show_mask: bool = False
    """Show what was found, in red, instead of repairing it."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength must be 0 to 1, got {self.strength}")


def dirt_density(mask: torch.Tensor) -> float:
    """Share of the samples of a (H, W) bool mask that are set, 0 to 1."""
    return float(mask.float().mean())


@dataclass(slots=True)
class _View:
    """A frame with what was worked out about it."""

    frame: Frame
    luma: torch.Tensor
    levels: Pyramid
    restored: Frame | None = None

    @property
    def latest(self) -> Frame:
        return self.restored or self.frame


@dataclass(frozen=True, slots=True)
class _Link:
    """How a frame looks onto another one of its shot."""

    flow: torch.Tensor
    """Vectors from the one to the other."""

    aligned: torch.Tensor
    """(H, W) luma of the other, with the place and the brightness that it has in the one."""


@dataclass(slots=True)
class _Tally:
    first: int = 0
    shares: list[float] = field(default_factory=list)
    regions: int = 0
    spared: int = 0
    splices: int = 0


class Dirt:
    """Op: marks dirt in `Frame.mask` and, with fill "temporal", fills it; UNIT frames.

    A frame is judged by its two neighbours, the first and the last of a shot by the next two on
    their one side.  Shots of one or two frames pass unchanged.
    """

    def __init__(self, config: DirtConfig) -> None:
        self.latency = 2
        self.notes: list[ShotNote] = []
        self._config = config
        self._strength = config.strength
        self._views: list[_View] = []
        self._links: dict[tuple[int, int], _Link] = {}
        """(number of the one, number of the other) in the shot."""
        self._seen = 0
        self._given = 0
        self._tally = _Tally()

    def push(self, frame: Frame) -> Iterable[Frame]:
        if frame.coding is not Coding.UNIT:
            raise ValueError("Dirt takes UNIT frames")
        if frame.shot_start or not self._seen:
            yield from self._end()
            self._strength = frame.tuning.get("dirt.strength", self._config.strength)
            self._tally.first = frame.index
        self._seen += 1
        if self._strength <= 0:
            self._given += 1
            yield frame
            return
        luma = luma_of(frame.planes, frame.format)
        self._views.append(_View(frame, luma, pyramid(luma)))
        newest = self._seen - 1
        if newest == 2:
            yield self._settled(0, (1, 2))
        if newest >= 2:
            yield self._settled(newest - 1, (newest - 2, newest))
            del self._views[:-3]
            self._links = {
                pair: one for pair, one in self._links.items() if min(pair) >= newest - 1
            }

    def flush(self) -> Iterable[Frame]:
        yield from self._end()

    def _end(self) -> Iterable[Frame]:
        """What is held of the shot, and its note."""
        last = self._seen - 1
        if self._given < self._seen:
            if last >= 2:
                yield self._settled(last, (last - 1, last - 2))
            else:
                for view in self._views:
                    yield view.frame
        if self._seen and self._strength > 0:
            self._write_note()
        self._views.clear()
        self._links.clear()
        self._tally = _Tally()
        self._seen = self._given = 0

    def _view(self, number: int) -> _View:
        return self._views[number - self._seen]

    def _link(self, one: int, other: int) -> _Link:
        if (one, other) not in self._links:
            here, there = self._view(one), self._view(other)
            flow = estimate(here.levels, there.levels)
            aligned = displace(there.luma[None, None], flow)[0, 0]
            self._links[one, other] = _Link(flow, _levelled(aligned, here.luma))
        return self._links[one, other]

    def _settled(self, number: int, others: tuple[int, int]) -> Frame:
        """The frame of that number, judged by two others and repaired."""
        self._given += 1
        view = self._view(number)
        found = self._judge(number, others)
        if found is None:
            self._tally.shares.append(0.0)
            return view.frame
        self._tally.shares.append(dirt_density(found))
        frame = view.frame
        mask = found if frame.mask is None else found | frame.mask
        frame = replace(frame, mask=mask)
        if self._config.fill == "temporal":
            references = [
                Reference(self._view(other).latest.planes, self._link(number, other).flow)
                for other in others
            ]
            planes = fill_from_neighbours(frame.planes, frame.format, found, references)
            frame = replace(frame, planes=planes, ready=None)
        view.restored = frame
        return frame

    def _judge(self, number: int, others: tuple[int, int]) -> torch.Tensor | None:
        """(H, W) bool, what is dirt in a frame; None for nothing."""
        luma = self._view(number).luma
        one, two = (self._link(number, other).aligned for other in others)
        height, width = luma.shape
        mask = torch.zeros(height, width, dtype=torch.bool, device=luma.device)
        splice = None
        if others[0] >= number or others[1] <= number or number in (1, self._seen - 2):
            splice = splice_rows(luma, one, two)
        if splice is not None:
            mask[splice] = True
            self._tally.splices += 1
        threshold = _FLATTEST + (_STEEPEST - _FLATTEST) * self._strength
        spikes = find_spikes(luma, one, two, threshold, without=splice)
        if spikes is not None:
            one_sided_pair = (others[0] - number) * (others[1] - number) > 0
            bar = _BAR + 2.0 * (0.5 - self._strength) + _ONE_SIDED * one_sided_pair
            asked = bar + _UNSTEADY * self._unsteady(spikes, number, others).log1p()
            dirty = (_score(spikes) > asked) & (
                spikes.contrast > _FAINTEST * (1.5 - self._strength)
            )
            dirty &= spikes.regions.areas < max(60.0, _LARGEST * luma.numel())
            dirty &= ~self._coloured(spikes, number, others)
            dirty &= ~self._flying(spikes, dirty, number, others)
            regions = spikes.regions.keep(dirty)
            self._tally.regions += regions.count
            mask[regions.rows, regions.columns] = True
        return mask if bool(mask.any()) else None

    def _unsteady(self, spikes: Spikes, number: int, others: tuple[int, int]) -> torch.Tensor:
        """(count,) how far, in samples, the motion to the two others is from even motion."""
        ratio = (others[1] - number) / (others[0] - number)
        one, two = (self._link(number, other).flow for other in others)
        bend = (two - ratio * one).square().sum(1, keepdim=True).sqrt()
        regions = spikes.regions
        return regions.mean(bend[0, 0][regions.rows // CELL, regions.columns // CELL])

    def _coloured(self, spikes: Spikes, number: int, others: tuple[int, int]) -> torch.Tensor:
        """(count,) bool: regions farther from grey than what the others show there."""
        frame = self._view(number).frame
        form, regions = frame.format, spikes.regions
        if form.color_planes == 1:
            return torch.zeros(regions.count, dtype=torch.bool, device=spikes.sign.device)
        here = _saturation(frame, regions.rows, regions.columns)
        there = torch.zeros_like(here)
        for other in others:
            flow = self._link(number, other).flow[0]
            cell = regions.rows // CELL, regions.columns // CELL
            rows = (regions.rows + flow[1][cell]).round().long().clamp_(0, frame.height - 1)
            columns = (regions.columns + flow[0][cell]).round().long().clamp_(0, frame.width - 1)
            there += 0.5 * _saturation(self._view(other).frame, rows, columns)
        return regions.mean(here - there) > _COLOURED

    def _flying(
        self, spikes: Spikes, dirty: torch.Tensor, number: int, others: tuple[int, int]
    ) -> torch.Tensor:
        """(count,) bool: regions that are objects on their way through the frames."""
        regions = spikes.regions
        flying = torch.zeros(regions.count, dtype=torch.bool, device=dirty.device)
        chosen = dirty & (regions.areas >= _FLYER)
        # More than this is no sparse scene with a bird in it.
        if int(chosen.sum()) > _SUSPECTS:
            return flying
        if not bool(chosen.any()):
            return flying
        luma = self._view(number).luma
        suspects = blobs(regions.keep(chosen), luma, spikes.sign[chosen])
        seen = []
        for other in others:
            theirs = self._view(other).luma
            alone = one_sided(theirs, self._link(other, number).aligned, _APPEARED)
            if alone is None:
                return flying
            seen.append(blobs(alone[0], theirs, alone[1]))
        ratio = (others[1] - number) / (others[0] - number)
        size = (luma.shape[1], luma.shape[0])
        flying[chosen] = on_a_way(suspects, *seen, ratio=ratio, size=size)
        self._tally.spared += int(flying.sum())
        return flying

    def _write_note(self) -> None:
        tally = self._tally
        shares = tally.shares or [0.0]
        self.notes.append(
            ShotNote(
                stage="dirt",
                first=tally.first,
                frames=self._seen,
                values={
                    "marks_per_frame": tally.regions / self._seen,
                    "share_changed": sum(shares) / len(shares),
                    "moving_objects_spared": float(tally.spared),
                    "splice_marks": float(tally.splices),
                },
                curves={"share_changed": tuple(tally.shares)},
            )
        )


def _levelled(plane: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The plane with the other's brightness, region by region: what is left of flicker is no dirt.

    Means of clipped differences over some fifty samples; a speck hardly moves them.
    """
    apart = (like - plane).clamp_(-_FLICKER, _FLICKER)[None, None]
    cells = F.avg_pool2d(apart, 16, ceil_mode=True, count_include_pad=False)
    wide = F.avg_pool2d(cells, 3, 1, 1, count_include_pad=False)
    return plane + F.interpolate(wide, size=plane.shape, mode="bilinear")[0, 0]


def _score(spikes: Spikes) -> torch.Tensor:
    """(count,) how surely each region is dirt."""
    small = (30 / spikes.regions.areas).log().clamp_(min=0)
    return (
        2.0 * spikes.strength.log()
        + 2.4 * (spikes.contrast / (spikes.misfit + 0.004)).log()
        + 1.4 * (spikes.contrast / (spikes.disagreement + 0.004)).log()
        - 0.8 * (spikes.texture / (spikes.contrast + 0.002) + 0.05).log()
        - 1.85 * small
    )


def _saturation(frame: Frame, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """(n,) distance from grey at luma positions, in units of Cb and Cr."""
    form = frame.format
    if form.model is ColorModel.RGB:
        colour = torch.stack([plane[rows, columns].float() for plane in frame.planes[:3]])
        return 0.5 * (colour.amax(0) - colour.amin(0))
    at = rows >> form.log2_chroma_h, columns >> form.log2_chroma_w
    cb, cr = (plane[at].float() - 0.5 for plane in frame.planes[1:3])
    return (cb.square() + cr.square()).sqrt()
