"""Shot lists: what is written reads back, what is wrong is said in one sentence, tuning applies."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vrestore.errors import PresetError
from vrestore.media import (
    Coding,
    ColorModel,
    ColorSpec,
    Frame,
    SampleFormat,
    Timestamp,
)
from vrestore.shotlist import Shot, ShotList, Tune, parse_shots, read_shots, tunable

GRAY = SampleFormat(model=ColorModel.GRAY, depth=8)


def frame(index: int, *, shot_start: bool = False) -> Frame:
    return Frame(
        planes=(torch.zeros(16, 16, dtype=torch.uint8),),
        format=GRAY,
        coding=Coding.CODE,
        color=ColorSpec(),
        timestamp=Timestamp(pts=index, time_base=Fraction(1, 25)),
        duration=1,
        index=index,
        shot_start=shot_start,
    )


def tuned(text: str, count: int, first: int = 0) -> list[Frame]:
    op = Tune(parse_shots(text))
    return [out for index in range(first, first + count) for out in op.push(frame(index))]


@given(
    starts=st.lists(st.integers(0, 10**6), unique=True, max_size=5).map(sorted),
    strength=st.floats(0, 1),
    frames=st.none() | st.integers(0, 10**6),
)
def test_a_written_list_reads_back(starts, strength, frames):
    shots = ShotList(
        shots=tuple(
            Shot(
                start=start,
                seconds=Fraction(start, 25),
                frames=frames,
                tuning={"restore.strength": strength, "grain.y.strength.3": 2.5},
            )
            for start in starts
        )
    )
    again = parse_shots(shots.to_toml())
    assert [(s.start, s.frames, dict(s.tuning)) for s in again.shots] == [
        (s.start, s.frames, dict(s.tuning)) for s in shots.shots
    ]
    assert all(
        abs(a.seconds - b.seconds) <= Fraction(1, 1000)
        for a, b in zip(again.shots, shots.shots, strict=True)
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("schema = 1\n[[shot", ["not TOML"]),
        ("[[shot]]\nstart = 0\n", ["schema must be 1"]),
        ("schema = 1\nshots = 3\n", ["'shots'", "[[shot]]"]),
        ("schema = 1\nshot = 3\n", ["[[shot]]"]),
        ("schema = 1\n[[shot]]\nframes = 3\n", ["shot 1", "start", "time"]),
        ("schema = 1\n[[shot]]\nstart = -1\n", ["shot 1", "start", "-1"]),
        ("schema = 1\n[[shot]]\nstart = 1.5\n", ["start", "whole number"]),
        ("schema = 1\n[[shot]]\nstart = true\n", ["start", "whole number"]),
        ("schema = 1\n[[shot]]\ntime = 'x'\n", ["time", "seconds"]),
        ("schema = 1\n[[shot]]\ntime = nan\n", ["time", "seconds"]),
        ("schema = 1\n[[shot]]\nstart = 4\n[[shot]]\nstart = 4\n", ["shot 2", "after"]),
        ("schema = 1\n[[shot]]\ntime = 4\n[[shot]]\ntime = 3.5\n", ["shot 2", "after"]),
        (
            "schema = 1\n[[shot]]\nstart = 0\nrestore.strenght = 1\n",
            ["shot 1", "'restore.strenght'", "'restore.strength'"],
        ),
        ("schema = 1\n[[shot]]\nstart = 0\nrestore.strength = 'a'\n", ["must be a number"]),
        ("schema = 1\n[[shot]]\nstart = 0\nrestore.strength = inf\n", ["must be a number"]),
        ("schema = 1\n[[shot]]\nstart = 0\nrestore.strength = 3\n", ["restore", "0..1", "3"]),
        ("schema = 1\n[[shot]]\nstart = 0\nsize.scale = 2\n", ["size.scale", "shot to shot"]),
        ("schema = 1\n[[shot]]\nstart = 0\nencode.options.x = 2\n", ["encode.options.x"]),
        ("schema = 1\n[[shot]]\nstart = 0\ngrain.y.strength.3 = -1\n", ["0 or more"]),
        ("schema = 1\n[[shot]]\nstart = 0\na.b.c.d.e.f.g.h.i = 1\n", ["number"]),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text, words):
    with pytest.raises(PresetError) as caught:
        parse_shots(text, "mine.toml")
    message = str(caught.value)
    assert message.startswith("mine.toml")
    assert all(word in message for word in words), message
    assert "\n" not in message.strip()


def test_lists_have_limits(tmp_path):
    head = "schema = 1\n"
    with pytest.raises(PresetError, match="100000 shots"):
        parse_shots(head + "shot = [" + "{start=0}," * 100_001 + "]")
    keys = "".join(f"'grain.y.power.{n}' = 1\n" for n in range(100))
    keys += "".join(f"'grain.cb.power.{n}' = 1\n" for n in range(100))
    keys += "".join(f"'grain.cr.power.{n}' = 1\n" for n in range(100))
    with pytest.raises(PresetError, match="256 keys"):
        parse_shots(f"{head}[[shot]]\nstart = 0\n{keys}")
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (16 * 2**20 + 1))
    with pytest.raises(PresetError, match="larger than 16 MiB"):
        read_shots(str(large))
    with pytest.raises(PresetError, match="cannot be read"):
        read_shots(str(tmp_path / "none.toml"))


def test_frames_get_the_tuning_of_their_shot():
    text = (
        "schema = 1\n[[shot]]\nstart = 0\nrestore.strength = 0.25\n"
        "[[shot]]\nstart = 3\nrestore.strength = 0.75\n[[shot]]\nstart = 5\n"
    )
    frames = tuned(text, 7)
    assert [f.shot_start for f in frames] == [True, False, False, True, False, True, False]
    assert [f.tuning.get("restore.strength") for f in frames] == [
        *[0.25] * 3,
        *[0.75] * 2,
        None,
        None,
    ]
    assert frames[3].tuning is frames[4].tuning


def test_a_part_of_a_source_begins_in_the_shot_that_the_list_has_there():
    text = (
        "schema = 1\n[[shot]]\nstart = 0\nrestore.strength = 0.25\n"
        "[[shot]]\nstart = 3\nrestore.strength = 0.75\n"
    )
    frames = tuned(text, 3, first=4)
    assert [f.shot_start for f in frames] == [True, False, False]
    assert all(f.tuning["restore.strength"] == 0.75 for f in frames)


def test_a_shot_without_a_number_begins_at_its_time():
    text = "schema = 1\n[[shot]]\ntime = 0.0\n[[shot]]\ntime = 0.1201\nrestore.strength = 1\n"
    assert [f.index for f in tuned(text, 8) if f.shot_start] == [0, 3]


def test_only_keys_that_take_fractions_change_from_shot_to_shot():
    assert tunable("restore.strength")
    assert not tunable("restore.model")
    assert not tunable("color.seed")
    assert not tunable("no.such")
