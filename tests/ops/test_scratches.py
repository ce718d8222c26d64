"""Vertical scratches: found, filled, and told from what stands upright in the picture."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vrestore.media import ColorModel, SampleFormat
from vrestore.ops.scratches import Scratches, ScratchesConfig
from vrestore.ops.shift import Displacement, displaced
from vrestore.train import dirt as film

GRAY = SampleFormat(model=ColorModel.GRAY, depth=8)


def wall(count, speed, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 1, 12, (160 + count * speed) // 10 + 1, generator=generator)
    wide = F.interpolate(coarse, size=(144, 160 + count * speed), mode="bicubic")[0, 0]
    wide = 0.3 + 0.4 * wide + 0.01 * torch.randn(wide.shape, generator=generator)
    return wide


def pan(wide, count, speed):
    return torch.stack([wide[:, t * speed : t * speed + 160] for t in range(count)])[:, None]


@pytest.fixture
def run(make_frame, run_op):
    def go(clip, strength=0.5):
        frames = [
            make_frame([p[0].contiguous()], GRAY, index=t, shot_start=t == 0)
            for t, p in enumerate(clip)
        ]
        return run_op(Scratches(ScratchesConfig(strength=strength)), frames)

    return go


def test_a_scratch_is_found_and_filled(run):
    clean = pan(wall(8, 2), 8, 2).expand(-1, 3, -1, -1)
    drawn = film.drifting_scratches(clean, np.random.default_rng(5), 1, opacity=(0.5, 0.8))
    out = run(drawn.frames)
    core = drawn.labels > 0
    masks = torch.stack([torch.zeros(144, 160).bool() if f.mask is None else f.mask for f in out])
    assert (masks & core).sum() / core.sum() > 0.8
    result = torch.stack([f.planes[0] for f in out])
    before = (drawn.frames[:, 0] - clean[:, 0])[core].square().mean()
    assert (result - clean[:, 0])[core].square().mean() < 0.2 * before


def test_the_mask_is_shown_on_the_picture_as_it_was(make_frame, run_op):
    clean = pan(wall(8, 2), 8, 2).expand(-1, 3, -1, -1)
    drawn = film.drifting_scratches(clean, np.random.default_rng(5), 1, opacity=(0.5, 0.8))
    frames = [
        make_frame([p[0].contiguous()], GRAY, index=t, shot_start=t == 0)
        for t, p in enumerate(drawn.frames)
    ]
    out = run_op(Scratches(ScratchesConfig(strength=0.5, show_mask=True)), frames)
    assert any(f.mask is not None for f in out)
    assert all(torch.equal(a.planes[0], b.planes[0]) for a, b in zip(out, frames, strict=True))


@pytest.mark.parametrize(("tremble", "found"), [(0.0, False), (0.4, True)])
def test_where_nothing_moves_a_short_line_that_trembles_is_a_scratch(run, tremble, found):
    generator = torch.Generator().manual_seed(3)
    clip = pan(wall(8, 0), 8, 0) + 0.01 * torch.randn(8, 1, 144, 160, generator=generator)
    places = 90 + tremble * torch.randn(8, 1, generator=generator)
    line = torch.sigmoid((1.2 - (torch.arange(160) - places).abs()) * 4)
    clip[:, :, :72] += 0.25 * line[:, None, None]
    masks = [frame.mask for frame in run(clip)]
    assert all((mask is not None) == found for mask in masks)
    assert not found or all(mask[8:64, 88:93].any(1).float().mean() > 0.8 for mask in masks)


def test_a_short_thin_line_that_drifts_by_parts_of_a_sample_is_of_the_picture(run):
    clip = pan(wall(8, 0), 8, 0).clone()
    places = 90 + 0.4 * torch.arange(8.0)[:, None]
    line = torch.sigmoid((1.2 - (torch.arange(160) - places).abs()) * 4)
    clip[:, :, :72] += 0.25 * line[:, None, None]
    assert all(frame.mask is None for frame in run(clip))


def test_a_short_line_of_a_picture_that_trembles_as_a_whole_stays(run):
    still = pan(wall(8, 0), 8, 0).clone()
    still[:, :, :72, 90:92] += 0.25
    still[:, :, :, 40:60] += 0.2
    # Hard edges would ring when they are moved by a part of a sample.
    still = F.avg_pool2d(F.pad(still, (1, 1, 0, 0), mode="replicate"), (1, 3), 1)
    generator = torch.Generator().manual_seed(4)
    shakes = 0.25 * torch.randn(8, generator=generator)
    clip = torch.stack(
        [
            displaced(p[0], Displacement(x=float(x), y=0.0))[None]
            for p, x in zip(still, shakes, strict=True)
        ]
    )
    clip += 0.004 * torch.randn(clip.shape, generator=generator)
    assert all(frame.mask is None for frame in run(clip))


@pytest.mark.parametrize(("rows", "found"), [(72, False), (110, True)])
def test_where_nothing_moves_a_line_must_run_through_most_of_the_picture(run, rows, found):
    clip = pan(wall(8, 0), 8, 0).clone()
    clip[:, :, :rows, 90:92] += 0.25
    for frame in run(clip):
        assert (frame.mask is not None) == found
        assert not found or frame.mask[8 : rows - 8, 90:92].float().mean() > 0.8


def test_a_pole_that_pans_with_the_picture_stays(run):
    wide = wall(8, 3)
    wide[:, 100:102] = 0.95
    out = run(pan(wide, 8, 3))
    assert all(f.mask is None for f in out)


def test_a_broad_pillar_and_the_edge_of_a_window_stay(run):
    wide = wall(8, 0)
    wide[:, 40:52] = 0.9
    wide[:, 100:] += 0.3
    out = run(pan(wide, 8, 0))
    assert all(f.mask is None or f.mask.float().mean() < 0.002 for f in out)


def test_a_clean_picture_passes_unchanged(run):
    assert all(f.mask is None for f in run(pan(wall(8, 2), 8, 2)))


def test_frames_keep_their_order_over_cuts_and_off_is_off(make_frame, run_op):
    frames = [
        make_frame([torch.rand(32, 40)], GRAY, index=t, shot_start=t in (0, 1, 6)) for t in range(9)
    ]
    op = Scratches(ScratchesConfig(strength=1.0))
    assert [f.index for f in run_op(op, frames)] == list(range(9))
    assert [note.frames for note in op.notes] == [1, 5, 3]
    assert all(
        a is b for a, b in zip(run_op(Scratches(ScratchesConfig()), frames), frames, strict=True)
    )
