"""Lines and dots that belong to the scene: in it before anything else happens, and no defect."""

from __future__ import annotations

import numpy as np
import torch

from vrestore.train.lookalikes import DOTTED, LINED, paint_lines, with_lookalikes

GREY = torch.full((3, 96, 160), 0.5)


def test_a_share_of_the_pictures_gets_some_and_none_is_changed_in_place():
    before = GREY.clone()
    made = [with_lookalikes(GREY, np.random.default_rng(seed), 1) for seed in range(200)]
    changed = sum(not torch.equal(picture, GREY) for picture in made)
    wanted = 1 - (1 - LINED) * (1 - DOTTED)
    # Three standard deviations of as many throws, and dots that fell nowhere.
    assert abs(changed / 200 - wanted) < 0.13
    assert torch.equal(GREY, before)
    assert all(float(picture.min()) >= 0 and float(picture.max()) <= 1 for picture in made)
    again = with_lookalikes(GREY, np.random.default_rng(5), 1)
    assert torch.equal(again, made[5])


def test_painted_lines_are_thin_and_upright():
    seen = 0
    for seed in range(60):
        picture = GREY.clone()
        paint_lines(picture, np.random.default_rng(seed), 1)
        mark = (picture - GREY).abs().amax(0) > 0.05
        rows = mark.any(1)
        if not bool(rows.any()):
            continue
        seen += 1
        length = int(rows.sum())
        assert length >= 0.1 * GREY.shape[1]
        # Up to six lines of at most four samples and their soft edges, leaning or not.
        assert int(mark[rows].sum(1).max()) <= 6 * 9
        assert float(mark[rows].sum(1).float().mean()) < length
    assert seen > 40


def test_lines_are_as_much_wider_as_the_picture_will_be_shrunk():
    widths = []
    for scale in (1, 2, 4):
        picture = torch.full((3, 64 * scale, 200 * scale), 0.5)
        total = 0.0
        for seed in range(80):
            painted = picture.clone()
            paint_lines(painted, np.random.default_rng(seed), scale)
            total += float(((painted - picture).abs().amax(0) > 0.05).float().sum())
        widths.append(total / scale**2)
    # The same draws, so the same share of the picture, but for what is cut at its sides.
    assert 0.7 < widths[1] / widths[0] < 1.4
    assert 0.7 < widths[2] / widths[0] < 1.4
