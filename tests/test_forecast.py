"""What a run will take, told before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from vrestore import preset as presets
from vrestore.errors import PlanError, PresetError
from vrestore.forecast import Forecast, forecast
from vrestore.io.testclip import write_test_clip
from vrestore.preset import Preset, Setting


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_test_clip(tmp_path / "clip.mkv", 64, 48, 150)
    return tmp_path / "clip.mkv"


def settings(**values: object) -> Preset:
    given = {"restore.model": "identity", **{k.replace("__", "."): v for k, v in values.items()}}
    return presets.load("plain").override_all(
        Setting(key=key, value=value, origin="test") for key, value in given.items()
    )


def test_a_forecast_tells_of_the_whole_and_leaves_nothing_behind(clip: Path):
    output = clip.with_name("out.mkv")
    told = forecast(str(clip), str(output), preset=settings(), budget_seconds=1.0)
    assert isinstance(told, Forecast)
    assert told.frames == 150 and told.pieces == 3
    assert told.slowest_fps <= told.fps <= told.fastest_fps
    assert told.seconds == pytest.approx(150 / told.fps)
    assert told.bytes > 1000
    assert sorted(p.name for p in clip.parent.iterdir()) == ["clip.mkv"]
    assert "150 frames" in str(told)


def test_a_forecast_of_a_part_is_refused(clip: Path):
    with pytest.raises(PresetError, match="whole source"):
        forecast(str(clip), "o.mkv", preset=settings(input__start="1"), budget_seconds=1.0)


def test_what_has_no_length_has_no_forecast(tmp_path: Path):
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    with pytest.raises(PlanError, match="how long"):
        forecast(str(tmp_path / "a.png"), str(tmp_path / "b.png"), preset=settings())
