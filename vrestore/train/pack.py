"""A training pack: footage squeezed to a size that travels, under the names it had."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.video.stream
from PIL import Image
from torch import Tensor

from vrestore.errors import OutputError
from vrestore.train.footage import read_clip
from vrestore.train.manifest import read_manifest

LIMIT_BYTES = 28 * 2**20
LEVELS = ((92, 15), (88, 17), (84, 19), (78, 21), (70, 24), (60, 27))
"""WebP quality of stills with x265 crf of clips, best first."""

SURVEYED = 12
"""One file in this many is tried to choose the level."""

TALLEST = 720
"""Clips are no larger than this in their shorter side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    folder: Path
    files: int
    bytes: int
    level: int
    """Position in LEVELS."""


def pack(data: Path, folder: Path, *, manifest: str = "research", limit: int = LIMIT_BYTES) -> Pack:
    """Write the manifest's footage into `folder`, at the best level that keeps within `limit`.

    A pack is footage like any other: `TrainConfig.data` may name it.  Raises InputError for
    footage that cannot be read, OutputError where the folder is not empty or nothing fits.
    """
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty; name a new folder")
    chosen = read_manifest(manifest).select(data)
    for level in range(_first_level(chosen, limit), len(LEVELS)):
        total, made = 0, []
        for path in chosen:
            target = folder / path.relative_to(data)
            made.append(_write(read_clip(path), target, level))
            total += made[-1].stat().st_size
            if total > limit:
                break
        if total <= limit:
            return Pack(folder=folder, files=len(made), bytes=total, level=level)
        for written in made:
            written.unlink()
    raise OutputError(f"the footage does not fit into {limit} bytes at any quality")


def _first_level(chosen: Sequence[Path], limit: int) -> int:
    """The first level worth a try, judged by some of the files."""
    some = [read_clip(p) for p in chosen[::SURVEYED]]
    for level in range(len(LEVELS)):
        if sum(_size(clip, level) for clip in some) * len(chosen) / len(some) < 1.1 * limit:
            return level
    return len(LEVELS) - 1


def _size(clip: Tensor, level: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        return _write(clip, Path(folder) / "x", level).stat().st_size


def _write(clip: Tensor, target: Path, level: int) -> Path:
    """A still as WebP, a clip as HEVC in Matroska; the suffix is replaced."""
    quality, crf = LEVELS[level]
    target.parent.mkdir(parents=True, exist_ok=True)
    if len(clip) == 1:
        path = target.with_suffix(".webp")
        Image.fromarray(clip[0].numpy()).save(path, quality=quality, method=4)
        return path
    path = target.with_suffix(".mkv")
    height, width = clip.shape[1:3]
    shrink = max(1.0, min(height, width) / TALLEST)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx265", rate=Fraction(25),
            options={"crf": str(crf), "preset": "fast", "x265-params": "log-level=none"},
        )  # fmt: skip
        assert isinstance(stream, av.video.stream.VideoStream)
        stream.width, stream.height = (int(n / shrink) // 2 * 2 for n in (width, height))
        stream.pix_fmt = "yuv420p"
        for t, picture in enumerate(clip):
            frame = av.VideoFrame.from_ndarray(picture.numpy(), format="rgb24").reformat(
                stream.width, stream.height, "yuv420p"
            )
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
