"""Opening a source: a file of any kind, standard input, numbered pictures, a single picture."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import BinaryIO, Protocol, cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from vrestore.errors import InputError
from vrestore.io.cutoff import missing_bytes
from vrestore.io.dpx import DpxHeader, read_dpx_header
from vrestore.io.hardware import EXTRA_SURFACES, accelerator
from vrestore.io.sequence import (
    ImageSequence,
    find_sequence,
    is_pattern,
)
from vrestore.limits import PICTURE_PIXELS, PICTURE_SIDE

__all__ = [
    "OpenSource",
    "Readable",
    "Replay",
    "is_cover",
    "open_source",
    "packets_of",
    "video_streams",
]

DEFAULT_SEQUENCE_RATE = Fraction(25)


class Readable(Protocol):
    """A binary stream; `seek` and `tell` are used where it has them."""

    def read(self, size: int = -1, /) -> bytes: ...


class Replay:
    """Makes the beginning of an unseekable stream readable a second time.

    Probing reads the first pictures of standard input; `rewind` puts them back for the decoder.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._kept = bytearray()
        self._position = 0
        self._keeping = True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, fewer at the end of the stream."""
        kept = bytes(self._kept[self._position : self._position + size])
        if kept:
            self._position += len(kept)
            if not self._keeping and self._position == len(self._kept):
                self._kept.clear()
                self._position = 0
            return kept
        fresh = self._stream.read(size)
        if self._keeping:
            self._kept += fresh
            self._position += len(fresh)
        return fresh

    def readable(self) -> bool:
        return True

    def rewind(self, *, keep: bool) -> None:
        """Start over.  Without `keep` for the last time: what is read is then forgotten."""
        if not self._keeping:
            raise InputError("standard input can be read only once")
        self._position = 0
        self._keeping = keep


_standard_input: Replay | None = None


def _rewound_standard_input(*, keep: bool) -> Replay:
    global _standard_input
    if _standard_input is None:
        _standard_input = Replay(sys.stdin.buffer)
    _standard_input.rewind(keep=keep)
    return _standard_input


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSource:
    """An opened container and what was known without it."""

    label: str
    """For messages."""

    container: InputContainer
    sequence: ImageSequence | None = None
    dpx: DpxHeader | None = None
    """Header of the first picture of a DPX sequence or still."""

    guesses: tuple[str, ...] = ()
    missing: int = 0
    """Bytes by which the file is shorter than its container says."""

    max_pixels: int = PICTURE_PIXELS
    """Width times height of the largest picture that may be decoded."""

    @property
    def format_name(self) -> str:
        """FFmpeg's short demuxer name; "image2" for all pictures."""
        name = self.container.format.name.split(",")[0]
        return "image2" if name.endswith("_pipe") else name

    @property
    def cut_off(self) -> str | None:
        """What is missing at the end of the file, as a sentence."""
        if not self.missing:
            return None
        return f"the file is {self.missing} bytes shorter than its container says"

    @property
    def is_picture(self) -> bool:
        """Read by a demuxer of picture files, and not as a numbered sequence."""
        return self.format_name == "image2" and self.sequence is None


def open_source(
    source: str | os.PathLike[str] | BinaryIO | Readable,
    *,
    fps: Fraction | None = None,
    start_number: int | None = None,
    keep_input: bool = False,
    max_pixels: int = PICTURE_PIXELS,
    cuda: int | None = None,
) -> OpenSource:
    """Open by contents; the extension decides nothing.

    `source` is a path, a pattern, a folder of numbered pictures, "-" for standard input, or any
    binary stream.  `fps` and `start_number` are for image sequences.  `keep_input` lets standard
    input be opened again afterwards.  Decoders of its streams refuse pictures of more than
    `max_pixels`.  `cuda` is the device that decodes a file's video and keeps its pictures.  Raises
    InputError.
    """
    options = {"max_pixels": str(_with_padding(max_pixels))}
    opened = _open(source, fps, start_number, keep_input, options, cuda)
    if cuda is not None:
        options = options | {"extra_hw_frames": str(EXTRA_SURFACES)}
    for stream in opened.container.streams.video:
        # Of an unknown codec PyAV has no context, whatever its types say.
        if getattr(stream, "codec_context", None) is not None:
            stream.codec_context.options = options
    return replace(opened, max_pixels=max_pixels)


def _open(
    source: str | os.PathLike[str] | BinaryIO | Readable,
    fps: Fraction | None,
    start_number: int | None,
    keep_input: bool,
    options: dict[str, str],
    cuda: int | None,
) -> OpenSource:
    if not isinstance(source, (str, os.PathLike)):
        label = str(getattr(source, "name", "stream"))
        return OpenSource(label=label, container=_opened(source, label, options))
    path = os.fspath(source)
    if path == "-":
        stream = _rewound_standard_input(keep=keep_input)
        container = _opened(stream, "standard input", options)
        return OpenSource(label="standard input", container=container)
    if os.path.isdir(path) or is_pattern(path):
        return _open_sequence(path, fps, start_number, options)
    if not os.path.exists(path) and "://" not in path:
        raise InputError(f"{path} does not exist")
    # "file:" keeps FFmpeg from reading a scheme or a pattern into the name.
    url = path if "://" in path else f"file:{path}"
    dpx = read_dpx_header(path) if os.path.isfile(path) else None
    container = _opened(url, path, options, cuda=cuda)
    return OpenSource(label=path, container=container, dpx=dpx, missing=missing_bytes(path))


def _open_sequence(
    path: str, fps: Fraction | None, start_number: int | None, options: dict[str, str]
) -> OpenSource:
    sequence = find_sequence(path, start_number)
    dpx = read_dpx_header(sequence.path(0))
    guesses: list[str] = []
    rate = fps or (dpx.rate if dpx else None)
    if rate is None:
        rate = DEFAULT_SEQUENCE_RATE
        guesses.append(f"pictures have no frame rate; {rate} per second assumed (set it by --fps)")
    container = _opened(
        sequence.pattern,
        path,
        format="image2",
        options={
            **options,
            "framerate": f"{rate.numerator}/{rate.denominator}",
            "start_number": str(sequence.start),
            "pattern_type": "sequence",
        },
    )
    return OpenSource(
        label=path, container=container, sequence=sequence, dpx=dpx, guesses=tuple(guesses)
    )


def _opened(
    file: object,
    label: str,
    options: dict[str, str],
    format: str | None = None,
    *,
    cuda: int | None = None,
) -> InputContainer:
    hwaccel = None if cuda is None else accelerator(cuda)
    try:
        return av.open(
            file, "r", format=format, options=options, metadata_errors="replace", hwaccel=hwaccel
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{label} cannot be opened: {reason}") from error


def packets_of(source: OpenSource, *streams: VideoStream) -> Iterator[Packet[VideoStream]]:
    """The packets of video streams to the end of the source, without PyAV's closing marks.

    Raises av.FFmpegError where reading fails.
    """
    packets = source.container.demux(*streams)
    while True:
        try:
            packet = next(packets, None)
        except IndexError:
            # PyAV's closing loop stumbles over streams that appeared while reading.
            return
        if packet is None:
            return
        if packet.size or packet.pts is not None:
            yield cast("Packet[VideoStream]", packet)


def _with_padding(pixels: int) -> int:
    """What a decoder counts for a picture of so many pixels: rows are filled up to 64 samples."""
    return pixels + pixels // 8 + 64 * 64


def _require_size(source: OpenSource, stream: VideoStream) -> None:
    """Raises InputError where a header promises pictures that are larger than allowed."""
    context = getattr(stream, "codec_context", None)
    if context is None:
        return
    width, height = context.width, context.height
    if max(width, height) > PICTURE_SIDE or width * height > source.max_pixels:
        raise InputError(
            f"{source.label} has pictures of {width}x{height}; pictures of more than "
            f"{source.max_pixels} pixels or a side over {PICTURE_SIDE} are refused, "
            "--set input.max_pixels=N raises the first"
        )


def is_cover(stream: VideoStream) -> bool:
    """Whether a video stream is a still that goes with the file: cover art, thumbnails."""
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def video_streams(source: OpenSource, ordinal: int | None = None) -> tuple[VideoStream, ...]:
    """The video streams that may be restored, in order, covers left out.

    `ordinal` picks one of them.  Raises InputError where there is none.
    """
    container, label = source.container, source.label
    found = tuple(stream for stream in container.streams.video if not is_cover(stream))
    if not found:
        if container.streams.video:
            raise InputError(f"{label} has a cover picture but no video")
        kinds = sorted({stream.type for stream in container.streams})
        has = f"only {' and '.join(kinds)} streams" if kinds else "no streams"
        raise InputError(f"{label} has no video: it has {has}")
    for stream in found:
        _require_size(source, stream)
    # Of an unknown codec PyAV has no context, whatever its types say.
    known = tuple(s for s in found if getattr(s, "codec_context", None) is not None)
    if not known:
        raise InputError(f"the video of {label} is in a format that no decoder is known for")
    if ordinal is None:
        return known
    if not 0 <= ordinal < len(found):
        raise InputError(f"{label} has no video stream {ordinal}: it has {len(found)}, from 0")
    if found[ordinal] not in known:
        raise InputError(f"no decoder is known for video stream {ordinal} of {label}")
    return (found[ordinal],)
