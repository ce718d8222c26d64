"""A run is read as what it is, whatever its size and layout; readings never cross a cut."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from vrestore.diagnose.reading import LONGEST, RunReader, field_picture
from vrestore.diagnose.source import read_runs
from vrestore.media import ColorModel, SampleFormat


def read(frames):
    reader = RunReader()
    for frame in frames:
        reader.push(frame)
    return reader.reading()


@pytest.fixture
def panned(texture):
    """Twelve lumas of a slow pan over one picture."""
    wide = texture(160, 300, 4)
    return [wide[:, t : t + 240] for t in range(12)]


def test_noise_is_measured_in_codes_and_a_still_scene_has_none(unit_frames, texture):
    scene = texture(160, 240, 4)
    generator = torch.Generator().manual_seed(1)
    noisy = [scene + 0.02 * torch.randn(scene.shape, generator=generator) for _ in range(10)]
    clean, dirty = read(unit_frames([scene] * 10)).values, read(unit_frames(noisy)).values
    assert dirty["grain"] == pytest.approx(5.1, rel=0.15)
    assert dirty["grain_trust"] > 0.5
    assert clean["grain"] < 0.1


def test_specks_all_over_the_picture_are_dirt(unit_frames, panned):
    generator = torch.Generator().manual_seed(2)
    dusty = []
    for luma in panned:
        specks = torch.rand(1, 1, 160 // 4, 240 // 4, generator=generator) < 0.02
        matte = torch.nn.functional.interpolate(specks.float(), scale_factor=4)[0, 0]
        dusty.append(torch.where(matte > 0, torch.full_like(luma, 0.95), luma))
    assert read(unit_frames(dusty)).values["dirt"] > 5e-3
    assert read(unit_frames(panned)).values["dirt"] < 1.5e-3


def test_specks_are_found_in_film_that_was_brought_to_a_higher_rate_by_mixing(unit_frames, texture):
    generator = torch.Generator().manual_seed(2)
    wide, film = texture(160, 340, 4), []
    for number in range(12):
        luma = wide[:, 6 * number : 6 * number + 240].clone()
        specks = torch.rand(1, 1, 160 // 4, 240 // 4, generator=generator) < 0.004
        matte = F.interpolate(specks.float(), scale_factor=4)[0, 0]
        film.append(torch.where(matte > 0, torch.full_like(luma, 0.95), luma))
    mixed = []
    for one, two in zip(film[0::2], film[1::2], strict=True):
        mixed += [one, torch.lerp(one, two, 0.45), two]
    alone, among = (read(unit_frames(lumas)).values["dirt"] for lumas in (film, mixed))
    assert alone > 1e-3
    assert among == pytest.approx(alone, rel=0.1)


def test_few_specks_anywhere_are_dirt_and_as_many_in_one_place_are_not(unit_frames, panned):
    def specked(high: int, wide: int) -> float:
        generator = torch.Generator().manual_seed(8)
        dusty = []
        for luma in panned:
            marked = luma.clone()
            for _ in range(5):
                row = int(torch.randint(high - 8, (1,), generator=generator))
                column = int(torch.randint(wide - 8, (1,), generator=generator))
                marked[row + 2 : row + 6, column + 2 : column + 6] = 0.95
            dusty.append(marked)
        return read(unit_frames(dusty)).values["dirt"]

    assert specked(160, 240) > 5e-4
    assert specked(40, 60) < 5e-4


def test_a_line_that_is_filmed_is_no_scratch(unit_frames, texture):
    """A plank's edge under a slowly moving camera keeps its look; a scratch has none of its own."""
    wide = texture(160, 280, 4)
    plank = wide.clone()
    plank[:, 120:123] += 0.25 + 0.1 * texture(160, 3, 7)
    generator = torch.Generator().manual_seed(6)
    filmed, scratched = [], []
    for t in range(12):
        left = t // 4
        filmed.append(plank[:, left : left + 240].clamp(0, 1))
        worn = wide[:, left : left + 240].clone()
        gaps = torch.rand(1, 1, 8, 1, generator=generator)
        worn[:, 120:123] += 0.4 * F.interpolate(gaps, size=(160, 1), mode="bicubic")[0, 0]
        scratched.append(worn.clamp(0, 1))
    assert read(unit_frames(filmed)).values["scratches"] == 0
    assert read(unit_frames(scratched)).values["scratches"] > 2e-3


def test_texture_finer_than_eight_bits_says_nothing_of_a_codec(unit_frames, texture):
    soft = F.avg_pool2d(texture(160, 240, 5)[None, None], 9, 1, 4, count_include_pad=False)[0, 0]
    eight = unit_frames([(soft * 255).round() / 255 for _ in range(4)])
    ten = [replace(frame, format=replace(frame.format, depth=10)) for frame in eight]
    assert read(eight).values["starved"] > 0.5
    assert read(ten).values["starved"] == 0


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (64, 48)])
@pytest.mark.parametrize("model", list(ColorModel))
def test_any_size_and_layout_can_be_read(unit_frames, size, model):
    height, width = size
    generator = torch.Generator().manual_seed(3)
    frames = []
    for frame in unit_frames([torch.zeros(size) for _ in range(4)]):
        layout = SampleFormat(
            model=model,
            depth=8,
            log2_chroma_w=int(model is ColorModel.YCBCR),
            log2_chroma_h=int(model is ColorModel.YCBCR),
        )
        planes = tuple(
            torch.rand(layout.plane_size(number, width, height), generator=generator)
            for number in range(layout.plane_count)
        )
        frames.append(replace(frame, format=layout, planes=planes))
    values = read(frames).values
    assert all(value == value for value in values.values())


def test_a_field_is_a_picture_of_half_the_height(unit_frames):
    luma = torch.arange(8.0)[:, None].expand(8, 16)
    (frame,) = unit_frames([luma])
    picture = field_picture(frame)
    assert picture.planes[0][:, 0].tolist() == [0, 2, 4, 6]
    assert [plane.shape[0] for plane in picture.planes] == [4, 2, 2]


def test_runs_end_at_cuts_and_after_forty_eight_frames(unit_frames, code_frames, texture):
    luma = texture(32, 48, 5)
    first = unit_frames([luma] * (LONGEST + 10))
    second = unit_frames([luma] * 5, first=len(first))
    runs = list(read_runs(code_frames([*first, *second])))
    assert [(run.first, run.frames) for run in runs] == [(0, 48), (48, 10), (58, 5)]


def test_a_reader_refuses_code_values_and_too_many_frames(unit_frames, code_frames):
    frames = unit_frames([torch.zeros(16, 16)])
    reader = RunReader()
    with pytest.raises(ValueError, match="UNIT"):
        reader.push(code_frames(frames)[0])
    with pytest.raises(ValueError, match="nothing"):
        reader.reading()
