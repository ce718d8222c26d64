"""A shot's own values: constant inside it, the same from a file as from a pipe, causal."""

import pytest
import torch

from vrestore import preset
from vrestore.diagnose.tuning import NEEDS, TuneShots, ceilings, measure_shots, tuning_of
from vrestore.diagnose.values import Reading
from vrestore.preset import Preset
from vrestore.shotlist import parse_shots

LIMITS = {"restore.strength": 1.0, "deflicker.strength": 0.8}


@pytest.fixture
def source(unit_frames, code_frames, texture):
    """A steady shot of 52 frames, then a flickering, noisy one of 12."""
    generator = torch.Generator().manual_seed(1)
    still, other = texture(64, 96, 1), texture(64, 96, 2)
    steady = unit_frames([still] * 52)
    worn = unit_frames(
        [
            other * (1 + 0.04 * float(torch.randn((), generator=generator)))
            + 0.05 * torch.randn(other.shape, generator=generator)
            for _ in range(12)
        ],
        first=52,
    )
    return code_frames([*steady, *worn])


def tuned(frames, op):
    return [out for frame in frames for out in op.push(frame)] + list(op.flush())


def test_values_are_constant_inside_a_shot_and_jump_at_the_cut(source):
    out = tuned(source, TuneShots(LIMITS))
    assert [frame.index for frame in out] == list(range(64))
    assert all(frame.planes is old.planes for frame, old in zip(out, source, strict=True))
    assert len({id(frame.tuning) for frame in out}) == 2
    steady, worn = out[0].tuning, out[-1].tuning
    assert out[51].tuning is steady
    assert steady["deflicker.strength"] == 0
    assert worn["deflicker.strength"] == pytest.approx(0.8, abs=0.01)
    assert worn["restore.strength"] > 0.3 > steady["restore.strength"]


def test_what_comes_after_the_first_frames_changes_nothing(source):
    changed = [*source[:48], *reversed(source[48:52]), *source[52:]]
    first, second = (tuned(frames, TuneShots(LIMITS)) for frames in (source, changed))
    assert first[0].tuning == second[0].tuning


def test_the_list_of_a_file_holds_what_the_stream_applies(source):
    shots = measure_shots(source, LIMITS)
    out = tuned(source, TuneShots(LIMITS))
    assert [(shot.start, shot.frames) for shot in shots.shots] == [(0, 52), (52, 12)]
    again = parse_shots(shots.to_toml())
    for shot in again.shots:
        assert dict(shot.tuning) == dict(out[shot.start].tuning)


def test_the_preset_is_the_ceiling():
    chosen = Preset(name="x").override_all([])
    assert "deflicker.strength" not in ceilings(chosen)
    film = preset.load("film-16mm")
    limits = ceilings(film)
    assert limits["deflicker.strength"] == film.deflicker.strength
    assert limits["restore.strength"] == 1.0
    by_hand = film.override("deflicker.strength", 0.3, "flag --set")
    assert "deflicker.strength" not in ceilings(by_hand)


def test_every_need_is_a_share():
    names = (
        "flicker", "flicker_agree", "weave_x", "weave_y", "weave_error", "weave_rough", "dirt",
        "dirt_repeats", "scratches", "grain", "grain_trust", "grain_fine",
        "chroma_grain", "blocks", "starved", "fine_x", "fine_y",
    )  # fmt: skip
    for level in (0.0, 0.5, 1.0, 100.0):
        reading = Reading(first=0, seconds=0, frames=9, values=dict.fromkeys(names, level))
        values = tuning_of(reading, dict.fromkeys(NEEDS, 1.0))
        assert set(values) == set(NEEDS)
        assert all(0 <= value <= 1 for value in values.values())
