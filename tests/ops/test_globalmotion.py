from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.ops.shots import band, frames_of, given, texture
from vrestore.ops.globalmotion import FollowMotion
from vrestore.ops.stabilise import Stabilise, StabiliseConfig
from vrestore.train.film import MARGIN, moved, weave

COUNT, SIZE = 24, (150, 240)


def shot(
    path: torch.Tensor,
    *,
    actor: tuple[int, int, int, int],
    actor_speed: float = 0,
    contrast: float = 1,
    pan: float = 0,
) -> list[torch.Tensor]:
    """Frames before whose background, which pans by so much a frame, an actor
    stands (top, bottom, left, right) and goes down; the frame as a whole lies where `path` says."""
    height, width = SIZE[0] + 2 * MARGIN, SIZE[1] + 2 * MARGIN
    scene = texture(height, width + 120, 1) * 0.5 + 0.2
    person = texture(height + 80, width, 2)
    person = ((person - person.mean()) * contrast + 0.5).clamp(0, 1)
    top, bottom, left, right = actor
    frames = []
    for t, shake in enumerate(path):
        x, y = round(pan * t), round(actor_speed * t)
        picture = scene[:, x : x + width].clone()
        picture[top:bottom, left:right] = person[40 - y + top : 40 - y + bottom, left:right]
        frames.append(moved(picture[None, None], shake[None])[0, 0])
    return frames


@pytest.mark.parametrize("sigma", [0.3, 0.8])
def test_weave_is_measured_on_what_rests_behind_an_actor_who_fills_the_picture(sigma):
    path = weave(np.random.default_rng(11), COUNT, sigma, memory=0.2)
    frames = frames_of(shot(path, actor=(0, 140, 60, 240), actor_speed=1, contrast=2.5))
    follow = FollowMotion()
    motions = [follow.push(frame) for frame in frames]
    most = np.array([(m.x, m.y) for m in motions]) - (path - path[0]).numpy()
    assert np.abs(most[:, 1]).max() > 5
    op = Stabilise(StabiliseConfig(strength=1))
    given(op, frames)
    (note,) = op.notes
    out = [
        np.subtract(note.curves[f"weave_{a}_before"], note.curves[f"weave_{a}_after"]) for a in "xy"
    ]
    assert band(path.numpy() - np.array(out).T) < 0.1


def test_an_actor_whom_the_camera_follows_is_not_taken_for_the_ground():
    path = torch.zeros(COUNT, 2)
    frames = frames_of(shot(path, actor=(50, 130, 100, 170), pan=2))
    follow = FollowMotion()
    motions = [follow.push(frame) for frame in frames]
    assert motions[-1].rest is None
    assert motions[-1].x == pytest.approx(-2 * (COUNT - 1), abs=0.5)
    out = given(Stabilise(StabiliseConfig(strength=1)), frames)
    assert all(a is b for a, b in zip(out, frames, strict=True))


def test_what_rests_is_the_whole_of_a_picture_that_does_not_move():
    path = weave(np.random.default_rng(12), 10, 0.5)
    follow = FollowMotion()
    for frame in frames_of(shot(path, actor=(0, 1, 0, 1))):
        motion = follow.push(frame)
    assert motion.rest is not None
    assert (motion.rest.x, motion.rest.y) == pytest.approx((motion.x, motion.y), abs=1e-6)
