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

from vrestore.media import Coding, Frame
from vrestore.notes import ShotNote
from vrestore.ops.blockmotion import Pyramid, displace, estimate, pyramid
from vrestore.ops.dirtscore import score
from vrestore.ops.flyers import Blobs, blobs, on_a_way
from vrestore.ops.infill import Reference, fill_from_neighbours, luma_of
from vrestore.ops.marks import Neighbour, colourless, describe, region_colour
from vrestore.ops.spikes import Spikes, find_spikes, splice_rows

__all__ = ["Dirt", "DirtConfig", "dirt_density"]

_SUSPECT = 2.5
"""Distance from both other frames, in standard deviations of the noise, from which a region is
looked at."""

_BAR = -2.0
"""Least logit of `dirtscore` at strength 0.5."""

_SWAY = 6.0
"""How much lower, or higher, it is at strength 1, or 0."""

_COLOURLESS = 1.0
"""How much lower still where no colour shows: dirt differs from its surroundings in colour too, and
without that the judge is less sure of it than of what is none."""

_FAINTEST = 0.012
"""Least mean contrast of what is looked at, on the unit scale."""

_FLICKER = 0.05
"""Largest difference of brightness, on the unit scale, that is taken for flicker."""

_LARGEST = 0.02
"""Share of the picture above which a region is no dirt."""

_SUSPECTS = 600
"""Most regions of a frame that are looked at: those that stand out most."""


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
    others: tuple[int, int] = (0, 0)
    """Numbers of the frames by which it is judged."""
    splice: slice | None = None
    suspects: tuple[Spikes, Blobs] | None = None
    """What it alone shows, and how that looks."""
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
    splices: int = 0


class Dirt:
    """Op: marks dirt in `Frame.mask` and, with fill "temporal", fills it; UNIT frames.

    A frame is judged by its two neighbours, the first and the last of a shot by the next two on
    their one side.  Shots of one or two frames pass unchanged.
    """

    def __init__(self, config: DirtConfig) -> None:
        self.latency = 3
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
        if newest >= 2:
            self._search(newest - 1, (newest - 2, newest))
        if newest == 2:
            self._search(0, (1, 2))
        if newest >= 3:
            while self._given <= newest - 2:
                yield self._settled(self._given)
            del self._views[:-5]
            oldest = self._seen - len(self._views)
            self._links = {pair: one for pair, one in self._links.items() if min(pair) >= oldest}

    def flush(self) -> Iterable[Frame]:
        yield from self._end()

    def _end(self) -> Iterable[Frame]:
        """What is held of the shot, and its note."""
        last = self._seen - 1
        if self._given < self._seen:
            if last >= 2:
                self._search(last, (last - 1, last - 2))
                while self._given <= last:
                    yield self._settled(self._given)
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

    def _search(self, number: int, others: tuple[int, int]) -> None:
        """Find what a frame alone shows, beside two others."""
        view = self._view(number)
        luma = view.luma
        one, two = (self._link(number, other).aligned for other in others)
        view.others = others
        view.splice = splice_rows(luma, one, two)
        spikes = find_spikes(luma, one, two, _SUSPECT, without=view.splice)
        if spikes is None:
            return
        fit = (spikes.contrast > _FAINTEST) & (
            spikes.regions.areas < max(60.0, _LARGEST * luma.numel())
        )
        if int(fit.sum()) > _SUSPECTS:
            rank = (spikes.strength * spikes.contrast * fit).argsort(descending=True, stable=True)
            fit[rank[_SUSPECTS:]] = False
        if not bool(fit.any()):
            return
        spikes = spikes.keep(fit)
        colour = region_colour(view.frame, spikes.regions)
        view.suspects = spikes, blobs(spikes.regions, luma, spikes.sign, colour)

    def _settled(self, number: int) -> Frame:
        """The frame of that number, judged and repaired."""
        self._given += 1
        view = self._view(number)
        found = self._judge(number)
        if found is None:
            self._tally.shares.append(0.0)
            return view.frame
        self._tally.shares.append(dirt_density(found))
        frame = view.frame
        mask = found if frame.mask is None else found | frame.mask
        frame = replace(frame, mask=mask)
        if self._config.fill == "temporal" and not self._config.show_mask:
            references = [
                Reference(self._view(other).latest.planes, self._link(number, other).flow)
                for other in view.others
            ]
            planes = fill_from_neighbours(frame.planes, frame.format, found, references)
            frame = replace(frame, planes=planes, ready=None)
        view.restored = frame
        return frame

    def _judge(self, number: int) -> torch.Tensor | None:
        """(H, W) bool, what is dirt in a frame; None for nothing."""
        view = self._view(number)
        mask = torch.zeros(view.luma.shape, dtype=torch.bool, device=view.luma.device)
        if view.splice is not None:
            mask[view.splice] = True
            self._tally.splices += 1
        if view.suspects is not None:
            spikes, looks = view.suspects
            features = self._described(number, spikes, looks)
            regions = spikes.regions.keep(self.chosen(spikes, features, number))
            self._tally.regions += regions.count
            mask[regions.rows, regions.columns] = True
        return mask if bool(mask.any()) else None

    def chosen(self, spikes: Spikes, features: torch.Tensor, number: int) -> torch.Tensor:
        """(count,) bool: which regions of a frame are dirt, by features (count, len(FEATURES))."""
        bar = _BAR + _SWAY * (0.5 - self._strength)
        if colourless(self._view(number).frame):
            bar -= _COLOURLESS
        return score(features) > bar

    def _described(self, number: int, spikes: Spikes, looks: Blobs) -> torch.Tensor:
        """(count, len(FEATURES)) of a frame's suspects, beside the frames around."""
        view = self._view(number)
        others = view.others
        ratio = (others[1] - number) / (others[0] - number)
        neighbours = []
        for other in others:
            back = self._links.get((other, number))
            on = self._links.get((other, 2 * other - number)) if abs(other - number) == 1 else None
            beyond = None
            if on is not None and ratio < 0:
                beyond = on.flow, self._view(2 * other - number).luma
            neighbours.append(
                Neighbour(
                    frame=self._view(other).frame,
                    luma=self._view(other).luma,
                    aligned=self._link(number, other).aligned,
                    flow=self._link(number, other).flow,
                    back=None if back is None else back.flow,
                    beyond=beyond,
                )
            )
        theirs = [self._view(other).suspects for other in others]
        one, two = (None if found is None else found[1] for found in theirs)
        size = (view.luma.shape[1], view.luma.shape[0])
        way = on_a_way(looks, one, two, ratio=ratio, size=size)
        return describe(spikes, view.frame, view.luma, neighbours, ratio, way)

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
