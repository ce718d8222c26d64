"""Moving pictures: crops of real clips, and stills set in motion with exactly known flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from vrestore.train.footage import Footage, one_of
from vrestore.train.lookalikes import with_lookalikes


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a camera saw, before any damage."""

    frames: Tensor
    """(T, 3, side, side) RGB, 0..1, float32."""

    forward: Tensor | None = None
    """Flow from each frame to the next in pixels, (T - 1, 2, side, side); None if not known."""

    backward: Tensor | None = None
    """Flow from each frame to the one before, (T - 1, 2, side, side)."""


@dataclass(frozen=True, slots=True)
class Path:
    """A similarity that drifts with time: where picture points lie in the source.

    All rates are per frame; the source point of p at time t is
    origin + move(t) + zoom(t) * rotation(t) * (p - centre).
    """

    origin: tuple[float, float]
    centre: float
    velocity: tuple[float, float]
    acceleration: tuple[float, float]
    shake: tuple[float, float, float]
    """Amplitude in pixels, angular frequency per frame, phase."""
    zoom: float
    zoom_rate: float
    turn_rate: float

    def _at(self, t: float) -> tuple[Tensor, Tensor]:
        size, frequency, phase = self.shake
        wobble = size * np.array([np.sin(frequency * t + phase), np.cos(1.3 * frequency * t)])
        move = (
            np.array(self.origin) + np.array(self.velocity) * t
            + np.array(self.acceleration) * t * t / 2 + wobble
        )  # fmt: skip
        zoom, angle = self.zoom * np.exp(self.zoom_rate * t), self.turn_rate * t
        turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return torch.from_numpy(turn).float(), torch.from_numpy(move).float()

    def to_source(self, points: Tensor, t: float) -> Tensor:
        """(..., 2) points (x, y) of the picture at time t, in the source."""
        turn, move = self._at(t)
        return (points - self.centre) @ turn.T + move

    def to_picture(self, points: Tensor, t: float) -> Tensor:
        """The inverse of `to_source`."""
        turn, move = self._at(t)
        return (points - move) @ torch.linalg.inv(turn).T + self.centre


def _speed(rng: Generator, scale: int) -> float:
    """Pixels per frame: often nothing or little, sometimes much."""
    kind = rng.random()
    if kind < 0.15:
        return 0.0
    low, high = ((0.1, 2.0), (2.0, 8.0), (8.0, 24.0))[0 if kind < 0.5 else 1 if kind < 0.87 else 2]
    return float(rng.uniform(low, high)) * scale


def _path(
    rng: Generator, source: tuple[int, int], side: int, length: int, scale: int, speed: float
) -> Path:
    height, width = source
    zoom = float(rng.uniform(1.0, max(1.001, min(1.5, min(height, width) / side))))
    heading = rng.uniform(0, 2 * np.pi)
    velocity = speed * np.array([np.cos(heading), np.sin(heading)])
    # The middle of the path is where there is room for the picture, so that it rarely leaves it.
    room = np.maximum(0, np.array([width, height]) / 2 - zoom * side / 2)
    middle = np.array([width, height]) / 2 + rng.uniform(-1, 1, 2) * room
    origin = middle - velocity * (length - 1) / 2
    still = speed == 0.0
    shaken = not still and rng.random() < 0.3
    return Path(
        origin=(float(origin[0]), float(origin[1])),
        centre=side / 2,
        velocity=(float(velocity[0]), float(velocity[1])),
        acceleration=(0.0, 0.0) if still else tuple(rng.normal(0, 0.05 * speed, 2)),
        shake=(
            float(rng.uniform(0.2, 1.5)) * scale if shaken else 0.0,
            float(rng.uniform(0.5, 2.0)),
            float(rng.uniform(0, 6)),
        ),
        zoom=zoom,
        zoom_rate=0.0 if still or rng.random() < 0.6 else float(rng.normal(0, 0.008)),
        turn_rate=0.0 if still or rng.random() < 0.6 else float(rng.normal(0, 0.008)),
    )


def _read(source: Tensor, points: Tensor) -> Tensor:
    """Source (1, C, H, W) at (N, M, 2) pixel positions, mirrored outside."""
    size = points.new_tensor((source.shape[-1], source.shape[-2]))
    return F.grid_sample(
        source, (points / size * 2 - 1).unsqueeze(0), padding_mode="reflection",
        align_corners=False,
    )  # fmt: skip


def _points(side: int, over: int) -> Tensor:
    axis = (torch.arange(side * over, dtype=torch.float32) + 0.5) / over
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack((x, y), -1)


def _shape(rng: Generator, height: int, width: int) -> Tensor:
    """A soft-edged random blob as a matte, (1, 1, H, W)."""
    coarse = torch.from_numpy(rng.normal(size=(1, 1, 5, 5))).float()
    field = F.interpolate(coarse, size=(height, width), mode="bicubic")
    y = torch.linspace(-1.6, 1.6, height).view(1, 1, -1, 1)
    x = torch.linspace(-1.6, 1.6, width).view(1, 1, 1, -1)
    field = field + 1.0 - 1.5 * (x * x + y * y)
    return torch.sigmoid(field * float(rng.uniform(15, 60)))


def still_in_motion(
    footage: Footage, rng: Generator, length: int, side: int, scale: int, *, flow: bool = False
) -> Scene:
    """A still panned, zoomed and turned, behind up to two others that move their own way.

    `scale` turns speeds from input pixels into target pixels; `side` is in target pixels.
    """
    speed = _speed(rng, scale)
    count = 0 if speed == 0.0 and rng.random() < 0.5 else int(rng.choice([0, 0, 1, 2]))
    points = _points(side, 2)
    layers: list[tuple[Tensor, Path]] = []
    for k in range(1 + count):
        still = footage.any_still(rng).permute(2, 0, 1).float() / 255
        still = with_lookalikes(still, rng, scale)[None]
        matte = torch.ones_like(still[:, :1])
        if k:
            matte = _shape(rng, *still.shape[-2:])
            path = _path(
                rng, (still.shape[2], still.shape[3]), side, length, scale, _speed(rng, scale)
            )
        else:
            path = _path(rng, (still.shape[2], still.shape[3]), side, length, scale, speed)
        layers.append((torch.cat((still, matte), 1), path))
    shutter = (-0.25, 0.0, 0.25) if length > 1 and speed > 0 and rng.random() < 0.2 else (0.0,)
    frames = []
    for t in range(length):
        exposures = [_render(layers, points, t + dt) for dt in shutter]
        frames.append(torch.stack(exposures).mean(0))
    stack = torch.cat(frames)
    if not flow:
        return Scene(frames=stack)
    return Scene(
        frames=stack,
        forward=torch.cat([_flow(layers, side, t, t + 1) for t in range(length - 1)]),
        backward=torch.cat([_flow(layers, side, t + 1, t) for t in range(length - 1)]),
    )


def _render(layers: Sequence[tuple[Tensor, Path]], points: Tensor, t: float) -> Tensor:
    """All layers at time t, (1, 3, side, side), from samples twice as dense."""
    picture = torch.zeros(1, 3, *points.shape[:2])
    for source, path in layers:
        seen = _read(source, path.to_source(points, t))
        picture = picture + seen[:, 3:] * (seen[:, :3] - picture)
    return F.avg_pool2d(picture, 2)


def _flow(layers: Sequence[tuple[Tensor, Path]], side: int, t: float, other: float) -> Tensor:
    """Exact flow between two times, of the layer that is seen, (1, 2, side, side)."""
    points = _points(side, 1)
    flow = torch.zeros(1, 2, side, side)
    for source, path in layers:
        there = path.to_source(points, t)
        seen = _read(source[:, 3:], there) > 0.5
        move = (path.to_picture(there, other) - points).permute(2, 0, 1)[None]
        flow = torch.where(seen, move, flow)
    return flow


def real_clip(
    footage: Footage, rng: Generator, length: int, side: int, *, clip: Tensor | None = None
) -> Scene:
    """A crop of a real clip, forwards or backwards, every frame or every other one.

    Clips larger than the crop are sometimes shrunk first, which also hides what their codec did.
    """
    frames = clip if clip is not None else one_of(footage.clips, rng).frames
    count, height, width, _ = frames.shape
    step = 2 if rng.random() < 0.25 and count >= 2 * length else 1
    span = min(count, step * (length - 1) + 1)
    start = int(rng.integers(count - span + 1))
    picked = torch.arange(start, start + span, step)
    if len(picked) < length:
        # Shorter than asked: turn round at the end, as a swing does.
        back = torch.cat((picked, picked.flip(0)[1:-1]))
        picked = back.repeat(-(-length // len(back)))[:length]
    if rng.random() < 0.5:
        picked = picked.flip(0)
    most = min(height, width) / side
    shrink = float(rng.uniform(1.0, min(2.0, most))) if most > 1.1 and rng.random() < 0.5 else 1.0
    window = min(int(np.ceil(side * shrink)), height, width)
    top, left = int(rng.integers(height - window + 1)), int(rng.integers(width - window + 1))
    crop = frames[picked, top : top + window, left : left + window].permute(0, 3, 1, 2)
    crop = crop.float() / 255
    if window != side:
        crop = F.interpolate(crop, size=(side, side), mode="bicubic", antialias=True).clamp_(0, 1)
    return Scene(frames=crop)


def still_crop(footage: Footage, rng: Generator, side: int, scale: int) -> Scene:
    """One picture, unmoved: a crop of a still or of a frame, shrunk now and then.

    `scale` is that of `still_in_motion`.
    """
    picture = footage.any_still(rng)
    height, width, _ = picture.shape
    if min(height, width) < side:
        # Small pictures are mirrored out to the size, so that they are not lost to large crops.
        rows = _mirrored(height, side)
        columns = _mirrored(width, side)
        picture = picture[rows][:, columns]
        height, width, _ = picture.shape
    most = min(height, width) / side
    shrink = float(rng.uniform(1.0, min(2.0, most))) if most > 1.1 and rng.random() < 0.3 else 1.0
    window = min(int(np.ceil(side * shrink)), height, width)
    top, left = int(rng.integers(height - window + 1)), int(rng.integers(width - window + 1))
    crop = picture[top : top + window, left : left + window].permute(2, 0, 1)[None].float() / 255
    if window != side:
        crop = F.interpolate(crop, size=(side, side), mode="bicubic", antialias=True).clamp_(0, 1)
    return Scene(frames=with_lookalikes(crop[0], rng, scale)[None])


def _mirrored(size: int, wanted: int) -> Tensor:
    """Indices that walk to and fro over `size` samples until there are `wanted`."""
    if wanted <= size:
        return torch.arange(size)
    there = torch.arange(size)
    both = torch.cat((there, there.flip(0)))
    return both.repeat(-(-wanted // len(both)))[:wanted]
