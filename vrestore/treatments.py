"""The stages of a restoration around the network, in the order of the film suites.

    stabilise > deflicker > fading > tape > [dirt > scratches > network, held to the source] > grain

A stage that no setting and no shot asks for is not there at all.  All but the grain see each
picture once and no mixtures of pictures, where repeats are looked for.
"""

from __future__ import annotations

from dataclasses import replace

from vrestore.media import Frame
from vrestore.notes import NoteBook
from vrestore.ops.buffers import Alloc
from vrestore.ops.deflicker import Deflicker
from vrestore.ops.dirt import Dirt
from vrestore.ops.duplicates import Once
from vrestore.ops.fading import Fading
from vrestore.ops.fidelity import Locked
from vrestore.ops.grain import GrainTap, Regrain, ShotGrains, frames_held
from vrestore.ops.maskview import ShowMask
from vrestore.ops.mixtures import Remixed
from vrestore.ops.scratches import Scratches
from vrestore.ops.shotwise import Renewal
from vrestore.ops.stabilise import Stabilise
from vrestore.ops.tape import Tape
from vrestore.preset import Preset
from vrestore.runtime.stage import Op, compose, latency_of

__all__ = ["Treatments"]

FrameOp = Op[Frame, Frame]


class Treatments:
    """What a preset asks for beside the network.  Makes the ops of one run; use once."""

    def __init__(
        self,
        preset: Preset,
        size: tuple[int, int],
        *,
        tuned: frozenset[str] = frozenset(),
        noisy_repeats: bool | None = None,
        book: NoteBook | None = None,
        alloc: Alloc | None = None,
        renewal: Renewal | None = None,
    ) -> None:
        """`size` is the source's (width, height); `tuned` are keys that shots set for themselves;
        `noisy_repeats` as in FieldPlan.  What the stages note goes into `book`.  At `renewal` those
        of another run take over."""
        self._preset, self._size, self._tuned = preset, size, tuned
        self._noisy = noisy_repeats
        self._book = NoteBook() if book is None else book
        self._alloc = alloc
        self._renewal = renewal
        self._grains = ShotGrains() if self._wants(preset.grain.keep, "grain.keep") else None

    def _wants(self, value: float, key: str) -> bool:
        return value > 0 or key in self._tuned

    def steadied(self) -> list[FrameOp]:
        """What moves and lights the whole frame, and what tape did, before the network."""
        preset, book, alloc = self._preset, self._book, self._alloc
        ops: list[FrameOp] = []
        if self._wants(preset.stabilise.strength, "stabilise.strength"):
            ops.append(book.of(Stabilise(preset.stabilise, alloc=alloc, renewal=self._renewal)))
        if self._wants(preset.deflicker.strength, "deflicker.strength"):
            ops.append(book.of(Deflicker(preset.deflicker, alloc=alloc, renewal=self._renewal)))
        faded = self._wants(preset.fading.levels, "fading.levels")
        if faded or self._wants(preset.fading.cast, "fading.cast"):
            ops.append(book.of(Fading(preset.fading, alloc=alloc)))
        if preset.tape.active:
            ops.append(book.of(Tape(preset.tape)))
        return ops

    def grain_tap(self) -> list[FrameOp]:
        """Where grain is measured: before anything takes it away."""
        if self._grains is None:
            return []
        return [GrainTap(self._preset.grain, self._grains, latency=frames_held(*self._size))]

    def _repairs(self) -> list[FrameOp]:
        preset, book = self._preset, self._book
        shown = preset.dirt.show_mask or preset.scratches.show_mask
        ops: list[FrameOp] = []
        if self._wants(preset.dirt.strength, "dirt.strength"):
            ops.append(book.of(Dirt(replace(preset.dirt, show_mask=shown))))
        if self._wants(preset.scratches.strength, "scratches.strength"):
            ops.append(book.of(Scratches(replace(preset.scratches, show_mask=shown))))
        if shown:
            ops.append(ShowMask())
        return ops

    def restored(self, network: FrameOp) -> FrameOp:
        """The network, which enlarges, with repair before it and the source's limits around it."""
        book, fidelity = self._book, self._preset.fidelity
        if self._wants(fidelity.max_change, "fidelity.max_change"):
            network = book.of(Locked(network, fidelity, alloc=self._alloc))
        whole = compose(*self._repairs(), network)
        return whole if self._noisy is None else book.of(Once(whole, noisy=self._noisy))

    def unmixed(self, stages: FrameOp) -> FrameOp:
        """All of these, on frames that are pictures and no mixtures of the two around them."""
        return stages if self._noisy is None else self._book.of(Remixed(stages))

    def regrained(self) -> list[FrameOp]:
        """The source's grain on frames of the output's size."""
        if self._grains is None:
            return []
        return [self._book.of(Regrain(self._preset.grain, self._grains, alloc=self._alloc))]

    @property
    def idle(self) -> bool:
        """Whether nothing is asked for around the network."""
        locked = self._wants(self._preset.fidelity.max_change, "fidelity.max_change")
        around = self.steadied() or self.grain_tap() or self._repairs()
        return not locked and not around and self._noisy is None

    @property
    def held(self) -> int:
        """Frames of the source's size that the stages hold back together, at most."""
        ops = [*self.steadied(), *self.grain_tap(), *self._repairs()]
        return sum(latency_of(op) for op in ops) + (self._noisy is not None)
