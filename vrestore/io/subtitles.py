"""Text subtitles from one codec to another, where a container holds only the other."""

from __future__ import annotations

from typing import Any

import av
from av.packet import Packet
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream

from vrestore.errors import EncodeError

__all__ = ["TEXT_CODECS", "SubtitleConverter"]

TEXT_CODECS = frozenset({"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"})
"""Codecs whose events are text; FFmpeg's names of codecs and of their decoders."""


class SubtitleConverter:
    """Decodes packets of one subtitle stream and encodes them again; times stay the packets'."""

    def __init__(self, source: SubtitleStream, encoder: SubtitleCodecContext) -> None:
        self._source = source
        self._encoder = encoder
        decoder = source.codec_context
        if not decoder.is_open:
            decoder.open()
        encoder.subtitle_header = decoder.subtitle_header

    def convert(self, packet: Packet[Any]) -> Packet[Any] | None:
        """The packet in the other codec, None where it shows nothing."""
        try:
            event = self._source.codec_context.decode2(packet)
            if event is None or not len(event):
                return None
            converted = self._encoder.encode_subtitle(event)
        except av.FFmpegError as error:
            raise EncodeError(
                f"subtitle stream #{self._source.index} cannot be converted at {packet.pts}: "
                f"{error}"
            ) from error
        converted.pts = converted.dts = packet.pts
        converted.duration = packet.duration
        converted.time_base = packet.time_base
        return converted
