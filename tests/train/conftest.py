"""Footage small enough to train on in a test."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from vrestore.train.footage import Footage, read_footage
from vrestore.train.manifest import DataManifest, Source


def texture(seed: int, height: int, width: int) -> np.ndarray:
    """A picture with edges and detail, (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (height // 8, width // 8, 3))
    picture = np.kron(coarse, np.ones((8, 8, 1)))
    return np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def footage_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stills under `stills_Kodak`, clips under `video`, as the manifest `open` names them."""
    folder = tmp_path_factory.mktemp("footage")
    (folder / "stills_Kodak").mkdir()
    (folder / "video").mkdir()
    for k in range(4):
        Image.fromarray(texture(k, 320, 336)).save(folder / "stills_Kodak" / f"{k}.png")
    for name in ("bbb_p", "dog_a", "cockatoo"):
        wide = texture(sum(map(ord, name)), 320, 400)
        with av.open(str(folder / "video" / f"{name}.mkv"), "w") as container:
            stream = container.add_stream("ffv1", rate=Fraction(25))
            stream.width, stream.height, stream.pix_fmt = 336, 320, "bgr0"
            for t in range(10):
                piece = np.ascontiguousarray(wide[:, 2 * t : 2 * t + 336])
                frame = av.VideoFrame.from_ndarray(piece, format="rgb24").reformat(format="bgr0")
                frame.pts = t
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return folder


EVERYTHING = DataManifest(
    name="all", description="all of it", sources=(Source(files=("*",), license="made by the test"),)
)


@pytest.fixture(scope="session")
def footage(footage_folder: Path) -> Footage:
    return read_footage(footage_folder, EVERYTHING)
