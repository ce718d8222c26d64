"""Each tape fault: repaired where it is, and nothing changed where it is not."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.media import ChromaLocation, ColorModel, ColorSpec, Range, SampleFormat
from vrestore.ops.tape import Tape, TapeConfig
from vrestore.ops.tape.chroma import measure_chroma_shift
from vrestore.ops.tape.headswitch import measure_head_switch
from vrestore.train import tape_faults as faults

COLOR = ColorSpec(range=Range.FULL, chroma_location=ChromaLocation.LEFT)


def picture(count=8, height=144, width=192, seed=0, speed=0, noise=0.003):
    """(T, 3, H, W) YCbCr: coloured patches with edges, on a pan."""
    generator = torch.Generator().manual_seed(seed)
    span = width + count * speed
    cells = torch.rand(3, height // 8, span // 8, generator=generator)
    # Of uneven width: a regular grid looks the same one cell on.
    across, down = (
        torch.randint(8, 30, (size // 8,), generator=generator) for size in (span, height)
    )
    wide = cells.repeat_interleave(down, 1).repeat_interleave(across, 2)[:, :height, :span].clone()
    fine = F.interpolate(
        torch.rand(1, 1, height // 3, span // 3 + 1, generator=generator), scale_factor=3,
        mode="bicubic",
    )[0, :, :height, :span]  # fmt: skip
    wide[0] = 0.2 + 0.5 * wide[0] + 0.1 * fine[0]
    wide[1:] = 0.4 * (wide[1:] - 0.5)
    # Colour and luma have their edges in common, as things do.
    clip = torch.stack([wide[:, :, t * speed : t * speed + width] for t in range(count)])
    for channel in range(3):
        clip[:, channel : channel + 1] = F.avg_pool2d(clip[:, channel : channel + 1], 3, 1, 1)
    return clip + noise * torch.randn(clip.shape, generator=generator)


@pytest.fixture(scope="session")
def frames_of(make_frame, yuv):
    def make(clip, starts=(0,)):
        chroma = F.avg_pool2d(clip[:, 1:], (2, 1), ceil_mode=True)
        chroma = 0.25 * F.pad(chroma, (1, 1, 0, 0), mode="replicate")[..., :-2] + 0.5 * chroma + (
            0.25 * F.pad(chroma, (1, 1, 0, 0), mode="replicate")[..., 2:]
        )  # fmt: skip
        chroma = chroma[..., ::2]
        return [
            make_frame(
                [p[0].contiguous(), c[0] + 0.5, c[1] + 0.5], yuv("420"), color=COLOR, index=t,
                shot_start=t in starts,
            )
            for t, (p, c) in enumerate(zip(clip, chroma, strict=True))
        ]  # fmt: skip

    return make


def error(frames, truth, planes):
    pairs = [(a.planes[n], b.planes[n]) for a, b in zip(frames, truth, strict=True) for n in planes]
    return float(sum((a - b).square().mean() for a, b in pairs)) / len(pairs)


def changed(frames, truth):
    """In code values of 255."""
    pairs = [(a.planes[n], b.planes[n]) for a, b in zip(frames, truth, strict=True) for n in (0, 1)]
    return 255 * float(sum((a - b).abs().mean() for a, b in pairs)) / len(pairs)


RNG = 7
CASES = {
    "shift": (TapeConfig(chroma_shift="auto"), lambda x: faults.chroma_shift(x, 3.0), (1, 2), 0.2),
    "noise": (
        TapeConfig(chroma_noise=1.0),
        lambda x: faults.chroma_noise(x, np.random.default_rng(RNG), 0.03),
        (1, 2),
        0.6,
    ),
    "bleed": (TapeConfig(bleed=1.0), lambda x: faults.bleed(x, 5.0), (1, 2), 0.9),
    "head": (
        TapeConfig(head_switch="auto"),
        lambda x: faults.head_switch(x, np.random.default_rng(RNG), 8),
        (0,),
        0.6,
    ),
    "dropout": (
        TapeConfig(dropout=0.5),
        lambda x: faults.dropouts(x, np.random.default_rng(RNG), 3)[0],
        (0,),
        0.4,
    ),
    "jitter": (
        TapeConfig(line_jitter=1.0),
        lambda x: faults.line_jitter(x, np.random.default_rng(RNG), 0.8),
        (0,),
        0.4,
    ),
    "ntsc": (TapeConfig(comb=1.0), lambda x: faults.composite(x, "ntsc", 1.0, 0.0), (0,), 0.6),
    "pal": (TapeConfig(comb=1.0), lambda x: faults.composite(x, "pal", 1.0, 0.0), (0,), 0.8),
    "halo": (TapeConfig(halo=1.0), lambda x: faults.halo(x, 1.0, 2.5), (0,), 0.6),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fault_grows_smaller(name, frames_of, run_op):
    config, fault, planes, most = CASES[name]
    clean = picture()
    truth, source = frames_of(clean), frames_of(fault(clean))
    out = run_op(Tape(config), source)
    assert error(out, truth, planes) < most * error(source, truth, planes)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("speed", [0, 3])
def test_a_clean_picture_stays(name, speed, frames_of, run_op):
    truth = frames_of(picture(6, speed=speed, noise=0.001))
    assert changed(run_op(Tape(CASES[name][0]), truth), truth) < 0.3


@pytest.mark.parametrize("shift", [-4.0, -1.3, 2.6])
def test_the_measured_shift_is_the_one_that_was_made(shift, frames_of):
    right, down, sure = measure_chroma_shift(frames_of(faults.chroma_shift(picture(3), shift)))
    assert right == pytest.approx(shift, abs=0.4)
    assert down == pytest.approx(0, abs=0.6)
    assert sure > 0.3


def test_gray_has_no_chroma_to_measure(make_frame):
    gray = SampleFormat(model=ColorModel.GRAY, depth=8)
    assert measure_chroma_shift([make_frame([torch.rand(32, 48)], gray)]) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("rows", [4, 9])
def test_torn_rows_are_counted(rows, frames_of):
    torn = faults.head_switch(picture(5), np.random.default_rng(1), rows)
    assert abs(measure_head_switch(frames_of(torn)) - rows) <= 1
    assert measure_head_switch(frames_of(picture(5))) == 0


def test_torn_rows_show_on_a_blank_bottom_by_their_noise_and_a_caption_there_is_none(frames_of):
    blank = picture(5)
    blank[:, 0, -40:] = 0.5 + 0.002 * torch.randn(5, 40, blank.shape[3])
    torn = faults.head_switch(blank, np.random.default_rng(1), 8)
    assert measure_head_switch(frames_of(torn)) == 8
    assert measure_head_switch(frames_of(blank)) == 0
    blank[:, 0, -20:-8, ::3] += 0.2
    assert measure_head_switch(frames_of(blank)) == 0


@settings(max_examples=6)
@given(lengths=st.lists(st.integers(1, 16), min_size=1, max_size=3), side=st.integers(16, 50))
def test_every_frame_comes_out_once_in_order_whatever_is_on(frames_of, lengths, side):
    config = TapeConfig(
        head_switch="auto", line_jitter=1, dropout=1, comb=1, chroma_shift="auto", bleed=1,
        chroma_noise=1, halo=1,
    )  # fmt: skip
    starts = [int(n) for n in np.cumsum([0, *lengths])[:-1]]
    frames = frames_of(torch.rand(sum(lengths), 3, side, side + 5), starts)
    op, out = Tape(config), []
    for frame in frames:
        out.extend(op.push(frame))
        assert frame.index + 1 - len(out) <= op.latency
    out.extend(op.flush())
    assert [f.index for f in out] == list(range(len(frames)))
    assert {note.first for note in op.notes} == set(starts)


def test_nothing_crosses_a_cut(frames_of, run_op):
    config = TapeConfig(dropout=0.5, comb=1, chroma_noise=1, line_jitter=1)
    first = faults.chroma_noise(picture(5), np.random.default_rng(0), 0.03)
    seconds = [picture(4, seed=5), picture(4, seed=6)]
    outs = [run_op(Tape(config), frames_of(torch.cat((first, s)), (0, 5))) for s in seconds]
    for a, b in zip(outs[0][:5], outs[1][:5], strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))


def test_all_off_is_no_stage_at_all(frames_of, run_op):
    frames = frames_of(picture(2))
    assert not TapeConfig().active
    assert run_op(Tape(TapeConfig()), frames) == frames


@pytest.mark.parametrize(
    ("field", "value"), [("halo", 2.0), ("chroma_shift", 40.0), ("head_switch", -1)]
)
def test_wrong_settings_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        TapeConfig(**{field: value})
