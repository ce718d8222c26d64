"""The lock holds its promise for every block, and touches nothing else."""

from collections import deque
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.media import ChromaLocation, ColorModel, ColorSpec, Range, SampleFormat
from vrestore.ops.blocks import BlockAxis, block_means
from vrestore.ops.fidelity import FidelityConfig, Locked
from vrestore.ops.resample import Resample
from vrestore.ops.standards import chroma_offset

GRAY = SampleFormat(model=ColorModel.GRAY, depth=8)
RGB = SampleFormat(model=ColorModel.RGB, depth=8)
COLOR = ColorSpec(range=Range.FULL, chroma_location=ChromaLocation.LEFT)
CODE = 1 / 255


class Drifting:
    """Enlarges, adds a drift of tone, specks and fine noise, and holds one frame back."""

    latency = 1

    def __init__(self, width, height, drift=0.1, specks=0.0, seed=0):
        self.resample = Resample(width, height)
        self.drift, self.specks = drift, specks
        self.random = torch.Generator().manual_seed(seed)
        self.held = deque()

    def push(self, frame):
        (large,) = self.resample.push(frame)
        planes = []
        for plane in large.planes[: frame.format.color_planes]:
            low = torch.randn(1, 1, 5, 4, generator=self.random) * self.drift
            low = torch.nn.functional.interpolate(low, size=plane.shape, mode="bicubic")[0, 0]
            noise = 0.02 * torch.randn(plane.shape, generator=self.random)
            specks = self.specks * (torch.rand(plane.shape, generator=self.random) > 0.995)
            planes.append(plane + low + noise + specks)
        self.held.append(
            replace(large, planes=(*planes, *large.planes[frame.format.color_planes :]))
        )
        if len(self.held) > 1:
            yield self.held.popleft()

    def flush(self):
        while self.held:
            yield self.held.popleft()


class Adding:
    """Adds the same planes to every frame."""

    def __init__(self, *extra):
        self.extra = extra

    def push(self, frame):
        planes = [p + e for p, e in zip(frame.planes, self.extra, strict=True)]
        return (replace(frame, planes=tuple(planes)),)

    def flush(self):
        return ()


def pictures(make_frame, form, width, height, count=2, **fields):
    random = torch.Generator().manual_seed(5)
    for index in range(count):
        planes = []
        for plane in range(form.plane_count):
            low = torch.rand(1, 1, 6, 7, generator=random)
            size = form.plane_size(plane, width, height)
            planes.append(torch.nn.functional.interpolate(low, size=size, mode="bilinear")[0, 0])
        yield make_frame(planes, form, index=index, color=COLOR, shot_start=index == 0, **fields)


def area_mean(size, block, ratio, offset, to_size):
    """(blocks, to_size) float64, dense and from the definition: an independent oracle."""
    centres = torch.arange(to_size, dtype=torch.float64)
    rows = []
    for start in range(0, size, block):
        end = min(start + block, size)
        # Edges of the block as positions of samples' centres, then enlarged as samples are.
        low, high = ((edge - 0.5 + offset) * ratio - offset for edge in (start, end))
        low = -0.5 if start == 0 else low
        high = to_size - 0.5 if end == size else high
        cover = (torch.minimum(centres + 0.5, torch.tensor(high))
                 - torch.maximum(centres - 0.5, torch.tensor(low))).clamp(min=0)  # fmt: skip
        rows.append(cover / cover.sum())
    return torch.stack(rows)


def changes(source, result, number):
    """Change of every block's mean in one plane, by the oracle."""
    form = source.format
    off_x = off_y = 0.5
    if form.is_chroma(number):
        off_x, off_y = chroma_offset(COLOR.chroma_location, form.log2_chroma_w, form.log2_chroma_h)
    before, after = source.planes[number].double(), result.planes[number].double()
    ratio_y, ratio_x = result.height / source.height, result.width / source.width
    rows, columns = before.shape
    old = area_mean(rows, 8, 1, off_y, rows) @ before @ area_mean(columns, 8, 1, off_x, columns).t()
    new = (
        area_mean(rows, 8, ratio_y, off_y, after.shape[0])
        @ after
        @ area_mean(columns, 8, ratio_x, off_x, after.shape[1]).t()
    )
    return new - old


@settings(max_examples=25)
@given(
    layout=st.sampled_from(["gray", "rgb", "420", "422", "444", "411"]),
    size=st.tuples(st.integers(16, 75), st.integers(16, 75)),
    scale=st.sampled_from([(1, 1), (2, 2), (1.5, 1.5), (1.375, 2.2), (3, 3)]),
    limit=st.sampled_from([0.5, 2.0, 8.0]),
)
def test_no_block_changes_by_more_than_the_limit(
    make_frame, yuv, run_op, layout, size, scale, limit
):
    form = {"gray": GRAY, "rgb": RGB}.get(layout) or yuv(layout)
    to_size = round(size[0] * scale[0]), round(size[1] * scale[1])
    frames = list(pictures(make_frame, form, *size))
    inner = Drifting(*to_size, specks=0.4)
    results = run_op(Locked(inner, FidelityConfig(max_change=limit)), frames)
    free = run_op(Drifting(*to_size, specks=0.4), frames)
    assert [r.index for r in results] == [f.index for f in frames]
    for source, result, drifted in zip(frames, results, free, strict=True):
        for number in range(form.color_planes):
            left = changes(source, result, number).abs()
            assert left.max() <= limit * CODE + 2e-5
            # What was within the limit keeps its mean.
            before = changes(source, drifted, number)
            good = before.abs() <= limit * CODE - 1e-5
            assert torch.allclose(changes(source, result, number)[good], before[good], atol=2e-5)


def test_a_faithful_enlargement_is_not_touched(make_frame, yuv, run_op):
    """Co-sited chroma moves against its plane's edges when enlarged; that is no change."""
    frames = list(pictures(make_frame, yuv("420"), 96, 80))
    locked = Locked(Resample(192, 160), FidelityConfig(max_change=0.75))
    results = run_op(locked, frames)
    plain = run_op(Resample(192, 160), frames)
    for result, expected in zip(results, plain, strict=True):
        for a, b in zip(result.planes, expected.planes, strict=True):
            assert torch.equal(a, b)
    (note,) = locked.notes
    assert note.values["corrected_share"] == 0


def test_detail_within_blocks_is_kept(make_frame, run_op):
    (frame,) = pictures(make_frame, GRAY, 64, 48, count=1)
    detail = 0.2 * (-1.0) ** (torch.arange(48)[:, None] + torch.arange(64))
    locked = Locked(Adding(detail), FidelityConfig(max_change=0.5))
    (result,) = run_op(locked, [frame])
    assert torch.equal(result.planes[0], frame.planes[0] + detail)


def test_the_correction_has_no_edges(make_frame, run_op):
    """Its steepest step is no more than a smooth field of that height needs."""
    (frame,) = pictures(make_frame, GRAY, 128, 96, count=1)
    patch = torch.zeros(96, 128)
    patch[32:64, 40:80] = 0.1
    locked = Locked(Adding(patch), FidelityConfig(max_change=2))
    (result,) = run_op(locked, [frame])
    correction = result.planes[0] - frame.planes[0] - patch
    height = float(correction.abs().max())
    assert height > 0.08
    steepest = max(float(correction.diff(dim=axis).abs().max()) for axis in (0, 1))
    assert steepest < 2 * height / 8
    far = correction.clone()
    far[8:88, 16:104] = 0
    assert far.abs().max() < 0.5 * CODE


def test_defects_are_free_and_their_surroundings_are_not(make_frame, run_op):
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[18, 18] = True
    (frame,) = pictures(make_frame, GRAY, 64, 64, count=1, mask=mask)
    repair = torch.zeros(64, 64)
    repair[16:24, 16:24] = 0.3
    repair[40:48, 40:48] = 0.3
    locked = Locked(Adding(repair), FidelityConfig(max_change=1))
    (result,) = run_op(locked, [frame])
    means = block_means(result.planes[0] - frame.planes[0], *[BlockAxis.whole(64, 8)] * 2)
    assert means[2, 2] == pytest.approx(0.3, abs=1e-4)
    assert means[5, 5] == pytest.approx(CODE, abs=1e-5)
    # Within four samples of the speck lies the block's left and upper neighbour too.
    (note,) = locked.notes
    assert note.values["defect_share"] == pytest.approx(4 / 64)


@pytest.mark.parametrize("layout", ["420", "422", "444", "411"])
def test_masks_fit_chroma_of_any_size(make_frame, yuv, run_op, layout):
    mask = torch.zeros(45, 37, dtype=torch.bool)
    mask[44, 36] = True
    (frame,) = pictures(make_frame, yuv(layout), 37, 45, count=1, mask=mask)
    offset = [torch.full_like(plane, 0.2) for plane in frame.planes]
    (result,) = run_op(Locked(Adding(*offset), FidelityConfig(max_change=1)), [frame])
    for before, after in zip(frame.planes, result.planes, strict=True):
        change = block_means(after - before, *[BlockAxis.whole(size, 8) for size in before.shape])
        assert change[-1, -1] == pytest.approx(0.2, abs=1e-4)
        assert change[0, 0] == pytest.approx(CODE, abs=1e-5)


def test_notes_tell_each_shot_apart(make_frame, run_op):
    frames = list(pictures(make_frame, GRAY, 32, 32, count=5))
    frames[3] = replace(frames[3], shot_start=True)
    locked = Locked(Adding(torch.full((32, 32), 0.1)), FidelityConfig(max_change=5))
    run_op(locked, frames)
    first, second = locked.notes
    assert (first.first, first.frames, second.first, second.frames) == (0, 3, 3, 2)
    assert first.values["largest_change_codes"] == pytest.approx(25.5, rel=1e-4)
    assert first.values["mean_change_codes"] == pytest.approx(25.5, rel=1e-4)
    assert first.values["largest_left_codes"] == pytest.approx(5, abs=1e-3)
    assert first.values["corrected_share"] == 1
    assert len(first.curves["largest_change_codes"]) == 3


def test_a_shot_may_have_a_limit_of_its_own(make_frame, run_op):
    frames = list(pictures(make_frame, GRAY, 32, 32, count=2))
    tuned = {"fidelity.max_change": 2.0}
    frames[1] = replace(frames[1], shot_start=True, tuning=tuned)
    extra = torch.full((32, 32), 0.1)
    off, on = run_op(Locked(Adding(extra), FidelityConfig()), frames)
    assert torch.equal(off.planes[0], frames[0].planes[0] + extra)
    assert (on.planes[0] - frames[1].planes[0]).mean() == pytest.approx(2 * CODE, abs=1e-5)


def test_alpha_is_passed_on(make_frame, yuv, run_op):
    (frame,) = pictures(make_frame, yuv("444", alpha=True), 32, 32, count=1)
    extra = [torch.full((32, 32), 0.1)] * 4
    (result,) = run_op(Locked(Adding(*extra), FidelityConfig(max_change=1)), [frame])
    assert torch.equal(result.planes[3], frame.planes[3] + 0.1)


@pytest.mark.parametrize("value", [-1, 256])
def test_a_limit_outside_8_bit_codes_is_refused(value):
    with pytest.raises(ValueError, match="max_change"):
        FidelityConfig(max_change=value)
