"""Side data of pictures: read without a name for every kind, and freed once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
from PIL import Image

from vrestore.io.sidedata import side_data_of

PROFILE = b"a profile " * 20


def save(path: Path, **tags: object) -> Path:
    exif = Image.Exif()
    exif[0x010E] = "a description"
    given = {"icc_profile": PROFILE} if "icc" in tags else {}
    given |= {"exif": exif} if "exif" in tags else {}
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(path, **given)
    return path


def test_a_profile_is_found_beside_a_kind_without_a_name(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", icc=True, exif=True)
    # In a process of its own: where the dictionary of the profile is freed twice, it dies.
    code = (
        "import gc, sys, av; from vrestore.io.sidedata import side_data_of\n"
        "for _ in range(20):\n"
        "    with av.open(sys.argv[1]) as file:\n"
        "        frame = next(file.decode(video=0))\n"
        "        found = side_data_of(frame)\n"
        "    del frame; gc.collect()\n"
        "print(sorted(found), len(found['ICC_PROFILE']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "['ICC_PROFILE']"
    assert int(done.stdout.split()[1]) == len(PROFILE)


def test_a_picture_without_any_has_none(tmp_path: Path) -> None:
    with av.open(str(save(tmp_path / "a.png"))) as file:
        assert side_data_of(next(file.decode(video=0))) == {}
