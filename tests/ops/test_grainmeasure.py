"""Grain of known strength is found, and nothing else is taken for it."""

import pytest
import torch

from vrestore.media import Coding, ColorModel, SampleFormat
from vrestore.ops.grainmeasure import measure_grain
from vrestore.ops.grainmodel import INTENSITIES, NO_GRAIN
from vrestore.train import damage

GRAY = SampleFormat(model=ColorModel.GRAY, depth=8)
RGB = SampleFormat(model=ColorModel.RGB, depth=8)
CODE = 1 / 255
COUNT = 12


def picture(height=208, width=256, seed=0):
    """A smooth scene with all intensities and a textured quarter, (H, W) in 0..1."""
    random = torch.Generator().manual_seed(seed)
    ramp = torch.linspace(0.02, 0.98, width).expand(height, width).clone()
    texture = torch.rand(height // 2, width // 2, generator=random)
    ramp[: height // 2, : width // 2] += 0.3 * (texture - 0.5)
    return ramp


def noise(count, height, width, seed=1, blur=(0.0, 0.0)):
    """(count, H, W) of standard deviation 1, blurred by (vertical, horizontal) sigma."""
    random = torch.Generator().manual_seed(seed)
    layers = damage.gaussian_blur(torch.randn(count, 1, height, width, generator=random), *blur)[
        :, 0
    ]
    return layers / layers.std()


def gray_frames(make_frame, planes, **fields):
    return [make_frame([plane], GRAY, index=i, **fields) for i, plane in enumerate(planes)]


def measured(make_frame, planes, **fields):
    grain = measure_grain(gray_frames(make_frame, planes, **fields))
    return grain, grain.channels[0]


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 31), (64, 48)])
@pytest.mark.parametrize("count", [2, 4])
def test_pictures_with_too_few_blocks_claim_no_correlation(make_frame, height, width, count):
    frames = [make_frame(list(noise(3, height, width, seed=i)), RGB, index=i) for i in range(count)]
    assert measure_grain(frames).correlation == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("sigma", [1.0, 3.0, 8.0])
@pytest.mark.parametrize("blur", [(0.0, 0.0), (0.8, 0.8)])
def test_strength_is_found_under_texture(make_frame, sigma, blur):
    scene = picture()
    grain, channel = measured(
        make_frame, scene + sigma * CODE * noise(COUNT, *scene.shape, blur=blur)
    )
    for step in channel.strength[1:8]:
        assert step / CODE == pytest.approx(sigma, rel=0.1)
    assert grain.confidence > 0.6


def test_a_pan_over_texture_is_no_grain(make_frame):
    texture = damage.gaussian_blur(noise(1, 208, 320)[:, None], 2.0, 2.0)[0, 0] + 0.5
    wide = torch.cat((torch.linspace(0.3, 0.7, 320).expand(64, -1), texture[64:]))
    for scene, level in ((texture, 0.0), (wide, 3.0)):
        moving = torch.stack([scene[:, 2 * i : 2 * i + 256] for i in range(COUNT)])
        grain, channel = measured(make_frame, moving + level * CODE * noise(COUNT, 208, 256))
        assert channel.typical / CODE == pytest.approx(level, rel=0.1, abs=0.1)
        assert (grain.confidence > 0.2) == (level > 0)


def test_a_brightening_picture_is_no_grain(make_frame):
    gains = torch.linspace(0.5, 1.0, COUNT).view(-1, 1, 1)
    _, channel = measured(make_frame, picture() * gains)
    assert channel.typical < 0.05 * CODE


def test_the_curve_over_intensity_is_found(make_frame):
    scene = torch.linspace(0, 1, 256).expand(208, 256)
    curve = 0.01 + 0.03 * scene
    _, channel = measured(make_frame, scene + curve * noise(COUNT, 208, 256))
    for at, strength in zip(INTENSITIES, channel.strength, strict=True):
        assert strength == pytest.approx(0.01 + 0.03 * at, rel=0.1), at


def test_size_is_told_per_axis(make_frame):
    scene = picture()
    _, white = measured(make_frame, scene + 0.02 * noise(COUNT, *scene.shape))
    _, wide = measured(make_frame, scene + 0.02 * noise(COUNT, *scene.shape, blur=(0.0, 1.0)))
    assert white.size == pytest.approx((1, 1), abs=0.1)
    assert wide.size[0] == pytest.approx(1, abs=0.15)
    # The autocorrelation of a Gaussian blur sums to 2 sqrt(pi) sigma.
    assert wide.size[1] == pytest.approx(3.54, rel=0.15)


def test_channels_are_told_apart(make_frame, yuv):
    form = yuv("420")
    luma = picture()
    strengths = (4, 2, 1)
    planes = [
        torch.stack([luma] * COUNT) + strengths[0] * CODE * noise(COUNT, 208, 256),
        0.5 + strengths[1] * CODE * noise(COUNT, 104, 128, seed=2),
        0.5 + strengths[2] * CODE * noise(COUNT, 104, 128, seed=3),
    ]
    frames = [make_frame([p[i] for p in planes], form, index=i) for i in range(COUNT)]
    grain = measure_grain(frames)
    assert [c.name for c in grain.channels] == ["y", "cb", "cr"]
    for channel, strength in zip(grain.channels, strengths, strict=True):
        assert channel.typical / CODE == pytest.approx(strength, rel=0.1)
    assert grain.correlation == (0, 0, 0)


@pytest.mark.parametrize("shared", [0.0, 0.6, 1.0])
def test_correlation_of_colour_layers_is_found(make_frame, shared):
    common = noise(COUNT, 208, 256)
    layers = [
        shared * common + (1 - shared**2) ** 0.5 * noise(COUNT, 208, 256, seed=k + 2)
        for k in range(3)
    ]
    scene = picture()
    frames = [
        make_frame([scene + 0.02 * layer[i] for layer in layers], RGB, index=i)
        for i in range(COUNT)
    ]
    assert measure_grain(frames).correlation == pytest.approx([shared**2] * 3, abs=0.05)


def test_repaired_places_are_not_asked(make_frame):
    scene = picture()
    planes = scene + 2 * CODE * noise(COUNT, *scene.shape)
    mask = torch.zeros(scene.shape, dtype=torch.bool)
    mask[:, :208] = True
    # Repairs of flat colour would pull strength down.
    planes[:, :, :208] = scene[:, :208]
    _, fooled = measured(make_frame, planes)
    _, told = measured(make_frame, planes, mask=mask)
    assert fooled.strength[4] < 0.1 * CODE
    assert told.strength[7] / CODE == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("exact", [True, False])
def test_repeated_frames_count_once(make_frame, exact):
    scene = picture()
    planes = scene + 0.02 * noise(COUNT, *scene.shape)
    doubled = planes.repeat_interleave(2, 0)
    if not exact:
        doubled = doubled + 0.001 * noise(2 * COUNT, *scene.shape, seed=9)
    # Each frame twice, but the first: as animation on twos begins anywhere.
    _, channel = measured(make_frame, doubled[1:])
    assert channel.typical == pytest.approx(0.02, rel=0.1)


def test_fewer_than_three_frames_tell_nothing(make_frame):
    planes = picture() + 0.02 * noise(2, 208, 256)
    assert measure_grain(gray_frames(make_frame, planes)) == NO_GRAIN
    assert measure_grain(gray_frames(make_frame, planes[:1].repeat(5, 1, 1))) == NO_GRAIN
    assert measure_grain([]) == NO_GRAIN


def test_pictures_without_a_whole_block_have_no_grain(make_frame):
    assert measure_grain(gray_frames(make_frame, torch.rand(4, 12, 200))) == NO_GRAIN


@pytest.mark.parametrize("layout", ["gray", "rgb", "420"])
@pytest.mark.parametrize("size", [(16, 16), (33, 47), (96, 64)])
def test_pictures_with_few_blocks_are_no_trouble(make_frame, yuv, layout, size):
    form = {"gray": GRAY, "rgb": RGB}.get(layout) or yuv(layout)
    frames = [
        make_frame([torch.rand(form.plane_size(p, *size)) for p in range(form.plane_count)], form)
        for _ in range(5)
    ]
    assert 0 <= measure_grain(frames).confidence <= 1


def test_subsampled_planes_with_as_many_blocks_are_kept_apart(make_frame, yuv):
    """Of 1280x960, every second block each way is looked at; of its chroma, every one."""
    form, size = yuv("420"), (1280, 960)
    mask = torch.zeros(960, 1280, dtype=torch.bool)
    mask[8, 8] = True
    frames = [
        make_frame(
            [torch.rand(form.plane_size(p, *size)) for p in range(3)], form, index=i, mask=mask
        )
        for i in range(4)
    ]
    assert measure_grain(frames).correlation == (0, 0, 0)


def test_a_change_of_size_starts_anew(make_frame):
    small, large = noise(4, 112, 128), noise(6, 208, 256)
    planes = [0.5 + 0.02 * plane for plane in (*small, *large)]
    _, channel = measured(make_frame, planes)
    assert channel.typical == pytest.approx(0.02, rel=0.1)


def test_code_values_are_refused(make_frame):
    with pytest.raises(ValueError, match="UNIT"):
        measure_grain([make_frame([torch.zeros(32, 32)], GRAY, coding=Coding.CODE)])
