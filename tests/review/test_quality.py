"""The measuring of quality: published numbers, laws of its parts, and the page it writes."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vrestore.cli import main
from vrestore.errors import InputError
from vrestore.models import registry
from vrestore.ops.resample import Kernel
from vrestore.review.metrics import cropped, psnr
from vrestore.review.quality.cases import DAMAGES, Case, clean, damaged, rgb_of, ycbcr_of
from vrestore.review.quality.field import Participants, participants
from vrestore.review.quality.filters import (
    FILTERS,
    classical,
    external_ffmpeg,
    vmaf,
    vmaf_ffmpeg,
)
from vrestore.review.quality.folder import Media, middle
from vrestore.review.quality.harsh import CONDITIONS, worsened
from vrestore.review.quality.methods import Made, interpolation, median_of_three
from vrestore.review.quality.motion import flow_error, match
from vrestore.review.quality.networks import aligned_median, network
from vrestore.review.quality.page import PARTS, measure
from vrestore.review.quality.published import stills
from vrestore.review.quality.steadiness import static_noise
from vrestore.review.quality.tables import (
    Goal,
    Table,
    difference,
    wanted_and_reached,
)
from vrestore.review.quality.worn import score
from vrestore.review.written import WrittenPart

BICUBIC = interpolation("bicubic", Kernel.BICUBIC)
LITE = registry.find("lite")


def field() -> Participants:
    """Lite alone with the simple methods, which are quick."""
    return replace(participants([LITE]), published=(), program=None, judge=None)


def truth_of(case: Case) -> Made:
    return Made(case.truth, case.truth_chroma)


def moving(count: int = 5, height: int = 64, width: int = 80, step: int = 2) -> torch.Tensor:
    """A smooth texture that moves to the left, (T, H, W, 3) uint8."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(1, 3, height // 8, (width + count * step) // 8 + 1, generator=generator)
    wide = F.interpolate(coarse, scale_factor=8, mode="bicubic")[0].clamp(0, 1)
    crops = [wide[:, :, t * step : t * step + width] for t in range(count)]
    return (torch.stack(crops) * 255).byte().permute(0, 2, 3, 1).contiguous()


# -------------------------------------------------------------------------------------- cases


@pytest.mark.parametrize(("scale", "published"), [(2, 33.66), (4, 28.42)])
def test_bicubic_on_set5_is_what_papers_have(shared: Path, scale: int, published: float):
    cases = [
        clean(source.name, source.frames, scale)
        for source in Media(shared / "data" / "benchmark").stills("Set5")
    ]
    values = [
        psnr(cropped(BICUBIC(case).luma, scale), cropped(case.truth, scale)) for case in cases
    ]
    assert statistics.fmean(values) == pytest.approx(published, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("clip", "published"), [("calendar", 20.50), ("walk", 26.06)])
def test_bicubic_on_vid4_is_what_papers_have(shared: Path, clip: str, published: float):
    (source,) = (
        s for s in Media(shared / "data" / "benchmark").clips("Vid4") if s.name == clip
    )  # fmt: skip
    case = clean(clip, source.frames[:31], 4)
    pairs = zip(cropped(BICUBIC(case).luma, 4), cropped(case.truth, 4), strict=True)
    assert statistics.fmean(psnr(a, b) for a, b in pairs) == pytest.approx(published, abs=0.02)


def test_a_clean_case_at_x1_is_its_own_truth():
    case = clean("still", moving(1), 1)
    assert torch.equal(BICUBIC(case).luma, case.truth)
    assert torch.equal(BICUBIC(case).chroma, case.truth_chroma)


@pytest.mark.parametrize("subsampled", [False, True])
def test_colour_comes_back_from_rgb(subsampled: bool):
    frames = moving(2).permute(0, 3, 1, 2).float() / 255
    luma, chroma = ycbcr_of(frames, subsampled=subsampled)
    again = ycbcr_of(rgb_of(luma, chroma), subsampled=subsampled)
    assert (again[0] - luma).abs().max() < 1.0
    # 4:2:0 costs chroma some of its detail on the way there and back.
    assert (again[1] - chroma).abs().mean() < (1.0 if subsampled else 0.5)


def test_magnified_chroma_stays_where_it_is_sited():
    ramp = torch.arange(80).float().view(1, 1, 1, 80) / 80
    frames = torch.cat((ramp, 0.5 * torch.ones_like(ramp), 1 - ramp), 1).expand(1, 3, 64, 80)
    frames = (255 * frames).byte().permute(0, 2, 3, 1)
    plain = replace(DAMAGES[3], codec=0.0)
    case = damaged("ramp", frames, 2, plain)
    away = cropped(BICUBIC(case).chroma - case.truth_chroma, 6)
    assert away.abs().max() <= 1.0


@pytest.mark.parametrize("wear", DAMAGES, ids=lambda wear: wear.name)
@pytest.mark.parametrize("scale", [1, 2])
def test_damage_is_the_same_every_time_and_really_damages(wear, scale):
    frames = moving()
    first, again = (damaged("clip", frames, scale, wear) for _ in range(2))
    if wear.codec:
        # Of the same frames x264 makes now and then other bits, even with one thread.
        assert psnr(first.luma, again.luma) > 35
    else:
        assert torch.equal(first.luma, again.luma)
        assert torch.equal(first.chroma, again.chroma)
    assert first.truth.shape[-1] == first.luma.shape[-1] * scale
    assert not torch.equal(first.luma, damaged("other", frames, scale, wear).luma)
    undamaged = clean("clip", frames, scale)
    before, after = BICUBIC(undamaged).luma, BICUBIC(first).luma
    assert psnr(after, first.truth) < psnr(before, undamaged.truth)


def test_defects_lie_under_the_mask():
    heavy = next(wear for wear in DAMAGES if wear.name == "film-heavy")
    case = damaged("clip", moving(5, 128, 160), 1, heavy)
    assert case.mask is not None
    error = (case.luma - case.truth).abs()
    assert error[case.mask].mean() > 2 * error[~case.mask].mean()


# ------------------------------------------------------------------------------------ methods


def test_the_median_removes_what_lives_for_one_frame():
    still = moving(1).expand(5, -1, -1, -1)
    case = clean("still", still, 1)
    case.luma[2, 20:24, 20:24] = 235.0
    assert torch.equal(median_of_three()(case).luma, case.truth)


def test_the_aligned_median_removes_what_the_unaligned_one_smears():
    case = clean("clip", moving(5, 96, 128, step=3), 1)
    case.luma[2, 40:44, 60:64] = 235.0
    aligned, plain = aligned_median(LITE)(case).luma, median_of_three()(case).luma
    spot = (2, slice(40, 44), slice(60, 64))
    before, after = ((clip[spot] - case.truth[spot]).abs().mean() for clip in (case.luma, aligned))
    assert after < 0.2 * before
    assert psnr(cropped(aligned, 16), cropped(case.truth, 16)) > psnr(
        cropped(plain, 16), cropped(case.truth, 16)
    )


@pytest.mark.parametrize("name", FILTERS)
def test_filters_remove_noise_and_magnify_in_place(name: str):
    program = external_ffmpeg()
    if program is None:
        pytest.skip("no command-line ffmpeg")
    chain = classical(name, program)
    case = clean("clip", moving(6, step=0), 1)
    case.luma.add_(6 * torch.randn(case.luma.shape, generator=torch.Generator().manual_seed(1)))
    assert psnr(chain(case).luma, case.truth) > psnr(BICUBIC(case).luma, case.truth)
    large = clean("clip", moving(6), 2)
    assert psnr(chain(large).luma, large.truth) > 35
    assert psnr(chain(large).chroma, large.truth_chroma) > 35


def test_vmaf_falls_with_damage():
    program = vmaf_ffmpeg()
    if program is None:
        pytest.skip("no command-line ffmpeg with libvmaf")
    case = damaged("clip", moving(4, 96, 128), 1, DAMAGES[1])
    perfect, bad = vmaf(truth_of(case), case, program), vmaf(BICUBIC(case), case, program)
    assert perfect > 90 > bad > 0


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_a_model_one_frame_at_a_time_does_not_see_its_neighbours(scale: int):
    frames = moving(3, 48, 48)
    alone = network(LITE, one_by_one=True)
    whole = alone(clean("clip", frames, scale, strength=0.5)).luma
    last = alone(clean("clip", frames[2:], scale, strength=0.5)).luma
    assert torch.equal(whole[2], last[0])
    together = network(LITE)(clean("clip", frames, scale, strength=0.5)).luma
    assert not torch.equal(together[2], last[0])


# ----------------------------------------------------------------------------------- measuring


@pytest.mark.parametrize("step", [0, 2, 5])
def test_motion_is_found(step: int):
    case = clean("clip", moving(4, 96, 128, step), 1)
    motion = match(case.truth)
    middle_flow = cropped(motion.flow, 16)
    assert middle_flow[:, 0].median() == pytest.approx(-step, abs=0.1)
    assert middle_flow[:, 1].abs().median() < 0.1
    assert cropped(motion.shown, 16).float().mean() > 0.95


def test_the_truth_scores_best():
    wear = DAMAGES[1]
    case = damaged("clip", moving(5, 128, 160), 1, wear)
    motion = match(case.truth)
    plain = BICUBIC(case)
    perfect = score(truth_of(case), plain, case, motion, None)
    bad = score(plain, plain, case, motion, None)
    assert (perfect.overall, perfect.chroma) == (math.inf, math.inf)
    assert (perfect.flicker, perfect.recall, perfect.tof, perfect.tgmsd) == (0.0, 1.0, 0.0, 0.0)
    assert bad.overall < 40
    assert bad.inside < bad.outside
    for what in ("warping", "tof", "tgmsd", "gmsd", "flicker"):
        assert getattr(perfect, what) < getattr(bad, what), what


def test_the_distance_of_motion_is_in_samples():
    slow, fast = (clean("clip", moving(5, 96, 128, step), 1).truth for step in (2, 4))
    motion = match(slow)
    assert flow_error(slow, motion) == 0.0
    assert flow_error(fast, motion) == pytest.approx(2.0, abs=0.5)


def pictures(folder: Path, count: int, height: int = 48) -> Path:
    folder.mkdir()
    for number in range(count):
        picture = moving(1, height + 16 * number, 64)[0].numpy()
        Image.fromarray(picture).save(folder / f"{number}_GT.png")
    return folder


def test_set5_is_read_from_the_folder_and_the_model_held_against_bicubic(tmp_path: Path):
    pictures(tmp_path / "Set5", 3)
    found = stills(Media(tmp_path), field(), "Set5", (2, 3, 4))
    (table,) = found.tables
    assert [row[0] for row in table.rows] == ["x2"] * 3 + ["x3"] * 3 + ["x4"] * 3
    assert "±" in table.rows[2][5]
    assert [(goal.what, goal.wanted) for goal in found.goals] == [
        ("Set5 x2", 36.3),
        ("Set5 x4", 30.3),
    ]
    assert len(found.scores["Set5 x2"]["lite"]) == 3


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.name)
def test_harsh_stills_differ_from_clean_ones_by_their_condition_alone(
    tmp_path: Path, condition
):  # fmt: skip
    pictures(tmp_path / "Set5", 1)
    (source,) = Media(tmp_path).stills("Set5")
    case, plain = worsened(source, 2, condition), clean(source.name, source.frames, 2)
    assert torch.equal(case.truth, plain.truth)
    assert torch.equal(worsened(source, 2, condition).luma, case.luma)
    likeness = psnr(case.luma, plain.luma)
    if condition.name == "clean":
        assert likeness > 60
    elif condition.name == "noise 15":
        # White noise of 15 in each of R'G'B' is 15 * 219/255 * |(.299, .587, .114)| in luma.
        assert likeness == pytest.approx(20 * math.log10(255 / (15 * 0.859 * 0.668)), abs=0.6)
    else:
        assert 25 < likeness < 45


def test_time_reduces_the_noise_of_a_static_shot(tmp_path: Path):
    pictures(tmp_path / "Kodak", 1, height=64)
    found = static_noise(Media(tmp_path), field())
    drop = {row[0]: float(row[1]) for row in found.tables[0].rows}
    assert drop["lite"] > drop["lite, one frame at a time"] > 0
    assert drop["untreated"] == pytest.approx(0, abs=0.05)
    assert [goal.reached for goal in found.goals] == [pytest.approx(drop["lite"], abs=0.01)]


def test_a_folder_without_media_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="none of Set5"):
        Media(tmp_path)


def test_the_middle_is_cut_and_small_clips_are_kept_whole():
    frames = moving(3, 40, 48)
    assert torch.equal(middle(frames, 40, 80, 9), frames)
    assert torch.equal(middle(frames, 20, 24, 2), frames[:2, 10:30, 12:36])


# -------------------------------------------------------------------------------------- tables


@given(
    st.lists(st.floats(-50, 50), min_size=3, max_size=12),
    st.floats(-10, 10),
)
def test_a_constant_gain_has_no_spread(values: list[float], gain: float):
    shown = difference([v + gain for v in values], values)
    mean, half = shown.split(" ± ")
    assert float(mean) == pytest.approx(gain, abs=0.006)
    assert float(half) == 0


def test_an_interval_is_students():
    # Mean 2, standard deviation 1, three pairs: 4.30 / sqrt(3).
    assert difference([1, 2, 3], [0, 0, 0]) == "+2.00 ± 2.48"
    assert difference([1, 2], [0, 0]) == "+1.50"
    assert difference([math.nan], [1.0]) == ""


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for sample in rng.normal(1.0, 1.0, (2000, 5)):
        mean, half = map(float, difference(sample.tolist(), [0.0] * 5).split(" ± "))
        hits += abs(mean - 1.0) <= half
    assert hits / 2000 == pytest.approx(0.95, abs=0.02)


def test_a_goal_says_whether_it_is_met():
    assert Goal(what="a", model="m", wanted=1.0, reached=1.5).met
    assert not Goal(what="a", model="m", wanted=1.0, reached=0.5).met
    assert Goal(what="a", model="m", wanted=1.0, reached=0.5, at_most=True).met
    assert not Goal(what="a", model="m", wanted=1.0, reached=math.nan).met


def test_what_was_wanted_stands_in_one_row_with_a_column_for_each_model():
    table = wanted_and_reached([
        Goal(what="a", model="small", wanted=1.0, reached=0.5),
        Goal(what="b", model="small", wanted=3.0, reached=4.0, unit="%", at_most=True),
        Goal(what="a", model="big", wanted=1.0, reached=1.25, later=2.0),
        Goal(what="a", model="small", wanted=1.0, reached=0.75, later=2.0),
    ])  # fmt: skip
    assert table.columns == ("what", "wanted", "once a GPU has trained", "small", "big")
    assert table.rows == (
        ("a", "at least 1 dB", "", "0.50, **no**", ""),
        ("b", "at most 3 %", "", "4.00, **no**", ""),
        ("a", "at least 1 dB", "2 dB", "0.75, **no**", "1.25"),
    )
    assert "0 of 3 by `small`, 1 of 1 by `big`" in table.notes[0]


def test_a_ragged_table_is_refused():
    with pytest.raises(ValueError, match="2 cells"):
        Table(title="t", columns=("a", "b"), rows=(("1",),))


def test_a_page_is_replaced_between_its_marks_only(tmp_path: Path):
    page = tmp_path / "quality.md"
    WrittenPart(page, "test").write(["first"])
    page.write_text("# Mine\n\n" + page.read_text() + "\nMine too\n")
    WrittenPart(page, "test").write(["second"])
    text = page.read_text()
    assert text.startswith("# Mine\n") and text.endswith("\nMine too\n")
    assert "second" in text and "first" not in text


def test_only_the_parts_that_are_named_are_measured(tmp_path: Path):
    pictures(tmp_path / "Set5", 1)
    named: list[str] = []
    page = measure(tmp_path, [LITE], only=["set5"], command="test", observer=named.append)
    assert len(named) == 1 and named[0].endswith("set5")
    assert "## Clean stills: Set5" in page and "## Do no harm" not in page
    arguments = ["bench", "quality", "--data", str(tmp_path), "--only"]
    assert main([*arguments, "nothing"]) == 2
    assert set(PARTS) >= {"set5", "vid4", "damaged", "drift"}


@pytest.mark.parametrize("rival", ["twin", "=x.pt", "twin="])
def test_a_rival_needs_name_and_checkpoint(tmp_path: Path, rival: str):
    pictures(tmp_path / "Set5", 1)
    assert main(["bench", "quality", "--data", str(tmp_path), "--rival", rival]) == 2


def test_only_models_with_weights_are_measured(tmp_path: Path):
    (tmp_path / "Set5").mkdir()
    assert main(["bench", "quality", "--data", str(tmp_path), "-n", "resize"]) == 2
    assert main(["bench", "quality", "--data", str(tmp_path), "-n", "nothing"]) == 4


def test_a_page_of_somebody_else_is_refused_before_anything_is_measured(tmp_path: Path, capsys):
    pictures(tmp_path / "Set5", 1)
    page = tmp_path / "notes.md"
    page.write_text("mine\n")
    arguments = ["bench", "quality", "--data", str(tmp_path), "--only", "set5", "-o"]
    assert main([*arguments, str(page)]) == 1
    said = capsys.readouterr().err
    assert "was not written by `vrestore bench quality`" in said and "set5" not in said
    assert page.read_text() == "mine\n"
    assert main([*arguments, str(tmp_path / "no" / "page.md")]) == 1


def test_an_empty_file_is_a_page(tmp_path: Path):
    page = tmp_path / "quality.md"
    page.touch()
    WrittenPart(page, "test").write(["tables"])
    assert "tables" in page.read_text()
