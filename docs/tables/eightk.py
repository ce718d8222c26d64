"""Files of 8K: what the encoder says of them, and whether they decode, as Markdown.

    PYTHONPATH=. python docs/tables/eightk.py [--frames 2]

A clip of half the size is doubled to 7680x4320, 8192x4320 and 4320x7680 with every software encoder
that players know at that size, in processes of their own.  Level and tier are read from the file's
own decoder configuration (ISO/IEC 14496-15 8.3.3 for HEVC, the AV1 codec ISO media file format
binding 2.3 for AV1) and held against the least that the standards ask for such pictures (H.265
tables A.8 and A.9, AV1 annex A.3).  Exit 1 where a file does not decode whole, loses a colour tag
or claims a level below that.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av

from vrestore.io.testclip import write_test_clip

SIZES = ((7680, 4320), (8192, 4320), (4320, 7680))
ENCODERS = {"libx265": "ultrafast", "libsvtav1": "12"}
TAGS = ("--in-matrix", "709", "--in-primaries", "709", "--in-transfer", "709")
"""Of the made clip, which has none; in the result 1, 1, 1, and 1 for limited range."""

PICTURE = 35_651_584
"""Luma samples that level 6 allows in a picture, in both standards; level 5 a quarter of it."""

RATES = {"6": 1_069_547_520, "6.1": 2_139_095_040, "6.2": 4_278_190_080}
"""Luma samples a second, likewise."""


def least_level(width: int, height: int, rate: Fraction) -> str:
    """Of a size between those of level 5 and level 6."""
    assert PICTURE / 4 < width * height <= PICTURE
    return next(name for name, most in RATES.items() if width * height * rate <= most)


def claimed(codec: str, configuration: bytes) -> tuple[str, str]:
    """(level, tier)."""
    if codec == "hevc":
        level = f"{configuration[12] / 30:g}"
        return level, "high" if configuration[1] & 0x20 else "main"
    index = configuration[1] & 0x1F
    level = f"{2 + (index >> 2)}.{index & 3}".removesuffix(".0")
    return level, "high" if configuration[2] & 0x80 else "main"


def measured(folder: Path, size: tuple[int, int], encoder: str, frames: int) -> dict[str, str]:
    width, height = size
    source, output = folder / "clip.mkv", folder / "out.mp4"
    if not source.exists():
        write_test_clip(source, width // 2, height // 2, frames)
    command = [
        sys.executable, "-m", "vrestore", "run", str(source), "-o", str(output), "-y",
        "-Z", "plain", "-n", "resize", "-s", "2", "--encoder", encoder,
        "--encoder-preset", ENCODERS[encoder], "--progress", "json", *TAGS,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    facts = json.loads(done.stdout.splitlines()[-1])
    with av.open(str(output)) as file:
        stream = file.streams.video[0]
        context = stream.codec_context
        level, tier = claimed(context.name.removeprefix("lib").replace("dav1d", "av1"),
                              bytes(context.extradata or b""))  # fmt: skip
        rate = stream.average_rate or Fraction(25)
        tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        decoded = [(f.width, f.height) for f in file.decode(stream)]
    least = least_level(width, height, rate)
    good = decoded == [size] * frames and tags == (1,) * 4 and float(level) >= float(least)
    return {
        "size": f"{width}x{height}",
        "encoder": encoder,
        "level": level,
        "tier": tier,
        "least level": least,
        "primaries, transfer, matrix, range": ", ".join(map(str, tags)),
        "frames decoded": f"{len(decoded)} of {frames}",
        "peak MiB": str(int(facts["peak_rss_bytes"]) >> 20),
        "good": "yes" if good else "NO",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--sizes", default=",".join(f"{w}x{h}" for w, h in SIZES))
    parser.add_argument("--encoders", default=",".join(ENCODERS))
    args = parser.parse_args()
    sizes = [tuple(map(int, size.split("x"))) for size in args.sizes.split(",")]
    encoders = args.encoders.split(",")
    bad = False
    for number, size in enumerate(sizes):
        with tempfile.TemporaryDirectory() as folder:
            for encoder in encoders:
                row = measured(Path(folder), size, encoder, args.frames)
                if not number and encoder == encoders[0]:
                    print(f"| {' | '.join(row)} |\n|{'---|' * len(row)}")
                print(f"| {' | '.join(row.values())} |", flush=True)
                bad |= row["good"] != "yes"
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
