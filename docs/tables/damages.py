"""Clips and the damages that `diagnosis.py` puts on them: what, how strong, and by what told.

Two sets of clips that have nothing in common: `DEVELOPMENT`, which thresholds may be chosen on, and
`HELD_OUT`, which is only counted.  A clip is a short film of at most 384x256, filmed or a
photograph under a moving camera, or one of high definition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from vrestore.media import FieldOrder
from vrestore.train import damage, fields, film, tape_faults
from vrestore.train.codec import recompress
from vrestore.train.footage import read_clip
from vrestore.train.sample import quantise, subsample, to_ycbcr
from vrestore.train.tape import tape

HEIGHT, WIDTH = 256, 384
HD = (720, 1280)
Codes = tuple[Tensor, Tensor]
"""uint8 luma (T, 1, H, W) and chroma (T, 2, H/2, W/2) of limited range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    name: str
    load: Callable[[int], Tensor]
    """Of a count of frames, (T, 3, H, W) 0..1; a shorter clip goes there and back again."""
    hd: bool = False


def there_and_back(frames: Tensor, count: int) -> Tensor:
    there = list(range(len(frames)))
    order = (there + there[-2:0:-1]) * count
    return frames[order[:count]]


def filmed(path: Path, shrink: int, hd: bool, count: int) -> Tensor:
    frames = read_clip(path)[:count].permute(0, 3, 1, 2).float() / 255
    if shrink > 1:
        frames = F.interpolate(frames, scale_factor=1 / shrink, mode="bicubic", antialias=True)
    height, width = (size // 2 * 2 for size in frames.shape[2:])
    if not hd:
        height, width = min(height, HEIGHT), min(width, WIDTH)
    return there_and_back(frames[..., :height, :width].clamp(0, 1), count)


def camera(still: Tensor, size: tuple[int, int], zoom: float, name: str, count: int) -> Tensor:
    """A picture (1, 3, H, W) before a camera that stands, pans, is held by hand or zooms.  `zoom`
    is the samples of the picture to one of the film's."""
    seed = crc32(name.encode())
    rng = np.random.default_rng(seed)
    height, width = still.shape[-2:]
    time = torch.arange(count).double()
    place, zooms = torch.zeros(count, 2).double(), torch.full((count,), zoom).double()
    match seed % 4:
        case 1:
            place = (time[:, None] - count / 2) * torch.tensor(rng.uniform(-2, 2, 2))
        case 2:
            steps = np.cumsum(np.cumsum(rng.normal(0, 0.12, (count, 2)), 0), 0)
            place = torch.from_numpy(steps - np.linspace(steps[0], steps[-1], count))
        case 3:
            zooms = zoom * (1.03 - 0.003 * time)
    y = torch.arange(min(size[0], int(height / zoom * 0.92)) // 2 * 2).double()
    x = torch.arange(min(size[1], int(width / zoom * 0.92)) // 2 * 2).double()
    grid = torch.empty(count, len(y), len(x), 2)
    grid[..., 0] = (((x - x.mean()) * zooms[:, None] + place[:, :1]) * 2 / width)[:, None]
    grid[..., 1] = (((y - y.mean()) * zooms[:, None] + place[:, 1:]) * 2 / height)[:, :, None]
    made = [
        F.grid_sample(still, one[None], mode="bicubic", padding_mode="reflection",
                      align_corners=False)
        for one in grid
    ]  # fmt: skip
    return torch.cat(made).clamp(0, 1)


def photographed(path: Path, count: int) -> Tensor:
    still = damage.gaussian_blur(read_clip(path).permute(0, 3, 1, 2).float() / 255, 0.4, 0.4)
    return camera(still, (HEIGHT, WIDTH), 1.3, path.stem, count)


def wall(paths: tuple[Path, ...], name: str, count: int) -> Tensor:
    """Four photographs of 768x512 side by side, each sample kept, as high definition."""
    a, b, c, d = (read_clip(path).permute(0, 3, 1, 2).float() / 255 for path in paths)
    still = torch.cat((torch.cat((a, b), 3), torch.cat((c, d), 3)), 2)
    return camera(still, HD, 1.0, name, count)


FILMED = (
    ("train/video_lossless/ntia_aspen_960x540.mkv", 2),
    ("train/video_lossless/temple_1200x800.mkv", 2),
    ("benchmark/video/BasketballPass_416x240.mkv", 1),
    ("benchmark/video/carphone_pristine.mp4", 1),
    ("benchmark/video/foreman_cif_10f.y4m", 1),
    ("benchmark/video/park_joy_480x270_10f.y4m", 1),
    ("benchmark/Vid4/calendar.mkv", 1),
    ("benchmark/Vid4/walk.mkv", 1),
    ("odd/streams_subs_chapters/mp3ac325-4864-small.mp4", 2),
    ("odd/streams_subs_chapters/242_4.mkv", 2),
    ("odd/vfr_timestamps/bug821-2.mp4", 2),
    ("odd/rotation/sample_portrait.mp4", 2),
    ("odd/gop_containers/SMM0015.mp4", 2),
    ("odd/gop_containers/Cisco_Men_whisper_640x320_CAVLC_Bframe_9.264", 2),
    ("odd/pixel_formats/cfhd_444.avi", 2),
    ("odd/damaged/loewe.mp4", 4),
    ("hdr/fall_hlg_1080p.mov", 4),
    ("hdr/hdr10_pq_prores_meridian.mov", 2),
    ("real_lowquality/marathon_720x400.mp4", 2),
)
"""Held-out clips, and how many times they are shrunk against their own coding."""

FILMED_HD = (
    "train/video_lossless/temple_1200x800.mkv",
    "odd/damaged/loewe.mp4",
    "hdr/fall_hlg_1080p.mov",
    "hdr/hdr10_pq_prores_meridian.mov",
)


def walls(stills: list[Path], data: Path) -> list[Clip]:
    """Each wide photograph beside the next three."""
    wide = [path for path in stills if read_clip(path).shape[1:3] == (512, 768)]
    made = []
    for k, path in enumerate(wide):
        four = tuple(wide[(k + step) % len(wide)] for step in range(4))
        name = f"wall from {path.stem}"
        made.append(Clip(name=name, load=partial(wall, four, name), hd=True))
    return made


def development(data: Path) -> list[Clip]:
    clips = [
        Clip(name=path.stem, load=partial(filmed, path, 1, False))
        for path in sorted((data / "train/video").iterdir())
    ]
    stills = sorted((data / "train/stills_Kodak").iterdir())
    clips += [Clip(name=path.stem, load=partial(photographed, path)) for path in stills]
    return clips + walls(stills, data)


def held_out(data: Path) -> list[Clip]:
    clips = [
        Clip(name=Path(name).stem, load=partial(filmed, data / name, shrink, False))
        for name, shrink in FILMED
    ]
    stills = sorted((data / "benchmark/Kodak").iterdir())
    clips += [Clip(name=path.stem, load=partial(photographed, path)) for path in stills]
    clips += [
        Clip(name=f"{Path(name).stem} HD", load=partial(filmed, data / name, 1, True), hd=True)
        for name in FILMED_HD
    ]
    return clips + walls(stills, data)


# ------------------------------------------------------------------------------------- damages


def codes(frames: Tensor) -> Codes:
    planes = to_ycbcr(frames, "709")
    return quantise(planes[:, :1], subsample(planes[:, 1:], "420-left"), full=False)


def enlarged(frames: Tensor, factor: float) -> Tensor:
    small = F.interpolate(frames, scale_factor=1 / factor, mode="bicubic", antialias=True)
    return F.interpolate(small, size=frames.shape[-2:], mode="bicubic").clamp(0, 1)


def taped(frames: Tensor, rng: Generator, amount: float) -> Codes:
    planes, _ = tape(to_ycbcr(frames, "601"), rng, amount)
    return quantise(planes[:, :1], subsample(planes[:, 1:], "420-left"), full=False)


def faulty(frames: Tensor, fault: Callable[[Tensor], Tensor]) -> Codes:
    planes = fault(to_ycbcr(frames, "601"))
    return quantise(planes[:, :1], subsample(planes[:, 1:], "420-left"), full=False)


def washed_out(frames: Tensor, amount: float) -> Tensor:
    """Black lifted by 0.16 and white lowered by 0.4, times `amount`."""
    return 0.16 * amount + frames * (1 - 0.56 * amount)


def woven(frames: Tensor, pairs: list[tuple[int, int]]) -> Codes:
    luma, chroma = codes(frames)
    pictures = [(y[0], c[0], c[1]) for y, c in zip(luma, chroma, strict=True)]
    made = fields.weave(pictures, pairs)
    return (
        torch.stack([one[0][None] for one in made]),
        torch.stack([torch.stack((one[1], one[2])) for one in made]),
    )


def order_of(rng: Generator) -> FieldOrder:
    return FieldOrder.TOP_FIRST if rng.random() < 0.5 else FieldOrder.BOTTOM_FIRST


FRAMES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    name: str
    own: tuple[str, ...]
    """Findings each of which recognises it; none for clean clips."""
    make: Callable[[Tensor, Generator, float], Codes]
    faint: tuple[float, float] | None
    """Amounts from which one is drawn, on a scale of ratios, for what is barely visible."""
    visible: tuple[float, float] | None
    frames: int = FRAMES
    """Pictures that it takes."""


CLEAN = Damage(name="clean", own=(), make=lambda f, rng, a: codes(f), faint=None, visible=None)

DAMAGES = (
    Damage(name="film grain, std", own=("noise", "grain"), faint=(0.010, 0.016),
           visible=(0.025, 0.05),
           make=lambda f, rng, a: codes(damage.grain(f, rng, a, gray=False))),
    Damage(name="camera noise, std", own=("noise",), faint=(0.008, 0.014), visible=(0.02, 0.04),
           make=lambda f, rng, a: codes(damage.camera_noise(f, rng, a))),
    Damage(name="flicker, share", own=("flicker",), faint=(0.006, 0.01), visible=(0.02, 0.06),
           make=lambda f, rng, a: codes(film.lit(f, film.flicker_gain(rng, len(f), a)))),
    Damage(name="weave, px", own=("weave",), faint=(0.3, 0.5), visible=(0.8, 2.0),
           make=lambda f, rng, a: codes(film.moved(f, film.weave(rng, len(f), a).clamp(-7, 7)))),
    Damage(name="dust, a megapixel", own=("dirt",), faint=(30, 60), visible=(150, 400),
           make=lambda f, rng, a: codes(damage.dust(f, rng, a)[0])),
    Damage(name="scratches, lines", own=("scratches",), faint=(1, 1), visible=(2, 4),
           make=lambda f, rng, a: codes(damage.scratches(f, rng, round(a))[0])),
    Damage(name="dyes faded", own=("colour cast", "levels"), faint=(0.35, 0.5), visible=(0.65, 1.0),
           make=lambda f, rng, a: codes(film.faded(f, film.dye_fade(rng, a)))),
    Damage(name="washed out", own=("levels",), faint=(0.65, 0.75), visible=(0.9, 1.2),
           make=lambda f, rng, a: codes(washed_out(f, a))),
    Damage(name="codec, severity", own=("blockiness", "starved texture"), faint=(0.35, 0.45),
           visible=(0.7, 1.0), make=lambda f, rng, a: recompress(*codes(f), rng, a)),
    Damage(name="enlarged, times", own=("resolution",), faint=(1.4, 1.7), visible=(2.0, 3.0),
           make=lambda f, rng, a: codes(enlarged(f, a))),
    Damage(name="peaked, amount", own=("halos",), faint=(0.5, 0.7), visible=(1.2, 2.0),
           make=lambda f, rng, a: faulty(f, lambda p: tape_faults.halo(p, a))),
    Damage(name="colour beside, px", own=("chroma shift",), faint=(1.6, 2.0), visible=(2.5, 4.0),
           make=lambda f, rng, a: faulty(f, lambda p: tape_faults.chroma_shift(p, a))),
    Damage(name="rows torn off", own=("head switch",), faint=(4, 5), visible=(7, 12),
           make=lambda f, rng, a: faulty(f, lambda p: tape_faults.head_switch(p, rng, round(a)))),
    Damage(name="tape, amount", own=("noise", "chroma noise", "chroma bandwidth"),
           faint=(0.25, 0.4), visible=(0.7, 1.0), make=taped),
    Damage(name="interlaced", own=("cadence",), faint=None, visible=(1, 1), frames=2 * FRAMES,
           make=lambda f, rng, a: woven(f, fields.interlaced(FRAMES, order_of(rng)))),
    Damage(name="3:2 pulldown", own=("cadence",), faint=None, visible=(1, 1),
           make=lambda f, rng, a: woven(
               f, fields.telecine(FRAMES, order_of(rng), int(rng.integers(5))))),
    Damage(name="pictures held twice", own=("duplicates",), faint=None, visible=(2, 2),
           make=lambda f, rng, a: tuple(plane[torch.arange(FRAMES) // 2] for plane in codes(f))),
)  # fmt: skip


def drawn(kind: Damage, strength: str, rng: Generator) -> float:
    """An amount."""
    spread = kind.visible if strength == "visible" else kind.faint
    if spread is None:
        return 0.0
    return float(np.exp(rng.uniform(*np.log(spread))))
