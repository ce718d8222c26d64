"""Synthetic damage of film and tape: the truth that comes with it is true."""

import numpy as np
import pytest
import torch

from vrestore.train import dirt, tape_faults

CLIP = torch.full((4, 3, 48, 64), 0.5)


@pytest.mark.parametrize(
    "paint",
    [
        lambda rng: dirt.specks(CLIP, rng, 2000, hairs=1),
        lambda rng: dirt.drifting_scratches(CLIP, rng, 2),
        lambda rng: dirt.splice(CLIP, rng, at_end=False),
        lambda rng: dirt.fast_objects(CLIP, rng, 2),
    ],
    ids=["specks", "scratches", "splice", "objects"],
)
def test_what_changed_is_under_the_matte_and_a_seed_names_a_clip(paint):
    one, two = paint(np.random.default_rng(4)), paint(np.random.default_rng(4))
    change = (one.frames - CLIP).abs().amax(1, keepdim=True)
    assert one.matte.max() > 0
    assert (change <= 1.5 * one.matte + 0.02).all()
    assert torch.equal(one.frames, two.frames)
    assert one.labels.max() > 0
    assert CLIP.eq(0.5).all()


def test_dots_turn_over_from_frame_to_frame_in_ntsc_and_in_two_in_pal():
    clip = torch.zeros(4, 3, 32, 64)
    clip[:, 1, :, 32:] = 0.4
    for standard, distance in (("ntsc", 1), ("pal", 2)):
        dots = tape_faults.composite(clip, standard, 1.0, 0.0)[:, 0]
        assert dots.abs().max() > 0.05
        assert torch.allclose(dots[0], -dots[distance], atol=1e-4)


def test_a_dropout_mask_covers_what_was_lost():
    planes = torch.rand(3, 3, 40, 60)
    out, mask = tape_faults.dropouts(planes, np.random.default_rng(2), 4)
    assert mask.max() > 0
    assert torch.equal(out.where(mask > 0, planes), out)
