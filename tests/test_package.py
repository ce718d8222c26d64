"""The wheel: built, installed into an empty folder, and used from elsewhere."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """Standard output of a command run in `folder`, without the checkout on the module path."""
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    run(sys.executable, "-m", "pip", *build, folder=folder)
    (built,) = folder.glob("vrestore-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel's contents and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    install = ["install", "-q", "--no-deps", "--no-index", "--target", folder, wheel]
    run(sys.executable, "-m", "pip", *install, folder=folder)
    return folder


def test_the_wheel_holds_every_preset_weight_and_table_and_the_licence(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"vrestore/pipelines/{path.name}" for path in (ROOT / "pipelines").glob("*.toml")}
    wanted |= {
        str(path.relative_to(ROOT))
        for pattern in ("**/*.py", "**/*.toml", "weights/*", "py.typed")
        for path in (ROOT / "vrestore").glob(pattern)
    }
    assert wanted - names == set()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"vrestore"}


def test_the_installed_package_is_used_and_finds_its_presets(installed, tmp_path):
    where = run(
        sys.executable,
        "-c",
        "import vrestore; print(vrestore.__file__)",
        folder=tmp_path,
        PYTHONPATH=str(installed),
    )
    assert Path(where.strip()).is_relative_to(installed)
    listed = run(
        sys.executable,
        "-m",
        "vrestore",
        "presets",
        "list",
        folder=tmp_path,
        PYTHONPATH=str(installed),
    )
    assert {line.split()[0] for line in listed.splitlines()} == {
        path.stem for path in (ROOT / "pipelines").glob("*.toml")
    }


def test_the_installed_package_restores_the_sample_from_another_folder(installed, sample, tmp_path):
    words = ["-n", "resize", "-s", "2", "--frames", "0:10", "--encoder", "libx264"]
    run(
        sys.executable,
        "-m",
        "vrestore",
        sample,
        "-o",
        "out.mkv",
        *words,
        folder=tmp_path,
        PYTHONPATH=str(installed),
    )
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]
