"""Footage in memory: stills and clips as 8-bit RGB."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from numpy.random import Generator
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from vrestore.errors import InputError
from vrestore.train.manifest import DataManifest

STILLS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")

HELD_OUT = 8
"""One clip in this many, chosen by its name, is kept from training to watch its progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    name: str
    frames: Tensor
    """(T, H, W, 3) uint8 RGB; one frame for a still."""

    @property
    def held_out(self) -> bool:
        digest = hashlib.sha256(Path(self.name).name.encode()).digest()
        return len(self.frames) > 1 and digest[0] % HELD_OUT == 0


def one_of(clips: Sequence[Clip], rng: Generator) -> Clip:
    return clips[int(rng.integers(len(clips)))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """What is trained on, and what progress is watched with."""

    stills: Sequence[Clip]
    clips: Sequence[Clip]
    watched: Sequence[Clip]

    def any_still(self, rng: Generator) -> Tensor:
        """A still, or a frame of a clip where there are no stills, (H, W, 3) uint8."""
        if self.stills and (not self.clips or rng.random() < 0.8):
            return one_of(self.stills, rng).frames[0]
        clip = one_of(self.clips, rng)
        return clip.frames[int(rng.integers(len(clip.frames)))]


def read_clip(path: Path) -> Tensor:
    """All frames of a picture or clip as (T, H, W, 3) uint8 RGB.  Raises InputError."""
    frames = []
    try:
        if path.suffix.lower() in STILLS:
            with Image.open(path) as still:
                return torch.from_numpy(np.array(still.convert("RGB"))).unsqueeze(0)
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                frames.append(
                    torch.from_numpy(np.ascontiguousarray(frame.to_ndarray(format="rgb24")))
                )
    except (av.FFmpegError, UnidentifiedImageError, IndexError, OSError) as error:
        raise InputError(f"{path.name} cannot be read as footage: {error}") from error
    if not frames:
        raise InputError(f"{path.name} has no picture")
    return torch.stack(frames)


def read_footage(folder: Path, manifest: DataManifest) -> Footage:
    """Everything the manifest allows, decoded.  Raises InputError."""
    everything = [
        Clip(name=p.relative_to(folder).as_posix(), frames=read_clip(p))
        for p in manifest.select(folder)
    ]
    moving = [c for c in everything if len(c.frames) > 1]
    return Footage(
        stills=[c for c in everything if len(c.frames) == 1],
        clips=[c for c in moving if not c.held_out],
        watched=[c for c in moving if c.held_out],
    )
