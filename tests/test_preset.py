"""Presets: files, keys, overrides, origins."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrestore import preset
from vrestore.errors import PresetError
from vrestore.preset import Preset, Setting
from vrestore.sections import SECTIONS

PIPELINES = Path(__file__).resolve().parents[1] / "pipelines"


def write(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


# ------------------------------------------------------------------------------- shipped files


@pytest.fixture(params=sorted(path.stem for path in PIPELINES.glob("*.toml")))
def shipped(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_shipped_preset_loads_and_says_what_it_is_for(shipped):
    loaded = preset.load(shipped)
    assert loaded.name == shipped
    assert 20 <= len(loaded.description) <= 100


def test_every_shipped_preset_is_short(shipped):
    assert len((PIPELINES / f"{shipped}.toml").read_text().splitlines()) <= 30


def test_names_lists_the_folder():
    assert set(preset.names()) == {path.stem for path in PIPELINES.glob("*.toml")}
    assert preset.DEFAULT in preset.names()


def test_the_readme_has_one_row_for_each_preset():
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", (PIPELINES / "README.md").read_text(), re.M)
    assert sorted(rows) == sorted(preset.names())


def test_every_section_of_the_format_is_a_field_of_preset():
    assert [f.name for f in fields(Preset) if f.name in SECTIONS] == list(SECTIONS)


def test_plain_and_the_dataclasses_agree_so_that_plain_adds_nothing():
    plain, empty = preset.load("plain"), Preset(name="plain")
    assert [s.value for s in plain.settings()] == [s.value for s in empty.settings()]


def test_auto_is_plain_until_a_diagnosis_has_chosen():
    auto, plain = preset.load("auto"), preset.load("plain")
    assert [s.value for s in auto.settings()] == [s.value for s in plain.settings()]


def test_a_reference_model_implies_plain_unless_a_preset_is_named():
    assert preset.choose(None, "identity") == preset.choose(None, "resize") == "plain"
    assert preset.choose("draft", "identity") == "draft"
    assert preset.choose(None, "auto") == preset.choose(None, None) == "auto"


# --------------------------------------------------------------------------------------- files


def test_a_file_keeps_the_defaults_of_what_it_leaves_out(tmp_path):
    mine = preset.load(write(tmp_path, "schema = 1\n[size]\nscale = 3\n"))
    assert mine.size.scale == 3
    assert mine.encode == Preset(name="x").encode


def test_a_file_extends_a_shipped_preset_and_its_own_keys_win(tmp_path):
    text = 'schema = 1\nextends = "draft"\n[encode]\nquality = 3.0\n'
    mine = preset.load(write(tmp_path, text))
    assert mine.encode.quality == 3.0
    assert mine.encode.encoder == preset.load("draft").encode.encoder
    origins = {s.key: s.origin for s in mine.settings()}
    assert origins["encode.quality"] == "preset mine.toml"
    assert origins["encode.encoder"] == "preset draft.toml"
    assert origins["size.pad"] == "default"


def test_a_file_extends_the_one_beside_it(tmp_path):
    write(tmp_path, "schema = 1\n[size]\nscale = 4\n", "base.toml")
    assert preset.load(write(tmp_path, 'schema = 1\nextends = "base"\n')).size.scale == 4


def test_extending_an_extended_preset_is_refused(tmp_path):
    with pytest.raises(PresetError, match="only one level"):
        preset.load(write(tmp_path, 'schema = 1\nextends = "auto"\n'))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[size]\nscale = 2\n", ["mine.toml", "schema must be 1", "nothing"]),
        ("schema = 2\n", ["mine.toml", "schema must be 1", "2"]),
        ("schema = 1\n[size]\nscal = 2\n", ["mine.toml", "'size.scal'", "'size.scale'"]),
        ("schema = 1\n[sise]\nscale = 2\n", ["mine.toml", "'sise'", "'size'"]),
        ("schema = 1\ndescripton = ''\n", ["'descripton'", "'description'"]),
        ("schema = 1\n[size]\nzzzzzzzz = 2\n", ["'size.zzzzzzzz'", "scale", "fit"]),
        ("schema = 1\n[size]\nscale = 2.5\n", ["mine.toml", "size.scale", "a whole number", "2.5"]),
        ("schema = 1\n[size]\nscale = true\n", ["size.scale", "a whole number", "True"]),
        ("schema = 1\n[size]\nscale = 9\n", ["mine.toml", "[size]", "scale", "9"]),
        ("schema = 1\n[size]\nscale = '2'\n", ["size.scale", "a whole number"]),
        ("schema = 1\n[restore]\nprecision = 'fp8'\n", ["restore.precision", "fp16", "'fp8'"]),
        ("schema = 1\nsize = 4\n", ["mine.toml", "[size]"]),
        ("schema = 1\nextends = 4\n", ["mine.toml", "extends must be text"]),
        ("schema = 1\nextends = 'drat'\n", ["'drat'", "'draft'"]),
        ("schema = \n", ["mine.toml", "not TOML", "line 1"]),
    ],
)
def test_a_wrong_file_is_refused_with_file_key_and_remedy(tmp_path, text, words):
    with pytest.raises(PresetError) as caught:
        preset.load(write(tmp_path, text))
    assert [word for word in words if word not in str(caught.value)] == []


def test_an_unknown_preset_names_the_nearest_one():
    with pytest.raises(PresetError, match="did you mean 'hd-to-4k'"):
        preset.load("hd-to-4")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(PresetError, match=r"gone\.toml cannot be read"):
        preset.load(tmp_path / "gone.toml")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "raw.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PresetError, match=r"raw\.toml is not TOML"):
        preset.load(tmp_path / "raw.toml")


# ----------------------------------------------------------------------------------- overrides


def test_an_override_wins_over_the_preset_and_is_remembered_as_such():
    changed = preset.load("hd-to-4k").override("restore.strength", "0.75", "flag --strength")
    assert changed.restore.strength == 0.75
    assert Setting(key="restore.strength", value=0.75, origin="flag --strength") in (
        changed.settings()
    )


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("restore.tile", "128", 128),
        ("restore.tile", "auto", "auto"),
        ("restore.model", "resize", "resize"),
        ("restore.strength", "1", 1.0),
        ("restore.strength", "none", None),
        ("cuts.detect", "false", False),
        ("input.fps", "25", "25"),
        ("input.fps", "24000/1001", "24000/1001"),
        ("streams.map", "0:a:1, 0:s:0", ("0:a:1", "0:s:0")),
        ("streams.map", '["0:a:1"]', ("0:a:1",)),
        ("encode.pixel_format", "yuv420p10le", "yuv420p10le"),
    ],
)
def test_text_is_read_as_the_type_of_its_key(key, text, value):
    section, name = key.split(".")
    assert getattr(getattr(Preset(name="x").override(key, text, "flag"), section), name) == value


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("restore.tile", "wide"),
        ("cuts.detect", "maybe"),
        ("run.threads", "1.5"),
        ("size.scale", ""),
    ],
)
def test_text_that_does_not_fit_is_refused_with_its_origin(key, text):
    with pytest.raises(PresetError, match=f"flag --set: {key} must be"):
        Preset(name="x").override(key, text, "flag --set")


def test_an_entry_of_a_table_is_added_to_it():
    preset_ = Preset(name="x").override("encode.options", {"tune": "film"}, "preset x")
    changed = preset_.override("encode.options.bframes", "4", "flag -e")
    assert dict(changed.encode.options) == {"tune": "film", "bframes": "4"}


def test_an_entry_may_have_dots_and_dashes_in_its_name():
    changed = Preset(name="x").override("encode.options.x265-params.rd", "4", "flag -e")
    assert dict(changed.encode.options) == {"x265-params.rd": "4"}


def test_scale_and_fit_take_each_other_back():
    by_scale = preset.load("hd-to-4k").override("size.scale", 2, "flag --scale")
    assert (by_scale.size.scale, by_scale.size.fit) == (2, None)
    padded = preset.load("hd-to-4k").override("size.pad", True, "test")
    assert padded.override("size.scale", 2, "flag --scale").size.pad is False
    by_fit = by_scale.override("size.fit", "8k", "flag --size")
    assert (by_fit.size.scale, by_fit.size.fit) == (None, "8k")


def test_an_override_leaves_the_preset_it_came_from_alone():
    original = preset.load("plain")
    original.override("size.scale", 2, "flag --scale")
    assert original == preset.load("plain")


# ------------------------------------------------------------------------------------- writing


def reread(text: str, folder: Path) -> Preset:
    return preset.load(write(folder, text, "again.toml"))


def test_every_shipped_preset_reads_back_as_it_was_written(shipped, tmp_path):
    original = preset.load(shipped)
    again = reread(original.to_toml(), tmp_path)
    assert again.description == original.description
    assert [s.value for s in again.settings()] == [s.value for s in original.settings()]


def test_origins_are_comments_and_change_nothing(tmp_path):
    original = preset.load("draft").override("size.scale", "2", "flag --scale")
    text = original.to_toml(origins=True)
    assert "scale = 2  # flag --scale" in text
    assert tomllib.loads(text) == tomllib.loads(original.to_toml())


@given(
    model=st.text(min_size=1),
    strength=st.none() | st.floats(0, 1),
    options=st.dictionaries(st.text(min_size=1), st.text(), max_size=3),
    streams=st.lists(st.sampled_from(["0:a:1", "s", "3"]), max_size=3),
)
def test_any_settings_read_back_as_they_were_written(
    tmp_path_factory, model, strength, options, streams
):
    settings = {
        "restore.model": model,
        "restore.strength": strength,
        "encode.options": options,
        "streams.map": streams,
    }
    original = Preset(name="x").override_all(
        Setting(key=key, value=value, origin="test") for key, value in settings.items()
    )
    folder = tmp_path_factory.mktemp("presets")
    path = write(folder, f"{original.to_toml()}", "again.toml")
    again = preset.load(path)
    assert [s.value for s in again.settings()] == [s.value for s in original.settings()]
