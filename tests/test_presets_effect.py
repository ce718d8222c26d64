"""Each preset does its source type good: a metric against known truth, through the whole program.

The clips are small and made with the code that training uses.  `draft` restores nothing and is
held to the size it is asked for; all others are held to an error that must fall.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import vrestore
from vrestore.diagnose.compression import grid
from vrestore.media import FieldOrder
from vrestore.report import Report
from vrestore.train import damage, film, tape_faults
from vrestore.train.codec import photograph
from vrestore.train.fields import Picture, exact_pictures, interlaced, repeated, shifted, telecine
from vrestore.train.fields import weave as woven
from vrestore.train.fieldtruth import gliding
from vrestore.train.footage import read_clip
from vrestore.train.sample import quantise, subsample, to_ycbcr

PIPELINES = Path(__file__).resolve().parents[1] / "pipelines"
COUNT, HEIGHT, WIDTH = 8, 96, 160
STAGES = {"restore.model": "identity"}
"""Overrides where the network is not what is tested."""

NETWORK = {"restore.model": "lite"}
SAME_SIZE = {"size.fit": None, "size.scale": 1}
TWICE = {"size.fit": None, "size.scale": 2}

FILM = {"film-8mm": (0.5, 0.4), "film-16mm": (0.5, 0.4), "film-35mm": (0.75, 0.7),
        "film-bw-silent": (0.5, 0.4)}  # fmt: skip
"""Preset -> shares of dirt and flicker that may be left."""

VIDEO = {"tape-dv": FieldOrder.BOTTOM_FIRST, "dvd-interlaced": FieldOrder.TOP_FIRST,
         "tv-old": FieldOrder.TOP_FIRST}  # fmt: skip
DISC = ("dvd-ntsc-film", "dvd-pal-film")
DRAWN = ("anime-cel", "anime-digital")
NOISY = {"plain": 0.95, "auto": 0.85, "archive": 0.95}
"""Preset -> share of the noise that may be left.  `plain` knows nothing of its source and is
careful; `auto`, which looks, is not."""

ENLARGING = ("hd-to-4k", "hd-to-8k", "4k-to-8k", "screen-cg", "still")
COMPRESSED = {"photo": 0.8, "art": 0.6}
"""Preset -> share of JPEG's blocks that may be left."""

SINGLE = ("film-faded", "tape-vhs", "digital-early", "draft")


def test_every_preset_has_a_test_here():
    tested = {*FILM, *VIDEO, *DISC, *DRAWN, *NOISY, *ENLARGING, *COMPRESSED, *SINGLE}
    assert tested == {path.stem for path in PIPELINES.glob("*.toml")}


# ---------------------------------------------------------------------------------------- clips


@pytest.fixture(scope="module")
def scene(sample: Path) -> Tensor:
    """(COUNT, 3, HEIGHT, WIDTH) RGB 0..1 of the sample, half as large."""
    frames = read_clip(sample)[:COUNT].permute(0, 3, 1, 2).float() / 255
    small = F.interpolate(frames, scale_factor=0.5, mode="bicubic", antialias=True)
    return small[..., 20 : 20 + HEIGHT, 40 : 40 + WIDTH].clamp(0, 1)


@pytest.fixture(scope="module")
def sample() -> Path:
    return PIPELINES.parent / "sample_media" / "bunny.mkv"


def codes_of(frames: Tensor) -> tuple[Tensor, Tensor]:
    planes = to_ycbcr(frames, "709")
    return quantise(planes[:, :1], subsample(planes[:, 1:], "420-left"), full=False)


def pictures_of(luma: Tensor, chroma: Tensor) -> list[Picture]:
    return [(y[0], *c) for y, c in zip(luma, chroma, strict=True)]


def write(path: Path, pictures: Sequence[Picture], rate: Fraction = Fraction(24)) -> Path:
    """8-bit 4:2:0 pictures, lossless."""
    height, width = pictures[0][0].shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.color_range, stream.codec_context.colorspace = 1, 1
        for t, planes in enumerate(pictures):
            flat = np.concatenate([plane.byte().numpy().reshape(-1) for plane in planes])
            frame = av.VideoFrame.from_ndarray(flat.reshape(-1, width), format="yuv420p")
            frame.pts, frame.time_base = t, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def restored(
    source: Path, preset: str, settings: Mapping[str, object], tmp_path: Path
) -> tuple[list[np.ndarray], Report]:
    """Frames as yuv420p code values, (height * 3 / 2, width)."""
    output = tmp_path / f"{preset}.mkv"
    overrides = {"encode.encoder": "ffv1", "encode.pixel_format": "yuv420p", **settings}
    report = vrestore.restore(str(source), str(output), preset=preset, overrides=overrides)
    assert report.facts["accounted"]
    with av.open(str(output)) as container:
        made = [f.to_ndarray(format="yuv420p") for f in container.decode(video=0)]
    assert len(made) == report.frames
    return made, report


def stacked(pictures: Sequence[Picture]) -> list[np.ndarray]:
    """As `restored` gives frames."""
    width = pictures[0][0].shape[1]
    return [
        np.concatenate([plane.byte().numpy().reshape(-1) for plane in planes]).reshape(-1, width)
        for planes in pictures
    ]


def error(made: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> float:
    """Root mean square, in codes, of all planes."""
    assert len(made) == len(truth)
    gaps = [
        np.square(a.astype(float) - b.astype(float)).mean()
        for a, b in zip(made, truth, strict=True)
    ]
    return float(np.sqrt(np.mean(gaps)))


# ----------------------------------------------------------------------------------------- film


@pytest.mark.parametrize("preset", FILM)
def test_worn_film_loses_its_dirt_and_its_flicker(preset: str, scene: Tensor, tmp_path: Path):
    dirt_left, flicker_left = FILM[preset]
    rng = np.random.default_rng(1)
    truth = scene[:1].expand(24, -1, -1, -1)
    gray = preset == "film-bw-silent"
    if gray:
        truth = truth.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    grainy = damage.grain(truth, rng, 0.012, gray=gray)
    dusty, mask = damage.dust(grainy, rng, 500.0)
    worn = film.lit(dusty, film.flicker_gain(rng, len(dusty), 0.04))
    source = pictures_of(*codes_of(worn))
    made, report = restored(write(tmp_path / "in.mkv", source), preset, STAGES, tmp_path)
    before, after = stacked(source), made
    assert after[0].shape == before[0].shape
    specks = mask[:, 0].numpy() > 0.5
    clean = stacked(pictures_of(*codes_of(grainy)))

    def light(frames: Sequence[np.ndarray]) -> np.ndarray:
        """Mean luma off the specks."""
        pairs = zip(frames, specks, strict=True)
        return np.array([frame[:HEIGHT][~spots].mean() for frame, spots in pairs])

    def marked(frames: Sequence[np.ndarray]) -> float:
        """Error on specks, whatever the light."""
        level = light(frames) / light(clean)
        return float(
            np.mean(
                [
                    np.abs(frame[:HEIGHT][spots] / one - good[:HEIGHT][spots]).mean()
                    for frame, good, spots, one in zip(frames, clean, specks, level, strict=True)
                ]
            )
        )

    assert marked(after) < dirt_left * marked(before)
    assert (
        np.abs(np.diff(light(after))).mean() < flicker_left * np.abs(np.diff(light(before))).mean()
    )
    assert {"dirt", "deflicker", "grain"} <= {note.stage for note in report.notes}


def test_faded_film_gets_its_colours_back(scene: Tensor, tmp_path: Path):
    truth = scene[:1].expand(8, -1, -1, -1)
    pale = film.faded(truth, film.dye_fade(np.random.default_rng(2), 1.0))
    source, wanted = pictures_of(*codes_of(pale)), stacked(pictures_of(*codes_of(truth)))
    made, _ = restored(
        write(tmp_path / "in.mkv", source), "film-faded", STAGES | {"grain.keep": 0.0}, tmp_path
    )

    def colour(frames: Sequence[np.ndarray]) -> float:
        return error([f[HEIGHT:] for f in frames], [f[HEIGHT:] for f in wanted])

    assert colour(made) < 0.7 * colour(stacked(source))


# --------------------------------------------------------------------------------------- fields


@pytest.mark.parametrize("preset", VIDEO)
def test_video_becomes_whole_pictures(preset: str, tmp_path: Path):
    moving = gliding(40, size=(96, 64))
    pairs = interlaced(20, VIDEO[preset])
    source = woven(moving, pairs)
    path = write(tmp_path / "in.mkv", source, Fraction(25))
    made, report = restored(path, preset, STAGES | SAME_SIZE, tmp_path)
    assert report.frames == 40
    truth = stacked(moving)
    combed = error(stacked(source), truth[::2])
    assert error(made[4:-4], truth[4:-4]) < 0.5 * combed


def test_tape_gets_whole_pictures_and_its_colour_in_place(tmp_path: Path):
    moving = gliding(48, size=(128, 96), seed=3)
    luma = torch.stack([planes[0] for planes in moving])[:, None].float()
    # The same things in colour, so that colour has edges to lie beside.
    picture = torch.cat((luma - 16, 0.5 * (luma - 128), -0.5 * (luma - 128)), 1) / 224
    late = tape_faults.chroma_shift(picture, 4.0)
    codes = [
        pictures_of(*quantise(p[:, :1], subsample(p[:, 1:], "420-left"), full=False))
        for p in (picture, late)
    ]
    source = woven(codes[1], interlaced(24, FieldOrder.TOP_FIRST))
    path = write(tmp_path / "in.mkv", source, Fraction(25))
    made, report = restored(path, "tape-vhs", STAGES | SAME_SIZE, tmp_path)
    assert report.frames == 48
    truth = stacked(codes[0])

    def chroma(frames: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> float:
        return error([f[96:] for f in frames], [f[96:] for f in wanted])

    assert error(made[4:-4], truth[4:-4]) < 0.6 * error(stacked(source), truth[::2])
    assert chroma(made[4:-4], truth[4:-4]) < 0.6 * chroma(stacked(source), truth[::2])


@pytest.mark.parametrize("preset", DISC)
def test_film_on_disc_is_given_back_sample_for_sample(preset: str, tmp_path: Path):
    moving = gliding(50, size=(96, 64))
    if preset == "dvd-ntsc-film":
        pairs, rate = telecine(50, FieldOrder.TOP_FIRST), Fraction(30000, 1001)
    else:
        pairs, rate = shifted(40, FieldOrder.TOP_FIRST), Fraction(25)
    path = write(tmp_path / "in.mkv", woven(moving, pairs), rate)
    made, _ = restored(path, preset, STAGES | SAME_SIZE, tmp_path)
    truth = stacked(moving)
    wanted = {truth[number].tobytes() for number in exact_pictures(pairs)}
    given = {frame.tobytes() for frame in made}
    assert len(wanted & given) >= 0.9 * len(wanted)


# ------------------------------------------------------------------------------------- drawings


@pytest.mark.parametrize("preset", DRAWN)
def test_drawings_lose_their_halos_and_are_held_still(preset: str, tmp_path: Path):
    generator = np.random.default_rng(4)
    coarse = torch.from_numpy(generator.uniform(0.2, 0.8, (1, 1, 8, 12))).float()
    flat = (F.interpolate(coarse, size=(96, 400), mode="bilinear") * 5).round() / 5
    drawn = [flat[0, 0, :, 5 * t : 5 * t + 144] for t in range(12)]
    truth = torch.stack([drawn[top] for top, _ in repeated(24, Fraction(1, 2))])[:, None]
    frames = torch.cat((truth, torch.zeros_like(truth), torch.zeros_like(truth)), 1)
    ringing = tape_faults.halo(frames, 0.8)
    wanted, source = (
        pictures_of(*quantise(p[:, :1], subsample(p[:, 1:], "420-left"), full=False))
        for p in (frames, ringing)
    )
    path = write(tmp_path / "in.mkv", source)
    made, report = restored(path, preset, STAGES | SAME_SIZE | {"grain.keep": 0.0}, tmp_path)
    assert error(made, stacked(wanted)) < 0.9 * error(stacked(source), stacked(wanted))
    held = [np.array_equal(a, b) for a, b in zip(made[::2], made[1::2], strict=True)]
    assert np.mean(held) > 0.9
    (repeats,) = [note.values for note in report.notes if note.stage == "duplicates"]
    assert repeats["repeats_share"] > 0.4


# -------------------------------------------------------------------------------------- network


@pytest.mark.parametrize("preset", NOISY)
def test_noise_goes_down(preset: str, scene: Tensor, tmp_path: Path):
    noisy = damage.camera_noise(scene, np.random.default_rng(5), 0.03)
    source, truth = pictures_of(*codes_of(noisy)), stacked(pictures_of(*codes_of(scene)))
    path = write(tmp_path / "in.mkv", source)
    made, report = restored(path, preset, NETWORK | SAME_SIZE, tmp_path)
    assert error(made, truth) < NOISY[preset] * error(stacked(source), truth)
    assert (report.plan.diagnosis is not None) == (preset == "auto")


def test_early_digital_video_loses_its_blocks(scene: Tensor, tmp_path: Path):
    coded = photograph(*codes_of(scene), np.random.default_rng(6), 0.9)
    source, truth = pictures_of(*coded), stacked(pictures_of(*codes_of(scene)))
    path = write(tmp_path / "in.mkv", source)
    made, _ = restored(path, "digital-early", NETWORK | SAME_SIZE, tmp_path)

    def blocks(frames: Sequence[np.ndarray]) -> float:
        lumas = [torch.from_numpy(frame[:HEIGHT]).float() / 255 for frame in frames]
        return float(np.mean([grid(luma) for luma in lumas]))

    # What heavy coding took away does not come back; its blocks go.
    assert blocks(made) < 0.8 * blocks(stacked(source))
    assert error(made, truth) < 1.03 * error(stacked(source), truth)


@pytest.mark.parametrize("preset", COMPRESSED)
def test_pictures_lose_the_blocks_of_jpeg(preset: str, scene: Tensor, tmp_path: Path):
    truth = (scene[0].permute(1, 2, 0) * 255).round().byte().numpy()
    Image.fromarray(truth).save(tmp_path / "in.jpg", quality=30)
    coded = np.asarray(Image.open(tmp_path / "in.jpg"))
    settings = NETWORK | SAME_SIZE
    vrestore.restore(
        str(tmp_path / "in.jpg"), str(tmp_path / "out.png"), preset=preset, overrides=settings
    )
    made = np.asarray(Image.open(tmp_path / "out.png"))

    def blocks(picture: np.ndarray) -> float:
        # 1 is none.
        return grid(torch.from_numpy(picture.astype(np.float32)).mean(-1) / 255) - 1

    assert blocks(made) < COMPRESSED[preset] * blocks(coded)
    assert error([made], [truth]) < 1.03 * error([coded], [truth])


@pytest.mark.parametrize("preset", ENLARGING)
def test_enlarging_beats_the_bicubic_kernel(preset: str, scene: Tensor, tmp_path: Path):
    count = 1 if preset == "still" else 3
    large = scene[:count]
    small = F.interpolate(large, scale_factor=0.5, mode="bicubic", antialias=True).clamp(0, 1)
    path = write(tmp_path / "in.mkv", pictures_of(*codes_of(small)))
    made, _ = restored(path, preset, NETWORK | TWICE, tmp_path)
    truth = stacked(pictures_of(*codes_of(large)))
    simple = F.interpolate(small, scale_factor=2, mode="bicubic").clamp(0, 1)
    assert made[0].shape == truth[0].shape
    assert error(made, truth) < error(stacked(pictures_of(*codes_of(simple))), truth)


def test_a_draft_is_the_picture_at_the_size_asked_for(scene: Tensor, tmp_path: Path):
    path = write(tmp_path / "in.mkv", pictures_of(*codes_of(scene[:4])))
    made, _ = restored(path, "draft", TWICE, tmp_path)
    wanted = F.interpolate(scene[:4], scale_factor=2, mode="bicubic").clamp(0, 1)
    assert error(made, stacked(pictures_of(*codes_of(wanted)))) < 3
