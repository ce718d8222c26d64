"""Real encoders as degradation: what a clip looks like after a trip through one."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import av.video.stream
import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from PIL import Image
from torch import Tensor

from vrestore.io.encoders import X264_REPEATABLE
from vrestore.io.hdr import parameter_text

ENCODERS = ("libx264", "libx264", "libx264", "mpeg2video", "mpeg4", "mjpeg")
"""With their weight: what damaged sources were mostly made with."""


def repeatable_x264() -> dict[str, str]:
    """Options with which x264 makes the same packets of the same frames."""
    steady = tuple(X264_REPEATABLE.items())
    return {"x264-params": parameter_text(steady)} if steady else {}


def _options(encoder: str, severity: float, rng: Generator) -> dict[str, str]:
    """Encoder options for a severity of 0..1."""
    if encoder == "libx264":
        crf = 18 + 20 * severity + rng.uniform(-1, 1)
        return {
            "crf": f"{crf:.1f}",
            "preset": str(rng.choice(["ultrafast", "veryfast"])),
            "threads": "1",
            **repeatable_x264(),
        }
    quality = 2 + (18 if encoder != "mjpeg" else 14) * severity + rng.uniform(0, 1)
    return {
        "qmin": f"{quality:.0f}",
        "qmax": f"{quality:.0f}",
        "threads": "1",
        **({} if encoder == "mjpeg" else {"bf": str(rng.integers(0, 3)), "g": "12"}),
    }


def photograph(
    luma: Tensor, chroma: Tensor, rng: Generator, severity: float
) -> tuple[Tensor, Tensor]:
    """Every frame as a JPEG of its own; uint8 code values, taken as full range.

    (T, 1, H, W), and chroma (T, 2, H/2, W/2), or (T, 2, H, W) of which half are stored halved, as
    most cameras do.  `severity` 0..1 runs from quality 95 to 15.
    """
    quality = round(95 - 80 * severity)
    small = chroma.shape[-1] < luma.shape[-1]
    halved = small or rng.random() < 0.5
    out = []
    for y, c in zip(luma, chroma, strict=True):
        full = c if not small else c.repeat_interleave(2, 1).repeat_interleave(2, 2)
        image = Image.fromarray(torch.cat((y, full)).permute(1, 2, 0).numpy(), mode="YCbCr")
        buffer = io.BytesIO()
        image.save(buffer, "jpeg", quality=quality, subsampling=2 if halved else 0)
        read = Image.open(buffer)
        read.draft("YCbCr", None)
        out.append(torch.from_numpy(np.asarray(read.convert("YCbCr")).copy()).permute(2, 0, 1))
    made = torch.stack(out)
    planes = made[:, 1:]
    if small:
        mean = F.avg_pool2d(planes.float(), 2)
        planes = mean.round().byte()
    return made[:, :1], planes


def recompress(
    luma: Tensor, chroma: Tensor, rng: Generator, severity: float
) -> tuple[Tensor, Tensor]:
    """8-bit 4:2:0 code values, (T, 1, H, W) and (T, 2, H/2, W/2) uint8, encoded and decoded.

    `severity` 0..1 runs from barely visible to very bad.
    """
    encoder = str(rng.choice(ENCODERS))
    count, _, height, width = luma.shape
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream(
            encoder, rate=Fraction(25), options=_options(encoder, severity, rng)
        )
        assert isinstance(stream, av.video.stream.VideoStream)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if encoder == "mjpeg" else "yuv420p"
        for t in range(count):
            frame = av.VideoFrame.from_ndarray(
                np.concatenate((
                    luma[t, 0].numpy(),
                    chroma[t].reshape(2, -1).numpy().reshape(-1, width),
                )),
                format=stream.pix_fmt,
            )  # fmt: skip
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    buffer.seek(0)
    lumas, chromas = [], []
    with av.open(buffer, "r") as made:
        for frame in made.decode(video=0):
            planes = torch.from_numpy(frame.to_ndarray())
            lumas.append(planes[:height].reshape(1, height, width))
            chromas.append(planes[height:].reshape(2, height // 2, width // 2))
    return torch.stack(lumas), torch.stack(chromas)
