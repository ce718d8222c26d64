"""Painting the mask."""

import torch

from vrestore.ops.maskview import ShowMask


def test_marked_samples_turn_red_and_others_stay(make_frame, run_op, yuv):
    planes = [torch.full((8, 8), 0.5), torch.full((4, 4), 0.4), torch.full((4, 4), 0.4)]
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[2:4, 4:6] = True
    (out,) = run_op(ShowMask(), [make_frame(planes, yuv("420"), mask=mask)])
    assert out.planes[2][1, 2] == 1.0
    assert torch.equal(out.planes[0][~mask], planes[0][~mask])
    assert (out.planes[2] != 0.4).sum() == 1


def test_frames_without_a_mask_pass(make_frame, run_op, yuv):
    frame = make_frame([torch.zeros(8, 8)] * 3, yuv("444"))
    assert run_op(ShowMask(), [frame]) == [frame]
