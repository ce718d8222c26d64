"""Each measure against a picture whose fault is known, and against the same without it."""

import io
from collections.abc import Iterable

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.diagnose.compression import banding, flat, grid, starved
from vrestore.diagnose.detail import halo, resolution
from vrestore.diagnose.steadiness import CellTracks, Weave
from vrestore.diagnose.tone import tone

SIZE = (240, 320)


@pytest.fixture
def picture(texture) -> torch.Tensor:
    return texture(*SIZE, 1)


def rounded(plane: torch.Tensor) -> torch.Tensor:
    return (plane * 255).round() / 255


def jpeg(plane: torch.Tensor, quality: int) -> torch.Tensor:
    """A grey picture after a trip through MJPEG at a quantiser of 2 (best) to 31."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = plane.shape[1], plane.shape[0], "yuvj420p"
        stream.options = {"qmin": str(quality), "qmax": str(quality)}
        gray = (plane * 255).round().byte().numpy()
        chroma = np.full((gray.shape[0] // 2, gray.shape[1]), 128, np.uint8)
        frame = av.VideoFrame.from_ndarray(np.concatenate((gray, chroma)), format="yuvj420p")
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as made:
        decoded = next(made.decode(video=0)).to_ndarray()[: plane.shape[0]]
    return torch.from_numpy(decoded).float() / 255


@given(shift=st.integers(0, 7))
@settings(max_examples=4)
def test_blocks_are_seen_wherever_their_grid_lies(texture, shift):
    weak = 0.45 + 0.4 * (texture(*SIZE, 1) - 0.45)
    assert grid(jpeg(weak, 12)[shift:, shift:]) > 1.0
    assert grid(rounded(weak)) < 0.5


def test_coding_starves_weak_texture(picture):
    weak = 0.45 + 0.25 * (picture - 0.45)
    assert starved(rounded(weak)) == 0
    assert starved(jpeg(weak, 6)) > 0.5


@pytest.mark.parametrize("factor", [2, 3])
def test_resolution_tells_how_far_a_picture_was_enlarged(picture, factor):
    small = F.interpolate(picture[None, None], scale_factor=1 / factor, mode="area")
    large = F.interpolate(small, size=SIZE, mode="bicubic")[0, 0]
    assert resolution(rounded(picture)) > 0.9
    assert resolution(picture.t()) > 0.9
    assert 0.6 / factor < resolution(rounded(large)) < 1.3 / factor


def test_noise_on_a_soft_picture_is_no_detail(picture):
    small = F.interpolate(picture[None, None], scale_factor=0.5, mode="area")
    large = F.interpolate(small, size=SIZE, mode="bicubic")[0, 0]
    noise = 0.02 * torch.randn(SIZE, generator=torch.Generator().manual_seed(2))
    assert resolution(rounded(large + noise)) < 0.7


def test_edges_that_were_sharpened_have_halos():
    bars = (torch.arange(320) // 20 % 2).float().expand(240, -1)
    kernel = torch.tensor([0.05, 0.25, 0.4, 0.25, 0.05]).view(1, 1, 1, -1)
    edges = 0.2 + 0.5 * F.conv2d(F.pad(bars[None, None], (2, 2, 0, 0), mode="replicate"), kernel)
    wide = F.avg_pool2d(F.pad(edges, (3, 3, 0, 0), mode="replicate"), (1, 7), stride=1)
    assert halo(edges[0, 0]) < 0.02
    assert halo((edges + 0.8 * (edges - wide))[0, 0]) > 0.09


def test_a_gradient_in_steps_is_banding_and_with_dither_is_not():
    ramp = torch.linspace(0.3, 0.38, 320).expand(240, -1)
    dither = torch.rand(240, 320, generator=torch.Generator().manual_seed(1)) - 0.5
    assert banding(rounded(ramp)) > 0.5
    assert banding(rounded(ramp + dither / 255)) < 0.05


def test_drawings_are_flat_and_nature_is_not(picture):
    wide = F.avg_pool2d(picture[None, None], 31, stride=1, padding=15)[0, 0]
    drawing = (wide > wide.median()).float() * 0.4 + 0.3
    assert flat(drawing) > 0.4
    assert flat(rounded(picture)) < 0.1


def test_tone_measures_what_fading_does(picture):
    chroma = torch.full((120, 160), 0.5)
    seen = tone(0.2 + 0.5 * picture, (chroma - 0.05, chroma + 0.08))
    assert seen.black > 0.2
    assert seen.white < 0.7
    assert seen.shadows == pytest.approx((-0.05, 0.08), abs=0.002)
    assert seen.lights == pytest.approx((-0.05, 0.08), abs=0.002)
    assert seen.saturation < 1e-3


def test_a_print_that_lost_its_cyan_dye_has_no_deep_red(picture):
    grey = torch.full((120, 160), 0.5)
    deep = (1 - picture[::2, ::2]) * 0.05
    kept, lost = tone(picture, (grey, grey)), tone(picture, (grey - 0.4 * deep, grey + deep))
    assert kept.dyes < 0.36
    assert lost.dyes > kept.dyes + 0.1


def tracks(frames: Iterable[torch.Tensor]) -> CellTracks:
    found = CellTracks()
    for frame in frames:
        found.push(frame)
    return found


@given(depth=st.floats(0.004, 0.05))
@settings(max_examples=5)
def test_flicker_is_measured_and_a_fade_is_none(texture, depth):
    generator = torch.Generator().manual_seed(3)
    small = texture(90, 160, 1)
    gains = 1 + depth * torch.randn(40, generator=generator)
    shaken = tracks(small * gain for gain in gains.tolist()).flicker()
    faded = tracks(small * (1 - 0.015 * t) for t in range(40)).flicker()
    assert shaken.size == pytest.approx(depth, rel=0.45)
    assert shaken.agree > 0.9
    assert faded.size < 0.001


def test_a_lamp_trembles_over_whatever_moves(texture):
    """A pan brightens nothing, and does not hide a trembling light either."""
    wide = texture(90, 400, 1)
    generator = torch.Generator().manual_seed(4)
    gains = (1 + 0.01 * torch.randn(40, generator=generator)).tolist()
    pan = [wide[:, 5 * t : 5 * t + 160] for t in range(40)]
    calm, lit = tracks(pan).flicker(), tracks(p * g for p, g in zip(pan, gains, strict=True))
    assert calm.size < 0.002
    assert lit.flicker().size == pytest.approx(0.01, rel=0.5)
    assert lit.flicker().agree > 0.6


@pytest.mark.parametrize("speed", [0.0, 1.7])
def test_a_worn_gate_is_told_from_a_camera_that_moves(texture, speed):
    """Half of the picture goes its own way: what trembles is what all of it has in common."""
    picture = texture(300, 400, 2)
    generator = np.random.default_rng(1)
    time = np.arange(32)
    held = np.stack((speed * time + 2 * np.sin(time / 7), 2 * np.cos(time / 6)), axis=1)
    worn = held + generator.normal(0, 0.5, held.shape)

    def weave(path: np.ndarray) -> Weave:
        still = [shifted(picture, -x, -y)[80:200, 100:300] for x, y in path]
        actor = [
            shifted(picture, 0.8 * t - x, -y)[80:200, 100:300] for t, (x, y) in enumerate(path)
        ]
        return tracks(
            torch.cat((a[:, :120], b[:, 120:]), 1) for a, b in zip(still, actor, strict=True)
        ).weave()

    gate, hand = weave(worn), weave(held)
    assert (gate.x, gate.y) == pytest.approx((0.5, 0.5), rel=0.5)
    assert gate.rough > 0.55 and gate.error < 0.1
    assert max(hand.x, hand.y) < 0.15 or hand.rough < 0.35


def shifted(picture: torch.Tensor, x: float, y: float) -> torch.Tensor:
    down, across = (torch.fft.fftfreq(n) for n in picture.shape)
    turn = torch.exp(-2j * torch.pi * (down[:, None] * y + across * x))
    return torch.fft.ifft2(torch.fft.fft2(picture) * turn).real


def test_held_pictures_of_a_pan_do_not_tremble(texture):
    wide = texture(90, 400, 1)
    seen = tracks(wide[:, 4 * (t // 2) : 4 * (t // 2) + 160] for t in range(40)).weave()
    assert max(seen.x, seen.y) < 0.1
