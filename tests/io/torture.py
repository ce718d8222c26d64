"""Files that hold everything a container can hold, made from nothing.

`build_mkv` and `build_mov` write the two torture files of the test suite: variable frame rate with
B-frames, a start away from zero, several audio codecs, text and bitmap subtitles, fonts, a cover,
chapters, dispositions, languages, timecode, a data track and edit lists.  The command-line ffmpeg
puts them together, so what `vrestore` copies was not written by the library that `vrestore` uses.

Run as a program it writes both into a folder: `python tests/io/torture.py FOLDER`.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np

VFR_MILLISECONDS = (0, 33, 67, 100, 167, 183, 233, 300, 333, 367, 450, 467, 500, 600, 633)
"""The first second of the variable-rate videos; `vfr_ticks` repeats it."""

SIZE = (128, 96)

TRUETYPE = b"\x00\x01\x00\x00" + bytes(range(256)) * 4
"""Passes for a font: nothing reads it, it only has to come back byte for byte."""

ASS = """[Script Info]
ScriptType: v4.00+
PlayResX: 128
PlayResY: 96

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, \
Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Torture,16,&H00FFFFFF,&H000000FF,&H00000000,&H00000000,0,0,0,0,100,100,0,0,1,1,0,2,\
2,2,2,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.20,0:00:00.90,Default,,0,0,0,,{\\i1}first{\\i0}\\Nline two
Dialogue: 0,0:00:01.10,0:00:01.90,Default,,0,0,0,,second
"""

SRT = """1
00:00:00,150 --> 00:00:00,800
<i>one</i>

2
00:00:00,950 --> 00:00:01,700
two
lines

3
00:00:02,100 --> 00:00:02,600
three
"""

CHAPTERS = """;FFMETADATA1
[CHAPTER]
TIMEBASE=1/1000
START=0
END=1200
title=Opening
[CHAPTER]
TIMEBASE=1/1000
START=1200
END=2400
title=Second half
"""


def vfr_ticks(count: int, *, ticks_per_second: int = 1000, start: int = 0) -> list[int]:
    """`count` strictly increasing presentation times of irregular spacing."""
    cycle = len(VFR_MILLISECONDS)
    return [
        start
        + round(Fraction(VFR_MILLISECONDS[i % cycle] + 667 * (i // cycle), 1000) * ticks_per_second)
        for i in range(count)
    ]


def picture(index: int, width: int = SIZE[0], height: int = SIZE[1]) -> np.ndarray:
    """A (height, width, 3) uint8 picture in which something moves."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack(
        [(x * 2 + index * 5) % 256, (y * 2 + index * 3) % 256, (x + y + index) % 256], axis=-1
    ).astype(np.uint8)


def write_video(
    path: Path, pts: Sequence[int], time_base: Fraction, codec: str = "libx264"
) -> None:
    """A video with exactly these times; B-frames where the codec has them."""
    with av.open(str(path), "w", container_options={"avoid_negative_ts": "disabled"}) as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p" if codec != "prores_ks" else "yuv422p10le"
        stream.codec_context.time_base = time_base
        stream.codec_context.thread_count = 1
        if codec == "libx264":
            stream.codec_context.options = {"preset": "veryfast", "bf": "2", "g": "12"}
        for index, ticks in enumerate(pts):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            frame = frame.reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = ticks, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def pgs(events: Sequence[tuple[float, float]], width: int = 128, height: int = 96) -> bytes:
    """A Blu-ray subtitle stream (.sup): one filled box per (start, end) in seconds."""

    def segment(kind: int, ticks: int, payload: bytes) -> bytes:
        return b"PG" + struct.pack(">IIBH", ticks, 0, kind, len(payload)) + payload

    box_w, box_h = 32, 16
    line = b"\x00" + bytes([0x80 | box_w]) + b"\x01" + b"\x00\x00"
    run = line * box_h
    out = b""
    for number, (start, end) in enumerate(events):
        shown, hidden = round(start * 90000), round(end * 90000)
        video = struct.pack(">HHB", width, height, 0x10)
        show = video + struct.pack(">HBBBB", 2 * number, 0x80, 0, 0, 1)
        show += struct.pack(">HBBHH", 0, 0, 0, 40, 70)
        window = b"\x01" + struct.pack(">BHHHH", 0, 40, 70, box_w, box_h)
        palette = b"\x00\x00" + bytes([1, 200, 128, 128, 255])
        picture_data = struct.pack(">HH", box_w, box_h) + run
        sized = (len(picture_data)).to_bytes(3, "big")
        out += segment(0x16, shown, show)
        out += segment(0x17, shown, window)
        out += segment(0x14, shown, palette)
        out += segment(0x15, shown, struct.pack(">HBB", 0, 0, 0xC0) + sized + picture_data)
        out += segment(0x80, shown, b"")
        out += segment(0x16, hidden, video + struct.pack(">HBBBB", 2 * number + 1, 0, 0, 0, 0))
        out += segment(0x17, hidden, window)
        out += segment(0x80, hidden, b"")
    return out


def ffmpeg(*arguments: str | Path) -> None:
    """Runs the command-line ffmpeg; its text becomes the error where it fails."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-y", "-v", "error"]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)


def _parts(folder: Path) -> dict[str, Path]:
    """The text files that both torture files need."""
    parts = {name: folder / name for name in ("a.srt", "b.ass", "c.sup", "chapters.txt")}
    parts["a.srt"].write_text(SRT)
    parts["b.ass"].write_text(ASS)
    parts["c.sup"].write_bytes(pgs([(0.3, 0.9), (1.2, 1.8)]))
    parts["chapters.txt"].write_text(CHAPTERS)
    return parts


def build_mkv(path: Path, *, frames: int = 72) -> Path:
    """Matroska with 12 streams; the picture starts at 0.5 s, on irregular milliseconds."""
    folder = path.parent
    parts = _parts(folder)
    video, font, cover = folder / "v.mkv", folder / "Torture.ttf", folder / "cover.png"
    write_video(video, vfr_ticks(frames, start=500), Fraction(1, 1000))
    font.write_bytes(TRUETYPE)
    av.VideoFrame.from_ndarray(picture(7, 64, 64), format="rgb24").to_image().save(cover)
    bitmap = folder / "d.mkv"
    _dvd_subtitles(parts["c.sup"], bitmap)
    tone = "sine=frequency={}:sample_rate=48000:duration=2.9"
    ffmpeg(
        "-copyts", "-i", video,
        "-f", "lavfi", "-i", tone.format(440),
        "-itsoffset", "0.25", "-f", "lavfi", "-i", tone.format(550),
        "-f", "lavfi", "-i", tone.format(660),
        "-i", parts["a.srt"], "-i", parts["b.ass"], "-i", parts["c.sup"], "-i", bitmap,
        "-i", parts["chapters.txt"],
        "-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:a",
        "-map", "4:s", "-map", "5:s", "-map", "6:s", "-map", "7:s",
        "-map_chapters", "8", "-map_metadata", "8",
        "-c", "copy", "-c:a:0", "aac", "-c:a:1", "libopus", "-c:a:2", "flac", "-ac:a:2", "2",
        "-attach", font, "-metadata:s:t:0", "mimetype=application/x-truetype-font",
        "-metadata:s:t:0", "title=The font",
        "-attach", font, "-metadata:s:t:1", "mimetype=font/ttf",
        "-metadata:s:t:1", "filename=Second.ttf",
        "-attach", cover, "-metadata:s:t:2", "mimetype=image/png",
        "-metadata:s:t:2", "filename=cover.png",
        "-metadata", "title=Torture", "-metadata", "DATE_RECORDED=1999-12-31",
        "-metadata:s:v:0", "title=Main picture", "-metadata:s:v:0", "language=eng",
        "-metadata:s:a:0", "language=eng", "-metadata:s:a:0", "title=Stereo",
        "-metadata:s:a:1", "language=deu", "-metadata:s:a:1", "title=Kommentar",
        "-metadata:s:a:2", "language=fra",
        "-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=jpn",
        "-metadata:s:s:1", "title=Signs & songs", "-metadata:s:s:2", "language=fra",
        "-disposition:a:0", "default", "-disposition:a:1", "comment",
        "-disposition:a:2", "original",
        "-disposition:s:0", "hearing_impaired", "-disposition:s:1", "default+forced",
        "-avoid_negative_ts", "disabled", path,
    )  # fmt: skip
    return path


def build_mov(path: Path, *, frames: int = 72) -> Path:
    """QuickTime: 600 ticks a second, irregular, two codecs of audio, tmcd, data, edit lists."""
    folder = path.parent
    parts = _parts(folder)
    video = folder / "v.mov"
    write_video(video, vfr_ticks(frames, ticks_per_second=600), Fraction(1, 600))
    bare = folder / "bare.mov"
    tone = "sine=frequency={}:sample_rate={}:duration=2.9"
    ffmpeg(
        "-i", video,
        "-f", "lavfi", "-i", tone.format(440, 48000),
        "-itsoffset", "0.3", "-f", "lavfi", "-i", tone.format(550, 44100),
        "-i", parts["chapters.txt"],
        "-map", "0:v", "-map", "1:a", "-map", "2:a", "-map_chapters", "3", "-map_metadata", "3",
        "-c", "copy", "-c:a:0", "aac", "-c:a:1", "pcm_s16le",
        "-metadata", "title=Torture", "-metadata:s:a:0", "language=eng",
        "-metadata:s:a:1", "language=ger",
        "-video_track_timescale", "600", "-timecode", "01:00:00:00", bare,
    )  # fmt: skip
    _add_data_track(bare, path)
    return path


def _dvd_subtitles(source: Path, target: Path) -> None:
    """The bitmaps of a .sup as DVD subtitles that end after 0.6 s."""
    loose = target.with_name("loose.mkv")
    ffmpeg("-i", source, "-c:s", "dvdsub", loose)
    with av.open(str(loose)) as reader, av.open(str(target), "w") as writer:
        stream = writer.add_stream_from_template(reader.streams[0], opaque=True)
        starts = iter((300, 1200))
        for packet in reader.demux():
            if packet.size:
                packet.stream, packet.time_base = stream, Fraction(1, 1000)
                packet.pts = packet.dts = next(starts)
                packet.duration = 600
                writer.mux(packet)


def _add_data_track(source: Path, target: Path) -> None:
    """Copies a MOV and adds a track of five telemetry packets (sample entry gpmd)."""
    telemetry = target.with_name("telemetry.mp4")
    with av.open(str(telemetry), "w") as writer:
        stream = writer.add_data_stream("bin_data")
        stream.time_base = Fraction(1, 1000)
        for index in range(5):
            packet = av.Packet(b"DEVC" + bytes(range(12 + index)))
            packet.stream, packet.time_base = stream, Fraction(1, 1000)
            packet.pts = packet.dts = 500 * index
            packet.duration = 500
            writer.mux(packet)
    # Stream 4 is the timecode; the chapter track before it is made anew, and comes last.
    ffmpeg(
        "-i", source, "-i", telemetry, "-map", "0:v", "-map", "0:a", "-map", "1:d", "-map", "0:4",
        "-map_chapters", "0", "-c", "copy", "-video_track_timescale", "600", target,
    )  # fmt: skip


def read_packets(path: Path) -> Iterator[tuple[int, int | None, int | None, int | None, bytes]]:
    """(stream index, pts, dts, duration, bytes) of every packet, in the container's own ticks."""
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size:
                yield packet.stream_index, packet.pts, packet.dts, packet.duration, bytes(packet)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    build_mkv(folder / "torture.mkv")
    build_mov(folder / "torture.mov")
