"""The stages of a restoration through the whole program, on worn film whose truth is known."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import vrestore
from vrestore.report import Report
from vrestore.shotlist import read_shots
from vrestore.train import damage
from vrestore.train.film import flicker_gain, lit, moved, weave
from vrestore.wiring import export_shots

COUNT, HEIGHT, WIDTH = 32, 120, 160
IDENTITY = {"restore.model": "identity", "encode.encoder": "ffv1", "cuts.detect": False}


def still_film(seed: int) -> Tensor:
    """(COUNT, 1, HEIGHT, WIDTH) of a street-like texture at rest, with a little noise."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0.2, 0.8, (1, 1, 15, 20))).float()
    picture = F.interpolate(coarse, size=(HEIGHT, WIDTH), mode="bicubic")
    fine = torch.from_numpy(rng.normal(0, 0.05, (1, 1, HEIGHT // 2, WIDTH // 2))).float()
    picture = picture + F.interpolate(fine, size=(HEIGHT, WIDTH), mode="bilinear")
    return picture.expand(COUNT, -1, -1, -1).clamp(0.1, 0.9)


def noisy(film: Tensor, sigma: float = 0.004) -> Tensor:
    return film + sigma * damage.noise_like(np.random.default_rng(1), *film.shape)


def write(path: Path, film: Tensor) -> Path:
    """Gray film as lossless limited-range 4:2:0."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for t, picture in enumerate(film[:, 0]):
            codes = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
            codes[:HEIGHT] = (16 + 219 * picture).round().clamp(0, 255).byte().numpy()
            frame = av.VideoFrame.from_ndarray(codes, format="yuv420p")
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read(path: Path) -> Tensor:
    with av.open(str(path)) as container:
        frames = [f.to_ndarray()[: f.height] for f in container.decode(video=0)]
    return (torch.from_numpy(np.stack(frames)).float() - 16)[:, None] / 219


def restored(source: Path, **settings: object) -> tuple[Tensor, Report]:
    output = source.with_name("out.mkv")
    wanted = {key.replace("__", "."): value for key, value in settings.items()}
    report = vrestore.restore(
        str(source), str(output), preset="plain", overrides=IDENTITY | wanted, overwrite=True
    )
    assert report.frames == COUNT and report.facts["accounted"]
    return read(output), report


def trembling(film: Tensor) -> float:
    return float(film.mean((1, 2, 3)).diff().abs().mean())


def test_a_trembling_light_is_held_still(tmp_path: Path):
    rng = np.random.default_rng(2)
    worn = lit(noisy(still_film(0)), flicker_gain(rng, COUNT, 0.05))
    made, report = restored(write(tmp_path / "a.mkv", worn), deflicker__strength=1.0)
    assert trembling(made) < 0.2 * trembling(worn)
    assert any(note.stage == "deflicker" for note in report.notes)


def test_a_worn_gate_is_made_good(tmp_path: Path):
    path = weave(np.random.default_rng(3), COUNT, 0.8)
    film = noisy(still_film(1))
    worn = moved(F.pad(film, (12, 12, 12, 12), mode="replicate"), path)
    made, report = restored(write(tmp_path / "a.mkv", worn), stabilise__strength=1.0)
    inner = (..., slice(16, -16), slice(16, -16))

    def unrest(film: Tensor) -> float:
        return float(film[inner].diff(dim=0).abs().mean())

    assert unrest(made) < 0.5 * unrest(worn)
    assert any(note.stage == "stabilise" for note in report.notes)


def test_dust_is_filled_from_the_neighbours_or_shown_in_red(tmp_path: Path):
    film = noisy(still_film(2))
    worn, mask = damage.dust(film, np.random.default_rng(4), 600.0)
    source = write(tmp_path / "a.mkv", worn)
    spots = mask > 0.5
    assert int(spots.sum()) > 500
    made, report = restored(source, dirt__strength=0.7)
    before, after = ((x - film)[spots].square().mean() for x in (worn, made))
    assert float(after) < 0.2 * float(before)
    elsewhere = (made - worn)[F.max_pool2d(mask, 9, 1, 4) == 0]
    assert float((elsewhere.abs() > 0.02).float().mean()) < 0.005
    assert report.sightings, "the record has a moment to show"
    shown, _ = restored(source, dirt__strength=0.7, dirt__show_mask=True)
    assert float((shown - worn)[spots].abs().mean()) > 0.1


def test_grain_is_made_anew_after_it_was_taken_away(tmp_path: Path):
    rng = np.random.default_rng(5)
    clean = still_film(3)
    worn = damage.grain(clean.expand(-1, 3, -1, -1), rng, 0.04, gray=True)[:, :1]
    source = write(tmp_path / "a.mkv", worn)
    smooth, _ = restored(source, restore__model="lite", restore__strength=0.8)
    grainy, _ = restored(source, restore__model="lite", restore__strength=0.8, grain__keep=1.0)
    level = [float(film.diff(dim=0).std()) for film in (worn, smooth, grainy)]
    assert level[1] < 0.4 * level[0]
    assert level[2] == pytest.approx(level[0], rel=0.3)


def test_the_lock_keeps_what_the_network_makes_near_the_source(tmp_path: Path):
    rng = np.random.default_rng(6)
    worn = damage.grain(still_film(4).expand(-1, 3, -1, -1), rng, 0.05, gray=True)[:, :1]
    source = write(tmp_path / "a.mkv", worn)
    network = {"restore__model": "lite", "restore__strength": 1.0}
    free, _ = restored(source, **network)
    held, report = restored(source, **network, fidelity__max_change=1.0)

    def change(film: Tensor) -> float:
        return float(F.avg_pool2d(film - read(source), 8).abs().max()) * 255

    # Half a code value of rounding comes on top at either end.
    assert change(free) > 2.5 and change(held) < 2.2
    assert any(note.stage == "fidelity" for note in report.notes)


def test_a_shot_has_the_settings_that_the_list_gives_it(tmp_path: Path):
    rng = np.random.default_rng(7)
    film = noisy(torch.cat((still_film(5)[:16], still_film(6)[16:])))
    worn = lit(film, flicker_gain(rng, COUNT, 0.06))
    source = write(tmp_path / "a.mkv", worn)
    shots = tmp_path / "shots.toml"
    shots.write_text(
        "schema = 1\n[[shot]]\nstart = 0\n[[shot]]\nstart = 16\ndeflicker.strength = 1.0\n"
    )
    made, report = restored(source, cuts__shots=str(shots))
    stored = read(source)
    assert report.shots == 2
    assert torch.equal(made[:16], stored[:16])
    assert trembling(made[16:]) < 0.4 * trembling(stored[16:])


def test_measured_shots_are_a_list_that_a_run_takes(tmp_path: Path):
    rng = np.random.default_rng(8)
    film = noisy(torch.cat((still_film(7)[:16], still_film(8)[16:])))
    film = torch.cat((film[:16], lit(film[16:], flicker_gain(rng, 16, 0.06))))
    source, path = write(tmp_path / "a.mkv", film), tmp_path / "shots.toml"
    assert export_shots(str(source), str(path), preset="film-16mm") == 2
    calm, nervous = read_shots(str(path)).shots
    assert calm.tuning["deflicker.strength"] < 0.2 < nervous.tuning["deflicker.strength"]
    _, report = restored(source, cuts__shots=str(path))
    assert report.shots == 2
