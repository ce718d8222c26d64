"""Who takes part: the models, what each is held against, and everybody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vrestore.errors import PresetError
from vrestore.models.registry import ModelSpec
from vrestore.ops.resample import Kernel
from vrestore.review.quality.filters import FILTERS, classical, external_ffmpeg, vmaf_ffmpeg
from vrestore.review.quality.methods import Method, interpolation, median_of_three
from vrestore.review.quality.networks import Contender, aligned_median, network
from vrestore.review.quality.originals import dear, originals

__all__ = ["ALONE", "MEDIAN", "TWIN", "Entrant", "Participants", "Trial", "participants"]

ALONE = "one frame at a time"
TWIN = "its single-image twin"
MEDIAN = "the aligned median and the same trunk"

CELL, SINGLE_CELL, MEDIAN_CELL = ("cell", True), ("cell", False), ("median", True)
"""Net of a contender, and whether it looks at time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A model of ours, and the same weights without time."""

    spec: ModelSpec
    method: Method
    alone: Method

    @property
    def name(self) -> str:
        return self.spec.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A training of the cell, and what was trained alike to be held against it."""

    method: Method
    others: Mapping[str, Method]
    """TWIN, MEDIAN: with as many steps, of the same size and data, or said to be alike."""

    @property
    def name(self) -> str:
        return self.method.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Participants:
    entrants: tuple[Entrant, ...]
    contenders: tuple[Contender, ...]
    published: tuple[Method, ...]
    dear: tuple[Method, ...]
    """Published ones that take too long for clips."""

    program: str | None
    """The command-line ffmpeg."""

    judge: str | None
    """One that has libvmaf."""

    @property
    def models(self) -> list[Method]:
        return [entrant.method for entrant in self.entrants]

    @property
    def alone(self) -> list[Method]:
        return [entrant.alone for entrant in self.entrants]

    @property
    def trials(self) -> list[Trial]:
        """Trainings of the cell that something can be held against.

        A contender named `twin-NAME` is taken for the twin of that model or contender, whatever its
        steps.
        """
        named: list[Entrant | Contender] = [*self.entrants, *self.contenders]
        found = [
            Trial(method=trained.method, others={TWIN: twin.method})
            for trained in named
            for twin in self.contenders
            if twin.what == SINGLE_CELL and twin.name == f"twin-{trained.name}"
        ]
        for cell in self.contenders:
            if cell.what != CELL:
                continue
            others = {
                label: other.method
                for label, what in ((TWIN, SINGLE_CELL), (MEDIAN, MEDIAN_CELL))
                for other in self.contenders
                if other.what == what and other.alike(cell) and other.manifest == cell.manifest
            }
            if others:
                found.append(Trial(method=cell.method, others=others))
        return found

    @property
    def trained(self) -> list[Method]:
        return [contender.method for contender in self.contenders]

    @property
    def first(self) -> Method:
        """The model that the tables compare everything with."""
        return self.entrants[0].method

    @property
    def single_image(self) -> list[str]:
        """Names of all that see one frame at a time."""
        trained = [c.name for c in self.contenders if not c.temporal]
        return [*(m.name for m in self.published), *trained, *(m.name for m in self.alone)]

    def plain(self, scale: int) -> list[Method]:
        """Nothing but magnification, the reference first."""
        if scale == 1:
            return [interpolation("untreated", Kernel.BICUBIC)]
        return [
            interpolation("bicubic", Kernel.BICUBIC),
            interpolation("Lanczos (`resize`)", Kernel.LANCZOS3),
        ]

    @property
    def filters(self) -> list[Method]:
        return [classical(name, self.program) for name in FILTERS] if self.program else []

    @property
    def medians(self) -> list[Method]:
        return [median_of_three(), aligned_median(self.entrants[0].spec)]

    def originals(self, scale: int) -> list[Method]:
        return [method for method in self.published if scale in method.scales]


def participants(
    specs: Sequence[ModelSpec], contenders: Sequence[Contender] = ()
) -> Participants:  # fmt: skip
    """The models, the contenders and what is installed here.

    Raises PresetError where two have one name.
    """
    names = [spec.name for spec in specs] + [contender.name for contender in contenders]
    if twice := [name for name in names if names.count(name) > 1]:
        raise PresetError(f"{twice[0]!r} names two that are measured; call the rival otherwise")
    return Participants(
        entrants=tuple(
            Entrant(spec=spec, method=network(spec), alone=network(spec, one_by_one=True))
            for spec in specs
        ),
        contenders=tuple(contenders),
        published=tuple(originals()),
        dear=tuple(dear()),
        program=external_ffmpeg(),
        judge=vmaf_ffmpeg(),
    )
