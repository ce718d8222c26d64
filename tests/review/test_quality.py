"""The measuring of quality: published numbers, laws of its parts, and the page it writes."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vrestore.cli import main
from vrestore.errors import InputError, OutputError
from vrestore.models import registry
from vrestore.ops.resample import Kernel
from vrestore.review.metrics import cropped, psnr
from vrestore.review.quality.cases import DAMAGES, clean, damaged
from vrestore.review.quality.folder import Media, middle
from vrestore.review.quality.methods import (
    FILTERS,
    classical,
    external_ffmpeg,
    interpolation,
    median_of_three,
    network,
)
from vrestore.review.quality.motion import match
from vrestore.review.quality.published import set5
from vrestore.review.quality.steadiness import static_noise
from vrestore.review.quality.tables import Goal, Table, difference, write_page
from vrestore.review.quality.worn import score

BICUBIC = interpolation("bicubic", Kernel.BICUBIC)
LITE = registry.find("lite")


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
    values = [psnr(cropped(BICUBIC(case), scale), cropped(case.truth, scale)) for case in cases]
    assert statistics.fmean(values) == pytest.approx(published, abs=0.02)


@pytest.mark.parametrize(("clip", "published"), [("calendar", 20.50), ("walk", 26.06)])
def test_bicubic_on_vid4_is_what_papers_have(shared: Path, clip: str, published: float):
    (source,) = (
        s for s in Media(shared / "data" / "benchmark").clips("Vid4") if s.name == clip
    )  # fmt: skip
    case = clean(clip, source.frames[:31], 4)
    pairs = zip(cropped(BICUBIC(case), 4), cropped(case.truth, 4), strict=True)
    assert statistics.fmean(psnr(a, b) for a, b in pairs) == pytest.approx(published, abs=0.02)


def test_a_clean_case_at_x1_is_its_own_truth():
    case = clean("still", moving(1), 1)
    assert torch.equal(BICUBIC(case), case.truth)


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
    assert psnr(BICUBIC(first), first.truth) < psnr(BICUBIC(undamaged), undamaged.truth)


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
    assert torch.equal(median_of_three()(case), case.truth)


@pytest.mark.parametrize("name", FILTERS)
def test_filters_remove_noise_and_magnify_in_place(name: str):
    program = external_ffmpeg()
    if program is None:
        pytest.skip("no command-line ffmpeg")
    chain = classical(name, program)
    case = clean("clip", moving(6, step=0), 1)
    case.luma.add_(6 * torch.randn(case.luma.shape, generator=torch.Generator().manual_seed(1)))
    assert psnr(chain(case), case.truth) > psnr(BICUBIC(case), case.truth)
    large = clean("clip", moving(6), 2)
    assert psnr(chain(large), large.truth) > 35


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_a_model_one_frame_at_a_time_does_not_see_its_neighbours(scale: int):
    frames = moving(3, 48, 48)
    alone = network(LITE, one_by_one=True)
    whole = alone(clean("clip", frames, scale, strength=0.5))
    last = alone(clean("clip", frames[2:], scale, strength=0.5))
    assert torch.equal(whole[2], last[0])
    assert not torch.equal(network(LITE)(clean("clip", frames, scale, strength=0.5))[2], last[0])


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
    perfect, bad = score(case.truth, plain, case, motion), score(plain, plain, case, motion)
    assert (perfect.overall, perfect.flicker, perfect.recall) == (math.inf, 0.0, 1.0)
    assert bad.overall < 40
    assert bad.inside < bad.outside
    assert perfect.warping < bad.warping


def test_set5_reads_the_folder_and_holds_the_model_against_bicubic(tmp_path: Path):
    (tmp_path / "Set5").mkdir()
    for number in range(3):
        picture = moving(1, 48 + 16 * number, 64)[0].numpy()
        Image.fromarray(picture).save(tmp_path / "Set5" / f"{number}_GT.png")
    found = set5(Media(tmp_path), [network(LITE)])
    (table,) = found.tables
    assert [row[0] for row in table.rows] == ["x2"] * 3 + ["x3"] * 3 + ["x4"] * 3
    assert "±" in table.rows[2][4]
    assert [goal.what for goal in found.goals] == ["Set5 x2, lite", "Set5 x4, lite"]


def test_time_reduces_the_noise_of_a_static_shot(tmp_path: Path):
    (tmp_path / "Kodak").mkdir()
    Image.fromarray(moving(1, 64, 64)[0].numpy()).save(tmp_path / "Kodak" / "a.png")
    found = static_noise(Media(tmp_path), [network(LITE)], [network(LITE, one_by_one=True)])
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
    assert Goal(what="a", wanted=1.0, reached=1.5).met
    assert not Goal(what="a", wanted=1.0, reached=0.5).met
    assert Goal(what="a", wanted=1.0, reached=0.5, at_most=True).met
    assert not Goal(what="a", wanted=1.0, reached=math.nan).met


def test_a_ragged_table_is_refused():
    with pytest.raises(ValueError, match="2 cells"):
        Table(title="t", columns=("a", "b"), rows=(("1",),))


def test_a_page_is_replaced_between_its_marks_only(tmp_path: Path):
    page = tmp_path / "quality.md"
    write_page(page, "first")
    page.write_text("# Mine\n\n" + page.read_text() + "\nMine too\n")
    write_page(page, "second")
    text = page.read_text()
    assert text.startswith("# Mine\n") and text.endswith("\nMine too\n")
    assert "second" in text and "first" not in text


def test_only_models_with_weights_are_measured(tmp_path: Path):
    (tmp_path / "Set5").mkdir()
    assert main(["bench", "quality", "--data", str(tmp_path), "-n", "resize"]) == 2
    assert main(["bench", "quality", "--data", str(tmp_path), "-n", "nothing"]) == 4


def test_a_page_of_somebody_else_is_not_replaced(tmp_path: Path):
    page = tmp_path / "notes.md"
    page.write_text("mine\n")
    with pytest.raises(OutputError, match="not written by"):
        write_page(page, "tables")
    assert page.read_text() == "mine\n"
