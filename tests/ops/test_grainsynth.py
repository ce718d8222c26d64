"""Synthesised grain has the look of the measured, and no memory, pattern or bias."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.media import ColorModel, SampleFormat
from vrestore.ops.grainmeasure import channel_names, measure_grain
from vrestore.ops.grainmodel import INTENSITIES, ChannelGrain, Grain
from vrestore.ops.grainsynth import GrainSynthesiser
from vrestore.train import damage

GRAY = SampleFormat(model=ColorModel.GRAY, depth=8)
RGB = SampleFormat(model=ColorModel.RGB, depth=8)
CODE = 1 / 255


def noise(count, height, width, seed=1, blur=(0.0, 0.0)):
    """(count, H, W) of standard deviation 1, blurred by (vertical, horizontal) sigma."""
    random = torch.Generator().manual_seed(seed)
    layers = torch.randn(count, 1, height, width, generator=random)
    layers = damage.gaussian_blur(layers, *blur)[:, 0]
    return layers / layers.std()


def radial(planes, bands=8):
    """Power density averaged over rings of frequency 0..0.5, (bands,), by the periodogram of
    windowed planes (N, H, W): nothing of the code under test."""
    height, width = planes.shape[-2:]
    window = torch.hann_window(height)[:, None] * torch.hann_window(width)
    window = window / window.square().mean().sqrt()
    spectrum = torch.fft.fft2(planes * window).abs().square().mean(0) / (height * width)
    radius = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width))
    ring = (radius * 2 * bands).long()
    return torch.stack([spectrum[ring == k].mean() for k in range(bands)])


def even(form, strength=0.02, confidence=1.0):
    return Grain(
        channels=tuple(
            ChannelGrain(name=name, strength=(strength,) * len(INTENSITIES))
            for name in channel_names(form)
        ),
        confidence=confidence,
    )


def gray(make_frame, index=0, size=(192, 224), level=0.5):
    return make_frame([torch.full(size, level)], GRAY, index=index)


def added(synthesiser, frames):
    """(N, H, W) what was added to the first plane."""
    return torch.stack([synthesiser.add(f)[0] - f.planes[0] for f in frames])


@pytest.mark.parametrize("blur", [(0.0, 0.0), (0.6, 0.6), (0.3, 1.2), (1.5, 1.5)])
@pytest.mark.parametrize("scale", [1, 2])
def test_the_spectrum_is_the_sources(make_frame, blur, scale):
    source = 0.02 * noise(10, 224, 256, blur=blur)
    grain = measure_grain(
        make_frame([0.5 + plane], GRAY, index=i) for i, plane in enumerate(source)
    )
    size = (224 * scale, 256 * scale)
    made = added(
        GrainSynthesiser(grain, (scale, scale), keep=1.0, seed=1),
        [gray(make_frame, i, size) for i in range(10)],
    )
    assert made.std() == pytest.approx(float(source.std()), rel=0.08)
    wanted, got = radial(source), radial(made, 8 * scale)[:8] / scale**2
    # Rings with hardly any power carry nothing that could be seen.
    strong = wanted > 0.02 * wanted.max()
    assert torch.allclose(got[strong], wanted[strong], rtol=0.15)
    assert (got[~strong] < 0.04 * wanted.max()).all()


def test_strength_follows_intensity(make_frame):
    curve = tuple(0.01 + 0.02 * at for at in INTENSITIES)
    grain = Grain(channels=(ChannelGrain(name="y", strength=curve),), confidence=1)
    synthesiser = GrainSynthesiser(grain, (1, 1), keep=0.5, seed=0)
    for at in (0.1, 0.3, 0.5, 0.65, 0.9):
        frames = [gray(make_frame, i, level=at) for i in range(3)]
        assert added(synthesiser, frames).std() == pytest.approx(0.5 * (0.01 + 0.02 * at), rel=0.02)


@pytest.mark.parametrize("level", [-0.05, 0.0, 0.01, 0.04, 0.5, 0.97, 1.0, 1.05])
def test_the_mean_stays_even_after_clipping(make_frame, level):
    synthesiser = GrainSynthesiser(even(GRAY, 0.04), (1, 1), keep=1.0, seed=0)
    frames = [gray(make_frame, i, (300, 400), level) for i in range(4)]
    made = torch.stack([synthesiser.add(f)[0] for f in frames])
    shift = made.clamp(0, 1).mean() - min(1.0, max(0.0, level))
    assert abs(float(shift)) < 0.15 * CODE


def test_frames_planes_and_seeds_are_independent(make_frame, yuv):
    form = yuv("444")
    planes = [torch.full((200, 240), 0.5)] * 3
    first, second = (GrainSynthesiser(even(form), (2, 2), keep=1.0, seed=s) for s in (0, 1))
    fields = []
    for synthesiser in (first, second):
        for index in (0, 1, 2, 1000):
            made = synthesiser.add(make_frame(planes, form, index=index))
            fields += [plane - 0.5 for plane in made]
    table = torch.corrcoef(torch.stack(fields).flatten(1))
    assert (table - torch.eye(len(fields))).abs().max() < 0.03
    # Over many frames one after another, where chance is small.
    alone = GrainSynthesiser(even(GRAY), (2, 2), keep=1.0, seed=0)
    run = added(alone, [gray(make_frame, i, (160, 160)) for i in range(40)])
    assert abs(float((run[1:] * run[:-1]).mean() / run.square().mean())) < 0.02


def test_no_pattern_repeats_within_a_frame(make_frame):
    (made,) = added(
        GrainSynthesiser(even(GRAY), (1, 1), keep=1.0, seed=0), [gray(make_frame, 0, (600, 800))]
    )
    spectrum = torch.fft.rfft2(made, s=(1200, 1600))
    likeness = torch.fft.irfft2(spectrum.abs().square(), s=(1200, 1600))
    likeness /= likeness[0, 0].clone()
    likeness[0, 0] = 0
    # White noise of 480 000 samples reaches five sigma, 0.0072, among its shifts.
    assert likeness.abs().max() < 0.009


def test_strength_is_the_same_across_tiles(make_frame):
    grain = Grain(
        channels=measure_grain(
            make_frame([0.5 + 0.02 * plane], GRAY, index=i)
            for i, plane in enumerate(noise(6, 160, 160, blur=(1.5, 1.5)))
        ).channels,
        confidence=1,
    )
    frames = [gray(make_frame, i, (300, 520)) for i in range(60)]
    made = added(GrainSynthesiser(grain, (2, 2), keep=1.0, seed=0), frames)
    by_column = made.square().mean((0, 1)).sqrt()
    smooth = torch.nn.functional.avg_pool1d(by_column[None], 20, 4)[0]
    assert smooth.max() / smooth.min() < 1.2


@settings(max_examples=10)
@given(
    layout=st.sampled_from(["gray", "rgb", "420", "422", "411"]),
    size=st.tuples(st.integers(16, 300), st.integers(16, 300)),
)
def test_the_same_bits_whatever_came_before(make_frame, yuv, layout, size):
    form = {"gray": GRAY, "rgb": RGB}.get(layout) or yuv(layout)
    padded = []
    for plane in range(form.plane_count):
        height, width = form.plane_size(plane, *size)
        padded.append(torch.rand(height, width + 5)[:, :width])
    frame = make_frame(padded, form, index=7)
    kept = [plane.clone() for plane in padded]
    here = GrainSynthesiser(even(form), (1.5, 1.5), keep=0.7, seed=3)
    here.add(make_frame(padded, form, index=2))
    first = here.add(frame)
    dense = replace(frame, planes=tuple(plane.contiguous() for plane in padded))
    pool = lambda shape, dtype: torch.full(shape, torch.nan, dtype=dtype)  # noqa: E731
    second = GrainSynthesiser(even(form), (1.5, 1.5), keep=0.7, seed=3).add(dense, pool)
    for a, b, before, source in zip(first, second, kept, padded, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(source, before)
        assert not torch.equal(a, source)


def test_a_monochrome_print_stays_monochrome(make_frame):
    grain = replace(even(RGB), correlation=(1.0, 1.0, 1.0))
    planes = [torch.full((100, 100), 0.5)] * 3
    red, green, blue = GrainSynthesiser(grain, (1, 1), keep=1, seed=0).add(make_frame(planes, RGB))
    assert red.std() == pytest.approx(0.02, rel=0.05)
    assert torch.allclose(red, green, atol=1e-6)
    assert torch.allclose(red, blue, atol=1e-6)


def test_layers_are_mixed_as_they_were(make_frame):
    grain = replace(even(RGB), correlation=(0.5, 0.2, 0.35))
    planes = [torch.full((300, 300), 0.5)] * 3
    made = GrainSynthesiser(grain, (1, 1), keep=1, seed=0).add(make_frame(planes, RGB))
    table = torch.corrcoef(torch.stack(made).flatten(1) - 0.5)
    assert [float(table[0, 1]), float(table[0, 2]), float(table[1, 2])] == pytest.approx(
        [0.5, 0.2, 0.35], abs=0.02
    )


def test_planes_without_grain_and_alpha_pass_untouched(make_frame, yuv):
    form = yuv("420", alpha=True)
    grain = even(form)
    silent = replace(grain.channels[1], strength=(0.0,) * len(INTENSITIES))
    grain = replace(grain, channels=(grain.channels[0], silent, silent))
    planes = [torch.rand(form.plane_size(k, 64, 48)) for k in range(4)]
    made = GrainSynthesiser(grain, (2, 2), keep=1, seed=0).add(make_frame(planes, form))
    assert made[0] is not planes[0]
    assert all(a is b for a, b in zip(made[1:], planes[1:], strict=True))
