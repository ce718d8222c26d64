"""Which footage a training may read, and under which licences."""

from __future__ import annotations

import fnmatch
import hashlib
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from vrestore import limits
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
    if name not in manifest_names():
        raise PresetError(
            f"there is no data manifest {name!r}; known are {', '.join(manifest_names())}"
        )
    try:
        text = limits.read_text(FOLDER / f"{name}.toml", limits.MANIFEST_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise PresetError(f"data manifest {name} cannot be read: {error}") from error
    made, base = parse_manifest(text, name)
    if base is None:
        return made
    return replace(made, sources=(*read_manifest(base).sources, *made.sources))


def parse_manifest(text: str, name: str) -> tuple[DataManifest, str | None]:
    """A manifest from its text, and the name of the one that it extends.

    Raises PresetError for what is no manifest, or leads out of the footage folder.
    """
    try:
        table = tomllib.loads(text)
        base = table.get("extends")
        sources = tuple(
            Source(files=tuple(row["files"]), license=row["license"]) for row in table["source"]
        )
        made = DataManifest(name=name, description=table["description"], sources=sources)
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise PresetError(f"data manifest {name} is no manifest: {error}") from error
    words = [word for each in sources for word in (*each.files, each.license)]
    if not all(isinstance(word, str) for word in (made.description, base or "", *words)):
        raise PresetError(f"data manifest {name} is no manifest: something in it is no text")
    if base == name:
        raise PresetError(f"data manifest {name} extends itself")
    for pattern in (pattern for each in sources for pattern in each.files):
        if pattern.startswith("/") or ".." in pattern.split("/"):
            raise PresetError(f"data manifest {name}: {pattern!r} leads out of the footage folder")
    return made, base
