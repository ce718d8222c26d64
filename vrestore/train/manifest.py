"""Which footage a training may read, and under which licences."""

from __future__ import annotations

import fnmatch
import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vrestore.errors import InputError, PresetError

FOLDER = Path(__file__).with_name("manifests")
MEASURING_ONLY = "benchmark"
"""A folder of this name holds what models are measured with; training never reads below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One licence and the files that have it."""

    files: tuple[str, ...]
    """Patterns of `fnmatch`, relative to the footage folder, with forward slashes."""

    license: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataManifest:
    """A named list of sources."""

    name: str
    description: str
    sources: tuple[Source, ...]

    def select(self, folder: Path) -> list[Path]:
        """The files of the folder that this manifest allows, sorted.

        Raises InputError where the folder is, or lies below, one that is for measuring only, and
        where nothing matches.
        """
        refuse_measuring(folder)
        patterns = [pattern for source in self.sources for pattern in source.files]
        chosen = []
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(folder).as_posix()
            if path.is_file() and any(fnmatch.fnmatchcase(relative, p) for p in patterns):
                refuse_measuring(path)
                chosen.append(path)
        if not chosen:
            raise InputError(f"no footage of manifest {self.name!r} lies in {folder}")
        return chosen

    @property
    def digest(self) -> str:
        """Names this exact list in checkpoints and model cards."""
        text = repr([(s.files, s.license) for s in self.sources])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def refuse_measuring(path: Path) -> None:
    """Raise InputError if any folder on the way to `path`, links resolved, is for measuring."""
    for candidate in (path.absolute(), path.resolve()):
        if MEASURING_ONLY in (part.lower() for part in candidate.parts):
            raise InputError(
                f"{path} is for measuring only: training never reads below a folder "
                f"named {MEASURING_ONLY!r}"
            )


def manifest_names() -> list[str]:
    return sorted(p.stem for p in FOLDER.glob("*.toml"))


def read_manifest(name: str) -> DataManifest:
    """The manifest of that name, with those that it extends.  Raises PresetError if unknown."""
    path = FOLDER / f"{name}.toml"
    if not path.is_file():
        raise PresetError(
            f"there is no data manifest {name!r}; known are {', '.join(manifest_names())}"
        )
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    sources: Sequence[Source] = [
        Source(files=tuple(row["files"]), license=row["license"]) for row in table["source"]
    ]
    if base := table.get("extends"):
        sources = [*read_manifest(base).sources, *sources]
    return DataManifest(name=name, description=table["description"], sources=tuple(sources))
