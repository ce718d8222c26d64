"""NVIDIA's encoders: which is taken on which card, and what is said where none is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

import av
import av.logging
import pytest
from av.video.codeccontext import VideoCodecContext

from vrestore.errors import PlanError
from vrestore.io.choose import EncoderChoice, choose_encoder
from vrestore.io.encode import EncodeConfig, VideoTarget
from vrestore.io.encoders import AUTO_ORDER, ENCODERS
from vrestore.media import ColorModel, ColorSpec, SampleFormat

YUV420 = SampleFormat(model=ColorModel.YCBCR, depth=8, log2_chroma_w=1, log2_chroma_h=1)
NVENC = tuple(name for name in AUTO_ORDER if ENCODERS[name].hardware)


@dataclass
class Card:
    """A double for a card and its driver: refuses as FFmpeg's nvenc.c does, in its words.

    Encoders that are not NVIDIA's open really.
    """

    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Codec -> largest picture; codecs that are not there have no encoder."""

    ten_bit: frozenset[str] = frozenset({"hevc_nvenc", "av1_nvenc"})
    sessions: int = 8
    tried: list[str] = field(default_factory=list)

    def __call__(self, context: VideoCodecContext) -> None:
        name = context.name
        self.tried.append(name)
        if name not in NVENC:
            context.open()
            return
        said = self._says(context)
        if said is not None:
            for text in said:
                av.logging.log(av.logging.ERROR, name, f"{text}\n")
            raise av.error.ExternalError(542398533, "Generic error in an external library")

    def _says(self, context: VideoCodecContext) -> tuple[str, ...] | None:
        none = "No capable devices found"
        if not self.sessions:
            return "OpenEncodeSessionEx failed: out of memory (10): (no details)", none
        if context.name not in self.sizes:
            return "Codec not supported", none
        width, height = self.sizes[context.name]
        if context.width > width:
            return f"Width {context.width} exceeds {width}", none
        if context.height > height:
            return f"Height {context.height} exceeds {height}", none
        if "10" in str(context.pix_fmt) and context.name not in self.ten_bit:
            return "10 bit encode not supported", none
        return None


ADA = Card({"hevc_nvenc": (8192, 8192), "av1_nvenc": (8192, 8192), "h264_nvenc": (4096, 4096)})
TURING = Card({"hevc_nvenc": (8192, 8192), "h264_nvenc": (4096, 4096)})
MAXWELL = Card({"hevc_nvenc": (4096, 4096), "h264_nvenc": (4096, 4096)}, frozenset())
HOPPER = Card({})
"""Generations as NVIDIA's encode support matrix has them; Hopper has no encoder at all."""


def target(width: int = 1920, height: int = 1080, form: SampleFormat = YUV420) -> VideoTarget:
    return VideoTarget(
        width=width, height=height, format=form, color=ColorSpec(),
        time_base=Fraction(1, 25), rate=Fraction(25), threads=1,
    )  # fmt: skip


def chosen(card: Card, wanted: VideoTarget, encoder: str = "auto", **fields: str) -> EncoderChoice:
    config = EncodeConfig(encoder=encoder, **fields)  # type: ignore[arg-type]
    return choose_encoder(config, wanted, opener=replace(card, tried=[]))


@pytest.mark.parametrize(
    ("card", "size", "taken", "format"),
    [
        (ADA, (1920, 1080), "hevc_nvenc", "p010le"),
        (ADA, (7680, 4320), "hevc_nvenc", "p010le"),
        (ADA, (8192, 4320), "hevc_nvenc", "p010le"),
        (ADA, (4320, 7680), "hevc_nvenc", "p010le"),
        (TURING, (3840, 2160), "hevc_nvenc", "p010le"),
        (MAXWELL, (1920, 1080), "libx265", "yuv420p10le"),
        (HOPPER, (1920, 1080), "libx265", "yuv420p10le"),
    ],
)
def test_auto_takes_what_the_card_has_and_else_the_best_software_encoder(
    card: Card, size: tuple[int, int], taken: str, format: str
) -> None:
    choice = chosen(card, target(*size))
    assert (choice.spec.name, choice.encoder_format) == (taken, format)
    assert "\n" not in choice.reason


@pytest.mark.parametrize(
    ("card", "size", "said"),
    [
        (HOPPER, (1920, 1080), "hevc_nvenc does not open (no device here has this encoder)"),
        (MAXWELL, (1920, 1080), "hevc_nvenc does not open (this card encodes it in 8 bit only)"),
        (MAXWELL, (7680, 4320), "hevc_nvenc does not open (this card encodes only smaller pic"),
        (replace(ADA, sessions=0), (640, 360), "hevc_nvenc does not open (no free encoder sess"),
        (HOPPER, (8194, 4320), "hevc_nvenc stops at 8192x8192; av1_nvenc stops at 8192x8192"),
        (HOPPER, (4098, 2160), "h264_nvenc stops at 4096x4096"),
    ],
)
def test_a_run_without_a_hardware_encoder_says_why_in_one_line_and_goes_on(
    card: Card, size: tuple[int, int], said: str
) -> None:
    choice = chosen(card, target(*size))
    assert not choice.spec.hardware
    assert said in choice.reason and "\n" not in choice.reason


def test_a_later_encoder_of_the_card_is_tried_before_software() -> None:
    card = Card({"av1_nvenc": (8192, 8192)})
    assert chosen(card, target()).spec.name == "av1_nvenc"


def test_a_session_that_is_free_again_is_taken_again() -> None:
    busy, free = replace(ADA, sessions=0), ADA
    assert chosen(busy, target()).spec.name == "libx265"
    assert chosen(free, target()).spec.name == "hevc_nvenc"


@pytest.mark.parametrize(
    ("card", "encoder", "size", "said"),
    [
        (HOPPER, "hevc_nvenc", (1920, 1080), "no device here has this encoder"),
        (replace(ADA, sessions=0), "av1_nvenc", (1920, 1080), "no free encoder session"),
        (ADA, "h264_nvenc", (7680, 4320), "h264_nvenc stops at 4096x4096"),
        (ADA, "h264_nvenc", (1920, 1080), "this card encodes it in 8 bit only"),
    ],
)
def test_a_hardware_encoder_that_was_asked_for_and_is_not_there_ends_in_one_sentence(
    card: Card, encoder: str, size: tuple[int, int], said: str
) -> None:
    with pytest.raises(PlanError, match=said) as refused:
        chosen(card, target(*size), encoder)
    assert "\n" not in str(refused.value)


def test_hardware_is_passed_over_where_it_would_give_up_colour_that_software_keeps() -> None:
    rich = replace(YUV420, log2_chroma_h=0)
    choice = chosen(ADA, target(form=rich))
    assert choice.spec.name in ("hevc_nvenc", "libx265")
    assert choice.format.log2_chroma_h == 0


def test_what_a_card_takes_is_within_what_the_encoder_takes() -> None:
    for name in NVENC:
        accepted = {form.name for form in av.Codec(ENCODERS[name].codec, "w").video_formats or ()}
        assert set(ENCODERS[name].feeds.values()) <= accepted
